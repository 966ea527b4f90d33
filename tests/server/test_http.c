/* The server over sockets, with handlers of its own: dispatch, limits, tokens, CORS, overload, stop. */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/mem.h"
#include "server/http.h"
#include "server/metrics.h"
#include "support_socket.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_int held; /* requests that wait until `gate` opens */
static atomic_bool gate;

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* What came in, as text. */
static void echo(void *context, const dip_request *request, dip_response *response)
{
    char *text = dip_sprintf("%s|%s|%s|%s|%s|%zu|%s", request->method, request->base,
                             request->part[0] ? request->part[0] : "",
                             request->query_count ? request->query[0].name : "",
                             request->query_count ? request->query[0].value : "",
                             request->body_length, (const char *)request->body);
    (void)context;
    assert_int_equal(request->body[request->body_length], 0);
    dip_response_bytes(response, 200, "text/plain", (uint8_t *)text, strlen(text));
}

static void hold(void *context, const dip_request *request, dip_response *response)
{
    (void)context, (void)request;
    atomic_fetch_add(&held, 1);
    while (!atomic_load(&gate)) sleep_ms(1);
    dip_response_lasting(response, 200, "text/plain", (const uint8_t *)"held", 4);
}

static void large(void *context, const dip_request *request, dip_response *response)
{
    size_t length = 8 << 20;
    (void)context, (void)request;
    uint8_t *bytes = dip_calloc(1, length);
    dip_response_bytes(response, 200, "application/octet-stream", bytes, length);
}

static void tagged(void *context, const dip_request *request, dip_response *response)
{
    (void)context, (void)request;
    dip_response_lasting(response, 200, "text/plain", (const uint8_t *)"tagged", 6);
    dip_response_header(response, "ETag", "\"abc\"");
}

static void silent(void *context, const dip_request *request, dip_response *response)
{
    (void)context, (void)request, (void)response;
}

static const dip_route routes[] = {
    {"GET", "/open", echo, true},       {"GET", "/items/{}", echo, false},
    {"GET", "/files/{*}", echo, false}, {"POST", "/items/{}", echo, false},
    {"GET", "/hold", hold, false},      {"GET", "/large", large, false},
    {"GET", "/tagged", tagged, false},  {"GET", "/silent", silent, false},
};
enum { ROUTES = sizeof routes / sizeof *routes };

static dip_http *http;
static dip_metrics *metrics;
static char text[64 << 10];

static void start(dip_http_options options)
{
    atomic_store(&held, 0);
    atomic_store(&gate, false);
    options.listen = "127.0.0.1:0";
    options.metrics = metrics;
    assert_int_equal(dip_http_start(&http, &options, routes, ROUTES, NULL), DIP_OK);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(dip_metrics_create(&metrics, routes, ROUTES), DIP_OK);
    start((dip_http_options)DIP_HTTP_OPTIONS_INIT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&gate, true);
    dip_http_stop(http, 5);
    http = NULL;
    for (int i = 0; i < DIP_GAUGE_COUNT; i++)
        assert_int_equal(dip_metrics_gauge(metrics, (dip_gauge)i), 0);
    dip_metrics_destroy(metrics);
    return 0;
}

static void restart(dip_http_options options)
{
    dip_http_stop(http, 1);
    start(options);
}

static int ask(const char *request)
{
    return socket_ask(dip_http_url(http), request, text, sizeof text);
}

static const char *body(void)
{
    const char *end = strstr(text, "\r\n\r\n");
    return end ? end + 4 : "";
}

