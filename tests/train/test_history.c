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
        assert_int_equal(dip_history_write(history, "step", step, fields, 2), DIP_OK);
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
    assert_string_equal(text, "{\"kind\":\"step\",\"step\":1,\"loss\":1.0,\"odd\":null}\n"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(continuing_drops_later_lines),
        cmocka_unit_test(beginning_anew_empties),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
