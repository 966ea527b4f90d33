/*
 * Random numbers. The known answers come from a separate implementation in Python integers, which itself gave splitmix64's
 * published first outputs for seed 1234567 and xoshiro256**'s for the state 1, 2, 3, 4.
 */
#include "tests/core/support.h"

#include "core/rng.h"

#include <math.h>

static void test_the_generator_is_xoshiro256(void **state)
{
    static const uint64_t published[] = {
        11520, 0, 1509978240, 1215971899390074240u, 1216172134540287360u, 607988272756665600u,
    };
    dip_rng rng = {{1, 2, 3, 4}};
    (void)state;
    for (size_t i = 0; i < 6; i++) assert_int_equal(dip_rng_u64(&rng), published[i]);
}

static void test_seed_and_stream_choose_the_sequence(void **state)
{
    static const struct {
        uint64_t seed, stream, first[4];
    } cases[] = {
        {0, 0, {0xef75d62a19ba94ed, 0x8e9490536375f270, 0xc05630b1c614195d, 0x66daa2d5136a8f29}},
        {1, 0, {0x309714ec38d33b4c, 0x1bc11473d28024a0, 0xaa4f7bbef2a5a194, 0xe418b571ccc48341}},
        {1, 1, {0x6a96080e7283f84a, 0xbac7b3fd87fb8a3d, 0xb3f751ca16f57829, 0x61d11af3db94371d}},
        {UINT64_MAX,
         7,
         {0x360e754d7766f01c, 0x1534303e71f133bd, 0x1ff4252222f3768c, 0x154de2de564c11b5}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_rng rng;
        dip_rng_init(&rng, cases[i].seed, cases[i].stream);
        for (size_t j = 0; j < 4; j++) assert_int_equal(dip_rng_u64(&rng), cases[i].first[j]);
    }
}

static void test_known_draws(void **state)
{
    static const uint32_t below_ten[] = {1, 1, 6, 8, 9, 7, 5, 2};
    dip_rng rng;
    (void)state;
    dip_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < 8; i++) assert_int_equal(dip_rng_below(&rng, 10), below_ten[i]);
    dip_rng_init(&rng, 1, 0);
    assert_true(dip_rng_uniform(&rng) == 0.189805324241047);
    assert_true(dip_rng_uniform(&rng) == 0.1084149153489311);
}

static void test_a_copy_goes_on_alike(void **state)
{
    dip_rng rng, copy;
    (void)state;
    dip_rng_init(&rng, 5, 3);
    for (int i = 0; i < 10; i++) dip_rng_normal(&rng);
    copy = rng;
    for (int i = 0; i < 10; i++) assert_true(dip_rng_normal(&rng) == dip_rng_normal(&copy));
}

/* Chi-square of `bins` counts against equal ones; its mean is bins-1, its deviation sqrt(2 (bins-1)). */
static double excess(const uint32_t *counts, size_t bins, double draws)
{
    double expected = draws / (double)bins, sum = 0, freedom = (double)bins - 1;
    for (size_t i = 0; i < bins; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return (sum - freedom) / sqrt(2 * freedom);
}

static void test_below_is_uniform(void **state)
{
    static const uint32_t sizes[] = {2, 3, 10, 97, 1000};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t counts[1000] = {0};
        dip_rng rng;
        dip_rng_init(&rng, 11, s);
        for (int i = 0; i < 200000; i++) counts[dip_rng_below(&rng, sizes[s])]++;
        assert_true(fabs(excess(counts, sizes[s], 200000)) < 5);
    }
}

/* A range just over 2^31 shows the bias that a plain modulo has: a third of the values twice as often. */
static void test_below_has_no_bias_in_large_ranges(void **state)
{
    const uint32_t n = 3u << 30;
    uint32_t counts[3] = {0};
    dip_rng rng;
    (void)state;
    dip_rng_init(&rng, 13, 0);
    for (int i = 0; i < 90000; i++) {
        uint32_t x = dip_rng_below(&rng, n);
        assert_true(x < n);
        counts[x / (1u << 30)]++;
    }
    assert_true(fabs(excess(counts, 3, 90000)) < 5);
    for (int i = 0; i < 10; i++) assert_int_equal(dip_rng_below(&rng, 1), 0);
}

