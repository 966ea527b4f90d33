/* The data that engines are compared on: unit vectors, their cache, true neighbours, recall. */
#include "support.h"

#include "compare/set.h"
#include "core/mem.h"
#include "core/parallel.h"

#include <math.h>
#include <stdlib.h>

enum { DIM = 8, ROWS = 300, QUERIES = 20, K = 10 };

static const char *write_vectors(const char *name, size_t rows, size_t dim, uint64_t seed,
                                 float scale)
{
    float *v = dip_alloc(rows * dim * sizeof *v);
    assert_non_null(v);
    support_normal(v, rows, dim, seed);
    for (size_t i = 0; i < rows * dim; i++) v[i] *= scale;
    const char *path = support_path(name);
    assert_ok(dip_points_write(path, v, rows, dim));
    dip_free(v);
    return path;
}

static dip_unit_table make_table(const char *path, size_t most)
{
    dip_points p;
    dip_unit_table t;
    assert_ok(dip_points_open(&p, path, NULL));
    assert_ok(dip_unit_table_make(&t, &p, support_folder(), most, NULL));
    dip_points_close(&p);
    return t;
}

static dip_set make_set(size_t k)
{
    dip_set set = {.k = 0};
    set.base = make_table(write_vectors("base.fbin", ROWS, DIM, 1, 3), 0);
    set.queries = make_table(write_vectors("queries.fbin", QUERIES, DIM, 2, 0.1F), 0);
    assert_ok(dip_set_find_truth(&set, support_folder(), k, NULL));
    return set;
}

static double norm_of(const float *v, size_t dim)
{
    double square = 0;
    for (size_t i = 0; i < dim; i++) square += (double)v[i] * (double)v[i];
    return sqrt(square);
}

static void vectors_become_unit_vectors(void **state)
{
    (void)state;
    float v[4][2] = {{3, 4}, {0, 0}, {1, 0}, {1e-20F, 0}};
    assert_ok(dip_points_write(support_path("u.fbin"), v, 4, 2));
    dip_unit_table t = make_table(support_path("u.fbin"), 0);
    assert_true(t.rows == 4 && t.changed == 3 && t.zeros == 1);
    for (size_t i = 0; i < 4; i++) assert_true(fabs(norm_of(t.vectors + 2 * i, 2) - 1) < 1e-6);
    assert_true(fabsf(t.vectors[0] - 0.6F) < 1e-6F && fabsf(t.vectors[2] - t.vectors[3]) < 1e-6F);
    dip_unit_table_close(&t);
}

static void a_file_of_unit_vectors_serves_as_it_is(void **state)
{
    (void)state;
    const float v[3][2] = {{1, 0}, {0, -1}, {0.6F, 0.8F}};
    const char *path = support_path("own.fbin");
    assert_ok(dip_points_write(path, v, 3, 2));
    for (int again = 0; again < 2; again++) {
        dip_unit_table t = make_table(path, 0);
        assert_string_equal(t.path, path);
        assert_memory_equal(t.vectors, v, sizeof v);
        dip_unit_table_close(&t);
    }
    dip_unit_table part = make_table(path, 2);
    assert_string_not_equal(part.path, path);
    assert_true(part.rows == 2);
    dip_unit_table_close(&part);
}

static void the_cache_is_used_and_mended(void **state)
{
    (void)state;
    const char *path = write_vectors("c.fbin", 50, DIM, 3, 2);
    dip_unit_table first = make_table(path, 0), second = make_table(path, 0);
    assert_string_equal(first.path, second.path);
    assert_true(first.hash == second.hash && first.changed == second.changed);
    char *kept = dip_strdup(first.path);
    dip_unit_table_close(&first);
    dip_unit_table_close(&second);
    assert_int_equal(remove(kept), 0);
    dip_unit_table third = make_table(path, 0);
    assert_string_equal(third.path, kept);
    dip_unit_table_close(&third);
    dip_free(kept);
}

static void values_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        float v[3][2] = {{1, 0}, {0, 1}, {0, 1}};
        dip_points p;
        dip_unit_table t;
        char name[32];
        v[1][1] = bad[i];
        snprintf(name, sizeof name, "nan%zu.fbin", i);
        assert_ok(dip_points_write(support_path(name), v, 3, 2));
        assert_ok(dip_points_open(&p, support_path(name), NULL));
        assert_fails(dip_unit_table_make(&t, &p, support_folder(), 0, NULL), DIP_EFORMAT, "row 1");
        dip_points_close(&p);
    }
}

