/* Results and report: lines that were cut off, and the arithmetic of the tables against numbers worked out by hand. */
#include "support.h"

#include "bench/quality/report.h"
#include "bench/quality/task.h"
#include "core/file.h"
#include "core/mem.h"

#include <math.h>

static const char text[] = "[plan]\n"
                           "title = By hand\n"
                           "seeds = 1 2 3\n"
                           "measures = p@10\n"
                           "[data d]\n"
                           "source = x\n"
                           "[candidate base]\n"
                           "[candidate worse]\n"
                           "train = --mde 1\n"
                           "[final base]\n";

/* A line as the sweep writes it; one direction, p@10 as given. */
static char *make_line(const char *key, const dip_task *task, double value)
{
    char *line = dip_sprintf(
        "{\"key\":\"%s\",\"data\":\"d\",\"row\":\"%s\",\"form\":\"\",\"split\":\"%s\",\"seed\":%d,"
        "\"program\":\"1\",\"train_cpu_s\":%d,\"training\":{\"steps\":100,\"parameters\":5000},"
        "\"eval\":{\"dims\":4,\"bytes\":8,\"directions\":[{\"from\":\"s1\",\"to\":\"s2\","
        "\"queries\":9,"
        "\"calibration\":[{\"percentile\":90.0,\"share_above\":0.125},{\"percentile\":99.0,"
        "\"share_above\":0.0125},{\"percentile\":99.9,\"share_above\":null}],\"metrics\":[{"
        "\"metric\":"
        "\"p\",\"k\":10,\"chance\":0.25,\"exact\":{\"value\":%.3f}}]}]}}\n",
        key, task->row->name, dip_task_split(task), (int)task->seed, 10 * (int)task->seed, value);
    assert_non_null(line);
    return line;
}

static void add(dip_outcomes *outcomes, const char *path, const dip_task *task, double value)
{
    char key[20];
    assert_int_equal(dip_task_key(task, &task->row->forms[0], key), DIP_OK);
    char *line = make_line(key, task, value);
    assert_int_equal(dip_outcomes_add(outcomes, path, line), DIP_OK);
    dip_free(line);
}

/* base: 0.5, 0.6, 0.7; worse: each 0.1 less, but for 0.01 more or less. */
static void fill(const dip_plan *plan, dip_outcomes *outcomes, const char *path)
{
    static const double values[2][3] = {{0.5, 0.6, 0.7}, {0.4, 0.49, 0.61}};
    for (size_t row = 0; row < 2; row++)
        for (size_t i = 0; i < 3; i++) {
            const dip_task task = {plan, &plan->data[0], &plan->rows[row], {0, 0}, i + 1};
            add(outcomes, path, &task, values[row][i]);
        }
}

typedef struct fixture {
    dip_plan plan;
    dip_outcomes outcomes;
    const char *results;
} fixture;

/* The plan, and an empty file of results <name>.jsonl. */
static void begin(fixture *f, const char *name)
{
    f->results = support_path(name);
    assert_int_equal(dip_plan_read(&f->plan, support_file("plan.ini", text)), DIP_OK);
    assert_int_equal(dip_outcomes_read(&f->outcomes, f->results), DIP_OK);
}

static void end(fixture *f)
{
    dip_outcomes_fini(&f->outcomes);
    dip_plan_fini(&f->plan);
}

static void spreads_are_right(void **state)
{
    (void)state;
    const double values[] = {2, NAN, 4, 4, 4, 5, 5, 7, 9};
    dip_spread s = dip_spread_of(values, 9);
    assert_int_equal(s.n, 8);
    assert_true(fabs(s.mean - 5) < 1e-12);
    assert_true(fabs(s.sd - sqrt(32.0 / 7)) < 1e-12);
    s = dip_spread_of(values, 1);
    assert_true(s.mean == 2 && isnan(s.sd));
    s = dip_spread_of(values, 0);
    assert_true(s.n == 0 && isnan(s.mean));
}

