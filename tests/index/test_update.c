/* Updates: added, removed and replaced tiles, against a search by the book over what should be there. */
#define _GNU_SOURCE
#include "tests/index/support.h"

enum { N = 4000, EXTRA = 900, DIM = 32, NQ = 60, K = 10 };

static char *folder;
static float *vectors, *queries, *extra;
static uint64_t *ids;

static int setup(void **state)
{
    (void)state;
    folder = support_folder();
    vectors = support_vectors(N, DIM, 31, 0, 100);
    extra = support_vectors(EXTRA, DIM, 31, 2, 100);
    queries = support_vectors(NQ, DIM, 31, 1, 100);
    ids = support_ids(N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(vectors), free(queries), free(extra), free(ids);
    support_drop(folder);
    return 0;
}

/* What should be there: id -> vector, ascending. */
typedef struct content {
    size_t n;
    uint64_t ids[N + EXTRA];
    float vectors[(N + EXTRA) * DIM];
} content;

static void put(content *c, uint64_t id, const float *vector)
{
    size_t at = 0;
    while (at < c->n && c->ids[at] < id) at++;
    if (at == c->n || c->ids[at] != id) {
        memmove(c->ids + at + 1, c->ids + at, (c->n - at) * sizeof *c->ids);
        memmove(c->vectors + (at + 1) * DIM, c->vectors + at * DIM,
                (c->n - at) * DIM * sizeof(float));
        c->ids[at] = id;
        c->n++;
    }
    memcpy(c->vectors + at * DIM, vector, DIM * sizeof(float));
}

static void drop(content *c, uint64_t id)
{
    for (size_t at = 0; at < c->n; at++) {
        if (c->ids[at] != id) continue;
        c->n--;
        memmove(c->ids + at, c->ids + at + 1, (c->n - at) * sizeof *c->ids);
        memmove(c->vectors + at * DIM, c->vectors + (at + 1) * DIM,
                (c->n - at) * DIM * sizeof(float));
        return;
    }
}

static void assert_holds(const dip_index *index, const content *c)
{
    static uint64_t hits[NQ * K];
    static float scores[NQ * K];
    uint64_t *held = malloc((c->n + 1) * sizeof *held);
    assert_int_equal(dip_index_ids(index, 0, c->n + 1, held), c->n);
    assert_int_equal(dip_index_count(index), c->n);
    assert_memory_equal(held, c->ids, c->n * sizeof *held);
    free(held);
    dip_index_params wide = {64, 16, 0};
    assert_ok(dip_index_search(index, queries, NQ, K, &wide, NULL, 0, hits, scores));
    double recall = support_recall(c->vectors, c->ids, c->n, DIM, queries, NQ, K, hits);
    double floor = dip_index_engine(index) == DIP_ENGINE_EXACT ? 1 : .97;
    if (recall < floor) fail_msg("recall %.4f", recall);
    /* Every vector is its own nearest, wherever it came from. */
    for (size_t i = 0; i < c->n; i += 37) {
        assert_ok(
            dip_index_search(index, c->vectors + i * DIM, 1, 1, &wide, NULL, 0, hits, scores));
        assert_int_equal(hits[0], c->ids[i]);
    }
}

static dip_index *updated(const dip_index *base, const char *name, const uint64_t *remove,
                          size_t remove_count, const float *added, const uint64_t *added_ids,
                          size_t n)
{
    dip_index *index = NULL;
    assert_ok(dip_index_update(base, folder, name, remove, remove_count, added, added_ids, n));
    assert_ok(dip_index_open(&index, folder, name));
    assert_int_equal(dip_index_engine(index), dip_index_engine(base));
    return index;
}

/* Three updates one after the other: add; remove and replace a few; remove many. */
static void updates_follow_each_other(dip_engine engine)
{
    static content c;
    static uint64_t added[EXTRA], removed[N + EXTRA];
    c.n = 0;
    for (size_t i = 0; i < N; i++) put(&c, ids[i], vectors + i * DIM);
    dip_index *base = support_index(folder, "base", engine, vectors, ids, N, DIM), *next;

    for (size_t i = 0; i < EXTRA; i++) {
        added[i] = 11 + 9 * (EXTRA - i); /* between the base's ids, in falling order */
        put(&c, added[i], extra + i * DIM);
    }
    next = updated(base, "one", NULL, 0, extra, added, EXTRA);
    assert_holds(next, &c);
    dip_index_close(base);
    base = next;

    for (size_t i = 0; i < 300; i++) {
        removed[i] = ids[N - 1 - i * 7];
        drop(&c, removed[i]);
        if (i % 2) continue;
        put(&c, removed[i], extra + i * DIM);
    }
    removed[300] = 5; /* nobody has it */
    removed[301] = removed[0];
    float *again = malloc(150 * DIM * sizeof *again);
    for (size_t i = 0; i < 150; i++) {
        added[i] = removed[2 * i];
        memcpy(again + i * DIM, extra + 2 * i * DIM, DIM * sizeof *again);
    }
    /* The replaced vector equals the one of an added tile: drop that, so that the nearest is unique. */
    size_t n = 302;
    for (size_t i = 0; i < 150; i++) {
        removed[n++] = 11 + 9 * (EXTRA - 2 * i);
        drop(&c, removed[n - 1]);
    }
    next = updated(base, "two", removed, n, again, added, 150);
    assert_holds(next, &c);
    dip_index_close(base);
    base = next;
    free(again);

    n = 0;
    for (size_t i = 0; i < N; i += 3) {
        removed[n++] = ids[i];
        drop(&c, ids[i]);
    }
    next = updated(base, "three", removed, n, NULL, NULL, 0);
    assert_holds(next, &c);
    dip_index_close(base);
    dip_index_close(next);
}

static void exact_updates(void **state)
{
    (void)state;
    updates_follow_each_other(DIP_ENGINE_EXACT);
}

static void faiss_updates(void **state)
{
    (void)state;
    updates_follow_each_other(DIP_ENGINE_FAISS);
}

static void native_updates(void **state)
{
    (void)state;
    updates_follow_each_other(DIP_ENGINE_NATIVE);
}

static size_t size_of(const char *name)
{
    size_t length;
    free(support_read(support_path(folder, name), &length));
    return length;
}

/* A fifth may be tombstones; one more and the file is written without them. */
static void tombstones_are_cleared_away(void **state)
{
    (void)state;
    uint64_t *hits = malloc(N * sizeof *hits);
    float *scores = malloc(N * sizeof *scores);
    dip_index *base = support_index(folder, "base", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    size_t whole = size_of("base.ivfpq");
    for (size_t more = 0; more < 2; more++) {
        dip_index *index = updated(base, "less", ids, N / 5 + more, NULL, NULL, 0);
        assert_int_equal(size_of("less.ivfpq") < whole, more);
        assert_ok(dip_index_search(index, vectors, 1, N, NULL, NULL, 0, hits, scores));
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(hits[i] == DIP_NO_ID, i >= N - N / 5 - more);
            assert_true(hits[i] >= ids[N / 5 + more]);
        }
        dip_index_close(index);
    }
    dip_index_close(base);
    free(hits), free(scores);
}

static void filters_see_only_what_is_there(void **state)
{
    (void)state;
    dip_index *base = support_index(folder, "base", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    uint64_t added[1] = {ids[5]}, hits[3];
    float scores[3];
    dip_index *index = updated(base, "few", ids + 2, 4, extra, added, 1);
    assert_ok(dip_index_search(index, extra, 1, 3, NULL, ids, 6, hits, scores));
    assert_int_equal(hits[0], ids[5]);
    assert_true(hits[1] <= ids[1] && hits[2] <= ids[1]);
    dip_index_close(base);
    dip_index_close(index);
}

static void all_can_go_and_come_back(void **state)
{
    (void)state;
    static const dip_engine engines[] = {DIP_ENGINE_EXACT, DIP_ENGINE_FAISS, DIP_ENGINE_NATIVE};
    for (size_t e = 0; e < 3; e++) {
        uint64_t hit;
        float score;
        dip_index *base = support_index(folder, "base", engines[e], vectors, ids, N, DIM);
        dip_index *empty = updated(base, "empty", ids, N, NULL, NULL, 0);
        assert_int_equal(dip_index_count(empty), 0);
        assert_ok(dip_index_search(empty, queries, 1, 1, NULL, NULL, 0, &hit, &score));
        assert_int_equal(hit, DIP_NO_ID);
        assert_ok(dip_index_search(empty, queries, 1, 1, NULL, ids, N, &hit, &score));
        assert_int_equal(hit, DIP_NO_ID);
        dip_index *full = updated(empty, "full", NULL, 0, vectors, ids, N);
        assert_ok(dip_index_search(full, vectors + 9 * DIM, 1, 1, NULL, NULL, 0, &hit, &score));
        assert_int_equal(hit, ids[9]);
        dip_index_close(base), dip_index_close(empty), dip_index_close(full);
    }
}

static void the_base_stays_usable_in_its_place(void **state)
{
    (void)state;
    static const dip_engine engines[] = {DIP_ENGINE_EXACT, DIP_ENGINE_FAISS, DIP_ENGINE_NATIVE};
    for (size_t e = 0; e < 3; e++) {
        uint64_t hit;
        float score;
        dip_index *base = support_index(folder, "same", engines[e], vectors, ids, N, DIM);
        dip_index *index = updated(base, "same", ids, 1, NULL, NULL, 0);
        assert_ok(dip_index_search(base, vectors, 1, 1, NULL, NULL, 0, &hit, &score));
        assert_int_equal(hit, ids[0]);
        assert_ok(dip_index_search(index, vectors, 1, 1, NULL, NULL, 0, &hit, &score));
        assert_int_not_equal(hit, ids[0]);
        dip_index_close(base), dip_index_close(index);
    }
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    dip_index *base = support_index(folder, "base", DIP_ENGINE_FAISS, vectors, ids, N, DIM);
    uint64_t twice[2] = {1, 1}, there[1] = {ids[3]}, none[1] = {DIP_NO_ID}, fresh[1] = {1};
    float zero[DIM] = {0};
    assert_fails(DIP_EINVAL, "tile 1 is added to an index twice",
                 dip_index_update(base, folder, "no", NULL, 0, extra, twice, 2));
    assert_fails(DIP_EEXIST, "is in the index already",
                 dip_index_update(base, folder, "no", NULL, 0, extra, there, 1));
    assert_fails(DIP_EINVAL, "twice",
                 dip_index_update(base, folder, "no", NULL, 0, extra, none, 1));
    assert_fails(DIP_EINVAL, "no unit vector",
                 dip_index_update(base, folder, "no", NULL, 0, zero, fresh, 1));
    dip_index_close(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_updates),
        cmocka_unit_test(faiss_updates),
        cmocka_unit_test(native_updates),
        cmocka_unit_test(tombstones_are_cleared_away),
        cmocka_unit_test(filters_see_only_what_is_there),
        cmocka_unit_test(all_can_go_and_come_back),
        cmocka_unit_test(the_base_stays_usable_in_its_place),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
