/*
 * The n-th allocation fails, for every n: each call says so, leaks nothing, and works the next time.
 * ctest: no-tsan
 */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/generation.h"

enum { N = 200, DIM = 8, NQ = 20, K = 5 };

static char *folder;
static float *vectors;
static uint64_t *ids;

static int setup(void **state)
{
    (void)state;
    folder = support_folder();
    vectors = support_vectors(N, DIM, 1, 0, 5);
    ids = support_ids(N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    support_drop(folder);
    free(vectors), free(ids);
    return 0;
}

static dip_index *base; /* what the steps below work on */
static dip_engine engine;

static dip_status build(void)
{
    dip_index_recipe recipe = {.engine = engine};
    return dip_index_build(folder, "m", &recipe, vectors, ids, N, DIM, NULL);
}

static dip_status open_close(void)
{
    dip_index *index = NULL;
    dip_status status = dip_index_open(&index, folder, "m");
    if (!status) dip_index_close(index);
    return status;
}

/* The second search makes queries insist, for more hits than the probed list has. */
static dip_status search(void)
{
    uint64_t hits[NQ * K], more[N];
    float scores[NQ * K], more_scores[N];
    dip_index_params least = {1, 1, 0};
    dip_status status = dip_index_search(base, vectors, NQ, K, NULL, NULL, 0, hits, scores);
    if (!status) status = dip_index_search(base, vectors, 1, N, &least, NULL, 0, more, more_scores);
    if (!status) status = dip_index_search(base, vectors, NQ, K, NULL, ids, N / 2, hits, scores);
    return status;
}

/* First with tombstones, then compacted; what comes out has an id table of its own. */
static dip_status update(void)
{
    uint64_t gone[60], fresh[1] = {7};
    for (size_t i = 0; i < 60; i++) gone[i] = ids[i * 3];
    dip_index *index = NULL;
    dip_status status = dip_index_update(base, folder, "n", gone, 20, vectors, fresh, 1);
    if (!status) status = dip_index_open(&index, folder, "n");
    if (status) return status;
    dip_index_close(index);
    return dip_index_update(base, folder, "n", gone, 60, vectors, fresh, 1);
}

static dip_status tune(void)
{
    dip_index_point points[DIP_INDEX_MAX_POINTS];
    size_t count;
    dip_truth truth;
    dip_index_tuning how = {.truth = &truth, .nq = 2, .k = 2, .fetched = 3, .target = .5};
    dip_status status = dip_truth_init(&truth, vectors, 2, DIM);
    if (!status) status = dip_truth_add(&truth, vectors, ids, N);
    if (!status) status = dip_index_tune(base, &how, points, &count);
    dip_truth_fini(&truth);
    return status;
}

static dip_status generate(void)
{
    dip_generation *g = NULL;
    const dip_index *index;
    uint64_t faults;
    assert_ok(dip_file_remove(support_path(folder, "index")));
    dip_status status = dip_generation_begin(&g, folder, "model", DIM);
    if (status) return status;
    dip_manifest *m = dip_generation_manifest(g);
    strcpy(m->modality[m->modality_count++].name, "s1");
    m->modality[0].count = N;
    m->points = dip_calloc(1, sizeof *m->points);
    if (m->points)
        m->points[m->point_count++] = (dip_operating_point){"s1", "s1", {1, 1, 0}, .5, .5, 9};
    status = m->points
                 ? dip_index_build(dip_generation_folder(g), "s1", NULL, vectors, ids, N, DIM, NULL)
                 : DIP_ENOMEM;
    if (status) {
        dip_generation_abort(g);
        return status;
    }
    status = dip_generation_seal(g);
    if (!status) status = dip_generation_open(&g, folder, NULL);
    if (status) return status;
    status = dip_generation_index(g, "s1", &index);
    dip_generation_close(g);
    if (!status) status = dip_generation_verify(folder, NULL, NULL, &faults);
    if (!status) status = dip_generation_prune(folder, 0);
    return status;
}

static void fail_each(dip_status (*call)(void))
{
    for (size_t n = 1;; n++) {
        dip_mem_fail_after(n);
        dip_status status = call();
        dip_mem_fail_after(0);
        if (!status) {
            assert_true(n > 1);
            break;
        }
        if (status != DIP_ENOMEM || !strstr(dip_last_error(), "out of memory"))
            fail_msg("allocation %zu: %s, '%s'", n, dip_status_name(status), dip_last_error());
    }
    assert_ok(call());
}

static void fail_engine(dip_engine which)
{
    engine = which;
    fail_each(build);
    fail_each(open_close);
    assert_ok(dip_index_open(&base, folder, "m"));
    fail_each(search);
    fail_each(update);
    if (which != DIP_ENGINE_EXACT) fail_each(tune);
    dip_index_close(base);
}

static void exact(void **state)
{
    (void)state;
    fail_engine(DIP_ENGINE_EXACT);
}

static void faiss(void **state)
{
    (void)state;
    fail_engine(DIP_ENGINE_FAISS);
}

static void native(void **state)
{
    (void)state;
    fail_engine(DIP_ENGINE_NATIVE);
}

static void generations(void **state)
{
    (void)state;
    fail_each(generate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact),
        cmocka_unit_test(faiss),
        cmocka_unit_test(native),
        cmocka_unit_test(generations),
    };
    dip_threads_set(1); /* so that the n-th is always the same one */
    return cmocka_run_group_tests(tests, setup, teardown);
}
