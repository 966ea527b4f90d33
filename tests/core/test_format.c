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
    char text[40];
    dip_format_seconds(59.4, text, sizeof text);
    assert_string_equal(text, "59 s");
    dip_format_seconds(0.26, text, sizeof text);
    assert_string_equal(text, "0.3 s");
    dip_format_seconds(9.97, text, sizeof text);
    assert_string_equal(text, "10 s");
    dip_format_seconds(0, text, sizeof text);
    assert_string_equal(text, "0 s");
    dip_format_seconds(110, text, sizeof text);
    assert_string_equal(text, "1 m 50 s");
    dip_format_seconds(11100, text, sizeof text);
    assert_string_equal(text, "3 h 05 m");
    dip_format_bytes(999, text, sizeof text);
    assert_string_equal(text, "999 B");
    dip_format_bytes(999999, text, sizeof text);
    assert_string_equal(text, "1.0 MB");
    dip_format_bytes(1840000000, text, sizeof text);
    assert_string_equal(text, "1.8 GB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_their_nouns),
        cmocka_unit_test(times_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
