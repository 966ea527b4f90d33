/* Damage: every record's every byte, lost records, damaged pages; what verify says and what heals it. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/env.h"
#include "storage/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 8, PAIRS = 3 };

static void be_quiet(void *payload, dip_log_level level, const char *module, const char *line)
{
    (void)payload, (void)level, (void)module, (void)line;
}

static void embed(dip_archive *archive, uint32_t modality)
{
    uint64_t *ids;
    size_t n;
    dip_batch *batch;
    dip_rng rng;
    assert_ok(dip_archive_ids(archive, (int)modality, &ids, &n));
    float *vectors = malloc(n * DIM * sizeof *vectors);
    dip_rng_init(&rng, 1, modality);
    random_vectors(&rng, vectors, n, DIM);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_embeddings(batch, "m", modality, ids, vectors, n, DIM));
    assert_ok(dip_batch_commit(batch));
    free(vectors);
    dip_ids_free(ids);
}

/* Three pairs of tiny tiles, embedded. */
static dip_archive *small_archive(const char *folder)
{
    dip_archive *archive = new_archive(folder);
    add_pairs(archive, "p", 0, PAIRS, 3);
    embed(archive, 0);
    embed(archive, 1);
    return archive;
}

/* The store behind an open archive, for going behind its back. */
static dip_env *store_of(const char *folder)
{
    dip_env *env;
    assert_ok(dip_env_open(&env, inside(folder, "a/store")));
    return env;
}

static void put_raw(dip_env *env, dip_db db, dip_bytes key, dip_bytes value)
{
    dip_write *write;
    assert_ok(dip_write_begin(&write, env));
    if (value.data)
        assert_ok(dip_write_put(write, db, key, value));
    else
        assert_ok(dip_write_remove(write, db, key));
    assert_ok(dip_write_commit(write));
}

typedef struct entry {
    dip_db db;
    uint8_t key[64], *value;
    size_t key_size, value_size;
} entry;

static size_t all_entries(dip_env *env, entry *out, size_t most)
{
    char **names;
    dip_db *dbs;
    size_t count, n = 0;
    assert_ok(dip_env_list_dbs(env, &names, &dbs, &count));
    dip_txn txn;
    assert_ok(dip_txn_begin(&txn, env));
    for (size_t i = 0; i < DIP_DB_FIXED + count; i++) {
        dip_cursor cursor;
        dip_db db = i < DIP_DB_FIXED ? (dip_db)i : dbs[i - DIP_DB_FIXED];
        assert_ok(dip_cursor_open(&cursor, &txn, db, NULL));
        while (dip_cursor_next(&cursor) == DIP_OK && cursor.key.data) {
            assert_true(n < most && cursor.key.size <= sizeof out->key);
            entry *e = &out[n++];
            *e = (entry){.db = db, .key_size = cursor.key.size, .value_size = cursor.value.size};
            memcpy(e->key, cursor.key.data, cursor.key.size);
            e->value = malloc(cursor.value.size);
            memcpy(e->value, cursor.value.data, cursor.value.size);
        }
        dip_cursor_close(&cursor);
    }
    dip_txn_end(&txn);
    dip_names_free(names, count);
    dip_free(dbs);
    return n;
}

static void any_flipped_byte_is_reported(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    static entry entries[100];
    size_t n = all_entries(env, entries, 100);
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    fault_list faults;
    assert_true(n > 6 * 3 + 3 + 2);
    for (size_t i = 0; i < n; i++) {
        const entry *e = &entries[i];
        dip_bytes key = {e->key, e->key_size}, value = {e->value, e->value_size};
        for (int round = 0; round < 8; round++) {
            size_t at = round == 0   ? 0
                        : round == 1 ? 1
                        : round == 2 ? e->value_size - 1
                                     : dip_rng_below(&rng, (uint32_t)e->value_size);
            uint8_t was = e->value[at];
            e->value[at] ^= (uint8_t)(1u << dip_rng_below(&rng, 8));
            put_raw(env, e->db, key, value);
            collect_faults(archive, &faults);
            if (!faults.faults) fail_msg("db %u entry %zu byte %zu: not seen", e->db, i, at);
            e->value[at] = was;
        }
        put_raw(env, e->db, key, value);
    }
    assert_sound(archive);
    for (size_t i = 0; i < n; i++) free(entries[i].value);
    dip_env_close(env);
    dip_archive_close(archive);
}

