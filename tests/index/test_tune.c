/*
 * Tuning: points tell the truth about queries that they have not seen, rise in recall and cost, and are no dearer than they must be.
 * ctest: no-tsan
 */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/parallel.h"
#include "index/dot.h"
#include "index/engine.h"
#include "index/scan.h"

#include <math.h>

enum {
    N = 8000,
    DIM = 64,
    NQ = 2000,
    FETCHED = 31,
    K = 10,
    CLUSTERS = 300,
    MOST = DIP_INDEX_MAX_POINTS
};

static char *folder;
static float *vectors, *queries, *others;
static uint64_t *ids;
static float bars[NQ]; /* of `others`: the K-th true score */
static dip_index *indexes[2];
static dip_truth truth; /* of `queries` */

/* Half noise: queries as another modality asks them, far from the clusters they belong to. */
static void spread(float *v, size_t n, uint64_t part)
{
    float *noise = support_vectors(n, DIM, 99, part, n);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) {
            float *x = v + i * DIM + j;
            *x = 0.6F * *x + 0.8F * noise[i * DIM + j];
            sum += (double)*x * *x;
        }
        for (size_t j = 0; j < DIM; j++) v[i * DIM + j] *= (float)(1 / sqrt(sum));
    }
    free(noise);
}

static int setup(void **state)
{
    (void)state;
    folder = support_folder();
    vectors = support_vectors(N, DIM, 41, 0, CLUSTERS);
    queries = support_vectors(NQ, DIM, 41, 1, CLUSTERS);
    others = support_vectors(NQ, DIM, 41, 2, CLUSTERS);
    spread(queries, NQ, 7);
    spread(others, NQ, 8);
    ids = support_ids(N);
    indexes[0] = support_index(folder, "n", DIP_ENGINE_NATIVE, vectors, ids, N, DIM);
    indexes[1] = support_index(folder, "f", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    dip_scan scan = {.vectors = vectors, .ids = ids, .n = N, .dim = DIM};
    static uint64_t best[NQ * K];
    static float scores[NQ * K];
    assert_ok(dip_scan_run(&scan, others, NQ, K, best, scores));
    for (size_t i = 0; i < NQ; i++) bars[i] = scores[i * K + K - 1] - 1e-6F;
    assert_ok(dip_truth_init(&truth, queries, NQ, DIM));
    for (size_t i = 0; i < N; i += 3000)
        assert_ok(dip_truth_add(&truth, vectors + i * DIM, ids + i, i + 3000 < N ? 3000 : N - i));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dip_index_close(indexes[0]), dip_index_close(indexes[1]);
    dip_truth_fini(&truth);
    free(vectors), free(queries), free(others), free(ids);
    support_drop(folder);
    return 0;
}

static dip_index_tuning tuning_of(double target)
{
    return (dip_index_tuning){
        .truth = &truth, .nq = NQ, .k = K, .fetched = FETCHED, .target = target};
}

/* Recall of the queries that nobody tuned with, and what chance does to it (its standard error). */
static double unseen(const dip_index *index, dip_index_params params, double *chance)
{
    static uint64_t hits[NQ * FETCHED];
    static float scores[NQ * FETCHED];
    double sum = 0, squares = 0;
    assert_ok(dip_index_search(index, others, NQ, FETCHED, &params, NULL, 0, hits, scores));
    for (size_t q = 0; q < NQ; q++) {
        size_t found = 0;
        for (size_t i = 0; i < FETCHED && hits[q * FETCHED + i] != DIP_NO_ID; i++) {
            const float *v = vectors + (hits[q * FETCHED + i] - ids[0]) / 3 * DIM;
            found += dip_dot_get()(others + q * DIM, v, DIM) >= bars[q];
        }
        double recall = (double)(found < K ? found : K) / K;
        sum += recall;
        squares += recall * recall;
    }
    double mean = sum / NQ;
    *chance = sqrt((squares / NQ - mean * mean) / NQ);
    return mean;
}

static void points_tell_the_truth(void **state)
{
    (void)state;
    for (size_t e = 0; e < 2; e++) {
        dip_index_point points[MOST];
        size_t count;
        dip_index_tuning how = tuning_of(.95);
        assert_ok(dip_index_tune(indexes[e], &how, points, &count));
        assert_in_range(count, 4, MOST);
        assert_true(points[0].recall < .93); /* something for those in a hurry */
        assert_true(points[count - 1].recall > .98);
        for (size_t i = 0; i < count; i++) {
            double chance, recall = unseen(indexes[e], points[i].params, &chance);
            /* Both are samples: their difference has 1.5 times the error of one. */
            if (fabs(recall - points[i].recall) > .001 + 3.5 * 1.5 * chance)
                fail_msg("%s: %u lists, depth %u: stored %.4f, unseen queries %.4f",
                         dip_engine_name(e), points[i].params.nprobe, points[i].params.depth,
                         points[i].recall, recall);
            assert_true(points[i].us > 0);
            assert_true(i == 0 || points[i].recall > points[i - 1].recall);
        }
    }
}

/* The first point that reaches the target just does: with half its gap, or half its depth, it is missed. */
static void less_would_not_do(void **state)
{
    (void)state;
    dip_index_point points[MOST];
    size_t count, at = 0;
    dip_index_tuning how = tuning_of(.95);
    assert_ok(dip_index_tune(indexes[0], &how, points, &count));
    while (at < count && points[at].recall < .95) at++;
    assert_true(at < count && points[at].params.gap > 0);
    assert_true(points[at].recall < .951);
    double chance;
    dip_index_params nearer = points[at].params, shallower = points[at].params;
    nearer.gap /= 2;
    assert_true(unseen(indexes[0], nearer, &chance) < .945);
    shallower.depth /= 2;
    if (shallower.depth) assert_true(unseen(indexes[0], shallower, &chance) < .95);
}

/* For several targets what is stored is what others find, and it is not more than was asked for by much. */
static void targets_are_met(void **state)
{
    (void)state;
    static const double targets[] = {.85, .9, .93, .97};
    for (size_t e = 0; e < 2; e++) {
        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
            dip_index_point points[MOST];
            size_t count, at = 0;
            dip_index_tuning how = tuning_of(targets[i]);
            assert_ok(dip_index_tune(indexes[e], &how, points, &count));
            while (at < count && points[at].recall < targets[i]) at++;
            assert_true(at < count);
            /* A list more or less is a large step where there are few. */
            assert_true(points[at].recall < targets[i] + (e ? .04 : .001));
            double chance, recall = unseen(indexes[e], points[at].params, &chance);
            if (fabs(recall - points[at].recall) > .001 + 3.5 * 1.5 * chance)
                fail_msg("target %.2f: stored %.4f, unseen queries %.4f", targets[i],
                         points[at].recall, recall);
        }
    }
}

