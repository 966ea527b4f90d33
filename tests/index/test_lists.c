/* Lists in two levels: vectors find the nearest of what they look at, and lists are shared out to the last one. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/cpu.h"
#include "core/parallel.h"
#include "index/lists.h"

static size_t nearest_of(const dip_lists *l, const float *v)
{
    size_t nearest = 0;
    double least = 1e30;
    for (size_t c = 0; c < l->lists; c++) {
        double cost = 0;
        for (size_t j = 0; j < l->dim; j++) {
            double d = (double)v[j] - (double)l->centroids[c * l->dim + j];
            cost += d * d;
        }
        if (cost < least) least = cost, nearest = c;
    }
    return nearest;
}

/* Share of the vectors whose list is the nearest of all; every one has a list. */
static double share(const dip_lists *l, const float *vectors, size_t n)
{
    uint32_t *nearest = malloc(n * sizeof *nearest);
    size_t right = 0;
    memset(nearest, 0xff, n * sizeof *nearest);
    assert_ok(dip_lists_assign(l, vectors, n, nearest));
    for (size_t i = 0; i < n; i++) {
        assert_in_range(nearest[i], 0, l->lists - 1);
        right += nearest[i] == nearest_of(l, vectors + i * l->dim);
    }
    free(nearest);
    return (double)right / (double)n;
}

static void assert_shared_out(const dip_lists *l)
{
    assert_int_equal(l->group_first[0], 0);
    assert_int_equal(l->group_first[l->groups], l->lists);
    for (size_t g = 0; g < l->groups; g++) assert_true(l->group_first[g] <= l->group_first[g + 1]);
}

static dip_status train(dip_lists *l, const float *vectors, size_t n, size_t dim, size_t lists,
                        uint64_t seed)
{
    const dip_supply supply = {.n = n, .dim = dim, .values = vectors};
    return dip_lists_train(l, &supply, lists, seed, NULL, "x");
}

static void vectors_find_their_lists(void **state)
{
    (void)state;
    enum { N = 6000, DIM = 24 };
    float *vectors = support_vectors(N, DIM, 3, 0, 150);
    static const size_t lists[] = {1, 40, 255, 256, 700};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        dip_lists l;
        assert_ok(train(&l, vectors, N, DIM, lists[i], 1));
        assert_int_equal(l.groups > 1, lists[i] >= 256);
        assert_shared_out(&l);
        double right = share(&l, vectors, N);
        if (right < (l.groups > 1 ? .97 : .9999)) fail_msg("%zu lists: %.4f", lists[i], right);
        dip_lists_fini(&l);
    }
    free(vectors);
}

/* As many lists as vectors: each group gets as many as it has vectors. */
static void a_list_for_every_vector(void **state)
{
    (void)state;
    enum { N = 300, DIM = 6 };
    float *vectors = support_vectors(N, DIM, 5, 0, 20);
    dip_lists l;
    assert_ok(train(&l, vectors, N, DIM, N, 1));
    assert_shared_out(&l);
    assert_true(share(&l, vectors, N) > .9);
    dip_lists_fini(&l);
    free(vectors);
}

/* Trained on two vectors again and again, most groups get no list; what is near to neither finds one all the same. */
static void groups_without_lists_are_passed_over(void **state)
{
    (void)state;
    enum { N = 2000, DIM = 32 };
    float *vectors = calloc(N * DIM, sizeof *vectors), *others = calloc(DIM * DIM, sizeof *others);
    for (size_t i = 0; i < N; i++) vectors[i * DIM + i % 2] = 1;
    for (size_t i = 0; i < DIM; i++) others[i * DIM + i] = -1;
    dip_lists l;
    assert_ok(train(&l, vectors, N, DIM, 400, 1));
    assert_shared_out(&l);
    size_t empty = 0;
    for (size_t g = 0; g < l.groups; g++) empty += l.group_first[g] == l.group_first[g + 1];
    assert_true(empty >= 8);
    (void)share(&l, vectors, N);
    (void)share(&l, others, DIM);
    dip_lists_fini(&l);
    free(vectors), free(others);
}

