/* The archive through its public calls: opening, modalities, tiles, names, places, removal. */
#include "support.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void creates_and_opens(void **state)
{
    dip_archive *archive;
    const char *path = inside(*state, "deep/er/a");
    assert_ok(dip_archive_create(&archive, path, "Los Angeles; 100 % real"));
    assert_string_equal(dip_archive_title(archive), "Los Angeles; 100 % real");
    assert_string_equal(dip_archive_path(archive), path);
    dip_archive_close(archive);
    assert_ok(dip_archive_open(&archive, inside(*state, "deep/er/a"), DIP_ARCHIVE_READ));
    assert_string_equal(dip_archive_title(archive), "Los Angeles; 100 % real");
    assert_int_equal(dip_archive_modality_count(archive), 0);
    assert_sound(archive);
    dip_archive_close(archive);
}

static void refuses_what_is_there(void **state)
{
    dip_archive *archive = NULL;
    assert_ok(dip_folder_create(inside(*state, "empty")));
    assert_ok(dip_archive_create(&archive, inside(*state, "empty"), ""));
    dip_archive_close(archive);
    assert_fails(dip_archive_create(&archive, inside(*state, "empty"), ""), DIP_EEXIST,
                 "not empty");
    assert_ok(dip_file_write(inside(*state, "file"), "x", 1));
    assert_fails(dip_archive_create(&archive, inside(*state, "file"), ""), DIP_EEXIST, "is a file");
    assert_ok(dip_folder_create(inside(*state, "full")));
    assert_ok(dip_file_write(inside(*state, "full/thing"), "x", 1));
    assert_fails(dip_archive_create(&archive, inside(*state, "full"), ""), DIP_EEXIST, "not empty");
    char title[200];
    memset(title, 'x', sizeof title - 1);
    title[sizeof title - 1] = '\0';
    assert_fails(dip_archive_create(&archive, inside(*state, "long"), title), DIP_EINVAL,
                 "199 bytes");
}

static void takes_over_a_creation_cut_short(void **state)
{
    dip_archive *archive = NULL;
    assert_ok(dip_archive_create(&archive, inside(*state, "a"), "first"));
    dip_archive_close(archive);
    assert_ok(dip_file_remove(inside(*state, "a/archive.ini")));
    assert_ok(dip_archive_create(&archive, inside(*state, "a"), "second"));
    assert_string_equal(dip_archive_title(archive), "second");
    assert_sound(archive);
    dip_archive_close(archive);
}

static void never_takes_over_tiles(void **state)
{
    dip_archive *archive = new_archive(*state);
    add_pairs(archive, "p", 0, 4, 40);
    dip_archive_close(archive);
    assert_ok(dip_file_remove(inside(*state, "a/archive.ini")));
    assert_fails(dip_archive_create(&archive, inside(*state, "a"), ""), DIP_EEXIST, "not empty");
}

/* Killed before archive.ini was there, or before the store was whole: the folder is free for the same command. */
static void a_creation_that_was_cut_short_is_done_again(void **state)
{
    for (int whole = 0; whole < 2; whole++) {
        dip_archive *archive = whole ? new_archive(*state) : NULL;
        dip_archive_close(archive);
        if (whole) assert_ok(dip_file_remove(inside(*state, "a/archive.ini")));
        if (!whole) assert_ok(dip_folder_create(inside(*state, "a/store")));
        if (!whole) assert_ok(dip_file_write(inside(*state, "a/store/data.mdb"), "", 0));
        assert_fails(dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_WRITE), DIP_ENOENT,
                     "holds no archive yet");
        assert_ok(dip_archive_create(&archive, inside(*state, "a"), ""));
        dip_archive_close(archive);
        assert_ok(dip_file_remove(inside(*state, "a")));
    }
}

static void says_what_is_no_archive(void **state)
{
    dip_archive *archive = NULL;
    assert_fails(dip_archive_open(&archive, inside(*state, "none"), DIP_ARCHIVE_READ), DIP_ENOENT,
                 "there is no archive");
    assert_fails(dip_archive_open(&archive, *state, DIP_ARCHIVE_READ), DIP_ENOENT,
                 "holds no archive yet");
    assert_ok(dip_file_write(inside(*state, "file"), "x", 1));
    assert_fails(dip_archive_open(&archive, *state, DIP_ARCHIVE_READ), DIP_EFORMAT,
                 "no archive.ini");
    assert_fails(dip_archive_open(&archive, inside(*state, "file"), DIP_ARCHIVE_READ), DIP_EFORMAT,
                 "is a file");
    dip_archive_close(new_archive(*state));
    assert_ok(dip_file_remove(inside(*state, "a/store/data.mdb")));
    assert_fails(dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_READ), DIP_ECORRUPT,
                 "data.mdb");
}

