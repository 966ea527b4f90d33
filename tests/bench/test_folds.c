/* Development folds: every training scene is held out once, test tiles are nowhere, cells come through. */
#include "support.h"

#include "bench/quality/folds.h"
#include "core/file.h"
#include "core/mem.h"
#include "ingest/table.h"

enum { SCENES = 10, PARTS = 4 };

/* Ten scenes of two tiles: scenes 0 to 5 train, 6 and 7 val, 8 and 9 test. */
static const char *make_manifest(void)
{
    char text[4096] = "tile_id,modality,path,labels,split,scene\n";
    for (int tile = 0; tile < 2 * SCENES; tile++) {
        int scene = tile / 2;
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "t%d,s1,some/t%d.tif,\"a, \"\"b\"\"\",%s,scene%d\n",
                 tile, tile,
                 scene < 6   ? "train"
                 : scene < 8 ? "val"
                             : "test",
                 scene);
    }
    return support_file("manifest.csv", text);
}

static void read_csv(dip_table *table, const char *path)
{
    char *text = support_read(path);
    assert_int_equal(dip_table_parse_csv(table, text, strlen(text)), DIP_OK);
    dip_free(text);
}

static const char *cell(const dip_table *table, size_t row, const char *column)
{
    return dip_table_cell(table, row, (size_t)dip_table_find(table, column));
}

static void each_scene_is_held_out_once(void **state)
{
    (void)state;
    int held[SCENES] = {0};
    make_manifest();
    for (unsigned part = 1; part <= PARTS; part++) {
        dip_table table;
        const dip_hold_out hold_out = {part, PARTS};
        const char *to = support_path("fold.csv");
        assert_int_equal(dip_folds_write(to, support_path("."), &hold_out), DIP_OK);
        read_csv(&table, to);
        assert_int_equal(table.row_count, 16);
        for (size_t row = 0; row < table.row_count; row += 2) {
            int scene = atoi(cell(&table, row, "scene") + 5);
            assert_in_range(scene, 0, 7);
            assert_string_equal(cell(&table, row, "split"), cell(&table, row + 1, "split"));
            held[scene] += !strcmp(cell(&table, row, "split"), "val");
        }
        dip_table_fini(&table);
    }
    for (int scene = 0; scene < SCENES; scene++) assert_int_equal(held[scene], scene < 8);
}

static void cells_come_through(void **state)
{
    (void)state;
    dip_table table;
    const dip_hold_out hold_out = {2, 4};
    const char *to = support_path("fold.csv"), *from = make_manifest();
    char path[512];
    assert_int_equal(dip_folds_write(to, from, &hold_out), DIP_OK);
    read_csv(&table, to);
    snprintf(path, sizeof path, "%s", support_path("some/t0.tif"));
    assert_string_equal(cell(&table, 0, "path"), path);
    assert_string_equal(cell(&table, 0, "labels"), "a, \"b\"");
    assert_string_equal(cell(&table, 3, "tile_id"), "t3");
    dip_table_fini(&table);
}

static void what_cannot_be_dealt_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"tile_id,modality,path,split\na,s1,a.tif,train\n", "no column 'scene'"},
        {"tile_id,modality,path,scene\na,s1,a.tif,x\n", "no column 'split'"},
        {"tile_id,modality,path,split,scene\na,s1,a.tif,train,\n", "line 2 of the manifest names"},
        {"tile_id,modality,path,split,scene\na,s1,a.tif,train,x\nb,s1,b.tif,test,y\n",
         "has 1 scenes to develop on; 4 parts are too many"},
    };
    const dip_hold_out hold_out = {1, 4};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *from = support_file("odd.csv", cases[i].text), *to = support_path("no.csv");
        assert_int_equal(dip_folds_write(to, from, &hold_out), DIP_EINVAL);
        if (!strstr(dip_last_error(), cases[i].words)) fail_msg("%s", dip_last_error());
        assert_false(dip_file_exists(to));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scene_is_held_out_once),
        cmocka_unit_test(cells_come_through),
        cmocka_unit_test(what_cannot_be_dealt_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
