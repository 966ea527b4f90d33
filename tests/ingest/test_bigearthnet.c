/* BigEarthNet trees: names, recognition, faults of single patches. The tree is made here, with files of the real sizes. */
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/bigearthnet.h"

#include <math.h>
#include <stdlib.h>

static const char optical[] = "S2A_MSIL2A_20170613T101031_87_48";
static const char early[] = "S2B_MSIL2A_20170924T93020_69_24";
static const char radar[] = "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48";

static void test_names(void **state)
{
    (void)state;
    dip_patch_name n;
    assert_true(dip_patch_name_parse(&n, optical));
    assert_false(n.radar);
    assert_int_equal(n.time, 1497348631);
    assert_string_equal(n.grid_tile, "");
    assert_true(dip_patch_name_parse(&n, early));
    assert_int_equal(n.time, 1506245420);
    assert_true(dip_patch_name_parse(&n, radar));
    assert_true(n.radar);
    assert_int_equal(n.time, 1497372643);
    assert_string_equal(n.grid_tile, "33UUP");
}

static void test_names_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "S",
        "S2",
        "S2A",
        "S3A_MSIL2A_20170613T101031_87_48",
        "S2A_MSIL1C_20170613T101031_87_48",
        "S2A_MSIL2A_20170613T101031_87",
        "S2A_MSIL2A_20170613T101031_87_48_1",
        "S2A_MSIL2A_20170613T101031_87_",
        "S2A_MSIL2A_20171313T101031_87_48",
        "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP",
        "S1A_IW_GRDH_1SDV_20170613T165043",
        "S1A_IW_GRDH_1SDV_20170613T165043_87_48",
        "S1A_IW_GRDH_1SDV_20170613T165043_3UUP_87_48",
        "S2A_MSIL2A_20170613T101031_33UUP_87_48",
        "metadata.csv",
        "S2A_MSIL2A_20170613T101031_123456789_48",
    };
    dip_patch_name n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dip_patch_name_parse(&n, names[i])) fail_msg("'%s' is taken", names[i]);
}

/* ---- a tree ---- */

static const char *const bands[] = {"B01", "B02", "B03", "B04", "B05", "B06",
                                    "B07", "B08", "B09", "B11", "B12", "B8A"};

static uint32_t side_of(const char *band)
{
    if (!strcmp(band, "B01") || !strcmp(band, "B09")) return 20;
    return strstr("B02 B03 B04 B08", band) ? 120 : 60;
}

static void write_band(const char *root, const char *patch, const char *band, uint32_t side,
                       dip_dtype dtype)
{
    support_write_raster(
        support_path("%s/%s/%s_%s.tif", root, patch, patch, band),
        &(support_raster){side, side, 1, dtype, .base = dtype == DIP_DTYPE_F32 ? -40 : 300,
                          .west = 404400, .north = 5342400, .gsd_m = 1200.0 / side});
}

static void write_labels(const char *root, const char *patch, const char *json)
{
    support_write(support_path("%s/%s/%s_labels_metadata.json", root, patch, patch), json);
}

static void write_optical(const char *root, const char *patch)
{
    for (size_t b = 0; b < 12; b++)
        write_band(root, patch, bands[b], side_of(bands[b]), DIP_DTYPE_U16);
    write_labels(root, patch,
                 "{\"labels\": [\"Water bodies\", \"Non-irrigated arable land\", \"Airports\"], "
                 "\"tile_source\": \"S2A_MSIL1C_20170613T101031_N0205_R022_T33UUP_2017.SAFE\", "
                 "\"acquisition_date\": \"2017-06-13 10:10:31\"}");
}

static void write_radar(const char *root, const char *patch, const char *partner)
{
    char json[512];
    write_band(root, patch, "VV", 120, DIP_DTYPE_F32);
    write_band(root, patch, "VH", 120, DIP_DTYPE_F32);
    snprintf(json, sizeof json,
             "{\"labels\": [\"Pastures\"], \"corresponding_s2_patch\": \"%s\", \"scene_source\": "
             "\"G\", \"acquisition_time\": \"2017-06-13T16:50:43\"}",
             partner);
    write_labels(root, patch, json);
}

static void write_tree(const char *root)
{
    char s1[64], s2[64];
    snprintf(s1, sizeof s1, "%s/BigEarthNet-S1", root);
    snprintf(s2, sizeof s2, "%s/BigEarthNet-S2", root);
    write_optical(s2, optical);
    write_optical(s2, early);
    write_radar(s1, radar, optical);
}

