/*
 * Searches by similarity, tiles that are sent, and saved queries, through their handlers: items in the order of their scores,
 * and a clear line for whatever cannot be.
 */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/raster.h"
#include "server/ask.h"
#include "server/encode.h"
#include "server/saved.h"
#include "server/similar.h"

#include <time.h>
#include <unistd.h>

enum { PLACES = 60 };

typedef struct served {
    fixture f;
    dip_service *service;
} served;

static void open_served(served *s, bool index)
{
    dip_service_options options = {.watch_seconds = 0.005};
    support_open(&s->f, PLACES);
    support_encode(&s->f);
    if (index) support_index(&s->f, DIP_ENGINE_AUTO, false, NULL);
    options.archive = s->f.folder;
    assert_ok(dip_service_open(&s->service, &options));
}

static void close_served(served *s)
{
    dip_service_close(s->service);
    support_close(&s->f);
}

static dip_request post_request(const char *body)
{
    return (dip_request){.method = "POST",
                         .path = "/search",
                         .base = "http://host",
                         .query_string = "",
                         .content_type = "application/json",
                         .body = (const uint8_t *)body,
                         .body_length = strlen(body)};
}

/* The answer's body, until the next one. */
static const char *search(served *s, const char *body, int *status)
{
    static char text[1 << 20];
    dip_request request = post_request(body);
    dip_response response = {0};
    dip_ask ask;
    assert_ok(dip_ask_parse(&ask, &request, DIP_ASK_LIMIT, 1000));
    const dip_view *view = dip_service_view(s->service);
    dip_serve_similar(s->service, view, &request, &ask, &response);
    dip_view_release(view);
    dip_ask_fini(&ask);
    *status = response.status;
    snprintf(text, sizeof text, "%.*s", (int)response.length,
             (const char *)(response.owned ? response.owned : response.lasting));
    dip_response_fini(&response);
    return text;
}

static void assert_answers(served *s, const char *body, int wanted, const char *words)
{
    int status;
    const char *text = search(s, body, &status);
    if (status != wanted || !strstr(text, words))
        fail_msg("%s: %d '%.600s', wanted %d '%s'", body, status, text, wanted, words);
}

static size_t count_words(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) n++;
    return n;
}

static void test_hits_are_items_in_order(void **state)
{
    served s;
    int status;
    (void)state;
    open_served(&s, true);
    const char *text = search(
        &s, "{\"collections\":[\"s2\"],\"similarity\":{\"item\":\"s1/p7\",\"k\":5}}", &status);
    assert_int_equal(status, 200);
    assert_int_equal(count_words(text, "\"sim:score\""), 5);
    assert_int_equal(count_words(text, "\"sim:rank\""), 5);
    assert_non_null(strstr(text, "\"numberReturned\":5"));
    assert_non_null(strstr(text, "\"numberMatched\":60"));
    assert_non_null(strstr(text, "\"sim:generation\":\"000001\""));
    assert_non_null(strstr(text, "\"sim:model\":\"m\""));
    uint64_t expected[5];
    support_expect(&s.f, S2, s.f.vectors[S1] + 7 * DIM, NULL, 5, expected);
    for (size_t i = 0; i < 5; i++) { /* ids of places are their position */
        size_t place = 0;
        char id[40];
        while (s.f.id[S2][place] != expected[i]) place++;
        snprintf(id, sizeof id, "\"id\":\"p%zu\"", place);
        const char *at = strstr(text, id);
        assert_non_null(at);
        text = at;
    }
    close_served(&s);
}

