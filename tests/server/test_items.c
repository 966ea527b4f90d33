/* Items, pages and collections, as handlers answer them: without a connection. */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/mem.h"
#include "server/item.h"

#include <jansson.h>

enum { PLACES = 60 };

static const dip_route routes[] = {
    {"GET", "/", dip_serve_landing, false},
    {"GET", "/conformance", dip_serve_conformance, false},
    {"GET", "/collections", dip_serve_collections, false},
    {"GET", "/collections/{}", dip_serve_collection, false},
    {"GET", "/collections/{}/queryables", dip_serve_queryables, false},
    {"GET", "/collections/{}/items", dip_serve_items, false},
    {"GET", "/collections/{}/items/{}", dip_serve_item, false},
    {"GET", "/collections/{}/items/{}/thumbnail", dip_serve_thumbnail, false},
    {"GET", "/collections/{}/items/{}/visual", dip_serve_visual, false},
    {"GET", "/collections/{}/items/{}/bands/{}", dip_serve_band, false},
    {"GET", "/collections/{}/items/{}/embeddings", dip_serve_embedding, false},
    {"GET", "/search", dip_serve_search, false},
    {"POST", "/search", dip_serve_search, false},
    {"GET", "/aggregations", dip_serve_aggregations, false},
    {"GET", "/aggregate", dip_serve_aggregate, false},
    {"POST", "/aggregate", dip_serve_aggregate, false},
    {"GET", "/collections/{}/aggregate", dip_serve_aggregate, false},
    {"GET", "/collections/{}/aggregations", dip_serve_aggregations, false},
};

typedef struct server {
    fixture f;
    dip_service *service;
} server;

static const char hostile[] = "a/../b \"<script>alert(1)</script>\xc3\xa9";

/* A tile whose every text is an attack. */
static void add_hostile(fixture *f)
{
    dip_tile tile = {.plane_count = 2};
    uint8_t pixels[16] = {1, 2, 3};
    for (int b = 0; b < 2; b++) tile.planes[b] = (dip_plane){DIP_DTYPE_U8, 4, 4, pixels};
    tile.meta =
        (dip_meta){.modality = S1,
                   .name = hostile,
                   .time = DIP_NO_TIME,
                   .west = NAN,
                   .south = NAN,
                   .east = NAN,
                   .north = NAN,
                   .labels = "</script>|\"",
                   .extra = "{\"datetime\":\"never\",\"sim:score\":1,\"<b>\":\"</script>\"}"};
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, f->archive));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_commit(batch));
}

static int start(void **state)
{
    server *s = calloc(1, sizeof *s);
    support_open(&s->f, PLACES);
    add_hostile(&s->f);
    dip_service_options options = {.archive = s->f.folder};
    assert_ok(dip_service_open(&s->service, &options));
    *state = s;
    return 0;
}

static int stop(void **state)
{
    server *s = *state;
    dip_service_close(s->service);
    support_close(&s->f);
    free(s);
    return 0;
}

static void call(server *s, const char *method, const char *url, const char *body,
                 dip_response *out)
{
    char path[512];
    const char *question = strchr(url, '?');
    size_t length = question ? (size_t)(question - url) : strlen(url);
    snprintf(path, sizeof path, "%.*s", (int)length, url);
    dip_request request = {.method = method,
                           .path = path,
                           .base = "http://test",
                           .query_string = question ? question + 1 : "",
                           .content_type = body ? "application/json" : "",
                           .body = (const uint8_t *)(body ? body : ""),
                           .body_length = body ? strlen(body) : 0};
    *out = (dip_response){0};
    dip_http_dispatch(routes, sizeof routes / sizeof *routes, s->service, &request, out);
}

/* The answer as JSON. */
static json_t *ask(server *s, int status, const char *method, const char *url, const char *body)
{
    dip_response r;
    json_error_t error;
    call(s, method, url, body, &r);
    if (r.status != status)
        fail_msg("%s %s: %d %.*s", method, url, r.status, (int)r.length, (const char *)r.owned);
    json_t *value = json_loadb((const char *)r.owned, r.length, JSON_REJECT_DUPLICATES, &error);
    if (!value) fail_msg("%s: %s at %d", url, error.text, error.position);
    dip_response_fini(&r);
    return value;
}

static json_t *get(server *s, const char *url) { return ask(s, 200, "GET", url, NULL); }

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static json_t *link_of(const json_t *object, const char *rel)
{
    size_t i;
    json_t *link;
    json_array_foreach(json_object_get(object, "links"), i,
                       link) if (!strcmp(text(link, "rel"), rel)) return link;
    return NULL;
}

