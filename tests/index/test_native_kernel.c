/* Every body of the native engine's loops against the plain one, and that against sums in double; the choice of the best. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/cpu.h"
#include "core/half.h"
#include "core/mem.h"
#include "core/rng.h"
#include "index/best.h"
#include "index/native_kernel.h"

#include <math.h>

static const dip_native_kernel *bodies[4];
static size_t body_count;
static dip_rng rng;

static int setup(void **state)
{
    (void)state;
    const dip_cpu *cpu = dip_cpu_get();
    bodies[body_count++] = &dip_native_plain;
    if (cpu->avx2) bodies[body_count++] = &dip_native_avx2;
    if (cpu->avx512) bodies[body_count++] = &dip_native_avx512;
    if (cpu->avx512vnni) bodies[body_count++] = &dip_native_avx512vnni;
    return 0;
}

static float draw(void) { return (float)dip_rng_uniform(&rng) * 2 - 1; }

static float *numbers(size_t n)
{
    float *out = dip_alloc_aligned(n * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = draw();
    return out;
}

static uint8_t *bytes(size_t n)
{
    uint8_t *out = dip_alloc_aligned(n);
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)dip_rng_below(&rng, 256);
    return out;
}

static void assert_near(double a, double b, double error, const char *name)
{
    if (!(fabs(a - b) <= error)) fail_msg("%s: %.9g, wanted %.9g", name, a, b);
}

static void environment_chooses_the_body(void **state)
{
    (void)state;
    const char *off[] = {"DIP_NO_AVX512VNNI", "DIP_NO_AVX512", "DIP_NO_AVX2"};
    const dip_native_kernel *less[] = {&dip_native_avx512, &dip_native_avx2, &dip_native_plain};
    assert_ptr_equal(dip_native_kernel_get(), bodies[body_count - 1]);
    for (size_t i = 0; i < 3; i++) {
        setenv(off[i], "1", 1);
        dip_cpu_refresh();
        if (body_count >= 4 - i) assert_ptr_equal(dip_native_kernel_get(), less[i]);
    }
    for (size_t i = 0; i < 3; i++) unsetenv(off[i]);
    dip_cpu_refresh();
}

/* Lengths around every width of a register; the data ends where a read too far is an error to a sanitizer. */
static void dots_are_sums(void **state)
{
    (void)state;
    for (size_t n = 1; n < 70; n++) {
        float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
        int8_t *small = malloc(n);
        uint16_t *half = malloc(n * sizeof *half);
        double sum = 0, sum_small = 0, sum_half = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = draw();
            b[i] = draw();
            small[i] = (int8_t)((int)dip_rng_below(&rng, 256) - 128);
            half[i] = dip_half_of(b[i]);
            sum += (double)a[i] * (double)b[i];
            sum_small += (double)a[i] * small[i];
            sum_half += (double)a[i] * (double)dip_half_value(half[i]);
        }
        for (size_t k = 0; k < body_count; k++) {
            const dip_native_kernel *body = bodies[k];
            assert_near((double)body->dot(a, b, n), sum, 1e-5, body->name);
            assert_near((double)body->dot_int8(a, small, n), sum_small, 2e-3, body->name);
            assert_near((double)body->dot_half(a, half, n), sum_half, 1e-5, body->name);
        }
        free(a), free(b), free(small), free(half);
    }
}

static void coarse_scores_are_products_of_bytes(void **state)
{
    (void)state;
    enum { BLOCKS = 7, ROWS = BLOCKS * DIP_NATIVE_ROWS };
    for (size_t steps = 1; steps < 40; steps += 1 + steps / 4) {
        uint8_t *content = bytes(ROWS * steps * 4), *values = bytes(steps * 4);
        float *scales = numbers(ROWS), *biases = numbers(ROWS), scores[ROWS];
        const int8_t *query = (const int8_t *)values;
        if (steps == 5) memset(content, 255, ROWS * steps * 4), memset(values, 0x81, steps * 4);
        int32_t base = 0;
        for (size_t j = 0; j < steps * 4; j++) base += 128 * query[j];
        dip_native_coarse coarse = {content, scales, biases, steps};
        dip_native_query q = {query, .01F, base};
        for (size_t k = 0; k < body_count * BLOCKS; k++) {
            size_t first = k % BLOCKS, blocks = BLOCKS - first;
            bodies[k / BLOCKS]->coarse(&coarse, &q, first, blocks, scores);
            for (size_t i = 0; i < blocks * DIP_NATIVE_ROWS; i++) {
                size_t row = first * DIP_NATIVE_ROWS + i;
                double sum = 0;
                for (size_t j = 0; j < steps * 4; j++)
                    sum +=
                        (content[(row / 16 * steps + j / 4) * 64 + row % 16 * 4 + j % 4] - 128.) *
                        query[j];
                double wanted = sum * (double)scales[row] * .01 + (double)biases[row];
                assert_near((double)scores[i], wanted, 1e-5 * (fabs(wanted) + 1),
                            bodies[k / BLOCKS]->name);
            }
        }
        dip_free_aligned(content), dip_free_aligned(values);
        dip_free_aligned(scales), dip_free_aligned(biases);
    }
}