/* As many lists on average, but by need, find more. */
static void a_gap_is_worth_its_while(void **state)
{
    (void)state;
    enum { EVEN = 8, MOST_READ = 2 * EVEN };
    float *behind = malloc(NQ * MOST_READ * sizeof *behind);
    assert_ok(indexes[0]->ops->behind(indexes[0], others, NQ, MOST_READ, behind));
    float low = 0, high = 1;
    for (int i = 0; i < 20; i++) {
        const float middle = (low + high) / 2;
        size_t read = 0;
        for (size_t j = 0; j < NQ * MOST_READ; j++) {
            assert_true(j % MOST_READ ? behind[j] >= behind[j - 1] : behind[j] == 0);
            read += behind[j] <= middle;
        }
        *(read > NQ * EVEN ? &high : &low) = middle;
    }
    free(behind);
    double chance, even = unseen(indexes[0], (dip_index_params){EVEN, 8, 0}, &chance);
    double needed = unseen(indexes[0], (dip_index_params){MOST_READ, 8, low}, &chance);
    if (needed < even + .005) fail_msg("recall %.4f with a gap, %.4f without", needed, even);
}

static void the_choice_does_not_depend_on_threads(void **state)
{
    (void)state;
    dip_index_point one[MOST], two[MOST];
    size_t count_one, count_two;
    dip_index_tuning how = tuning_of(.9);
    how.nq = 500;
    dip_threads_set(1);
    assert_ok(dip_index_tune(indexes[0], &how, one, &count_one));
    dip_threads_set(2);
    assert_ok(dip_index_tune(indexes[0], &how, two, &count_two));
    assert_int_equal(count_one, count_two);
    for (size_t i = 0; i < count_one; i++) {
        assert_memory_equal(&one[i].params, &two[i].params, sizeof one[i].params);
        assert_true(one[i].recall == two[i].recall);
    }
}

