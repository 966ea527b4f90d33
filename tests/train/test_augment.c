/* Augmentation: views cut and turned as drawn, noise of the strength asked for, everything by the seed. */
#include "train/augment.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { PX = 4, BANDS = 2, SIZE = PX * PX * BANDS };

static void number(float *image, size_t n)
{
    for (size_t i = 0; i < n; i++) image[i] = (float)i;
}

static void whole_view_is_the_tile(void **state)
{
    (void)state;
    float image[SIZE], scratch[SIZE], out[SIZE];
    dip_view view = dip_view_whole();
    number(image, SIZE);
    assert_int_equal(dip_view_cut(&view, image, PX, PX, BANDS, PX, scratch, out), DIP_OK);
    for (int i = 0; i < SIZE; i++) assert_true(fabsf(out[i] - image[i]) < 1e-4f);
}

static void four_turns_come_back(void **state)
{
    (void)state;
    float image[SIZE], once[SIZE] = {0}, scratch[SIZE], out[SIZE];
    dip_view quarter = {.side = 1, .turns = 1};
    number(image, SIZE);
    memcpy(out, image, sizeof out);
    for (int i = 0; i < 4; i++) {
        float in[SIZE];
        memcpy(in, out, sizeof in);
        assert_int_equal(dip_view_cut(&quarter, in, PX, PX, BANDS, PX, scratch, out), DIP_OK);
        if (i == 0) memcpy(once, out, sizeof once);
    }
    for (int i = 0; i < SIZE; i++) assert_true(fabsf(out[i] - image[i]) < 1e-4f);
    /* counter-clockwise: the top right pixel comes to the top left */
    assert_true(fabsf(once[0] - image[(PX - 1) * BANDS]) < 1e-4f);
}

static void all_eight_orientations_differ(void **state)
{
    (void)state;
    float image[SIZE], scratch[SIZE], out[8][SIZE];
    number(image, SIZE);
    for (unsigned i = 0; i < 8; i++) {
        dip_view view = {.side = 1, .turns = i % 4, .mirror = i >= 4};
        assert_int_equal(dip_view_cut(&view, image, PX, PX, BANDS, PX, scratch, out[i]), DIP_OK);
        for (unsigned k = 0; k < i; k++) assert_memory_not_equal(out[i], out[k], sizeof out[i]);
    }
}

/* A ramp in metres, on a 10 m and on a 20 m grid: the same view shows the same ground. */
static void one_view_shows_one_ground_on_two_grids(void **state)
{
    (void)state;
    enum { FINE = 24, COARSE = 12, OUT = 6 };
    float fine[FINE * FINE], coarse[COARSE * COARSE], scratch[OUT * OUT], a[OUT * OUT],
        b[OUT * OUT];
    for (int i = 0; i < FINE * FINE; i++) fine[i] = (float)(i % FINE) * 10 + 5;
    for (int i = 0; i < COARSE * COARSE; i++) coarse[i] = (float)(i % COARSE) * 20 + 10;
    dip_view view = {.side = 0.5, .x = 0.4, .y = 0.7, .turns = 3, .mirror = true};
    assert_int_equal(dip_view_cut(&view, fine, FINE, FINE, 1, OUT, scratch, a), DIP_OK);
    assert_int_equal(dip_view_cut(&view, coarse, COARSE, COARSE, 1, OUT, scratch, b), DIP_OK);
    for (int i = 0; i < OUT * OUT; i++) assert_true(fabsf(a[i] - b[i]) < 0.5f);
}

static void views_stay_in_range(void **state)
{
    (void)state;
    const dip_augment augment = {.zoom_min = 0.5, .zoom_max = 1, .rotations = true};
    double least = 2, most = 0;
    unsigned turns = 0;
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    for (int i = 0; i < 1000; i++) {
        dip_view view = dip_view_draw(&augment, &rng);
        assert_true(view.side >= 0.5 && view.side <= 1 && view.x >= 0 && view.x < 1);
        assert_false(view.mirror);
        least = fmin(least, view.side);
        most = fmax(most, view.side);
        turns |= 1u << view.turns;
    }
    assert_true(least < 0.52 && most > 0.99 && turns == 15);
}

