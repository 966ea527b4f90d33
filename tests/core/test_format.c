/* Numbers as people read them. */
#include "support.h"

#include "core/format.h"

static void counts_and_their_nouns(void **state)
{
    (void)state;
    static const struct {
        unsigned long long n;
        const char *want;
    } cases[] = {{0, "0 tiles"}, {1, "1 tile"}, {999, "999 tiles"}, {1234567, "1,234,567 tiles"}};
    char text[40], small[4];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_format_things(cases[i].n, "tile", text, sizeof text);
        assert_string_equal(text, cases[i].want);
    }
    dip_format_things(12, "tile", small, sizeof small); /* what does not fit is cut */
    assert_string_equal(small, "12 ");
}

static void times_and_bytes(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *want;
    } times[] = {{0, "0 s"},     {0.26, "0.3 s"},   {9.97, "10 s"},
                 {59.4, "59 s"}, {110, "1 m 50 s"}, {11100, "3 h 05 m"}};
    static const struct {
        unsigned long long bytes;
        const char *want;
    } sizes[] = {{999, "999 B"}, {999999, "1.0 MB"}, {1840000000, "1.8 GB"}};
    char text[40];
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        dip_format_seconds(times[i].seconds, text, sizeof text);
        assert_string_equal(text, times[i].want);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        dip_format_bytes(sizes[i].bytes, text, sizeof text);
        assert_string_equal(text, sizes[i].want);
    }
}

static void sizes_that_people_type(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t want;
    } cases[] = {{"1", 1},
                 {"500k", 500000},
                 {"500 KB", 500000},
                 {"8G", 8000000000},
                 {"1.5M", 1500000},
                 {"1e9", 1000000000},
                 {"", 0},
                 {"8X", 0},
                 {"-3", 0},
                 {"nan", 0},
                 {"8G8", 0},
                 {"0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(dip_bytes_parse(cases[i].text) == cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_their_nouns),
        cmocka_unit_test(times_and_bytes),
        cmocka_unit_test(sizes_that_people_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