static void keeps_modalities(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_modality s2 = s2_modality();
    s2.bands[0].mean = 0.1;
    assert_ok(dip_archive_declare(archive, &s2)); /* keeps the first */
    assert_int_equal(dip_archive_modality_count(archive), 2);
    const dip_modality *before = dip_archive_modality(archive, 1);
    s2.bands[0].stddev = 572.41639287;
    s2.bands[1].mean = -1.0 / 3;
    s2.bands[1].stddev = 1e-9;
    memset(s2.bands[2].unit, 0, sizeof s2.bands[2].unit);
    strcpy(s2.bands[2].unit, "W/m\xc2\xb2; %");
    s2.bands[2].gsd_m = 0;
    assert_ok(dip_archive_redeclare(archive, &s2));
    assert_true(before->bands[0].mean == 0); /* old pointers show the old state */
    dip_archive_close(archive);
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    assert_int_equal(dip_archive_find_modality(archive, "s2"), 1);
    assert_int_equal(dip_archive_find_modality(archive, "s3"), -1);
    assert_memory_equal(dip_archive_modality(archive, 1), &s2, sizeof s2);
    dip_archive_close(archive);
}

static void refuses_modalities(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_modality m = s2_modality();
    strcpy(m.bands[1].name, "B8A");
    strcpy(m.display[1], "B8A");
    assert_fails(dip_archive_declare(archive, &m), DIP_EMISMATCH,
                 "B02,B03,B04 in the archive, not B02,B8A,B04");
    assert_fails(dip_archive_redeclare(archive, &m), DIP_EMISMATCH, "B8A");
    strcpy(m.name, "s.2");
    assert_fails(dip_archive_declare(archive, &m), DIP_EINVAL, "'s.2' cannot name");
    strcpy(m.name, "s3");
    assert_fails(dip_archive_redeclare(archive, &m), DIP_ENOENT, "no modality 's3'");
    strcpy(m.bands[1].name, "B02");
    assert_fails(dip_archive_declare(archive, &m), DIP_EINVAL, "two bands");
    strcpy(m.bands[1].name, "B03");
    assert_fails(dip_archive_declare(archive, &m), DIP_EINVAL, "display band 'B8A'");
    m.band_count = DIP_MAX_BANDS + 1;
    assert_fails(dip_archive_declare(archive, &m), DIP_EINVAL, "65 bands");
    dip_modality fine = s1_modality();
    for (int i = 2; i < DIP_MAX_MODALITIES; i++) {
        snprintf(fine.name, sizeof fine.name, "m%d", i);
        assert_ok(dip_archive_declare(archive, &fine));
    }
    strcpy(fine.name, "one-more");
    assert_fails(dip_archive_declare(archive, &fine), DIP_EINVAL, "the most modalities");
    dip_archive_close(archive);
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    assert_int_equal(dip_archive_modality_count(archive), DIP_MAX_MODALITIES);
    assert_fails(dip_archive_declare(archive, &fine), DIP_EINVAL, "opened for reading");
    dip_archive_close(archive);
}

static void gives_back_a_tile(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_tile tile = make_tile(1, "T33UUP_1", "77_06", 3, DIP_DTYPE_U16, 120, 7), *back;
    dip_meta *meta;
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_tile(archive, tile.meta.id, &back));
    assert_same_pixels(&tile, back);
    assert_same_meta(&tile.meta, &back->meta);
    dip_tile_free(back);
    assert_ok(dip_archive_meta(archive, tile.meta.id, &meta));
    assert_same_meta(&tile.meta, meta);
    assert_string_equal(meta->scene, ""); /* was NULL */
    dip_meta_free(meta);
    assert_fails(dip_archive_tile(archive, 99, &back), DIP_ENOENT, "no tile 99");
    assert_fails(dip_archive_meta(archive, 99, &meta), DIP_ENOENT, "no tile 99");
    free_made(&tile);
    dip_archive_close(archive);
}

