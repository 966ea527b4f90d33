/* Planes to input: normalisation, up-sampling against GDAL's cubic, windows against plain sums. */
#include "encoder/prepare.h"

#include "core/rng.h"
#include "core/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static dip_modality one_band(double mean, double stddev)
{
    dip_modality m = {.name = "m", .band_count = 1};
    strcpy(m.bands[0].name, "B1");
    m.bands[0].mean = mean;
    m.bands[0].stddev = stddev;
    return m;
}

static dip_tile one_plane(dip_dtype dtype, uint32_t width, uint32_t height, void *pixels)
{
    dip_tile tile = {.plane_count = 1};
    tile.meta.name = "t";
    tile.planes[0] = (dip_plane){dtype, width, height, pixels};
    return tile;
}

static void normalises_every_pixel_type(void **state)
{
    (void)state;
    uint8_t u8[] = {7};
    uint16_t u16[] = {7};
    int16_t i16[] = {7};
    uint32_t u32[] = {7};
    int32_t i32[] = {7};
    float f32[] = {7};
    double f64[] = {7};
    void *pixels[] = {u8, u16, i16, u32, i32, f32, f64};
    dip_modality m = one_band(3, 2);
    for (int i = 0; i < 7; i++) {
        dip_tile tile = one_plane((dip_dtype)(DIP_DTYPE_U8 + i), 1, 1, pixels[i]);
        float out = 0;
        assert_int_equal(dip_prepare(&tile, &m, &out), DIP_OK);
        assert_true(out == 2);
    }
}

static void nan_names_the_band(void **state)
{
    (void)state;
    float pixels[] = {1, NAN, 3, 4}, out[4];
    dip_modality m = one_band(0, 1);
    dip_tile tile = one_plane(DIP_DTYPE_F32, 2, 2, pixels);
    assert_int_equal(dip_prepare(&tile, &m, out), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "'B1'"));
    pixels[1] = -INFINITY;
    assert_int_equal(dip_prepare(&tile, &m, out), DIP_EFORMAT);
    m.band_count = 2;
    assert_int_equal(dip_prepare(&tile, &m, out), DIP_EMISMATCH);
}

static void bands_of_three_grids_meet_on_the_finest(void **state)
{
    (void)state;
    uint16_t fine[144], middle[36], coarse[4];
    for (int i = 0; i < 144; i++) fine[i] = (uint16_t)i;
    for (int i = 0; i < 36; i++) middle[i] = 500;
    for (int i = 0; i < 4; i++) coarse[i] = 900;
    dip_modality m = {.name = "m", .band_count = 3};
    dip_tile tile = {.plane_count = 3};
    tile.planes[0] = (dip_plane){DIP_DTYPE_U16, 6, 6, middle};
    tile.planes[1] = (dip_plane){DIP_DTYPE_U16, 12, 12, fine};
    tile.planes[2] = (dip_plane){DIP_DTYPE_U16, 2, 2, coarse};
    uint32_t width, height;
    dip_prepare_size(&tile, &width, &height);
    assert_int_equal(width, 12);
    assert_int_equal(height, 12);
    float out[432];
    assert_int_equal(dip_prepare(&tile, &m, out), DIP_OK);
    for (int i = 0; i < 144; i++) {
        assert_true(fabsf(out[3 * i] - 500) < 1e-3f); /* a constant stays a constant */
        assert_true(out[3 * i + 1] == (float)i);
        assert_true(fabsf(out[3 * i + 2] - 900) < 1e-3f);
    }
}

/* What GDAL 3.6.2 makes of the 4 x 3 image when GDALRasterIOEx() reads it as 8 x 6 with GRIORA_Cubic. */
static const float gdal_source[12] = {1, 5, 2, 8, 3, 9, 4, 7, 6, 0, 11, 10};
static const float gdal_cubic[48] = {
    0.4861592f, 1.610992f, 3.994612f,    4.195542f, 2.046186f, 3.01639f,  6.837484f, 8.641004f,
    0.9042507f, 2.276573f, 5.184766f,    5.395643f, 2.704722f, 3.19162f,  6.61559f,  8.23143f,
    1.788056f,  3.686131f, 7.7087f,      7.940243f, 4.097925f, 3.559699f, 6.143868f, 7.36282f,
    3.494387f,  4.497075f, 6.621467f,    7.158397f, 5.958492f, 5.999884f, 7.198306f, 7.763808f,
    5.799056f,  4.602856f, 2.065916f,    3.152828f, 8.041971f, 10.19156f, 9.640365f, 9.381709f,
    6.887543f,  4.653285f, -0.08419398f, 1.262408f, 9.026195f, 12.17086f, 10.79326f, 10.14533f,
};

