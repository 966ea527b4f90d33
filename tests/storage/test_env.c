/*
 * The store under pressure: a map that is too small, several processes, network file systems, foreign and cut files.
 * Processes are forked before this one starts threads.
 */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "storage/env.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int small_map(void **state)
{
    dip_env_tune = (dip_env_tuning){.first_map_bytes = 1 << 18};
    return make_folder(state);
}

static int default_map(void **state)
{
    dip_env_tune = (dip_env_tuning){.first_map_bytes = 0};
    return remove_folder(state);
}

/* Runs fn in a process of its own; it returns what is asserted to be 0. */
static pid_t start(int (*fn)(const char *folder), const char *folder)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(fn(folder));
    assert_true(pid > 0);
    return pid;
}

static void finish(pid_t pid)
{
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

/* ---- growth ---- */

static void the_map_grows_within_a_batch(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_archive_counts counts;
    add_pairs(archive, "p", 0, 40, 100); /* about 1.5 MB in one transaction */
    assert_ok(dip_archive_count(archive, &counts));
    assert_true(counts.store_bytes > 4 * (1 << 18));
    for (unsigned i = 0; i < 40; i++) {
        uint64_t id;
        char name[16];
        dip_tile *back, made = make_tile(1, "x", "x", 3, DIP_DTYPE_U16, 100, i);
        snprintf(name, sizeof name, "p-%u", i);
        assert_ok(dip_archive_find_tile(archive, 1, name, &id));
        assert_int_equal(id, 2 * i + 1);
        assert_ok(dip_archive_tile(archive, id, &back));
        assert_same_pixels(&made, back);
        dip_tile_free(back);
        free_made(&made);
    }
    assert_sound(archive);
    dip_archive_close(archive);
    archive = open_archive(*state, DIP_ARCHIVE_WRITE);
    add_pairs(archive, "q", 0, 40, 100);
    assert_sound(archive);
    dip_archive_close(archive);
}

/* Replayed after growing: puts, removals, a cleared set, a new set. */
static void every_change_survives_growing(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    float unit[2] = {0.6f, 0.8f};
    uint64_t id = 3;
    add_pairs(archive, "p", 0, 3, 8);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_embeddings(batch, "old", 1, &id, unit, 1, 2));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_remove_tile(batch, 0));
    assert_ok(dip_batch_drop_embeddings(batch, "old"));
    assert_ok(dip_batch_add_embeddings(batch, "new", 1, &id, unit, 1, 2));
    for (unsigned i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "q-%u", i);
        dip_tile tile = make_tile(1, name, name, 3, DIP_DTYPE_F32, 100, i);
        assert_ok(dip_batch_add_tile(batch, &tile));
        free_made(&tile);
    }
    assert_ok(dip_batch_remove_tile(batch, 8));
    assert_ok(dip_batch_commit(batch));
    dip_embedding_set *sets;
    size_t n;
    assert_ok(dip_archive_embedding_sets(archive, &sets, &n));
    assert_int_equal(n, 1);
    assert_string_equal(sets[0].model, "new");
    dip_embedding_sets_free(sets);
    assert_sound(archive);
    dip_archive_close(archive);
}

typedef struct reading {
    const dip_archive *archive;
    atomic_bool stop, failed;
    atomic_uint rounds;
} reading;

static dip_status count_visit(void *context, const dip_meta *meta)
{
    (void)meta;
    ++*(unsigned *)context;
    return DIP_OK;
}

/* Whatever is there is whole: pairs come and go together. */
static bool read_round(const dip_archive *archive)
{
    uint64_t *ids;
    size_t n;
    unsigned visited = 0;
    if (dip_archive_ids(archive, -1, &ids, &n)) return false;
    bool good = n % 2 == 0;
    for (size_t i = 0; good && i < n; i += 1 + n / 8) {
        dip_tile *tile;
        good = dip_archive_tile(archive, ids[i], &tile) == DIP_OK;
        if (good) dip_tile_free(tile);
    }
    dip_ids_free(ids);
    return good && !dip_archive_each(archive, count_visit, &visited) && visited % 2 == 0;
}

static void *read_on(void *argument)
{
    reading *r = argument;
    while (!atomic_load(&r->stop)) {
        uint64_t faults = 0;
        if (!read_round(r->archive)) atomic_store(&r->failed, true);
        if (dip_archive_verify(r->archive, NULL, NULL, NULL, NULL, &faults) || faults)
            atomic_store(&r->failed, true);
        atomic_fetch_add(&r->rounds, 1);
    }
    return NULL;
}