static void finds_names_and_places(void **state)
{
    dip_archive *archive = new_archive(*state);
    add_pairs(archive, "p", 0, 3, 16);
    uint64_t id, *ids;
    size_t n;
    assert_ok(dip_archive_find_tile(archive, 1, "p-2", &id));
    assert_int_equal(id, 5);
    assert_fails(dip_archive_find_tile(archive, 1, "p-3", &id), DIP_ENOENT, "no tile 'p-3'");
    assert_fails(dip_archive_find_tile(archive, 2, "p-1", &id), DIP_EINVAL, "no number 2");
    assert_ok(dip_archive_place(archive, 1, &ids, &n));
    assert_int_equal(n, 2);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 3);
    dip_ids_free(ids);
    assert_fails(dip_archive_place(archive, 3, &ids, &n), DIP_ENOENT, "no place 3");
    assert_ok(dip_archive_ids(archive, 1, &ids, &n));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids[i], 2 * i + 1);
    dip_ids_free(ids);
    assert_ok(dip_archive_ids(archive, -1, &ids, &n));
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids[i], i);
    dip_ids_free(ids);
    dip_archive_close(archive);
}

static void joins_places_across_batches(void **state)
{
    dip_archive *archive = new_archive(*state);
    uint64_t place = DIP_NO_ID;
    for (unsigned i = 0; i < 3; i++) {
        dip_batch *batch;
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        dip_tile tile = make_tile(i % 2, name, "here", 2 + i % 2, DIP_DTYPE_U8, 8, i);
        dip_tile alone = make_tile(0, name, NULL, 2, DIP_DTYPE_U8, 8, i);
        char other[16];
        snprintf(other, sizeof other, "alone%u", i);
        alone.meta.name = other;
        assert_ok(dip_batch_begin(&batch, archive));
        assert_ok(dip_batch_add_tile(batch, &tile));
        assert_ok(dip_batch_add_tile(batch, &alone));
        assert_ok(dip_batch_commit(batch));
        if (i) assert_int_equal(tile.meta.place, place);
        assert_int_not_equal(alone.meta.place, tile.meta.place);
        place = tile.meta.place;
        free_made(&tile);
        free_made(&alone);
    }
    dip_archive_counts counts;
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.places, 4);
    assert_int_equal(counts.tiles, 6);
    assert_sound(archive);
    dip_archive_close(archive);
}

static void long_names_are_names_too(void **state)
{
    enum { LONG = 3000 };
    static char a[LONG + 1], b[LONG + 1];
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    uint64_t id, *ids;
    size_t n;
    memset(a, 'n', LONG);
    memset(b, 'n', LONG);
    b[LONG - 1] = 'm';
    dip_tile x = make_tile(0, a, a, 2, DIP_DTYPE_U8, 8, 1),
             y = make_tile(0, b, b, 2, DIP_DTYPE_U8, 8, 2);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_tile(batch, &x));
    assert_ok(dip_batch_add_tile(batch, &y));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_find_tile(archive, 0, b, &id));
    assert_int_equal(id, y.meta.id);
    assert_int_not_equal(x.meta.place, y.meta.place);
    assert_ok(dip_archive_ids(archive, 0, &ids, &n));
    assert_int_equal(n, 2);
    dip_ids_free(ids);
    assert_sound(archive);
    free_made(&x);
    free_made(&y);
    dip_archive_close(archive);
}

static void refuses_tiles(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    add_pairs(archive, "p", 0, 1, 8);
    assert_ok(dip_batch_begin(&batch, archive));
    dip_tile tile = make_tile(0, "p-0", "p-0", 2, DIP_DTYPE_U8, 8, 1);
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EEXIST, "tile 'p-0' of modality 's1'");
    tile.meta.name = "new";
    tile.plane_count = 1;
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EMISMATCH, "1 planes");
    tile.plane_count = 2;
    tile.meta.modality = 2;
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EINVAL, "no number 2");
    tile.meta.modality = 0;
    tile.meta.name = "";
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EINVAL, "needs a name");
    tile.meta.name = "new";
    tile.planes[1].dtype = (dip_dtype)9;
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EINVAL, "band VH");
    tile.planes[1].dtype = DIP_DTYPE_U8;
    tile.planes[1].width = 1 << 29;
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EINVAL, "band VH");
    tile.planes[1].width = 8;
    /* None of it spoiled the batch. */
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_fails(dip_batch_add_tile(batch, &tile), DIP_EEXIST, "'new'");
    assert_ok(dip_batch_commit(batch));
    assert_sound(archive);
    free_made(&tile);
    dip_archive_close(archive);
}

