/* Log lines, progress, pixel types. */
#include "tests/core/support.h"

#include "core/log.h"
#include "core/progress.h"

#include <diptych/tile.h>

typedef struct caught {
    int count;
    dip_log_level level;
    char module[32], line[2048];
} caught;

static void catch_line(void *payload, dip_log_level level, const char *module, const char *line)
{
    caught *c = payload;
    c->count++;
    c->level = level;
    snprintf(c->module, sizeof c->module, "%s", module);
    snprintf(c->line, sizeof c->line, "%s", line);
}

static int reset(void **state)
{
    (void)state;
    dip_log_set_sink(NULL, NULL);
    dip_log_set_level(DIP_LOG_WARN);
    return 0;
}

static void test_lines_go_to_the_sink(void **state)
{
    caught c = {0};
    (void)state;
    dip_log_set_sink(catch_line, &c);
    dip_log(DIP_LOG_WARN, "storage", "map full bytes=%d", 42);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.level, DIP_LOG_WARN);
    assert_string_equal(c.module, "storage");
    assert_string_equal(c.line, "map full bytes=42");
}

static void test_levels(void **state)
{
    caught c = {0};
    (void)state;
    dip_log_set_sink(catch_line, &c);
    for (int level = DIP_LOG_ERR; level <= DIP_LOG_DEBUG; level++) {
        c.count = 0;
        dip_log_set_level((dip_log_level)level);
        for (int l = DIP_LOG_ERR; l <= DIP_LOG_DEBUG; l++) dip_log((dip_log_level)l, "m", "x");
        assert_int_equal(c.count, level + 1);
    }
}

static void test_a_long_line_is_cut(void **state)
{
    static char text[5000];
    caught c = {0};
    (void)state;
    memset(text, 'y', sizeof text - 1);
    dip_log_set_sink(catch_line, &c);
    dip_log(DIP_LOG_ERR, "m", "%s", text);
    assert_in_range(strlen(c.line), 200, 2000);
}

typedef struct ticks {
    uint64_t done, total, stop_at;
} ticks;

static int on_tick(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    ticks *t = payload;
    assert_string_equal(phase, "encode");
    t->done = done;
    t->total = total;
    return done >= t->stop_at;
}

static void test_progress_is_told_and_may_cancel(void **state)
{
    ticks t = {.stop_at = 3};
    dip_progress progress = {on_tick, &t}, deaf = {0};
    uint64_t i = 0;
    (void)state;
    while (!dip_progress_tick(&progress, "encode", i, 10)) i++;
    assert_int_equal(i, 3);
    assert_int_equal(t.done, 3);
    assert_int_equal(t.total, 10);
    assert_false(dip_progress_tick(&deaf, "encode", 10, 10));
    assert_false(dip_progress_tick(NULL, "encode", 10, 10));
}

static void test_pixel_types(void **state)
{
    static const struct {
        dip_dtype dtype;
        size_t size;
        const char *name;
    } cases[] = {
        {DIP_DTYPE_U8, sizeof(uint8_t), "uint8"},   {DIP_DTYPE_U16, sizeof(uint16_t), "uint16"},
        {DIP_DTYPE_I16, sizeof(int16_t), "int16"},  {DIP_DTYPE_U32, sizeof(uint32_t), "uint32"},
        {DIP_DTYPE_I32, sizeof(int32_t), "int32"},  {DIP_DTYPE_F32, sizeof(float), "float32"},
        {DIP_DTYPE_F64, sizeof(double), "float64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(dip_dtype_size(cases[i].dtype), cases[i].size);
        assert_string_equal(dip_dtype_name(cases[i].dtype), cases[i].name);
    }
    for (int unknown = -1; unknown < 12; unknown += unknown < 0 ? 1 : 8) {
        assert_int_equal(dip_dtype_size((dip_dtype)unknown), 0);
        assert_null(dip_dtype_name((dip_dtype)unknown));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lines_go_to_the_sink, reset),
        cmocka_unit_test_teardown(test_levels, reset),
        cmocka_unit_test_teardown(test_a_long_line_is_cut, reset),
        cmocka_unit_test(test_progress_is_told_and_may_cancel),
        cmocka_unit_test(test_pixel_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