static dip_meta *find(const dip_archive *archive, const char *modality, const char *name)
{
    uint64_t id;
    dip_meta *meta;
    int position = dip_archive_find_modality(archive, modality);
    assert_true(position >= 0);
    assert_ok(dip_archive_find_tile(archive, (uint32_t)position, name, &id));
    assert_ok(dip_archive_meta(archive, id, &meta));
    return meta;
}

static void test_tree(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines;
    write_tree("tree");
    dip_archive *archive = support_archive("tree.archive");
    assert_ok(support_import(archive, support_path("tree"), &lines, &report));
    assert_int_equal(lines.count, 0);
    assert_int_equal(report.layout, DIP_LAYOUT_BIGEARTHNET);
    assert_int_equal(report.added, 3);
    assert_int_equal(report.places, 2);
    assert_int_equal(report.alone, 1);
    dip_meta *s2 = find(archive, "s2", optical), *s1 = find(archive, "s1", radar);
    assert_string_equal(s2->labels, "Arable land|Inland waters");
    assert_string_equal(s2->primary_label, "");
    assert_string_equal(
        s2->extra, "{\"labels43\":[\"Water bodies\",\"Non-irrigated arable land\",\"Airports\"]}");
    assert_string_equal(s2->scene, "33UUP");
    assert_string_equal(s2->source, "S2A_MSIL1C_20170613T101031_N0205_R022_T33UUP_2017.SAFE");
    assert_int_equal(s2->epsg, 32633);
    assert_true(s2->transform[1] == 10 && fabs(s2->west - 13.7127) < 1e-4);
    assert_string_equal(s1->place_name, optical);
    assert_string_equal(s1->labels, "Pastures");
    assert_string_equal(s1->primary_label, "Pastures");
    assert_string_equal(s1->scene, "33UUP");
    assert_int_equal(s1->time, 1497372643);
    assert_int_equal(s1->place, s2->place);
    assert_true(s2->id < s1->id);
    dip_meta_free(s1);
    dip_meta_free(s2);
    dip_archive_close(archive);
}

/* Units, grids and the published statistics come with the layout. */
static void test_modalities(void **state)
{
    (void)state;
    dip_archive *archive = support_archive("modalities.archive");
    dip_import_report report;
    write_tree("tree");
    assert_ok(support_import(archive, support_path("tree/BigEarthNet-S2"), NULL, &report));
    assert_int_equal(dip_archive_modality_count(archive), 1);
    const dip_modality *m = dip_archive_modality(archive, 0);
    assert_string_equal(m->name, "s2");
    assert_int_equal(m->band_count, 12);
    for (uint32_t b = 0; b < 12; b++) {
        assert_string_equal(m->bands[b].name, bands[b]);
        assert_string_equal(m->bands[b].unit, "reflectance");
        assert_true(m->bands[b].gsd_m == 1200.0 / side_of(bands[b]));
    }
    assert_true(m->bands[1].mean == 429.9430203 && m->bands[1].stddev == 572.41639287);
    assert_string_equal(m->display[0], "B04");
    dip_archive_close(archive);
}

static void test_original_labels(void **state)
{
    (void)state;
    dip_import_options options = {.labels19 = 0};
    dip_import_report report;
    write_tree("tree");
    dip_archive *archive = support_archive("labels43.archive");
    const char *source = support_path("tree");
    assert_ok(dip_import(archive, &source, 1, &options, &report));
    dip_meta *meta = find(archive, "s2", optical);
    assert_string_equal(meta->labels, "Water bodies|Non-irrigated arable land|Airports");
    assert_string_equal(meta->extra, "");
    dip_meta_free(meta);
    dip_archive_close(archive);
}