static void threads_read_and_verify_while_the_map_grows(void **state)
{
    dip_archive *archive = new_archive(*state);
    reading r = {.archive = archive};
    pthread_t threads[3];
    add_pairs(archive, "p", 0, 1, 100);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    for (unsigned i = 0; i < 12; i++) add_pairs(archive, "q", i * 5, i * 5 + 5, 100);
    while (atomic_load(&r.rounds) < 10) usleep(1000);
    atomic_store(&r.stop, true);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_false(atomic_load(&r.failed));
    assert_sound(archive);
    dip_archive_close(archive);
}

/* Reads until the writer has added 60 pairs; its map was made for one. */
static int follow_growth(const char *folder)
{
    dip_archive *archive;
    dip_archive_counts counts = {.tiles = 0};
    if (dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_READ)) return 1;
    FILE *ready = fopen(inside(folder, "ready"), "w");
    fclose(ready);
    while (counts.tiles < 120)
        if (dip_archive_count(archive, &counts) || !read_round(archive)) {
            fprintf(stderr, "reader: %s\n", dip_last_error());
            return 2;
        }
    dip_archive_close(archive);
    return 0;
}

static void another_process_reads_while_the_map_grows(void **state)
{
    dip_threads_set(1);
    dip_archive *archive = new_archive(*state);
    dip_archive_close(archive);
    pid_t reader = start(follow_growth, *state);
    while (!dip_file_exists(inside(*state, "ready"))) usleep(1000);
    archive = open_archive(*state, DIP_ARCHIVE_WRITE);
    for (unsigned i = 0; i < 12; i++) add_pairs(archive, "q", i * 5, i * 5 + 5, 100);
    finish(reader);
    assert_sound(archive);
    dip_archive_close(archive);
    dip_threads_set(0);
}

/* ---- one writer ---- */

static int refused_as_second_writer(const char *folder)
{
    dip_archive *archive;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getppid());
    if (dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_WRITE) != DIP_EBUSY) return 1;
    if (!strstr(dip_last_error(), pid)) return 2;
    if (dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_READ)) return 3;
    dip_archive_close(archive);
    return 0;
}

static int writes(const char *folder)
{
    dip_archive *archive;
    if (dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_WRITE)) return 1;
    add_pairs(archive, "child", 0, 2, 8);
    dip_archive_close(archive);
    return 0;
}

static void a_second_process_must_wait(void **state)
{
    dip_threads_set(1);
    dip_archive *archive = new_archive(*state);
    finish(start(refused_as_second_writer, *state));
    /* Closing a reading handle of the same process must not lose the lock. */
    dip_archive_close(open_archive(*state, DIP_ARCHIVE_READ));
    finish(start(refused_as_second_writer, *state));
    dip_archive_close(archive);
    finish(start(writes, *state));
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    assert_sound(archive);
    dip_archive_close(archive);
    dip_threads_set(0);
}

typedef struct batches {
    dip_archive *archive;
    unsigned number;
} batches;

static void *add_batches(void *argument)
{
    batches *b = argument;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "thread%u", b->number);
    for (unsigned i = 0; i < 10; i++) add_pairs(b->archive, prefix, i, i + 1, 8);
    return NULL;
}

