/*
 * The bodies one by one: the block product with all its strides, and the loops around it, against plain double
 * arithmetic; and which body is chosen.
 */
#define _POSIX_C_SOURCE 200809L
#include "support_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dip_rng rng;

static int seed(void **state)
{
    (void)state;
    dip_rng_init(&rng, 5, 0);
    return 0;
}

/* ---- rounding ---- */

static float float_of(uint32_t word)
{
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t word;
        dip_bf16 want;
    } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, /* tie to even */
        {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82}, {0xbf818000, 0xbf82},
        {0x80000000, 0x8000}, {0x7f7fffff, 0x7f80}, /* overflows to infinity */
        {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float in[DIP_BLOCK];
        dip_bf16 out[DIP_BLOCK];
        for (size_t k = 0; k < DIP_BLOCK; k++) in[k] = float_of(cases[i].word);
        assert_int_equal(dip_bf16_round(in[0]), cases[i].want);
        for (size_t b = 0; body_at(b); b++) {
            body_at(b)->loops->round(in, out, DIP_BLOCK - 3);
            for (size_t k = 0; k < DIP_BLOCK - 3; k++) assert_int_equal(out[k], cases[i].want);
        }
    }
}

static void test_nan_stays_nan(void **state)
{
    (void)state;
    static const uint32_t words[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        float in[DIP_BLOCK];
        dip_bf16 out[DIP_BLOCK];
        for (size_t k = 0; k < DIP_BLOCK; k++) in[k] = float_of(words[i]);
        for (size_t b = 0; body_at(b); b++) {
            body_at(b)->loops->round(in, out, DIP_BLOCK);
            for (size_t k = 0; k < DIP_BLOCK; k++) assert_true(isnan(dip_bf16_float(out[k])));
        }
    }
}

/* ---- block product ---- */

static const product_case products[] = {
    {{16, 16}, 1, 1, 32, 32, 0, 512, 1024, 0, 32, false},
    {{16, 16}, 3, 2, 64, 32, 200, 512, 1024, 2048, 32, false},
    {{5, 0}, 3, 1, 96, 32, 400, 512, 1024, 1024, 32, false},
    {{16, 1}, 1, 5, 160, 32, 0, 512, 1024, 0, 40, true},
    {{9, 13}, 2, 3, 50, 34, 900, 3072, 512, 100, 96, true},    /* halves apart, panels overlap */
    {{16, 16}, 7, 1, 32, 512, 512, 512, 1024, 1024, 64, true}, /* tiles, as for weights */
    {{16, 16}, 0, 0, 32, 32, 32, 512, 1024, 1024, 32, false},
};

/* Room for the largest case, in values. */
enum { A_VALUES = 16 * 200 + 7 * 1000, B_VALUES = 16 * 1024, C_VALUES = 32 * 96 };

static double product_want(const product_case *p, const dip_bf16 *const a[2], const dip_bf16 *b,
                           double from, size_t row, size_t column, double *magnitude)
{
    double sum = p->accumulate ? from : 0;
    *magnitude = fabs(sum);
    for (size_t s = 0; s < p->segments; s++)
        for (size_t k = 0; k < 32 * (size_t)p->steps; k++) {
            const dip_bf16 *x = a[row / 16] + row % 16 * p->a_row + s * p->a_segment;
            const dip_bf16 *y = b + s * p->b_segment + k / 32 * p->b_step + column / 16 * p->b_half;
            const double product = (double)dip_bf16_float(x[k / 32 * p->a_step + k % 32]) *
                                   dip_bf16_float(y[k % 32 / 2 * 32 + column % 16 * 2 + k % 2]);
            sum += product;
            *magnitude += fabs(product);
        }
    return sum;
}