static void any_lost_record_is_reported(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    static entry entries[100];
    size_t n = all_entries(env, entries, 100);
    fault_list faults;
    for (size_t i = 0; i < n; i++) {
        const entry *e = &entries[i];
        dip_bytes key = {e->key, e->key_size};
        put_raw(env, e->db, key, (dip_bytes){NULL, 0});
        collect_faults(archive, &faults);
        if (!faults.faults) fail_msg("db %u entry %zu: its loss was not seen", e->db, i);
        put_raw(env, e->db, key, (dip_bytes){e->value, e->value_size});
    }
    assert_sound(archive);
    for (size_t i = 0; i < n; i++) free(entries[i].value);
    dip_env_close(env);
    dip_archive_close(archive);
}

/* A record of another tile has a good checksum, but not in this place. */
static void a_misplaced_record_is_reported(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    static entry entries[100];
    fault_list faults;
    dip_tile *tile;
    size_t n = all_entries(env, entries, 100), from = 0;
    while (entries[from].db != DIP_DB_TILE) from++;
    dip_bytes key = {entries[from + 2].key, 8};
    put_raw(env, DIP_DB_TILE, key, (dip_bytes){entries[from].value, entries[from].value_size});
    assert_fails(dip_archive_tile(archive, 2, &tile), DIP_ECORRUPT,
                 "pixels of tile 2: its checksum");
    collect_faults(archive, &faults);
    assert_int_equal(faults.faults, 1);
    assert_reported(&faults, "pixels of tile 2: its checksum is wrong, so its stored bytes are "
                             "damaged; remove s1/p-1 and import it again");
    for (size_t i = 0; i < n; i++) free(entries[i].value);
    dip_env_close(env);
    dip_archive_close(archive);
}

static void flip(dip_env *env, dip_db db, uint64_t id)
{
    dip_txn txn;
    dip_bytes value;
    dip_id_key key = dip_key_of(id);
    assert_ok(dip_txn_begin(&txn, env));
    assert_ok(dip_txn_get(&txn, db, dip_key_bytes(&key), &value));
    uint8_t *copy = malloc(value.size);
    memcpy(copy, value.data, value.size);
    dip_txn_end(&txn);
    copy[value.size / 2] ^= 4;
    put_raw(env, db, dip_key_bytes(&key), (dip_bytes){copy, value.size});
    free(copy);
}

static void lose(dip_env *env, dip_db db, uint64_t id)
{
    dip_id_key key = dip_key_of(id);
    put_raw(env, db, dip_key_bytes(&key), (dip_bytes){NULL, 0});
}

static void lose_name(dip_env *env, const char *key)
{
    put_raw(env, DIP_DB_NAME, (dip_bytes){key, strlen(key)}, (dip_bytes){NULL, 0});
}

static void remove_and_import(dip_archive *archive, uint64_t id, const char *name)
{
    dip_batch *batch;
    dip_tile tile = make_tile(0, name, name, 2, DIP_DTYPE_F32, 3, 0);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_remove_tile(batch, id));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_commit(batch));
    free_made(&tile);
}

/* "Remove the tile and import it again" is true, whatever of it is damaged. */
static void removing_and_importing_heals_a_tile(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    fault_list faults;
    uint64_t id = 0;
    for (int what = 0; what < 8; what++) {
        assert_sound(archive);
        dip_meta *meta;
        assert_ok(dip_archive_meta(archive, id, &meta));
        if (what == 0) flip(env, DIP_DB_TILE, id);
        if (what == 1) flip(env, DIP_DB_META, id);
        if (what == 2) flip(env, DIP_DB_PLACE, meta->place);
        if (what == 3) flip(env, DIP_DB_META, id), flip(env, DIP_DB_TILE, id);
        if (what == 4) lose(env, DIP_DB_META, id);
        if (what == 5) lose(env, DIP_DB_PLACE, meta->place);
        if (what == 6) lose_name(env, "0/p-0");
        if (what == 7) lose(env, DIP_DB_META, id), lose(env, DIP_DB_TILE, id);
        dip_meta_free(meta);
        collect_faults(archive, &faults);
        assert_true(faults.faults > 0);
        remove_and_import(archive, id, "p-0");
        assert_ok(dip_archive_find_tile(archive, 0, "p-0", &id));
        embed(archive, 0);
    }
    assert_sound(archive);
    dip_env_close(env);
    dip_archive_close(archive);
}

