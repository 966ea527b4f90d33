/* Parameters of a search, from the query string and from a body: what is taken, and what is said about what is not. */
#define _GNU_SOURCE
#include "server/ask.h"

#include "tests/search/support.h"

#include <string.h>

enum { MOST = 500 };

/* "a=1&b=2", split in place; nothing is decoded. */
static dip_status get(dip_ask *ask, const char *query)
{
    static char text[1 << 16];
    static dip_field fields[32];
    size_t n = 0;
    snprintf(text, sizeof text, "%s", query);
    for (char *at = strtok(text, "&"); at; at = strtok(NULL, "&")) {
        char *equals = strchr(at, '=');
        *equals = '\0';
        fields[n++] = (dip_field){at, equals + 1};
    }
    dip_request request = {.method = "GET", .query = fields, .query_count = n};
    return dip_ask_parse(ask, &request, DIP_ASK_LIMIT, MOST);
}

static dip_status post(dip_ask *ask, const char *body)
{
    dip_request request = {
        .method = "POST", .body = (const uint8_t *)body, .body_length = strlen(body)};
    return dip_ask_parse(ask, &request, DIP_ASK_LIMIT, MOST);
}

static void test_nothing_is_asked(void **state)
{
    dip_ask ask;
    (void)state;
    for (int body = 0; body < 2; body++) {
        assert_ok(body ? post(&ask, "{}") : get(&ask, "unknown=1"));
        assert_false(ask.similar || ask.has_bbox || ask.exact);
        assert_int_equal(ask.limit, DIP_ASK_LIMIT);
        assert_int_equal(ask.id_count + ask.collection_count, 0);
        dip_ask_fini(&ask);
    }
}

static void assert_names(char **names, size_t count, const char *first, const char *second)
{
    assert_int_equal(count, 2);
    assert_string_equal(names[0], first);
    assert_string_equal(names[1], second);
}

static void assert_general(const dip_ask *ask, const char *filter)
{
    assert_names(ask->ids, ask->id_count, "p1", "p2");
    assert_names(ask->collections, ask->collection_count, "s1", "s2");
    assert_string_equal(ask->datetime, "2020-01/..");
    assert_string_equal(ask->token, "abc");
    assert_string_equal(ask->filter, filter);
    assert_int_equal(ask->limit, 20);
    assert_true(ask->has_bbox && ask->bbox[0] == 170 && ask->bbox[1] == -10 &&
                ask->bbox[2] == -170.5 && ask->bbox[3] == 10);
}

static void test_general_parameters(void **state)
{
    dip_ask ask;
    (void)state;
    assert_ok(get(&ask, "ids=p1,p2&collections=s1,s2&datetime=2020-01/..&token=abc&limit=20&"
                        "bbox=170,-10,0,-170.5,10,900&filter-lang=cql2-text&filter=a > 1"));
    assert_general(&ask, "a > 1");
    assert_null(ask.text);
    dip_ask_fini(&ask);
    assert_ok(post(&ask, "{\"ids\":[\"p1\",\"p2\"],\"collections\":[\"s1\",\"s2\"],\"datetime\":"
                         "\"2020-01/..\",\"token\":\"abc\",\"limit\":20,\"bbox\":[170,-10,-170.5,"
                         "10],\"filter\":{\"op\":\">\",\"args\":[{\"property\":\"a\"},1]},"
                         "\"filter-lang\":\"cql2-json\",\"intersects\":null,\"further\":[{}]}"));
    assert_general(&ask, "{\"op\":\">\",\"args\":[{\"property\":\"a\"},1]}");
    assert_non_null(strstr(ask.text, "\"further\":[{}]"));
    assert_null(strstr(ask.text, "token"));
    dip_ask again;
    assert_ok(dip_ask_parse_json(&again, ask.text, DIP_ASK_LIMIT, MOST));
    assert_null(again.token);
    assert_string_equal(again.text, ask.text);
    dip_ask_fini(&again);
    dip_ask_fini(&ask);
}

static void assert_similar(const dip_ask *ask)
{
    dip_query query = DIP_QUERY_INIT;
    assert_true(ask->similar);
    assert_string_equal(ask->item, "s1/p/7");
    assert_names(ask->positive, ask->positive_count, "s1/a", "s2/b");
    assert_int_equal(ask->negative_count, 1);
    assert_string_equal(ask->negative[0], "s1/c");
    dip_ask_query(ask, &query);
    assert_int_equal(query.k, 7);
    assert_true(query.min_score == 0.25 && query.recall == 0.9 && query.budget_ms == 5);
    assert_true(query.diversify_km == 2.5 && query.exact && query.one_per_place);
    assert_null(query.bbox);
}