static void check_product(const dip_kernel *body, const product_case *p)
{
    dip_bf16 *upper = random_bf16(&rng, A_VALUES), *lower = random_bf16(&rng, A_VALUES);
    dip_bf16 *b = random_bf16(&rng, B_VALUES);
    float *c = random_float(&rng, C_VALUES), before[C_VALUES];
    const dip_bf16 *const a[2] = {upper, lower};
    memcpy(before, c, sizeof before);
    const dip_product product = product_of(p, a, b, c);
    body->enter();
    body->product(&product);
    body->leave();
    for (size_t row = 0; row < 32; row++)
        for (size_t column = 0; column < 32 && row % 16 < p->rows[row / 16]; column++) {
            const size_t at = row * p->c_row + column;
            double magnitude, want = product_want(p, a, b, before[at], row, column, &magnitude);
            if (!near_float(c[at], want, magnitude))
                fail_msg("body %s, case %d, row %zu, column %zu: %.9g, must be %.9g", body->name,
                         (int)(p - products), row, column, c[at], want);
        }
    for (size_t row = 0; row + 1 < 32; row++) /* between the rows */
        for (size_t at = row * p->c_row + 32; at < (row + 1) * p->c_row; at++)
            assert_float_equal(c[at], before[at], 0);
    free(upper), free(lower), free(b), free(c);
}

static void test_product(void **state)
{
    (void)state;
    for (size_t b = 0; body_at(b); b++)
        for (size_t i = 0; i < sizeof products / sizeof *products; i++)
            check_product(body_at(b), &products[i]);
}

/* ---- operand layouts ---- */

static void test_panel_and_transpose(void **state)
{
    (void)state;
    enum { APART = 700 }; /* between the halves */
    dip_bf16 *values = random_bf16(&rng, 32 * 50), panel[2 * APART], tile[DIP_TILE];
    const dip_bf16 *rows[32];
    for (size_t r = 0; r < 32; r++) rows[r] = values + (r * 7 % 32) * 50;
    for (size_t b = 0; body_at(b); b++) {
        const dip_loops *loops = body_at(b)->loops;
        loops->panel(rows, 11, panel, APART);
        for (size_t k = 0; k < 32; k++)
            for (size_t c = 0; c < 32; c++)
                assert_int_equal(panel[c / 16 * APART + k / 2 * 32 + c % 16 * 2 + k % 2],
                                 rows[k][11 + c]);
        loops->transpose(values, 50, tile);
        for (size_t r = 0; r < 16; r++)
            for (size_t c = 0; c < 32; c++)
                assert_int_equal(tile[c / 2 * 32 + 2 * r + c % 2], values[r * 50 + c]);
    }
    free(values);
}

/* ---- batch norm ---- */

enum { CHANNELS = 64, PIXELS = 37 };

static void test_affine(void **state)
{
    (void)state;
    const size_t n = CHANNELS * PIXELS;
    dip_bf16 *x = random_bf16(&rng, n), *y = random_bf16(&rng, n), *out = malloc(n * sizeof *out);
    float *k = random_float(&rng, 4 * CHANNELS);
    for (int variant = 0; variant < 6; variant++)
        for (size_t b = 0; body_at(b); b++) {
            const dip_affine affine = {.raw = x,
                                       .scale = k,
                                       .shift = k + CHANNELS,
                                       .out = out,
                                       .channels = CHANNELS,
                                       .relu = variant % 2,
                                       .residual = variant / 2 == 1 ? y : NULL,
                                       .raw2 = variant / 2 == 2 ? y : NULL,
                                       .scale2 = k + 2 * CHANNELS,
                                       .shift2 = k + 3 * CHANNELS};
            memset(out, 0, n * sizeof *out);
            body_at(b)->loops->affine(&affine, 5, PIXELS - 5);
            for (size_t i = 0; i < 5 * CHANNELS; i++) assert_int_equal(out[i], 0);
            for (size_t i = 5 * CHANNELS; i < n; i++) {
                const size_t c = i % CHANNELS;
                const double other = dip_bf16_float(y[i]);
                double want = (double)k[c] * dip_bf16_float(x[i]) + k[CHANNELS + c];
                if (variant / 2 == 1) want += other;
                if (variant / 2 == 2) want += k[2 * CHANNELS + c] * other + k[3 * CHANNELS + c];
                if (variant % 2 && want < 0) want = 0;
                assert_true(near_bf16(out[i], want, 10));
            }
        }
    free(x), free(y), free(out), free(k);
}