static void batches_of_threads_take_turns(void **state)
{
    dip_archive *archive = new_archive(*state);
    batches work[4];
    pthread_t threads[4];
    dip_archive_counts counts;
    for (unsigned i = 0; i < 4; i++) {
        work[i] = (batches){archive, i};
        assert_int_equal(pthread_create(&threads[i], NULL, add_batches, &work[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.tiles, 80);
    assert_sound(archive);
    dip_archive_close(archive);
}

/* ---- file systems and files ---- */

static const char *pretend_nfs(const char *path)
{
    (void)path;
    return "nfs";
}

static void a_network_file_system_is_read_only(void **state)
{
    dip_archive *archive = new_archive(*state);
    add_pairs(archive, "p", 0, 2, 8);
    dip_archive_close(archive);
    dip_env_tune.network_fs = pretend_nfs;
    assert_fails(dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_WRITE), DIP_ENOTSUP,
                 "network file system (nfs)");
    assert_fails(dip_archive_create(&archive, inside(*state, "b"), ""), DIP_ENOTSUP, "nfs");
    assert_ok(dip_file_remove(inside(*state, "a/store/lock.mdb")));
    archive = open_archive(*state, DIP_ARCHIVE_READ);
    assert_sound(archive);
    assert_false(dip_file_exists(inside(*state, "a/store/lock.mdb"))); /* read without locks */
    dip_archive_close(archive);
    assert_null(dip_file_network_fs("/proc"));
}

static void assert_not_opened(const char *folder, dip_status code, const char *part)
{
    dip_archive *archive = NULL;
    assert_fails(dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_READ), code, part);
    assert_fails(dip_archive_open(&archive, inside(folder, "a"), DIP_ARCHIVE_WRITE), code, part);
}

static void a_truncated_store_is_refused(void **state)
{
    dip_archive *archive = new_archive(*state);
    char path[512];
    uint64_t bytes;
    snprintf(path, sizeof path, "%s/a/store/data.mdb", (const char *)*state);
    add_pairs(archive, "p", 0, 10, 60);
    dip_archive_close(archive);
    assert_ok(dip_file_size(&bytes, path));
    assert_int_equal(truncate(path, (off_t)(bytes - 4096)), 0);
    assert_not_opened(*state, DIP_ECORRUPT, "truncated");
    assert_int_equal(truncate(path, 3 * 4096 + 5), 0);
    assert_not_opened(*state, DIP_ECORRUPT, "truncated");
    assert_int_equal(truncate(path, 4096), 0);
    assert_not_opened(*state, DIP_EFORMAT, "not an LMDB");
    assert_int_equal(truncate(path, 0), 0); /* LMDB would make a new one */
    assert_not_opened(*state, DIP_EFORMAT, "not an LMDB");
}

static void a_foreign_file_is_refused(void **state)
{
    char junk[3 * 4096];
    dip_archive_close(new_archive(*state));
    memset(junk, 'x', sizeof junk);
    assert_ok(dip_file_write(inside(*state, "a/store/data.mdb"), junk, sizeof junk));
    assert_not_opened(*state, DIP_EFORMAT, "not an LMDB");
}

/* An LMDB file of somebody else: values in the unnamed database. */
static void a_foreign_lmdb_is_refused(void **state)
{
    dip_archive_close(new_archive(*state));
    dip_map map;
    assert_ok(dip_file_map(&map, inside(*state, "a/store/data.mdb")));
    char *bytes = malloc(map.length);
    memcpy(bytes, map.bytes, map.length);
    size_t length = map.length;
    dip_file_unmap(&map);
    /* The root page of the newer header: its first node loses the mark of a sub-database. */
    uint64_t older, newer, root;
    memcpy(&older, bytes + 144, 8);
    memcpy(&newer, bytes + 4096 + 144, 8);
    memcpy(&root, bytes + (newer > older ? 4096 : 0) + 88 + 40, 8);
    uint16_t node;
    memcpy(&node, bytes + root * 4096 + 16, 2);
    bytes[root * 4096 + node + 4] = 0;
    assert_ok(dip_file_write(inside(*state, "a/store/data.mdb"), bytes, length));
    free(bytes);
    assert_not_opened(*state, DIP_EFORMAT, "not a store of Diptych");
}

static void a_missing_sub_database_is_noticed(void **state)
{
    dip_archive_close(new_archive(*state));
    assert_ok(dip_file_remove(inside(*state, "a/store")));
    assert_ok(dip_folder_create(inside(*state, "a/store")));
    assert_ok(dip_env_create(inside(*state, "a/store"))); /* ours, but its journal is empty */
    assert_not_opened(*state, DIP_ECORRUPT, "journal");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, small_map, default_map)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_process_reads_while_the_map_grows),
        TEST(a_second_process_must_wait),
        TEST(the_map_grows_within_a_batch),
        TEST(every_change_survives_growing),
        TEST(threads_read_and_verify_while_the_map_grows),
        TEST(batches_of_threads_take_turns),
        TEST(a_network_file_system_is_read_only),
        TEST(a_truncated_store_is_refused),
        TEST(a_foreign_file_is_refused),
        TEST(a_foreign_lmdb_is_refused),
        TEST(a_missing_sub_database_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
