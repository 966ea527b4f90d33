/*
 * Filters: every operator, and random combinations of them, on random rows against a plain evaluation in three values,
 * row by row, of the same expression.
 */
#include "support.h"

#include "support_rows.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "core/when.h"
#include "search/cql.h"
#include "search/filter.h"

enum { ROWS = 40007 }; /* several tasks of rows, the last of them with a word that is not full */

/* ---- the plain evaluation ---- */

typedef enum truth { NO, YES, UNKNOWN } truth;

static truth of(bool yes) { return yes ? YES : NO; }

static truth opposite(truth t) { return t == UNKNOWN ? UNKNOWN : of(t == NO); }

static bool is(const dip_term *term, const char *name) { return !strcmp(term->text, name); }

/* A row's text by name; NULL: no such text property. */
static const char *text_of(const plain_row *r, const char *name)
{
    if (!strcmp(name, "labels")) return r->labels;
    if (!strcmp(name, "split")) return r->split;
    if (!strcmp(name, "modality")) return r->modality ? "s2" : "s1";
    if (!strcmp(name, "platform")) return r->platform;
    if (!strcmp(name, "mixed")) return r->mixed_text;
    if (!strcmp(name, "tags")) return r->tags;
    return NULL;
}

static double number_of(const plain_row *r, const char *name)
{
    if (!strcmp(name, "eo:cloud_cover")) return r->cloud;
    return !strcmp(name, "mixed") ? r->mixed : NAN;
}

static bool knows_place(const plain_row *r) { return !isnan(r->west); }

static truth compare(dip_op op, double order)
{
    switch (op) {
    case DIP_OP_EQ: return of(order == 0);
    case DIP_OP_NE: return of(order != 0);
    case DIP_OP_LT: return of(order < 0);
    case DIP_OP_LE: return of(order <= 0);
    case DIP_OP_GT: return of(order > 0);
    default: return of(order >= 0);
    }
}

/* -1 before, 0 within, 1 behind the time. */
static double time_order(int64_t time, const dip_term *value)
{
    int64_t first = value->first, last = value->last;
    if (value->kind == DIP_TERM_TEXT) assert_true(dip_when_span(value->text, &first, &last));
    return time < first ? -1 : time > last;
}

static truth compare_value(const plain_row *r, dip_op op, const dip_term *property,
                           const dip_term *value)
{
    if (is(property, "datetime"))
        return r->time == DIP_NO_TIME ? UNKNOWN : compare(op, time_order(r->time, value));
    if (value->kind == DIP_TERM_NUMBER) {
        double number = number_of(r, property->text);
        return isnan(number) ? UNKNOWN : compare(op, number - value->number);
    }
    const char *text = text_of(r, property->text);
    return text && *text ? compare(op, strcmp(text, value->text)) : UNKNOWN;
}

static truth both(truth a, truth b)
{
    if (a == NO || b == NO) return NO;
    return a == YES && b == YES ? YES : UNKNOWN;
}

static bool list_holds(const char *list, const char *word)
{
    char padded[80], wanted[80];
    snprintf(padded, sizeof padded, "|%s|", list);
    snprintf(wanted, sizeof wanted, "|%s|", word);
    return strstr(padded, wanted);
}

static truth ask_list(const char *list, dip_op op, const dip_term *words)
{
    size_t wanted = 0, held = 0, length = 1;
    if (!*list) return UNKNOWN;
    for (const char *c = list; *c; c++) length += *c == '|';
    for (; words; words = words->next) {
        wanted++;
        held += list_holds(list, words->text);
    }
    switch (op) {
    case DIP_OP_A_CONTAINS: return of(held == wanted);
    case DIP_OP_A_OVERLAPS: return of(held > 0);
    case DIP_OP_A_CONTAINEDBY: return of(held == length);
    default: return of(held == wanted && held == length);
    }
}

