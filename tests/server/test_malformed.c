/*
 * Thousands of broken requests, mutated from good ones by a seeded generator, some cut off in the middle: the server answers with
 * what HTTP has for it or hangs up, keeps answering good ones, and loses neither memory nor descriptors.
 */
#define _GNU_SOURCE
#include "core/rng.h"
#include "server/http.h"
#include "server/metrics.h"
#include "support_socket.h"

#include <dirent.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { REQUESTS = 1500 };
#else
enum { REQUESTS = 10000 };
#endif

enum { CAPACITY = 4096, SEED = 20, RING = 100 };

static const char *const good[] = {
    "GET /items/a?limit=10&bbox=1,2,3,4 HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n",
    "POST /items/b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 21\r\n"
    "\r\n{\"limit\":10,\"ids\":[]}",
    "POST /items/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
    "chunked\r\n\r\n4\r\n{\"a\"\r\n3;x=y\r\n"
    ":1}\r\n0\r\nX-After: 1\r\n\r\n",
    "HEAD /files/a/b/c%20d HTTP/1.1\r\nHost: [::1]:80\r\nIf-None-Match: \"a\"\r\n\r\n",
    "OPTIONS /items/a HTTP/1.1\r\nHost: a\r\nOrigin: https://b.org\r\n"
    "Access-Control-Request-Method: POST\r\n\r\n",
    "GET /items/%41 HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer x\r\n\r\n",
    "POST /items/d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
};
enum { GOOD = sizeof good / sizeof *good };

static void length_of_body(void *context, const dip_request *request, dip_response *response)
{
    (void)context;
    (void)dip_request_query(request, "limit");
    dip_response_fail(response, 200, "Length", "%zu %s", request->body_length, request->part[0]);
}

static const dip_route routes[] = {
    {"GET", "/items/{}", length_of_body, false},
    {"POST", "/items/{}", length_of_body, false},
    {"GET", "/files/{*}", length_of_body, true},
};

/* Words that parsers stumble over. */
static size_t pick_word(dip_rng *rng, char *out)
{
    static const char *const words[] = {"\r\n",
                                        "\n",
                                        "\r",
                                        "%",
                                        "%00",
                                        "%2F",
                                        "..",
                                        "//",
                                        "HTTP/9.9",
                                        "Content-Length: -1\r\n",
                                        "Content-Length: 99999999999999999999\r\n",
                                        "Content-Length: 5\r\n",
                                        "Transfer-Encoding: chunked\r\n",
                                        "Transfer-Encoding: gzip\r\n",
                                        "Host: b\r\n",
                                        " ",
                                        "\t",
                                        ":",
                                        "?",
                                        "&=&",
                                        "ffffffffffffffff\r\n",
                                        "Range: bytes=0-\r\n",
                                        "\xff\xfe",
                                        "Expect: x\r\n",
                                        "Connection: close\r\n",
                                        "Upgrade: h2c\r\n",
                                        "GET / HTTP/1.1\r\n\r\n"};
    const char *word = words[dip_rng_below(rng, sizeof words / sizeof *words)];
    strcpy(out, word);
    return strlen(word);
}

/* One change: a byte, a word, a cut, a piece twice. Returns the new length. */
static size_t mutate(dip_rng *rng, char *text, size_t n)
{
    char word[64];
    size_t at = dip_rng_below(rng, (uint32_t)n + 1), length;
    switch (dip_rng_below(rng, 5)) {
    case 0:
        if (at < n) text[at] = (char)dip_rng_below(rng, 256);
        return n;
    case 1:
        length = pick_word(rng, word);
        if (n + length > CAPACITY) return n;
        memmove(text + at + length, text + at, n - at);
        memcpy(text + at, word, length);
        return n + length;
    case 2:
        length = dip_rng_below(rng, (uint32_t)(n - at) + 1);
        memmove(text + at, text + at + length, n - at - length);
        return n - length;
    case 3:
        length = dip_rng_below(rng, (uint32_t)(n - at) + 1);
        if (n + length > CAPACITY) return n;
        memmove(text + at + length, text + at, n - at);
        return n + length;
    default: return at; /* cut off */
    }
}

/* Connections that are left open for a while, so that the server reads what they sent before it sees their end. */
static int ring[RING];
static size_t turn;

static void retire(int fd)
{
    static char answer[64 << 10];
    if (!fd) return;
    size_t length = socket_read(fd, answer, sizeof answer, 0);
    if (length >= 7) assert_memory_equal(answer, "HTTP/1.", 7);
    close(fd);
}

static void send_broken(const char *url, dip_rng *rng)
{
    static char text[CAPACITY + 64];
    const char *from = good[dip_rng_below(rng, GOOD)];
    size_t n = strlen(from);
    memcpy(text, from, n);
    for (uint32_t i = 1 + dip_rng_below(rng, 4); i && n; i--) n = mutate(rng, text, n);
    int fd = socket_open(url);
    assert_true(fd >= 0);
    socket_send(fd, text, n);
    if (!dip_rng_below(rng, 16)) { /* gone at once */
        close(fd);
        return;
    }
    if (!dip_rng_below(rng, 16)) shutdown(fd, SHUT_WR);
    retire(ring[turn]);
    ring[turn] = fd;
    turn = (turn + 1) % RING;
}

static void retire_all(void)
{
    for (size_t i = 0; i < RING; i++) {
        retire(ring[i]);
        ring[i] = 0;
    }
}

static void check_good(const char *url)
{
    char answer[4096];
    assert_int_equal(socket_ask(url, good[0], answer, sizeof answer), 200);
    assert_int_equal(socket_ask(url, good[1], answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "21 b"));
}

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) n++;
    closedir(folder);
    return n;
}

/* What is allocated, ours and the library's. Resident memory would tell of the most connections at a time, too. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The server may close a connection a moment after the client has. */
static void wait_until_idle(const dip_metrics *metrics)
{
    for (int i = 0; i < 2000 && dip_metrics_gauge(metrics, DIP_GAUGE_CONNECTIONS); i++)
        usleep(5000);
    assert_int_equal(dip_metrics_gauge(metrics, DIP_GAUGE_CONNECTIONS), 0);
    assert_int_equal(dip_metrics_gauge(metrics, DIP_GAUGE_IN_FLIGHT), 0);
}

static void test_malformed(void **state)
{
    (void)state;
    dip_http *http;
    dip_metrics *metrics;
    dip_rng rng;
    dip_http_options options = DIP_HTTP_OPTIONS_INIT;
    dip_rng_init(&rng, SEED, 0);
    assert_int_equal(dip_metrics_create(&metrics, routes, 3), DIP_OK);
    options.listen = "127.0.0.1:0";
    options.metrics = metrics;
    options.cors = "https://b.org";
    assert_int_equal(dip_http_start(&http, &options, routes, 3, NULL), DIP_OK);
    const char *url = dip_http_url(http);
    for (int i = 0; i < REQUESTS / 10; i++) send_broken(url, &rng); /* memory settles */
    retire_all();
    wait_until_idle(metrics);
    unsigned files = open_files();
    size_t before = allocated();
    for (int i = 0; i < REQUESTS; i++) {
        send_broken(url, &rng);
        if (i % 500 == 0) check_good(url);
    }
    check_good(url);
    retire_all();
    wait_until_idle(metrics);
    assert_int_equal(open_files(), files);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(allocated() < before + 65536);
#else
    (void)before; /* freed memory is kept aside */
#endif
    dip_http_stop(http, 1);
    dip_metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
