/* AdamW, its schedule and the moving average, against plain double-precision formulas. */
#include "train/optimiser.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const dip_adamw settings = {
    .weight_decay = 0.05, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip = 0};

static void follows_the_formula(void **state)
{
    (void)state;
    enum { N = 6, STEPS = 30 };
    const dip_segment segments[] = {{0, 3, true}, {4, 2, false}}; /* position 3 belongs to none */
    float params[N] = {1, -2, 3, 4, -5, 6}, grads[N];
    double p[N] = {1, -2, 3, 4, -5, 6}, m[N] = {0}, v[N] = {0};
    dip_optimiser *o = NULL;
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    assert_int_equal(dip_optimiser_create(&o, &settings, segments, 2, N), DIP_OK);
    for (int t = 1; t <= STEPS; t++) {
        double sum = 0;
        for (int i = 0; i < N; i++) {
            grads[i] = (float)dip_rng_normal(&rng);
            if (i != 3) sum += (double)grads[i] * grads[i];
        }
        double norm = dip_optimiser_step(o, 0.01, params, grads);
        assert_true(fabs(norm - sqrt(sum)) < 1e-9 * (1 + norm));
        for (int i = 0; i < N; i++) {
            if (i == 3) continue;
            m[i] = 0.9 * m[i] + 0.1 * grads[i];
            v[i] = 0.95 * v[i] + 0.05 * (double)grads[i] * grads[i];
            double size = sqrt(v[i] / (1 - pow(0.95, t))) + 1e-8;
            if (i < 3) p[i] *= 1 - 0.01 * 0.05;
            p[i] -= 0.01 * m[i] / (1 - pow(0.9, t)) / size;
        }
    }
    for (int i = 0; i < N; i++) assert_true(fabs(params[i] - p[i]) < 1e-5);
    assert_true(params[3] == 4);
    assert_int_equal(dip_optimiser_steps(o), STEPS);
    dip_optimiser_destroy(o);
}

static void clipping_scales_the_gradient(void **state)
{
    (void)state;
    const dip_segment whole = {0, 2, false};
    dip_adamw clipped = settings;
    clipped.clip = 1;
    float a[2] = {0, 0}, b[2] = {0, 0};
    const float large[2] = {30, 40}, small[2] = {0.6f, 0.8f};
    dip_optimiser *x = NULL, *y = NULL;
    assert_int_equal(dip_optimiser_create(&x, &clipped, &whole, 1, 2), DIP_OK);
    assert_int_equal(dip_optimiser_create(&y, &settings, &whole, 1, 2), DIP_OK);
    assert_true(fabs(dip_optimiser_step(x, 0.1, a, large) - 50) < 1e-9);
    dip_optimiser_step(y, 0.1, b, small);
    for (int i = 0; i < 2; i++)
        assert_true(fabsf(dip_optimiser_moment(x, 0)[i] - dip_optimiser_moment(y, 0)[i]) < 1e-7f);
    dip_optimiser_destroy(x);
    dip_optimiser_destroy(y);
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    const dip_segment whole = {0, 2, true};
    float params[2] = {1, 2};
    const float grads[2] = {NAN, 1};
    dip_optimiser *o = NULL;
    assert_int_equal(dip_optimiser_create(&o, &settings, &whole, 1, 2), DIP_OK);
    assert_false(isfinite(dip_optimiser_step(o, 0.1, params, grads)));
    assert_true(params[0] == 1 && params[1] == 2);
    assert_int_equal(dip_optimiser_steps(o), 0);
    dip_optimiser_destroy(o);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    enum { N = 100000 };
    const dip_segment segments[] = {{0, 70001, true}, {70001, N - 70001, false}};
    float *params = dip_alloc(N * sizeof(float)), *first = dip_alloc(N * sizeof(float));
    float *grads = dip_alloc(N * sizeof(float));
    double norms[3];
    assert_true(params && first && grads);
    for (unsigned threads = 1; threads <= 3; threads++) {
        dip_optimiser *o = NULL;
        dip_rng rng;
        dip_rng_init(&rng, 2, 0);
        dip_threads_set(threads);
        assert_int_equal(dip_optimiser_create(&o, &settings, segments, 2, N), DIP_OK);
        for (int i = 0; i < N; i++) params[i] = (float)dip_rng_normal(&rng);
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < N; i++) grads[i] = (float)dip_rng_normal(&rng);
            norms[threads - 1] = dip_optimiser_step(o, 0.01, params, grads);
        }
        if (threads == 1) memcpy(first, params, N * sizeof(float));
        assert_memory_equal(first, params, N * sizeof(float));
        assert_memory_equal(&norms[0], &norms[threads - 1], sizeof(double));
        dip_optimiser_destroy(o);
    }
    dip_threads_set(0);
    dip_free(params);
    dip_free(first);
    dip_free(grads);
}

static void rate_warms_up_and_falls(void **state)
{
    (void)state;
    assert_true(fabs(dip_rate_at(2, DIP_DECAY_COSINE, 0, 10, 110) - 0.2) < 1e-12);
    assert_true(fabs(dip_rate_at(2, DIP_DECAY_COSINE, 9, 10, 110) - 2) < 1e-12);
    assert_true(fabs(dip_rate_at(2, DIP_DECAY_COSINE, 10, 10, 110) - 2) < 1e-12);
    assert_true(fabs(dip_rate_at(2, DIP_DECAY_COSINE, 60, 10, 110) - 1) < 1e-12);
    assert_true(dip_rate_at(2, DIP_DECAY_COSINE, 110, 10, 110) < 1e-12);
    assert_true(dip_rate_at(2, DIP_DECAY_CONSTANT, 100, 10, 110) == 2);
    assert_true(dip_rate_at(2, DIP_DECAY_COSINE, 0, 0, 0) == 2);
}

static void average_follows_the_values(void **state)
{
    (void)state;
    float average[3] = {1, 2, 3};
    const float values[3] = {2, 2, 5};
    dip_average_update(average, values, 3, 0.75);
    assert_true(average[0] == 1.25f && average[1] == 2 && average[2] == 3.5f);
    assert_true(fabs(dip_average_decay(0.99, 0) - 2.0 / 11) < 1e-12);
    assert_true(dip_average_decay(0.99, 100000) == 0.99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_formula),
        cmocka_unit_test(clipping_scales_the_gradient),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(rate_warms_up_and_falls),
        cmocka_unit_test(average_follows_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
