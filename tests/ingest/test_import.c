/* Import of manifests: what goes in, what is refused, ids, resumption, statistics. */
#define _POSIX_C_SOURCE 200809L
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "ingest/manifest.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A folder with `places` pairs: s1 of one float band, s2 of three. */
static void write_pairs(const char *folder, int places)
{
    char text[8192];
    size_t used = (size_t)snprintf(
        text, sizeof text, "tile_id,modality,path,labels,split,scene,lon,lat,acq_date,row\n");
    for (int i = 0; i < places; i++) {
        for (int s = 1; s <= 2; s++) {
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "p%02d,s%d,s%d/p%02d.tif,a|b,%s,%03d,10.5,47,2020-11-07,%d\n",
                                     i, s, s, i, i % 4 ? "train" : "test", i / 4, i);
            support_write_raster(support_path("%s/s%d/p%02d.tif", folder, s, i),
                                 &(support_raster){.width = 12,
                                                   .height = 12,
                                                   .bands = s == 1 ? 1 : 3,
                                                   .dtype = s == 1 ? DIP_DTYPE_F32 : DIP_DTYPE_U16,
                                                   .base = s == 1 ? -100 - i : 1000 + i,
                                                   .names = s == 1 ? "VV" : "B02,B03,B04",
                                                   .west = 404400 + 120 * i,
                                                   .north = 5342400,
                                                   .gsd_m = 10});
        }
    }
    support_write(support_path("%s/manifest.csv", folder), text);
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

static void test_pairs(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines;
    write_pairs("pairs", 10);
    dip_archive *archive = support_archive("pairs.archive");
    assert_ok(support_import(archive, support_path("pairs"), &lines, &report));
    assert_int_equal(lines.count, 0);
    assert_int_equal(report.layout, DIP_LAYOUT_MANIFEST);
    assert_int_equal(report.added, 20);
    assert_int_equal(report.places, 10);
    assert_int_equal(report.alone, 0);
    dip_meta *meta = find(archive, "s2", "p07");
    assert_string_equal(meta->labels, "a|b");
    assert_string_equal(meta->split, "train");
    assert_string_equal(meta->scene, "001");
    assert_string_equal(meta->extra, "{\"row\":7}");
    assert_int_equal(meta->time, 1604707200);
    assert_int_equal(meta->epsg, 32633);
    dip_tile *tile;
    assert_ok(dip_archive_tile(archive, meta->id, &tile));
    assert_int_equal(tile->plane_count, 3);
    for (size_t i = 0; i < 144; i++)
        assert_true(support_value(&tile->planes[2], i) == 1007 + 20 + (double)(i % 97));
    dip_tile_free(tile);
    dip_meta_free(meta);
    dip_archive_close(archive);
}

static void test_modalities(void **state)
{
    (void)state;
    dip_import_report report;
    write_pairs("pairs", 10);
    dip_archive *archive = support_archive("modalities.archive");
    assert_ok(support_import(archive, support_path("pairs"), NULL, &report));
    const dip_modality *s1 = dip_archive_modality(archive, 0),
                       *s2 = dip_archive_modality(archive, 1);
    assert_string_equal(s1->name, "s1");
    assert_string_equal(s1->bands[0].unit, "dB");
    assert_string_equal(s2->bands[1].name, "B03");
    assert_string_equal(s2->bands[1].unit, "reflectance");
    assert_true(s2->bands[1].gsd_m == 10);
    assert_string_equal(s2->display[0], "B04");
    dip_archive_close(archive);
}

/* Statistics are those of the training tiles, worked out here once more. */
static void test_statistics(void **state)
{
    (void)state;
    dip_import_report report;
    write_pairs("pairs", 10);
    dip_archive *archive = support_archive("statistics.archive");
    assert_ok(support_import(archive, support_path("pairs"), NULL, &report));
    double sum = 0, squares = 0, n = 0;
    for (int i = 0; i < 10; i++)
        for (int p = 0; i % 4 && p < 144; p++) {
            double value = 1000 + i + 10 + p % 97;
            sum += value;
            squares += value * value;
            n++;
        }
    const dip_band *band = &dip_archive_modality(archive, 1)->bands[1];
    assert_true(fabs(band->mean - sum / n) < 1e-9);
    assert_true(fabs(band->stddev - sqrt(squares / n - sum / n * (sum / n))) < 1e-8);
    dip_archive_close(archive);
}

