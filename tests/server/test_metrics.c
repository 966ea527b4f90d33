/* What /metrics says. */
#define _GNU_SOURCE
#include "server/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const dip_route routes[] = {
    {"GET", "/search", NULL, false},
    {"POST", "/search", NULL, false},
    {"GET", "/a\"b\\", NULL, false},
};

static char *text;
static size_t length;

static void write_text(dip_metrics *metrics)
{
    FILE *out = open_memstream(&text, &length);
    dip_metrics_write(metrics, out);
    fclose(out);
}

static void test_counts(void **state)
{
    (void)state;
    dip_metrics *m;
    const double stages[DIP_STAGE_COUNT] = {[DIP_STAGE_SEARCH] = 0.002};
    assert_int_equal(dip_metrics_create(&m, routes, 3), DIP_OK);
    dip_metrics_request(m, &routes[0], "GET", 200, 0.00009, stages);
    dip_metrics_request(m, &routes[1], "POST", 200, 0.3, stages);
    dip_metrics_request(m, &routes[1], "POST", 200, 99, stages);
    dip_metrics_request(m, &routes[1], "POST", 400, 0.0001, stages);
    dip_metrics_request(m, &routes[2], "GET", 200, 1, stages);
    dip_metrics_request(m, NULL, "BREW\"", 404, 1, stages);
    dip_metrics_refuse(m, DIP_REFUSED_QUEUE);
    dip_metrics_add(m, DIP_GAUGE_CONNECTIONS, 3);
    dip_metrics_add(m, DIP_GAUGE_CONNECTIONS, -1);
    write_text(m);
    static const char *const wanted[] = {
        "\ndip_http_requests_total{route=\"/search\",method=\"GET\",status=\"200\"} 1\n",
        "\ndip_http_requests_total{route=\"/search\",method=\"POST\",status=\"200\"} 2\n",
        "\ndip_http_requests_total{route=\"/search\",method=\"POST\",status=\"400\"} 1\n",
        "\ndip_http_requests_total{route=\"/a\\\"b\\\\\",method=\"GET\",status=\"200\"} 1\n",
        "\ndip_http_requests_total{route=\"none\",method=\"other\",status=\"404\"} 1\n",
        "\ndip_http_refused_total{reason=\"queue\"} 1\n",
        "\ndip_http_request_seconds_bucket{route=\"/search\",le=\"0.0001\"} 2\n",
        "\ndip_http_request_seconds_bucket{route=\"/search\",le=\"0.5\"} 3\n",
        "\ndip_http_request_seconds_bucket{route=\"/search\",le=\"10\"} 3\n",
        "\ndip_http_request_seconds_bucket{route=\"/search\",le=\"+Inf\"} 4\n",
        "\ndip_http_request_seconds_count{route=\"/search\"} 4\n",
        "\ndip_stage_seconds_count{stage=\"search\"} 6\n",
        "\ndip_stage_seconds_count{stage=\"queue\"} 0\n",
        "\ndip_http_connections 2\n",
        "\nprocess_open_fds ",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(text, wanted[i])) fail_msg("no %s in\n%s", wanted[i], text);
    const char *first = strstr(text, "_bucket{route=\"/search\",le=\"+Inf\"}");
    assert_null(strstr(first + 1, "_bucket{route=\"/search\",le=\"+Inf\"}")); /* once */
    free(text);
    dip_metrics_destroy(m);
}

static void test_nobody_counts(void **state)
{
    (void)state;
    const double stages[DIP_STAGE_COUNT] = {0};
    dip_metrics_request(NULL, NULL, "GET", 200, 1, stages);
    dip_metrics_refuse(NULL, DIP_REFUSED_SLOW);
    dip_metrics_add(NULL, DIP_GAUGE_WAITING, 1);
    assert_int_equal(dip_metrics_gauge(NULL, DIP_GAUGE_WAITING), 0);
    write_text(NULL);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_nobody_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
