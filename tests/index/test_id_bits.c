/* Ids as bits, and numbers in few bytes: every way in and out against plain arrays. */
#include "tests/index/support.h"

#include "core/rng.h"
#include "index/ids.h"
#include "index/layout.h"
#include "index/packed.h"

/* Ascending ids, steps of 1 to 2 `mean` - 1; now and then a gap. */
static uint64_t *make_ids(size_t n, uint64_t first, uint32_t mean, uint32_t gap)
{
    uint64_t *ids = malloc((n + 1) * sizeof *ids), at = first;
    dip_rng rng;
    dip_rng_init(&rng, n + mean, 0);
    for (size_t i = 0; i < n; i++) {
        ids[i] = at;
        at += 1 + dip_rng_below(&rng, 2 * mean - 1);
        if (gap && dip_rng_below(&rng, 100) == 0) at += gap;
    }
    return ids;
}

static dip_id_bits make_bits(const uint64_t *ids, size_t n)
{
    dip_id_bits b = {.first = ids[0], .count = n, .words = dip_id_bits_words(ids[0], ids[n - 1])};
    uint64_t *bits = calloc(b.words, sizeof *bits);
    uint32_t *counts = calloc(dip_id_bits_blocks(b.words), sizeof *counts);
    for (size_t i = 0; i < n; i++) dip_bit_set(bits, ids[i] - ids[0]);
    dip_id_bits_count(bits, b.words, counts);
    b.bits = bits;
    b.counts = counts;
    return b;
}

static void drop(dip_id_bits *b)
{
    free((void *)(uintptr_t)b->bits);
    free((void *)(uintptr_t)b->counts);
}

/* A table of bits and one of an array give the same rows. */
static void compare_tables(const dip_id_bits *b, const uint64_t *ids, size_t n)
{
    dip_id_table bits = {.bits = *b, .count = n, .live = n}, plain;
    assert_ok(dip_id_table_init(&plain, ids, NULL, n, n, "x"));
    size_t wanted_count = 0, words = dip_bit_words(n);
    uint64_t *wanted = malloc((2 * n + 3) * sizeof *wanted);
    if (ids[0]) wanted[wanted_count++] = ids[0] - 1;
    for (size_t i = 0; i < n; i += 1 + i % 700) {
        wanted[wanted_count++] = ids[i];
        wanted[wanted_count++] = i % 2 ? ids[i] + 1 : ids[i]; /* twice, or one that may be there */
        if (wanted[wanted_count - 1] > ids[n - 1]) wanted_count--;
    }
    wanted[wanted_count++] = ids[n - 1] + 1000;
    uint32_t *rows[2] = {malloc(wanted_count * 4), malloc(wanted_count * 4)};
    uint64_t *marks[2] = {calloc(words, 8), calloc(words, 8)};
    const dip_id_table *tables[] = {&bits, &plain};
    size_t found[2], marked[2];
    for (size_t i = 0; i < 2; i++) {
        found[i] = dip_id_table_select(tables[i], wanted, wanted_count, rows[i]);
        marked[i] = dip_id_table_mark(tables[i], wanted, wanted_count, marks[i]);
    }
    assert_int_equal(found[0], found[1]);
    assert_memory_equal(rows[0], rows[1], found[0] * 4);
    assert_int_equal(marked[0], found[0]);
    assert_int_equal(marked[1], found[0]);
    assert_memory_equal(marks[0], marks[1], words * 8);
    for (size_t i = 0; i < wanted_count; i++)
        assert_int_equal(dip_id_table_find(&bits, wanted[i]), dip_id_table_find(&plain, wanted[i]));
    free(wanted), free(rows[0]), free(rows[1]), free(marks[0]), free(marks[1]);
    dip_id_table_fini(&plain);
}