typedef struct listing {
    char text[4096];
    size_t used;
} listing;

static dip_status list_tile(void *context, const dip_meta *m)
{
    listing *l = context;
    l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%llu:%llu:%u:%s ",
                                (unsigned long long)m->id, (unsigned long long)m->place,
                                m->modality, m->name);
    return DIP_OK;
}

static void list_archive(dip_archive *archive, listing *l)
{
    memset(l, 0, sizeof *l);
    assert_ok(dip_archive_each(archive, list_tile, l));
    for (size_t m = 0; m < dip_archive_modality_count(archive); m++) {
        const dip_modality *mod = dip_archive_modality(archive, m);
        l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%s %.17g %.17g ",
                                    mod->name, mod->bands[0].mean, mod->bands[0].stddev);
    }
}

/* Ids and statistics do not depend on threads and batches. */
static void test_deterministic(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 3, 4};
    static const size_t batches[] = {256, 1, 7};
    listing first, other;
    write_pairs("pairs", 10);
    const char *source = support_path("pairs");
    for (int i = 0; i < 3; i++) {
        dip_import_report report;
        dip_import_options options = {.batch = batches[i]};
        dip_archive *archive = support_archive("deterministic.archive");
        dip_threads_set(threads[i]);
        assert_ok(dip_import(archive, &source, 1, &options, &report));
        list_archive(archive, i ? &other : &first);
        if (i) assert_string_equal(first.text, other.text);
        dip_archive_close(archive);
    }
    dip_threads_set(0);
}

static int cancel_at(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase, (void)total;
    return done >= *(uint64_t *)payload;
}

/* Stopped and run again gives what one run gives, and reads nothing twice. */
static void test_resume(void **state)
{
    (void)state;
    listing whole, pieces;
    dip_import_report report;
    write_pairs("pairs", 10);
    const char *source = support_path("pairs");
    dip_archive *archive = support_archive("whole.archive");
    assert_ok(support_import(archive, source, NULL, &report));
    list_archive(archive, &whole);
    dip_archive_close(archive);
    archive = support_archive("pieces.archive");
    uint64_t stop = 9;
    dip_progress progress = {cancel_at, &stop};
    dip_import_options options = {.batch = 3, .progress = &progress};
    assert_fails(dip_import(archive, &source, 1, &options, &report), DIP_ECANCEL, "9 of 20");
    assert_int_equal(report.added, 9);
    assert_ok(support_import(archive, source, NULL, &report));
    assert_int_equal(report.added, 11);
    assert_int_equal(report.present, 9);
    assert_int_equal(report.places, 10);
    list_archive(archive, &pieces);
    assert_string_equal(whole.text, pieces.text);
    assert_ok(dip_file_remove(support_path("pairs/s1")));
    assert_ok(support_import(archive, source, NULL, &report));
    assert_int_equal(report.present, 20);
    assert_int_equal(report.refused, 0);
    dip_archive_close(archive);
}

static int kill_at(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase, (void)total;
    if (done >= *(uint64_t *)payload) raise(SIGKILL);
    return 0;
}

/* Killed at any batch, an import that is run again ends in what one run gives. */
static void test_killed(void **state)
{
    (void)state;
    listing whole, pieces;
    dip_import_report report;
    char source[1024], path[1024];
    write_pairs("pairs", 10);
    snprintf(source, sizeof source, "%s", support_path("pairs"));
    snprintf(path, sizeof path, "%s", support_path("killed.archive"));
    const char *sources[] = {source};
    dip_archive *archive = support_archive("whole.archive");
    assert_ok(support_import(archive, source, NULL, &report));
    list_archive(archive, &whole);
    dip_archive_close(archive);
    dip_archive_close(support_archive("killed.archive"));
    dip_threads_set(1); /* no worker may be there when the process forks */
    for (uint64_t stop = 0; stop < 20; stop += 6) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            dip_progress progress = {kill_at, &stop};
            dip_import_options options = {.batch = 3, .progress = &progress};
            if (dip_archive_open(&archive, path, DIP_ARCHIVE_WRITE)) _exit(1);
            (void)dip_import(archive, sources, 1, &options, &report);
            _exit(2);
        }
        int how = 0;
        assert_true(waitpid(child, &how, 0) == child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    }
    assert_ok(dip_archive_open(&archive, path, DIP_ARCHIVE_WRITE));
    assert_ok(support_import(archive, source, NULL, &report));
    assert_true(report.present >= 18);
    assert_int_equal(report.present + report.added, 20);
    list_archive(archive, &pieces);
    assert_string_equal(whole.text, pieces.text);
    dip_archive_close(archive);
    dip_threads_set(0);
}

