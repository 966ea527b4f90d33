/* Calibration: quantiles of random pairs, and percentiles from them. */
#include "support.h"

#include "core/parallel.h"
#include "search/calibrate.h"

enum { ANGLES = 360, MANY = 1000 };
static const double PI = 3.141592653589793;

/*
 * `ones` times the same vector against a half circle of vectors: the share that scores lower than cos(a) is
 * 1 - a / pi. One: all pairs are taken; many: pairs are drawn.
 */
static size_t calibrate_circle(dip_calibration *out, const uint64_t *places, size_t ones)
{
    static float circle[ANGLES][2], one[MANY][2];
    static uint64_t own[MANY];
    size_t pairs;
    for (size_t i = 0; i < ones; i++) {
        one[i][0] = 1;
        own[i] = 1000000;
    }
    for (int i = 0; i < ANGLES; i++) {
        double angle = PI * (i + 0.5) / ANGLES;
        circle[i][0] = (float)cos(angle);
        circle[i][1] = (float)sin(angle);
    }
    const dip_supply probes = {.n = ones, .dim = 2, .values = one[0]},
                     targets = {.n = ANGLES, .dim = 2, .values = circle[0]};
    dip_calibration_side from = {&probes, own}, to = {&targets, places};
    assert_ok(dip_calibrate(&from, &to, 1, out, &pairs));
    return pairs;
}

static void test_percentile_of_a_known_distribution(void **state)
{
    static dip_calibration c;
    static uint64_t places[ANGLES];
    (void)state;
    for (uint64_t i = 0; i < ANGLES; i++) places[i] = i;
    for (size_t ones = 1; ones <= MANY; ones += MANY - 1) {
        size_t pairs = calibrate_circle(&c, places, ones);
        assert_true(ones == 1 ? pairs == ANGLES : pairs > 100000);
        for (double angle = 0.05; angle < 3.1; angle += 0.1) {
            double expected = 100 * (1 - angle / PI);
            double got = (double)dip_calibration_percentile(&c, (float)cos(angle));
            if (fabs(got - expected) > 1)
                fail_msg("angle %.2f: %.2f, not %.2f", angle, got, expected);
        }
    }
    assert_true(dip_calibration_percentile(&c, 1.5F) == 100);
    assert_true(dip_calibration_percentile(&c, -1.5F) == 0);
}

static void test_percentile_between_quantiles_by_hand(void **state)
{
    static dip_calibration c;
    (void)state;
    for (int i = 0; i < DIP_CALIBRATION_STEPS; i++) c.quantile[i] = (float)i;
    assert_true(fabs((double)dip_calibration_percentile(&c, 500.5F) - 50.05) < 1e-4);
    assert_true(dip_calibration_percentile(&c, 0) == 0);
    for (int i = 0; i < DIP_CALIBRATION_STEPS; i++) c.quantile[i] = i < 700 ? 0.1F : 0.2F;
    assert_true(dip_calibration_percentile(&c, 0.1F) == 0); /* nothing is lower */
    assert_true(dip_calibration_percentile(&c, 0.3F) == 100);
    assert_true(isnan(dip_calibration_percentile(NULL, 0.5F)));
}

static void test_pairs_of_one_place_are_not_drawn(void **state)
{
    static dip_calibration c;
    static uint64_t places[ANGLES];
    (void)state;
    /* All tiles but the last quarter of the circle are of the probe's own place. */
    for (uint64_t i = 0; i < ANGLES; i++) places[i] = i < 270 ? 1000000 : i;
    assert_int_equal(calibrate_circle(&c, places, 1), 90);
    assert_true(c.quantile[DIP_CALIBRATION_STEPS - 1] < cosf(0.74F * (float)PI));
    assert_true(calibrate_circle(&c, places, MANY) > 100000);
    assert_true(c.quantile[DIP_CALIBRATION_STEPS - 1] < cosf(0.74F * (float)PI));
    for (uint64_t i = 0; i < ANGLES; i++) places[i] = 1000000;
    assert_int_equal(calibrate_circle(&c, places, 1), 0);
    assert_int_equal(calibrate_circle(&c, places, MANY), 0);
}

static void test_threads_do_not_matter(void **state)
{
    static dip_calibration one, three;
    static uint64_t places[ANGLES];
    (void)state;
    for (uint64_t i = 0; i < ANGLES; i++) places[i] = i;
    dip_threads_set(1);
    calibrate_circle(&one, places, MANY);
    dip_threads_set(3);
    calibrate_circle(&three, places, MANY);
    dip_threads_set(0);
    assert_memory_equal(one.quantile, three.quantile, sizeof one.quantile);
}

static void test_find_by_direction(void **state)
{
    static dip_calibration list[2] = {{.from = "s1", .to = "s2"}, {.from = "s2", .to = "s1"}};
    dip_manifest m = {.calibration_count = 2, .calibrations = list};
    (void)state;
    assert_ptr_equal(dip_calibration_find(&m, "s2", "s1"), &list[1]);
    assert_null(dip_calibration_find(&m, "s1", "s1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentile_of_a_known_distribution),
        cmocka_unit_test(test_percentile_between_quantiles_by_hand),
        cmocka_unit_test(test_pairs_of_one_place_are_not_drawn),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_find_by_direction),
    };
    return cmocka_run_group_tests_name("search/calibrate", tests, NULL, NULL);
}