static void encoding_again_heals_embeddings(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    dip_db set;
    bool found;
    uint64_t *ids;
    size_t n;
    dip_embeddings all;
    dip_log_set_sink(be_quiet, NULL);
    assert_ok(dip_env_find_db(env, "embedding.m.s1", &set, &found));
    flip(env, set, 0);
    assert_fails(dip_archive_embeddings(archive, "m", 0, &all), DIP_ECORRUPT, "encode again");
    assert_ok(dip_archive_embedded_ids(archive, "m", 0, &ids, &n));
    assert_int_equal(n, 0);
    dip_ids_free(ids);
    embed(archive, 0);
    assert_ok(dip_archive_embeddings(archive, "m", 0, &all));
    assert_int_equal(all.n, PAIRS);
    dip_embeddings_fini(&all);
    assert_sound(archive);
    dip_log_set_sink(NULL, NULL);
    dip_env_close(env);
    dip_archive_close(archive);
}

/* A checksum is computed once a snapshot: damage that a reader was not told of yet is told after the next change. */
static void blocks_are_checked_again_after_a_change(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    dip_db set;
    bool found;
    const uint64_t id = 0;
    dip_embeddings all;
    assert_ok(dip_archive_embeddings(archive, "m", 0, &all));
    float *vector = malloc(all.dim * sizeof *vector);
    for (int i = 0; i < 2; i++) {
        assert_ok(dip_archive_embeddings_of(archive, "m", 0, &id, 1, all.dim, vector, NULL));
        assert_memory_equal(vector, all.vectors, all.dim * sizeof *vector);
    }
    assert_ok(dip_env_find_db(env, "embedding.m.s1", &set, &found));
    flip(env, set, 0);
    for (int i = 0; i < 2; i++)
        assert_fails(dip_archive_embeddings_of(archive, "m", 0, &id, 1, all.dim, vector, NULL),
                     DIP_ECORRUPT, "encode again");
    free(vector);
    dip_embeddings_fini(&all);
    dip_env_close(env);
    dip_archive_close(archive);
}

static void archive_ini_is_checked(void **state)
{
    dip_archive *archive = small_archive(*state);
    fault_list faults;
    char path[512], *text;
    size_t length;
    snprintf(path, sizeof path, "%s/a/archive.ini", (const char *)*state);
    assert_ok(dip_file_read(&text, &length, path, 1 << 20));
    assert_ok(dip_file_write(path, text, length / 2));
    collect_faults(archive, &faults);
    assert_reported(&faults, "archive.ini");
    /* A modality fewer: the store has tiles and embeddings that it does not explain. */
    char *second = strstr(text, "[modality.s2]");
    assert_ok(dip_file_write(path, text, (size_t)(second - text)));
    dip_archive_close(archive);
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    collect_faults(archive, &faults);
    assert_reported(&faults, "archive.ini has no modality 1");
    assert_reported(&faults, "'embedding.m.s2'");
    dip_archive_close(archive);
    /* A band more. */
    char *more = dip_sprintf("%s\n[modality.s1]\nband.3 = HH\n", text);
    assert_ok(dip_file_write(path, more, strlen(more)));
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    collect_faults(archive, &faults);
    assert_reported(&faults, "2 planes, modality 's1' has 3 bands");
    dip_archive_close(archive);
    dip_free(more);
    dip_free(text);
}

static void other_formats_are_refused(void **state)
{
    dip_archive_close(small_archive(*state));
    dip_archive *archive;
    char path[512], *text;
    size_t length;
    snprintf(path, sizeof path, "%s/a/archive.ini", (const char *)*state);
    assert_ok(dip_file_read(&text, &length, path, 1 << 20));
    char *digit = strstr(text, "format = 1") + 9;
    *digit = '2';
    assert_ok(dip_file_write(path, text, length));
    assert_fails(dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_READ), DIP_EFORMAT,
                 "format 2, written by a newer diptych than this one, which reads format 1");
    *digit = '0';
    assert_ok(dip_file_write(path, text, length));
    assert_fails(dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_READ), DIP_EFORMAT,
                 "format 0, which is none");
    dip_free(text);
}

