/* Rasters: what is written reads back, damaged files are refused, coordinates are right. */
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "ingest/raster.h"

#include <math.h>
#include <stdlib.h>

static void test_round_trip_of_every_type(void **state)
{
    (void)state;
    for (dip_dtype dtype = DIP_DTYPE_U8; dtype <= DIP_DTYPE_F64; dtype++) {
        const char *path = support_path("type%d.tif", (int)dtype);
        support_write_raster(path, &(support_raster){.width = 31,
                                                     .height = 17,
                                                     .bands = 3,
                                                     .dtype = dtype,
                                                     .base = 5,
                                                     .names = "B02,B03,B8A"});
        dip_raster r;
        assert_ok(dip_raster_read(&r, path));
        assert_int_equal(r.band_count, 3);
        assert_string_equal(r.band_name[2], "B8A");
        for (uint32_t b = 0; b < 3; b++) {
            assert_int_equal(r.planes[b].dtype, dtype);
            assert_int_equal(r.planes[b].width, 31);
            assert_int_equal(r.planes[b].height, 17);
            for (size_t i = 0; i < 31 * 17; i++)
                assert_true(support_value(&r.planes[b], i) == 5 + 10.0 * b + (double)(i % 97));
        }
        dip_raster_fini(&r);
    }
}

static void test_nothing_known(void **state)
{
    (void)state;
    const char *path = support_path("bare.tif");
    dip_raster r;
    support_write_raster(path, &(support_raster){8, 8, 1, DIP_DTYPE_U8, .base = 1});
    assert_ok(dip_raster_read(&r, path));
    assert_string_equal(r.band_name[0], "");
    assert_int_equal(r.epsg, 0);
    assert_true(r.time == DIP_NO_TIME && isnan(r.west) && isnan(r.north) && r.gsd_m == 0);
    for (int i = 0; i < 6; i++) assert_true(r.transform[i] == 0);
    dip_raster_fini(&r);
}

/* A patch near Linz; degrees by Kruger's series, worked out on their own. */
static void test_place_on_the_ground(void **state)
{
    (void)state;
    const char *path = support_path("placed.tif");
    support_write_raster(path, &(support_raster){120, 120, 1, DIP_DTYPE_F32, .base = -9,
                                                 .west = 404400, .north = 5342400, .gsd_m = 10});
    dip_raster r;
    assert_ok(dip_raster_read(&r, path));
    assert_int_equal(r.epsg, 32633);
    assert_true(r.transform[0] == 404400 && r.transform[1] == 10 && r.transform[5] == -10);
    assert_true(r.gsd_m == 10);
    assert_true(fabs(r.west - 13.712737) < 2e-6 && fabs(r.east - 13.729158) < 2e-6);
    assert_true(fabs(r.south - 48.216820) < 2e-6 && fabs(r.north - 48.227793) < 2e-6);
    dip_raster_fini(&r);
    assert_ok(dip_raster_read_pixels(&r, path));
    assert_true(r.epsg == 0 && isnan(r.west));
    dip_raster_fini(&r);
}

static void test_locate(void **state)
{
    (void)state;
    dip_box box;
    const double degrees[6] = {10, 0.5, 0, 48, 0, -0.25};
    assert_true(dip_raster_locate(&box, 4326, degrees, 4, 4));
    assert_true(box.west == 10 && box.east == 12 && box.north == 48 && box.south == 47);
    const double across[6] = {179.9, 0.1, 0, 48, 0, -0.1};
    assert_false(dip_raster_locate(&box, 4326, across, 4, 4));
    assert_true(isnan(box.west));
    assert_false(dip_raster_locate(&box, 0, degrees, 4, 4));
    assert_false(dip_raster_locate(&box, 999999, degrees, 4, 4));
    const double nowhere[6] = {1e300, 1e300, 0, 1e300, 0, -1e300};
    assert_false(dip_raster_locate(&box, 32633, nowhere, 4, 4));
}

/* An image that is stored south up is turned, with its coordinates. */
static void test_south_up(void **state)
{
    (void)state;
    const char *path = support_path("south.vrt");
    support_write_raster(support_path("north.tif"),
                         &(support_raster){4, 3, 1, DIP_DTYPE_U8, .base = 0});
    support_write(path,
                  "<VRTDataset rasterXSize='4' rasterYSize='3'><SRS>EPSG:32633</SRS>"
                  "<GeoTransform>404400,10,0,5342370,0,10</GeoTransform>"
                  "<VRTRasterBand dataType='Byte' band='1'><SimpleSource><SourceFilename "
                  "relativeToVRT='1'>north.tif</SourceFilename></SimpleSource></VRTRasterBand>"
                  "</VRTDataset>");
    dip_raster r;
    assert_ok(dip_raster_read(&r, path));
    assert_true(r.transform[3] == 5342400 && r.transform[5] == -10);
    assert_true(support_value(&r.planes[0], 0) == 8 && support_value(&r.planes[0], 11) == 3);
    dip_raster_fini(&r);
}