/* ---- what is refused ---- */

static void write_good_rasters(void)
{
    support_raster r = {.width = 8, .height = 8, .bands = 2, .dtype = DIP_DTYPE_F32, .base = 3};
    support_write_raster(support_path("refuse/good.tif"), &r);
    r.nan_pixels = 17;
    support_write_raster(support_path("refuse/nan.tif"), &r);
    r.nan_pixels = 0;
    r.bands = 3;
    support_write_raster(support_path("refuse/three.tif"), &r);
    r.bands = 2;
    r.width = 9;
    support_write_raster(support_path("refuse/wide.tif"), &r);
    r.width = 8;
    r.names = "x,y";
    support_write_raster(support_path("refuse/named.tif"), &r);
    r.names = NULL;
    r.dtype = DIP_DTYPE_U8;
    support_write_raster(support_path("refuse/bytes.tif"), &r);
    support_write(support_path("refuse/text.tif"), "not a TIFF");
    char *bytes;
    size_t length;
    assert_ok(dip_file_read(&bytes, &length, support_path("refuse/good.tif"), 1 << 20));
    assert_ok(dip_file_write(support_path("refuse/cut.tif"), bytes, length * 3 / 4));
    dip_free(bytes);
}

static const struct {
    const char *row, *words;
} bad_rows[] = {
    {"t01,s1,nan.tif,,,,", "tile 't01' (s1): band band1 has 17 NaN pixels"},
    {"t02,s1,three.tif,,,,", "it has 3 bands, modality 's1' has 2"},
    {"t03,s1,wide.tif,,,,", "band band1 is 9x8, expected 8x8"},
    {"t04,s1,named.tif,,,,", "it has no band band1"},
    {"t05,s1,bytes.tif,,,,", "has uint8 pixels, expected float32"},
    {"t06,s1,text.tif,,,,", "text.tif' is no raster file"},
    {"t07,s1,cut.tif,,,,", "cut.tif' is damaged or truncated"},
    {"t08,s1,none.tif,,,,", "cannot open '"},
    {"t09,s1,good.tif,12,,,", "the file has 8x8 pixels, the manifest says 12x8"},
    {"t10,s1,good.tif,,7,,", "the file has 2 bands, the manifest says 7"},
    {"t11,s1,good.tif,,,uint16,", "the file has float32 pixels, the manifest says uint16"},
    {"t12,s1,good.tif,,,,soon", "line 14: the date is no ISO 8601"},
    {"t13,s1,good.tif,wide,,,", "line 15: width 'wide' is no number"},
    {"t14,s1,good.tif,-1,,,", "width '-1' is no number from 1 to"},
    {",s1,good.tif,,,,", "line 17: tile_id is empty; skipped"},
    {"t16,,good.tif,,,,", "modality '' is not 1 to 31 letters"},
    {"t17,s 1,good.tif,,,,", "modality 's 1' is not"},
    {"t18,s1,,,,,", "it has 0 bands"},
    {"t19,s1,good.tif", "it has 3 cells, the header 7"},
    {"t20,s1,good.tif,,,,,,", "it has 9 cells, the header 7"},
    {"good,s1,good.tif,,,,", "it is listed twice"},
    {"t21,s1,folder,,,,", "holds no raster named"},
};
enum { BAD_ROWS = sizeof bad_rows / sizeof *bad_rows };