static void the_seed_decides(void **state)
{
    (void)state;
    const dip_augment augment = {.gain = 0.2, .offset = 0.2, .noise = 0.1, .cutout = 0.5};
    dip_modality modality = {.band_count = BANDS};
    float a[SIZE], b[SIZE], c[SIZE];
    dip_rng x, y, z;
    dip_rng_init(&x, 1, 9);
    dip_rng_init(&y, 1, 9);
    dip_rng_init(&z, 2, 9);
    number(a, SIZE);
    number(b, SIZE);
    number(c, SIZE);
    dip_augment_values(&augment, &modality, PX, &x, a);
    dip_augment_values(&augment, &modality, PX, &y, b);
    dip_augment_values(&augment, &modality, PX, &z, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static void noise_has_the_strength_asked_for(void **state)
{
    (void)state;
    enum { SIDE = 64, N = SIDE * SIDE };
    static float values[N];
    const dip_augment augment = {.noise = 0.3};
    dip_modality modality = {.band_count = 1};
    dip_rng rng;
    double sum = 0, squares = 0;
    dip_rng_init(&rng, 3, 0);
    memset(values, 0, sizeof values);
    dip_augment_values(&augment, &modality, SIDE, &rng, values);
    for (int i = 0; i < N; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    assert_true(fabs(sum / N) < 0.02 && fabs(sqrt(squares / N) - 0.3) < 0.01);
}

/* The intensity's relative standard deviation is the one asked for, whatever the unit; optical bands stay. */
static void speckle_multiplies_the_intensity(void **state)
{
    (void)state;
    enum { SIDE = 64, N = SIDE * SIDE, UNITS = 4 };
    static float values[N * UNITS];
    static const char *const units[UNITS] = {"dB", "amplitude", "power", "reflectance"};
    static const double mean[UNITS] = {-12, 100, 10000, 500}, stddev[UNITS] = {4, 30, 5000, 200};
    const dip_augment augment = {.speckle = 0.4};
    dip_modality modality = {.band_count = UNITS};
    double sum[UNITS] = {0}, squares[UNITS] = {0};
    dip_rng rng;
    dip_rng_init(&rng, 4, 0);
    for (int b = 0; b < UNITS; b++) {
        strcpy(modality.bands[b].unit, units[b]);
        modality.bands[b].mean = mean[b];
        modality.bands[b].stddev = stddev[b];
    }
    dip_augment_values(&augment, &modality, SIDE, &rng, values);
    for (int i = 0; i < N * UNITS; i++) {
        int b = i % UNITS;
        double stored = values[i] * stddev[b] + mean[b], factor = stored / mean[b];
        if (b == 0) factor = pow(10, (stored - mean[b]) / 10);
        if (b == 1) factor *= factor;
        sum[b] += factor / N;
        squares[b] += factor * factor / N;
    }
    for (int b = 0; b < UNITS; b++) {
        double spread = sqrt(fmax(squares[b] - sum[b] * sum[b], 0));
        assert_true(fabs(sum[b] - 1) < 0.03);
        assert_true(fabs(spread - (b < 3 ? 0.4 : 0)) < 0.03);
    }
}

static void dropped_bands_are_their_mean_and_one_stays(void **state)
{
    (void)state;
    const dip_augment augment = {.band_drop = 1};
    dip_modality modality = {.band_count = BANDS};
    int kept[BANDS] = {0};
    dip_rng rng;
    dip_rng_init(&rng, 5, 0);
    for (int t = 0; t < 50; t++) {
        float values[SIZE];
        for (int i = 0; i < SIZE; i++) values[i] = 7;
        dip_augment_values(&augment, &modality, PX, &rng, values);
        assert_true(values[0] + values[1] == 7);
        kept[0] += values[0] != 0;
        kept[1] += values[1] != 0;
    }
    assert_true(kept[0] > 10 && kept[1] > 10);
}

static void cut_out_is_one_square(void **state)
{
    (void)state;
    enum { SIDE = 24 };
    const dip_augment augment = {.cutout = 1};
    dip_modality modality = {.band_count = 1};
    dip_rng rng;
    dip_rng_init(&rng, 6, 0);
    for (int t = 0; t < 50; t++) {
        float values[SIDE * SIDE];
        int count = 0;
        for (int i = 0; i < SIDE * SIDE; i++) values[i] = 1;
        dip_augment_values(&augment, &modality, SIDE, &rng, values);
        for (int i = 0; i < SIDE * SIDE; i++) count += values[i] == 0;
        int side = (int)lround(sqrt(count));
        assert_int_equal(side * side, count);
        assert_true(side >= SIDE / 8 && side <= SIDE / 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_view_is_the_tile),
        cmocka_unit_test(four_turns_come_back),
        cmocka_unit_test(all_eight_orientations_differ),
        cmocka_unit_test(one_view_shows_one_ground_on_two_grids),
        cmocka_unit_test(views_stay_in_range),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(noise_has_the_strength_asked_for),
        cmocka_unit_test(speckle_multiplies_the_intensity),
        cmocka_unit_test(dropped_bands_are_their_mean_and_one_stays),
        cmocka_unit_test(cut_out_is_one_square),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