/* The footprint as one or two boxes that do not cross the antimeridian. */
static int pieces(const plain_row *r, double west[2], double east[2])
{
    west[0] = r->west;
    east[0] = r->east;
    if (r->west <= r->east) return 1;
    east[0] = 180;
    west[1] = -180;
    east[1] = r->east;
    return 2;
}

static truth ask_box(const plain_row *r, dip_op op, const double *box)
{
    plain_row boxed = {.west = box[0], .east = box[2]};
    double w[2], e[2], bw[2], be[2];
    if (!knows_place(r)) return UNKNOWN;
    int n = pieces(r, w, e), m = pieces(&boxed, bw, be);
    bool meets = false, within = true;
    for (int i = 0; i < n; i++) {
        bool held = false;
        for (int j = 0; j < m; j++) {
            meets |= w[i] <= be[j] && e[i] >= bw[j];
            held |= w[i] >= bw[j] && e[i] <= be[j];
        }
        within &= held;
    }
    meets &= r->south <= box[3] && r->north >= box[1];
    within &= r->south >= box[1] && r->north <= box[3];
    return op == DIP_OP_S_WITHIN ? of(within) : of(meets == (op == DIP_OP_S_INTERSECTS));
}

static truth ask_time(const plain_row *r, dip_op op, const dip_term *value)
{
    static const dip_op as[] = {[DIP_OP_T_AFTER] = DIP_OP_GT,      [DIP_OP_T_BEFORE] = DIP_OP_LT,
                                [DIP_OP_T_DURING] = DIP_OP_EQ,     [DIP_OP_T_EQUALS] = DIP_OP_EQ,
                                [DIP_OP_T_INTERSECTS] = DIP_OP_EQ, [DIP_OP_T_DISJOINT] = DIP_OP_NE};
    return r->time == DIP_NO_TIME ? UNKNOWN : compare(as[op], time_order(r->time, value));
}

static truth ask_null(const plain_row *r, const dip_term *property)
{
    if (is(property, "datetime")) return of(r->time == DIP_NO_TIME);
    if (is(property, "geometry")) return of(!knows_place(r));
    const char *text = text_of(r, property->text);
    return of(isnan(number_of(r, property->text)) && (!text || !*text));
}

static truth evaluate(const plain_row *r, const dip_term *term)
{
    static const dip_op mirror[] = {
        [DIP_OP_EQ] = DIP_OP_EQ, [DIP_OP_NE] = DIP_OP_NE, [DIP_OP_LT] = DIP_OP_GT,
        [DIP_OP_LE] = DIP_OP_GE, [DIP_OP_GT] = DIP_OP_LT, [DIP_OP_GE] = DIP_OP_LE};
    const dip_term *a = term->args, *b = a->next;
    truth t = term->op == DIP_OP_AND ? YES : NO;
    switch (term->op) {
    case DIP_OP_AND:
        for (; a; a = a->next) t = both(t, evaluate(r, a));
        return t;
    case DIP_OP_OR:
        for (; a; a = a->next) t = opposite(both(opposite(t), opposite(evaluate(r, a))));
        return t;
    case DIP_OP_NOT: return opposite(evaluate(r, a));
    case DIP_OP_IS_NULL: return ask_null(r, a);
    case DIP_OP_BETWEEN:
        return both(compare_value(r, DIP_OP_GE, a, b), compare_value(r, DIP_OP_LE, a, b->next));
    case DIP_OP_IN:
        for (b = b->args; b; b = b->next)
            t = opposite(both(opposite(t), opposite(compare_value(r, DIP_OP_EQ, a, b))));
        return t;
    case DIP_OP_S_INTERSECTS:
    case DIP_OP_S_DISJOINT:
    case DIP_OP_S_WITHIN: return ask_box(r, term->op, b->box);
    default: break;
    }
    if (term->op >= DIP_OP_A_CONTAINS) return ask_list(text_of(r, a->text), term->op, b->args);
    if (term->op >= DIP_OP_T_AFTER) return ask_time(r, term->op, b);
    if (a->kind != DIP_TERM_PROPERTY) return compare_value(r, mirror[term->op], b, a);
    return compare_value(r, term->op, a, b);
}

