/*
 * Exact search in batches and nearest centroids: bit for bit what dip_dot and a sort give, on every instruction set, for any
 * number of threads.
 */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/dot.h"
#include "index/nearest.h"
#include "index/reach.h"
#include "index/scan.h"

#include <math.h>

static const char *const switches[] = {"DIP_NO_AMX", "DIP_NO_AVX512BF16", "DIP_NO_AVX512VNNI",
                                       "DIP_NO_AVX512", "DIP_NO_AVX2"};
enum { SWITCHES = sizeof switches / sizeof *switches };

/* The first `off` instruction sets are switched off, fastest first. */
static void switch_off(size_t off)
{
    for (size_t i = 0; i < SWITCHES; i++)
        if (i < off)
            setenv(switches[i], "1", 1);
        else
            unsetenv(switches[i]);
    dip_cpu_refresh();
}

static int teardown(void **state)
{
    (void)state;
    dip_threads_set(0);
    switch_off(0);
    return 0;
}

typedef struct hit {
    float score;
    uint64_t id;
} hit;

static int better(const void *a, const void *b)
{
    const hit *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* By the book: all scores by dip_dot, sorted. */
static void book(const dip_scan *s, const float *queries, size_t nq, size_t k, uint64_t *ids,
                 float *scores)
{
    hit *hits = malloc(s->n * sizeof *hits);
    for (size_t q = 0; q < nq; q++) {
        size_t count = 0;
        for (size_t row = 0; row < s->n; row++) {
            if (s->allowed && !(s->allowed[row / 64] >> row % 64 & 1)) continue;
            float score = dip_dot_plain(queries + q * s->dim, s->vectors + row * s->dim, s->dim);
            if (s->offsets) score -= s->offsets[row];
            hits[count++] = (hit){score, s->ids ? s->ids[row] : row};
        }
        if (count) qsort(hits, count, sizeof *hits, better);
        for (size_t i = 0; i < k; i++) {
            ids[q * k + i] = i < count ? hits[i].id : DIP_NO_ID;
            scores[q * k + i] = i < count ? hits[i].score : -2;
        }
    }
    free(hits);
}

static void check(const dip_scan *s, const float *queries, size_t nq, size_t k, const char *what)
{
    const size_t entries = nq * k;
    uint64_t *want = malloc(entries * sizeof *want), *ids = malloc(entries * sizeof *ids);
    float *true_scores = malloc(entries * sizeof(float)), *scores = malloc(entries * sizeof(float));
    book(s, queries, nq, k, want, true_scores);
    for (unsigned threads = 1; threads <= 2; threads++) {
        dip_threads_set(threads);
        memset(ids, 0x55, entries * sizeof *ids);
        assert_ok(dip_scan_run(s, queries, nq, k, ids, scores));
        for (size_t i = 0; i < entries; i++)
            if (ids[i] != want[i] || memcmp(&scores[i], &true_scores[i], sizeof *scores) != 0)
                fail_msg(
                    "%s, n %zu, dim %zu, %zu queries, k %zu, %u threads: hit %zu of query %zu is "
                    "%llu at %.9g, must be %llu at %.9g",
                    what, s->n, s->dim, nq, k, threads, i % k, i / k, (unsigned long long)ids[i],
                    scores[i], (unsigned long long)want[i], true_scores[i]);
    }
    free(want), free(ids), free(true_scores), free(scores);
}

/* Rows of all lengths between 2^-6 and 2^6, a fifth of them copies of others. */
static void stretch(dip_rng *rng, float *vectors, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        const float length = exp2f((float)dip_rng_range(rng, -6, 6));
        if (i && dip_rng_below(rng, 5) == 0)
            memcpy(vectors + i * dim, vectors + dip_rng_below(rng, (uint32_t)i) * dim,
                   dim * sizeof *vectors);
        else
            for (size_t j = 0; j < dim; j++) vectors[i * dim + j] *= length;
    }
}

