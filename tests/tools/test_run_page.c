/* The page of a run, from a folder written by hand: hostile names, tiles that are gone, numbers that are none. */
#define _GNU_SOURCE
#include "tools/run_page.h"

#include "core/file.h"
#include "core/mem.h"
#include "tests/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 4 };

static char *folder;
static dip_archive *archive;

static char *path_of(const char *name) { return dip_path_join(folder, name); }

static void write_file(const char *name, const char *text)
{
    char *path = path_of(name);
    assert_int_equal(dip_file_write(path, text, strlen(text)), DIP_OK);
    dip_free(path);
}

/* Two tiles of one place, ids 1 and 2 or what the archive makes of it. */
static void fill_archive(uint64_t ids[2])
{
    static uint8_t pixels[SIDE * SIDE];
    dip_batch *batch = NULL;
    char *path = path_of("a");
    assert_int_equal(dip_archive_create(&archive, path, "<b>title"), DIP_OK);
    dip_free(path);
    for (uint32_t m = 0; m < 2; m++) {
        dip_modality modality = {.band_count = 1};
        snprintf(modality.name, sizeof modality.name, "m%u", m);
        snprintf(modality.bands[0].name, sizeof modality.bands[0].name, "B");
        assert_int_equal(dip_archive_declare(archive, &modality), DIP_OK);
    }
    assert_int_equal(dip_batch_begin(&batch, archive), DIP_OK);
    for (size_t i = 0; i < SIDE * SIDE; i++) pixels[i] = (uint8_t)(9 * i);
    for (uint32_t m = 0; m < 2; m++) {
        dip_tile tile = {.meta = {.modality = m,
                                  .name = "\"><script>x('&')</script>",
                                  .place_name = "p",
                                  .time = DIP_NO_TIME,
                                  .west = NAN,
                                  .south = NAN,
                                  .east = NAN,
                                  .north = NAN},
                         .plane_count = 1};
        tile.planes[0] = (dip_plane){DIP_DTYPE_U8, SIDE, SIDE, pixels};
        assert_int_equal(dip_batch_add_tile(batch, &tile), DIP_OK);
    }
    assert_int_equal(dip_batch_commit(batch), DIP_OK);
    for (int m = 0; m < 2; m++) {
        uint64_t *list;
        size_t n;
        assert_int_equal(dip_archive_ids(archive, m, &list, &n), DIP_OK);
        assert_int_equal(n, 1);
        ids[m] = list[0];
        dip_ids_free(list);
    }
}

static int set_up(void **state)
{
    char line[512], *run = NULL;
    uint64_t ids[2];
    (void)state;
    folder = scratch_folder("page");
    fill_archive(ids);
    assert_int_equal(dip_folder_create((run = path_of("run"))), DIP_OK);
    dip_free(run);
    write_file("run/config.ini",
               "[training]\nname = run\nepochs = 4\nmde = 0.5\nwidths = <i>\nflips = no\n");
    write_file("run/metrics.jsonl",
               "{\"kind\":\"data\",\"step\":0,\"held_out\":\"<u>\",\"pairs\":1266,"
               "\"held_pairs\":200,\"parameters\":1.5e6,\"dim\":64}\n"
               "{\"kind\":\"band\",\"step\":0,\"modality\":\"m0\",\"band\":\"<script>\","
               "\"unit\":\"dB\",\"mean\":1,\"deviation\":2}\n"
               "{\"kind\":\"band\",\"step\":0,\"modality\":\"m1\",\"band\":\"B\",\"mean\":null}\n"
               "{\"kind\":\"start\",\"step\":0,\"time\":1}\n"
               "{\"kind\":\"step\",\"step\":10,\"loss\":4,\"mim\":3,\"<q>\":2,\"rate\":0.001}\n"
               "{\"kind\":\"step\",\"step\":20,\"loss\":null,\"mim\":1e300,\"<q>\":-1}\n"
               "{\"kind\":\"epoch\",\"step\":20,\"epoch\":0,\"loss\":3,\"seconds\":2,"
               "\"pairs_per_second\":500,\"waiting\":0.01}\n"
               "{\"kind\":\"start\",\"step\":30,\"time\":2}\n"
               "{\"kind\":\"evaluation\",\"step\":40,\"epoch\":1,\"recall_forward\":0.625,"
               "\"recall_backward\":0.5,\"pairs\":200,\"seconds\":1}\n"
               "{\"kind\":\"evalu");
    snprintf(line, sizeof line,
             "{\"kind\":\"worst\",\"step\":40,\"from\":\"m0\",\"to\":\"m1\",\"probe\":%llu,"
             "\"twin\":%llu,\"rank\":2,\"score\":0.5,\"of\":200,\"hit1\":999999,\"score1\":0.75,"
             "\"hit2\":%llu,\"score2\":0.5}\n",
             (unsigned long long)ids[0], (unsigned long long)ids[1], (unsigned long long)ids[1]);
    write_file("run/examples.jsonl", line);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dip_archive_close(archive);
    dip_status status = dip_file_remove(folder);
    free(folder);
    return status;
}

