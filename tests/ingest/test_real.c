/*
 * Real data: the shared sets go in whole, and their pixels come back out as other software read them. Skipped where the
 * data is not there.
 * ctest: no-tsan
 */
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/raster.h"
#include "ingest/table.h"

#include <math.h>
#include <stdlib.h>

static uint64_t tiles_of(dip_archive *archive, const char *modality)
{
    dip_archive_counts counts;
    assert_ok(dip_archive_count(archive, &counts));
    int position = dip_archive_find_modality(archive, modality);
    assert_true(position >= 0);
    return counts.tiles_of[position];
}

static void test_radar_and_optical(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines;
    dip_archive *archive = support_archive("pairs.archive");
    assert_ok(support_import(archive, support_data("s1s2_la_sa"), &lines, &report));
    assert_int_equal(lines.count, 0);
    assert_int_equal(report.added, 3700);
    assert_int_equal(report.places, 1850);
    assert_int_equal(report.alone, 0);
    assert_int_equal(tiles_of(archive, "s1"), 1850);
    assert_int_equal(tiles_of(archive, "s2"), 1850);
    const dip_modality *s1 = dip_archive_modality(archive, 0);
    assert_string_equal(s1->bands[0].unit, "amplitude");
    assert_true(s1->bands[0].gsd_m == 10 && s1->bands[0].stddev > 10);
    uint64_t id;
    dip_meta *meta;
    assert_ok(dip_archive_find_tile(archive, 1, "T11SLT_019_01", &id));
    assert_ok(dip_archive_meta(archive, id, &meta));
    assert_int_equal(meta->epsg, 3395);
    assert_true(fabs((meta->west + meta->east) / 2 + 118.59938) < 1e-4);
    assert_true(fabs((meta->south + meta->north) / 2 - 34.24200) < 1e-4);
    assert_string_equal(meta->primary_label, "industrial_commercial");
    assert_string_equal(meta->extra, "{\"row\":0,\"col\":1}");
    dip_meta_free(meta);
    dip_archive_close(archive);
}

static void test_three_grids(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines;
    dip_archive *archive = support_archive("oscd.archive");
    assert_ok(support_import(archive, support_data("s2_oscd"), &lines, &report));
    assert_int_equal(lines.count, 0);
    assert_int_equal(report.added, 1101);
    assert_int_equal(report.places, 367);
    assert_int_equal(tiles_of(archive, "vnir10"), 367);
    assert_int_equal(tiles_of(archive, "swir20"), 367);
    assert_int_equal(tiles_of(archive, "atm60"), 367);
    dip_archive_close(archive);
}

/* The labels of the patches as their manifest gives them, from the patches' own files. */
static void test_native_bigearthnet(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines = {0};
    dip_table t;
    char *bytes, path[1200];
    size_t length;
    dip_import_options options = {.refused = support_keep_line, .payload = &lines};
    const char *source = support_data("ben_native");
    snprintf(path, sizeof path, "%s/manifest.csv", source);
    dip_archive *archive = support_archive("native.archive");
    assert_ok(dip_import(archive, &source, 1, &options, &report));
    assert_int_equal(lines.count, 0);
    assert_int_equal(report.layout, DIP_LAYOUT_BIGEARTHNET);
    assert_int_equal(report.added, 8);
    assert_int_equal(report.places, 4);
    assert_int_equal(report.alone, 0);
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 20));
    assert_ok(dip_table_parse_csv(&t, bytes, length));
    assert_int_equal(t.row_count, 8);
    for (size_t r = 0; r < t.row_count; r++) {
        uint64_t id;
        dip_meta *meta;
        const char *modality = dip_table_cell(&t, r, 1);
        const char *name = dip_path_base(dip_table_cell(&t, r, 2));
        uint32_t position = (uint32_t)dip_archive_find_modality(archive, modality);
        assert_ok(dip_archive_find_tile(archive, position, name, &id));
        assert_ok(dip_archive_meta(archive, id, &meta));
        assert_string_equal(meta->place_name, dip_table_cell(&t, r, 0));
        assert_string_equal(meta->labels, dip_table_cell(&t, r, 3));
        assert_true(fabs((meta->west + meta->east) / 2 - atof(dip_table_cell(&t, r, 4))) < 2e-5);
        assert_true(fabs((meta->south + meta->north) / 2 - atof(dip_table_cell(&t, r, 5))) < 2e-5);
        assert_string_equal(meta->source, dip_table_cell(&t, r, 7));
        dip_meta_free(meta);
    }
    dip_table_fini(&t);
    dip_free(bytes);
    dip_archive_close(archive);
}

/* ---- 21 encodings of TIFF ---- */

typedef struct oracle {
    dip_table table;
    const char *folder;
} oracle;