static void an_aborted_batch_leaves_nothing(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    dip_archive_counts counts;
    uint64_t id;
    assert_ok(dip_batch_begin(&batch, archive));
    dip_tile tile = make_tile(0, "gone", "gone", 2, DIP_DTYPE_U8, 8, 1);
    assert_ok(dip_batch_add_tile(batch, &tile));
    dip_batch_abort(batch);
    dip_batch_abort(NULL);
    assert_int_equal(dip_archive_find_tile(archive, 0, "gone", &id), DIP_ENOENT);
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.tiles, 0);
    assert_int_equal(counts.places, 0);
    assert_sound(archive);
    free_made(&tile);
    dip_archive_close(archive);
}

static void counts_bytes(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_archive_counts counts;
    add_pairs(archive, "p", 0, 5, 32);
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.tiles, 10);
    assert_int_equal(counts.places, 5);
    assert_int_equal(counts.tiles_of[0], 5);
    assert_int_equal(counts.tiles_of[1], 5);
    assert_int_equal(counts.tiles_of[2], 0);
    assert_int_equal(counts.raw_bytes, 5 * 32 * 32 * (2 * 4 + 3 * 2));
    assert_true(counts.tile_bytes > 0 && counts.tile_bytes < counts.raw_bytes);
    assert_true(counts.store_bytes > counts.tile_bytes);
    dip_archive_close(archive);
}

static void removes_a_tile(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    uint64_t id, *ids;
    size_t n;
    dip_tile *tile;
    dip_archive_counts before, after;
    assert_ok(dip_archive_count(archive, &before));
    add_pairs(archive, "p", 0, 3, 16);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_remove_tile(batch, 2));
    assert_fails(dip_batch_remove_tile(batch, 2), DIP_ENOENT, "no tile 2");
    assert_fails(dip_batch_remove_tile(batch, 77), DIP_ENOENT, "no tile 77");
    assert_ok(dip_batch_commit(batch));
    assert_int_equal(dip_archive_tile(archive, 2, &tile), DIP_ENOENT);
    assert_int_equal(dip_archive_find_tile(archive, 0, "p-1", &id), DIP_ENOENT);
    assert_ok(dip_archive_place(archive, 1, &ids, &n));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], 3);
    dip_ids_free(ids);
    assert_sound(archive);
    assert_ok(dip_batch_begin(&batch, archive));
    for (uint64_t i = 0; i < 6; i++)
        if (i != 2) assert_ok(dip_batch_remove_tile(batch, i));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_count(archive, &after));
    assert_int_equal(dip_archive_place(archive, 1, &ids, &n), DIP_ENOENT);
    before.store_bytes = after.store_bytes;
    before.next_tile = after.next_tile;
    assert_memory_equal(&before, &after, sizeof before);
    assert_sound(archive);
    dip_archive_close(archive);
}

static void ids_are_never_given_twice(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    uint64_t id;
    add_pairs(archive, "p", 0, 2, 8);
    for (int again = 0; again < 3; again++) {
        assert_ok(dip_archive_find_tile(archive, 1, "p-1", &id));
        assert_ok(dip_batch_begin(&batch, archive));
        assert_ok(dip_batch_remove_tile(batch, id));
        assert_ok(dip_batch_remove_tile(batch, id - 1));
        assert_ok(dip_batch_commit(batch));
        dip_archive_close(archive);
        archive = open_archive(*state, DIP_ARCHIVE_WRITE);
        add_pairs(archive, "p", 1, 2, 8);
        uint64_t next;
        assert_ok(dip_archive_find_tile(archive, 1, "p-1", &next));
        assert_true(next > id);
    }
    assert_sound(archive);
    dip_archive_close(archive);
}