#define LINE(method, target) method " " target " HTTP/1.1\r\nHost: archive:81\r\n"

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
        const char *body; /* what its body is, or NULL */
    } cases[] = {
        {LINE("GET", "/open") "\r\n", 200, "GET|http://archive:81||||0|"},
        {LINE("GET", "/items/a") "\r\n", 200, "GET|http://archive:81|a|||0|"},
        {LINE("GET", "/items/a%2Fb%20c+d?x%3D=1+2%2B&y") "\r\n", 200,
         "GET|http://archive:81|a/b c+d|x=|1 2+|0|"},
        {LINE("GET", "/files/a/b.js") "\r\n", 200, "GET|http://archive:81|a/b.js|||0|"},
        {LINE("GET", "/files/a%2Fb.js") "\r\n", 404, NULL},
        {LINE("GET", "/files/../../etc/passwd") "\r\n", 404, NULL},
        {LINE("GET", "/files/%2e%2e/x") "\r\n", 404, NULL},
        {LINE("GET", "/files/..%2Fx") "\r\n", 404, NULL},
        {LINE("GET", "/files//x") "\r\n", 404, NULL},
        {LINE("GET", "/items/%00") "\r\n", 400, NULL},
        {LINE("GET", "/items/%4") "\r\n", 400, NULL},
        {LINE("GET", "/items/%zz") "\r\n", 400, NULL},
        {LINE("GET", "/items/a?x=%f") "\r\n", 400, NULL},
        {LINE("GET", "/items/a/") "\r\n", 200, "GET|http://archive:81|a|||0|"},
        {LINE("GET", "/nothing") "\r\n", 404, NULL},
        {LINE("DELETE", "/items/a") "\r\n", 405, NULL},
        {LINE("BREW", "/items/a") "\r\n", 405, NULL},
        {LINE("POST", "/items/a") "Content-Length: 5\r\n\r\nhello", 200,
         "POST|http://archive:81|a|||5|hello"},
        {LINE("POST",
              "/items/a") "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
         200, "POST|http://archive:81|a|||5|hello"},
        {LINE("GET", "/silent") "\r\n", 500, NULL},
        {"GET /open HTTP/1.1\r\nHost: a\"><script>\r\n\r\n", 400, NULL},
        {"GET /open HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, NULL},
        {"GET /open HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, "GET|http://[::1]:80||||0|"},
        {"NONSENSE\r\n\r\n", 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = ask(cases[i].request);
        if (cases[i].status || status >= 400) {
            if (status != cases[i].status && cases[i].status)
                print_message("%s\n", cases[i].request);
            if (cases[i].status) assert_int_equal(status, cases[i].status);
        }
        if (cases[i].body) assert_string_equal(body(), cases[i].body);
        if (status >= 400 && cases[i].status) assert_non_null(strstr(text, "\"code\":"));
    }
    assert_int_equal(ask("GET /open HTTP/1.0\r\n\r\n"), 200);
    assert_non_null(strstr(body(), dip_http_url(http)));
}

static void test_headers_of_answers(void **state)
{
    (void)state;
    assert_int_equal(ask(LINE("GET", "/items/a") "\r\n"), 200);
    assert_non_null(strstr(text, "X-Content-Type-Options: nosniff"));
    assert_non_null(strstr(text, "Server-Timing: queue;dur="));
    assert_non_null(strstr(text, "total;dur="));
    assert_non_null(strstr(text, "X-Request-Id: "));
    assert_null(strstr(text, "Access-Control"));
    ask(LINE("GET", "/items/a") "X-Request-Id: mine-7\r\n\r\n");
    assert_non_null(strstr(text, "X-Request-Id: mine-7\r\n"));
    ask(LINE("GET", "/items/a") "X-Request-Id: \"}{\r\n\r\n");
    assert_null(strstr(text, "}{"));
    assert_int_equal(ask(LINE("DELETE", "/items/a") "\r\n"), 405);
    assert_non_null(strstr(text, "Allow: GET, HEAD, POST, OPTIONS\r\n"));
    assert_int_equal(ask(LINE("OPTIONS", "/items/a") "\r\n"), 204);
    assert_non_null(strstr(text, "Allow: GET, HEAD, POST, OPTIONS\r\n"));
    assert_int_equal(ask(LINE("HEAD", "/items/a") "\r\n"), 200);
    assert_non_null(strstr(text, "Content-Length: 28\r\n"));
    assert_string_equal(body(), "");
    assert_int_equal(ask(LINE("GET", "/tagged") "If-None-Match: \"abc\"\r\n\r\n"), 304);
    assert_int_equal(ask(LINE("GET", "/tagged") "If-None-Match: \"abd\"\r\n\r\n"), 200);
}

static void test_keep_alive_and_pipelining(void **state)
{
    (void)state;
    static const char two[] = LINE("GET", "/items/one") "\r\n" LINE("HEAD", "/open") "\r\n";
    static const char third[] = LINE("POST", "/items/three") "Content-Length: 2\r\n\r\nok";
    int fd = socket_open(dip_http_url(http));
    assert_true(socket_send(fd, two, strlen(two)) && socket_send(fd, third, strlen(third)));
    assert_int_equal(socket_answer(fd, text, sizeof text, false), 200);
    assert_non_null(strstr(body(), "|one|"));
    assert_int_equal(socket_answer(fd, text, sizeof text, true), 200);
    assert_int_equal(socket_answer(fd, text, sizeof text, false), 200);
    assert_non_null(strstr(body(), "|three|||2|ok"));
    close(fd);
}

static char *long_request(const char *begin, size_t filling, const char *end)
{
    size_t n = strlen(begin);
    char *request = malloc(n + filling + strlen(end) + 1);
    memcpy(request, begin, n);
    memset(request + n, 'a', filling);
    strcpy(request + n + filling, end);
    return request;
}

static void test_limits(void **state)
{
    (void)state;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.largest_body = 1000;
    restart(options);
    assert_int_equal(ask(LINE("POST", "/items/a") "Content-Length: 1001\r\n\r\n"), 413);
    assert_int_equal(ask(LINE("POST", "/items/a") "Content-Length: 99999999999999999999\r\n\r\n"),
                     413);
    char *request = long_request(LINE("POST", "/items/a") "Content-Length: 1000\r\n\r\n", 1000, "");
    assert_int_equal(ask(request), 200);
    free(request);
    request = long_request(LINE("POST", "/items/a") "Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
                           1001, "\r\n0\r\n\r\n");
    assert_int_equal(ask(request), 413);
    free(request);
    request = long_request("GET /items/", 3000, " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(ask(request), 414);
    free(request);
    request = long_request(LINE("GET", "/open") "X-Long: ", 40000, "\r\n\r\n");
    assert_int_equal(ask(request), 431);
    assert_non_null(strstr(body(), "\"code\":\"HeadersTooLarge\""));
    free(request);
    request = long_request(LINE("GET", "/open") "X-Long: ", 400000, "\r\n\r\n");
    assert_int_equal(ask(request), 431); /* the library's own words */
    free(request);
    assert_int_equal(ask(LINE("GET", "/open") "\r\n"), 200);
}

static void test_tokens(void **state)
{
    (void)state;
    char path[] = "/tmp/diptych-tokens-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(dip_file_write(path, "# people\nsesame\n\n  other \n", 26), DIP_OK);
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.token_file = path;
    restart(options);
    assert_int_equal(ask(LINE("GET", "/open") "\r\n"), 200);
    assert_int_equal(ask(LINE("GET", "/items/a") "\r\n"), 401);
    assert_non_null(strstr(text, "WWW-Authenticate: Bearer"));
    static const char *const wrong[] = {"Bearer sesam", "Bearer sesame2", "Basic sesame",
                                        "Bearer ",      "sesame",         "Bearer # people"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char request[200];
        snprintf(request, sizeof request, LINE("GET", "/items/a") "Authorization: %s\r\n\r\n",
                 wrong[i]);
        assert_int_equal(ask(request), 401);
    }
    assert_int_equal(ask(LINE("GET", "/items/a") "Authorization: Bearer sesame\r\n\r\n"), 200);
    assert_int_equal(ask(LINE("GET", "/items/a") "Authorization: bearer other\r\n\r\n"), 200);
    assert_int_equal(dip_file_write(path, "new\n", 4), DIP_OK);
    assert_int_equal(dip_http_reload(http), DIP_OK);
    assert_int_equal(ask(LINE("GET", "/items/a") "Authorization: Bearer sesame\r\n\r\n"), 401);
    assert_int_equal(ask(LINE("GET", "/items/a") "Authorization: Bearer new\r\n\r\n"), 200);
    assert_int_equal(dip_file_write(path, "", 0), DIP_OK);
    assert_int_equal(dip_http_reload(http), DIP_EINVAL); /* and the old ones stay */
    assert_int_equal(ask(LINE("GET", "/items/a") "Authorization: Bearer new\r\n\r\n"), 200);
    unlink(path);
}

static void test_origins(void **state)
{
    (void)state;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.cors = "https://a.org, https://b.org";
    restart(options);
    ask(LINE("GET", "/items/a") "Origin: https://b.org\r\n\r\n");
    assert_non_null(strstr(text, "Access-Control-Allow-Origin: https://b.org\r\n"));
    assert_non_null(strstr(text, "Vary: Origin\r\n"));
    ask(LINE("GET", "/items/a") "Origin: https://b.or\r\n\r\n");
    assert_null(strstr(text, "Allow-Origin"));
    assert_int_equal(ask(LINE("OPTIONS", "/items/a") "Origin: https://a.org\r\n"
                                                     "Access-Control-Request-Method: POST\r\n\r\n"),
                     204);
    assert_non_null(strstr(text, "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"));
    assert_non_null(strstr(text, "Access-Control-Allow-Headers: Authorization, Content-Type"));
}

static void test_behind_a_proxy(void **state)
{
    (void)state;
    static const char request[] =
        LINE("GET", "/open") "X-Forwarded-Proto: https\r\n"
                             "X-Forwarded-Host: archive.org\r\nX-Forwarded-Prefix: /tiles/\r\n\r\n";
    assert_int_equal(ask(request), 200);
    assert_non_null(strstr(body(), "|http://archive:81|"));
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.behind_proxy = true;
    restart(options);
    assert_int_equal(ask(request), 200);
    assert_non_null(strstr(body(), "|https://archive.org/tiles|"));
    assert_int_equal(ask(LINE("GET", "/open") "X-Forwarded-Proto: javascript\r\n\r\n"), 400);
    assert_int_equal(ask(LINE("GET", "/open") "X-Forwarded-Prefix: //evil.org\r\n\r\n"), 400);
}

static void *ask_hold(void *argument)
{
    char own[4096];
    (void)argument;
    return (void *)(intptr_t)socket_ask(dip_http_url(http), LINE("GET", "/hold") "\r\n", own,
                                        sizeof own);
}

static void wait_until_held(int wanted, int waiting)
{
    for (int i = 0; i < 10000; i++) {
        if (atomic_load(&held) == wanted &&
            dip_metrics_gauge(metrics, DIP_GAUGE_WAITING) == waiting)
            return;
        sleep_ms(1);
    }
    fail_msg("%d are held, not %d", atomic_load(&held), wanted);
}

static void test_overload(void **state)
{
    (void)state;
    pthread_t threads[4];
    void *status;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.workers = 2;
    options.waiting = 2;
    restart(options);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, ask_hold, NULL);
        wait_until_held(i < 2 ? i + 1 : 2, i < 2 ? 0 : i - 1);
    }
    assert_int_equal(ask(LINE("GET", "/items/a") "\r\n"), 503);
    assert_non_null(strstr(text, "Retry-After: 1\r\n"));
    assert_int_equal(ask(LINE("GET", "/open") "\r\n"), 200); /* health is told all the same */
    atomic_store(&gate, true);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &status);
        assert_int_equal((intptr_t)status, 200);
    }
    assert_int_equal(ask(LINE("GET", "/items/a") "\r\n"), 200);
}