static void upsampling_is_gdals_cubic(void **state)
{
    (void)state;
    float fine[48] = {0}, coarse[12], out[96];
    memcpy(coarse, gdal_source, sizeof coarse);
    dip_modality m = {.name = "m", .band_count = 2};
    dip_tile tile = {.plane_count = 2};
    tile.planes[0] = (dip_plane){DIP_DTYPE_F32, 8, 6, fine};
    tile.planes[1] = (dip_plane){DIP_DTYPE_F32, 4, 3, coarse};
    assert_int_equal(dip_prepare(&tile, &m, out), DIP_OK);
    for (int i = 0; i < 48; i++)
        if (fabsf(out[2 * i + 1] - gdal_cubic[i]) > 2e-5f)
            fail_msg("pixel %d: %f, GDAL %f", i, out[2 * i + 1], gdal_cubic[i]);
}

static void whole_window_of_equal_size_is_a_copy(void **state)
{
    (void)state;
    float image[5 * 5 * 2], out[5 * 5 * 2];
    for (int i = 0; i < 50; i++) image[i] = (float)i;
    assert_int_equal(dip_resample(image, 5, 5, 2, 0, 0, 5, 5, 5, out), DIP_OK);
    for (int i = 0; i < 50; i++) assert_true(fabsf(out[i] - image[i]) < 1e-5f);
}

/* The area average of a window by fine midpoint sampling of the piecewise constant image. */
static double sampled_average(const float *image, int width, int height, double x, double y,
                              double w, double h)
{
    enum { FINE = 400 };
    double sum = 0;
    for (int j = 0; j < FINE; j++) {
        for (int i = 0; i < FINE; i++) {
            int c = (int)floor(x + w * (i + 0.5) / FINE), r = (int)floor(y + h * (j + 0.5) / FINE);
            c = c < 0 ? 0 : c >= width ? width - 1 : c;
            r = r < 0 ? 0 : r >= height ? height - 1 : r;
            sum += image[r * width + c];
        }
    }
    return sum / (FINE * FINE);
}

static void shrinking_is_the_area_average(void **state)
{
    (void)state;
    enum { W = 13, H = 11, PX = 3 };
    static const double windows[][4] = {
        {0, 0, 13, 11}, {1.25, 2.5, 8.75, 7.3}, {-2.5, -1, 9, 8}, {6, 5, 9.5, 9}};
    float image[W * H], out[PX * PX];
    dip_rng rng;
    dip_rng_init(&rng, 1, 1);
    for (int i = 0; i < W * H; i++) image[i] = (float)dip_rng_normal(&rng);
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
        const double *v = windows[k];
        assert_int_equal(dip_resample(image, W, H, 1, v[0], v[1], v[2], v[3], PX, out), DIP_OK);
        for (int i = 0; i < PX * PX; i++) {
            double sx = v[2] / PX, sy = v[3] / PX;
            double expected =
                sampled_average(image, W, H, v[0] + sx * (i % PX), v[1] + sy * (i / PX), sx, sy);
            assert_true(fabs(out[i] - expected) < 0.02);
        }
    }
}

static void growing_a_ramp_keeps_it_straight(void **state)
{
    (void)state;
    enum { N = 8, PX = 20 };
    float image[N * N * 3], out[PX * PX * 3];
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++)
            for (int b = 0; b < 3; b++) image[(y * N + x) * 3 + b] = (float)(x + 10 * y + 100 * b);
    assert_int_equal(dip_resample(image, N, N, 3, 1, 2, 5, 4, PX, out), DIP_OK);
    for (int y = 0; y < PX; y++)
        for (int x = 0; x < PX; x++)
            for (int b = 0; b < 3; b++) {
                double at_x = 1 + (x + 0.5) * 5 / PX - 0.5, at_y = 2 + (y + 0.5) * 4 / PX - 0.5;
                double expected = at_x + 10 * at_y + 100 * b;
                assert_true(fabs(out[(y * PX + x) * 3 + b] - expected) < 1e-3);
            }
}

static void windows_beyond_the_edge_repeat_it(void **state)
{
    (void)state;
    float image[4] = {1, 2, 3, 4}, out[64];
    assert_int_equal(dip_resample(image, 2, 2, 1, -50, -50, 4, 4, 8, out), DIP_OK);
    for (int i = 0; i < 64; i++) assert_true(out[i] == 1);
    assert_int_equal(dip_resample(image, 2, 2, 1, 10, 10, 30, 30, 8, out), DIP_OK);
    for (int i = 0; i < 64; i++) assert_true(fabsf(out[i] - 4) < 1e-5f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalises_every_pixel_type),
        cmocka_unit_test(nan_names_the_band),
        cmocka_unit_test(bands_of_three_grids_meet_on_the_finest),
        cmocka_unit_test(upsampling_is_gdals_cubic),
        cmocka_unit_test(whole_window_of_equal_size_is_a_copy),
        cmocka_unit_test(shrinking_is_the_area_average),
        cmocka_unit_test(growing_a_ramp_keeps_it_straight),
        cmocka_unit_test(windows_beyond_the_edge_repeat_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