static double number(const oracle *o, size_t row, const char *column)
{
    return atof(dip_table_cell(&o->table, row, (size_t)dip_table_find(&o->table, column)));
}

static const char *text(const oracle *o, size_t row, const char *column)
{
    return dip_table_cell(&o->table, row, (size_t)dip_table_find(&o->table, column));
}

static void check_plane(const oracle *o, size_t row, const dip_plane *plane)
{
    size_t n = (size_t)plane->width * plane->height;
    double low = INFINITY, high = -INFINITY, sum = 0;
    assert_int_equal(plane->width, number(o, row, "width"));
    assert_int_equal(plane->height, number(o, row, "height"));
    assert_string_equal(dip_dtype_name(plane->dtype), text(o, row, "dtype"));
    for (size_t i = 0; i < n; i++) {
        double value = support_value(plane, i);
        low = fmin(low, value);
        high = fmax(high, value);
        sum += value;
    }
    assert_true(low == number(o, row, "min") && high == number(o, row, "max"));
    assert_true(fabs(sum / (double)n - number(o, row, "mean")) < 1e-10 * fmax(1, fabs(high)));
    assert_true(support_value(plane, 0) == number(o, row, "px_0_0"));
    assert_true(support_value(plane, n - 1) == number(o, row, "px_last"));
    assert_true(support_value(plane, 7 * (size_t)plane->width + 11) == number(o, row, "px_r7_c11"));
}

/* Every file straight from disk. */
static void check_files(const oracle *o)
{
    size_t files = 0;
    for (size_t row = 0; row < o->table.row_count;) {
        char path[1200];
        dip_raster r;
        const char *file = text(o, row, "file");
        snprintf(path, sizeof path, "%s/%s", o->folder, file);
        assert_ok(dip_raster_read(&r, path));
        for (uint32_t b = 0; b < r.band_count; b++, row++) {
            assert_string_equal(text(o, row, "file"), file);
            check_plane(o, row, &r.planes[b]);
        }
        dip_raster_fini(&r);
        files++;
    }
    assert_int_equal(files, 21);
}

/* A manifest of the files; those of one size, type and number of bands share a modality. */
static void write_manifest(const oracle *o, const char *path)
{
    char *manifest = dip_alloc(1 << 16);
    assert_non_null(manifest);
    size_t used = (size_t)snprintf(manifest, 1 << 16, "tile_id,modality,path\n");
    for (size_t row = 0; row < o->table.row_count;) {
        const char *file = text(o, row, "file");
        size_t bands = 0;
        while (row + bands < o->table.row_count && !strcmp(text(o, row + bands, "file"), file))
            bands++;
        used +=
            (size_t)snprintf(manifest + used, (1 << 16) - used, "%s,m%s-%s-%zu,%s/%s\n", file,
                             text(o, row, "width"), text(o, row, "dtype"), bands, o->folder, file);
        row += bands;
    }
    support_write(path, manifest);
    dip_free(manifest);
}

static void check_archive(const oracle *o, dip_archive *archive)
{
    for (size_t row = 0; row < o->table.row_count;) {
        const char *file = text(o, row, "file");
        uint64_t id = DIP_NO_ID;
        dip_tile *tile;
        for (uint32_t m = 0; m < dip_archive_modality_count(archive) && id == DIP_NO_ID; m++)
            if (dip_archive_find_tile(archive, m, file, &id)) id = DIP_NO_ID;
        assert_ok(dip_archive_tile(archive, id, &tile));
        for (uint32_t b = 0; b < tile->plane_count; b++, row++)
            check_plane(o, row, &tile->planes[b]);
        dip_tile_free(tile);
    }
}

static void test_tiff_variants(void **state)
{
    (void)state;
    char folder[1100], path[1200], *bytes;
    size_t length;
    oracle o = {.folder = folder};
    snprintf(folder, sizeof folder, "%s", support_data("tiff_variants"));
    snprintf(path, sizeof path, "%s/expected.csv", folder);
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 20));
    assert_ok(dip_table_parse_csv(&o.table, bytes, length));
    check_files(&o);
    dip_import_report report;
    support_lines lines;
    write_manifest(&o, support_path("variants/manifest.csv"));
    dip_archive *archive = support_archive("variants.archive");
    assert_ok(support_import(archive, support_path("variants"), &lines, &report));
    if (lines.count) fail_msg("%s", lines.line[0]);
    assert_int_equal(report.added, 21);
    check_archive(&o, archive);
    dip_archive_close(archive);
    dip_table_fini(&o.table);
    dip_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiff_variants),
        cmocka_unit_test(test_native_bigearthnet),
        cmocka_unit_test(test_three_grids),
        cmocka_unit_test(test_radar_and_optical),
    };
    if (!support_data("SHA256SUMS")) return 77;
    return cmocka_run_group_tests_name("real", tests, NULL, support_cleanup);
}
