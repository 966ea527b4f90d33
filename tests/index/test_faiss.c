/* The faiss engine: scores, determinism, small and odd shapes, damage. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "core/parallel.h"

#include <pthread.h>
#include <unistd.h>

static void scores_are_cosines(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 48, NQ = 20, K = 5 };
    float *vectors = support_vectors(N, DIM, 2, 0, 60),
          *queries = support_vectors(NQ, DIM, 2, 1, 60);
    uint64_t *ids = support_ids(N), hits[NQ * K];
    float scores[NQ * K];
    dip_index *index = support_index(scratch, "c", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    assert_ok(dip_index_search(index, queries, NQ, K, NULL, NULL, 0, hits, scores));
    for (size_t i = 0; i < NQ * K; i++) {
        const float *v = vectors + (hits[i] - 10) / 3 * DIM, *q = queries + i / K * DIM;
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) sum += (double)v[j] * q[j];
        assert_true(sum - (double)scores[i] < 1e-3 && (double)scores[i] - sum < 1e-3);
        if (i % K) assert_true(scores[i] <= scores[i - 1]);
    }
    dip_index_close(index);
    free(vectors), free(queries), free(ids);
}

static void assert_same_files(const char *a, const char *b)
{
    static const char *const suffixes[] = {"ids", "ivfpq"};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        size_t length, other_length;
        snprintf(name, sizeof name, "%s.%s", a, suffixes[i]);
        char *bytes = support_read(support_path(scratch, name), &length);
        snprintf(name, sizeof name, "%s.%s", b, suffixes[i]);
        char *other = support_read(support_path(scratch, name), &other_length);
        assert_int_equal(length, other_length);
        assert_memory_equal(bytes, other, length);
        free(bytes), free(other);
    }
}

static void bytes_do_not_depend_on_threads(void **state)
{
    (void)state;
    enum { N = 5000, DIM = 32 };
    float *vectors = support_vectors(N, DIM, 4, 0, 100);
    uint64_t *ids = support_ids(N);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_FAISS, .seed = 3};
    dip_threads_set(1);
    assert_ok(dip_index_build(scratch, "one", &recipe, vectors, ids, N, DIM, NULL));
    assert_ok(dip_index_build(scratch, "again", &recipe, vectors, ids, N, DIM, NULL));
    assert_same_files("one", "again");
    for (unsigned threads = 2; threads <= 4; threads++) {
        dip_threads_set(threads);
        assert_ok(dip_index_build(scratch, "many", &recipe, vectors, ids, N, DIM, NULL));
        assert_same_files("one", "many");
    }
    dip_threads_set(0);
    recipe.seed = 4;
    assert_ok(dip_index_build(scratch, "other", &recipe, vectors, ids, N, DIM, NULL));
    size_t length, other_length;
    char *bytes = support_read(support_path(scratch, "one.ivfpq"), &length);
    char *other = support_read(support_path(scratch, "other.ivfpq"), &other_length);
    assert_true(length != other_length || memcmp(bytes, other, length) != 0);
    free(bytes), free(other), free(vectors), free(ids);
}

enum { SHARED_N = 5000, SHARED_DIM = 64, SHARED_NQ = 60, SHARED_K = 25 };

typedef struct asker {
    const dip_index *index;
    const float *queries;
    dip_index_params params;
    const uint64_t *want_ids;
    const float *want_scores;
    int differed;
} asker;

static void *ask(void *argument)
{
    asker *a = argument;
    uint64_t ids[SHARED_K];
    float scores[SHARED_K];
    for (int round = 0; round < 3; round++)
        for (size_t q = 0; q < SHARED_NQ; q++) {
            if (dip_index_search(a->index, a->queries + q * SHARED_DIM, 1, SHARED_K, &a->params,
                                 NULL, 0, ids, scores))
                a->differed++;
            a->differed += memcmp(ids, a->want_ids + q * SHARED_K, sizeof ids) != 0;
            a->differed += memcmp(scores, a->want_scores + q * SHARED_K, sizeof scores) != 0;
        }
    return NULL;
}

/* Threads that search one index with different parameters at once get what each would get alone. */
static void parameters_belong_to_a_search(void **state)
{
    (void)state;
    enum { ASKERS = 4 };
    static uint64_t ids[ASKERS][SHARED_NQ * SHARED_K];
    static float scores[ASKERS][SHARED_NQ * SHARED_K];
    static const dip_index_params params[ASKERS] = {{1, 1, 0}, {8, 2, 0}, {64, 8, 0}, {128, 1, 0}};
    float *vectors = support_vectors(SHARED_N, SHARED_DIM, 8, 0, 100);
    float *queries = support_vectors(SHARED_NQ, SHARED_DIM, 8, 1, 100);
    uint64_t *tile_ids = support_ids(SHARED_N);
    dip_index *index =
        support_index(scratch, "p", DIP_ENGINE_FAISS, vectors, tile_ids, SHARED_N, SHARED_DIM);
    pthread_t threads[ASKERS];
    asker askers[ASKERS];
    for (size_t i = 0; i < ASKERS; i++)
        assert_ok(dip_index_search(index, queries, SHARED_NQ, SHARED_K, &params[i], NULL, 0, ids[i],
                                   scores[i]));
    assert_memory_not_equal(ids[0], ids[2], sizeof ids[0]);
    for (size_t i = 0; i < ASKERS; i++) {
        askers[i] = (asker){index, queries, params[i], ids[i], scores[i], 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < ASKERS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < ASKERS; i++) assert_int_equal(askers[i].differed, 0);
    dip_index_close(index);
    free(vectors), free(queries), free(tile_ids);
}

static void small_and_odd_sets_work(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 65, 79, 200, 1000};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        size_t n = sizes[c], k = n + 3;
        float *vectors = support_vectors(n, 8, c, 0, 5), *query = support_vectors(1, 8, c, 1, 5);
        uint64_t *ids = support_ids(n), *hits = malloc(k * sizeof *hits);
        float *scores = malloc(k * sizeof *scores);
        dip_index *index = support_index(scratch, "o", DIP_ENGINE_FAISS, vectors, ids, n, 8);
        dip_index_params least = {1, 1, 0};
        assert_ok(dip_index_search(index, query, 1, k, &least, NULL, 0, hits, scores));
        for (size_t i = 0; i < k; i++) assert_int_equal(hits[i] == DIP_NO_ID, i >= n);
        dip_index_close(index);
        free(vectors), free(query), free(ids), free(hits), free(scores);
    }
}