/* Follows the pages to the end; gives the number of different items. */
static size_t walk(server *s, const char *first, const char *body, size_t *pages)
{
    json_t *seen = json_object(), *page = ask(s, 200, body ? "POST" : "GET", first, body);
    size_t matched = (size_t)json_integer_value(json_object_get(page, "numberMatched"));
    *pages = 0;
    for (;;) {
        size_t i;
        json_t *feature;
        json_array_foreach(json_object_get(page, "features"), i, feature)
        {
            char key[600];
            snprintf(key, sizeof key, "%s/%s", text(feature, "collection"), text(feature, "id"));
            assert_null(json_object_get(seen, key));
            json_object_set_new(seen, key, json_true());
        }
        ++*pages;
        json_t *next = link_of(page, "next");
        if (!next) break;
        assert_memory_equal(text(next, "href"), "http://test", 11);
        char *again = json_dumps(json_object_get(next, "body"), JSON_COMPACT);
        assert_string_equal(body ? "POST" : "", text(next, "method"));
        json_t *following = ask(s, 200, body ? "POST" : "GET", text(next, "href") + 11, again);
        free(again);
        json_decref(page);
        page = following;
    }
    size_t count = json_object_size(seen);
    assert_int_equal(count, matched);
    json_decref(page);
    json_decref(seen);
    return count;
}

