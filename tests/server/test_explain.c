/* GET /explain: JSON and picture of stored items, and what is refused. */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "server/encode.h"
#include "server/service.h"

#include <pthread.h>
#include <unistd.h>

enum { PLACES = 40, ASKERS = 4 };

typedef struct world {
    fixture f;
    dip_service *service;
} world;

static const dip_route routes[] = {
    {.method = "GET", .pattern = "/explain", .handler = dip_serve_explain}};

static void open_world(world *w, bool with_index)
{
    support_open(&w->f, PLACES);
    support_encode(&w->f);
    if (with_index) support_index(&w->f, DIP_ENGINE_AUTO, false, NULL);
    dip_service_options options = {.archive = w->f.folder};
    assert_ok(dip_service_open(&w->service, &options));
}

static void close_world(world *w)
{
    dip_service_close(w->service);
    support_close(&w->f);
}

static dip_response ask(world *w, const char *query)
{
    dip_response response = {0};
    dip_request request = {.method = "GET", .path = "/explain", .query_string = query};
    dip_http_dispatch(routes, 1, w->service, &request, &response);
    return response;
}

static char *text_of(const dip_response *response)
{
    return dip_strndup((const char *)response->owned, response->length);
}

static void test_json(void **state)
{
    static const char *const members[] = {
        "\"score\":",
        "\"percentile\":",
        "\"random_pairs\":{\"p50\":",
        "\"parts\":[{\"name\":\"",
        "\"grid\":{\"rows\":8,\"columns\":8,",
        "\"meaning\":",
        "\"a\":[[",
        "\"b\":[[",
        "\"best\":{\"name\":",
        "\"weakest\":",
        "\"labels\":{\"both\":[\"water\"],\"only_a\":[\"wood\"],\"only_b\":[]}",
        "\"distance_km\":",
        "\"days_apart\":2.000",
        "\"collection\":\"s2\",\"item\":\"p6\""};
    world w;
    (void)state;
    open_world(&w, true);
    dip_response r = ask(&w, "a=s1/p4&b=s2%2Fp6");
    char *text = text_of(&r);
    if (r.status != 200) fail_msg("%s", text);
    assert_string_equal(r.content_type, "application/json");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!strstr(text, members[i])) fail_msg("no %s in %s", members[i], text);
    dip_free(text);
    dip_response_fini(&r);
    close_world(&w);
}

static void test_picture(void **state)
{
    world w;
    (void)state;
    open_world(&w, true);
    dip_response r = ask(&w, "a=s1/p4&b=s2/p6&format=png");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.content_type, "image/png");
    assert_memory_equal(r.owned, "\x89PNG\r\n\x1a\n", 8);
    dip_response_fini(&r);
    close_world(&w);
}

/* What POST /encode keeps is explained as the stored tile that it is a copy of. */
static void test_what_was_sent(void **state)
{
    world w;
    char id[DIP_KEEP_ID], query[100];
    dip_tile *tile;
    (void)state;
    open_world(&w, true);
    assert_ok(dip_archive_tile(w.f.archive, w.f.id[S1][4], &tile));
    dip_upload *upload = dip_calloc(1, sizeof *upload);
    upload->source.tile = *tile;
    snprintf(upload->modality.name, sizeof upload->modality.name, "s1");
    assert_ok(dip_keep_add(dip_service_uploads(w.service), upload, 1, id));
    snprintf(query, sizeof query, "a=queries/%s&b=s1/p4", id);
    dip_response r = ask(&w, query);
    char *text = text_of(&r);
    if (r.status != 200 || !strstr(text, "\"score\":1.0000") || !strstr(text, "\"a\":[[1.000"))
        fail_msg("%d %s", r.status, text);
    dip_free(text);
    dip_response_fini(&r);
    close_world(&w);
    dip_tile_free(tile);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *query, *words;
        int status;
    } cases[] = {
        {"", "a: it is missing", 400},
        {"a=s1/p4", "b: it is missing", 400},
        {"a=p4&b=s2/p6", "names no item", 400},
        {"a=s1/&b=s2/p6", "names no item", 400},
        {"a=s1/p4&b=s2/nothing", "b: ", 404},
        {"a=s9/p4&b=s2/p6", "a: no collection 's9'", 404},
        {"a=s1/../../etc/passwd&b=s2/p6", "a: ", 404},
        {"a=a-name-that-is-longer-than-any-modality-can-be/p4&b=s2/p6", "no collection", 404},
        {"a=s1/p4&b=queries/q-unknown", "send it again by POST /encode", 404},
        {"a=s1/p4&b=s2/p6&format=gif", "neither json nor png", 400},
        {"a=s1/p4%00x&b=s2/p6", "", 400},
    };
    world w;
    (void)state;
    open_world(&w, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_response r = ask(&w, cases[i].query);
        char *text = text_of(&r);
        if (r.status != cases[i].status || !strstr(text, cases[i].words))
            fail_msg("%s: %d %s", cases[i].query, r.status, text);
        dip_free(text);
        dip_response_fini(&r);
    }
    close_world(&w);
}

