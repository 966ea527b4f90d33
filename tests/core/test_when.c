/* Times as people write them. */
#include "core/when.h"

#include <diptych/tile.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_formats(void **state)
{
    char text[DIP_WHEN_CAPACITY];
    (void)state;
    dip_when_format(1604757161, text, sizeof text);
    assert_string_equal(text, "2020-11-07T13:52:41Z");
    dip_when_format_short(1604757161, text, sizeof text);
    assert_string_equal(text, "2020-11-07T13:52:41Z");
    dip_when_format_short(1604707200, text, sizeof text);
    assert_string_equal(text, "2020-11-07");
    dip_when_format(-1, text, sizeof text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    dip_when_format(DIP_NO_TIME, text, sizeof text);
    assert_string_equal(text, "");
}

static void test_intervals(void **state)
{
    static const struct {
        const char *text, *from, *to; /* "" = open */
    } cases[] = {
        {"2020-11-07", "2020-11-07T00:00:00Z", "2020-11-07T23:59:59Z"},
        {"2020-11-07T13:52:41Z", "2020-11-07T13:52:41Z", "2020-11-07T13:52:41Z"},
        {"2020-02", "2020-02-01T00:00:00Z", "2020-02-29T23:59:59Z"},
        {"2020", "2020-01-01T00:00:00Z", "2020-12-31T23:59:59Z"},
        {"2020-12", "2020-12-01T00:00:00Z", "2020-12-31T23:59:59Z"},
        {"2017-06/2017-08", "2017-06-01T00:00:00Z", "2017-08-31T23:59:59Z"},
        {"2017-06-13/..", "2017-06-13T00:00:00Z", ""},
        {"../2017-06-13", "", "2017-06-13T23:59:59Z"},
        {"/2017-06-13", "", "2017-06-13T23:59:59Z"},
        {"2017-06-13/", "2017-06-13T00:00:00Z", ""},
        {"../..", "", ""},
        {"2017-06-13T10:00:00+02:00/2018", "2017-06-13T08:00:00Z", "2018-12-31T23:59:59Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t from, to;
        char text[DIP_WHEN_CAPACITY];
        if (dip_when_interval(cases[i].text, &from, &to))
            fail_msg("'%s' is refused", cases[i].text);
        dip_when_format(from, text, sizeof text);
        assert_string_equal(text, cases[i].from);
        dip_when_format(to, text, sizeof text);
        assert_string_equal(text, cases[i].to);
    }
}

static void test_nonsense_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "..",
        "yesterday",
        "2020-13",
        "2020-00",
        "20-11",
        "2020-11-31x",
        "2020/2021/2022",
        "2020-11-07/yesterday",
        "2021/2020",
        "2020-x1",
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"
         "2020"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t from, to;
        if (dip_when_interval(cases[i], &from, &to) != DIP_EINVAL)
            fail_msg("'%s' is taken", cases[i]);
        assert_non_null(strstr(dip_last_error(), "datetime '"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("when", tests, NULL, NULL);
}
