/*
 * The loops around the product, body by body, against plain double arithmetic; the product: tests/core/test_product.c.
 */
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

static void test_loops_of_the_chosen_product(void **state)
{
    (void)state;
    assert_ptr_equal(dip_kernel_get()->product, dip_product_get());
    for (size_t i = 0; dip_kernel_at(i); i++)
        assert_ptr_equal(dip_kernel_at(i)->product, dip_product_at(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_affine, seed),
        cmocka_unit_test_setup(test_mask, seed),
        cmocka_unit_test_setup(test_norm_backward, seed),
        cmocka_unit_test_setup(test_pool, seed),
        cmocka_unit_test_setup(test_mean, seed),
        cmocka_unit_test_setup(test_matmul, seed),
        cmocka_unit_test(test_loops_of_the_chosen_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
