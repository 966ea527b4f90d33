/* GeoKeys: equal for equal systems, different for others, none where there are none; and what readers make of them. */
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/geokeys.h"
#include "ingest/raster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A file in UTM zone `zone`, or without a system for 0. */
static const char *write_tile(const char *name, int zone, double west)
{
    const char *path = support_path("%s", name);
    uint8_t pixels[8 * 8] = {1, 2, 3};
    dip_tile tile = {.meta = {.name = name}, .plane_count = 1};
    dip_modality modality = {.name = "m", .band_count = 1};
    tile.planes[0] = (dip_plane){DIP_DTYPE_U8, 8, 8, pixels};
    tile.meta.time = DIP_NO_TIME;
    if (zone) {
        tile.meta.epsg = 32600 + zone;
        memcpy(tile.meta.transform, (double[]){west, 10, 0, 5342400, 0, -10},
               sizeof tile.meta.transform);
    }
    assert_ok(dip_raster_write(path, &tile, &modality));
    return path;
}

static void test_equal_for_equal_systems(void **state)
{
    (void)state;
    uint64_t a, b, c;
    assert_true(dip_geokeys_hash(&a, write_tile("a.tif", 33, 404400)));
    assert_true(dip_geokeys_hash(&b, write_tile("b.tif", 33, 500000)));
    assert_true(dip_geokeys_hash(&c, write_tile("c.tif", 32, 404400)));
    assert_true(a == b);
    assert_true(a != c);
}

static void test_none(void **state)
{
    (void)state;
    uint64_t hash;
    const char *text = support_path("text.tif"), *empty = support_path("empty.tif");
    support_write(text, "II*?");
    support_write(empty, "");
    assert_false(dip_geokeys_hash(&hash, write_tile("nowhere.tif", 0, 0)));
    assert_false(dip_geokeys_hash(&hash, text));
    assert_false(dip_geokeys_hash(&hash, empty));
    assert_false(dip_geokeys_hash(&hash, support_path("missing.tif")));
}

/* Whatever a file is cut to or damaged in, the search ends; a cut file never passes for another system. */
static void test_damaged(void **state)
{
    (void)state;
    char *bytes;
    size_t length;
    uint64_t whole, hash;
    const char *path = write_tile("whole.tif", 33, 404400), *other = support_path("damaged.tif");
    assert_true(dip_geokeys_hash(&whole, path));
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 20));
    for (size_t cut = 0; cut < length; cut += 7) {
        FILE *file = fopen(other, "wb");
        assert_true(file && fwrite(bytes, 1, cut, file) == cut && fclose(file) == 0);
        if (dip_geokeys_hash(&hash, other)) assert_true(hash == whole);
    }
    for (size_t at = 0; at < length && at < 1024; at++) {
        FILE *file = fopen(other, "wb");
        bytes[at] = (char)~bytes[at];
        assert_true(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
        bytes[at] = (char)~bytes[at];
        dip_geokeys_hash(&hash, other);
    }
    dip_free(bytes);
}

/* Big-endian files and BigTIFF: laid out by hand, with a key directory in its place and nothing else. */
static void test_both_byte_orders_and_sizes(void **state)
{
    (void)state;
    static const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0xaf, 0x87, 3, 0, 4, 0, 0,
                                     0,   26,  0,  0, 0, 0, 0, 0, 0, 1, 0,    1,    0, 0, 0, 0, 0};
    static const uint8_t large[] = {'M', 'M', 0, 43, 0, 8, 0, 0, 0, 0,    0,    0, 0, 0, 0,
                                    16,  0,   0, 0,  0, 0, 0, 0, 1, 0x87, 0xaf, 0, 3, 0, 0,
                                    0,   0,   0, 0,  0, 4, 0, 1, 0, 1,    0,    0, 0, 0};
    const char *path = support_path("laid.tif");
    uint64_t a, b;
    assert_ok(dip_file_write(path, little, sizeof little));
    assert_true(dip_geokeys_hash(&a, path));
    assert_ok(dip_file_write(path, large, sizeof large));
    assert_true(dip_geokeys_hash(&b, path));
    assert_true(a != b);
}

/* What was remembered of one file gives the next one the same system, but its own place. */
static void test_readers_remember(void **state)
{
    (void)state;
    dip_raster first, again, east;
    assert_ok(dip_raster_read(&first, write_tile("first.tif", 33, 404400)));
    assert_ok(dip_raster_read(&again, write_tile("again.tif", 33, 404400)));
    assert_ok(dip_raster_read(&east, write_tile("east.tif", 33, 405400)));
    assert_int_equal(first.epsg, 32633);
    assert_int_equal(again.epsg, 32633);
    assert_true(first.west == again.west && first.north == again.north);
    assert_true(first.gsd_m == again.gsd_m);
    assert_true(east.west > first.west + 0.01);
    dip_raster_fini(&first);
    dip_raster_fini(&again);
    dip_raster_fini(&east);
}

/* A sidecar's word counts more than the file's, also when the file's system is remembered. */
static void test_sidecar_knows_better(void **state)
{
    (void)state;
    dip_raster r;
    uint64_t hash;
    assert_ok(dip_raster_read(&r, write_tile("plain.tif", 33, 404400)));
    dip_raster_fini(&r);
    const char *path = write_tile("corrected.tif", 33, 404400);
    support_write(support_path("corrected.tif.aux.xml"),
                  "<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>");
    assert_false(dip_geokeys_hash(&hash, path));
    assert_ok(dip_raster_read(&r, path));
    assert_int_equal(r.epsg, 32632);
    dip_raster_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_for_equal_systems),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_both_byte_orders_and_sizes),
        cmocka_unit_test(test_readers_remember),
        cmocka_unit_test(test_sidecar_knows_better),
    };
    return cmocka_run_group_tests_name("geokeys", tests, NULL, support_cleanup);
}