/* ---- random expressions ---- */

/* What a predicate may be; %d: a random number below the table's. */
static const char *const predicates[] = {
    "eo:cloud_cover < %d",
    "eo:cloud_cover >= %d",
    "%d = eo:cloud_cover",
    "%d <= eo:cloud_cover",
    "%d > eo:cloud_cover",
    "eo:cloud_cover <> %d",
    "eo:cloud_cover BETWEEN 20 AND %d",
    "eo:cloud_cover NOT BETWEEN 20 AND %d",
    "eo:cloud_cover IN (0, 5, %d)",
    "eo:cloud_cover NOT IN (10, 15, %d)",
    "eo:cloud_cover IS NULL",
    "eo:cloud_cover IS NOT NULL",
    "mixed > 0",
    "mixed = '%d'",
    "mixed <> '3'",
    "mixed IN (1, '1')",
    "mixed NOT IN (1, '1')",
    "mixed IS NULL",
    "mixed IS NOT NULL",
    "platform = 'sentinel-1a'",
    "platform <> 'sentinel-1a'",
    "platform >= 'n'",
    "platform BETWEEN 'm' AND 'sentinel-1z'",
    "platform IN ('landsat-8', 'nothing')",
    "platform NOT IN ('landsat-8', 'nothing')",
    "platform IS NULL",
    "split = 'train'",
    "split IN ('val', 'test')",
    "NOT split = 'test'",
    "modality = 's1'",
    "modality <> 's1'",
    "A_CONTAINS(labels, ('water', 'wood'))",
    "A_OVERLAPS(labels, ('water', 'wood'))",
    "A_CONTAINEDBY(labels, ('water', 'wood', 'none'))",
    "A_EQUALS(labels, ('wood', 'water'))",
    "A_CONTAINS(labels, ('none'))",
    "labels IS NULL",
    "A_OVERLAPS(tags, ('a b'))",
    "tags IS NOT NULL",
    "datetime > DATE('2020-01-%02d')",
    "datetime >= DATE('2020-01-%02d')",
    "datetime <= '2020-01-%02d'",
    "datetime < TIMESTAMP('2020-01-%02dT06:00:00Z')",
    "datetime = DATE('2020-01-%02d')",
    "datetime <> DATE('2020-01-%02d')",
    "datetime = TIMESTAMP('2020-01-%02dT12:00:00Z')",
    "datetime BETWEEN DATE('2020-01-05') AND DATE('2020-01-%02d')",
    "datetime IN (DATE('2020-01-05'), DATE('2020-01-%02d'))",
    "datetime IS NULL",
    "T_AFTER(datetime, DATE('2020-01-%02d'))",
    "T_BEFORE(datetime, DATE('2020-01-%02d'))",
    "T_AFTER(datetime, INTERVAL('2020-01-%02d', '..'))",
    "T_BEFORE(datetime, INTERVAL('..', '2020-01-%02d'))",
    "T_DURING(datetime, INTERVAL('..', '2020-01-%02d'))",
    "T_DURING(datetime, INTERVAL('..', '..'))",
    "T_EQUALS(datetime, DATE('2020-01-%02d'))",
    "T_INTERSECTS(datetime, INTERVAL('2020-01-%02d', '2020-01-30'))",
    "T_DISJOINT(datetime, INTERVAL('2020-01-%02d', '2020-01-30'))",
    "S_INTERSECTS(geometry, BBOX(-%d, -40, 60, 70))",
    "S_INTERSECTS(geometry, BBOX(1%d, -60, -100, 80))",
    "S_DISJOINT(geometry, BBOX(-%d, -40, 60, 70))",
    "S_WITHIN(geometry, BBOX(-%d, -40, 60, 70))",
    "S_WITHIN(geometry, BBOX(1%d, -60, -100, 80))",
    "S_WITHIN(geometry, BBOX(-180, -60, 180, 80))",
    "geometry IS NOT NULL",
};

