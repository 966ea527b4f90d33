/* Truth found piece by piece is that of one scan; ties count, and too many of them say so. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "index/scan.h"
#include "index/truth.h"

#include <math.h>

enum { N = 3000, DIM = 24, NQ = 40, WIDTH = DIP_TRUTH_WIDTH };

static void pieces_give_what_one_scan_gives(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 20, 7, 1500, 300, N};
    float *vectors = support_vectors(N, DIM, 5, 0, 30),
          *queries = support_vectors(NQ, DIM, 5, 1, 30);
    uint64_t *ids = support_ids(N), best[NQ * WIDTH];
    float scores[NQ * WIDTH];
    memcpy(vectors + 2000 * DIM, vectors, 300 * DIM * sizeof *vectors); /* ties across pieces */
    const dip_scan scan = {.vectors = vectors, .ids = ids, .n = N, .dim = DIM};
    assert_ok(dip_scan_run(&scan, queries, NQ, WIDTH, best, scores));
    dip_truth truth;
    assert_ok(dip_truth_init(&truth, queries, NQ, DIM));
    for (size_t i = 0, p = 0, n; i < N; i += n, p++) {
        n = pieces[p] < N - i ? pieces[p] : N - i;
        assert_ok(dip_truth_add(&truth, vectors + i * DIM, ids + i, n));
    }
    assert_int_equal(truth.n, N);
    assert_memory_equal(truth.ids, best, sizeof best);
    assert_memory_equal(truth.scores, scores, sizeof scores);
    dip_truth_fini(&truth);
    free(vectors), free(queries), free(ids);
}

/* Along one axis, so that scores are known: 1, then `ties` times 0.6, then less. */
static size_t hits_of(size_t n, size_t ties, size_t k, bool *last)
{
    enum { MOST = 100 };
    float vectors[MOST * 2], query[2] = {1, 0};
    uint64_t ids[MOST];
    for (size_t i = 0; i < n; i++) {
        const float x = i == 0 ? 1 : i <= ties ? 0.6F : 0.5F / (float)i;
        vectors[2 * i] = x;
        vectors[2 * i + 1] = sqrtf(1 - x * x);
        ids[i] = 10 + i;
    }
    dip_truth truth;
    assert_ok(dip_truth_init(&truth, query, 1, 2));
    assert_ok(dip_truth_add(&truth, vectors, ids, n));
    const size_t hits = dip_truth_hits(&truth, 0, k);
    *last = dip_truth_has(&truth, 0, hits, 10 + ties);
    assert_false(dip_truth_has(&truth, 0, hits, 9));
    assert_false(dip_truth_has(&truth, 0, hits, 10 + ties + 1));
    dip_truth_fini(&truth);
    return hits;
}

static void ties_with_the_last_count(void **state)
{
    (void)state;
    bool last;
    assert_int_equal(hits_of(100, 5, 3, &last), 6);
    assert_true(last);
    assert_int_equal(hits_of(100, 5, 1, &last), 1);
    assert_false(last);
    assert_int_equal(hits_of(100, WIDTH - 2, 3, &last), WIDTH - 1);
    assert_true(last);
    assert_int_equal(hits_of(100, WIDTH + 5, 3, &last), 0); /* who knows */
    assert_int_equal(hits_of(4, 3, 9, &last), 4);           /* fewer than are asked for */
    assert_int_equal(hits_of(0, 0, 9, &last), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_give_what_one_scan_gives),
        cmocka_unit_test(ties_with_the_last_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