static void few_vectors_are_refused_clearly(void **state)
{
    (void)state;
    float *vectors = support_vectors(63, 8, 1, 0, 5);
    uint64_t *ids = support_ids(63);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_FAISS};
    assert_fails(DIP_EINVAL, "63 vectors are too few for lists and codes",
                 dip_index_build(scratch, "f", &recipe, vectors, ids, 63, 8, NULL));
    free(vectors), free(ids);
}

static void equal_vectors_do_no_harm(void **state)
{
    (void)state;
    enum { N = 2000, DIM = 32 };
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    for (size_t i = 0; i < N; i++)
        memcpy(vectors + i * DIM, vectors + i % 3 * DIM, DIM * sizeof *vectors);
    uint64_t *ids = support_ids(N), hits[700];
    float scores[700];
    dip_index *index = support_index(scratch, "q", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    assert_ok(dip_index_search(index, vectors + DIM, 1, 700, NULL, NULL, 0, hits, scores));
    for (size_t i = 0; i < 700; i++) {
        assert_true(hits[i] != DIP_NO_ID);
        if (i < 667) assert_int_equal((hits[i] - 10) / 3 % 3, 1);
    }
    dip_index_close(index);
    free(vectors), free(ids);
}

static void a_code_count_must_divide(void **state)
{
    (void)state;
    float *vectors = support_vectors(100, 8, 1, 0, 5);
    uint64_t *ids = support_ids(100);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_FAISS, .code_count = 3};
    assert_fails(DIP_EINVAL, "3 codes do not divide",
                 dip_index_build(scratch, "d", &recipe, vectors, ids, 100, 8, NULL));
    free(vectors), free(ids);
}

