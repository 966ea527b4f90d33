/* metrics.jsonl: lines are kept up to the step that a run continues from, and what was cut off goes. */
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "train/history.h"

#include <math.h>

static void write_lines(const char *path, uint64_t from, uint64_t until)
{
    dip_history *history = NULL;
    assert_int_equal(dip_history_open(&history, path, from), DIP_OK);
    for (uint64_t step = from + 1; step <= until; step++) {
        const dip_field fields[] = {{"loss", 1.0 / (double)step}, {"odd", NAN}};
        const dip_history_line line = {"step", step, NULL, 0, fields, 2};
        assert_int_equal(dip_history_write(history, &line), DIP_OK);
    }
    dip_history_close(history);
}

static void lines_are_json(void **state)
{
    (void)state;
    size_t length;
    const char *path = support_path("json.jsonl");
    write_lines(path, 0, 2);
    char *text = support_read(path, &length);
    assert_string_equal(text, "{\"kind\":\"step\",\"step\":1,\"loss\":1,\"odd\":null}\n"
                              "{\"kind\":\"step\",\"step\":2,\"loss\":0.5,\"odd\":null}\n");
    dip_free(text);
}

static void continuing_drops_later_lines(void **state)
{
    (void)state;
    size_t length, other;
    const char *path = support_path("continued.jsonl"), *whole = support_path("whole.jsonl");
    write_lines(path, 0, 9);
    FILE *cut = fopen(path, "a");
    assert_non_null(cut);
    fputs("{\"kind\":\"step\",\"step\":3,\"lo", cut);
    fclose(cut);
    write_lines(path, 5, 7);
    write_lines(whole, 0, 7);
    char *a = support_read(path, &length), *b = support_read(whole, &other);
    assert_string_equal(a, b);
    dip_free(a);
    dip_free(b);
}

static void beginning_anew_empties(void **state)
{
    (void)state;
    size_t length;
    const char *path = support_path("anew.jsonl");
    write_lines(path, 0, 3);
    write_lines(path, 0, 0);
    char *text = support_read(path, &length);
    assert_int_equal(length, 0);
    dip_free(text);
}

static dip_status take(void *payload, const dip_history_line *line)
{
    size_t *seen = payload;
    if (++*seen == 2) return dip_fail(DIP_ECANCEL, "enough");
    assert_string_equal(line->kind, "example");
    assert_int_equal(line->step, 7);
    assert_string_equal(dip_history_text(line, "tile"), "a \"b\"\n<c>");
    assert_string_equal(dip_history_text(line, "other"), "");
    assert_true(dip_history_value(line, "id") == 0x1p53 - 1);
    assert_true(dip_history_value(line, "score") == 0.25);
    assert_true(isnan(dip_history_value(line, "odd")) && isnan(dip_history_value(line, "other")));
    return DIP_OK;
}

/* Between the two lines stand some that are none; the failure of the second call comes out. */
static void lines_can_be_read_back(void **state)
{
    (void)state;
    const char *path = support_path("read.jsonl");
    const dip_mark marks[] = {{"tile", "a \"b\"\n<c>"}};
    const dip_field fields[] = {{"id", 0x1p53 - 1}, {"score", 0.25}, {"odd", NAN}};
    const dip_history_line line = {"example", 7, marks, 1, fields, 3};
    dip_history *history = NULL;
    size_t seen = 0;
    assert_int_equal(dip_history_open(&history, path, 0), DIP_OK);
    assert_int_equal(dip_history_write(history, &line), DIP_OK);
    FILE *more = fopen(path, "a");
    assert_non_null(more);
    fputs("\n[1]\n{\"kind\":1,\"step\":2}\nnonsense\n", more);
    fclose(more);
    assert_int_equal(dip_history_write(history, &line), DIP_OK);
    dip_history_close(history);
    assert_int_equal(dip_history_read(path, take, &seen), DIP_ECANCEL);
    assert_int_equal(seen, 2);
    assert_int_equal(dip_history_read(support_path("none.jsonl"), take, &seen), DIP_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(continuing_drops_later_lines),
        cmocka_unit_test(beginning_anew_empties),
        cmocka_unit_test(lines_can_be_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