static char *make_page(void)
{
    char *run = path_of("run"), *page = path_of("run/report.html"), *text = NULL;
    size_t length;
    assert_int_equal(dip_run_page_write(archive, run, NULL), DIP_OK);
    assert_int_equal(dip_file_read(&text, &length, page, 1 << 24), DIP_OK);
    assert_int_equal(strlen(text), length);
    dip_free(run);
    dip_free(page);
    return text;
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    return n;
}

static void page_tells_the_run(void **state)
{
    (void)state;
    char *text = make_page();
    assert_non_null(strstr(text, "Training run run"));
    assert_non_null(strstr(text, "not finished"));
    assert_non_null(strstr(text, "<b>0.625</b>"));
    assert_non_null(strstr(text, "by chance 0.050"));
    assert_non_null(strstr(text, "recall@10, m0 \xe2\x86\x92 m1"));
    assert_non_null(strstr(text, "<b>1,266</b>"));
    assert_non_null(strstr(text, "<b>500 pairs/s</b>"));
    assert_non_null(strstr(text, "1.0 % waiting"));
    assert_non_null(strstr(text, "<title>continued at epoch 1.50</title>"));
    assert_non_null(strstr(text, "--epochs 4 --widths '&lt;i&gt;' --mde 0.5 --no-flips</pre>"));
    dip_free(text);
}

static void what_comes_from_outside_is_escaped(void **state)
{
    (void)state;
    char *text = make_page();
    static const char *const never[] = {"<script",    "<u>",  "<q>",  "'<i>'", "<b>title",
                                        "src=\"http", "url(", ">nan", "\"nan", ">inf"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(text, never[i])) fail_msg("'%s'", never[i]);
    assert_non_null(strstr(text, "m1/&quot;&gt;&lt;script&gt;x('&amp;')"));
    assert_non_null(strstr(text, "default-src 'none'; img-src data:; style-src 'unsafe-inline'"));
    dip_free(text);
}

static void a_tile_that_is_gone_is_said_to_be(void **state)
{
    (void)state;
    char *text = make_page();
    assert_int_equal(count_of(text, "no longer in the archive"), 1);
    assert_int_equal(count_of(text, "<img "), 3); /* probe, twin, and the twin among the hits */
    assert_int_equal(count_of(text, " alt=\"m"), 3);
    dip_free(text);
}

static void the_page_replaces_the_one_before(void **state)
{
    (void)state;
    char *first = make_page();
    write_file("run/finished.ini", "[result]\n");
    char *second = make_page(), *left = path_of("run/report.html.partial");
    assert_null(strstr(second, "not finished"));
    assert_false(dip_file_exists(left));
    dip_free(first);
    dip_free(second);
    dip_free(left);
}

static void an_allocation_may_fail_anywhere(void **state)
{
    (void)state;
    char *run = path_of("run"), *left = path_of("run/report.html.partial");
    dip_status status = DIP_ENOMEM;
    size_t n = 1;
    for (; status; n++) {
        dip_mem_fail_after(n);
        status = dip_run_page_write(archive, run, NULL);
        dip_mem_fail_after(0);
        if (status) assert_int_equal(status, DIP_ENOMEM);
        assert_false(dip_file_exists(left));
        assert_true(n < 10000);
    }
    assert_true(n > 50);
    dip_free(run);
    dip_free(left);
}

static void what_is_no_run_is_refused(void **state)
{
    (void)state;
    char *none = path_of("none"), *empty = path_of("empty");
    assert_int_equal(dip_run_page_write(archive, none, NULL), DIP_ENOENT);
    assert_int_equal(dip_folder_create(empty), DIP_OK);
    write_file("empty/config.ini", "");
    assert_int_equal(dip_run_page_write(archive, empty, NULL), DIP_ENOENT);
    write_file("empty/metrics.jsonl", "");
    assert_int_equal(dip_run_page_write(archive, empty, NULL), DIP_OK);
    dip_free(none);
    dip_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_tells_the_run),
        cmocka_unit_test(what_comes_from_outside_is_escaped),
        cmocka_unit_test(a_tile_that_is_gone_is_said_to_be),
        cmocka_unit_test(the_page_replaces_the_one_before),
        cmocka_unit_test(an_allocation_may_fail_anywhere),
        cmocka_unit_test(what_is_no_run_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
