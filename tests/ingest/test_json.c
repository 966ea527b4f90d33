/* JSON of imports: labels of a patch, GeoJSON manifests, further properties. */
#include "tests/ingest/support.h"

#include "core/mem.h"
#include "ingest/json.h"
#include "ingest/manifest.h"

#include <math.h>

static dip_status parse_labels(dip_patch_labels *out, const char *text)
{
    return dip_patch_labels_parse(out, text, strlen(text));
}

static void test_optical_labels(void **state)
{
    (void)state;
    dip_patch_labels l;
    assert_ok(parse_labels(&l, "{\"labels\": [\"Pastures\", \"Sea and ocean\"], \"coordinates\": "
                               "{\"ulx\": 1, \"uly\": 4, \"lrx\": 3, \"lry\": 2}, \"projection\": "
                               "\"PROJCS[AUTHORITY[\\\"EPSG\\\",\\\"7030\\\"],"
                               "AUTHORITY[\\\"EPSG\\\",\\\"32629\\\"]]\", \"tile_source\": \"T\", "
                               "\"acquisition_date\": \"2017-06-17 11:33:21\"}"));
    assert_string_equal(l.labels, "Pastures|Sea and ocean");
    assert_string_equal(l.source, "T");
    assert_string_equal(l.partner, "");
    assert_true(l.ulx == 1 && l.uly == 4 && l.lrx == 3 && l.lry == 2);
    assert_int_equal(l.epsg, 32629);
    assert_int_equal(l.time, 1497699201);
    dip_patch_labels_fini(&l);
}

/* Radar patches: `lly` for `lry`, another key for the time, a partner. */
static void test_radar_labels(void **state)
{
    (void)state;
    dip_patch_labels l;
    assert_ok(parse_labels(&l, "{\"labels\": [], \"coordinates\": {\"ulx\": 1, \"lly\": 2}, "
                               "\"scene_source\": \"G\", \"corresponding_s2_patch\": \"P\", "
                               "\"acquisition_time\": \"2017-06-17T06:47:24\"}"));
    assert_string_equal(l.labels, "");
    assert_string_equal(l.source, "G");
    assert_string_equal(l.partner, "P");
    assert_true(l.lry == 2 && isnan(l.uly));
    assert_int_equal(l.epsg, 0);
    assert_int_equal(l.time, 1497682044);
    dip_patch_labels_fini(&l);
}

static void test_labels_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"labels\": \"Pastures\"}",
        "{\"labels\": [1]}",
        "nil",
        "{\"labels\": [\"a|b\"]}",
        "{\"labels\": [\"\"]}",
        "{\"labels\": [\"a\"]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        dip_patch_labels l;
        assert_fails(parse_labels(&l, texts[i]), DIP_EFORMAT, "");
    }
}

static const char *cell(const dip_table *t, size_t row, dip_column column)
{
    return dip_table_cell(t, row, (size_t)column);
}

static void test_geojson(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"FeatureCollection\",\"features\":["
        "{\"type\":\"Feature\",\"id\":\"t1\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":"
        "[[[10,47],[10.5,47],[10.5,48.25],[10,47]]]},\"properties\":{\"modality\":\"s1\",\"path\":"
        "\"a.tif\",\"labels\":[\"x\",\"y z\"],\"gsd_m\":10,\"cloud\":3.5,\"orbit\":{\"n\":7},"
        "\"scene\":null}},"
        "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"tile_id\":12,\"labels\":\"u\"}}]"
        "}";
    dip_table t;
    assert_ok(dip_table_parse_geojson(&t, text, strlen(text)));
    assert_int_equal(t.row_count, 2);
    assert_int_equal(t.column_count, DIP_COLUMN_COUNT);
    assert_string_equal(cell(&t, 0, DIP_COLUMN_TILE_ID), "t1");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_MODALITY), "s1");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_LABELS), "x|y z");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_GSD_M), "10");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_SCENE), "");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_WEST), "10");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_NORTH), "48.25");
    assert_string_equal(cell(&t, 0, DIP_COLUMN_EXTRA), "{\"cloud\":3.5,\"orbit\":{\"n\":7}}");
    assert_string_equal(cell(&t, 1, DIP_COLUMN_TILE_ID), "12");
    assert_string_equal(cell(&t, 1, DIP_COLUMN_LABELS), "u");
    assert_string_equal(cell(&t, 1, DIP_COLUMN_WEST), "");
    assert_int_equal(t.lines[1], 2);
    dip_table_fini(&t);
}

static void test_geojson_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "not JSON"},
        {"{\"features\":{}}", "no GeoJSON FeatureCollection"},
        {"[1,2]", "no GeoJSON FeatureCollection"},
        {"{\"features\":[{}]}", "feature 1: it has no properties"},
        {"{\"features\":[{\"properties\":{\"path\":{}}}]}", "feature 1: property 'path'"},
        {"{\"features\":[{\"properties\":{\"labels\":[1]}}]}", "property 'labels': a label is not"},
        {"{\"features\":[{\"properties\":{},\"geometry\":{}}]}", "geometry has no coordinates"},
        {"{\"features\":[{\"properties\":{},\"geometry\":{\"coordinates\":[[[\"a\"]]]}}]}",
         "geometry has no coordinates"},
        {"{\"features\":[{\"properties\":{},\"geometry\":{\"coordinates\":[[[[[[[[[[[1,2]]]]]]]]]]]"
         "}}]}",
         "geometry has no coordinates"},
        {"{\"features\":[{\"properties\":{\"a\":1,\"a\":2}}]}", "duplicate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_table t;
        assert_fails(dip_table_parse_geojson(&t, cases[i].text, strlen(cases[i].text)), DIP_EFORMAT,
                     cases[i].words);
    }
}

/* Numbers become numbers, but a code with leading zeros stays a text. */
static void test_extra(void **state)
{
    (void)state;
    static const char *const keys[] = {"row", "code", "share", "note", "none", "big"};
    static const char *const values[] = {"3", "019", "-0.25", "a \"b\"", "", "1e999"};
    char *text;
    assert_ok(dip_extra_object(&text, keys, values, 6));
    assert_string_equal(text,
                        "{\"row\":3,\"code\":\"019\",\"share\":-0.25,\"note\":\"a \\\"b\\\"\","
                        "\"big\":\"1e999\"}");
    dip_free(text);
    assert_ok(dip_extra_object(&text, keys + 4, values + 4, 1));
    assert_string_equal(text, "");
    dip_free(text);
    assert_ok(dip_extra_list(&text, "all", "a|b c"));
    assert_string_equal(text, "{\"all\":[\"a\",\"b c\"]}");
    dip_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optical_labels),  cmocka_unit_test(test_radar_labels),
        cmocka_unit_test(test_labels_refused),  cmocka_unit_test(test_geojson),
        cmocka_unit_test(test_geojson_refused), cmocka_unit_test(test_extra),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
