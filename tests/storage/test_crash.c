/* A writer killed at any moment loses at most its batch; running out of memory or disk loses no more than that. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PER_BATCH = 3, DIM = 16 };

static void write_batch(dip_archive *archive, unsigned number)
{
    dip_batch *batch;
    dip_rng rng;
    float vectors[PER_BATCH * DIM];
    uint64_t ids[PER_BATCH];
    assert_ok(dip_batch_begin(&batch, archive));
    for (unsigned i = 0; i < PER_BATCH; i++) {
        char name[32];
        snprintf(name, sizeof name, "t-%u-%u", number, i);
        dip_tile tile = make_tile(0, name, name, 2, DIP_DTYPE_F32, 50, number);
        assert_ok(dip_batch_add_tile(batch, &tile));
        ids[i] = tile.meta.id;
        free_made(&tile);
    }
    dip_rng_init(&rng, number, 0);
    random_vectors(&rng, vectors, PER_BATCH, DIM);
    assert_ok(dip_batch_add_embeddings(batch, "m", 0, ids, vectors, PER_BATCH, DIM));
    /* Every other batch takes away what an earlier one added. */
    if (number % 2 && ids[0] > 2 * PER_BATCH)
        assert_ok(dip_batch_remove_tile(batch, ids[0] - 2 * PER_BATCH));
    assert_ok(dip_batch_commit(batch));
}

/* Writes batches until it is killed, and tells of each that is durable. */
static void write_on(const char *folder, int told, unsigned number)
{
    dip_archive *archive = open_archive(folder, DIP_ARCHIVE_WRITE);
    for (;; number++) {
        write_batch(archive, number);
        if (write(told, &number, sizeof number) != (ssize_t)sizeof number) _exit(1);
    }
}

/*
 * Waits for some batches, then a moment more, and kills the writer in the middle of something.
 * The last batch told before the kill; `from` - 1 if there was none.
 */
static unsigned kill_a_writer(const char *folder, unsigned from, unsigned batches, unsigned then_us)
{
    int told[2];
    unsigned last = from - 1, number;
    assert_int_equal(pipe(told), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(told[0]);
        write_on(folder, told[1], from);
    }
    close(told[1]);
    for (; batches && read(told[0], &number, sizeof number) == (ssize_t)sizeof number; batches--)
        last = number;
    usleep(then_us);
    kill(pid, SIGKILL);
    int result;
    waitpid(pid, &result, 0);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
    while (read(told[0], &number, sizeof number) == (ssize_t)sizeof number) last = number;
    close(told[0]);
    return last;
}

/* All of batches 0..last is there, all or nothing of the next. Returns the first number that is not there. */
static unsigned check_batches(const dip_archive *archive, unsigned last)
{
    for (unsigned number = 0;; number++) {
        unsigned there = 0;
        for (unsigned i = 0; i < PER_BATCH; i++) {
            char name[32];
            uint64_t id;
            snprintf(name, sizeof name, "t-%u-%u", number, i);
            if (dip_archive_find_tile(archive, 0, name, &id) == DIP_OK) there++;
        }
        if (there == 0) {
            assert_true(number >= last + 1 && number <= last + 2);
            return number;
        }
        assert_true(there >= PER_BATCH - 1); /* one may have been taken away on purpose */
    }
}

static void a_killed_writer_loses_its_batch_at_most(void **state)
{
    dip_rng rng;
    unsigned next = 0;
    dip_threads_set(1);
    dip_rng_init(&rng, 11, 0);
    dip_archive_close(new_archive(*state));
    for (int round = 0; round < 12; round++) {
        unsigned last =
            kill_a_writer(*state, next, dip_rng_below(&rng, 4), dip_rng_below(&rng, 20000));
        dip_archive *archive = open_archive(*state, DIP_ARCHIVE_WRITE);
        next = check_batches(archive, last);
        assert_sound(archive);
        dip_archive_close(archive);
    }
    assert_true(next > 8);
    dip_threads_set(0);
}

/* ---- memory ---- */

/* What a session of writing does; stops at the first failure. */
static dip_status write_some(dip_archive *archive, unsigned number)
{
    dip_batch *batch;
    float vector[4] = {0, 0.6f, 0, 0.8f};
    char name[32], model[32];
    snprintf(name, sizeof name, "n-%u", number);
    snprintf(model, sizeof model, "m%u", number % 3);
    dip_tile tile = make_tile(1, name, "shared", 3, DIP_DTYPE_U16, 20, number);
    dip_status status = dip_batch_begin(&batch, archive);
    if (!status) {
        status = dip_batch_add_tile(batch, &tile);
        uint64_t id = tile.meta.id;
        if (!status) status = dip_batch_add_embeddings(batch, model, 1, &id, vector, 1, 4);
        if (!status && number % 4 == 3) status = dip_batch_remove_tile(batch, id);
        if (status)
            dip_batch_abort(batch);
        else
            status = dip_batch_commit(batch);
    }
    free_made(&tile);
    return status;
}

