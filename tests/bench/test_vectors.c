/* Simulated embeddings and descriptors are what they are said to be. */
#define _GNU_SOURCE
#include "bench/fbin.h"
#include "bench/latent.h"
#include "bench/sift.h"
#include "tests/bench/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DIM = 48, BASE = 20 * BENCH_LATENT_BLOCK };

static float dot(const float *a, const float *b)
{
    float sum = 0;
    for (size_t i = 0; i < DIM; i++) sum += a[i] * b[i];
    return sum;
}

static double mean_nearest(const float *base, const float *queries)
{
    double sum = 0;
    for (size_t q = 0; q < BENCH_LATENT_BLOCK; q++) {
        float best = -1;
        for (size_t i = 0; i < BASE; i++) {
            const float score = dot(queries + q * DIM, base + i * DIM);
            if (score > best) best = score;
        }
        sum += best;
    }
    return sum / BENCH_LATENT_BLOCK;
}

static void other_queries_lie_outside(void **state)
{
    (void)state;
    bench_latent *model;
    assert_int_equal(bench_latent_create(&model, DIM, 7), DIP_OK);
    float *scratch = malloc(bench_latent_scratch(model) * sizeof *scratch);
    float *base = malloc(BASE * DIM * sizeof *base);
    float *queries = malloc(2 * BENCH_LATENT_BLOCK * DIM * sizeof *queries);
    float *other = queries + BENCH_LATENT_BLOCK * DIM;
    for (size_t b = 0; b < BASE / BENCH_LATENT_BLOCK; b++)
        bench_latent_block(model, BENCH_LATENT_BASE, b, scratch,
                           base + b * BENCH_LATENT_BLOCK * DIM);
    bench_latent_block(model, BENCH_LATENT_SAME, 0, scratch, queries);
    bench_latent_block(model, BENCH_LATENT_OTHER, 0, scratch, other);
    for (size_t i = 0; i < BASE; i++)
        assert_true(fabsf(dot(base + i * DIM, base + i * DIM) - 1) < 1e-5f);
    assert_memory_not_equal(base, queries, DIM * sizeof *base);
    const double near = mean_nearest(base, queries), far = mean_nearest(base, other);
    assert_true(near > 0.8 && near < 0.999);
    assert_true(far > 0.5 && far < near - 0.05);
    bench_latent_destroy(model);
    free(scratch), free(base), free(queries);
}

static void descriptors_are_of_length_512(void **state)
{
    (void)state;
    enum { SIDE = 300, N = 60 };
    static float grey[SIDE * SIDE];
    static uint8_t first[N * BENCH_SIFT_DIM], again[N * BENCH_SIFT_DIM];
    const bench_picture picture = {SIDE, SIDE, grey};
    dip_rng rng;
    size_t count, count_again;
    dip_rng_init(&rng, 1, 0);
    assert_int_equal(bench_sift(&picture, N, &rng, first, &count), DIP_OK);
    assert_int_equal(count, 0); /* nothing to see */
    for (size_t i = 0; i < SIDE * SIDE; i++)
        grey[i] = 20 * (float)((i % SIDE / 9 * 7 + i / SIDE / 9 * 13) % 11); /* squares */
    dip_rng_init(&rng, 1, 0);
    assert_int_equal(bench_sift(&picture, N, &rng, first, &count), DIP_OK);
    dip_rng_init(&rng, 1, 0);
    assert_int_equal(bench_sift(&picture, N, &rng, again, &count_again), DIP_OK);
    assert_int_equal(count, count_again);
    assert_memory_equal(first, again, count * BENCH_SIFT_DIM);
    assert_true(count > N / 2 && count <= N);
    for (size_t i = 0; i < count; i++) {
        double square = 0;
        for (size_t d = 0; d < BENCH_SIFT_DIM; d++) square += pow(first[i * BENCH_SIFT_DIM + d], 2);
        assert_true(fabs(sqrt(square) - 512) < 12);
    }
}

static void a_cut_file_is_refused(void **state)
{
    (void)state;
    const char *path = support_path("cut.fbin");
    const uint32_t words[] = {2, 3, 0, 0, 0, 0, 0, 0};
    dip_map map;
    const float *values;
    size_t n, dim;
    assert_int_equal(dip_file_write(path, words, sizeof words), DIP_OK);
    assert_int_equal(bench_fbin_map(&map, path, &values, &n, &dim), DIP_OK);
    assert_int_equal(n, 2);
    assert_int_equal(dim, 3);
    dip_file_unmap(&map);
    for (size_t length = 0; length < sizeof words; length += 4) {
        assert_int_equal(dip_file_write(path, words, length), DIP_OK);
        assert_int_equal(bench_fbin_map(&map, path, &values, &n, &dim), DIP_EFORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_queries_lie_outside),
        cmocka_unit_test(descriptors_are_of_length_512),
        cmocka_unit_test(a_cut_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
