/* The exact engine against search by the book. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/cpu.h"
#include "core/parallel.h"
#include "index/dot.h"

#include <math.h>

/* Rows agree up to the rounding of float32: a hit that differs must be a tie. */
static void assert_rows(const uint64_t *ids, const float *scores, const uint64_t *truth,
                        const double *true_scores, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(fabs((double)scores[i] - true_scores[i]) < 2e-6);
        if (truth[i] == DIP_NO_ID) assert_int_equal(ids[i], DIP_NO_ID);
    }
}

static void finds_what_the_book_finds(void **state)
{
    (void)state;
    static const struct {
        size_t n, dim, nq, k;
    } cases[] = {{1, 8, 1, 1},     {2, 1, 3, 2},        {63, 16, 5, 7},    {513, 32, 33, 10},
                 {1500, 33, 4, 3}, {700, 128, 40, 700}, {9000, 64, 2, 20}, {9000, 48, 70, 5}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t n = cases[c].n, dim = cases[c].dim, nq = cases[c].nq, k = cases[c].k;
        float *vectors = support_vectors(n, dim, c, 0, n / 9 + 1);
        float *queries = support_vectors(nq, dim, c, 1, n / 9 + 1);
        uint64_t *ids = support_ids(n), *hits = malloc(nq * k * 8), *truth = malloc(nq * k * 8);
        float *scores = malloc(nq * k * sizeof *scores);
        double *true_scores = malloc(nq * k * sizeof *true_scores);
        dip_index *index = support_index(scratch, "a", DIP_ENGINE_EXACT, vectors, ids, n, dim);
        assert_int_equal(dip_index_count(index), n);
        assert_int_equal(dip_index_dim(index), dim);
        assert_ok(dip_index_search(index, queries, nq, k, NULL, NULL, 0, hits, scores));
        support_search(vectors, ids, n, dim, queries, nq, k, NULL, truth, true_scores);
        assert_rows(hits, scores, truth, true_scores, nq * k);
        double recall = support_recall(vectors, ids, n, dim, queries, nq, k, hits);
        assert_true(recall == 1);
        dip_index_close(index);
        free(vectors), free(queries), free(ids), free(hits), free(truth), free(scores),
            free(true_scores);
    }
}

static void ties_go_to_the_smaller_id(void **state)
{
    (void)state;
    enum { N = 6000, DIM = 16, K = 9 };
    float *one = support_vectors(1, DIM, 3, 0, 1), *vectors = malloc(N * DIM * sizeof *vectors);
    for (size_t i = 0; i < N; i++) memcpy(vectors + i * DIM, one, DIM * sizeof *one);
    uint64_t *ids = support_ids(N), hits[8 * K];
    float scores[8 * K], queries[8 * DIM];
    for (size_t i = 0; i < 8; i++) memcpy(queries + i * DIM, one, DIM * sizeof *one);
    dip_index *index = support_index(scratch, "t", DIP_ENGINE_EXACT, vectors, ids, N, DIM);
    for (size_t nq = 1; nq <= 8; nq++) {
        assert_ok(dip_index_search(index, queries, nq, K, NULL, NULL, 0, hits, scores));
        for (size_t i = 0; i < nq * K; i++) assert_int_equal(hits[i], ids[i % K]);
    }
    dip_index_close(index);
    free(one), free(vectors), free(ids);
}

