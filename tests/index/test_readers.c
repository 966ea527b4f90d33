/*
 * Readers at work while an archive's index is updated, compacted, switched and pruned under them: each sees one generation,
 * whole, and keeps it, also when its files are gone from the folder.
 */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "index/generation.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    DIM = 24,
    BASE = 1500,
    STEP = 120,
    ROUNDS = 5,
    N = BASE + ROUNDS * STEP,
    READERS = 2,
    K = 5
};

static char *archive;
static float *vectors;
static uint64_t *ids;
static atomic_bool done;
static atomic_uint looks;

/* What a reader found wrong; the first one of each reader. */
typedef struct reader {
    char fault[200];
    size_t number;
} reader;

static void wrong(reader *r, const char *what, unsigned long long a, unsigned long long b)
{
    if (!r->fault[0]) snprintf(r->fault, sizeof r->fault, "%s: %llu, %llu", what, a, b);
    atomic_store(&done, true);
}

/* Generation g + 1 is that of g updates: vectors g * STEP .. BASE + g * STEP - 1. */
static void look_at(reader *r, const dip_index *index, size_t updates)
{
    size_t first = updates * STEP, n = dip_index_count(index);
    uint64_t hits[K];
    float scores[K];
    uint64_t held = 0;
    dip_index_ids(index, 0, 1, &held);
    if (n != BASE || held != ids[first]) wrong(r, "it holds", n, held);
    for (size_t i = 0; i < 12; i++) {
        size_t row = first + (i * 97 + r->number * 31) % BASE;
        if (dip_index_search(index, vectors + row * DIM, 1, K, NULL, NULL, 0, hits, scores))
            wrong(r, dip_last_error(), row, 0);
        else if (hits[0] != ids[row])
            wrong(r, "nearest to itself", ids[row], hits[0]);
        for (size_t k = 0; k < K; k++)
            if (hits[k] < ids[first] || hits[k] > ids[first + BASE - 1])
                wrong(r, "not in this generation", updates, hits[k]);
    }
}

/* One opening may meet a generation that is pruned at this moment; then the live one is another. */
static bool moved_on(void)
{
    dip_generation *g;
    if (dip_generation_open(&g, archive, NULL)) return false;
    dip_generation_close(g);
    return true;
}

static void *read_on(void *argument)
{
    reader *r = argument;
    while (!atomic_load(&done)) {
        dip_generation *g = NULL;
        const dip_index *index = NULL;
        dip_status status = dip_generation_open(&g, archive, NULL);
        if (!status) status = dip_generation_index(g, "s1", &index);
        if (status && !moved_on()) wrong(r, dip_last_error(), status, 0);
        for (size_t i = 0; i < 3 && !status; i++) {
            look_at(r, index, strtoul(dip_generation_read_manifest(g)->generation, NULL, 10) - 1);
            atomic_fetch_add(&looks, 1);
        }
        dip_generation_close(g);
    }
    return NULL;
}

static dip_generation *begin(void)
{
    dip_generation *g;
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    dip_manifest *m = dip_generation_manifest(g);
    snprintf(m->modality[m->modality_count].name, sizeof m->modality[0].name, "s1");
    m->modality[m->modality_count++].count = BASE;
    return g;
}

static void build_first(void)
{
    dip_generation *g = begin();
    dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE};
    assert_ok(
        dip_index_build(dip_generation_folder(g), "s1", &recipe, vectors, ids, BASE, DIM, NULL));
    assert_ok(dip_generation_seal(g));
}

static void update(size_t round)
{
    dip_generation *live, *g = begin();
    const dip_index *base;
    size_t gone = round * STEP, fresh = BASE + gone;
    assert_ok(dip_generation_open(&live, archive, NULL));
    assert_ok(dip_generation_index(live, "s1", &base));
    assert_ok(dip_index_update(base, dip_generation_folder(g), "s1", ids + gone, STEP,
                               vectors + fresh * DIM, ids + fresh, STEP));
    dip_generation_close(live);
    assert_ok(dip_generation_seal(g));
    assert_ok(dip_generation_prune(archive, 0));
}

static void readers_see_one_whole_generation(void **state)
{
    (void)state;
    archive = support_folder();
    vectors = support_vectors(N, DIM, 6, 0, 60);
    ids = support_ids(N);
    build_first();
    pthread_t threads[READERS];
    reader readers[READERS] = {{.number = 0}};
    for (size_t i = 0; i < READERS; i++) {
        readers[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        unsigned before = atomic_load(&looks);
        update(round);
        while (atomic_load(&looks) < before + READERS && !atomic_load(&done)) sched_yield();
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < READERS; i++) assert_string_equal(readers[i].fault, "");
    free(vectors), free(ids);
    support_drop(archive);
}

/* The files of an open generation may go: what is mapped stays. */
static void an_open_generation_outlives_its_files(void **state)
{
    (void)state;
    archive = support_folder();
    vectors = support_vectors(N, DIM, 6, 0, 60);
    ids = support_ids(N);
    build_first();
    dip_generation *first;
    const dip_index *index;
    reader r = {.number = 7};
    assert_ok(dip_generation_open(&first, archive, NULL));
    assert_ok(dip_generation_index(first, "s1", &index));
    for (size_t round = 0; round < 3; round++) update(round);
    assert_false(dip_file_exists(support_path(archive, "index/000001")));
    look_at(&r, index, 0);
    assert_string_equal(r.fault, "");
    dip_generation_close(first);
    free(vectors), free(ids);
    support_drop(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_one_whole_generation),
        cmocka_unit_test(an_open_generation_outlives_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