static void write_vrt(const char *path, int width, int height, int bands, const char *type)
{
    size_t used = 0, capacity = 256 + 96 * (size_t)bands;
    char *text = dip_alloc(capacity);
    assert_non_null(text);
    used += (size_t)snprintf(text, capacity, "<VRTDataset rasterXSize='%d' rasterYSize='%d'>",
                             width, height);
    for (int b = 1; b <= bands; b++)
        used += (size_t)snprintf(text + used, capacity - used,
                                 "<VRTRasterBand dataType='%s' band='%d'/>", type, b);
    snprintf(text + used, capacity - used, "</VRTDataset>");
    support_write(path, text);
    dip_free(text);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        int width, height, bands;
        const char *type, *words;
    } cases[] = {
        {4, 4, 1, "CFloat32", "type CFloat32"},
        {4, 4, 1, "CInt16", "type CInt16"},
        {4, 4, 1, "Int64", "type Int64"},
        {4, 4, 65, "Byte", "has 65 bands, a tile may have 64"},
        {16385, 4, 1, "Byte", "16385x4 pixels"},
        {16384, 16384, 9, "Float64", "more than 1 GiB"},
    };
    dip_raster r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = support_path("refused.vrt");
        write_vrt(path, cases[i].width, cases[i].height, cases[i].bands, cases[i].type);
        assert_fails(dip_raster_read(&r, path), DIP_EFORMAT, cases[i].words);
        assert_int_equal(r.band_count, 0);
    }
    assert_fails(dip_raster_read(&r, support_path("none.tif")), DIP_ENOENT, "no such file");
    support_write(support_path("text.tif"), "this is not a TIFF file\n");
    assert_fails(dip_raster_read(&r, support_path("text.tif")), DIP_EFORMAT, "no raster file");
    support_write(support_path("empty.tif"), "");
    assert_fails(dip_raster_read(&r, support_path("empty.tif")), DIP_EFORMAT, "no raster file");
}

/*
 * Cut anywhere, a file is refused in one line, or what was lost was no pixel. Nothing may come out that differs from
 * the whole.
 */
static void test_truncated(void **state)
{
    (void)state;
    const char *whole = support_path("whole.tif"), *cut = support_path("cut.tif");
    support_write_raster(whole, &(support_raster){64, 64, 2, DIP_DTYPE_U16, .base = 700,
                                                  .west = 404400, .north = 5342400, .gsd_m = 10});
    char *bytes;
    size_t length, refused = 0;
    assert_ok(dip_file_read(&bytes, &length, whole, 1 << 20));
    for (size_t n = 0; n < length; n += n < 600 ? 7 : 23) {
        dip_raster r;
        assert_ok(dip_file_write(cut, bytes, n));
        if (dip_raster_read(&r, cut)) {
            assert_null(strchr(dip_last_error(), '\n'));
            assert_non_null(strstr(dip_last_error(), "cut.tif"));
            refused++;
            continue;
        }
        for (size_t i = 0; i < 64 * 64; i++)
            assert_true(support_value(&r.planes[1], i) == 710 + (double)(i % 97));
        dip_raster_fini(&r);
    }
    assert_true(refused > length / 40);
    dip_free(bytes);
}

/* The band that is cut off is named. */
static void test_truncated_names_the_band(void **state)
{
    (void)state;
    const char *path = support_path("half.tif");
    char *bytes;
    size_t length;
    dip_raster r;
    support_write_raster(path, &(support_raster){64, 64, 2, DIP_DTYPE_F64, .base = 1});
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 20));
    assert_ok(dip_file_write(path, bytes, length - 40));
    assert_fails(dip_raster_read(&r, path), DIP_EFORMAT,
                 "half.tif' is damaged or truncated: band 2: ");
    dip_free(bytes);
}