enum { PREDICATES = sizeof predicates / sizeof *predicates };

static void print_predicate(dip_rng *rng, size_t which, char *out, size_t capacity)
{
    const char *form = predicates[which], *hole = strchr(form, '%');
    int number = 10 + (int)dip_rng_below(rng, 19), before = hole ? (int)(hole - form) : 0;
    if (!hole)
        snprintf(out, capacity, "%s", form);
    else
        snprintf(out, capacity, "%.*s%02d%s", before, form, number, strchr(hole, 'd') + 1);
}

static void print_random(dip_rng *rng, unsigned depth, char *out, size_t capacity)
{
    char a[2000], b[2000];
    uint32_t choice = depth ? dip_rng_below(rng, 4) : 3;
    if (choice == 3) {
        print_predicate(rng, dip_rng_below(rng, PREDICATES), out, capacity);
        return;
    }
    print_random(rng, depth - 1, a, sizeof a);
    if (choice == 2) {
        snprintf(out, capacity, "NOT (%.1900s)", a);
        return;
    }
    print_random(rng, depth - 1, b, sizeof b);
    snprintf(out, capacity, "(%.900s) %s (%.900s)", a, choice ? "AND" : "OR", b);
}

/* ---- tests ---- */

static uint64_t *rows_of(plain_table *t, const dip_query *query)
{
    dip_filter *filter;
    uint64_t *bits = calloc(dip_filter_words(&t->columns), sizeof *bits);
    dip_status status = dip_filter_create(&filter, &t->columns, &t->properties, query);
    if (status) fail_msg("%s: %s", query->filter, dip_last_error());
    assert_non_null(filter);
    assert_ok(dip_filter_run(filter, bits));
    dip_filter_destroy(filter);
    return bits;
}

static bool has_bit(const uint64_t *bits, size_t row) { return bits[row / 64] >> row % 64 & 1; }

/* Returns how many rows pass. */
static size_t check_expression(plain_table *t, const char *text)
{
    dip_query query = DIP_QUERY_INIT;
    dip_term *term;
    size_t passed = 0;
    query.filter = text;
    assert_ok(dip_cql_parse(&term, text));
    uint64_t *bits = rows_of(t, &query);
    for (size_t i = 0; i < t->count; i++) {
        bool expected = evaluate(&t->rows[i], term) == YES;
        if (has_bit(bits, i) != expected)
            fail_msg("%s: row %zu %s", text, i, expected ? "is missing" : "is too many");
        passed += expected;
    }
    dip_term_free(term);
    free(bits);
    return passed;
}

static void test_each_operator(void **state)
{
    plain_table t;
    dip_rng rng;
    (void)state;
    support_rows_make(&t, ROWS, 1);
    dip_rng_init(&rng, 2, 0);
    for (size_t i = 0; i < PREDICATES; i++) {
        char text[300], opposed[400];
        print_predicate(&rng, i, text, sizeof text);
        snprintf(opposed, sizeof opposed, "NOT (%s)", text);
        size_t passed = check_expression(&t, text) + check_expression(&t, opposed);
        if (passed == 0 || passed > t.count) fail_msg("%s: %zu of %zu", text, passed, t.count);
    }
    support_rows_free(&t);
}

static void test_random_combinations(void **state)
{
    plain_table t;
    dip_rng rng;
    (void)state;
    support_rows_make(&t, 700, 3);
    dip_rng_init(&rng, 4, 0);
    for (int i = 0; i < 3000; i++) {
        char text[2000];
        print_random(&rng, 4, text, sizeof text);
        check_expression(&t, text);
    }
    support_rows_free(&t);
}