static void assert_answer(world *w, const char *query, int status, const char *words)
{
    dip_response r = ask(w, query);
    char *text = text_of(&r);
    if (r.status != status || !strstr(text, words)) fail_msg("%s: %d %s", query, r.status, text);
    dip_free(text);
    dip_response_fini(&r);
}

static void test_without_an_index(void **state)
{
    world w;
    (void)state;
    open_world(&w, false);
    assert_answer(&w, "a=s1/p4&b=s2/p6", 200, "\"percentile\":null");
    assert_answer(&w, "a=s1/p4&b=s1/p4", 200, "\"score\":1.0000");
    close_world(&w);
}

static void test_without_a_model(void **state)
{
    world w;
    (void)state;
    support_open(&w.f, PLACES);
    char *models = dip_path_join(w.f.folder, "models");
    assert_ok(dip_file_remove(models));
    dip_free(models);
    dip_service_options options = {.archive = w.f.folder};
    assert_ok(dip_service_open(&w.service, &options));
    assert_answer(&w, "a=s1/p4&b=s2/p6", 409, "run diptych train");
    close_world(&w);
}

typedef struct asker {
    pthread_t thread;
    world *world;
    char *text;
} asker;

/* As a client does it: who is told to come again comes again. */
static void *ask_until_answered(void *argument)
{
    asker *a = argument;
    for (dip_response r = ask(a->world, "a=s1/p4&b=s2/p6");; r = ask(a->world, "a=s1/p4&b=s2/p6")) {
        bool busy = r.status == 503 && r.header_count && !strcmp(r.headers[0].name, "Retry-After");
        if (!busy) a->text = text_of(&r);
        dip_response_fini(&r);
        if (!busy) return NULL;
        usleep(1000);
    }
}

/* While one is made, another is not, but what is wrong with it is told. */
static void test_one_at_a_time(void **state)
{
    world w;
    (void)state;
    open_world(&w, true);
    assert_true(dip_service_explain_begin(w.service));
    assert_answer(&w, "a=s1/p4&b=s2/p6", 503, "ask again");
    assert_answer(&w, "a=s1/p4&b=s2/nothing", 404, "b: ");
    dip_service_explain_end(w.service);
    assert_answer(&w, "a=s1/p4&b=s2/p6", 200, "\"score\":");
    close_world(&w);
}

static void test_several_at_a_time(void **state)
{
    world w;
    asker askers[ASKERS] = {0};
    (void)state;
    open_world(&w, true);
    for (int i = 0; i < ASKERS; i++) {
        askers[i].world = &w;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_until_answered, &askers[i]),
                         0);
    }
    for (int i = 0; i < ASKERS; i++) pthread_join(askers[i].thread, NULL);
    for (int i = 1; i < ASKERS; i++) assert_string_equal(askers[i].text, askers[0].text);
    for (int i = 0; i < ASKERS; i++) dip_free(askers[i].text);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_what_was_sent),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_without_an_index),
        cmocka_unit_test(test_without_a_model),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_several_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
