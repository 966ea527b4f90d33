/* FAISS reads the file that lies beside ours and finds what we find: our way into its fast scan is not another search. */
#include "tests/index/support.h"

#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_io_c.h>

enum { N = 8000, DIM = 64, NQ = 100, K = 10 };

static void stock_faiss_agrees(void **state)
{
    (void)state;
    char *folder = support_folder();
    float *vectors = support_vectors(N, DIM, 51, 0, 200),
          *queries = support_vectors(NQ, DIM, 51, 1, 200);
    uint64_t *ids = support_ids(N), hits[NQ * K];
    float scores[NQ * K], distances[NQ * K];
    int64_t rows[NQ * K];
    dip_index *index = support_index(folder, "s", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    assert_ok(dip_index_search(index, queries, NQ, K, NULL, NULL, 0, hits, scores));

    FaissIndex *stock = NULL;
    assert_int_equal(faiss_read_index_fname(support_path(folder, "s.ivfpq"), 0, &stock), 0);
    assert_int_equal(faiss_Index_ntotal(stock), N);
    assert_int_equal(faiss_Index_d(stock), DIM);
    assert_int_equal(faiss_Index_search(stock, NQ, queries, K, distances, rows), 0);
    size_t same = 0;
    for (size_t i = 0; i < NQ * K; i++) {
        assert_true(rows[i] >= 0 && rows[i] < N);
        same += ids[rows[i]] == hits[i];
        float difference = 1 - distances[i] / 2 - scores[i];
        assert_true(difference < 2e-3F &&
                    difference > -2e-3F); /* fp16 rows are not quite of length one */
    }
    assert_true(same >= NQ * K * 97 / 100);
    faiss_Index_free(stock);
    dip_index_close(index);
    free(vectors), free(queries), free(ids);
    support_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stock_faiss_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