static int cancel_in(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    return strcmp(phase, payload) == 0;
}

static void a_build_can_be_stopped(void **state)
{
    (void)state;
    static const char *const phases[] = {"clustering", "training codes", "encoding"};
    float *vectors = support_vectors(500, 8, 1, 0, 5);
    uint64_t *ids = support_ids(500);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_FAISS};
    for (size_t i = 0; i < 3; i++) {
        dip_progress progress = {cancel_in, (void *)(uintptr_t)phases[i]};
        assert_fails(DIP_ECANCEL, "stopped",
                     dip_index_build(scratch, "stop", &recipe, vectors, ids, 500, 8, &progress));
        assert_false(dip_file_exists(support_path(scratch, "stop.ids")));
    }
    free(vectors), free(ids);
}

static void damage_is_noticed_before_faiss_reads(void **state)
{
    (void)state;
    float *vectors = support_vectors(300, 8, 1, 0, 5);
    uint64_t *ids = support_ids(300);
    dip_index_close(support_index(scratch, "x", DIP_ENGINE_FAISS, vectors, ids, 300, 8));
    dip_index *index = NULL;
    for (int file = 0; file < 2; file++) {
        char path[4096];
        size_t length;
        snprintf(path, sizeof path, "%s", support_path(scratch, file ? "x.ids" : "x.ivfpq"));
        char *bytes = support_read(path, &length);
        for (size_t i = 0; i < length; i += i < 300 ? 1 : 61) {
            bytes[i] ^= (char)(1 << i % 8);
            support_write(path, bytes, length);
            assert_fails(DIP_ECORRUPT, "run diptych index again",
                         dip_index_open(&index, scratch, "x"));
            bytes[i] ^= (char)(1 << i % 8);
        }
        support_write(path, bytes, length / 2);
        assert_fails(DIP_ECORRUPT, "run diptych index again", dip_index_open(&index, scratch, "x"));
        support_write(path, bytes, length);
        assert_ok(dip_index_open(&index, scratch, "x"));
        dip_index_close(index);
        free(bytes);
    }
    unlink(support_path(scratch, "x.ivfpq"));
    assert_fails(DIP_ECORRUPT, "incomplete index", dip_index_open(&index, scratch, "x"));
    free(vectors), free(ids);
}

static void the_last_build_counts(void **state)
{
    (void)state;
    float *vectors = support_vectors(300, 8, 1, 0, 5);
    uint64_t *ids = support_ids(300);
    dip_index_close(support_index(scratch, "l", DIP_ENGINE_EXACT, vectors, ids, 300, 8));
    dip_index *index = support_index(scratch, "l", DIP_ENGINE_FAISS, vectors, ids, 300, 8);
    assert_int_equal(dip_index_engine(index), DIP_ENGINE_FAISS);
    assert_false(dip_file_exists(support_path(scratch, "l.exact")));
    dip_index_close(index);
    index = support_index(scratch, "l", DIP_ENGINE_EXACT, vectors, ids, 300, 8);
    assert_int_equal(dip_index_engine(index), DIP_ENGINE_EXACT);
    assert_false(dip_file_exists(support_path(scratch, "l.ivfpq")));
    dip_index_close(index);
    free(vectors), free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_cosines),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
        cmocka_unit_test(parameters_belong_to_a_search),
        cmocka_unit_test(small_and_odd_sets_work),
        cmocka_unit_test(few_vectors_are_refused_clearly),
        cmocka_unit_test(equal_vectors_do_no_harm),
        cmocka_unit_test(a_code_count_must_divide),
        cmocka_unit_test(a_build_can_be_stopped),
        cmocka_unit_test(damage_is_noticed_before_faiss_reads),
        cmocka_unit_test(the_last_build_counts),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