/* The same name again in the batch that removed it. */
static void replaces_a_tile_in_one_batch(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    dip_tile *back;
    add_pairs(archive, "p", 0, 1, 8);
    dip_tile tile = make_tile(0, "p-0", "p-0", 2, DIP_DTYPE_I16, 24, 99);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_remove_tile(batch, 0));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_remove_tile(batch, tile.meta.id)); /* still pending */
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_commit(batch));
    assert_int_equal(tile.meta.id, 3);
    assert_int_equal(tile.meta.place, 0);
    assert_ok(dip_archive_tile(archive, 3, &back));
    assert_same_pixels(&tile, back);
    dip_tile_free(back);
    free_made(&tile);
    assert_sound(archive);
    dip_archive_close(archive);
}

typedef struct visit_state {
    dip_archive *archive;
    unsigned calls;
    uint64_t last;
} visit_state;

static dip_status visit(void *context, const dip_meta *meta)
{
    visit_state *v = context;
    dip_tile *tile;
    dip_batch *batch;
    if (v->calls % 10) assert_true(meta->id > v->last);
    v->last = meta->id;
    assert_ok(dip_archive_tile(v->archive, meta->id, &tile));
    assert_string_equal(tile->meta.name, meta->name);
    dip_tile_free(tile);
    assert_fails(dip_batch_begin(&batch, v->archive), DIP_EINVAL, "while it is being visited");
    return ++v->calls == 4 ? DIP_ECANCEL : DIP_OK;
}

static void visits_every_tile_until_told_to_stop(void **state)
{
    dip_archive *archive = new_archive(*state);
    add_pairs(archive, "p", 0, 5, 8);
    visit_state v = {.archive = archive};
    assert_int_equal(dip_archive_each(archive, visit, &v), DIP_ECANCEL);
    assert_int_equal(v.calls, 4);
    v = (visit_state){.archive = archive, .calls = 10, .last = 0};
    assert_fails(dip_archive_each(archive, visit, &v), DIP_OK, "while it is being visited");
    assert_int_equal(v.calls, 20);
    dip_archive_close(archive);
}

static void one_thread_one_batch(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch, *second;
    dip_modality m = s1_modality();
    strcpy(m.name, "late");
    assert_ok(dip_batch_begin(&batch, archive));
    assert_fails(dip_batch_begin(&second, archive), DIP_EINVAL, "a batch open already");
    assert_fails(dip_archive_declare(archive, &m), DIP_EBUSY, "while a batch is open");
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_declare(archive, &m));
    dip_archive_close(archive);
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    assert_fails(dip_batch_begin(&batch, archive), DIP_EINVAL, "opened for reading");
    dip_archive_close(archive);
}

/* Readers of one process share the store with its writer. */
static void reads_while_writing_in_one_process(void **state)
{
    dip_archive *writer = new_archive(*state);
    dip_archive *reader = open_archive(*state, DIP_ARCHIVE_READ), *second = NULL;
    dip_archive_counts counts;
    dip_batch *batch;
    assert_fails(dip_archive_open(&second, inside(*state, "a"), DIP_ARCHIVE_WRITE), DIP_EBUSY,
                 "in this process");
    add_pairs(writer, "p", 0, 2, 8);
    assert_ok(dip_batch_begin(&batch, writer));
    assert_ok(dip_batch_remove_tile(batch, 0));
    assert_ok(dip_archive_count(reader, &counts));
    assert_int_equal(counts.tiles, 4);
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_count(reader, &counts));
    assert_int_equal(counts.tiles, 3);
    dip_archive_close(writer);
    assert_ok(dip_archive_open(&second, inside(*state, "a"), DIP_ARCHIVE_WRITE));
    dip_archive_close(second);
    dip_archive_close(reader);
    dip_archive_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(creates_and_opens),
        TEST(refuses_what_is_there),
        TEST(takes_over_a_creation_cut_short),
        TEST(never_takes_over_tiles),
        TEST(a_creation_that_was_cut_short_is_done_again),
        TEST(says_what_is_no_archive),
        TEST(keeps_modalities),
        TEST(refuses_modalities),
        TEST(gives_back_a_tile),
        TEST(finds_names_and_places),
        TEST(joins_places_across_batches),
        TEST(long_names_are_names_too),
        TEST(refuses_tiles),
        TEST(an_aborted_batch_leaves_nothing),
        TEST(counts_bytes),
        TEST(removes_a_tile),
        TEST(ids_are_never_given_twice),
        TEST(replaces_a_tile_in_one_batch),
        TEST(visits_every_tile_until_told_to_stop),
        TEST(one_thread_one_batch),
        TEST(reads_while_writing_in_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