/* Copied centroids with their groups are what was trained, and assign alike. */
static void a_copy_is_the_same(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 12, LISTS = 300 };
    float *vectors = support_vectors(N, DIM, 6, 0, 120);
    dip_lists l, copy;
    uint32_t one[N], other[N];
    assert_ok(train(&l, vectors, N, DIM, LISTS, 3));
    assert_ok(dip_lists_copy(&copy, l.centroids, LISTS, DIM, l.group_first, l.groups));
    assert_int_equal(copy.groups, l.groups);
    assert_memory_equal(copy.group_first, l.group_first, (l.groups + 1) * sizeof(uint32_t));
    assert_memory_equal(copy.group_centroids, l.group_centroids, l.groups * DIM * sizeof(float));
    assert_ok(dip_lists_assign(&l, vectors, N, one));
    assert_ok(dip_lists_assign(&copy, vectors, N, other));
    assert_memory_equal(one, other, sizeof one);
    dip_lists_fini(&l);
    dip_lists_fini(&copy);
    free(vectors);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    enum { N = 5000, DIM = 19, LISTS = 300 };
    float *vectors = support_vectors(N, DIM, 8, 0, 99);
    dip_lists one, many;
    dip_threads_set(1);
    assert_ok(train(&one, vectors, N, DIM, LISTS, 4));
    dip_threads_set(3);
    assert_ok(train(&many, vectors, N, DIM, LISTS, 4));
    dip_threads_set(0);
    assert_memory_equal(one.centroids, many.centroids, LISTS * DIM * sizeof(float));
    assert_memory_equal(one.group_first, many.group_first, (one.groups + 1) * sizeof(uint32_t));
    dip_lists_fini(&one);
    dip_lists_fini(&many);
    free(vectors);
}

/* Training is the same whatever the vectors are that it holds out; a set that has none to spare is used whole. */
static void some_vectors_are_held_out(void **state)
{
    (void)state;
    enum { N = 4000, DIM = 16, LISTS = 100 };
    float *vectors = support_vectors(N, DIM, 8, 0, 99), *other = support_vectors(N, DIM, 9, 0, 99);
    float *mixed = malloc((size_t)N * DIM * sizeof *mixed);
    size_t out = 0;
    for (size_t i = 0; i < N; i++) {
        out += dip_index_holds_out(i);
        memcpy(mixed + i * DIM, (dip_index_holds_out(i) ? other : vectors) + i * DIM,
               DIM * sizeof *mixed);
    }
    assert_in_range(out, N / 8 - N / 40, N / 8 + N / 40);
    for (size_t lists = LISTS; lists <= 4 * LISTS; lists *= 4) {
        dip_lists a, b;
        assert_ok(train(&a, vectors, N, DIM, lists, 4));
        assert_ok(train(&b, mixed, N, DIM, lists, 4));
        bool same = !memcmp(a.centroids, b.centroids, lists * DIM * sizeof(float));
        assert_int_equal(same, lists == LISTS);
        dip_lists_fini(&a);
        dip_lists_fini(&b);
    }
    free(vectors), free(other), free(mixed);
}

/* Among lists of one group every instruction set finds the nearest, the lower-numbered of equal ones. */
static void every_body_finds_the_nearest(void **state)
{
    (void)state;
    enum { N = 2100, DIM = 71, LISTS = 333 };
    static const char *const switches[] = {NULL, "DIP_NO_AMX", "DIP_NO_AVX512BF16", "DIP_NO_AVX512",
                                           "DIP_NO_AVX2"};
    float *vectors = support_vectors(N, DIM, 4, 0, 60);
    float *centroids = support_vectors(LISTS, DIM, 4, 1, 60);
    memcpy(centroids + 300 * DIM, centroids, DIM * sizeof *centroids);
    dip_lists l;
    uint32_t nearest[N], again[N];
    assert_ok(dip_lists_copy(&l, centroids, LISTS, DIM, NULL, 0));
    for (size_t s = 0; s < sizeof switches / sizeof *switches; s++) {
        if (switches[s]) setenv(switches[s], "1", 1);
        dip_cpu_refresh();
        assert_ok(dip_lists_assign(&l, vectors, N, s ? again : nearest));
        if (s) assert_memory_equal(again, nearest, sizeof nearest);
    }
    for (size_t s = 1; s < sizeof switches / sizeof *switches; s++) unsetenv(switches[s]);
    dip_cpu_refresh();
    size_t right = 0;
    for (size_t i = 0; i < N; i++) {
        assert_int_not_equal(nearest[i], 300);
        right += nearest[i] == nearest_of(&l, vectors + i * DIM);
    }
    assert_true(right >= N - 2); /* of costs that only double tells apart */
    dip_lists_fini(&l);
    free(vectors), free(centroids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_find_their_lists),
        cmocka_unit_test(a_list_for_every_vector),
        cmocka_unit_test(groups_without_lists_are_passed_over),
        cmocka_unit_test(a_copy_is_the_same),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(some_vectors_are_held_out),
        cmocka_unit_test(every_body_finds_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