static void test_mask(void **state)
{
    (void)state;
    const size_t n = CHANNELS * PIXELS;
    dip_bf16 *out = random_bf16(&rng, n), *g = random_bf16(&rng, n), *got = malloc(n * sizeof *got);
    dip_bf16 *x = random_bf16(&rng, n), *y = random_bf16(&rng, n);
    for (int raws = 1; raws <= 2; raws++)
        for (size_t b = 0; body_at(b); b++) {
            float sums[3 * CHANNELS] = {0};
            double want[3 * CHANNELS] = {0};
            const dip_mask mask = {.out = out,
                                   .raw = {x, raws == 2 ? y : NULL},
                                   .gradient = got,
                                   .sums = sums,
                                   .channels = CHANNELS};
            memcpy(got, g, n * sizeof *got);
            body_at(b)->loops->mask(&mask, 0, 20);
            body_at(b)->loops->mask(&mask, 20, PIXELS - 20);
            for (size_t i = 0; i < n; i++) {
                const dip_bf16 kept = dip_bf16_float(out[i]) > 0 ? g[i] : 0;
                assert_int_equal(got[i], kept);
                const double value = dip_bf16_float(kept);
                want[i % CHANNELS] += value;
                want[CHANNELS + i % CHANNELS] += value * dip_bf16_float(x[i]);
                want[2 * CHANNELS + i % CHANNELS] += value * dip_bf16_float(y[i]);
            }
            for (size_t c = 0; c < (size_t)(raws + 1) * CHANNELS; c++)
                assert_true(near_float(sums[c], want[c], 100));
        }
    free(out), free(g), free(got), free(x), free(y);
}

static void test_norm_backward(void **state)
{
    (void)state;
    const size_t n = CHANNELS * PIXELS;
    dip_bf16 *g = random_bf16(&rng, n), *x = random_bf16(&rng, n), *out = malloc(n * sizeof *out);
    float *k = random_float(&rng, 3 * CHANNELS);
    for (size_t b = 0; body_at(b); b++) {
        body_at(b)->loops->norm_backward(g, x, k, out, PIXELS, CHANNELS);
        for (size_t i = 0; i < n; i++) {
            const float *kc = k + i % CHANNELS;
            const double want = (double)kc[0] * dip_bf16_float(g[i]) +
                                (double)kc[CHANNELS] * dip_bf16_float(x[i]) + kc[2 * CHANNELS];
            assert_true(near_bf16(out[i], want, 10));
        }
    }
    free(g), free(x), free(out), free(k);
}

/* ---- pooling ---- */

static void check_pool(const dip_kernel *body, size_t side)
{
    const size_t pooled = (side - 1) / 2 + 1, n = side * side * 32, m = pooled * pooled * 32;
    dip_bf16 *raw = random_bf16(&rng, n), *g = random_bf16(&rng, m);
    dip_bf16 *out = malloc(m * sizeof *out), *raw_gradient = malloc(n * sizeof *out);
    uint8_t *argmax = malloc(m);
    float *k = random_float(&rng, 64), sums[64] = {0};
    double *want = zeros(n), sum[64] = {0};
    const dip_pool pool = {.raw = raw,
                           .scale = k,
                           .shift = k + 32,
                           .side = side,
                           .channels = 32,
                           .out = out,
                           .argmax = argmax,
                           .gradient = g,
                           .raw_gradient = raw_gradient,
                           .sums = sums};
    body->loops->pool(&pool);
    body->loops->pool_backward(&pool);
    for (size_t i = 0; i < m; i++) {
        const size_t c = i % 32, row = i / 32 / pooled, column = i / 32 % pooled;
        long chosen;
        double best = reference_pool(raw, k, k + 32, side, 32, row, column, c, &chosen);
        assert_true(near_bf16(out[i], best, 4));
        if (chosen >= 0) want[(size_t)chosen * 32 + c] += dip_bf16_float(g[i]);
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(near_bf16(raw_gradient[i], want[i], 4));
        sum[i % 32] += want[i];
        sum[32 + i % 32] += want[i] * dip_bf16_float(raw[i]);
    }
    for (size_t c = 0; c < 64; c++) assert_true(near_float(sums[c], sum[c], 1000));
    free(raw), free(g), free(out), free(raw_gradient), free(argmax), free(k), free(want);
}