static void true_neighbours_are_those_of_all_comparisons(void **state)
{
    (void)state;
    dip_set set = make_set(K);
    for (size_t q = 0; q < QUERIES; q++) {
        double last = 2;
        for (size_t i = 0; i < K; i++) {
            double score = 0;
            for (size_t j = 0; j < DIM; j++)
                score += (double)set.queries.vectors[q * DIM + j] *
                         (double)set.base.vectors[set.ids[q * K + i] * DIM + j];
            assert_true(fabs(score - (double)set.scores[q * K + i]) < 1e-5 && score < last + 1e-5);
            last = score;
        }
        size_t nearer = 0;
        for (size_t row = 0; row < ROWS; row++) {
            double score = 0;
            for (size_t j = 0; j < DIM; j++)
                score += (double)set.queries.vectors[q * DIM + j] *
                         (double)set.base.vectors[row * DIM + j];
            nearer += score > last + 1e-5;
        }
        assert_true(nearer < K);
    }
    dip_set_close(&set);
}

static void truth_comes_from_the_cache(void **state)
{
    (void)state;
    dip_set first = make_set(K), second = make_set(K);
    assert_memory_equal(first.ids, second.ids, QUERIES * K * sizeof *first.ids);
    assert_memory_equal(first.scores, second.scores, QUERIES * K * sizeof *first.scores);
    assert_true(first.hash == second.hash);
    dip_set_close(&second);
    assert_fails(dip_set_find_truth(&first, support_folder(), ROWS + 1, NULL), DIP_EINVAL,
                 "lower -k");
    dip_set_close(&first);
}

static void base_and_queries_must_fit(void **state)
{
    (void)state;
    dip_set set = {.base = make_table(write_vectors("b4.fbin", 9, 4, 1, 1), 0),
                   .queries = make_table(write_vectors("q5.fbin", 9, 5, 1, 1), 0)};
    assert_fails(dip_set_find_truth(&set, support_folder(), 2, NULL), DIP_EMISMATCH,
                 "4 values, the queries of 5");
    dip_set_close(&set);
}

/* ---- recall ---- */

/* Rows 0 and 1 are the same vector, 2 is near, 3 opposite; one query, like row 0. */
static dip_set make_ties(void)
{
    const float base[4][2] = {{1, 0}, {1, 0}, {0.8F, 0.6F}, {-1, 0}}, query[1][2] = {{1, 0}};
    dip_set set = {.k = 0};
    assert_ok(dip_points_write(support_path("ties.fbin"), base, 4, 2));
    assert_ok(dip_points_write(support_path("asks.fbin"), query, 1, 2));
    set.base = make_table(support_path("ties.fbin"), 0);
    set.queries = make_table(support_path("asks.fbin"), 0);
    assert_ok(dip_set_find_truth(&set, support_folder(), 3, NULL));
    return set;
}

static double recall_of(const dip_set *set, const int32_t *ids, size_t k, double epsilon)
{
    double recall = -1;
    float scores[8];
    assert_ok(dip_set_recall(set, ids, k, epsilon, &recall, scores));
    return recall;
}

static void ties_and_repetitions_count_once(void **state)
{
    (void)state;
    dip_set set = make_ties();
    assert_true(recall_of(&set, (int32_t[]){0}, 1, 1e-6) == 1);
    assert_true(recall_of(&set, (int32_t[]){1}, 1, 1e-6) == 1);
    assert_true(recall_of(&set, (int32_t[]){2}, 1, 1e-6) == 0);
    assert_true(recall_of(&set, (int32_t[]){2}, 1, 0.3) == 1);
    assert_true(recall_of(&set, (int32_t[]){1, 0}, 2, 1e-6) == 1);
    assert_true(recall_of(&set, (int32_t[]){0, 0}, 2, 1e-6) == 0.5);
    assert_true(recall_of(&set, (int32_t[]){0, -1}, 2, 1e-6) == 0.5);
    assert_true(fabs(recall_of(&set, (int32_t[]){3, 2, 1}, 3, 1e-6) - 2.0 / 3) < 1e-12);
    dip_set_close(&set);
}

static void scores_stand_beside_the_answers(void **state)
{
    (void)state;
    dip_set set = make_ties();
    double recall;
    float scores[3];
    assert_ok(dip_set_recall(&set, (int32_t[]){2, -1, 3}, 3, 0, &recall, scores));
    assert_true(fabsf(scores[0] - 0.8F) < 1e-6F && scores[1] == -2 && scores[2] == -1);
    assert_fails(dip_set_recall(&set, (int32_t[]){4, 0, 1}, 3, 0, &recall, scores), DIP_EFORMAT,
                 "names row 4 of 4");
    dip_set_close(&set);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    dip_set set = make_set(K);
    int32_t ids[QUERIES * K];
    double recall[2];
    float scores[QUERIES * K];
    for (size_t i = 0; i < QUERIES * K; i++) ids[i] = (int32_t)(set.ids[i] ^ (i % 3 == 0));
    for (unsigned t = 1; t <= 2; t++) {
        dip_threads_set(t);
        assert_ok(dip_set_recall(&set, ids, K, 1e-6, &recall[t - 1], scores));
    }
    dip_threads_set(0);
    assert_true(recall[0] == recall[1] && recall[0] > 0.5 && recall[0] < 1);
    dip_set_close(&set);
}

