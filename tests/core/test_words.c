/* Numbered strings. */
#include "core/words.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint32_t add(dip_words *words, const char *text)
{
    uint32_t number;
    assert_int_equal(dip_words_add(words, text, strlen(text), &number), DIP_OK);
    return number;
}

static void test_numbers_follow_first_appearance(void **state)
{
    dip_words words = {0};
    (void)state;
    assert_int_equal(add(&words, "water"), 0);
    assert_int_equal(add(&words, ""), 1);
    assert_int_equal(add(&words, "water"), 0);
    assert_int_equal(add(&words, "wat"), 2);
    assert_int_equal(add(&words, ""), 1);
    assert_int_equal(words.count, 3);
    assert_string_equal(words.texts[2], "wat");
    dip_words_fini(&words);
}

static void test_a_part_of_a_text_is_a_word(void **state)
{
    dip_words words = {0};
    uint32_t number;
    (void)state;
    assert_int_equal(dip_words_add(&words, "water|wood", 5, &number), DIP_OK);
    assert_int_equal(add(&words, "water"), number);
    dip_words_fini(&words);
}

static void test_numbers_survive_growth(void **state)
{
    enum { N = 5000 };
    dip_words words = {0};
    char text[16];
    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N; i++) {
            snprintf(text, sizeof text, "w%u", i);
            assert_int_equal(add(&words, text), i);
        }
    }
    assert_int_equal(words.count, N);
    dip_words_fini(&words);
}

static void test_a_failed_allocation_adds_nothing(void **state)
{
    dip_words words = {0};
    uint32_t number;
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        dip_mem_fail_after(n);
        assert_int_equal(dip_words_add(&words, "a", 1, &number), DIP_ENOMEM);
        dip_mem_fail_after(0);
        assert_int_equal(words.count, 0);
        dip_words_fini(&words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_follow_first_appearance),
        cmocka_unit_test(test_a_part_of_a_text_is_a_word),
        cmocka_unit_test(test_numbers_survive_growth),
        cmocka_unit_test(test_a_failed_allocation_adds_nothing),
    };
    return cmocka_run_group_tests_name("core/words", tests, NULL, NULL);
}