static void test_refused(void **state)
{
    (void)state;
    char text[4096];
    dip_import_report report;
    static support_lines lines;
    write_good_rasters();
    support_write(support_path("refuse/folder/readme.txt"), "");
    size_t used = (size_t)snprintf(text, sizeof text,
                                   "tile_id,modality,path,width,bands,dtype,acq_date\n"
                                   "good,s1,good.tif,8,2,float32,2020-01-01\n");
    for (size_t i = 0; i < BAD_ROWS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", bad_rows[i].row);
    snprintf(text + used, sizeof text - used, "last,s1,good.tif,,,,\n");
    support_write(support_path("refuse/manifest.csv"), text);
    dip_archive *archive = support_archive("refuse.archive");
    assert_ok(support_import(archive, support_path("refuse/manifest.csv"), &lines, &report));
    assert_int_equal(report.added, 2);
    assert_int_equal(report.refused, BAD_ROWS);
    assert_int_equal(lines.count, BAD_ROWS);
    for (size_t i = 0; i < BAD_ROWS; i++)
        if (!strstr(lines.line[i], bad_rows[i].words))
            fail_msg("'%s' is not in '%s'", bad_rows[i].words, lines.line[i]);
    assert_ok(support_import(archive, support_path("refuse/manifest.csv"), &lines, &report));
    assert_int_equal(report.present, 2);
    assert_int_equal(report.refused, BAD_ROWS);
    dip_archive_close(archive);
}

static void test_manifests_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        dip_status code;
        const char *words;
    } cases[] = {
        {"m1.csv", "tile_id,modality\na,b\n", DIP_EFORMAT, "has no column 'path'"},
        {"m2.csv", "", DIP_EFORMAT, "the manifest is empty"},
        {"m3.csv", "tile_id,modality,path\n\"a,b,c\n", DIP_EFORMAT, "line 2 opens a quote"},
        {"m4.csv", "\x89PNG\r\n\x1a\n", DIP_EFORMAT, "not UTF-8"},
        {"m5.geojson", "{\"features\":[", DIP_EFORMAT, "not JSON"},
        {"m6.geojson", "{\"type\":\"Feature\"}", DIP_EFORMAT, "FeatureCollection"},
    };
    dip_archive *archive = support_archive("manifests.archive");
    dip_import_report report;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = support_path("%s", cases[i].name);
        support_write(path, cases[i].text);
        assert_fails(support_import(archive, path, NULL, &report), cases[i].code, cases[i].words);
        assert_non_null(strstr(dip_last_error(), cases[i].name));
    }
    assert_fails(support_import(archive, support_path("none.csv"), NULL, &report), DIP_ENOENT,
                 "none.csv");
    support_write(support_path("hollow/readme.txt"), "");
    assert_fails(support_import(archive, support_path("hollow"), NULL, &report), DIP_ENOENT,
                 "holds no manifest.csv");
    support_raster raster = {.width = 8, .height = 8, .bands = 1, .dtype = DIP_DTYPE_U8};
    support_write_raster(support_path("alone.tif"), &raster);
    assert_fails(support_import(archive, support_path("alone.tif"), NULL, &report), DIP_EFORMAT,
                 "alone.tif' is no manifest: it holds no text");
    dip_archive_close(archive);
}

static void test_wrong_options(void **state)
{
    (void)state;
    write_pairs("pairs", 2);
    const char *source = support_path("pairs");
    dip_import_report report;
    dip_archive *archive = support_archive("options.archive");
    dip_import_options options = {.bands = "s1="};
    assert_fails(dip_import(archive, &source, 1, &options, &report), DIP_EINVAL, "bands 's1='");
    options.bands = "s1=VV,VH";
    assert_fails(dip_import(archive, &source, 1, &options, &report), DIP_EMISMATCH,
                 "tile 'p00' of modality 's1': it has 1 band, --bands names 2");
    options = (dip_import_options){.bands = "s1=VV;s3=r"};
    assert_fails(dip_import(archive, &source, 1, &options, &report), DIP_EINVAL,
                 "--bands names modality 's3', of which there are no tiles");
    options = (dip_import_options){.bands = "s2=r,g,b", .units = "s2=counts"};
    assert_ok(dip_import(archive, &source, 1, &options, &report));
    const dip_modality *s2 = dip_archive_modality(archive, 1);
    assert_string_equal(s2->bands[0].name, "r");
    assert_string_equal(s2->bands[2].unit, "counts");
    dip_archive_close(archive);
}