static void *open_gate(void *argument)
{
    (void)argument;
    while (!dip_metrics_gauge(metrics, DIP_GAUGE_STOPPING)) sleep_ms(1);
    sleep_ms(50);
    atomic_store(&gate, true);
    return NULL;
}

static void test_stop_finishes_what_is_in_flight(void **state)
{
    (void)state;
    pthread_t threads[6], opener;
    void *status;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.workers = 2;
    restart(options);
    for (int i = 0; i < 6; i++) pthread_create(&threads[i], NULL, ask_hold, NULL);
    wait_until_held(2, 4);
    pthread_create(&opener, NULL, open_gate, NULL);
    /* The threads hold the URL only until they are connected, and they are. */
    dip_http_stop(http, 20);
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], &status);
        assert_int_equal((intptr_t)status, 200);
    }
    pthread_join(opener, NULL);
    start(options);
}

static void test_stop_refuses_what_waits_too_long(void **state)
{
    (void)state;
    pthread_t threads[3], opener;
    void *status;
    int answered = 0, refused = 0;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.workers = 1;
    restart(options);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, ask_hold, NULL);
    wait_until_held(1, 2);
    pthread_create(&opener, NULL, open_gate, NULL);
    dip_http_stop(http, 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &status);
        answered += (intptr_t)status == 200;
        refused += (intptr_t)status == 503;
    }
    assert_int_equal(answered, 1);
    assert_int_equal(refused, 2);
    pthread_join(opener, NULL);
    start(options);
}

