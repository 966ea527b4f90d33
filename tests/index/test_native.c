/* The native engine: near to exact search, equal bytes, updates, damage. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "core/parallel.h"
#include "index/segment.h"

enum { N = 20000, DIM = 48, NQ = 50, K = 10 };

static void it_finds_what_exact_search_finds(void **state)
{
    (void)state;
    float *vectors = support_vectors(N, DIM, 3, 0, 300),
          *queries = support_vectors(NQ, DIM, 3, 1, 300);
    uint64_t *ids = support_ids(N), hits[NQ * K];
    float scores[NQ * K];
    dip_index *index = support_index(scratch, "x", DIP_ENGINE_NATIVE, vectors, ids, N, DIM);
    dip_index_params params = {64, 20, 0};
    assert_ok(dip_index_search(index, queries, NQ, K, &params, NULL, 0, hits, scores));
    assert_true(support_recall(vectors, ids, N, DIM, queries, NQ, K, hits) > .97);
    for (size_t i = 0; i < NQ * K; i++) {
        const float *v = vectors + (hits[i] - 10) / 3 * DIM, *q = queries + i / K * DIM;
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) sum += (double)v[j] * q[j];
        assert_true(sum - (double)scores[i] < 2e-3 && (double)scores[i] - sum < 2e-3);
    }
    dip_index_close(index);
    free(vectors), free(queries), free(ids);
}

/* The widest gap is none, the narrowest still finds as many hits as are wanted, and under a filter there is none. */
static void a_gap_leaves_out_far_lists(void **state)
{
    (void)state;
    enum { MANY = 20 };
    float *vectors = support_vectors(N, DIM, 3, 0, 300),
          *queries = support_vectors(NQ, DIM, 3, 1, 300);
    uint64_t *ids = support_ids(N), *hits[2] = {calloc(NQ * MANY, 8), calloc(NQ * MANY, 8)};
    float *scores = calloc(NQ * MANY, sizeof *scores);
    dip_index *index = support_index(scratch, "x", DIP_ENGINE_NATIVE, vectors, ids, N, DIM);
    static const struct {
        float gap;
        size_t allowed;
        bool same;
    } cases[] = {{3, 0, true}, {1e-6F, 0, false}, {1e-6F, N / 2, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_index_params without = {16, 4, 0}, with = {16, 4, cases[i].gap};
        const uint64_t *allow = cases[i].allowed ? ids : NULL;
        assert_ok(dip_index_search(index, queries, NQ, MANY, &without, allow, cases[i].allowed,
                                   hits[0], scores));
        assert_ok(dip_index_search(index, queries, NQ, MANY, &with, allow, cases[i].allowed,
                                   hits[1], scores));
        for (size_t j = 0; j < NQ * MANY; j++) assert_true(hits[1][j] != DIP_NO_ID);
        assert_true(!memcmp(hits[0], hits[1], NQ * MANY * sizeof *hits[0]) == cases[i].same);
    }
    dip_index_close(index);
    free(vectors), free(queries), free(ids), free(hits[0]), free(hits[1]), free(scores);
}

static void bytes_do_not_depend_on_threads(void **state)
{
    (void)state;
    enum { ROWS = 8000 };
    float *vectors = support_vectors(ROWS, DIM, 5, 0, 100);
    uint64_t *ids = support_ids(ROWS);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE};
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        dip_threads_set(threads);
        assert_ok(dip_index_build(scratch, threads == 1 ? "one" : "many", &recipe, vectors, ids,
                                  ROWS, DIM, NULL));
    }
    size_t length, other_length;
    char *bytes = support_read(support_path(scratch, "one.segment"), &length);
    char *other = support_read(support_path(scratch, "many.segment"), &other_length);
    assert_int_equal(length, other_length);
    assert_memory_equal(bytes, other, length);
    free(bytes), free(other), free(vectors), free(ids);
}

/* Removed ones are never found, added ones are, by a delta and by a new segment alike. */
static void updates_add_and_remove(void **state)
{
    (void)state;
    enum { BASE = N / 2, LATER = N - BASE }; /* more than a delta holds */
    static const size_t added[] = {100, LATER};
    float *vectors = support_vectors(N, DIM, 7, 0, 200);
    uint64_t *ids = support_ids(N), gone[] = {10, 13, 3010}, hits[K];
    float scores[K];
    for (size_t round = 0; round < 2; round++) {
        dip_index *base = support_index(scratch, "b", DIP_ENGINE_NATIVE, vectors, ids, BASE, DIM);
        size_t n = added[round];
        assert_ok(
            dip_index_update(base, scratch, "u", gone, 3, vectors + BASE * DIM, ids + BASE, n));
        dip_index *index;
        assert_ok(dip_index_open(&index, scratch, "u"));
        assert_int_equal(dip_index_count(index), BASE - 3 + n);
        for (size_t i = 0; i < 3; i++) {
            const float *v = vectors + (gone[i] - 10) / 3 * DIM;
            assert_ok(dip_index_search(index, v, 1, K, NULL, NULL, 0, hits, scores));
            for (size_t k = 0; k < K; k++) assert_int_not_equal(hits[k], gone[i]);
        }
        for (size_t i = BASE; i < BASE + n; i += 37) {
            assert_ok(
                dip_index_search(index, vectors + i * DIM, 1, K, NULL, NULL, 0, hits, scores));
            assert_int_equal(hits[0], ids[i]);
        }
        assert_int_equal(dip_file_exists(support_path(scratch, "u.delta")), round == 0);
        dip_index_close(index);
        dip_index_close(base);
    }
    free(vectors), free(ids);
}

