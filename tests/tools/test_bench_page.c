/* Groups of measurements and their page: who leads, figures at equal recall, hostile words, numbers that are none. */
#include "tools/bench_page.h"

#include "core/file.h"
#include "core/mem.h"
#include "tools/bench_groups.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 16 };

typedef struct table {
    dip_result rows[MOST];
    dip_results results;
} table;

static void add(table *t, const char *engine, const char *search, double recall, double qps)
{
    dip_result *r = &t->rows[t->results.count++];
    memset(r, 0, sizeof *r);
    snprintf(r->hash, sizeof r->hash, "%s", "1");
    snprintf(r->set, sizeof r->set, "%s", "set <1>");
    snprintf(r->engine, sizeof r->engine, "%s", engine);
    snprintf(r->search, sizeof r->search, "%s", search);
    r->n = 100;
    r->dim = 8;
    r->queries = 10;
    r->k = 10;
    r->batch = r->threads = r->search_threads = r->repeats = 1;
    r->recall = recall;
    r->qps = r->qps_low = r->qps_high = qps;
    r->cpu_us = r->p50_us = r->p95_us = r->p99_us = 1e6 / qps;
    r->build_s = r->build_cpu_s = 2;
    r->bytes = 6400;
    r->agreement = NAN;
    t->results.rows = t->rows;
}

static dip_bench_group *groups_of(table *t, size_t *count)
{
    dip_bench_group *groups;
    assert_int_equal(dip_bench_groups_make(&groups, count, &t->results, NULL), DIP_OK);
    return groups;
}

static void rows_are_grouped_by_what_may_be_compared(void **state)
{
    (void)state;
    static table t;
    size_t count;
    t = (table){.results = {.count = 0}};
    add(&t, "b", "x=1", 0.5, 100);
    add(&t, "a", "x=1", 0.9, 50);
    add(&t, "b", "x=1", 0.6, 90); /* measured again */
    add(&t, "a", "x=1", 0.9, 50);
    t.rows[3].k = 5;
    dip_bench_group *g = groups_of(&t, &count);
    assert_int_equal(count, 2);
    assert_int_equal(g[0].count, 2);
    assert_string_equal(g[0].rows[0]->engine, "a");
    assert_true(g[0].rows[1]->recall == 0.6);
    assert_int_equal(g[0].engine_count, 2);
    assert_int_equal(g[1].count, 1);
    dip_bench_groups_free(g, count);
    assert_int_equal(dip_bench_groups_make(&g, &count, &t.results, "2"), DIP_OK);
    assert_int_equal(count, 0);
    dip_bench_groups_free(g, count);
}

static void only_what_nothing_beats_leads(void **state)
{
    (void)state;
    static table t;
    size_t count;
    t = (table){.results = {.count = 0}};
    add(&t, "a", "x=1", 0.5, 100);
    add(&t, "a", "x=2", 0.6, 80);
    add(&t, "a", "x=3", 0.55, 70); /* beaten by x=2 */
    add(&t, "a", "x=4", 0.6, 80);  /* like x=2 */
    add(&t, "b", "x=1", 0.7, 90);  /* beats a's x=2 */
    dip_bench_group *g = groups_of(&t, &count);
    const bool own[] = {true, true, false, false, true}, any[] = {true, false, false, false, true};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(dip_bench_leads(g, &t.rows[i], dip_bench_speed, false), own[i]);
        assert_int_equal(dip_bench_leads(g, &t.rows[i], dip_bench_speed, true), any[i]);
    }
    dip_bench_groups_free(g, count);
}

static void merits_at_equal_recall_lie_between_measurements(void **state)
{
    (void)state;
    static table t;
    size_t count;
    t = (table){.results = {.count = 0}};
    add(&t, "a", "x=1", 0.8, 1000);
    add(&t, "a", "x=2", 0.9, 100);
    add(&t, "b", "x=1", 0.95, 10);
    dip_bench_group *g = groups_of(&t, &count);
    double between = dip_bench_merit_at(g, "a", 1, 0.85, dip_bench_speed);
    assert_true(fabs(between - sqrt(1000.0 * 100)) < 1e-6);
    assert_true(fabs(dip_bench_merit_at(g, "a", 1, 0.9, dip_bench_thrift) - 100) < 1e-6);
    assert_true(isnan(dip_bench_merit_at(g, "a", 1, 0.91, dip_bench_speed)));
    assert_true(dip_bench_merit_at(g, "b", 1, 0.5, dip_bench_speed) == 10);
    assert_true(isnan(dip_bench_merit_at(g, "b", 0, 0.5, dip_bench_speed)));
    dip_bench_groups_free(g, count);
}

/* ---- the page ---- */

static char *page_of(const table *t)
{
    static const char path[] = "bench-page-test.html";
    char *text;
    size_t length;
    assert_int_equal(dip_bench_page_write(&t->results, path), DIP_OK);
    assert_int_equal(dip_file_read(&text, &length, path, 1 << 24), DIP_OK);
    assert_int_equal(unlink(path), 0);
    return text;
}

static size_t times(const char *text, const char *word)
{
    size_t n = 0;
    for (; (text = strstr(text, word)); text += strlen(word)) n++;
    return n;
}

static void words_are_escaped_and_nothing_is_fetched(void **state)
{
    (void)state;
    static table t;
    t = (table){.results = {.count = 0}};
    add(&t, "<script>alert(1)</script>", "\"&'=1", 0.96, 100);
    char *text = page_of(&t);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "set <1>"));
    assert_non_null(strstr(text, "set &lt;1&gt;"));
    assert_non_null(strstr(text, "&quot;&amp;"));
    assert_null(strstr(text, "://"));
    assert_non_null(strstr(text, "</html>"));
    dip_free(text);
}

static void every_measurement_is_in_the_plots(void **state)
{
    (void)state;
    static table t;
    t = (table){.results = {.count = 0}};
    for (int i = 1; i <= 6; i++) {
        char search[16];
        snprintf(search, sizeof search, "x=%d", i);
        add(&t, i % 2 ? "a" : "b", search, 1 - pow(10, -0.4 * i), 1000.0 / i);
    }
    add(&t, "b", "x=all", 1, 1);
    char *text = page_of(&t);
    /* Speed, latency, processor time, size. */
    assert_int_equal(times(text, "class=\"chart plot\""), 4);
    assert_int_equal(times(text, "<title>"), 4 * 7 + 1);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    dip_free(text);
}

static void numbers_that_are_none_are_left_out(void **state)
{
    (void)state;
    static table t;
    t = (table){.results = {.count = 0}};
    add(&t, "a", "x=1", 0.5, 100);
    add(&t, "a", "x=2", NAN, NAN);
    add(&t, "b", "x=1", 0, 100);
    t.rows[0].cpu_us = 0;
    t.rows[0].bytes = 0;
    t.rows[2].p99_us = INFINITY;
    char *text = page_of(&t);
    assert_null(strstr(text, "\"nan"));
    assert_null(strstr(text, ">nan"));
    assert_null(strstr(text, "nan "));
    assert_null(strstr(text, "inf "));
    dip_free(text);
    t.results.count = 0;
    assert_int_equal(dip_bench_page_write(&t.results, "none.html"), DIP_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_grouped_by_what_may_be_compared),
        cmocka_unit_test(only_what_nothing_beats_leads),
        cmocka_unit_test(merits_at_equal_recall_lie_between_measurements),
        cmocka_unit_test(words_are_escaped_and_nothing_is_fetched),
        cmocka_unit_test(every_measurement_is_in_the_plots),
        cmocka_unit_test(numbers_that_are_none_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
