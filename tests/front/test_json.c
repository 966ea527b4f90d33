/* JSON as it is written. */
#define _GNU_SOURCE
#include "front/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text;
static size_t length;

static dip_json begin(void)
{
    dip_json j;
    dip_json_start(&j, open_memstream(&text, &length));
    return j;
}

static void assert_written(dip_json *j, const char *expected)
{
    fclose(j->out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_nesting_and_commas(void **state)
{
    (void)state;
    dip_json j = begin();
    dip_json_object(&j, NULL);
    dip_json_array(&j, "a");
    dip_json_end(&j);
    dip_json_array(&j, "b");
    dip_json_whole(&j, NULL, -1);
    dip_json_count(&j, NULL, UINT64_MAX);
    dip_json_object(&j, NULL);
    dip_json_end(&j);
    dip_json_end(&j);
    dip_json_flag(&j, "c", true);
    dip_json_null(&j, "d");
    dip_json_end(&j);
    assert_written(&j, "{\"a\":[],\"b\":[-1,18446744073709551615,{}],\"c\":true,\"d\":null}\n");
}

static void test_numbers(void **state)
{
    (void)state;
    dip_json j = begin();
    dip_json_array(&j, NULL);
    dip_json_real(&j, NULL, 1.23456, 3);
    dip_json_real(&j, NULL, -0.0, 1);
    dip_json_real(&j, NULL, NAN, 3);
    dip_json_real(&j, NULL, -INFINITY, 3);
    dip_json_end(&j);
    assert_written(&j, "[1.235,0.0,null,null]\n");
}

/* Made by hand, and like printf but in its last digit, where a double is no decimal fraction. */
static void test_reals_are_those_of_printf(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int decimals = (int)(random >> 60) % 12;
        double value = ((double)(random >> 11) / 9007199254740992.0 - 0.5) * (i % 3 == 0   ? 1e-3
                                                                              : i % 3 == 1 ? 360
                                                                                           : 1e17);
        dip_json j = begin();
        dip_json_array(&j, NULL);
        dip_json_real(&j, NULL, value, decimals);
        dip_json_end(&j);
        fclose(j.out);
        double written = strtod(text + 1, NULL), step = pow(10, -decimals);
        assert_true(fabs(written - value) <= step * 0.5000001 + fabs(value) * 1e-15);
        const char *point = strchr(text, '.');
        assert_int_equal(point ? strspn(point + 1, "0123456789") : 0, decimals);
        free(text);
    }
}

static void test_quoting(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\x01\x7f", "\"\\u000a\\u0001\\u007f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", "\"\xef\xbf\xbd\""},                                 /* no UTF-8 at all */
        {"\xc3", "\"\xef\xbf\xbd\""},                                 /* cut off */
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64];
        dip_json j = begin();
        dip_json_array(&j, NULL);
        dip_json_text(&j, NULL, cases[i].text);
        dip_json_end(&j);
        snprintf(expected, sizeof expected, "[%s]\n", cases[i].json);
        assert_written(&j, expected);
    }
}

static void test_lists(void **state)
{
    (void)state;
    dip_json j = begin();
    dip_json_object(&j, NULL);
    dip_json_list(&j, "none", "");
    dip_json_list(&j, "one", "a");
    dip_json_list(&j, "two", "a b|\"c\"");
    dip_json_end(&j);
    assert_written(&j, "{\"none\":[],\"one\":[\"a\"],\"two\":[\"a b\",\"\\\"c\\\"\"]}\n");
}

static void test_embedding_takes_json_only(void **state)
{
    (void)state;
    dip_json j = begin();
    dip_json_object(&j, NULL);
    dip_json_embed(&j, "good", " { \"z\" : 1, \"a\" : [ true ] } ");
    dip_json_embed(&j, "empty", "");
    dip_json_embed(&j, "broken", "{\"a\":");
    dip_json_embed(&j, "escape", "{}},\"x\":{");
    dip_json_end(&j);
    assert_written(&j, "{\"good\":{\"z\":1,\"a\":[true]}}\n");
}

static void test_a_line_a_value(void **state)
{
    (void)state;
    dip_json j = begin();
    j.line_depth = 2;
    dip_json_object(&j, NULL);
    dip_json_array(&j, "f");
    dip_json_whole(&j, NULL, 1);
    dip_json_whole(&j, NULL, 2);
    dip_json_end(&j);
    dip_json_end(&j);
    assert_written(&j, "{\"f\":[\n1,\n2]}\n");
}

/* Every ASCII byte at every place of a text is written as itself or escaped, wherever the text is taken eight bytes at a time. */
static void test_escapes_wherever_they_stand(void **state)
{
    (void)state;
    for (int c = 1; c < 0x80; c++)
        for (size_t at = 0; at < 19; at++) {
            char sent[] = "0123456789abcdefghi", escaped[8], expected[64];
            sent[at] = (char)c;
            if (c == '"' || c == '\\')
                snprintf(escaped, sizeof escaped, "\\%c", c);
            else
                snprintf(escaped, sizeof escaped, c < 0x20 || c == 0x7f ? "\\u%04x" : "%c", c);
            snprintf(expected, sizeof expected, "[\"%.*s%s%s\"]\n", (int)at, sent, escaped,
                     sent + at + 1);
            dip_json j = begin();
            dip_json_array(&j, NULL);
            dip_json_text(&j, NULL, sent);
            dip_json_end(&j);
            assert_written(&j, expected);
        }
}

static void test_texts_put_together_and_long_ones(void **state)
{
    (void)state;
    enum { LONG = 5 * DIP_JSON_ROOM };
    char *filling = malloc(LONG + 1), *expected = malloc(LONG + 64);
    memset(filling, 'a', LONG);
    filling[LONG] = '\0';
    snprintf(expected, LONG + 64, "{\"k\":\"<\\\"x\\\"/\u00e9>\",\"l\":\"%s\",\"m\":\"\"}\n",
             filling);
    dip_json j = begin();
    dip_json_object(&j, NULL);
    dip_json_print(&j, "k", "<%s/%s>", "\"x\"", "\u00e9");
    dip_json_text(&j, "l", filling);
    dip_json_print(&j, "m", "%s", "");
    dip_json_end(&j);
    assert_written(&j, expected);
    free(expected);
    free(filling);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting_and_commas),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_escapes_wherever_they_stand),
        cmocka_unit_test(test_texts_put_together_and_long_ones),
        cmocka_unit_test(test_reals_are_those_of_printf),
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_embedding_takes_json_only),
        cmocka_unit_test(test_a_line_a_value),
    };
    return cmocka_run_group_tests_name("front/json", tests, NULL, NULL);
}
