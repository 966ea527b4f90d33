/* Tables and figures for people. */
#define _GNU_SOURCE
#include "tools/table.h"

#include "core/format.h"
#include "front/geojson.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_columns_are_aligned_by_characters(void **state)
{
    dip_text_table *t;
    char *text;
    size_t length;
    (void)state;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(dip_text_table_create(&t, "lrl"), DIP_OK);
    static const char *const cells[] = {"a", "number", "end", "\xc3\xa9\xc3\xa9\xc3\xa9",
                                        "1", "x\ty"};
    for (int i = 0; i < 6; i++) dip_text_table_add(t, "%s", cells[i]);
    assert_int_equal(dip_text_table_print(t, out), DIP_OK);
    fclose(out);
    assert_string_equal(text, "a    number  end\n\xc3\xa9\xc3\xa9\xc3\xa9       1  x?y\n");
    free(text);
    dip_text_table_destroy(t);
}

static void test_rows_have_no_blanks_at_their_ends(void **state)
{
    dip_text_table *t;
    char *text;
    size_t length;
    (void)state;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(dip_text_table_create(&t, "lll"), DIP_OK);
    static const char *const cells[] = {"a", "b", "", "aa", "bb", "used", "aaa", "", ""};
    for (int i = 0; i < 9; i++) dip_text_table_add(t, "%s", cells[i]);
    assert_int_equal(dip_text_table_print(t, out), DIP_OK);
    fclose(out);
    assert_string_equal(text, "a    b\naa   bb  used\naaa\n");
    free(text);
    dip_text_table_destroy(t);
}

static void test_figures(void **state)
{
    static const struct {
        double value;
        const char *seconds, *count, *bytes;
    } cases[] = {
        {0, "0 s", "0", "0 B"},
        {59.4, "59 s", "59", "59 B"},
        {110, "1 m 50 s", "110", "110 B"},
        {999, "16 m 39 s", "999", "999 B"},
        {1000, "16 m 40 s", "1,000", "1.0 kB"},
        {7265, "2 h 01 m", "7,265", "7.3 kB"},
        {123456789, "34293 h 33 m", "123,456,789", "123 MB"},
    };
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_format_seconds(cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].seconds);
        dip_format_count((unsigned long long)cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].count);
        dip_format_bytes((unsigned long long)cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].bytes);
    }
}

static void assert_footprint(double west, double east, const char *expected)
{
    char *text;
    size_t length;
    dip_json j;
    dip_meta meta = {.west = west, .south = 1, .east = east, .north = 2};
    dip_json_start(&j, open_memstream(&text, &length));
    dip_json_object(&j, NULL);
    dip_geojson_footprint(&j, &meta);
    dip_json_end(&j);
    fclose(j.out);
    if (!strstr(text, expected)) fail_msg("%s\nwithout %s", text, expected);
    free(text);
}

static void test_footprints_are_cut_at_the_antimeridian(void **state)
{
    (void)state;
    assert_footprint(3, 4,
                     "\"type\":\"Polygon\",\"coordinates\":[[[3.0000000,1.0000000],[4.0000000,1");
    assert_footprint(179, -179, "\"bbox\":[179.0000000,1.0000000,-179.0000000,2.0000000]");
    assert_footprint(179, -179,
                     "\"type\":\"MultiPolygon\",\"coordinates\":[[[[179.0000000,1.0000000],[180.0");
    assert_footprint(179, -179, "[[[-180.0000000,1.0000000],[-179.0000000,1.0000000]");
    assert_footprint(NAN, 4, "{\"geometry\":null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned_by_characters),
        cmocka_unit_test(test_rows_have_no_blanks_at_their_ends),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_footprints_are_cut_at_the_antimeridian),
    };
    return cmocka_run_group_tests_name("tools/table", tests, NULL, NULL);
}