static void test_pages_meet_every_item_once(void **state)
{
    static const struct {
        const char *url, *body;
        size_t items, pages;
    } cases[] = {
        {"/collections/s1/items?limit=7", NULL, PLACES + 1, 9},
        {"/collections/s2/items?limit=60", NULL, PLACES, 1},
        {"/collections/s2/items", NULL, PLACES, 6},
        {"/search?limit=50", NULL, 2 * PLACES + 1, 3},
        {"/search?collections=s2&limit=1000000", NULL, PLACES, 1},
        {"/search?ids=p1,p2,nobody&limit=3", NULL, 4, 2},
        {"/search?ids=p1,p2&collections=s1", NULL, 2, 1},
        {"/search?filter=modality='s1'%20AND%20split='test'&limit=5", NULL, PLACES / 5, 3},
        {"/collections/s1/items?bbox=-9.9,39,-9.6,40.9&limit=1", NULL, 1, 1},
        {"/search?datetime=2020-01-01/2020-01-03&limit=4", NULL, 6, 2},
        {"/search", "{\"limit\":11,\"collections\":[\"s2\"]}", PLACES, 6},
        {"/search", "{}", 2 * PLACES + 1, 13},
        {"/search",
         "{\"filter\":{\"op\":\"=\",\"args\":[{\"property\":\"modality\"},\"s1\"]},\"limit\":50}",
         PLACES + 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t pages;
        size_t items = walk(*state, cases[i].url, cases[i].body, &pages);
        if (items != cases[i].items || pages != cases[i].pages)
            fail_msg("%s %s: %zu items on %zu pages", cases[i].url,
                     cases[i].body ? cases[i].body : "", items, pages);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *url;
        int status;
        const char *code, *words;
    } cases[] = {
        {"/collections/none", 404, "NotFound", "there are: s1, s2"},
        {"/collections/none/items", 404, "NotFound", "none"},
        {"/collections/s1/items/none", 404, "NotFound", "none"},
        {"/collections/s1/items/p1/bands/B99", 404, "NotFound", "B99"},
        {"/collections/s1/items/%2E%2E%2F%2E%2E%2Fetc%2Fpasswd/visual", 404, "NotFound", "no item"},
        {"/collections/s1/items/p1/thumbnail?size=0", 400, "InvalidParameterValue", "size"},
        {"/collections/s1/items/p1/embeddings?format=xml", 400, "InvalidParameterValue", "format"},
        {"/collections/s1/items?bbox=1,2,3", 400, "InvalidParameterValue", "bbox"},
        {"/collections/s1/items?token=after-zz", 400, "InvalidParameterValue", "token"},
        {"/collections/s1/items?token=", 400, "InvalidParameterValue", "token"},
        {"/collections/s1/items?limit=0", 400, "InvalidParameterValue", "limit"},
        {"/collections/s1/items?similar_to=s1/p1", 400, "InvalidParameterValue", "ask /search"},
        {"/search?collections=s1,none", 400, "InvalidParameterValue", "collections"},
        {"/search?filter=nothing%20%3D%201", 400, "InvalidParameterValue", "nothing"},
        {"/search?datetime=yesterday", 400, "InvalidParameterValue", "datetime"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *answer = ask(*state, cases[i].status, "GET", cases[i].url, NULL);
        assert_string_equal(text(answer, "code"), cases[i].code);
        if (!strstr(text(answer, "description"), cases[i].words))
            fail_msg("%s: %s", cases[i].url, text(answer, "description"));
        json_decref(answer);
    }
}

static void test_item(void **state)
{
    json_t *item = get(*state, "/collections/s2/items/p3");
    json_t *properties = json_object_get(item, "properties"),
           *assets = json_object_get(item, "assets");
    assert_string_equal(text(item, "id"), "p3");
    assert_string_equal(text(item, "collection"), "s2");
    assert_string_equal(text(properties, "datetime"), "2020-01-04T00:00:00Z");
    assert_int_equal(json_integer_value(json_object_get(properties, "eo:cloud_cover")), 3);
    assert_int_equal(json_array_size(json_object_get(item, "bbox")), 4);
    const char *wanted[] = {"visual", "thumbnail", "B04", "B03", "B02"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *href = text(json_object_get(assets, wanted[i]), "href");
        dip_response r;
        assert_memory_equal(href, "http://test/", 12);
        call(*state, "GET", href + 11, NULL, &r);
        assert_int_equal(r.status, 200);
        assert_true(r.length > 60);
        dip_response_fini(&r);
    }
    json_decref(item);
}

static void test_hostile_names_stay_text(void **state)
{
    char url[256], *name = dip_path_encode(hostile);
    snprintf(url, sizeof url, "/collections/s1/items/%s", name);
    json_t *item = get(*state, url), *properties = json_object_get(item, "properties");
    assert_string_equal(text(item, "id"), hostile);
    assert_true(json_is_null(json_object_get(item, "geometry")));
    assert_null(json_object_get(item, "bbox"));
    assert_true(json_is_null(json_object_get(properties, "datetime")));
    assert_string_equal(text(properties, "start_datetime"), DIP_ITEM_EARLIEST);
    assert_null(json_object_get(properties, "sim:score"));
    assert_string_equal(text(properties, "<b>"), "</script>");
    size_t i;
    json_t *link;
    json_array_foreach(json_object_get(item, "links"), i, link)
        assert_null(strpbrk(text(link, "href"), "<>\" "));
    json_t *again = get(*state, text(link_of(item, "self"), "href") + 11);
    assert_true(json_equal(item, again));
    json_decref(again);
    json_decref(item);
    dip_free(name);
}

static void test_landing_and_collections(void **state)
{
    json_t *landing = get(*state, "/"), *all = get(*state, "/collections");
    static const char *const rels[] = {"self",        "root",        "service-desc", "service-doc",
                                       "conformance", "data",        "search",       "child",
                                       "aggregate",   "aggregations"};
    for (size_t i = 0; i < sizeof rels / sizeof *rels; i++)
        assert_non_null(link_of(landing, rels[i]));
    json_t *conformance = get(*state, "/conformance");
    assert_true(json_equal(json_object_get(landing, "conformsTo"),
                           json_object_get(conformance, "conformsTo")));
    assert_int_equal(json_array_size(json_object_get(all, "collections")), 2);
    json_t *s2 = json_array_get(json_object_get(all, "collections"), 1);
    json_t *one = get(*state, "/collections/s2");
    assert_true(json_equal(s2, one));
    assert_int_equal(json_integer_value(json_object_get(one, "dip:tiles")), PLACES);
    json_t *box = json_array_get(
        json_object_get(json_object_get(json_object_get(one, "extent"), "spatial"), "bbox"), 0);
    assert_true(json_number_value(json_array_get(box, 0)) <= -10);
    json_t *queryables = get(*state, "/collections/s1/queryables");
    json_t *properties = json_object_get(queryables, "properties");
    assert_non_null(json_object_get(properties, "datetime"));
    assert_string_equal(text(json_object_get(properties, "orbit"), "type"), "string");
    assert_string_equal(text(json_object_get(properties, "eo:cloud_cover"), "type"), "number");
    json_decref(queryables);
    json_decref(one);
    json_decref(conformance);
    json_decref(all);
    json_decref(landing);
}

/* The aggregation of a name in an answer. */
static json_t *aggregation_of(const json_t *answer, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(answer, "aggregations"), i,
                       one) if (!strcmp(text(one, "name"), name)) return one;
    return NULL;
}

static json_int_t matched(server *s, const char *url)
{
    json_t *page = get(s, url);
    const json_int_t n = json_integer_value(json_object_get(page, "numberMatched"));
    json_decref(page);
    return n;
}

/* Each bucket has as many items as a search that asks for it. */
static void assert_buckets(server *s, const json_t *aggregation, const char *filters,
                           const char *format)
{
    size_t i;
    json_t *bucket;
    assert_true(json_array_size(json_object_get(aggregation, "buckets")) > 1);
    json_array_foreach(json_object_get(aggregation, "buckets"), i, bucket)
    {
        char search[400], part[200];
        if (strpbrk(text(bucket, "key"), "<\"")) continue; /* what hostile tiles are called */
        snprintf(part, sizeof part, format, text(bucket, "key"));
        snprintf(search, sizeof search, "/search?limit=1&%s%s", part, filters);
        assert_int_equal(json_integer_value(json_object_get(bucket, "frequency")),
                         matched(s, search));
    }
}

static void test_counts(void **state)
{
    static const char all[] = "total_count,datetime_min,datetime_max,datetime_frequency,"
                              "collection_frequency,label_frequency";
    static const char *const filters[] = {"", "&bbox=-9,40,-3,42", "&ids=p3,p7,p8"};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        char url[400], search[400];
        snprintf(url, sizeof url, "/aggregate?aggregations=%s%s", all, filters[i]);
        snprintf(search, sizeof search, "/search?limit=1%s", filters[i]);
        json_t *answer = get(*state, url);
        assert_string_equal(text(answer, "type"), "AggregationCollection");
        assert_int_equal(json_array_size(json_object_get(answer, "aggregations")), 6);
        json_t *total = aggregation_of(answer, "total_count");
        assert_int_equal(json_integer_value(json_object_get(total, "value")),
                         matched(*state, search));
        assert_buckets(*state, aggregation_of(answer, "collection_frequency"), filters[i],
                       "collections=%s");
        assert_buckets(*state, aggregation_of(answer, "label_frequency"), filters[i],
                       "filter=A_CONTAINS(labels,('%s'))");
        json_t *days = aggregation_of(answer, "datetime_frequency");
        assert_string_equal(text(days, "data_type"), "interval_day");
        assert_int_equal(json_integer_value(json_object_get(days, "overflow")), i == 0);
        assert_buckets(*state, days, filters[i], "datetime=%.10s");
        json_decref(answer);
    }
    json_t *post =
        ask(*state, 200, "POST", "/aggregate",
            "{\"aggregations\":[\"datetime_max\",\"total_count\"],\"collections\":[\"s2\"]}");
    json_t *one = get(*state, "/collections/s2/aggregate?aggregations=datetime_max,total_count");
    assert_true(
        json_equal(json_object_get(post, "aggregations"), json_object_get(one, "aggregations")));
    json_t *none = get(*state, "/aggregate"), *names = get(*state, "/aggregations");
    assert_int_equal(json_array_size(json_object_get(none, "aggregations")), 0);
    assert_int_equal(json_array_size(json_object_get(names, "aggregations")), 6);
    json_t *empty = get(*state, "/aggregate?aggregations=datetime_min&datetime=1999");
    assert_true(json_is_null(json_object_get(aggregation_of(empty, "datetime_min"), "value")));
    json_t *unknown = ask(*state, 400, "GET", "/aggregate?aggregations=clouds", NULL);
    assert_non_null(strstr(text(unknown, "description"), "there is no 'clouds'"));
    json_t *similar = ask(*state, 400, "GET", "/aggregate?similar_to=s1/p1", NULL);
    json_t *nowhere = ask(*state, 404, "GET", "/collections/s9/aggregate", NULL);
    json_decref(post), json_decref(one), json_decref(none), json_decref(names);
    json_decref(empty), json_decref(unknown), json_decref(similar), json_decref(nowhere);
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range;
        int status;
        size_t first, length; /* 0: all */
    } cases[] = {
        {"bytes=0-3", 206, 0, 4},   {"bytes=5-5", 206, 5, 1},
        {"bytes=-2", 206, 8, 2},    {"bytes=7-", 206, 7, 3},
        {"bytes=4-400", 206, 4, 6}, {"bytes=-99", 206, 0, 10},
        {"bytes=10-", 416, 0, 0},   {"bytes=-0", 416, 0, 0},
        {"bytes=3-2", 200, 0, 10},  {"bytes=0-1,4-5", 200, 0, 10},
        {"lines=0-1", 200, 0, 10},  {"bytes=", 200, 0, 10},
        {"bytes=x-1", 200, 0, 10},  {"bytes=99999999999999999999-", 200, 0, 10},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_response r = {0};
        dip_response_bytes(&r, 200, "text/plain", (uint8_t *)dip_strdup("0123456789"), 10);
        dip_response_header(&r, "Accept-Ranges", "bytes");
        dip_response_range(&r, cases[i].range);
        if (r.status != cases[i].status) fail_msg("%s: %d", cases[i].range, r.status);
        if (r.status != 416) {
            assert_int_equal(r.length, cases[i].length);
            assert_memory_equal(r.owned, &"0123456789"[cases[i].first], r.length);
        }
        dip_response_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_meet_every_item_once),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_item),
        cmocka_unit_test(test_hostile_names_stay_text),
        cmocka_unit_test(test_landing_and_collections),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