static void scores_above_the_bar_are_picked(void **state)
{
    (void)state;
    dip_native_candidate out[80];
    for (size_t n = 0; n < 70; n++) {
        float *scores = malloc((n + 1) * sizeof *scores);
        for (size_t i = 0; i < n; i++) scores[i] = i % 5 ? draw() : .25F; /* some on the bar */
        for (size_t k = 0; k < body_count; k++) {
            size_t found = bodies[k]->pick(scores, n, .25F, 1000, out), wanted = 0;
            for (size_t i = 0; i < n; i++) {
                if (scores[i] <= .25F) continue;
                assert_int_equal(out[wanted].slot, 1000 + i);
                assert_true(out[wanted++].score == scores[i]);
            }
            assert_int_equal(found, wanted);
        }
        free(scores);
    }
}

typedef struct codes {
    size_t count, sub, groups;
    float *query, *book, *entries;
    uint8_t *tables;
    dip_native_levels levels;
} codes;

static codes make_codes(size_t count, size_t sub, const dip_native_kernel *body)
{
    codes c = {.count = count, .sub = sub};
    c.groups = (count + DIP_NATIVE_GROUP - 1) / DIP_NATIVE_GROUP;
    c.query = numbers(count * sub);
    c.book = numbers(count * sub * 16);
    c.entries = numbers(c.groups * DIP_NATIVE_GROUP * 16);
    c.tables = bytes(c.groups * DIP_NATIVE_TABLE);
    c.levels = body->tables(c.query, c.book, count, sub, c.entries, c.tables);
    return c;
}

static void drop_codes(codes *c)
{
    dip_free_aligned(c->query), dip_free_aligned(c->book);
    dip_free_aligned(c->entries), dip_free_aligned(c->tables);
}

static unsigned table_entry(const codes *c, size_t code, size_t entry)
{
    static const size_t places[] = {0, 64, 32, 96};
    const uint8_t *table = c->tables + code / 4 * DIP_NATIVE_TABLE + places[code % 4];
    assert_int_equal(table[entry], table[entry + 16]);
    return table[entry];
}

static void tables_hold_products(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 4, 5, 63, 256}, subs[] = {1, 2, 3, 7, 16};
    for (size_t k = 0; k < body_count * 35; k++) {
        codes c = make_codes(counts[k % 7], subs[k / 7 % 5], bodies[k / 35]);
        double lows = 0;
        for (size_t m = 0; m < c.groups * DIP_NATIVE_GROUP; m++) {
            double product[16] = {0}, low = INFINITY;
            for (size_t j = 0; m < c.count && j < 16; j++) {
                for (size_t t = 0; t < c.sub; t++)
                    product[j] +=
                        (double)c.query[m * c.sub + t] * (double)c.book[(m * c.sub + t) * 16 + j];
                low = fmin(low, product[j]);
            }
            lows += m < c.count ? low : 0;
            for (size_t j = 0; j < 16; j++) {
                unsigned level = table_entry(&c, m, j);
                if (m >= c.count) assert_int_equal(level, 0);
                if (m >= c.count) continue;
                assert_near((double)c.entries[m * 16 + j], product[j] - low, 1e-5, "entry");
                assert_near(level * (double)c.levels.unit, product[j] - low,
                            .51 * (double)c.levels.unit, bodies[k / 35]->name);
            }
        }
        assert_near((double)c.levels.base, lows, 1e-3, "base");
        drop_codes(&c);
    }
}

/* Equal entries make tables of zeros, not of what a division by nothing gives. */
static void flat_tables_are_zero(void **state)
{
    (void)state;
    float query[4] = {0}, book[64] = {0}, entries[64];
    uint8_t *tables = bytes(DIP_NATIVE_TABLE);
    for (size_t k = 0; k < body_count; k++) {
        memset(tables, 7, DIP_NATIVE_TABLE);
        dip_native_levels levels = bodies[k]->tables(query, book, 4, 1, entries, tables);
        assert_true(levels.unit > 0 && isfinite(levels.unit));
        for (size_t i = 0; i < DIP_NATIVE_TABLE; i++) assert_int_equal(tables[i], 0);
    }
    dip_free_aligned(tables);
}

static void codes_are_the_nearest_entries(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 5, 64}, subs[] = {1, 2, 5, 16};
    for (size_t k = 0; k < 16; k++) {
        codes c = make_codes(counts[k % 4], subs[k / 4], bodies[0]);
        memcpy(c.book + 3, c.book + 9, sizeof(float)); /* of sub 1: two equal entries */
        for (size_t b = 0; b < body_count; b++) {
            uint8_t out[128];
            memset(out, 0xff, sizeof out);
            bodies[b]->encode(c.query, c.book, c.count, c.sub, out);
            for (size_t m = 0; m < c.count; m++) {
                double cost[16] = {0}, least = INFINITY;
                for (size_t j = 0; j < 16; j++) {
                    for (size_t t = 0; t < c.sub; t++) {
                        double d = (double)c.query[m * c.sub + t] -
                                   (double)c.book[(m * c.sub + t) * 16 + j];
                        cost[j] += d * d;
                    }
                    least = fmin(least, cost[j]);
                }
                assert_near(cost[out[m / 2] >> (m % 2 * 4) & 15], least, 1e-6, bodies[b]->name);
            }
            if (c.count % 2) assert_int_equal(out[c.count / 2] >> 4, 0);
        }
        drop_codes(&c);
    }
}