static void test_any_number_of_rows(void **state)
{
    static const size_t counts[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 32768, 32769};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        plain_table t;
        support_rows_make(&t, counts[i], 5);
        check_expression(&t, "eo:cloud_cover < 50 OR NOT A_CONTAINS(labels, ('wood'))");
        support_rows_free(&t);
    }
}

static void test_ids_are_those_of_the_bits(void **state)
{
    plain_table t;
    dip_query query = DIP_QUERY_INIT;
    uint64_t *ids;
    size_t n, expected = 0, all = 0;
    (void)state;
    support_rows_make(&t, 5000, 6);
    query.split = "test|val";
    uint64_t *bits = rows_of(&t, &query);
    assert_ok(dip_filter_ids(&t.columns, bits, 1, &ids, &n));
    for (size_t i = 0; i < t.count; i++) {
        const plain_row *r = &t.rows[i];
        all += r->modality == 1;
        if (r->modality != 1 || (strcmp(r->split, "test") && strcmp(r->split, "val"))) continue;
        assert_true(expected < n);
        assert_int_equal(ids[expected++], t.columns.ids[i]);
    }
    assert_int_equal(n, expected);
    dip_free(ids);
    assert_ok(dip_filter_ids(&t.columns, NULL, 1, &ids, &n));
    assert_int_equal(n, all);
    dip_free(ids);
    free(bits);
    support_rows_free(&t);
}

/* The query's own filters say the same as the expression in words. */
static void test_fields_of_the_query(void **state)
{
    static const double box[4] = {170, -60, -100, 80};
    static const struct {
        dip_query query;
        const char *same;
    } cases[] = {
        {{.bbox = box}, "S_INTERSECTS(geometry, BBOX(170, -60, -100, 80))"},
        {{.datetime = "2020-01-05/2020-01-09"}, "datetime BETWEEN '2020-01-05' AND '2020-01-09'"},
        {{.datetime = "../2020-01-09"}, "datetime <= '2020-01-09'"},
        {{.datetime = "2020-01-05/.."}, "datetime >= '2020-01-05'"},
        {{.datetime = "2020-01-05"}, "datetime = '2020-01-05'"},
        {{.label = "wood"}, "A_CONTAINS(labels, ('wood'))"},
        {{.label = "wood|none|water"}, "A_OVERLAPS(labels, ('wood', 'water'))"},
        {{.label = "woo"}, "A_OVERLAPS(labels, ('woo'))"},
        {{.label = "|"}, "split IS NULL AND split IS NOT NULL"},
        {{.split = "val"}, "split = 'val'"},
        {{.split = "val", .label = "town", .filter = "modality = 's2'"},
         "split = 'val' AND A_CONTAINS(labels, ('town')) AND modality = 's2'"},
    };
    plain_table t;
    (void)state;
    support_rows_make(&t, 3000, 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_query same = DIP_QUERY_INIT;
        same.filter = cases[i].same;
        uint64_t *a = rows_of(&t, &cases[i].query), *b = rows_of(&t, &same);
        if (memcmp(a, b, dip_filter_words(&t.columns) * sizeof *a)) fail_msg("case %zu", i);
        check_expression(&t, cases[i].same);
        free(a);
        free(b);
    }
    support_rows_free(&t);
}

static void test_the_same_for_any_number_of_threads(void **state)
{
    plain_table t;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    support_rows_make(&t, ROWS, 8);
    query.filter = "NOT eo:cloud_cover < 50 AND S_INTERSECTS(geometry, POLYGON((-150 -80, 150 -80, "
                   "0 80, -150 -80))) OR split = 'test'";
    dip_threads_set(1);
    uint64_t *one = rows_of(&t, &query);
    dip_threads_set(4);
    uint64_t *four = rows_of(&t, &query);
    dip_threads_set(0);
    assert_memory_equal(one, four, dip_filter_words(&t.columns) * sizeof *one);
    free(one);
    free(four);
    support_rows_free(&t);
}