static void a_newer_record_is_not_called_damaged(void **state)
{
    dip_archive *archive = small_archive(*state);
    dip_env *env = store_of(*state);
    dip_out out = {.bytes = NULL};
    dip_id_key key = dip_key_of(1);
    dip_tile *tile;
    dip_record_begin(&out, 'T', 2);
    assert_ok(dip_record_seal(&out, 1));
    put_raw(env, DIP_DB_TILE, dip_key_bytes(&key), (dip_bytes){out.bytes, out.size});
    assert_fails(dip_archive_tile(archive, 1, &tile), DIP_EFORMAT,
                 "version 2, written by a newer diptych");
    dip_out_fini(&out);
    dip_env_close(env);
    dip_archive_close(archive);
}

static int stop_at_tiles(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    ++*(unsigned *)payload;
    return !strcmp(phase, "tiles");
}

static void verify_can_be_stopped(void **state)
{
    dip_archive *archive = small_archive(*state);
    unsigned calls = 0;
    uint64_t faults = 1;
    assert_int_equal(dip_archive_verify(archive, NULL, NULL, stop_at_tiles, &calls, &faults),
                     DIP_ECANCEL);
    assert_int_equal(faults, 0);
    assert_int_equal(calls, 2);
    dip_archive_close(archive);
}

/* ---- pages ---- */

static bool all_tiles_match(const dip_archive *archive)
{
    for (uint64_t id = 0; id < 2 * 12; id++) {
        dip_tile *back, made;
        bool s2 = id & 1;
        if (dip_archive_tile(archive, id, &back)) return false;
        made = make_tile(s2, "x", "x", 2 + s2, s2 ? DIP_DTYPE_U16 : DIP_DTYPE_F32, 30, id / 2);
        assert_same_pixels(&made, back);
        free_made(&made);
        dip_tile_free(back);
    }
    return true;
}

/*
 * Any bit of data.mdb may flip: opening and verifying must not crash, and what they call sound must be. Bits of the
 * trees' own pages are hit more often than chance would, because that is what LMDB trusts.
 */
static void flipped_bits_of_pages_do_not_crash(void **state)
{
    dip_archive *archive = new_archive(*state);
    for (unsigned i = 0; i < 12; i += 3) add_pairs(archive, "p", i, i + 3, 30);
    embed(archive, 0);
    dip_archive_close(archive);
    char path[512], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/a/store/data.mdb", (const char *)*state);
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 26));
    dip_rng rng;
    dip_rng_init(&rng, 9, 0);
    unsigned refused = 0, reported = 0, harmless = 0;
    for (int round = 0; round < 400; round++) {
        size_t at = dip_rng_below(&rng, (uint32_t)length);
        if (round % 2) at = at / 4096 * 4096 + dip_rng_below(&rng, 64);
        char was = bytes[at];
        bytes[at] = (char)(was ^ (1 << dip_rng_below(&rng, 8)));
        assert_ok(dip_file_write(path, bytes, length));
        bytes[at] = was;
        fault_list faults;
        if (dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_READ)) {
            refused++;
            continue;
        }
        collect_faults(archive, &faults);
        if (faults.faults)
            reported++;
        else if (all_tiles_match(archive))
            harmless++;
        else
            fail_msg("byte %zu: called sound and is not", at);
        dip_archive_close(archive);
    }
    print_message("flips: %u refused, %u reported, %u harmless\n", refused, reported, harmless);
    assert_true(refused > 0 && reported > 50);
    dip_free(bytes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_flipped_byte_is_reported),
        TEST(any_lost_record_is_reported),
        TEST(a_misplaced_record_is_reported),
        TEST(removing_and_importing_heals_a_tile),
        TEST(encoding_again_heals_embeddings),
        TEST(blocks_are_checked_again_after_a_change),
        TEST(archive_ini_is_checked),
        TEST(other_formats_are_refused),
        TEST(a_newer_record_is_not_called_damaged),
        TEST(verify_can_be_stopped),
        TEST(flipped_bits_of_pages_do_not_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
