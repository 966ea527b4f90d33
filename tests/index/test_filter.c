/* Allow-lists: only allowed hits, always k if there are k, for narrow lists and wide ones, in all engines. */
#define _GNU_SOURCE
#include "tests/index/support.h"

enum { N = 60000, DIM = 16, NQ = 25, K = 10 };

static char *folder;
static float *vectors, *queries;
static uint64_t *ids;
enum { ENGINES = 3 };
static dip_index *engines[ENGINES];

static int setup(void **state)
{
    (void)state;
    folder = support_folder();
    vectors = support_vectors(N, DIM, 21, 0, 800);
    queries = support_vectors(NQ, DIM, 21, 1, 800);
    ids = support_ids(N);
    engines[0] = support_index(folder, "a", DIP_ENGINE_EXACT, vectors, ids, N, DIM);
    engines[1] = support_index(folder, "b", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    engines[2] = support_index(folder, "c", DIP_ENGINE_NATIVE, vectors, ids, N, DIM);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t e = 0; e < ENGINES; e++) dip_index_close(engines[e]);
    free(vectors), free(queries), free(ids);
    support_drop(folder);
    return 0;
}

static uint64_t keep_step;

static bool every_nth(uint64_t id) { return (id - 10) / 3 % keep_step == 0; }

/* All ids but those that `every_nth` drops, plus a stranger and a twin, which do no harm. */
static uint64_t *allow_list(size_t *count)
{
    uint64_t *allow = malloc((N + 4) * sizeof *allow);
    size_t n = 0;
    assert_non_null(allow);
    allow[n++] = 3;
    for (size_t i = 0; i < N; i++)
        if (every_nth(ids[i])) allow[n++] = ids[i];
    allow[n] = allow[n - 1];
    *count = n + 1;
    return allow;
}

static void only_allowed_hits_and_always_k(void **state)
{
    (void)state;
    static const uint64_t steps[] = {1, 2, 100, 20000};
    for (size_t c = 0; c < 4; c++)
        for (size_t e = 0; e < ENGINES; e++) {
            keep_step = steps[c];
            size_t count, possible = (N + keep_step - 1) / keep_step;
            uint64_t *allow = allow_list(&count), hits[NQ * K], truth[NQ * K];
            float scores[NQ * K];
            dip_index_params params = {4, 4, 0};
            assert_ok(
                dip_index_search(engines[e], queries, NQ, K, &params, allow, count, hits, scores));
            support_search(vectors, ids, N, DIM, queries, NQ, K, every_nth, truth, NULL);
            size_t same = 0;
            for (size_t i = 0; i < NQ * K; i++) {
                same += hits[i] == truth[i];
                assert_int_equal(hits[i] == DIP_NO_ID, i % K >= possible);
                if (hits[i] != DIP_NO_ID) assert_true(every_nth(hits[i]));
            }
            /* Narrow lists are scanned; fp16 may swap a near tie. */
            double floor = e == 0 ? .999 : keep_step >= 100 ? .97 : .8;
            if ((double)same < floor * NQ * K)
                fail_msg("step %d engine %zu: %zu", (int)keep_step, e, same);
            free(allow);
        }
}

/* All allowed rows lie far from the query: probing near lists finds none of them. */
static void far_away_rows_are_found(void **state)
{
    (void)state;
    enum { MANY = 25000 };
    dip_index_params params = {1, 1, 0};
    for (size_t e = 0; e < ENGINES; e++) {
        uint64_t hits[N];
        float scores[N];
        assert_ok(dip_index_search(engines[e], queries, 1, N, &params, NULL, 0, hits, scores));
        uint64_t *allow = malloc(N * sizeof *allow);
        char *far = calloc(N, 1);
        for (size_t i = N - MANY; i < N; i++) far[(hits[i] - 10) / 3] = 1;
        size_t n = 0;
        for (size_t i = 0; i < N; i++)
            if (far[i]) allow[n++] = ids[i];
        assert_int_equal(n, MANY);
        uint64_t found[K];
        float found_scores[K];
        assert_ok(
            dip_index_search(engines[e], queries, 1, K, &params, allow, n, found, found_scores));
        for (size_t i = 0; i < K; i++) {
            assert_true(found[i] != DIP_NO_ID);
            assert_true(far[(found[i] - 10) / 3]);
        }
        free(allow), free(far);
    }
}

static void an_empty_list_allows_nothing(void **state)
{
    (void)state;
    uint64_t none[1] = {0}, hits[NQ * 2];
    float scores[NQ * 2];
    for (size_t e = 0; e < ENGINES; e++)
        for (size_t count = 0; count <= 1; count++) {
            assert_ok(
                dip_index_search(engines[e], queries, NQ, 2, NULL, none, count, hits, scores));
            for (size_t i = 0; i < NQ * 2; i++) assert_int_equal(hits[i], DIP_NO_ID);
        }
}

/* More hits are wanted than the probed lists hold. */
static void k_is_kept_without_a_list_too(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static uint64_t hits[2 * MANY], truth[2 * MANY];
    static float scores[2 * MANY];
    dip_index_params params = {1, 1, 0};
    support_search(vectors, ids, N, DIM, queries, 2, MANY, NULL, truth, NULL);
    for (size_t e = 1; e < ENGINES; e++) {
        assert_ok(dip_index_search(engines[e], queries, 2, MANY, &params, NULL, 0, hits, scores));
        for (size_t i = 0; i < 2 * MANY; i++) {
            assert_true(hits[i] != DIP_NO_ID);
            if (i % MANY) assert_true(scores[i] <= scores[i - 1]);
        }
        assert_int_equal(hits[0], truth[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_hits_and_always_k),
        cmocka_unit_test(far_away_rows_are_found),
        cmocka_unit_test(an_empty_list_allows_nothing),
        cmocka_unit_test(k_is_kept_without_a_list_too),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
