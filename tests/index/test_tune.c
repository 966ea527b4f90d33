/* Tuning: the operating point reaches its target on queries it has not seen, and is no dearer than it must be. */
#define _GNU_SOURCE
#include "tests/index/support.h"

enum { N = 10000, DIM = 64, NQ = 120, K = 10 };

static char *folder;
static float *vectors, *queries, *others;
static uint64_t *ids;
static dip_index *index_;

/* Half noise: queries as another modality asks them, far from the clusters they belong to. */
static void spread(float *v, size_t n)
{
    float *noise = support_vectors(n, DIM, 99, 7, n);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) {
            float *x = v + i * DIM + j;
            *x = 0.6F * *x + 0.8F * noise[i * DIM + j];
            sum += (double)*x * *x;
        }
        for (size_t j = 0; j < DIM; j++) v[i * DIM + j] *= (float)(1 / __builtin_sqrt(sum));
    }
    free(noise);
}

static int setup(void **state)
{
    (void)state;
    folder = support_folder();
    vectors = support_vectors(N, DIM, 41, 0, 300);
    queries = support_vectors(NQ, DIM, 41, 1, 300);
    others = support_vectors(NQ, DIM, 41, 2, 300);
    spread(queries, NQ);
    spread(others, NQ);
    ids = support_ids(N);
    index_ = support_index(folder, "t", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dip_index_close(index_);
    free(vectors), free(queries), free(others), free(ids);
    support_drop(folder);
    return 0;
}

static double recall_at(dip_index_params params, const float *asked)
{
    static uint64_t hits[NQ * K];
    static float scores[NQ * K];
    assert_ok(dip_index_search(index_, asked, NQ, K, &params, NULL, 0, hits, scores));
    return support_recall(vectors, ids, N, DIM, asked, NQ, K, hits);
}

static void the_target_is_reached(void **state)
{
    (void)state;
    static const double targets[] = {.6, .8, .9, .95, .99};
    uint32_t last = 0;
    for (size_t i = 0; i < 5; i++) {
        dip_index_params params;
        double recall;
        assert_ok(
            dip_index_tune(index_, vectors, ids, N, queries, NQ, K, targets[i], &params, &recall));
        assert_true(recall >= targets[i]);
        assert_true(recall_at(params, queries) > recall - 1e-9 &&
                    recall_at(params, queries) < recall + 1e-9);
        assert_true(recall_at(params, others) >= targets[i] - .12); /* 120 queries */
        assert_true(params.nprobe * params.depth >= last / 2);
        last = params.nprobe * params.depth;
    }
}

static void less_would_not_do(void **state)
{
    (void)state;
    dip_index_params params;
    double recall;
    assert_ok(dip_index_tune(index_, vectors, ids, N, queries, NQ, K, .95, &params, &recall));
    assert_true(params.nprobe > 1);
    dip_index_params fewer_lists = {params.nprobe / 2, params.depth};
    dip_index_params less_depth = {params.nprobe, params.depth / 2};
    assert_true(recall_at(fewer_lists, queries) < .95);
    if (less_depth.depth) assert_true(recall_at(less_depth, queries) < .95);
}

static void what_cannot_be_reached_gives_the_best(void **state)
{
    (void)state;
    dip_index_params params;
    double recall;
    assert_ok(dip_index_tune(index_, vectors, ids, N, queries, NQ, K, 1.5, &params, &recall));
    assert_true(recall > .99 && recall <= 1);
    assert_true(recall_at(params, queries) > recall - 1e-9);
}

/* Rows that all have one vector: whichever is returned counts as found. */
static void ties_count_as_hits(void **state)
{
    (void)state;
    enum { SAME = 1000 };
    float *same = malloc(SAME * DIM * sizeof *same);
    for (size_t i = 0; i < SAME; i++) memcpy(same + i * DIM, vectors, DIM * sizeof *same);
    dip_index *index = support_index(folder, "same", DIP_ENGINE_FAISS, same, ids, SAME, DIM);
    dip_index_params params;
    double recall;
    assert_ok(dip_index_tune(index, same, ids, SAME, queries, NQ, K, .999, &params, &recall));
    assert_true(recall == 1);
    dip_index_close(index);
    free(same);
}

static void exact_needs_no_tuning(void **state)
{
    (void)state;
    dip_index *index = support_index(folder, "e", DIP_ENGINE_EXACT, vectors, ids, 100, DIM);
    dip_index_params params;
    double recall = 0;
    assert_ok(dip_index_tune(index, vectors, ids, 100, queries, NQ, K, .99, &params, &recall));
    assert_true(recall == 1);
    dip_index_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_is_reached),
        cmocka_unit_test(less_would_not_do),
        cmocka_unit_test(what_cannot_be_reached_gives_the_best),
        cmocka_unit_test(ties_count_as_hits),
        cmocka_unit_test(exact_needs_no_tuning),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