/* What remains of an index when all is removed takes in vectors again. */
static void an_index_can_be_emptied(void **state)
{
    (void)state;
    enum { BASE = 300 };
    float *vectors = support_vectors(BASE, DIM, 2, 0, 10), scores[K];
    uint64_t *ids = support_ids(BASE), hits[K];
    dip_index *base = support_index(scratch, "e", DIP_ENGINE_NATIVE, vectors, ids, BASE, DIM);
    assert_ok(dip_index_update(base, scratch, "none", ids, BASE, NULL, NULL, 0));
    dip_index *none, *some;
    dip_segment segment;
    assert_ok(dip_index_open(&none, scratch, "none"));
    assert_int_equal(dip_index_count(none), 0);
    assert_ok(dip_segment_open(&segment, support_path(scratch, "none.segment")));
    assert_ok(dip_segment_verify(&segment, "none"));
    dip_segment_close(&segment);
    assert_ok(dip_index_search(none, vectors, 1, K, NULL, NULL, 0, hits, scores));
    assert_true(hits[0] == DIP_NO_ID);
    assert_ok(dip_index_update(none, scratch, "some", NULL, 0, vectors, ids, 7));
    assert_ok(dip_index_open(&some, scratch, "some"));
    assert_ok(dip_index_search(some, vectors, 1, K, NULL, NULL, 0, hits, scores));
    assert_int_equal(hits[0], ids[0]);
    assert_int_equal(hits[7], DIP_NO_ID);
    dip_index_close(base);
    dip_index_close(none);
    dip_index_close(some);
    free(vectors), free(ids);
}

/* Opening does not read where rows stand, so whoever compacts looks at each. */
static void damaged_places_stop_a_compaction(void **state)
{
    (void)state;
    enum { BASE = 400, ROW = 5 };
    float *vectors = support_vectors(BASE, DIM, 4, 0, 10);
    uint64_t *ids = support_ids(BASE);
    for (size_t i = 0; i < 2; i++) {
        dip_index_close(support_index(scratch, "w", DIP_ENGINE_NATIVE, vectors, ids, BASE, DIM));
        char *path = strdup(support_path(scratch, "w.segment"));
        dip_segment segment;
        assert_ok(dip_segment_open(&segment, path));
        const uint8_t *part = i ? segment.rows : segment.row_lists;
        size_t at = (size_t)(part - segment.map.bytes) + ROW, length;
        dip_segment_close(&segment);
        char *bytes = support_read(path, &length);
        bytes[at] ^= 0x7f;
        support_write(path, bytes, length);
        dip_index *index;
        assert_ok(dip_index_open(&index, scratch, "w"));
        assert_fails(DIP_ECORRUPT, "where it should be",
                     dip_index_update(index, scratch, "v", ids + 100, 200, NULL, NULL, 0));
        dip_index_close(index);
        free(bytes), free(path);
    }
    free(vectors), free(ids);
}

/* A segment of an earlier version is refused in one line that says what to do. */
static void earlier_segments_are_refused(void **state)
{
    (void)state;
    enum { FEW = 100, VERSION = 8 };
    float *vectors = support_vectors(FEW, DIM, 4, 0, 10);
    uint64_t *ids = support_ids(FEW);
    dip_index_close(support_index(scratch, "o", DIP_ENGINE_NATIVE, vectors, ids, FEW, DIM));
    char *path = strdup(support_path(scratch, "o.segment"));
    size_t length;
    char *bytes = support_read(path, &length);
    bytes[VERSION] = 1;
    support_write(path, bytes, length);
    dip_index *index;
    assert_fails(DIP_EFORMAT, "version 1, this program reads 2; run diptych index again",
                 dip_index_open(&index, scratch, "o"));
    free(bytes), free(path), free(vectors), free(ids);
}

/* A flipped byte anywhere is found by a look at everything, and what opens in spite of it answers without a crash. */
static void damage_is_found(void **state)
{
    (void)state;
    enum { FEW = 1000 };
    float *vectors = support_vectors(FEW, DIM, 9, 0, 30), scores[K];
    uint64_t *ids = support_ids(FEW), hits[K];
    dip_index_close(support_index(scratch, "d", DIP_ENGINE_NATIVE, vectors, ids, FEW, DIM));
    const char *path = support_path(scratch, "d.segment");
    size_t length;
    char *bytes = support_read(path, &length), *copy = strdup(path);
    for (size_t at = 0; at < length; at += 211) {
        bytes[at] ^= 0x55;
        support_write(copy, bytes, length);
        dip_segment segment;
        dip_status status = dip_segment_open(&segment, copy);
        if (!status) {
            bool padding = !dip_segment_verify(&segment, copy);
            dip_segment_close(&segment);
            dip_index *index;
            assert_ok(dip_index_open(&index, scratch, "d"));
            assert_ok(dip_index_search(index, vectors, 1, K, NULL, NULL, 0, hits, scores));
            dip_index_close(index);
            assert_true(!padding || bytes[at] == 0x55);
        } else {
            assert_int_equal(status, DIP_ECORRUPT);
        }
        bytes[at] ^= 0x55;
    }
    support_write(copy, bytes, length / 2);
    assert_fails(DIP_ECORRUPT, "damaged", dip_segment_open(&(dip_segment){.codes = NULL}, copy));
    free(bytes), free(copy), free(vectors), free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_what_exact_search_finds),
        cmocka_unit_test(a_gap_leaves_out_far_lists),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
        cmocka_unit_test(updates_add_and_remove),
        cmocka_unit_test(an_index_can_be_emptied),
        cmocka_unit_test(damaged_places_stop_a_compaction),
        cmocka_unit_test(earlier_segments_are_refused),
        cmocka_unit_test(damage_is_found),
    };
#ifdef __SANITIZE_THREAD__ /* the rest is arithmetic, at a tenth of the speed */
    cmocka_set_test_filter("*threads*");
#endif
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