static void check_shape(dip_rng *rng, size_t n, size_t dim, size_t nq, size_t k)
{
    float *vectors = support_vectors(n, dim, dim, 0, n / 9 + 1);
    float *queries = support_vectors(nq, dim, dim, 1, n / 9 + 1);
    uint64_t *ids = support_ids(n), *allowed = calloc(n / 64 + 1, sizeof *allowed);
    float *offsets = malloc(n * sizeof *offsets);
    dip_scan scan = {.vectors = vectors, .ids = ids, .n = n, .dim = dim};
    check(&scan, queries, nq, k, "units");
    const uint32_t share = 1 + dip_rng_below(rng, 40);
    for (size_t i = 0; i < n; i++)
        if (dip_rng_below(rng, share) == 0) allowed[i / 64] |= (uint64_t)1 << i % 64;
    scan.allowed = allowed;
    check(&scan, queries, nq, k, "filtered");
    scan.allowed = NULL;
    scan.ids = NULL;
    stretch(rng, vectors, n, dim);
    check(&scan, queries, nq, k, "stretched");
    for (size_t i = 0; i < n; i++)
        offsets[i] = dip_dot_plain(vectors + i * dim, vectors + i * dim, dim) / 2;
    scan.offsets = offsets;
    stretch(rng, queries, nq, dim);
    check(&scan, queries, nq, k, "by distance");
    free(vectors), free(queries), free(ids), free(allowed), free(offsets);
}

static void gives_what_the_book_gives(void **state)
{
    (void)state;
    static const struct {
        size_t n, dim, nq, k;
    } cases[] = {{1, 1, 4, 1},      {1, 33, 1, 2},      {2, 7, 5, 3},       {31, 2, 4, 31},
                 {33, 31, 33, 5},   {512, 32, 64, 10},  {513, 65, 31, 7},   {1025, 129, 3, 4},
                 {2100, 96, 40, 1}, {700, 128, 9, 700}, {300, 1024, 37, 6}, {2049, 1023, 5, 10},
                 {40, 2000, 6, 9}};
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    for (size_t off = 0; off <= SWITCHES; off++) {
        switch_off(off);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
            check_shape(&rng, cases[c].n, cases[c].dim, cases[c].nq, cases[c].k);
    }
}

static void no_rows_give_no_hits(void **state)
{
    (void)state;
    const float queries[5 * 3] = {1, 0, 0};
    uint64_t ids[5 * 2];
    float scores[5 * 2];
    const dip_scan scan = {.dim = 3};
    assert_ok(dip_scan_run(&scan, queries, 5, 2, ids, scores));
    for (size_t i = 0; i < 10; i++) assert_true(ids[i] == DIP_NO_ID);
}

/*
 * The worst that rounding can do: all components are just short of, or just past, the middle between two values, so that
 * every rounding of a row goes the same way and scores move by the bound itself, in the order opposite to the true one.
 */
static void rounding_that_goes_one_way_hides_nothing(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 64, NQ = 6, K = 5 };
    const float middle = 1 + 1 / 256.0f, step = 1 / 8388608.0f;
    float *vectors = malloc(N * DIM * sizeof *vectors), queries[NQ * DIM];
    for (size_t i = 0; i < N; i++) /* the last ones are the best, and round down */
        for (size_t j = 0; j < DIM; j++)
            vectors[i * DIM + j] = i < N - 40 ? middle + step - (float)(i % 7) / 65536
                                              : middle - step * (float)(1 + i % 3);
    for (size_t i = 0; i < N - 40; i++) vectors[i * DIM] -= 1 / 1024.0f * (float)(i % 5 + 1);
    for (size_t j = 0; j < NQ * DIM; j++) queries[j] = j / DIM % 2 ? middle - step : middle + step;
    const dip_scan scan = {.vectors = vectors, .n = N, .dim = DIM};
    for (size_t off = 0; off <= SWITCHES; off++) {
        switch_off(off);
        check(&scan, queries, NQ, K, "one way");
    }
    free(vectors);
}

/* ---- nearest centroids ---- */