static void test_write_refused(void **state)
{
    (void)state;
    dip_tile *tile = dip_calloc(1, sizeof *tile);
    dip_modality *modality = dip_calloc(1, sizeof *modality);
    uint16_t pixels[16] = {0};
    assert_true(tile && modality);
    tile->meta.name = "t";
    tile->meta.time = DIP_NO_TIME;
    tile->plane_count = modality->band_count = 2;
    tile->planes[0] = (dip_plane){DIP_DTYPE_U16, 4, 4, pixels};
    tile->planes[1] = (dip_plane){DIP_DTYPE_U16, 2, 2, pixels};
    assert_fails(dip_raster_write(support_path("x.tif"), tile, modality), DIP_EMISMATCH, "2x2");
    tile->planes[1] = (dip_plane){DIP_DTYPE_I16, 4, 4, pixels};
    assert_fails(dip_raster_write(support_path("x.tif"), tile, modality), DIP_EMISMATCH, "int16");
    modality->band_count = 1;
    assert_fails(dip_raster_write(support_path("x.tif"), tile, modality), DIP_EMISMATCH, "2 bands");
    assert_false(dip_file_exists(support_path("x.tif")));
    tile->plane_count = 1;
    assert_fails(dip_raster_write(support_path("no/folder/x.tif"), tile, modality), DIP_ENOENT,
                 "x.tif");
    dip_free(tile);
    dip_free(modality);
}

/* Time and transform go into the file; a tile without both writes as well. */
static void test_write_metadata(void **state)
{
    (void)state;
    dip_tile *tile = dip_calloc(1, sizeof *tile);
    dip_modality *modality = dip_calloc(1, sizeof *modality);
    uint8_t pixels[6] = {1, 2, 3, 4, 5, 6};
    const double t[6] = {500000, 20, 0, 5200000, 0, -20};
    assert_true(tile && modality);
    tile->meta.name = "t";
    tile->meta.time = 1497348631;
    tile->meta.epsg = 32632;
    memcpy(tile->meta.transform, t, sizeof t);
    tile->plane_count = modality->band_count = 1;
    tile->planes[0] = (dip_plane){DIP_DTYPE_U8, 3, 2, pixels};
    assert_ok(dip_raster_write(support_path("meta.tif"), tile, modality));
    dip_raster r;
    assert_ok(dip_raster_read(&r, support_path("meta.tif")));
    assert_int_equal(r.time, 1497348631);
    assert_int_equal(r.epsg, 32632);
    assert_memory_equal(r.transform, t, sizeof t);
    assert_memory_equal(r.planes[0].pixels, pixels, 6);
    dip_raster_fini(&r);
    dip_free(tile);
    dip_free(modality);
}

static void check_png(uint32_t channels)
{
    uint8_t pixels[5 * 4 * 3], *bytes;
    size_t length;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7);
    assert_ok(dip_png_encode(pixels, 5, 4, channels, &bytes, &length));
    assert_memory_equal(bytes, "\x89PNG\r\n\x1a\n", 8);
    const char *path = support_path("image%u.png", channels);
    assert_ok(dip_file_write(path, bytes, length));
    dip_free(bytes);
    dip_raster r;
    assert_ok(dip_raster_read(&r, path));
    assert_int_equal(r.band_count, channels);
    for (uint32_t c = 0; c < channels; c++)
        for (size_t i = 0; i < 20; i++)
            assert_true(support_value(&r.planes[c], i) == pixels[i * channels + c]);
    dip_raster_fini(&r);
}

static void test_png(void **state)
{
    (void)state;
    uint8_t pixel = 0, *bytes;
    size_t length;
    check_png(1);
    check_png(3);
    assert_fails(dip_png_encode(&pixel, 1, 1, 2, &bytes, &length), DIP_EINVAL, "2 channels");
    assert_fails(dip_png_encode(&pixel, 0, 1, 1, &bytes, &length), DIP_EINVAL, "0x1 pixels");
}

static dip_status read_one(void *context, size_t task, unsigned worker)
{
    (void)context, (void)worker;
    dip_raster r;
    char path[1200];
    snprintf(path, sizeof path, "%s/thread%zu.tif", support_folder(), task % 4);
    dip_status status = dip_raster_read(&r, path);
    if (status) return status;
    if (r.epsg != 32633 || isnan(r.west))
        status = dip_fail(DIP_ECORRUPT, "no place in task %zu", task);
    dip_raster_fini(&r);
    return status;
}

static void test_many_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        support_write_raster(support_path("thread%d.tif", i),
                             &(support_raster){16, 16, 2, DIP_DTYPE_U16, .base = i, .west = 404400,
                                               .north = 5342400, .gsd_m = 10});
    dip_threads_set(4);
    assert_ok(dip_parallel_for(200, read_one, NULL));
    dip_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_of_every_type),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_place_on_the_ground),
        cmocka_unit_test(test_locate),
        cmocka_unit_test(test_south_up),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_truncated_names_the_band),
        cmocka_unit_test(test_write_refused),
        cmocka_unit_test(test_write_metadata),
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests_name("raster", tests, NULL, support_cleanup);
}
