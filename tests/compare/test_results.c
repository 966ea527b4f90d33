/* The results file: what is added comes back, torn ends are cut off, later lines stand for earlier ones. */
#define _GNU_SOURCE
#include "support.h"

#include "compare/results.h"
#include "core/file.h"
#include "core/mem.h"

#include <math.h>

static dip_result make(const char *engine, const char *search, double batch, double recall)
{
    dip_result r;
    memset(&r, 0, sizeof r);
    snprintf(r.hash, sizeof r.hash, "%s", "00ff");
    snprintf(r.set, sizeof r.set, "%s", "a \"set\"");
    snprintf(r.engine, sizeof r.engine, "%s", engine);
    snprintf(r.search, sizeof r.search, "%s", search);
    r.batch = batch;
    r.recall = recall;
    r.qps = 12345.678;
    r.agreement = NAN;
    r.bytes = 12884901888.0;
    return r;
}

static void what_is_added_comes_back(void **state)
{
    (void)state;
    dip_results results;
    const char *path = support_path("r.jsonl");
    const dip_result first = make("a", "x=1", 1, 0.5), second = make("a", "x=2", 1, 0.75);
    assert_ok(dip_results_open(&results, path));
    assert_int_equal(results.count, 0);
    assert_ok(dip_results_add(&results, &first));
    assert_ok(dip_results_add(&results, &second));
    dip_results_close(&results);
    assert_ok(dip_results_open(&results, path));
    assert_int_equal(results.count, 2);
    assert_string_equal(results.rows[0].set, "a \"set\"");
    assert_true(results.rows[1].recall == 0.75 && isnan(results.rows[1].agreement));
    assert_true(fabs(results.rows[1].qps - 12345.678) < 1e-3 &&
                results.rows[1].bytes == 12884901888.0);
    dip_results_close(&results);
}

static void the_same_measurement_is_found_by_what_it_is(void **state)
{
    (void)state;
    dip_results results;
    assert_ok(dip_results_open(&results, support_path("f.jsonl")));
    dip_result row = make("a", "x=1", 1, 0.5), like = make("a", "x=1", 1, 0);
    assert_null(dip_results_find(&results, &like));
    assert_ok(dip_results_add(&results, &row));
    row.recall = 0.6;
    assert_ok(dip_results_add(&results, &row));
    assert_true(dip_results_find(&results, &like)->recall == 0.6);
    like.batch = 0;
    assert_null(dip_results_find(&results, &like));
    like = make("b", "x=1", 1, 0);
    assert_null(dip_results_find(&results, &like));
    like = make("a", "x=2", 1, 0);
    assert_null(dip_results_find(&results, &like));
    dip_results_close(&results);
}

static void a_torn_end_is_cut_off(void **state)
{
    (void)state;
    dip_results results;
    const char *path = support_path("t.jsonl");
    const dip_result row = make("a", "x=1", 1, 0.5);
    char *text;
    size_t length;
    assert_ok(dip_results_open(&results, path));
    assert_ok(dip_results_add(&results, &row));
    assert_ok(dip_results_add(&results, &row));
    dip_results_close(&results);
    assert_ok(dip_file_read(&text, &length, path, 1 << 20));
    support_write("t.jsonl", text, length - 20);
    for (size_t again = 0; again < 2; again++) {
        assert_ok(dip_results_open(&results, path));
        assert_int_equal(results.count, 1 + again);
        assert_ok(dip_results_add(&results, &row));
        dip_results_close(&results);
    }
    dip_free(text);
}

static void lines_of_others_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"{}\n", "no json\n", "[1]\n", "{\"set\":1}\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        dip_results results;
        const char *path = support_write("o.jsonl", lines[i], strlen(lines[i]));
        assert_fails(dip_results_open(&results, path), DIP_EFORMAT, "line 1 is no measurement");
    }
}

static void memory_may_run_out(void **state)
{
    (void)state;
    const char *path = support_path("m.jsonl");
    const dip_result row = make("a", "x=1", 1, 0.5);
    dip_status status = DIP_ENOMEM;
    for (size_t n = 1; status && n < 100; n++) {
        dip_results results;
        dip_mem_fail_after(n);
        status = dip_results_open(&results, path);
        if (!status) {
            status = dip_results_add(&results, &row);
            dip_results_close(&results);
        }
        dip_mem_fail_after(0);
        assert_true(status == DIP_OK || status == DIP_ENOMEM);
    }
    assert_int_equal(status, DIP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_comes_back),
        cmocka_unit_test(the_same_measurement_is_found_by_what_it_is),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(lines_of_others_are_refused),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