static void test_no_filter_is_null(void **state)
{
    dip_columns c = {0};
    dip_query query = DIP_QUERY_INIT;
    dip_filter *filter;
    (void)state;
    assert_ok(dip_filter_create(&filter, &c, NULL, &query));
    assert_null(filter);
}

static void test_mistakes_are_named(void **state)
{
    static const double wrong[][4] = {
        {0, 5, 10, 1}, {0, 0, 190, 1}, {0, -95, 10, 1}, {0, 0, NAN, 1}};
    static const struct {
        dip_query query;
        const char *words;
    } cases[] = {
        {{.bbox = wrong[0]}, "bbox: south 5 is north of north 1"},
        {{.bbox = wrong[1]}, "-180..180"},
        {{.bbox = wrong[2]}, "-90..90"},
        {{.bbox = wrong[3]}, "not a number"},
        {{.datetime = "2020-02/2020-01"}, "ends before it begins"},
        {{.intersects = "{\"type\":\"Polygon\"}"}, "intersects: geometry: "},
        {{.intersects = "POINT(1 2)"}, "intersects: no JSON: "},
        {{.filter = "a"}, "filter, character 2"},
        {{.filter = "nothing = 1"}, "no tile has a property 'nothing'; there are datetime"},
        {{.filter = "labels = 'wood'"}, "character 1: 'labels' is a list; write A_CONTAINS(labels"},
        {{.filter = "tags > 'wood'"}, "'tags' is a list"},
        {{.filter = "A_CONTAINS(platform, ('a'))"}, "character 12: 'platform' is no list"},
        {{.filter = "A_CONTAINS(datetime, ('a'))"}, "'datetime' is no list"},
        {{.filter = "A_CONTAINS(labels, (5))"}, "character 21: expected a text in single quotes"},
        {{.filter = "A_CONTAINS(labels, 'wood')"}, "character 20: expected a list: ('a', 'b')"},
        {{.filter = "split = 5"}, "character 9: expected a text in single quotes"},
        {{.filter = "split BETWEEN 'a' AND 5"}, "character 23: expected a text in single quotes"},
        {{.filter = "eo:cloud_cover BETWEEN 5 AND 'a'"}, "character 30: expected a number"},
        {{.filter = "eo:cloud_cover = DATE('2020-01-01')"}, "expected a number or a text"},
        {{.filter = "datetime = 5"}, "character 12: expected a time"},
        {{.filter = "datetime = 'yesterday'"}, "character 12: expected a time"},
        {{.filter = "geometry = 5"}, "asked by S_INTERSECTS"},
        {{.filter = "T_AFTER(split, DATE('2020-01-01'))"}, "character 9: 'split' is no time"},
        {{.filter = "T_AFTER(datetime, 5)"}, "character 19: expected a time"},
        {{.filter = "S_INTERSECTS(split, POINT(1 2))"}, "character 14: 'split' is no shape"},
        {{.filter = "S_INTERSECTS(geometry, 5)"},
         "character 24: expected a geometry, such as BBOX"},
        {{.filter = "S_INTERSECTS(POINT(1 2), geometry)"}, "character 14: expected a property"},
        {{.filter = "S_INTERSECTS(geometry, BBOX(1,2,1,1))"},
         "character 24: bbox: south 2 is north of north 1"},
        {{.filter = "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))"},
         "character 24: geometry: it is not valid: Self-intersection at 0.5 0.5"},
        {{.filter = "split = platform"}, "character 9: expected a value"},
        {{.filter = "5 = 5"}, "expected a property"},
        {{.filter = "{\"property\":\"a\"}"}, "no tile has a property 'a'"},
        {{.filter = "{\"property\":\"split\"}"}, "filter: expected a condition"},
    };
    plain_table t;
    (void)state;
    support_rows_make(&t, 10, 9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_filter *filter;
        dip_status status = dip_filter_create(&filter, &t.columns, &t.properties, &cases[i].query);
        if (status != DIP_EINVAL || filter || !strstr(dip_last_error(), cases[i].words))
            fail_msg("case %zu, %s: said '%s', not '%s'", i, cases[i].query.filter,
                     dip_last_error(), cases[i].words);
    }
    support_rows_free(&t);
}

