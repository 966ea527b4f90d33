/* Memory: failures on request, alignment, regions, growing arrays. */
#include "tests/core/support.h"

#include "core/mem.h"

static int no_failures_left(void **state)
{
    (void)state;
    dip_mem_fail_after(0);
    return 0;
}

static void test_the_nth_allocation_fails(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 5; n++) {
        void *blocks[6];
        dip_mem_fail_after(n);
        dip_error_clear();
        for (size_t i = 0; i < 6; i++) blocks[i] = dip_alloc(16);
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(blocks[i] == NULL, i + 1 == n);
            dip_free(blocks[i]);
        }
        assert_non_null(strstr(dip_last_error(), "out of memory: 16 bytes"));
    }
}

static void test_every_kind_can_fail(void **state)
{
    (void)state;
    dip_mem_fail_after(1);
    assert_null(dip_calloc(3, 5));
    assert_non_null(strstr(dip_last_error(), "15 bytes"));
    dip_mem_fail_after(1);
    assert_null(dip_strdup("four"));
    dip_mem_fail_after(1);
    assert_null(dip_sprintf("%d", 4));
    dip_mem_fail_after(1);
    assert_null(dip_alloc_aligned(100));
    dip_mem_fail_after(1);
    assert_null(dip_region_map(4096));
}

static void test_a_failed_realloc_keeps_the_block(void **state)
{
    char *block = dip_strdup("kept");
    (void)state;
    dip_mem_fail_after(1);
    assert_null(dip_realloc(block, 1000));
    assert_string_equal(block, "kept");
    block = dip_realloc(block, 1000);
    assert_string_equal(block, "kept");
    dip_free(block);
}

static void test_sizes_that_wrap_around_fail(void **state)
{
    (void)state;
    assert_null(dip_alloc_aligned(SIZE_MAX));
    assert_null(dip_alloc_aligned(SIZE_MAX - 62));
    volatile size_t half = SIZE_MAX / 2; /* volatile: the compiler would warn of what is tested */
    assert_null(dip_calloc(half, 4));
}

static void test_nothing_may_be_asked_for(void **state)
{
    void *blocks[] = {dip_alloc(0), dip_calloc(0, 8), dip_calloc(8, 0), dip_alloc_aligned(0)};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(blocks[i]);
        dip_free(blocks[i]);
    }
    dip_free(NULL);
    dip_free_aligned(NULL);
    dip_region_unmap(NULL, 10);
}

static void test_aligned_blocks_are_aligned(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 300; bytes += 13) {
        unsigned char *block = dip_alloc_aligned(bytes);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 0xa5, bytes);
        dip_free_aligned(block);
    }
}

static void test_strings(void **state)
{
    (void)state;
    char *a = dip_strndup("diptych", 3), *b = dip_sprintf("%s-%05d-%s", a, 42, "");
    assert_string_equal(a, "dip");
    assert_string_equal(b, "dip-00042-");
    dip_free(a);
    dip_free(b);
}

static void test_a_region_is_zero_and_writable(void **state)
{
    enum { BYTES = 3 << 20 };
    unsigned char *region = dip_region_map(BYTES);
    (void)state;
    assert_non_null(region);
    for (size_t i = 0; i < BYTES; i += 4096) {
        assert_int_equal(region[i], 0);
        region[i] = 1;
    }
    region[BYTES - 1] = 1;
    dip_region_unmap(region, BYTES);
}

static void test_an_array_grows_and_keeps_its_content(void **state)
{
    uint32_t *values = NULL;
    size_t capacity = 0, moves = 0;
    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        size_t before = capacity;
        assert_int_equal(dip_array_reserve((void **)&values, &capacity, i + 1, sizeof *values), 0);
        moves += capacity != before;
        values[i] = i * 3;
    }
    for (uint32_t i = 0; i < 10000; i++) assert_int_equal(values[i], i * 3);
    assert_in_range(moves, 2, 16);
    dip_free(values);
}

static void test_an_array_that_cannot_grow_stays(void **state)
{
    uint64_t *values = NULL;
    size_t capacity = 0;
    (void)state;
    assert_int_equal(dip_array_reserve((void **)&values, &capacity, 5, sizeof *values), 0);
    values[4] = 99;
    size_t before = capacity;
    dip_mem_fail_after(1);
    assert_int_equal(dip_array_reserve((void **)&values, &capacity, 500, sizeof *values), -1);
    assert_int_equal(dip_array_reserve((void **)&values, &capacity, SIZE_MAX, sizeof *values), -1);
    assert_int_equal(
        dip_array_reserve((void **)&values, &capacity, SIZE_MAX / 8 + 1, sizeof *values), -1);
    assert_int_equal(capacity, before);
    assert_int_equal(values[4], 99);
    dip_free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_nth_allocation_fails, no_failures_left),
        cmocka_unit_test_teardown(test_every_kind_can_fail, no_failures_left),
        cmocka_unit_test_teardown(test_a_failed_realloc_keeps_the_block, no_failures_left),
        cmocka_unit_test(test_sizes_that_wrap_around_fail),
        cmocka_unit_test(test_nothing_may_be_asked_for),
        cmocka_unit_test(test_aligned_blocks_are_aligned),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_a_region_is_zero_and_writable),
        cmocka_unit_test(test_an_array_grows_and_keeps_its_content),
        cmocka_unit_test_teardown(test_an_array_that_cannot_grow_stays, no_failures_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