static void test_similarity(void **state)
{
    dip_ask ask;
    (void)state;
    assert_ok(get(&ask, "similar_to=s1/p/7&positive=s1/a,s2/b&negative=s1/c&k=7&min_score=.25&"
                        "recall=0.9&max_ms=5&diversify_km=2.5&exact=true&one_per_place=1"));
    assert_similar(&ask);
    dip_ask_fini(&ask);
    assert_ok(post(&ask, "{\"similarity\":{\"item\":\"s1/p/7\",\"positive\":[\"s1/a\",\"s2/b\"],"
                         "\"negative\":[\"s1/c\"],\"k\":7,\"min_score\":0.25,\"recall\":0.9,"
                         "\"max_ms\":5,\"diversify_km\":2.5,\"exact\":true,\"one_per_place\":true,"
                         "\"vector\":null}}"));
    assert_similar(&ask);
    dip_ask_fini(&ask);
    for (int body = 0; body < 2; body++) {
        assert_ok(body ? post(&ask, "{\"similarity\":{\"vector\":[1,-2.5,3e-1]}}")
                       : get(&ask, "vector=1,-2.5,3e-1"));
        assert_true(ask.similar && ask.vector_length == 3 && ask.vector[1] == -2.5F);
        assert_true(ask.k == DIP_ASK_LIMIT && ask.min_score == -1);
        dip_ask_fini(&ask);
    }
    assert_ok(get(&ask, "positive=s1/a"));
    assert_true(ask.similar && !ask.item);
    dip_ask_fini(&ask);
}

static void test_counts_are_clamped(void **state)
{
    static const struct {
        const char *query;
        size_t limit, k;
    } cases[] = {
        {"limit=500", 500, 500},
        {"limit=501", MOST, MOST},
        {"limit=99999999999999999999999", MOST, MOST},
        {"similar_to=s1/a&k=1000000", DIP_ASK_LIMIT, DIP_ASK_MOST_HITS},
        {"similar_to=s1/a&k=1000000&limit=3", 3, 3},
        {"similar_to=s1/a&limit=3", 3, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_ask ask;
        assert_ok(get(&ask, cases[i].query));
        assert_int_equal(ask.limit, cases[i].limit);
        assert_int_equal(ask.k, cases[i].k);
        dip_ask_fini(&ask);
    }
}

typedef struct mistake {
    const char *text, *line; /* that the failure begins with */
} mistake;

static void assert_mistakes(dip_status (*parse)(dip_ask *, const char *), const mistake *m,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        dip_ask ask;
        dip_status status = parse(&ask, m[i].text);
        if (status != DIP_EINVAL || strncmp(dip_last_error(), m[i].line, strlen(m[i].line)) != 0)
            fail_msg("%s: %s '%s', wanted '%s'", m[i].text, dip_status_name(status),
                     dip_last_error(), m[i].line);
    }
}

static void test_mistakes_of_get(void **state)
{
    static const mistake cases[] = {
        {"bbox=1,2,3", "bbox: 3 numbers"},
        {"bbox=1,2,3,x", "bbox: 'x' is no number"},
        {"bbox=1,2,3,nan", "bbox: 'nan' is no number"},
        {"bbox=1,2,3,inf", "bbox: 'inf' is no number"},
        {"bbox=1,2,3,0x5", "bbox: '0x5' is no number"},
        {"bbox=1,2,3,1e400", "bbox: number 4"},
        {"bbox=1,2,,4", "bbox: ',4' is no number"},
        {"bbox=", "bbox: '' is no number"},
        {"bbox=181,0,182,1", "bbox: longitudes"},
        {"bbox=0,-91,1,1", "bbox: latitudes"},
        {"bbox=0,10,1,9", "bbox: south"},
        {"bbox=0,0,1,1&intersects={}", "bbox: not together"},
        {"intersects=[1]", "intersects: it must be a GeoJSON"},
        {"intersects={\"type\":", "intersects: no GeoJSON"},
        {"limit=0", "limit: 0 is no whole number"},
        {"limit=-3", "limit: -3"},
        {"limit=1.5", "limit: 1.5"},
        {"limit=ten", "limit: 'ten'"},
        {"limit=1,2", "limit: it is more than one"},
        {"datetime=yesterday", "datetime"},
        {"datetime=2021/2020", "datetime"},
        {"ids=a,,b", "ids: a name is empty"},
        {"token=", "token: it is empty"},
        {"filter=a&filter-lang=sql", "filter-lang: there is no 'sql'"},
        {"filter=a&filter-lang=cql2-json", "filter: it is no JSON object"},
        {"similar_to=", "similar_to: it is empty"},
        {"k=5", "k: it belongs to similar_to"},
        {"min_score=2&similar_to=a/b", "min_score: 2 is not from -1 to 1"},
        {"recall=1.1&similar_to=a/b", "recall: 1.1"},
        {"max_ms=-1&similar_to=a/b", "max_ms: -1"},
        {"exact=maybe&similar_to=a/b", "exact: 'maybe'"},
        {"similar_to=a/b&vector=1,2", "similarity: item and vector"},
        {"vector=1e39", "vector: number 1 is too large"},
    };
    (void)state;
    assert_mistakes(get, cases, sizeof cases / sizeof *cases);
}

