/* Recall floors of the faiss engine over dimensions and sizes. ctest: slow */
#include "tests/index/support.h"

enum { FLOOR_NQ = 60, FLOOR_K = 10 };

static void assert_recall(const dip_index *index, const float *vectors, const uint64_t *ids,
                          const float *queries, dip_index_params params, double floor)
{
    uint64_t hits[FLOOR_NQ * FLOOR_K];
    float scores[FLOOR_NQ * FLOOR_K];
    size_t n = dip_index_count(index), dim = dip_index_dim(index);
    assert_ok(dip_index_search(index, queries, FLOOR_NQ, FLOOR_K, &params, NULL, 0, hits, scores));
    double recall = support_recall(vectors, ids, n, dim, queries, FLOOR_NQ, FLOOR_K, hits);
    if (recall < floor)
        fail_msg("%s at nprobe %u, depth %u: recall %.4f", dip_index_describe(index), params.nprobe,
                 params.depth, recall);
}

static void recall_reaches_its_floor(void **state)
{
    (void)state;
    char *folder = support_folder();
    static const struct {
        size_t n, dim;
    } cases[] = {{20000, 64}, {20000, 128}, {4000, 32}, {4000, 256},
                 {3000, 512}, {4000, 33},   {4000, 31}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t n = cases[c].n, dim = cases[c].dim;
        float *vectors = support_vectors(n, dim, 11, 0, n / 40);
        float *queries = support_vectors(FLOOR_NQ, dim, 11, 1, n / 40);
        uint64_t *ids = support_ids(n);
        dip_index *index = support_index(folder, "r", DIP_ENGINE_FAISS, vectors, ids, n, dim);
        assert_int_equal(dip_index_engine(index), DIP_ENGINE_FAISS);
        assert_recall(index, vectors, ids, queries, (dip_index_params){0, 0, 0}, .97);
        assert_recall(index, vectors, ids, queries, (dip_index_params){16, 8, 0}, .97);
        assert_recall(index, vectors, ids, queries, (dip_index_params){2, 4, 0}, .9);
        dip_index_close(index);
        free(vectors), free(queries), free(ids);
    }
    support_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recall_reaches_its_floor)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
