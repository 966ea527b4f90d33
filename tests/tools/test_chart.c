/* Charts: numbers and ticks as text, gaps, thinning, and values at the edge of what a double can be. */
#define _GNU_SOURCE
#include "tools/chart.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_short(void **state)
{
    static const struct {
        double value;
        int digits;
        const char *text;
    } cases[] = {{0, 4, "0"},        {0.008, 2, "0.0080"},        {4.5, 3, "4.50"},
                 {1266, 3, "1,266"}, {-1234567, 3, "-1,234,567"}, {99.96, 3, "100.0"},
                 {NAN, 3, "-"},      {1e300, 3, "1e+300"},        {1e-9, 2, "1e-09"},
                 {123.4, 2, "123"}};
    char text[48];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_chart_number(cases[i].value, cases[i].digits, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

/* The chart of one line; free with free(). */
static char *draw(const double *x, const double *y, size_t n, double low, double high)
{
    char *text = NULL;
    size_t length;
    const dip_series series = {"s<1>", "main", n, x, y};
    const dip_chart chart = {.title = "t&t",
                             .unit = "",
                             .x_name = "epoch",
                             .series = &series,
                             .series_count = 1,
                             .y_low = low,
                             .y_high = high};
    FILE *out = open_memstream(&text, &length);
    dip_chart_write(out, &chart);
    fclose(out);
    return text;
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    return n;
}

static void ticks_are_round(void **state)
{
    const double x[] = {1, 60}, y[] = {0.1, 0.93};
    char *text = draw(x, y, 2, 0, 1);
    static const char *const ticks[] = {">0.0<", ">0.2<", ">1.0<",  ">0<",
                                        ">10<",  ">60<",  ">epoch<"};
    (void)state;
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++)
        if (!strstr(text, ticks[i])) fail_msg("no tick %s in %s", ticks[i], text);
    assert_null(strstr(text, ">1.2<"));
    assert_non_null(strstr(text, "<title>s&lt;1&gt; 0.9300, epoch 60</title>"));
    assert_non_null(strstr(text, "aria-label=\"t&amp;t; s&lt;1&gt;: from 0.1000 to 0.9300 \""));
    free(text);
}

static void what_is_not_finite_leaves_a_gap(void **state)
{
    const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 2, NAN, INFINITY, 3};
    char *text = draw(x, y, 5, NAN, NAN);
    (void)state;
    assert_int_equal(count_of(text, "<circle"), 3);
    assert_non_null(strstr(text, "<path d=\"M"));
    assert_int_equal(count_of(text, "M"), 2); /* the pen is lifted once */
    assert_int_equal(count_of(text, ">nan<") + count_of(text, "\"nan"), 0);
    free(text);
}

static void a_long_line_is_thinned_to_means(void **state)
{
    enum { N = 10000 };
    static double x[N], y[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = i + 1;
        y[i] = i % 2 ? 1 : 3;
    }
    char *text = draw(x, y, N, NAN, NAN);
    assert_int_equal(count_of(text, "<circle"), 200);
    assert_int_equal(count_of(text, "<title>s&lt;1&gt; 2.000, "), 200);
    free(text);
}

static void odd_values_end_in_a_chart(void **state)
{
    static const double values[][2] = {{0, 0},          {5, 5},           {-3, -3},
                                       {1e300, -1e300}, {1e-300, 2e-300}, {NAN, NAN},
                                       {1e9, 1e9 + 1},  {1e15, 1e15 + 2}};
    const double x[] = {0, 1e-3};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *text = draw(x, values[i], 2, NAN, NAN);
        assert_non_null(strstr(text, "</svg></figure>"));
        assert_true(count_of(text, "grid-line") <= 13);
        assert_int_equal(
            count_of(text, "=\"nan") + count_of(text, "=\"-nan") + count_of(text, "inf\""), 0);
        free(text);
    }
    char *empty = draw(NULL, NULL, 0, NAN, NAN);
    assert_int_equal(count_of(empty, "<circle"), 0);
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(what_is_not_finite_leaves_a_gap),
        cmocka_unit_test(a_long_line_is_thinned_to_means),
        cmocka_unit_test(odd_values_end_in_a_chart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