/* Bytes that trickle put off every idle timeout; their connection ends all the same. */
static void test_slow_senders_and_readers(void **state)
{
    (void)state;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.idle_seconds = 1;
    restart(options);
    int sender = socket_open(dip_http_url(http)), reader = socket_open(dip_http_url(http)),
        small = 4096;
    setsockopt(reader, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(socket_send(sender, "GET /open HTTP/1.1\r\nX-A: ", 25));
    socket_send(reader, LINE("GET", "/large") "\r\n", strlen(LINE("GET", "/large") "\r\n"));
    bool open = true;
    for (int i = 0; i < 80 && open; i++) {
        sleep_ms(100);
        open = socket_send(sender, "a", 1);
    }
    assert_false(open);
    close(sender);
    close(reader);
    assert_int_equal(ask(LINE("GET", "/open") "\r\n"), 200);
}

static void test_taken_port(void **state)
{
    (void)state;
    dip_http *other;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.listen = strrchr(dip_http_url(http), '/') + 1;
    assert_int_equal(dip_http_start(&other, &options, routes, ROUTES, NULL), DIP_EBUSY);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "by pid %d (", (int)getpid());
    assert_non_null(strstr(dip_last_error(), wanted));
    static const char *const wrong[] = {"",       ":",       "a:b",        "127.0.0.1:99999",
                                        "::1:80", "[::1:80", "1.2.3.4.5:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.listen = wrong[i];
        assert_int_equal(dip_http_start(&other, &options, routes, ROUTES, NULL), DIP_EINVAL);
    }
}

