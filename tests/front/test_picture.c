/* Tiles as pictures: stretch, decibels, grids, gaps. */
#include "front/picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 10 };

static dip_modality modality_of(const char *unit, double stddev, uint32_t bands)
{
    dip_modality m = {.name = "m", .band_count = bands};
    for (uint32_t b = 0; b < bands; b++) {
        snprintf(m.bands[b].name, sizeof m.bands[b].name, "B%u", b);
        snprintf(m.bands[b].unit, sizeof m.bands[b].unit, "%s", unit);
        m.bands[b].stddev = stddev;
    }
    return m;
}

static dip_picture render(const float *pixels, const dip_modality *modality)
{
    dip_picture picture;
    dip_tile tile = {.meta = {.name = "t"}, .plane_count = 1};
    tile.planes[0] = (dip_plane){DIP_DTYPE_F32, SIDE, SIDE, (void *)(uintptr_t)pixels};
    assert_int_equal(dip_picture_render(&picture, &tile, modality), DIP_OK);
    assert_int_equal(picture.width * picture.height * picture.channels, SIDE * SIDE);
    return picture;
}

static void test_percentiles_become_black_and_white(void **state)
{
    float pixels[SIDE * SIDE];
    dip_modality m = modality_of("", 0, 1);
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = (float)i;
    pixels[99] = 1e6F; /* one wild pixel does not darken the rest */
    dip_picture p = render(pixels, &m);
    assert_int_equal(p.pixels[0], 0);
    assert_int_equal(p.pixels[1], 0);
    assert_int_equal(p.pixels[99], 255);
    assert_true(abs(p.pixels[49] - 127) <= 3);
    for (int i = 1; i < SIDE * SIDE; i++) assert_true(p.pixels[i] >= p.pixels[i - 1]);
    dip_picture_fini(&p);
}

static void test_a_calm_tile_stays_calm(void **state)
{
    float pixels[SIDE * SIDE];
    dip_modality m = modality_of("reflectance", 1000, 1);
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = 500 + (float)(i % 3);
    dip_picture p = render(pixels, &m);
    for (int i = 0; i < SIDE * SIDE; i++) assert_true(abs(p.pixels[i] - 127) <= 2);
    dip_picture_fini(&p);
    m.bands[0].stddev = 0; /* nothing known, nothing varies */
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = 7;
    p = render(pixels, &m);
    for (int i = 1; i < SIDE * SIDE; i++) assert_int_equal(p.pixels[i], p.pixels[0]);
    dip_picture_fini(&p);
}

/* The same scene as dB, as power and as amplitude is the same picture. */
static void test_radar_is_shown_in_decibels(void **state)
{
    float db[SIDE * SIDE], power[SIDE * SIDE], amplitude[SIDE * SIDE];
    dip_modality m = modality_of("dB", 5, 1);
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++) {
        db[i] = -25 + 0.2F * (float)i;
        power[i] = powf(10, db[i] / 10);
        amplitude[i] = powf(10, db[i] / 20);
    }
    dip_picture a = render(db, &m);
    m = modality_of("power", 5, 1);
    dip_picture b = render(power, &m);
    m = modality_of("amplitude", 5, 1);
    dip_picture c = render(amplitude, &m);
    for (int i = 0; i < SIDE * SIDE; i++) {
        assert_true(abs(a.pixels[i] - b.pixels[i]) <= 1);
        assert_true(abs(a.pixels[i] - c.pixels[i]) <= 1);
    }
    dip_picture_fini(&a);
    dip_picture_fini(&b);
    dip_picture_fini(&c);
}

static void test_gaps_are_black_and_do_not_count(void **state)
{
    float pixels[SIDE * SIDE];
    dip_modality m = modality_of("power", 0, 1);
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = i < 50 ? 0 : i < 60 ? NAN : (float)(i - 50);
    dip_picture p = render(pixels, &m);
    for (int i = 0; i < 60; i++) assert_int_equal(p.pixels[i], 0);
    assert_int_equal(p.pixels[99], 255);
    dip_picture_fini(&p);
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = NAN; /* nothing to show at all */
    p = render(pixels, &m);
    for (int i = 0; i < SIDE * SIDE; i++) assert_int_equal(p.pixels[i], 0);
    dip_picture_fini(&p);
}

static void test_colours_come_from_the_display_bands(void **state)
{
    uint8_t fine[4] = {0, 100, 200, 250};
    uint16_t coarse = 9;
    int16_t other[4] = {-30, -20, -10, 0};
    dip_modality m = modality_of("", 0, 3);
    dip_tile tile = {.meta = {.name = "t"}, .plane_count = 3};
    dip_picture p;
    (void)state;
    tile.planes[0] = (dip_plane){DIP_DTYPE_U8, 2, 2, fine};
    tile.planes[1] = (dip_plane){DIP_DTYPE_U16, 1, 1, &coarse};
    tile.planes[2] = (dip_plane){DIP_DTYPE_I16, 2, 2, other};
    snprintf(m.display[0], sizeof m.display[0], "B2");
    snprintf(m.display[1], sizeof m.display[1], "B1");
    snprintf(m.display[2], sizeof m.display[2], "B0");
    assert_int_equal(dip_picture_render(&p, &tile, &m), DIP_OK);
    assert_true(p.channels == 3 && p.width == 2 && p.height == 2);
    assert_true(p.pixels[0] == 0 && p.pixels[9] == 255);     /* B2 rises */
    assert_true(p.pixels[1] == p.pixels[10]);                /* B1 is one pixel */
    assert_true(p.pixels[2] == 0 && p.pixels[2 + 9] == 255); /* B0 rises */
    dip_picture_fini(&p);
    m.display[1][0] = '\0';
    assert_int_equal(dip_picture_render(&p, &tile, &m), DIP_OK);
    assert_int_equal(p.channels, 1);
    dip_picture_fini(&p);
    tile.plane_count = 1;
    assert_int_equal(dip_picture_render(&p, &tile, &m), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "B2"));
}

static void test_captions(void **state)
{
    char text[64];
    dip_modality m = modality_of("amplitude", 0, 3);
    (void)state;
    dip_picture_caption(&m, text, sizeof text);
    assert_string_equal(text, "B0, dB");
    for (int i = 0; i < 3; i++) snprintf(m.display[i], sizeof m.display[i], "B%d", 2 - i);
    dip_picture_caption(&m, text, sizeof text);
    assert_string_equal(text, "B2, B1, B0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles_become_black_and_white),
        cmocka_unit_test(test_a_calm_tile_stays_calm),
        cmocka_unit_test(test_radar_is_shown_in_decibels),
        cmocka_unit_test(test_gaps_are_black_and_do_not_count),
        cmocka_unit_test(test_colours_come_from_the_display_bands),
        cmocka_unit_test(test_captions),
    };
    return cmocka_run_group_tests_name("tools/picture", tests, NULL, NULL);
}
