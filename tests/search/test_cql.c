/* Filter expressions: what is read from text and from JSON, and what the failure lines say. */
#define _GNU_SOURCE
#include "support.h"

#include "core/mem.h"
#include "search/cql.h"

static char shown[4000];

static void show(const char *format, ...)
{
    va_list args;
    size_t used = strlen(shown);
    va_start(args, format);
    vsnprintf(shown + used, sizeof shown - used, format, args);
    va_end(args);
}

/* A term as "(op arg arg)". */
static void show_term(const dip_term *term)
{
    switch (term->kind) {
    case DIP_TERM_PROPERTY: show("%s", term->text); break;
    case DIP_TERM_NUMBER: show("%g", term->number); break;
    case DIP_TERM_TEXT: show("'%s'", term->text); break;
    case DIP_TERM_TIME:
        show("%lld..%lld", term->first == INT64_MIN ? 0 : (long long)term->first - FIRST_DAY,
             term->last == INT64_MAX ? 0 : (long long)term->last - FIRST_DAY);
        break;
    case DIP_TERM_WKT:
    case DIP_TERM_GEOJSON: show("<%s>", term->text); break;
    case DIP_TERM_BOX:
        show("[%g %g %g %g]", term->box[0], term->box[1], term->box[2], term->box[3]);
        break;
    default:
        show("(%s", term->kind == DIP_TERM_OP ? dip_op_name(term->op) : "list");
        for (const dip_term *arg = term->args; arg; arg = arg->next) {
            show(" ");
            show_term(arg);
        }
        show(")");
    }
}

static void check_reads(const char *text, const char *expected)
{
    dip_term *term;
    if (dip_cql_parse(&term, text)) fail_msg("%s: %s", text, dip_last_error());
    *shown = '\0';
    show_term(term);
    dip_term_free(term);
    if (strcmp(shown, expected))
        fail_msg("%s\nis read as %s\n     not as %s", text, shown, expected);
}