static void signs_need_more_than_chance(void **state)
{
    (void)state;
    /* t = mean / (sd / sqrt 3); its 97.5 % point with 2 degrees of freedom is 4.303. */
    const dip_spread clear = {3, -0.1, 0.01}, chance = {3, 0.1, 0.05}, two = {2, 1, 0.001};
    const dip_spread above = {3, 0.1, 0.04}, many = {30, 0.01, 0.02};
    assert_int_equal(dip_spread_sign(&clear), -1);
    assert_int_equal(dip_spread_sign(&chance), 0); /* t = 3.46 */
    assert_int_equal(dip_spread_sign(&above), 1);  /* t = 4.33 */
    assert_int_equal(dip_spread_sign(&two), 0);
    assert_int_equal(dip_spread_sign(&many), 1); /* t = 2.74 */
}

static void tables_are_as_by_hand(void **state)
{
    (void)state;
    fixture f;
    begin(&f, "hand.jsonl");
    fill(&f.plan, &f.outcomes, f.results);
    assert_int_equal(dip_report_write(&f.plan, &f.outcomes, support_path("hand")), DIP_OK);
    char *markdown = support_read(support_path("hand.md"));
    char *json = support_read(support_path("hand.json"));
    assert_non_null(strstr(markdown, "| chance | | s1 → s2 | 0.250 |"));
    assert_non_null(strstr(markdown, "| base | 3 | s1 → s2 | 0.600 ± 0.100 | 4 | 8 | 5000 |"));
    assert_non_null(strstr(markdown, " 100 | 20 ± 10 |"));
    /* differences -0.10, -0.11, -0.09: mean -0.1, sd 0.01, t -17.3 */
    assert_non_null(strstr(markdown, "| worse | 3 | s1 → s2 | 0.500 ± 0.105 ▼ |"));
    assert_non_null(strstr(markdown, "| s1 → s2 | 0.1250 ± 0.0000 | 0.0125 ± 0.0000 | |"));
    assert_non_null(
        strstr(json, "\"less_first_row\":{\"runs\":3,\"mean\":-0.100000,\"sd\":0.010000}"));
    assert_null(strstr(markdown, "finals"));
    dip_free(markdown);
    dip_free(json);
    end(&f);
}

static void what_is_missing_is_told(void **state)
{
    (void)state;
    fixture f;
    begin(&f, "part.jsonl");
    const dip_task first = {&f.plan, &f.plan.data[0], &f.plan.rows[1], {0, 0}, 2};
    const dip_task last = {&f.plan, &f.plan.data[0], &f.plan.rows[2], {0, 0}, 1};
    add(&f.outcomes, f.results, &first, 0.5);
    add(&f.outcomes, f.results, &last, 0.7);
    add(&f.outcomes, f.results, &last, 0.8); /* read again: the last one counts */
    assert_int_equal(dip_report_write(&f.plan, &f.outcomes, support_path("part")), DIP_OK);
    char *markdown = support_read(support_path("part.md"));
    assert_non_null(strstr(markdown, "| worse | 1 of 3 | s1 → s2 | 0.500 |"));
    assert_non_null(strstr(markdown, "| base | 1 of 3 | s1 → s2 | 0.800 |"));
    assert_non_null(strstr(markdown, "read 2 times, for 1 different configurations"));
    dip_free(markdown);
    end(&f);
}

static void a_line_cut_off_is_dropped(void **state)
{
    (void)state;
    fixture f;
    begin(&f, "cut.jsonl");
    fill(&f.plan, &f.outcomes, f.results);
    dip_outcomes_fini(&f.outcomes);
    char *all = support_read(f.results);
    all[strlen(all) - 30] = '\0';
    support_file("cut.jsonl", all);
    dip_free(all);
    for (int round = 0; round < 2; round++) { /* the second reads a clean file */
        assert_int_equal(dip_outcomes_read(&f.outcomes, f.results), DIP_OK);
        assert_int_equal(f.outcomes.count, 5);
        dip_outcomes_fini(&f.outcomes);
    }
    support_file("cut.jsonl", "{\"key\":\"x\"}\n");
    assert_int_equal(dip_outcomes_read(&f.outcomes, f.results), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "line 1 is no outcome"));
    dip_plan_fini(&f.plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spreads_are_right),         cmocka_unit_test(signs_need_more_than_chance),
        cmocka_unit_test(tables_are_as_by_hand),     cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(a_line_cut_off_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