/* Stored vectors find themselves; that must not make up for what they miss. */
static void to_find_itself_does_not_count(void **state)
{
    (void)state;
    dip_index_point points[MOST], naive[MOST];
    size_t count, naive_count;
    dip_index_tuning how = tuning_of(.9);
    dip_truth own;
    assert_ok(dip_truth_init(&own, vectors, 1000, DIM));
    assert_ok(dip_truth_add(&own, vectors, ids, N));
    how.truth = &own;
    how.nq = 1000;
    assert_ok(dip_index_tune(indexes[0], &how, naive, &naive_count));
    how.stored = true;
    assert_ok(dip_index_tune(indexes[0], &how, points, &count));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < naive_count; j++)
            if (points[i].params.nprobe <= naive[j].params.nprobe &&
                points[i].params.depth <= naive[j].params.depth)
                assert_true(points[i].recall < naive[j].recall + .02);
    assert_true(points[count - 1].recall <= 1);
    dip_truth_fini(&own);
}

static void what_cannot_be_reached_gives_the_best(void **state)
{
    (void)state;
    dip_index_point points[MOST];
    size_t count;
    dip_index_tuning how = tuning_of(1.5);
    how.nq = 500;
    assert_ok(dip_index_tune(indexes[1], &how, points, &count));
    assert_true(points[count - 1].recall > .99 && points[count - 1].recall <= 1);
}

/* Rows that all have one vector: more than can be known tie, so nothing speaks against any. */
static void ties_count_as_hits(void **state)
{
    (void)state;
    enum { SAME = 1000 };
    float *same = malloc(SAME * DIM * sizeof *same);
    for (size_t i = 0; i < SAME; i++) memcpy(same + i * DIM, vectors, DIM * sizeof *same);
    dip_index *index = support_index(folder, "same", DIP_ENGINE_FAISS, same, ids, SAME, DIM);
    dip_index_point points[MOST];
    size_t count;
    dip_index_tuning how = tuning_of(.999);
    dip_truth ties;
    assert_ok(dip_truth_init(&ties, queries, 30, DIM));
    assert_ok(dip_truth_add(&ties, same, ids, SAME));
    how.truth = &ties;
    how.nq = 30;
    assert_ok(dip_index_tune(index, &how, points, &count));
    assert_int_equal(count, 1);
    assert_true(points[0].recall == 1);
    dip_index_close(index);
    dip_truth_fini(&ties);
    free(same);
}

static void few_queries_and_exact_engines_do_no_harm(void **state)
{
    (void)state;
    dip_index *index = support_index(folder, "e", DIP_ENGINE_EXACT, vectors, ids, 100, DIM);
    dip_index_point points[MOST];
    size_t count;
    dip_index_tuning how = tuning_of(.99);
    assert_ok(dip_index_tune(index, &how, points, &count));
    assert_int_equal(count, 1);
    assert_true(points[0].recall == 1 && points[0].us > 0 && !points[0].params.nprobe);
    dip_index_close(index);
    for (size_t nq = 0; nq < 4; nq++) {
        how = tuning_of(.99);
        how.nq = nq;
        assert_ok(dip_index_tune(indexes[0], &how, points, &count));
        assert_true(count >= 1 && points[count - 1].recall <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_tell_the_truth),
        cmocka_unit_test(less_would_not_do),
        cmocka_unit_test(targets_are_met),
        cmocka_unit_test(a_gap_is_worth_its_while),
        cmocka_unit_test(the_choice_does_not_depend_on_threads),
        cmocka_unit_test(to_find_itself_does_not_count),
        cmocka_unit_test(what_cannot_be_reached_gives_the_best),
        cmocka_unit_test(ties_count_as_hits),
        cmocka_unit_test(few_queries_and_exact_engines_do_no_harm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