/* A line is written when its answer has gone, which may be after the client has it. */
static void wait_for_line(const char *path)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < 2000; i++) {
        struct stat file;
        if (stat(path, &file) == 0 && file.st_size > 0) return;
        nanosleep(&pause, NULL);
    }
    fail_msg("no line in %s", path);
}

static void test_access_log(void **state)
{
    (void)state;
    const char *scratch = getenv("TMPDIR");
    char *path = dip_sprintf("%s/diptych-access-XXXXXX", scratch ? scratch : "/tmp"), *bytes;
    size_t length;
    close(mkstemp(path));
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    options.access_log = path;
    restart(options);
    ask(LINE("GET", "/items/a%22b?q=1") "X-Request-Id: seven\r\n\r\n");
    wait_for_line(path);
    char *moved = dip_sprintf("%s.1", path);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(dip_http_reload(http), DIP_OK);
    ask(LINE("GET", "/nothing") "\r\n");
    restart((dip_http_options)DIP_HTTP_OPTIONS_INIT); /* the log is whole now */
    assert_int_equal(dip_file_read(&bytes, &length, moved, 1 << 20), DIP_OK);
    assert_non_null(strstr(bytes, "\"method\":\"GET\",\"path\":\"/items/a%22b\",\"query\":\"q=1\","
                                  "\"route\":\"/items/{}\",\"status\":200,\"received\":0,"));
    assert_non_null(strstr(bytes, "\"client\":\"127.0.0.1\""));
    assert_non_null(strstr(bytes, "\"stages\":{\"queue\":"));
    assert_non_null(strstr(bytes, "\"id\":\"seven\"}\n"));
    dip_free(bytes);
    assert_int_equal(dip_file_read(&bytes, &length, path, 1 << 20), DIP_OK);
    assert_non_null(strstr(bytes, "\"route\":\"\",\"status\":404,"));
    dip_free(bytes);
    unlink(path);
    unlink(moved);
    dip_free(moved);
    dip_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers_of_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keep_alive_and_pipelining, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_origins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_behind_a_proxy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_overload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_finishes_what_is_in_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_refuses_what_waits_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_senders_and_readers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taken_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_access_log, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