static void nearest_centroids_are_the_books(void **state)
{
    (void)state;
    static const struct {
        size_t n, k, dim;
    } cases[] = {{1, 1, 1}, {2, 5, 3}, {1030, 257, 64}, {2100, 100, 33}, {70, 3000, 128}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const size_t n = cases[c].n, k = cases[c].k, dim = cases[c].dim;
        float *x = support_vectors(n, dim, c, 1, k / 3 + 1), *y = support_vectors(k, dim, c, 0, k);
        if (k > 2) memcpy(y + 2 * dim, y, dim * sizeof *y); /* a tie */
        float *halves = malloc(k * sizeof *halves), *scores = malloc(n * sizeof *scores);
        float *distances = malloc(n * sizeof *distances);
        uint64_t *want = malloc(n * sizeof *want);
        int64_t *nearest = malloc(n * sizeof *nearest);
        for (size_t i = 0; i < k; i++) halves[i] = dip_dot_plain(y + i * dim, y + i * dim, dim) / 2;
        const dip_scan scan = {.vectors = y, .n = k, .dim = dim, .offsets = halves};
        book(&scan, x, n, 1, want, scores);
        for (size_t off = 0; off <= SWITCHES; off++) {
            switch_off(off);
            dip_threads_set(1 + off % 2);
            assert_ok(dip_nearest(x, n, y, k, dim, nearest, distances));
            for (size_t i = 0; i < n; i++) {
                const float *v = x + i * dim;
                const float distance = dip_dot_plain(v, v, dim) - 2 * scores[i];
                assert_int_equal(nearest[i], want[i]);
                assert_true(distances[i] == (distance > 0 ? distance : 0));
            }
        }
        free(x), free(y), free(halves), free(scores), free(distances), free(want), free(nearest);
    }
}

/* ---- the loops around the product ---- */

static const dip_reach *const tables[] = {&dip_reach_plain, &dip_reach_avx2, &dip_reach_avx512,
                                          &dip_reach_avx512bf16};

static size_t usable_tables(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    return cpu->avx512bf16 ? 4 : cpu->avx512 ? 3 : cpu->avx2 ? 2 : 1;
}

static void bounds_hold(void **state)
{
    (void)state;
    dip_rng rng;
    dip_rng_init(&rng, 2, 0);
    for (size_t dim = 1; dim < 1100; dim += 1 + dim / 3)
        for (size_t t = 0; t < usable_tables(); t++) {
            float in[1100], norm, error;
            dip_bf16 out[1120];
            double square = 0, changed = 0;
            for (size_t i = 0; i < dim; i++) in[i] = (float)dip_rng_normal(&rng);
            memset(out, 0xff, sizeof out);
            tables[t]->round(in, dim, out, &norm, &error);
            for (size_t i = 0; i < dim; i++) {
                assert_int_equal(out[i], dip_bf16_round(in[i]));
                const double change = (double)in[i] - dip_bf16_float(out[i]);
                square += (double)in[i] * in[i];
                changed += change * change;
            }
            for (size_t i = dim; i % DIP_BLOCK; i++) assert_int_equal(out[i], 0);
            assert_true(norm >= sqrt(square) && norm <= sqrt(square) * 1.001);
            assert_true(error >= sqrt(changed) && error <= sqrt(changed) * 1.001);
        }
}

static void marks_are_where_the_bar_is_reached(void **state)
{
    (void)state;
    dip_rng rng;
    dip_rng_init(&rng, 3, 0);
    float block[DIP_BLOCK * DIP_BLOCK], offsets[DIP_BLOCK], bars[DIP_BLOCK], high[DIP_BLOCK];
    for (size_t i = 0; i < DIP_BLOCK * DIP_BLOCK; i++) block[i] = (float)dip_rng_below(&rng, 9);
    for (size_t i = 0; i < DIP_BLOCK; i++) offsets[i] = (float)dip_rng_below(&rng, 3);
    for (size_t i = 0; i < DIP_BLOCK; i++) bars[i] = (float)dip_rng_below(&rng, 9);
    bars[3] = INFINITY, bars[4] = -INFINITY;
    for (size_t t = 0; t < usable_tables(); t++)
        for (size_t rows = 0; rows <= DIP_BLOCK; rows += 8) {
            uint32_t marks[DIP_BLOCK] = {0}, all = 0;
            uint32_t any = tables[t]->mark(block, rows, offsets, bars, marks);
            for (size_t r = 0; r < rows; r++)
                for (size_t c = 0; c < DIP_BLOCK; c++) {
                    const bool reached = block[r * DIP_BLOCK + c] - offsets[r] >= bars[c];
                    assert_int_equal(marks[r] >> c & 1, reached);
                    all |= (uint32_t)reached << c;
                }
            assert_int_equal(any, all);
            for (size_t c = 0; c < DIP_BLOCK; c++) high[c] = 9;
            assert_int_equal(tables[t]->mark(block, rows, offsets, high, marks), 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(gives_what_the_book_gives, teardown),
        cmocka_unit_test(no_rows_give_no_hits),
        cmocka_unit_test_teardown(rounding_that_goes_one_way_hides_nothing, teardown),
        cmocka_unit_test_teardown(nearest_centroids_are_the_books, teardown),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(marks_are_where_the_bar_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