/* Everything from a file to a recall, in a cache of its own so that nothing is found there. */
static dip_status go_all_the_way(const char *base, const char *queries, const char *cache)
{
    dip_set set = {.k = 0};
    dip_points p = {.rows = 0}, q = {.rows = 0};
    int32_t ids[QUERIES * K] = {0};
    float scores[QUERIES * K];
    double recall;
    dip_status status = dip_folder_create(cache);
    if (!status) status = dip_points_open(&p, base, NULL);
    if (!status) status = dip_points_open(&q, queries, NULL);
    if (!status) status = dip_unit_table_make(&set.base, &p, cache, 0, NULL);
    if (!status) status = dip_unit_table_make(&set.queries, &q, cache, 0, NULL);
    if (!status) status = dip_set_find_truth(&set, cache, K, NULL);
    if (!status) status = dip_set_recall(&set, ids, K, 1e-6, &recall, scores);
    dip_points_close(&p);
    dip_points_close(&q);
    dip_set_close(&set);
    return status;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    const char *base = write_vectors("base.fbin", ROWS, DIM, 1, 3);
    const char *queries = write_vectors("queries.fbin", QUERIES, DIM, 2, 0.1F);
    const char *cache = support_path("cache");
    dip_status status = DIP_ENOMEM;
    size_t n = 1;
    for (; status && n < 500; n++) {
        assert_ok(dip_file_remove(cache));
        dip_mem_fail_after(n);
        status = go_all_the_way(base, queries, cache);
        dip_mem_fail_after(0);
        assert_true(status == DIP_OK || status == DIP_ENOMEM);
    }
    assert_int_equal(status, DIP_OK);
    assert_true(n > 20);
}

/* ---- real descriptors, whose true neighbours somebody else found ---- */

/*
 * Theirs are by Euclidean distance between vectors of nearly one length, ours between unit vectors: almost the same
 * neighbours, and nobody's tenth is far behind.
 */
static void check_real(const char *queries, const char *truth)
{
    char path[600];
    int32_t *ids;
    size_t rows, dim;
    double recall;
    dip_set set = {.k = 0};
    snprintf(path, sizeof path, "%s/base.bvecs", support_data());
    set.base = make_table(path, 0);
    snprintf(path, sizeof path, "%s/%s", support_data(), queries);
    set.queries = make_table(path, 0);
    assert_true(set.base.rows == 50000 && set.queries.rows == 1000);
    assert_ok(dip_set_find_truth(&set, support_folder(), 10, NULL));
    snprintf(path, sizeof path, "%s/%s", support_data(), truth);
    assert_ok(dip_points_whole(path, &ids, &rows, &dim));
    for (size_t q = 0; q < rows; q++) memmove(ids + q * 10, ids + q * dim, 10 * sizeof *ids);
    float *scores = dip_alloc(rows * 10 * sizeof *scores);
    assert_ok(dip_set_recall(&set, ids, 10, 1e-6, &recall, scores));
    if (recall < 0.97)
        fail_msg("%s: only %.4f of the given neighbours are true here", queries, recall);
    assert_ok(dip_set_recall(&set, ids, 10, 5e-3, &recall, scores));
    if (recall < 0.9999) fail_msg("%s: %.6f of the given neighbours are near", queries, recall);
    dip_free(ids);
    dip_free(scores);
    dip_set_close(&set);
}

static void real_descriptors_have_the_neighbours_that_are_known(void **state)
{
    (void)state;
    if (!support_data()) {
        print_message("no real descriptors: set DIPTYCH_DATA\n");
        skip();
    }
    check_real("query_optical.bvecs", "gt_optical.ivecs");
    check_real("query_sar_ood.bvecs", "gt_sar_ood.ivecs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_become_unit_vectors),
        cmocka_unit_test(a_file_of_unit_vectors_serves_as_it_is),
        cmocka_unit_test(the_cache_is_used_and_mended),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(true_neighbours_are_those_of_all_comparisons),
        cmocka_unit_test(truth_comes_from_the_cache),
        cmocka_unit_test(base_and_queries_must_fit),
        cmocka_unit_test(ties_and_repetitions_count_once),
        cmocka_unit_test(scores_stand_beside_the_answers),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(real_descriptors_have_the_neighbours_that_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