static void test_what_is_searched(void **state)
{
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"{\"similarity\":{\"item\":\"s1/p7\"}}", "\"numberMatched\":60"},
        {"{\"collections\":[\"s1\",\"s2\",\"s1\"],\"similarity\":{\"item\":\"s1/p7\"}}",
         "\"numberMatched\":120"},
        {"{\"ids\":[\"p3\",\"p4\",\"none\"],\"similarity\":{\"item\":\"s1/p7\"}}",
         "\"numberReturned\":2"},
        {"{\"ids\":[\"p3\",\"p4\"],\"filter\":\"scene = "
         "'odd'\",\"similarity\":{\"item\":\"s1/p7\"}}",
         "\"numberReturned\":1"},
        {"{\"ids\":[\"none\"],\"similarity\":{\"item\":\"s1/p7\"}}", "\"numberReturned\":0"},
        {"{\"filter\":\"A_CONTAINS(labels,('watr'))\",\"similarity\":{\"item\":\"s1/p7\"}}",
         "\"sim:warning\":\"no tile has labels 'watr'; did you mean 'water'?\""},
        {"{\"datetime\":\"2020-01-03\",\"similarity\":{\"item\":\"s1/p7\"}}",
         "\"numberReturned\":1"},
        {"{\"similarity\":{\"positive\":[\"s1/p7\",\"s1/p8\"],\"negative\":[\"s2/p1\"],\"k\":3}}",
         "\"numberReturned\":3"},
        {"{\"similarity\":{\"item\":\"s1/p7\",\"exact\":true,\"k\":2}}", "compared with all"},
    };
    served s;
    (void)state;
    open_served(&s, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answers(&s, cases[i].body, 200, cases[i].words);
    close_served(&s);
}

static void test_a_vector_of_any_length(void **state)
{
    served s;
    char body[4096];
    (void)state;
    open_served(&s, true);
    size_t used = (size_t)snprintf(body, sizeof body,
                                   "{\"collections\":[\"s1\"],\"similarity\":{"
                                   "\"k\":1,\"vector\":[");
    for (size_t i = 0; i < DIM; i++)
        used += (size_t)snprintf(body + used, sizeof body - used, "%s%.7f", i ? "," : "",
                                 (double)s.f.vectors[S1][9 * DIM + i] * 3);
    snprintf(body + used, sizeof body - used, "]}}");
    assert_answers(&s, body, 200, "\"id\":\"p9\"");
    assert_answers(&s, "{\"similarity\":{\"vector\":[1,2]}}", 400, "vector: it has 2 numbers");
    close_served(&s);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *words;
    } cases[] = {
        {"{\"similarity\":{\"item\":\"s1/none\"}}", 404, "none"},
        {"{\"similarity\":{\"item\":\"s9/p1\"}}", 404, "s9"},
        {"{\"similarity\":{\"item\":\"p1\"}}", 400, "collection/id"},
        {"{\"similarity\":{\"item\":\"/p1\"}}", 400, "collection/id"},
        {"{\"similarity\":{\"item\":\"queries/t-1\"}}", 404, "POST /encode"},
        {"{\"similarity\":{\"positive\":[\"s1/none\"]}}", 404, "none"},
        {"{\"collections\":[\"s9\"],\"similarity\":{\"item\":\"s1/p1\"}}", 400, "collections"},
        {"{\"filter\":\"a b\",\"similarity\":{\"item\":\"s1/p1\"}}", 400, "filter"},
    };
    served s;
    (void)state;
    open_served(&s, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answers(&s, cases[i].body, cases[i].status, cases[i].words);
    close_served(&s);
    open_served(&s, false);
    assert_answers(&s, "{\"similarity\":{\"item\":\"s1/p1\"}}", 409, "run diptych index");
    close_served(&s);
}

/* ---- tiles that are sent ---- */

static void sent_as_file(const served *s, int which, size_t place, char **bytes, size_t *length)
{
    dip_tile *tile;
    char *path = dip_sprintf("%s/sent.tif", s->f.folder);
    assert_ok(dip_archive_tile(s->f.archive, s->f.id[which][place], &tile));
    assert_ok(dip_raster_write(path, tile, dip_archive_modality(s->f.archive, (size_t)which)));
    assert_ok(dip_file_read(bytes, length, path, 1 << 20));
    unlink(path);
    dip_tile_free(tile);
    dip_free(path);
}