/* Same bits for one query or many, for one thread or three. */
static void an_answer_is_the_querys_own(void **state)
{
    (void)state;
    enum { N = 12000, DIM = 96, NQ = 67, K = 13 };
    float *vectors = support_vectors(N, DIM, 5, 0, 300),
          *queries = support_vectors(NQ, DIM, 5, 1, 300);
    uint64_t *ids = support_ids(N), hits[NQ * K], again[NQ * K];
    float scores[NQ * K], scores_again[NQ * K];
    dip_index *index = support_index(scratch, "b", DIP_ENGINE_EXACT, vectors, ids, N, DIM);
    dip_threads_set(1);
    assert_ok(dip_index_search(index, queries, NQ, K, NULL, NULL, 0, hits, scores));
    for (unsigned threads = 1; threads <= 3; threads++) {
        dip_threads_set(threads);
        for (size_t step = 1; step <= NQ; step = step * 4 + 3) {
            for (size_t q = 0; q < NQ; q += step)
                assert_ok(dip_index_search(index, queries + q * DIM, step < NQ - q ? step : NQ - q,
                                           K, NULL, NULL, 0, again + q * K, scores_again + q * K));
            assert_memory_equal(hits, again, sizeof hits);
            assert_memory_equal(scores, scores_again, sizeof scores);
        }
    }
    dip_threads_set(0);
    dip_index_close(index);
    free(vectors), free(queries), free(ids);
}

static void short_rows_end_in_no_id(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 3; n++) {
        float *vectors = support_vectors(n, 4, 6, 0, 1), *query = support_vectors(1, 4, 6, 1, 1);
        uint64_t *ids = support_ids(n), hits[5];
        float scores[5];
        dip_index *index = support_index(scratch, "s", DIP_ENGINE_AUTO, vectors, ids, n, 4);
        assert_int_equal(dip_index_engine(index), DIP_ENGINE_EXACT);
        assert_ok(dip_index_search(index, query, 1, 5, NULL, NULL, 0, hits, scores));
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(hits[i] == DIP_NO_ID, i >= n);
            if (i >= n) assert_true(scores[i] == -2);
        }
        dip_index_close(index);
        free(vectors), free(query), free(ids);
    }
}

static void every_body_of_dot_gives_the_same_bits(void **state)
{
    (void)state;
    if (!dip_cpu_get()->avx2) skip();
    for (size_t dim = 1; dim < 300; dim += 7) {
        float *a = support_vectors(2, dim, dim, 0, 1);
        float x = dip_dot_plain(a, a + dim, dim), y = dip_dot_avx2(a, a + dim, dim);
        assert_memory_equal(&x, &y, sizeof x);
        free(a);
    }
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    float vectors[8] = {1, 0, 0, 0, 0, 1, 0, 0}, query[4] = {3, 0, 0, 0}, score;
    uint64_t ids[2] = {4, 9}, same[2] = {4, 4}, last[2] = {4, DIP_NO_ID}, hit;
    assert_fails(DIP_EINVAL, "ascending",
                 dip_index_build(scratch, "e", NULL, vectors, same, 2, 4, NULL));
    assert_fails(DIP_EINVAL, "ascending",
                 dip_index_build(scratch, "e", NULL, vectors, last, 2, 4, NULL));
    assert_fails(DIP_EINVAL, "dimensions",
                 dip_index_build(scratch, "e", NULL, vectors, ids, 2, 0, NULL));
    vectors[5] = NAN;
    assert_fails(DIP_EINVAL, "tile 9 is no unit",
                 dip_index_build(scratch, "e", NULL, vectors, ids, 2, 4, NULL));
    vectors[5] = 1;
    dip_index *index = support_index(scratch, "e", DIP_ENGINE_AUTO, vectors, ids, 2, 4);
    assert_fails(DIP_EINVAL, "length is 3",
                 dip_index_search(index, query, 1, 1, NULL, NULL, 0, &hit, &score));
    query[0] = INFINITY;
    assert_fails(DIP_EINVAL, "query 0",
                 dip_index_search(index, query, 1, 1, NULL, NULL, 0, &hit, &score));
    dip_index_close(index);
    assert_fails(DIP_ENOENT, "run diptych index", dip_index_open(&index, scratch, "nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_book_finds),
        cmocka_unit_test(ties_go_to_the_smaller_id),
        cmocka_unit_test(an_answer_is_the_querys_own),
        cmocka_unit_test(short_rows_end_in_no_id),
        cmocka_unit_test(every_body_of_dot_gives_the_same_bits),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
