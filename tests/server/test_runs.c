/* GET /runs and /runs/{}: the list, a history in parts while it grows and after it shrank, and names that lead out. */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "server/service.h"

#include <string.h>

static const dip_route routes[] = {
    {"GET", "/runs", dip_serve_runs, false},
    {"GET", "/runs/{}", dip_serve_run, false},
};

static void put(const fixture *f, const char *name, const char *text)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    char *folder = dip_path_folder(path);
    assert_ok(dip_folder_create(folder));
    assert_ok(dip_file_write(path, text, strlen(text)));
    dip_free(folder);
}

/* Asks, checks the status, and that each '|'-separated word stands in the answer. */
static void expect(dip_service *service, const char *path, const char *query, int status,
                   const char *words)
{
    dip_request request = {.method = "GET", .path = path, .query_string = query};
    dip_response response = {0};
    char *list = strdup(words);
    dip_http_dispatch(routes, 2, service, &request, &response);
    assert_int_equal(response.status, status);
    char *body = strndup((const char *)response.owned, response.length);
    for (char *rest, *word = strtok_r(list, "|", &rest); word; word = strtok_r(NULL, "|", &rest))
        if (!strstr(body, word)) fail_msg("no %s in %s", word, body);
    free(body);
    free(list);
    dip_response_fini(&response);
}

static void test_runs(void **state)
{
    fixture f;
    dip_service *service;
    (void)state;
    support_open(&f, 4);
    dip_service_options options = {.archive = f.folder};
    assert_ok(dip_service_open(&service, &options));
    expect(service, "/runs", "", 200, "\"runs\":[]");
    expect(service, "/runs/first", "", 404, "no training 'first'");

    put(&f, "runs/first/config.ini",
        "[training]\nepochs = 3\nname = a \"b\" <c>\n\n[run]\n; x = 1\nthreads = 2\n");
    put(&f, "runs/other/note", "no training");
    expect(service, "/runs", "", 200, "{\"runs\":[{\"id\":\"first\",\"finished\":false}]}");
    expect(
        service, "/runs/first", "", 200,
        "\"training\":{\"epochs\":\"3\",\"name\":\"a \\\"b\\\" <c>\"},\"run\":{\"threads\":\"2\"}|"
        "\"next\":0|\"lines\":[]");
    expect(service, "/runs/other", "", 404, "no training 'other'");

    /* Two whole lines of ten bytes, one that is no JSON, and one that is being written. */
    put(&f, "runs/first/metrics.jsonl", "{\"step\":1}\n{\"step\":2}\nbroken\n{\"ste");
    expect(service, "/runs/first", "", 200,
           "\"from\":0|\"next\":29|\"lines\":[{\"step\":1},{\"step\":2}]|\"finished\":false");
    expect(service, "/runs/first", "after=11", 200, "\"from\":11|\"lines\":[{\"step\":2}]");
    expect(service, "/runs/first", "after=29", 200, "\"from\":29|\"next\":29|\"lines\":[]");
    put(&f, "runs/first/metrics.jsonl", "{\"step\":1}\n");
    put(&f, "runs/first/finished.ini", "");
    expect(service, "/runs/first", "after=29", 200,
           "\"from\":0|\"next\":11|{\"step\":1}|\"finished\":true");

    expect(service, "/runs/first", "after=-1", 400, "after: '-1'");
    expect(service, "/runs/first", "after=x", 400, "after: 'x'");
    expect(service, "/runs/first", "after=99999999999999999999", 400, "after:");
    expect(service, "/runs/..%2Fstore", "", 404, "NotFound");
    expect(service, "/runs/..", "", 404, "NotFound");
    expect(service, "/runs/first%2F", "", 404, "NotFound");
    dip_service_close(service);
    support_close(&f);
}

static void test_long_history(void **state)
{
    fixture f;
    dip_service *service;
    const size_t lines = 200000;
    char *text = malloc(lines * 11 + 1);
    (void)state;
    support_open(&f, 4);
    dip_service_options options = {.archive = f.folder};
    assert_ok(dip_service_open(&service, &options));
    for (size_t i = 0; i < lines; i++) memcpy(text + i * 11, "{\"step\":7}\n", 12);
    put(&f, "runs/long/config.ini", "[training]\n");
    put(&f, "runs/long/metrics.jsonl", text);
    expect(service, "/runs/long", "", 200, "\"more\":true|\"next\":1048575|{\"step\":7}");
    expect(service, "/runs/long", "after=2199989", 200, "\"more\":false|\"lines\":[{\"step\":7}]");
    dip_service_close(service);
    support_close(&f);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_long_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