static int encode(served *s, const void *bytes, size_t length, const char *bands,
                  dip_response *response)
{
    dip_field field = {"bands", bands};
    dip_request request = post_request("");
    request.body = bytes;
    request.body_length = length;
    request.query = &field;
    request.query_count = bands != NULL;
    *response = (dip_response){0};
    dip_serve_encode(s->service, &request, response);
    return response->status;
}

static void test_a_sent_tile_finds_its_own(void **state)
{
    served s;
    char *bytes, id[DIP_KEEP_ID], body[200];
    size_t length;
    dip_response response;
    (void)state;
    open_served(&s, true);
    sent_as_file(&s, S1, 11, &bytes, &length);
    int status = encode(&s, bytes, length, NULL, &response);
    if (status != 200) fail_msg("%d %.300s", status, (const char *)response.owned);
    const char *at = strstr((const char *)response.owned, "\"t-");
    assert_non_null(at);
    snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    dip_response_fini(&response);
    snprintf(body, sizeof body,
             "{\"collections\":[\"s1\"],\"similarity\":{\"item\":\"queries/%s\",\"k\":1}}", id);
    assert_answers(&s, body, 200, "\"id\":\"p11\"");
    dip_request picture = {.method = "GET", .part = {id}};
    response = (dip_response){0};
    dip_serve_sent_thumbnail(s.service, &picture, &response);
    assert_int_equal(response.status, 200);
    assert_memory_equal(response.owned, "\x89PNG", 4);
    dip_response_fini(&response);
    picture.part[0] = "t-0";
    dip_serve_sent_thumbnail(s.service, &picture, &response);
    assert_int_equal(response.status, 404);
    dip_response_fini(&response);
    dip_free(bytes);
    close_served(&s);
}

static void test_what_cannot_be_encoded(void **state)
{
    static const char vrt[] = "<VRTDataset rasterXSize=\"1\" rasterYSize=\"1\"><VRTRasterBand "
                              "dataType=\"Byte\" band=\"1\"><SimpleSource><SourceFilename>"
                              "/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand>"
                              "</VRTDataset>";
    served s;
    char *bytes;
    size_t length;
    dip_response response;
    (void)state;
    open_served(&s, true);
    sent_as_file(&s, S2, 3, &bytes, &length);
    const struct {
        const void *bytes;
        size_t length;
        const char *bands;
        int status;
    } cases[] = {
        {"", 0, NULL, 415},
        {"/etc/passwd", 11, NULL, 415},
        {vrt, sizeof vrt - 1, NULL, 415},
        {"II*\0\0\0\0\0", 8, NULL, 400},
        {"MM\0*\xff\xff\xff\xff", 8, NULL, 400},
        {bytes, length / 2, NULL, 400},
        {bytes, 16, NULL, 400},
        {bytes, length, "B04,B03", 400},
        {bytes, length, "X1,X2,X3", 200}, /* the names in the file are not asked for */
    };
    for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++) {
        int status = encode(&s, cases[i].bytes, cases[i].length, cases[i].bands, &response);
        if (status != cases[i].status)
            fail_msg("%zu: %d %.300s", i, status, (const char *)response.owned);
        assert_null(strstr((const char *)response.owned, "root:"));
        dip_response_fini(&response);
    }
    assert_int_equal(encode(&s, bytes, length, "X1,X2,X3", &response), 422);
    assert_non_null(strstr((const char *)response.owned, "X1,X2,X3"));
    dip_response_fini(&response);
    dip_free(bytes);
    close_served(&s);
}

/* Every truncation and many damages of a file: some answer, and no crash. */
static void test_damaged_files(void **state)
{
    served s;
    char *bytes;
    size_t length;
    dip_response response;
    (void)state;
    open_served(&s, true);
    sent_as_file(&s, S1, 3, &bytes, &length);
    for (size_t i = 0; i < length; i++) {
        char before = bytes[i];
        bytes[i] = (char)(before ^ (i % 3 ? 0xff : 0x10));
        int status = encode(&s, bytes, length, NULL, &response);
        assert_true(status == 200 || (status >= 400 && status < 500));
        dip_response_fini(&response);
        bytes[i] = before;
    }
    dip_free(bytes);
    close_served(&s);
}