/* Blocks of codes with empty slots; sums reach the greatest that there are. */
static void scans_sum_tables(void **state)
{
    (void)state;
    enum { BLOCKS = 5, SLOTS = BLOCKS * DIP_NATIVE_BLOCK };
    static const size_t counts[] = {4, 5, 7, 16, 64, 130, 256};
    for (size_t k = 0; k < 7 * body_count; k++) {
        codes c = make_codes(counts[k % 7], 2, bodies[0]);
        size_t padded = c.groups * DIP_NATIVE_GROUP, n = 0;
        uint8_t *packed = bytes(SLOTS * padded / 2);
        if (k % 7 == 6) memset(c.tables, 255, c.groups * DIP_NATIVE_TABLE);
        uint16_t terms[SLOTS];
        for (size_t i = 0; i < SLOTS; i++)
            terms[i] = i % 11 ? dip_half_of(draw()) : (uint16_t)0x7c00;
        dip_native_run run = {.codes = packed,
                              .terms = terms,
                              .tables = c.tables,
                              .groups = c.groups,
                              .block = 1,
                              .blocks = BLOCKS - 1,
                              .unit = .001F,
                              .base = -.5F,
                              .probe = 3};
        dip_native_candidate got[SLOTS];
        float bars[] = {-3e38F, -.4F, 3e38F};
        for (size_t b = 0; b < 3; b++) {
            size_t found = bodies[k / 7]->scan(&run, bars[b], got);
            n = 0;
            for (size_t slot = DIP_NATIVE_BLOCK; slot < SLOTS; slot++) {
                unsigned sum = 0;
                for (size_t m = 0; m < padded; m++) {
                    const uint8_t *pair = packed + slot / 32 * padded * 16 + m / 2 * 32;
                    sum += table_entry(&c, m, pair[slot % 32] >> (m % 2 * 4) & 15);
                }
                double wanted = -.5 + sum * .001 - (double)dip_half_value(terms[slot]);
                bool near = fabs(wanted - (double)bars[b]) < 1e-4;
                if (n < found && got[n].slot == slot) {
                    assert_near((double)got[n].score, wanted, 1e-4, bodies[k / 7]->name);
                    assert_true(near || wanted > (double)bars[b]);
                    assert_int_equal(got[n++].probe, 3);
                } else if (!near && wanted > (double)bars[b]) {
                    fail_msg("%s: slot %zu is missing", bodies[k / 7]->name, slot);
                }
            }
            assert_int_equal(n, found);
        }
        dip_free_aligned(packed);
        drop_codes(&c);
    }
}

/* ---- the choice of the best ---- */

static int best_first(const void *a, const void *b)
{
    const dip_native_candidate *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Kinds of input: random, few scores, all equal, ascending, descending. */
static void fill(dip_native_candidate *c, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        float scores[] = {draw(), (float)dip_rng_below(&rng, 4), 1, (float)i, -(float)i};
        c[i] = (dip_native_candidate){scores[kind], (uint32_t)(i * 7919 % n), (uint32_t)i};
    }
}

static void the_best_come_to_the_front(void **state)
{
    (void)state;
    enum { MOST = 700 };
    static dip_native_candidate c[MOST], sorted[MOST], copy[MOST];
    for (size_t n = 1; n <= MOST; n += 1 + n / 6) {
        if (n % 7919 == 0) continue;
        for (int kind = 0; kind < 5; kind++) {
            fill(c, n, kind);
            memcpy(sorted, c, n * sizeof *c);
            memcpy(copy, c, n * sizeof *c);
            qsort(sorted, n, sizeof *c, best_first);
            dip_best_sort(copy, n);
            assert_memory_equal(copy, sorted, n * sizeof *c);
            for (size_t k = 0; k <= n; k += 1 + n / 9) {
                memcpy(copy, c, n * sizeof *c);
                dip_best_select(copy, n, k);
                qsort(copy, k, sizeof *c, best_first);
                assert_memory_equal(copy, sorted, k * sizeof *c);
                qsort(copy + k, n - k, sizeof *c, best_first);
                assert_memory_equal(copy + k, sorted + k, (n - k) * sizeof *c);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_chooses_the_body),
        cmocka_unit_test(dots_are_sums),
        cmocka_unit_test(coarse_scores_are_products_of_bytes),
        cmocka_unit_test(scores_above_the_bar_are_picked),
        cmocka_unit_test(tables_hold_products),
        cmocka_unit_test(flat_tables_are_zero),
        cmocka_unit_test(codes_are_the_nearest_entries),
        cmocka_unit_test(scans_sum_tables),
        cmocka_unit_test(the_best_come_to_the_front),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