/* Files without georeference: the row's centre and pixel size, or its corners. */
static void test_footprints(void **state)
{
    (void)state;
    dip_import_report report;
    support_write_raster(support_path("foot/a.tif"),
                         &(support_raster){100, 50, 1, DIP_DTYPE_U8, .base = 1});
    support_write(support_path("foot/manifest.csv"),
                  "tile_id;modality;path;lon;lat;gsd_m;west;south;east;north;place;split\n"
                  "c;m;a.tif;10;60;20;;;;;shared;Validation\n"
                  "k;m;a.tif;;;;1;2;3;4;shared;\n"
                  "n;m;a.tif;;;;;;;;;\n");
    dip_archive *archive = support_archive("foot.archive");
    assert_ok(support_import(archive, support_path("foot"), NULL, &report));
    assert_int_equal(report.places, 2);
    dip_meta *meta = find(archive, "m", "c");
    assert_true(fabs((meta->north - meta->south) * 111195 - 1000) < 1);
    assert_true(fabs((meta->east - meta->west) * 111195 * 0.5 - 2000) < 2);
    assert_true(fabs(meta->west + meta->east - 20) < 1e-9);
    assert_string_equal(meta->place_name, "shared");
    assert_string_equal(meta->split, "val");
    dip_meta_free(meta);
    meta = find(archive, "m", "k");
    assert_true(meta->west == 1 && meta->south == 2 && meta->east == 3 && meta->north == 4);
    dip_meta_free(meta);
    meta = find(archive, "m", "n");
    assert_true(isnan(meta->west) && isnan(meta->north) && meta->epsg == 0);
    dip_meta_free(meta);
    dip_archive_close(archive);
}

/* A path that is a folder: a band a file, each on its own grid. */
static void test_folder_of_bands(void **state)
{
    (void)state;
    dip_import_report report;
    support_write_raster(support_path("bands/t/t_B02.tif"),
                         &(support_raster){12, 12, 1, DIP_DTYPE_U16, .base = 1, .west = 404400,
                                           .north = 5342400, .gsd_m = 10});
    support_write_raster(support_path("bands/t/t_B05.tif"),
                         &(support_raster){6, 6, 1, DIP_DTYPE_U16, .base = 2, .west = 404400,
                                           .north = 5342400, .gsd_m = 20});
    support_write(support_path("bands/t/t_notes.txt"), "x");
    support_write(
        support_path("bands/manifest.geojson"),
        "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"geometry\":null,"
        "\"properties\":{\"tile_id\":\"t\",\"modality\":\"s2\",\"path\":\"t\",\"gsd_m\":10,"
        "\"width\":12,\"bands\":2,\"cloud\":{\"share\":0.25}}}]}");
    dip_archive *archive = support_archive("bands.archive");
    assert_ok(support_import(archive, support_path("bands"), NULL, &report));
    assert_int_equal(report.added, 1);
    const dip_modality *m = dip_archive_modality(archive, 0);
    assert_string_equal(m->bands[1].name, "B05");
    assert_true(m->bands[0].gsd_m == 10 && m->bands[1].gsd_m == 20);
    dip_meta *meta = find(archive, "s2", "t");
    assert_true(meta->transform[1] == 10);
    assert_string_equal(meta->extra, "{\"cloud\":{\"share\":0.25}}");
    dip_meta_free(meta);
    dip_archive_close(archive);
}

/* An odd file at the front does not make the rule for all others. */
static void test_odd_one_first(void **state)
{
    (void)state;
    char text[512];
    dip_import_report report;
    static support_lines lines;
    size_t used = (size_t)snprintf(text, sizeof text, "tile_id,modality,path\n");
    for (int i = 0; i < 12; i++) {
        support_write_raster(support_path("odd/t%d.tif", i),
                             &(support_raster){i ? 8 : 9, 8, 1, DIP_DTYPE_U8, .base = i});
        used += (size_t)snprintf(text + used, sizeof text - used, "t%d,m,t%d.tif\n", i, i);
    }
    support_write(support_path("odd/manifest.csv"), text);
    dip_archive *archive = support_archive("odd.archive");
    assert_ok(support_import(archive, support_path("odd"), &lines, &report));
    assert_int_equal(report.added, 11);
    assert_string_equal(lines.line[0], "tile 't0' (m): band band1 is 9x8, expected 8x8; skipped");
    dip_archive_close(archive);
}

/* Nothing that can be read: every tile is refused, none is declared. */
static void test_nothing_readable(void **state)
{
    (void)state;
    dip_import_report report;
    static support_lines lines;
    support_write(support_path("void/a.tif"), "x");
    support_write(support_path("void/manifest.csv"),
                  "tile_id,modality,path\na,m,a.tif\nb,m,b.tif\n");
    dip_archive *archive = support_archive("void.archive");
    assert_ok(support_import(archive, support_path("void"), &lines, &report));
    assert_int_equal(report.added, 0);
    assert_int_equal(report.refused, 2);
    assert_int_equal(dip_archive_modality_count(archive), 0);
    dip_archive_close(archive);
}