static void ids_are_those_that_were_put_in(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint64_t first;
        uint32_t mean, gap;
    } cases[] = {
        {1, 0, 1, 0},    {1, UINT64_MAX - 1, 1, 0}, {64, 5, 1, 0},           {513, 1000, 1, 0},
        {5000, 1, 2, 0}, {5000, 7, 3, 5000},        {700, 1ULL << 60, 9, 0}, {3000, 0, 1, 100000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = cases[i].n;
        uint64_t *ids = make_ids(n, cases[i].first, cases[i].mean, cases[i].gap);
        uint64_t *copy = malloc(n * sizeof *copy);
        dip_id_bits b = make_bits(ids, n);
        assert_true(dip_id_bits_fit(&b, ids[n - 1]));
        for (size_t row = 0; row < n; row++) {
            dip_id_bits_expect(&b, row);
            assert_true(dip_id_bits_at(&b, row) == ids[row]);
        }
        for (size_t first = 0; first < n; first += 1 + n / 7) {
            size_t count = n - first < 100 ? n - first : 100;
            dip_id_bits_copy(&b, first, count, copy);
            assert_memory_equal(copy, ids + first, count * sizeof *copy);
        }
        if (ids[n - 1] < UINT64_MAX - 2000) compare_tables(&b, ids, n);
        drop(&b);
        free(ids), free(copy);
    }
}

/* Bits and counts that are wrong: noticed by a look at all, and never a row that is not there. */
static void damage_stays_within_bounds(void **state)
{
    (void)state;
    enum { N = 3000 };
    uint64_t *ids = make_ids(N, 3, 2, 700), out[40];
    dip_id_bits b = make_bits(ids, N);
    uint8_t *parts[] = {(uint8_t *)(uintptr_t)b.bits, (uint8_t *)(uintptr_t)b.counts};
    size_t sizes[] = {b.words * 8, dip_id_bits_blocks(b.words) * 4};
    for (size_t p = 0; p < 2; p++)
        for (size_t at = 0; at < sizes[p]; at += 1 + sizes[p] / 300) {
            parts[p][at] ^= 1;
            assert_false(dip_id_bits_fit(&b, ids[N - 1]));
            dip_id_cursor cursor = {0, 0};
            for (size_t row = 0; row < N; row += 40) {
                size_t found;
                dip_id_bits_at(&b, row);
                dip_id_bits_copy(&b, row, 40, out);
                if (dip_id_bits_find(&b, &cursor, ids[row], &found)) assert_true(found < N);
            }
            parts[p][at] ^= 1;
        }
    drop(&b);
    free(ids);
}

static void numbers_come_back(void **state)
{
    (void)state;
    static const uint64_t most[] = {0,       1,         255, 256, 65535, 65536, (1 << 24) - 1,
                                    1 << 24, UINT32_MAX};
    static const unsigned widths[] = {1, 1, 1, 2, 2, 3, 3, 4, 4};
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        assert_int_equal(dip_packed_width(most[i]), widths[i]);
        for (size_t at = 0; at < 9; at++)
            dip_packed_put(bytes, widths[i], at, (uint32_t)(most[i] - (most[i] ? at % 2 : 0)));
        for (size_t at = 0; at < 9; at++)
            assert_int_equal(dip_packed_get(bytes, widths[i], at),
                             most[i] - (most[i] ? at % 2 : 0));
    }
}

static void scales_are_not_below_and_near(void **state)
{
    (void)state;
    for (float value = 1e-9F; value < 0.03F; value *= 1.0173F) {
        uint8_t scale = dip_scale_above(value);
        assert_true(dip_scale_value(scale) >= value);
        if (scale) assert_true(dip_scale_value((uint8_t)(scale - 1)) < value);
        if (scale) assert_true(dip_scale_value(scale) <= value * 1.0625F);
    }
    assert_int_equal(dip_scale_above(1), UINT8_MAX);
    assert_int_equal(dip_scale_above(0), 0);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(dip_scale_above(dip_scale_value((uint8_t)i)), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_that_were_put_in),
        cmocka_unit_test(damage_stays_within_bounds),
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(scales_are_not_below_and_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