static void any_allocation_of_a_writer_may_fail(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_archive_counts before, after;
    unsigned failures = 0;
    dip_threads_set(1);
    for (unsigned number = 0; number < 8; number++) {
        for (size_t n = 1;; n++) {
            assert_ok(dip_archive_count(archive, &before));
            dip_mem_fail_after(n);
            dip_status status = write_some(archive, number);
            dip_mem_fail_after(0);
            if (!status) break;
            failures++;
            assert_int_equal(status, DIP_ENOMEM);
            assert_ok(dip_archive_count(archive, &after));
            assert_int_equal(before.tiles, after.tiles);
            assert_int_equal(before.embeddings, after.embeddings);
            if (n % 8 == 0) assert_sound(archive);
        }
        assert_sound(archive);
    }
    assert_true(failures > 80);
    dip_archive_close(archive);
    dip_threads_set(0);
}

static dip_status keep_going(void *context, const dip_meta *meta)
{
    (void)context, (void)meta;
    return DIP_OK;
}

static dip_status read_all(const dip_archive *archive)
{
    dip_tile *tile;
    dip_meta *meta;
    uint64_t *ids, id = 1, faults;
    size_t n;
    dip_embeddings all;
    dip_embedding_set *sets;
    float vector[DIM];
    dip_status status = dip_archive_tile(archive, 0, &tile);
    if (!status) dip_tile_free(tile);
    if (!status && !(status = dip_archive_meta(archive, 0, &meta))) dip_meta_free(meta);
    if (!status && !(status = dip_archive_ids(archive, -1, &ids, &n))) dip_ids_free(ids);
    if (!status && !(status = dip_archive_ids(archive, 0, &ids, &n))) dip_ids_free(ids);
    if (!status && !(status = dip_archive_place(archive, 0, &ids, &n))) dip_ids_free(ids);
    if (!status && !(status = dip_archive_embeddings(archive, "m", 0, &all)))
        dip_embeddings_fini(&all);
    if (!status && !(status = dip_archive_embedded_ids(archive, "m", 0, &ids, &n)))
        dip_ids_free(ids);
    if (!status && !(status = dip_archive_embedding_sets(archive, &sets, &n)))
        dip_embedding_sets_free(sets);
    if (!status) status = dip_archive_embeddings_of(archive, "m", 0, &id, 1, DIM, vector, NULL);
    if (!status) status = dip_archive_each(archive, keep_going, NULL);
    if (!status) status = dip_archive_verify(archive, NULL, NULL, NULL, NULL, &faults);
    return status;
}

static void any_allocation_of_a_reader_may_fail(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_threads_set(1);
    write_batch(archive, 0);
    dip_archive_close(archive);
    size_t n;
    for (n = 1;; n++) {
        archive = NULL;
        dip_mem_fail_after(n);
        dip_status status = dip_archive_open(&archive, inside(*state, "a"), DIP_ARCHIVE_READ);
        if (!status) status = read_all(archive);
        dip_mem_fail_after(0);
        dip_archive_close(archive);
        if (!status) break;
        assert_int_equal(status, DIP_ENOMEM);
    }
    assert_true(n > 30);
    dip_threads_set(0);
}

static void any_allocation_of_creating_may_fail(void **state)
{
    dip_archive *archive = NULL;
    for (size_t n = 1;; n++) {
        dip_mem_fail_after(n);
        dip_status status = dip_archive_create(&archive, inside(*state, "a"), "x");
        dip_mem_fail_after(0);
        if (!status) break;
        if (status == DIP_EEXIST) { /* archive.ini was written, opening failed */
            archive = open_archive(*state, DIP_ARCHIVE_WRITE);
            break;
        }
        assert_int_equal(status, DIP_ENOMEM);
    }
    assert_sound(archive);
    dip_archive_close(archive);
}

/* ---- disk ---- */

/* A limit on the file's size stands for a full disk: the write fails, the process lives. */
static int fill_the_disk(const char *folder)
{
    struct rlimit limit = {1 << 19, 1 << 19};
    dip_archive *archive = open_archive(folder, DIP_ARCHIVE_WRITE);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    dip_archive_counts before, after;
    for (unsigned number = 0; number < 1000; number++) {
        if (dip_archive_count(archive, &before)) return 1;
        dip_batch *batch;
        char name[32];
        snprintf(name, sizeof name, "big-%u", number);
        dip_tile tile = make_tile(0, name, name, 2, DIP_DTYPE_F32, 100, number);
        dip_status status = dip_batch_begin(&batch, archive);
        if (!status) status = dip_batch_add_tile(batch, &tile);
        if (status) return 2;
        status = dip_batch_commit(batch);
        free_made(&tile);
        if (!status) continue;
        if (status != DIP_EIO && status != DIP_ENOSPC) return 3;
        if (!strstr(dip_last_error(), "make room") && !strstr(dip_last_error(), "ulimit")) return 7;
        if (dip_archive_count(archive, &after) || after.tiles != before.tiles) return 4;
        dip_archive_close(archive);
        return before.tiles > 2 ? 0 : 5;
    }
    return 6;
}

static void a_full_disk_loses_the_batch_at_most(void **state)
{
    dip_threads_set(1);
    dip_archive_close(new_archive(*state));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(fill_the_disk(*state));
    int result;
    waitpid(pid, &result, 0);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    dip_archive *archive = open_archive(*state, DIP_ARCHIVE_WRITE);
    assert_sound(archive);
    add_pairs(archive, "after", 0, 2, 20);
    assert_sound(archive);
    dip_archive_close(archive);
    dip_threads_set(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_writer_loses_its_batch_at_most), TEST(a_full_disk_loses_the_batch_at_most),
        TEST(any_allocation_of_a_writer_may_fail),     TEST(any_allocation_of_a_reader_may_fail),
        TEST(any_allocation_of_creating_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