static void test_text(void **state)
{
    static const char *const cases[][2] = {
        {"a = 1", "(= a 1)"},
        {"a<>-1.5e3", "(<> a -1500)"},
        {"  1 <= a ", "(<= 1 a)"},
        {"a = 'it''s'", "(= a 'it's')"},
        {"\"a \"\"b\"\"\" > 0", "(> a \"b\" 0)"},
        {"eo:cloud_cover < 10", "(< eo:cloud_cover 10)"},
        {"a = TRUE or a = false", "(or (= a 'true') (= a 'false'))"},
        {"a=1 AND b=2 OR c=3 AND d=4", "(or (and (= a 1) (= b 2)) (and (= c 3) (= d 4)))"},
        {"a=1 AND (b=2 OR c=3) AND d=4", "(and (= a 1) (or (= b 2) (= c 3)) (= d 4))"},
        {"NOT a=1 AND NOT (b=2)", "(and (not (= a 1)) (not (= b 2)))"},
        {"not not a=1", "(not (not (= a 1)))"},
        {"a BETWEEN 1 AND 2 AND b = 3", "(and (between a 1 2) (= b 3))"},
        {"a NOT BETWEEN 1 AND 2", "(not (between a 1 2))"},
        {"a IN ('x', 'y')", "(in a (list 'x' 'y'))"},
        {"a not in (1)", "(not (in a (list 1)))"},
        {"a IS NULL", "(isNull a)"},
        {"a IS NOT NULL", "(not (isNull a))"},
        {"datetime > DATE('2020-01-02')", "(> datetime 86400..172799)"},
        {"datetime < TIMESTAMP('2020-01-01T00:00:10Z')", "(< datetime 10..10)"},
        {"T_DURING(datetime, INTERVAL('2020-01-01', '..'))", "(t_during datetime 0..0)"},
        {"T_AFTER(datetime, DATE('2020-01-01'))", "(t_after datetime 0..86399)"},
        {"A_CONTAINS(labels, ('a','b'))", "(a_contains labels (list 'a' 'b'))"},
        {"S_INTERSECTS(geometry, BBOX(1,-2,3,4))", "(s_intersects geometry [1 -2 3 4])"},
        {"s_within(geometry, POLYGON((0 0, 1 0, 1 1, 0 0), (.2 .1, .3 .1, .3 .2, .2 .1)))",
         "(s_within geometry <POLYGON((0 0, 1 0, 1 1, 0 0), (.2 .1, .3 .1, .3 .2, .2 .1))>)"},
        {"point = 1", "(= point 1)"},
        {"in_view = 1", "(= in_view 1)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_reads(cases[i][0], cases[i][1]);
}

static void test_json(void **state)
{
    static const char *const cases[][2] = {
        {"{\"op\":\"=\",\"args\":[{\"property\":\"a\"},1]}", "(= a 1)"},
        {" {\"op\":\"or\",\"args\":[{\"op\":\"not\",\"args\":[{\"op\":\"isNull\",\"args\":"
         "[{\"property\":\"a\"}]}]},{\"op\":\"<\",\"args\":[{\"property\":\"b\"},\"x\"]}]}",
         "(or (not (isNull a)) (< b 'x'))"},
        {"{\"op\":\"in\",\"args\":[{\"property\":\"a\"},[1,2.5]]}", "(in a (list 1 2.5))"},
        {"{\"op\":\"between\",\"args\":[{\"property\":\"a\"},1,2]}", "(between a 1 2)"},
        {"{\"op\":\"=\",\"args\":[{\"property\":\"a\"},true]}", "(= a 'true')"},
        {"{\"op\":\">\",\"args\":[{\"property\":\"datetime\"},{\"date\":\"2020-01-02\"}]}",
         "(> datetime 86400..172799)"},
        {"{\"op\":\"t_during\",\"args\":[{\"property\":\"datetime\"},{\"interval\":[\"..\","
         "\"2020-01-01\"]}]}",
         "(t_during datetime 0..86399)"},
        {"{\"op\":\"a_containedBy\",\"args\":[{\"property\":\"labels\"},[\"a\",\"b\"]]}",
         "(a_containedBy labels (list 'a' 'b'))"},
        {"{\"op\":\"s_intersects\",\"args\":[{\"property\":\"geometry\"},{\"bbox\":[1,2,3,4]}]}",
         "(s_intersects geometry [1 2 3 4])"},
        {"{\"op\":\"s_intersects\",\"args\":[{\"property\":\"geometry\"},{\"type\":\"Point\","
         "\"coordinates\":[1,2]}]}",
         "(s_intersects geometry <{\"type\":\"Point\",\"coordinates\":[1,2]}>)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_reads(cases[i][0], cases[i][1]);
}

static void test_failures_say_where_and_what(void **state)
{
    static const char *const cases[][2] = {
        {"", "character 1: expected a property or a value, found the end"},
        {"a",
         "character 2: expected =, <>, <, <=, >, >=, BETWEEN, IN or IS [NOT] NULL, found the end"},
        {"a =", "character 4: expected a property or a value, found the end"},
        {"a = 1 b", "character 7: expected AND, OR or the end, found b"},
        {"a = 1)", "character 6: expected AND, OR or the end, found )"},
        {"(a = 1", "character 7: expected AND, OR or ')', found the end"},
        {"a = 'x", "character 5: the quote ' is not closed"},
        {"a == 1", "character 4: expected a property or a value, found ="},
        {"a != 1", "character 3: expected =, <>"},
        {"a = 1x", "expected AND, OR or the end, found x"},
        {"a = 1.2.3", "character 5: '1.2.3' is no number"},
        {"a = 1e999", "character 5: '1e999' is no number"},
        {"a LIKE 'x%'", "character 3: expected =, <>"},
        {"a NOT 5", "character 7: expected BETWEEN or IN, found 5"},
        {"a BETWEEN 1 OR 2", "character 13: expected AND and the upper bound, found OR"},
        {"a IN 5", "character 6: expected a list in brackets, found 5"},
        {"a IN ()", "character 7: expected a property or a value, found )"},
        {"a IN (1", "character 8: expected ',' or ')', found the end"},
        {"a IS 5", "character 6: expected NULL or NOT NULL, found 5"},
        {"AND a = 1", "character 1: expected a property or a value, found AND"},
        {"datetime > DATE(2020)", "character 17: expected a time in quotes, found 2020"},
        {"datetime > DATE('2020-13-01')", "character 12: '2020-13-01' is no time like"},
        {"T_DURING(datetime, INTERVAL('2020-02-01', '2020-01-01'))",
         "character 20: the interval ends (2020-01-01) before it begins (2020-02-01)"},
        {"T_DURING(datetime, INTERVAL('2020-02-01'))", "expected ',' and the end of the interval"},
        {"S_INTERSECTS(geometry)", "character 22: expected ',' and a second argument, found )"},
        {"S_INTERSECTS(geometry, POLYGON((1 2, 3 4)", "character 24: the geometry is not closed"},
        {"S_INTERSECTS(geometry, BBOX(1, 2, 3))",
         "character 36: expected ',' (west, south, east, north)"},
        {"{", "no JSON"},
        {"{}", "expected an object with op, property"},
        {"{\"op\":\"like\",\"args\":[]}", "there is no operator 'like'"},
        {"{\"op\":5}", "an \"op\" must be a text"},
        {"{\"op\":\"=\",\"args\":[1]}", "'=' takes 2 arguments, not 1"},
        {"{\"op\":\"and\",\"args\":[]}", "'and' takes 1 argument or more, not 0"},
        {"{\"op\":\"and\"}", "'and' has no array of \"args\""},
        {"{\"op\":\"=\",\"args\":[{\"property\":\"a\"},null]}", "null is no value; use isNull"},
        {"{\"op\":\"=\",\"args\":[{\"property\":\"a\"},{\"date\":5}]}", "a time must be a text"},
        {"{\"bbox\":[1,2,3]}", "four numbers"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_term *term = NULL;
        dip_status status = dip_cql_parse(&term, cases[i][0]);
        if (status != DIP_EINVAL || term || !strstr(dip_last_error(), cases[i][1]))
            fail_msg("%s: said '%s', not '%s'", cases[i][0], dip_last_error(), cases[i][1]);
    }
}

/* `count` times `begin`, then `middle`, then as often `end`. */
static char *nested(const char *begin, const char *middle, const char *end, size_t count)
{
    char *text = calloc(1, count * (strlen(begin) + strlen(end)) + strlen(middle) + 1), *at = text;
    for (size_t i = 0; i < count; i++) at = stpcpy(at, begin);
    at = stpcpy(at, middle);
    for (size_t i = 0; i < count; i++) at = stpcpy(at, end);
    return text;
}

static void test_nesting_is_bounded(void **state)
{
    static const char *const cases[][3] = {
        {"(", "a=1", ")"},
        {"NOT ", "a=1", ""},
        {"{\"op\":\"not\",\"args\":[", "{\"op\":\"=\",\"args\":[{\"property\":\"a\"},1]}", "]}"},
        {"[", "", "]"},
    };
    dip_term *term;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *fine = nested(cases[i][0], cases[i][1], cases[i][2], 90),
             *deep = nested(cases[i][0], cases[i][1], cases[i][2], 1000);
        assert_ok(dip_cql_parse(&term, fine));
        dip_term_free(term);
        assert_fails(DIP_EINVAL, "more than 100 levels of nesting", dip_cql_parse(&term, deep));
        free(fine);
        free(deep);
    }
}

static void test_long_chains_are_flat(void **state)
{
    dip_term *term;
    size_t n = 0;
    (void)state;
    char *text = nested("a=1 OR ", "a=1", "", 5000);
    assert_ok(dip_cql_parse(&term, text));
    for (const dip_term *arg = term->args; arg; arg = arg->next) n++;
    assert_int_equal(n, 5001);
    dip_term_free(term);
    free(text);
}

static void test_short_memory_fails_cleanly(void **state)
{
    static const char *const texts[] = {
        "a IN ('x', 'y') AND NOT (b BETWEEN 1 AND 2) OR T_DURING(datetime, INTERVAL('2020', '..')) "
        "AND S_WITHIN(geometry, POINT(1 2)) OR c IS NOT NULL",
        "{\"op\":\"in\",\"args\":[{\"property\":\"a\"},[\"x\",\"y\"]]}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dip_status status = DIP_ENOMEM;
        for (size_t n = 1; status; n++) {
            dip_term *term = NULL;
            dip_mem_fail_after(n);
            status = dip_cql_parse(&term, texts[i]);
            dip_mem_fail_after(0);
            assert_true(status == DIP_OK || status == DIP_ENOMEM);
            dip_term_free(term);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_failures_say_where_and_what),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_long_chains_are_flat),
        cmocka_unit_test(test_short_memory_fails_cleanly),
    };
    return cmocka_run_group_tests_name("search/cql", tests, NULL, NULL);
}