static void test_pool(void **state)
{
    (void)state;
    for (size_t b = 0; body_at(b); b++)
        for (size_t side = 1; side <= 9; side++) check_pool(body_at(b), side);
}

static void test_mean(void **state)
{
    (void)state;
    const size_t n = CHANNELS * PIXELS;
    dip_bf16 *x = random_bf16(&rng, n), *back = malloc(n * sizeof *back);
    float mean[CHANNELS];
    for (size_t b = 0; body_at(b); b++) {
        double want[CHANNELS] = {0};
        body_at(b)->loops->mean(x, PIXELS, CHANNELS, mean);
        for (size_t i = 0; i < n; i++) want[i % CHANNELS] += dip_bf16_float(x[i]) / PIXELS;
        for (size_t c = 0; c < CHANNELS; c++) assert_true(near_float(mean[c], want[c], 4));
        body_at(b)->loops->mean_backward(mean, PIXELS, CHANNELS, back);
        for (size_t i = 0; i < n; i++)
            assert_true(near_bf16(back[i], (double)mean[i % CHANNELS] / PIXELS, 0.01));
    }
    free(x), free(back);
}

/* ---- heads ---- */

static void test_matmul(void **state)
{
    (void)state;
    enum { M = 7, NN = 64, K = 19 };
    float *a = random_float(&rng, M * K), *b = random_float(&rng, K * NN);
    float *from = random_float(&rng, M * NN), c[M * NN];
    for (int variant = 0; variant < 4; variant++)
        for (size_t body = 0; body_at(body); body++) {
            const bool turned = variant % 2;
            const dip_matmul matmul = {.m = M,
                                       .n = NN,
                                       .k = K,
                                       .a = a,
                                       .a_row = turned ? 1 : K,
                                       .a_column = turned ? M : 1,
                                       .b = b,
                                       .b_row = NN,
                                       .c = c,
                                       .c_row = NN,
                                       .accumulate = variant / 2};
            memcpy(c, from, sizeof c);
            body_at(body)->loops->matmul(&matmul);
            for (size_t i = 0; i < M * NN; i++) {
                double want = variant / 2 ? from[i] : 0, magnitude = fabs(want);
                for (size_t k = 0; k < K; k++) {
                    const double product =
                        (double)a[turned ? k * M + i / NN : i / NN * K + k] * b[k * NN + i % NN];
                    want += product;
                    magnitude += fabs(product);
                }
                assert_true(near_float(c[i], want, magnitude));
            }
        }
    free(a), free(b), free(from);
}

/* ---- choice ---- */

static const char *chosen_without(const char *variable)
{
    setenv(variable, "1", 1);
    dip_cpu_refresh();
    const char *name = dip_kernel_get()->name;
    unsetenv(variable);
    dip_cpu_refresh();
    return name;
}

/* Switching a set off leaves a body that does not need it; switching all off leaves the plain one. */
static void test_switches(void **state)
{
    (void)state;
    assert_string_equal(chosen_without("DIP_NO_AVX2"), "plain");
    assert_null(strstr(chosen_without("DIP_NO_AVX512"), "avx512"));
    const char *name = chosen_without("DIP_NO_AVX512BF16");
    assert_string_not_equal(name, "avx512bf16");
    assert_string_not_equal(name, "amx");
    assert_string_not_equal(chosen_without("DIP_NO_AMX"), "amx");
    assert_true(dip_kernel_get()->usable(dip_cpu_get()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rounding, seed),
        cmocka_unit_test_setup(test_nan_stays_nan, seed),
        cmocka_unit_test_setup(test_product, seed),
        cmocka_unit_test_setup(test_panel_and_transpose, seed),
        cmocka_unit_test_setup(test_affine, seed),
        cmocka_unit_test_setup(test_mask, seed),
        cmocka_unit_test_setup(test_norm_backward, seed),
        cmocka_unit_test_setup(test_pool, seed),
        cmocka_unit_test_setup(test_mean, seed),
        cmocka_unit_test_setup(test_matmul, seed),
        cmocka_unit_test_setup(test_switches, seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