typedef double draw_fn(dip_rng *rng);

static double draw_range(dip_rng *rng) { return dip_rng_range(rng, -3, 5); }
static double draw_gamma_half(dip_rng *rng) { return dip_rng_gamma(rng, 0.5); }
static double draw_gamma_four(dip_rng *rng) { return dip_rng_gamma(rng, 4); }

/* Mean, variance and third central moment of each distribution; the tolerances are six standard errors. */
static void test_moments(void **state)
{
    static const struct {
        const char *name;
        draw_fn *draw;
        double low, mean, variance, third;
    } cases[] = {
        {"uniform", dip_rng_uniform, 0, 0.5, 1.0 / 12, 0},
        {"range", draw_range, -3, 1, 64.0 / 12, 0},
        {"normal", dip_rng_normal, -INFINITY, 0, 1, 0},
        {"gamma 0.5", draw_gamma_half, 0, 0.5, 0.5, 1},
        {"gamma 4", draw_gamma_four, 0, 4, 4, 8},
    };
    enum { N = 400000 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double sum = 0, square = 0, cube = 0, sigma = sqrt(cases[i].variance);
        dip_rng rng;
        dip_rng_init(&rng, 17, i);
        for (int j = 0; j < N; j++) {
            double x = cases[i].draw(&rng), d = (x - cases[i].mean) / sigma;
            assert_true(x >= cases[i].low && isfinite(x));
            sum += d, square += d * d, cube += d * d * d;
        }
        double skew = cases[i].third / (sigma * sigma * sigma);
        if (fabs(sum / N) > 0.01 || fabs(square / N - 1) > 0.04 || fabs(cube / N - skew) > 0.4)
            fail_msg("%s: %g %g %g", cases[i].name, sum / N, square / N, cube / N);
    }
}

static void test_normal_has_its_tails(void **state)
{
    enum { N = 400000 };
    int beyond[4] = {0};
    dip_rng rng;
    (void)state;
    dip_rng_init(&rng, 19, 0);
    for (int i = 0; i < N; i++) {
        double x = fabs(dip_rng_normal(&rng));
        for (int s = 1; s < 4; s++) beyond[s] += x > s;
    }
    for (int s = 1; s < 4; s++) {
        double expected = N * erfc(s / sqrt(2)), error = sqrt(expected);
        assert_true(fabs(beyond[s] - expected) < 5 * error);
    }
}

static void test_shuffle_reaches_every_order_alike(void **state)
{
    uint32_t counts[24] = {0};
    dip_rng rng;
    (void)state;
    dip_rng_init(&rng, 23, 0);
    for (int i = 0; i < 48000; i++) {
        uint32_t v[4] = {0, 1, 2, 3}, seen = 0;
        dip_rng_shuffle(&rng, v, 4);
        for (int j = 0; j < 4; j++) seen |= 1u << v[j];
        assert_int_equal(seen, 15);
        uint32_t second = v[1] - (v[1] > v[0]), third = v[2] > v[3];
        counts[v[0] * 6 + second * 2 + third]++;
    }
    assert_true(fabs(excess(counts, 24, 48000)) < 5);
    uint32_t one = 7;
    dip_rng_shuffle(&rng, &one, 1);
    dip_rng_shuffle(&rng, NULL, 0);
    assert_int_equal(one, 7);
}

/* Neighbouring streams of one seed must not follow each other. */
static void test_streams_are_independent(void **state)
{
    enum { N = 20000 };
    (void)state;
    for (uint64_t stream = 0; stream < 8; stream++) {
        dip_rng a, b;
        double product = 0;
        dip_rng_init(&a, 29, stream);
        dip_rng_init(&b, 29, stream + 1);
        for (int i = 0; i < N; i++) product += dip_rng_normal(&a) * dip_rng_normal(&b);
        assert_true(fabs(product) < 5 * sqrt(N));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_generator_is_xoshiro256),
        cmocka_unit_test(test_seed_and_stream_choose_the_sequence),
        cmocka_unit_test(test_known_draws),
        cmocka_unit_test(test_a_copy_goes_on_alike),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_below_has_no_bias_in_large_ranges),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_normal_has_its_tails),
        cmocka_unit_test(test_shuffle_reaches_every_order_alike),
        cmocka_unit_test(test_streams_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