static void test_mistakes_of_post(void **state)
{
    static const mistake cases[] = {
        {"", "body: no JSON"},
        {"[]", "body: it must be a JSON object"},
        {"null", "body: no JSON"},
        {"{\"limit\":1", "body: no JSON"},
        {"{\"limit\":1,\"limit\":2}", "body: no JSON: duplicate"},
        {"{\"limit\":NaN}", "body: no JSON"},
        {"{\"limit\":1e999}", "body: no JSON"},
        {"{\"limit\":99999999999999999999}", "body: no JSON: too big integer"},
        {"{\"limit\":\"10\"}", "limit: it must be a number"},
        {"{\"limit\":0}", "limit: 0"},
        {"{\"bbox\":\"1,2,3,4\"}", "bbox: it must be an array"},
        {"{\"bbox\":[1,2,3,null]}", "bbox: it must be an array of numbers"},
        {"{\"bbox\":[]}", "bbox: 0 numbers"},
        {"{\"ids\":\"p1\"}", "ids: it must be an array"},
        {"{\"ids\":[1]}", "ids: it must be an array of texts"},
        {"{\"ids\":[\"\"]}", "ids: a name is empty"},
        {"{\"collections\":{}}", "collections: it must be"},
        {"{\"intersects\":\"x\"}", "intersects: it must be a GeoJSON"},
        {"{\"datetime\":2020}", "datetime: it must be a text"},
        {"{\"datetime\":\"x\"}", "datetime"},
        {"{\"filter\":3}", "filter: it must be CQL2"},
        {"{\"filter\":\"a=1\",\"filter-lang\":\"cql2-json\"}", "filter: it is no JSON object"},
        {"{\"filter-lang\":7}", "filter-lang: it must be a text"},
        {"{\"token\":{}}", "token: it must be a text"},
        {"{\"bbox\":[0,0,1,1],\"intersects\":{\"type\":\"Point\"}}", "bbox: not together"},
        {"{\"similarity\":[]}", "similarity: it must be an object"},
        {"{\"similarity\":{}}", "similarity: it names nothing"},
        {"{\"similarity\":{\"itme\":\"s1/a\"}}",
         "similarity: there is no 'itme'; did you mean 'item'?"},
        {"{\"similarity\":{\"zzzzzzzz\":1}}", "similarity: there is no 'zzzzzzzz'; it has item"},
        {"{\"similarity\":{\"item\":7}}", "item: it must be a text"},
        {"{\"similarity\":{\"item\":\"a/b\",\"k\":-1}}", "k: -1"},
        {"{\"similarity\":{\"item\":\"a/b\",\"k\":true}}", "k: it must be a number"},
        {"{\"similarity\":{\"item\":\"a/b\",\"exact\":1}}", "exact: it must be true or false"},
        {"{\"similarity\":{\"vector\":[]}}", "vector: it has no numbers"},
        {"{\"similarity\":{\"vector\":[1,\"2\"]}}", "vector: it must be an array of numbers"},
        {"{\"similarity\":{\"vector\":[1e308]}}", "vector: number 1 is too large"},
    };
    (void)state;
    assert_mistakes(post, cases, sizeof cases / sizeof *cases);
}

/* What is huge, or nested without end, is refused and not followed. */
static void test_hostile_bodies(void **state)
{
    enum { MANY = 100000 };
    char *deep = calloc(2 * MANY, 1), *wide = calloc(4 * MANY, 1);
    dip_ask ask;
    (void)state;
    memset(deep, '[', MANY);
    assert_fails(DIP_EINVAL, "body: no JSON", post(&ask, deep));
    char *end = stpcpy(wide, "{\"ids\":[");
    for (int i = 0; i < DIP_ASK_MOST_VALUES + 1; i++) end = stpcpy(end, i ? ",\"a\"" : "\"a\"");
    stpcpy(end, "]}");
    assert_fails(DIP_EINVAL, "ids: more than", post(&ask, wide));
    assert_fails(DIP_EINVAL, "body: no JSON", post(&ask, "{\"token\":\"a\\u0000b\"}"));
    assert_fails(DIP_EINVAL, "body: no JSON", post(&ask, "{\"token\":\"\xff\xfe\"}"));
    char *long_one = malloc(DIP_ASK_MOST_BYTES + 2);
    memset(long_one, ' ', DIP_ASK_MOST_BYTES + 1);
    memcpy(long_one, "{}", 2);
    long_one[DIP_ASK_MOST_BYTES + 1] = '\0';
    assert_fails(DIP_EINVAL, "simplify its geometry", post(&ask, long_one));
    long_one[DIP_ASK_MOST_BYTES] = '\0';
    assert_int_equal(post(&ask, long_one), DIP_OK);
    dip_ask_fini(&ask);
    free(long_one);
    free(deep);
    free(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_asked), cmocka_unit_test(test_general_parameters),
        cmocka_unit_test(test_similarity),       cmocka_unit_test(test_counts_are_clamped),
        cmocka_unit_test(test_mistakes_of_get),  cmocka_unit_test(test_mistakes_of_post),
        cmocka_unit_test(test_hostile_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