/* One bad patch after the other is refused by name; the rest goes in. */
static void test_faults(void **state)
{
    (void)state;
    enum { FAULTS = 6 };
    static const char *const words[FAULTS] = {
        "band B05 is 61x61, expected 60x60 (20 m); skipped",
        "band B8A: cannot open",
        "band B03 has float32 pixels, expected uint16",
        "label 'Moon' is not in the CORINE nomenclature",
        "labels_metadata.json'",
        "not JSON",
    };
    char patch[FAULTS][64];
    write_tree("faulty");
    for (int i = 0; i < FAULTS; i++) {
        snprintf(patch[i], sizeof patch[i], "S2A_MSIL2A_20180101T101031_%d_1", i);
        write_optical("faulty/BigEarthNet-S2", patch[i]);
    }
    const char *root = "faulty/BigEarthNet-S2";
    write_band(root, patch[0], "B05", 61, DIP_DTYPE_U16);
    assert_ok(dip_file_remove(support_path("%s/%s/%s_B8A.tif", root, patch[1], patch[1])));
    write_band(root, patch[2], "B03", 120, DIP_DTYPE_F32);
    write_labels(root, patch[3], "{\"labels\": [\"Moon\"]}");
    assert_ok(
        dip_file_remove(support_path("%s/%s/%s_labels_metadata.json", root, patch[4], patch[4])));
    write_labels(root, patch[5], "{\"labels\": [");
    dip_import_report report;
    support_lines lines;
    dip_archive *archive = support_archive("faulty.archive");
    assert_ok(support_import(archive, support_path("faulty"), &lines, &report));
    assert_int_equal(report.added, 3);
    assert_int_equal(report.refused, FAULTS);
    for (int i = 0; i < FAULTS; i++) {
        if (!strstr(lines.line[i], patch[i]) || !strstr(lines.line[i], words[i]))
            fail_msg("'%s' and '%s' are not in '%s'", patch[i], words[i], lines.line[i]);
    }
    dip_archive_close(archive);
}

/* Files without georeference take it from the labels. */
static void test_corners_of_labels(void **state)
{
    (void)state;
    const char *root = "corners/BigEarthNet-S1";
    for (int b = 0; b < 2; b++)
        support_write_raster(support_path("%s/%s/%s_%s.tif", root, radar, radar, b ? "VH" : "VV"),
                             &(support_raster){120, 120, 1, DIP_DTYPE_F32, .base = -30});
    write_labels(
        root, radar,
        "{\"labels\": [], \"coordinates\": {\"ulx\": 404400, \"uly\": 5342400, \"lrx\": "
        "405600, \"lly\": 5341200}, \"projection\": \"AUTHORITY[\\\"EPSG\\\",\\\"32633\\\"]\"}");
    dip_import_report report;
    dip_archive *archive = support_archive("corners.archive");
    assert_ok(support_import(archive, support_path("corners"), NULL, &report));
    dip_meta *meta = find(archive, "s1", radar);
    assert_int_equal(meta->epsg, 32633);
    assert_true(meta->transform[0] == 404400 && meta->transform[5] == -10);
    assert_true(fabs(meta->west - 13.712737) < 2e-6 && fabs(meta->north - 48.227793) < 2e-6);
    assert_int_equal(meta->time, 1497372643);
    assert_string_equal(meta->place_name, radar);
    dip_meta_free(meta);
    dip_archive_close(archive);
}

static void test_recognition(void **state)
{
    (void)state;
    write_tree("tree");
    static const struct {
        const char *folder;
        bool expected;
    } cases[] = {{"tree", true}, {"tree/BigEarthNet-S1", true}, {"", false}, {"none", false}};
    for (int i = 0; i < 4; i++) {
        bool recognised;
        assert_ok(dip_bigearthnet_recognise(&recognised, support_path("%s", cases[i].folder)));
        assert_int_equal(recognised, cases[i].expected);
    }
    const char *both[] = {support_path("tree/BigEarthNet-S1"), support_path("tree/BigEarthNet-S2")};
    dip_source source;
    assert_ok(dip_bigearthnet_open(&source, both, 2, true));
    assert_int_equal(source.count, 3);
    assert_string_equal(source.name(&source, 0), optical);
    assert_string_equal(source.name(&source, 1), early);
    assert_string_equal(source.modality(&source, 2), "s1");
    source.close(&source);
}

static void test_version2(void **state)
{
    (void)state;
    dip_import_report report;
    support_write(support_path("two/BigEarthNet-S2/S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP/x"),
                  "");
    dip_archive *archive = support_archive("two.archive");
    assert_fails(support_import(archive, support_path("two"), NULL, &report), DIP_ENOTSUP,
                 "BigEarthNet version 2");
    dip_archive_close(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_names_refused),
        cmocka_unit_test(test_recognition), cmocka_unit_test(test_tree),
        cmocka_unit_test(test_modalities),  cmocka_unit_test(test_original_labels),
        cmocka_unit_test(test_faults),      cmocka_unit_test(test_corners_of_labels),
        cmocka_unit_test(test_version2),
    };
    return cmocka_run_group_tests_name("bigearthnet", tests, NULL, support_cleanup);
}
