/* Acquisition times: what is taken, what it means, what is refused. */
#include "tests/core/support.h"

#include "core/acquired.h"

typedef bool parser(const char *text, int64_t *seconds);

typedef struct sample {
    const char *text;
    int64_t seconds;
} sample;

static void check_taken(parser *parse, const sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t seconds = -1;
        if (!parse(samples[i].text, &seconds)) fail_msg("'%s' is refused", samples[i].text);
        assert_int_equal(seconds, samples[i].seconds);
    }
}

static void check_refused(parser *parse, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t seconds = 4711;
        if (parse(texts[i], &seconds)) fail_msg("'%s' is taken", texts[i]);
        assert_int_equal(seconds, 4711);
    }
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void test_iso(void **state)
{
    (void)state;
    static const sample taken[] = {
        {"1970-01-01", 0},
        {"1970-01-01T00:00:01Z", 1},
        {"1969-12-31T23:59:59Z", -1},
        {"2000-02-29", 951782400},
        {"2017-06-13T10:10:31", 1497348631},
        {"2017-06-13 10:10:31", 1497348631},
        {"2017-06-13T10:10:31.027Z", 1497348631},
        {"2017-06-13T12:10:31+02:00", 1497348631},
        {"2017-06-13T12:10:31+0200", 1497348631},
        {"2017-06-13T08:10:31-02", 1497348631},
        {"2017-06-13T10:10", 1497348600},
        {"2020-12-04", 1607040000},
        {"2400-02-29", 13574563200},
    };
    check_taken(dip_acquired_parse, taken, COUNT(taken));
}

static void test_iso_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "2017",
        "2017-13-01",
        "2017-02-29",
        "1900-02-29",
        "2017-00-10",
        "2017-01-00",
        "2017-1-1",
        "2017-06-13T",
        "2017-06-13T25:00:00",
        "2017-06-13T10:60:00",
        "2017-06-13x",
        "2017-06-13T10:10:31+25:00",
        "2017-06-13T10:10:31Zx",
        "2017-06-13T10:10:31.",
        "yesterday",
        "0000-01-01",
    };
    check_refused(dip_acquired_parse, refused, COUNT(refused));
}

static void test_tiff(void **state)
{
    (void)state;
    static const sample taken[] = {{"2017:06:13 10:10:31", 1497348631}};
    static const char *const refused[] = {"2017-06-13 10:10:31", "2017:06:13",
                                          "    :  :     :  :  "};
    check_taken(dip_acquired_parse_tiff, taken, COUNT(taken));
    check_refused(dip_acquired_parse_tiff, refused, COUNT(refused));
}

/* Names of patches: the hour may lack its zero, seconds may pass 59, and more text follows. */
static void test_compact(void **state)
{
    (void)state;
    static const sample taken[] = {
        {"20170613T101031_87_48", 1497348631},
        {"20170924T93020_69_24", 1506245420},
        {"20180204T94161", 1517737321},
    };
    static const char *const refused[] = {"20170613", "20170613T1010", "20170613T1010311",
                                          "20171313T101031", "20170613T251031"};
    check_taken(dip_acquired_parse_compact, taken, COUNT(taken));
    check_refused(dip_acquired_parse_compact, refused, COUNT(refused));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iso),
        cmocka_unit_test(test_iso_refused),
        cmocka_unit_test(test_tiff),
        cmocka_unit_test(test_compact),
    };
    return cmocka_run_group_tests_name("acquired", tests, NULL, NULL);
}