static void test_texts_that_no_tile_has_are_named(void **state)
{
    static const struct {
        dip_query query;
        const char *line;
    } cases[] = {
        {{.label = "water"}, ""},
        {{.label = "watr"}, "no tile has label 'watr'; did you mean 'water'?"},
        {{.label = "town|feld"}, "no tile has label 'feld'; did you mean 'field'?"},
        {{.label = "train"}, "no tile has label 'train'"}, /* which is a split */
        {{.split = "tset"}, "no tile has split 'tset'; did you mean 'test'?"},
        {{.label = "ice", .split = "tset"}, "no tile has label 'ice'"},
        {{.filter = "A_CONTAINS(labels, ('town', 'wod'))"},
         "no tile has labels 'wod'; did you mean 'wood'?"},
        {{.filter = "platform = 'landsat-9'"},
         "no tile has platform 'landsat-9'; did you mean 'landsat-8'?"},
        {{.filter = "platform IN ('landsat-8', 'sentinel-2')"},
         "no tile has platform 'sentinel-2'; did you mean 'sentinel-2a'?"},
        {{.filter = "platform > 'm' AND platform <> 'x' AND \"eo:cloud_cover\" = 5000"}, ""},
    };
    plain_table t;
    (void)state;
    support_rows_make(&t, 1000, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_filter *filter;
        assert_ok(dip_filter_create(&filter, &t.columns, &t.properties, &cases[i].query));
        assert_string_equal(dip_filter_missing(filter), cases[i].line);
        dip_filter_destroy(filter);
    }
    assert_string_equal(dip_filter_missing(NULL), "");
    support_rows_free(&t);
}

static void test_short_memory_fails_cleanly(void **state)
{
    static const double box[4] = {-10, -10, 10, 10};
    plain_table t;
    dip_query query = {.bbox = box,
                       .intersects = "{\"type\":\"Point\",\"coordinates\":[1,2]}",
                       .datetime = "2020",
                       .label = "wood",
                       .split = "val",
                       .filter = "NOT (eo:cloud_cover IN (1, 2) OR labels IS NULL) AND "
                                 "S_DISJOINT(geometry, POLYGON((0 0, 1 1, 1 0, 0 0)))"};
    dip_status status = DIP_ENOMEM;
    (void)state;
    support_rows_make(&t, 3000, 10);
    uint64_t *bits = calloc(dip_filter_words(&t.columns), sizeof *bits);
    for (size_t n = 1; status; n++) {
        dip_filter *filter = NULL;
        dip_mem_fail_after(n);
        status = dip_filter_create(&filter, &t.columns, &t.properties, &query);
        if (!status) status = dip_filter_run(filter, bits);
        dip_mem_fail_after(0);
        assert_true(status == DIP_OK || status == DIP_ENOMEM);
        dip_filter_destroy(filter);
    }
    free(bits);
    support_rows_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_operator),
        cmocka_unit_test(test_random_combinations),
        cmocka_unit_test(test_any_number_of_rows),
        cmocka_unit_test(test_ids_are_those_of_the_bits),
        cmocka_unit_test(test_fields_of_the_query),
        cmocka_unit_test(test_the_same_for_any_number_of_threads),
        cmocka_unit_test(test_no_filter_is_null),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_texts_that_no_tile_has_are_named),
        cmocka_unit_test(test_short_memory_fails_cleanly),
    };
    return cmocka_run_group_tests_name("search/filter", tests, NULL, NULL);
}