/* ---- saved queries ---- */

static int save(served *s, const char *body, char id[DIP_KEEP_ID], char *line, size_t capacity)
{
    dip_request request = post_request(body);
    dip_response response = {0};
    dip_serve_save_query(s->service, &request, &response);
    const char *text = (const char *)response.owned, *at = strstr(text, "\"q-");
    snprintf(line, capacity, "%.*s", (int)response.length, text);
    id[0] = '\0';
    if (response.status == 201 && at)
        snprintf(id, DIP_KEEP_ID, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    int status = response.status;
    dip_response_fini(&response);
    return status;
}

static void read_saved(served *s, const char *id, dip_saved_hits *hits)
{
    const dip_view *view = dip_service_view(s->service);
    assert_ok(dip_saved_read(s->service, view, id, hits));
    dip_view_release(view);
}

static void wait_for_view(served *s, uint64_t number)
{
    for (uint64_t live = 0; live < number;) {
        const dip_view *view = dip_service_view(s->service);
        live = view->number;
        dip_view_release(view);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

static void test_a_saved_query_lives_on(void **state)
{
    static const char body[] = "{\"collections\":[\"s2\"],\"similarity\":{\"item\":\"s1/p7\","
                               "\"k\":100}}";
    served s;
    char id[DIP_KEEP_ID], line[2000];
    dip_saved_hits hits;
    (void)state;
    open_served(&s, true);
    assert_int_equal(save(&s, body, id, line, sizeof line), 201);
    assert_int_equal(strlen(id), 2 + 32);
    read_saved(&s, id, &hits);
    assert_int_equal(hits.count, PLACES);
    for (size_t i = 1; i < hits.count; i++) assert_true(hits.scores[i] <= hits.scores[i - 1]);
    assert_true(hits.west == -10 && hits.first == FIRST_DAY);
    dip_saved_hits_fini(&hits);
    support_add(&s.f, PLACES, PLACES + 4, true);
    support_index(&s.f, DIP_ENGINE_AUTO, false, NULL);
    wait_for_view(&s, 2);
    for (size_t count = 0; count != PLACES + 4;) { /* tiles may come before the index: two views */
        read_saved(&s, id, &hits);
        count = hits.count;
        dip_saved_hits_fini(&hits);
    }
    char(*ids)[DIP_KEEP_ID];
    size_t count;
    assert_ok(dip_saved_list(s.service, &ids, &count));
    assert_int_equal(count, 1);
    assert_string_equal(ids[0], id);
    dip_free(ids);
    dip_request drop = {.method = "DELETE", .part = {id}};
    for (int again = 0; again < 2; again++) {
        dip_response response = {0};
        dip_serve_drop_query(s.service, &drop, &response);
        assert_int_equal(response.status, again ? 404 : 204);
        dip_response_fini(&response);
    }
    close_served(&s);
}

static void test_what_cannot_be_saved(void **state)
{
    served s;
    char id[DIP_KEEP_ID], line[2000];
    (void)state;
    open_served(&s, true);
    assert_int_equal(save(&s, "{}", id, line, sizeof line), 400);
    assert_non_null(strstr(line, "similarity"));
    assert_int_equal(save(&s, "{\"similarity\":{\"item\":\"s1/none\"}}", id, line, sizeof line),
                     404);
    close_served(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_are_items_in_order),
        cmocka_unit_test(test_what_is_searched),
        cmocka_unit_test(test_a_vector_of_any_length),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_a_sent_tile_finds_its_own),
        cmocka_unit_test(test_what_cannot_be_encoded),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_a_saved_query_lives_on),
        cmocka_unit_test(test_what_cannot_be_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