/* Whichever allocation fails, the import says so, and the next one goes on from there. */
static void test_short_of_memory(void **state)
{
    (void)state;
    write_pairs("short", 2);
    dip_threads_set(1);
    size_t failed = 0;
    for (size_t n = 1;; n += 1 + n / 16) {
        dip_import_report report;
        dip_archive *archive = support_archive("short.archive");
        char source[1024];
        snprintf(source, sizeof source, "%s", support_path("short"));
        dip_mem_fail_after(n);
        dip_status status = support_import(archive, source, NULL, &report);
        dip_mem_fail_after(0);
        if (status) assert_int_equal(status, DIP_ENOMEM);
        assert_ok(support_import(archive, source, NULL, &report));
        assert_int_equal(report.added + report.present, 4);
        assert_int_equal(report.refused, 0);
        dip_archive_close(archive);
        if (!status) break;
        failed++;
    }
    if (failed <= 40) fail_msg("only %zu of the allocations mattered", failed);
    dip_threads_set(0);
}

static void count_found(void *payload, const dip_import_found *found)
{
    dip_import_found *kept = payload;
    *kept = *found;
}

static void test_found(void **state)
{
    (void)state;
    dip_import_found found = {.modality_count = 0};
    dip_import_options options = {.found = count_found, .payload = &found};
    dip_import_report report;
    write_pairs("pairs", 3);
    const char *source = support_path("pairs");
    dip_archive *archive = support_archive("found.archive");
    assert_ok(dip_import(archive, &source, 1, &options, &report));
    assert_int_equal(found.layout, DIP_LAYOUT_MANIFEST);
    assert_int_equal(found.modality_count, 2);
    assert_string_equal(found.modality[1], "s2");
    assert_int_equal(found.tiles[0], 3);
    dip_archive_close(archive);
}

/* A folder of rasters for each modality needs no manifest; a file that is none, and a name that is no text, cost a line. */
static void test_folders(void **state)
{
    (void)state;
    dip_import_report report;
    support_lines lines;
    write_pairs("folders", 3);
    assert_int_equal(remove(support_path("folders/manifest.csv")), 0);
    support_write(support_path("folders/readme.txt"), "no raster");
    support_write(support_path("folders/s1/notes.txt"), "no raster");
    support_write(support_path("folders/.cache/p00.tif"), "hidden");
    support_write(support_path("folders/s1/x\xff.tif"), "no name");
    support_write(support_path("folders/s2/p09.tif"), "no raster");
    const support_raster band = {.width = 12, .height = 12, .bands = 1, .dtype = DIP_DTYPE_U16};
    support_write_raster(support_path("folders/s3/p01/a_B02.tif"), &band);
    support_write_raster(support_path("folders/s3/p01/a_B03.tif"), &band);
    dip_archive *archive = support_archive("folders.archive");
    assert_ok(support_import(archive, support_path("folders"), &lines, &report));
    assert_int_equal(report.layout, DIP_LAYOUT_FOLDERS);
    assert_int_equal(report.added, 7);
    assert_int_equal(report.places, 3);
    assert_int_equal(lines.count, 2);
    dip_meta *meta = find(archive, "s3", "p01");
    dip_meta *twin = find(archive, "s1", "p01");
    assert_int_equal(meta->place, twin->place);
    dip_meta_free(meta);
    dip_meta_free(twin);
    assert_ok(support_import(archive, support_path("folders"), &lines, &report));
    assert_int_equal(report.present, 7);
    dip_archive_close(archive);
}

/* What a source is, is known before anything is made for it. */
static void test_check(void **state)
{
    (void)state;
    const dip_import_options any = {.layout = DIP_LAYOUT_AUTO},
                             folders = {.layout = DIP_LAYOUT_FOLDERS};
    write_pairs("check", 1);
    const char *whole = support_path("check"), *part = support_path("check/s1");
    assert_ok(dip_import_check(&whole, 1, &any));
    assert_ok(dip_import_check(&whole, 1, &folders));
    assert_fails(dip_import_check(&part, 1, &any), DIP_ENOENT, "manifest");
    assert_fails(dip_import_check(&part, 1, &folders), DIP_ENOENT, "folder of rasters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_modalities),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_manifests_refused),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_footprints),
        cmocka_unit_test(test_folder_of_bands),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_odd_one_first),
        cmocka_unit_test(test_nothing_readable),
        cmocka_unit_test(test_short_of_memory),
        cmocka_unit_test(test_found),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, support_cleanup);
}
