/* GET /ui/: files of the page with the headers that keep it safe and quick, and nothing else. */
#include "server/embedded.h"
#include "server/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const dip_route routes[] = {
    {"GET", "/ui", dip_serve_page, true},
    {"GET", "/ui/{*}", dip_serve_page, true},
};

static dip_response get(const char *path)
{
    dip_request request = {.method = "GET", .path = path};
    dip_response response = {0};
    dip_http_dispatch(routes, 2, NULL, &request, &response);
    return response;
}

static const char *header(const dip_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcmp(response->headers[i].name, name) == 0) return response->headers[i].value;
    return "";
}

static void test_pages(void **state)
{
    const struct {
        const char *path, *file;
    } cases[] = {{"/ui/", "web/dist/index.html"},
                 {"/ui/index.html", "web/dist/index.html"},
                 {"/ui/train", "web/dist/train.html"},
                 {"/ui/icon.svg", "web/dist/icon.svg"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_response response = get(cases[i].path);
        const dip_embedded *file = dip_embedded_find(cases[i].file);
        assert_non_null(file);
        assert_int_equal(response.status, 200);
        assert_ptr_equal(response.lasting, file->bytes);
        assert_int_equal(response.length, (size_t)(file->end - file->bytes));
        assert_string_equal(header(&response, "Cache-Control"), "no-cache");
        assert_int_equal(strlen(header(&response, "ETag")), 18);
        assert_string_equal(header(&response, "X-Content-Type-Options"), "nosniff");
        dip_response_fini(&response);
    }
}

static void test_policy(void **state)
{
    (void)state;
    dip_response response = get("/ui/");
    const char *policy = header(&response, "Content-Security-Policy");
    assert_int_equal(strncmp(policy, "default-src 'self';", 19), 0);
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "*"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    dip_response_fini(&response);
}

static void test_hashed_names_are_kept(void **state)
{
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < dip_embedded_count; i++) {
        const char *name = dip_embedded_files[i].name;
        if (strncmp(name, "web/dist/assets/", 16) != 0) continue;
        char path[200];
        snprintf(path, sizeof path, "/ui/%s", name + 9);
        dip_response response = get(path);
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(header(&response, "Cache-Control"), "immutable"));
        assert_string_not_equal(response.content_type, "application/octet-stream");
        dip_response_fini(&response);
        found++;
    }
    assert_true(found >= 3);
}

static void test_slash(void **state)
{
    (void)state;
    dip_response response = get("/ui");
    assert_int_equal(response.status, 308);
    assert_string_equal(header(&response, "Location"), "ui/");
    dip_response_fini(&response);
}

static void test_nothing_else(void **state)
{
    const char *paths[] = {"/ui/train/",         "/ui/nothing", "/ui/../page.c",
                           "/ui/%2e%2e/page.c",  "/ui/assets",  "/ui/..%2f..%2fopenapi.json",
                           "/ui/assets/../x.js", "/ui/.",       "/ui/web/dist/index.html"};
    char longest[400] = "/ui/";
    (void)state;
    memset(longest + 4, 'a', sizeof longest - 5);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        dip_response response = get(paths[i]);
        assert_int_equal(response.status, 404);
        dip_response_fini(&response);
    }
    dip_response response = get(longest);
    assert_int_equal(response.status, 404);
    dip_response_fini(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_slash),        cmocka_unit_test(test_hashed_names_are_kept),
        cmocka_unit_test(test_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
