/* XXH3: known answers, so that files written by one build are read by another. */
#include "tests/core/support.h"

#include "core/hash.h"

static void test_known_answers(void **state)
{
    (void)state;
    assert_int_equal(dip_hash64("", 0), 0x2d06800538d394c2);
    assert_int_equal(dip_hash64("a", 1), 0xe6c632b61e964e1f);
    assert_int_equal(dip_hash64("abc", 3), 0x78af5f94892f3950);
}

static void test_seed_zero_is_no_seed(void **state)
{
    char text[1000];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 7);
    for (size_t length = 0; length < sizeof text; length += 37) {
        assert_int_equal(dip_hash64_seed(text, length, 0), dip_hash64(text, length));
        assert_int_not_equal(dip_hash64_seed(text, length, 1), dip_hash64(text, length));
    }
}

static void test_every_bit_counts(void **state)
{
    unsigned char bytes[64] = {0};
    uint64_t whole = dip_hash64(bytes, sizeof bytes);
    (void)state;
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(dip_hash64(bytes, sizeof bytes), whole);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_not_equal(dip_hash64(bytes, 63), whole);
}

static void test_continuing_minds_the_order(void **state)
{
    (void)state;
    uint64_t ab = dip_hash64_seed("b", 1, dip_hash64("a", 1));
    uint64_t ba = dip_hash64_seed("a", 1, dip_hash64("b", 1));
    assert_int_not_equal(ab, ba);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_seed_zero_is_no_seed),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_continuing_minds_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
