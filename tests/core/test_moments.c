/* Mean and spread gathered in parts, against two plain passes over all values. */
#include "support.h"

#include "core/moments.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <math.h>

enum { PARTS = 150, VALUES = 3, SAMPLES = 40 };

static double sample(size_t part, size_t k, size_t value)
{
    dip_rng rng;
    dip_rng_init(&rng, part * SAMPLES + k, value);
    return 1e6 + (double)value *
                     dip_rng_normal(&rng); /* far from zero: sums of squares would lose digits */
}

/* Every seventh part has nothing to say about the first value. */
static dip_status fill(void *context, size_t part, dip_moments *out)
{
    if (context && part == PARTS / 2) return dip_fail(DIP_EINVAL, "part %zu", part);
    for (size_t v = part % 7 == 0; v < VALUES; v++)
        for (size_t k = 0; k < SAMPLES; k++) dip_moments_add(&out[v], sample(part, k, v));
    return DIP_OK;
}

static void two_passes(size_t v, double *mean, double *deviation)
{
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < PARTS * SAMPLES; i++) {
        if (i / SAMPLES % 7 == 0 && v == 0) continue;
        sum += sample(i / SAMPLES, i % SAMPLES, v) - 1e6;
        count++;
    }
    for (size_t i = 0; i < PARTS * SAMPLES; i++) {
        if (i / SAMPLES % 7 == 0 && v == 0) continue;
        double distance = sample(i / SAMPLES, i % SAMPLES, v) - 1e6 - sum / count;
        squares += distance * distance;
    }
    *mean = 1e6 + sum / count;
    *deviation = sqrt(squares / count);
}

static void parts_are_joined(void **state)
{
    (void)state;
    dip_moments found[VALUES], one[VALUES];
    dip_threads_set(2);
    assert_int_equal(dip_moments_gather(found, VALUES, PARTS, fill, NULL, NULL), DIP_OK);
    dip_threads_set(1);
    assert_int_equal(dip_moments_gather(one, VALUES, PARTS, fill, NULL, NULL), DIP_OK);
    assert_memory_equal(found, one, sizeof found);
    for (size_t v = 0; v < VALUES; v++) {
        double mean, deviation;
        two_passes(v, &mean, &deviation);
        assert_true(fabs(found[v].mean - mean) < 1e-8);
        assert_true(fabs(dip_moments_deviation(&found[v]) - deviation) < 1e-8);
    }
}

static int stop(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase, (void)total;
    *(uint64_t *)payload = done;
    return 1;
}

static void failures_come_back(void **state)
{
    (void)state;
    dip_moments found[VALUES];
    uint64_t done = 0;
    const dip_progress progress = {stop, &done};
    assert_int_equal(dip_moments_gather(found, VALUES, PARTS, fill, found, NULL), DIP_EINVAL);
    assert_string_equal(dip_last_error(), "part 75");
    assert_int_equal(dip_moments_gather(found, VALUES, PARTS, fill, NULL, &progress), DIP_ECANCEL);
    assert_true(done > 0 && done < PARTS);
    assert_int_equal(dip_moments_gather(found, VALUES, 0, fill, NULL, NULL), DIP_OK);
    assert_true(found[0].count == 0 && dip_moments_deviation(&found[0]) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(failures_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
