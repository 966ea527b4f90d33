/*
 * The native engine held to FAISS's index and both to exact search, over shapes that are easy to get wrong: odd and prime
 * dimensions, lists that are empty or hold one vector, equal vectors by the hundred, vectors along one axis.
 * ctest: no-tsan
 */
#include "tests/index/support.h"

#include "core/half.h"
#include "core/rng.h"
#include "index/faiss.h"
#include "index/native.h"

#include <math.h>

typedef enum kind { CLUSTERS, COPIES, FEW, SPIKE, AXES } kind;

typedef struct shape {
    size_t n, dim;
    uint32_t lists, codes; /* codes 0: as chosen */
    dip_refinement refinement;
    kind kind;
} shape;

static const shape shapes[] = {
    {64, 32, 1, 0, DIP_REFINE_INT8, CLUSTERS},     {65, 33, 3, 0, DIP_REFINE_HALF, CLUSTERS},
    {130, 37, 64, 0, DIP_REFINE_INT8, CLUSTERS},   {200, 131, 4, 0, DIP_REFINE_INT8, CLUSTERS},
    {150, 262, 2, 0, DIP_REFINE_HALF, CLUSTERS},   {150, 263, 2, 0, DIP_REFINE_INT8, CLUSTERS},
    {150, 1024, 16, 0, DIP_REFINE_INT8, CLUSTERS}, {130, 1022, 7, 0, DIP_REFINE_HALF, SPIKE},
    {128, 256, 5, 256, DIP_REFINE_INT8, CLUSTERS}, {300, 96, 300, 0, DIP_REFINE_INT8, CLUSTERS},
    {1000, 48, 300, 0, DIP_REFINE_INT8, COPIES},   {1000, 34, 256, 0, DIP_REFINE_HALF, FEW},
    {500, 50, 33, 0, DIP_REFINE_INT8, SPIKE},      {500, 45, 20, 0, DIP_REFINE_INT8, AXES},
};

enum { NQ = 8, K = 10, RANDOM_SHAPES = 4 };

static void shorten(float *v, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++) sum += (double)v[j] * (double)v[j];
    for (size_t j = 0; j < dim; j++) v[j] = (float)((double)v[j] / sqrt(sum));
}

static float *make_vectors(const shape *s, uint64_t seed, uint64_t part)
{
    dip_rng rng;
    dip_rng_init(&rng, seed, 77 + part);
    float *v = support_vectors(s->n, s->dim, seed, part, s->n / 40 + 1);
    for (size_t i = 0; i < s->n; i++) {
        float *one = v + i * s->dim;
        size_t other = dip_rng_below(&rng, s->kind == FEW ? 5 : 20);
        bool copy = s->kind == FEW || (s->kind == COPIES && dip_rng_below(&rng, 2));
        if (copy && other < i) memcpy(one, v + other * s->dim, s->dim * sizeof *v);
        if (s->kind == AXES) memset(one, 0, s->dim * sizeof *v);
        if (s->kind == AXES || s->kind == SPIKE)
            one[dip_rng_below(&rng, (uint32_t)s->dim)] = i % 2 ? 20 : -20;
        shorten(one, s->dim);
    }
    return v;
}

/* Both engines over the same vectors, with the same recipe. */
typedef struct pair {
    const shape *shape;
    float *vectors, *queries;
    uint64_t *ids;
    dip_index *native, *faiss;
} pair;

static dip_index *build(const pair *p, const char *name, dip_engine engine, uint64_t seed)
{
    const shape *s = p->shape;
    dip_index *index;
    dip_index_recipe recipe = {.engine = engine,
                               .lists = s->lists,
                               .code_count = s->codes,
                               .refinement = s->refinement,
                               .seed = seed};
    assert_ok(dip_index_build(scratch, name, &recipe, p->vectors, p->ids, s->n, s->dim, NULL));
    assert_ok(dip_index_open(&index, scratch, name));
    return index;
}

static pair make_pair(const shape *s, uint64_t seed)
{
    pair p = {.shape = s, .ids = support_ids(s->n)};
    p.vectors = make_vectors(s, seed, 0);
    p.queries = make_vectors(s, seed, 1); /* half of them stored vectors */
    memcpy(p.queries, p.vectors, NQ / 2 * s->dim * sizeof(float));
    p.native = build(&p, "n", DIP_ENGINE_NATIVE, seed);
    p.faiss = build(&p, "f", DIP_ENGINE_FAISS, seed);
    return p;
}

static void drop_pair(pair *p)
{
    dip_index_close(p->native);
    dip_index_close(p->faiss);
    free(p->vectors), free(p->queries), free(p->ids);
}

static const dip_segment *segment_of(const pair *p)
{
    return &((const dip_native *)p->native->state)->segment;
}

/* A row's list, and its place. */
static uint32_t list_of(const dip_segment *g, uint32_t row, uint32_t *place)
{
    uint32_t list;
    assert_ok(dip_segment_find(g, row, &list, place));
    return list;
}

/* The centroids, (lists, dim). */
static float *centroids_of(const dip_segment *g)
{
    size_t dim = g->shape.dim;
    float *out = malloc(g->shape.lists * dim * sizeof *out);
    int8_t *bytes = malloc(dim + 3);
    for (uint32_t l = 0; l < g->shape.lists; l++) {
        float scale = dip_segment_centroid(g, l, bytes);
        for (size_t j = 0; j < dim; j++) out[l * dim + j] = scale * (float)bytes[j];
    }
    free(bytes);
    return out;
}

static unsigned code_of(const dip_segment *g, size_t slot, size_t m)
{
    const uint8_t *block = g->codes + slot / DIP_NATIVE_BLOCK * dip_segment_block_bytes(&g->shape);
    return block[m / 2 * DIP_NATIVE_BLOCK + slot % DIP_NATIVE_BLOCK] >> (m % 2 * 4) & 15;
}

/* Every vector is in the same list with the same codes; returns the number of empty lists. */
static size_t compare_codes(const pair *p)
{
    const dip_segment *g = segment_of(p);
    const dip_faiss *f = p->faiss->state;
    dip_faiss_error error;
    size_t seen = 0, empty = 0, bytes = f->shape.code_bytes;
    int64_t *rows = malloc(p->shape->n * sizeof *rows);
    uint8_t *codes = malloc(p->shape->n * bytes);
    assert_int_equal(g->shape.code_count, f->shape.code_count);
    float *centroids = centroids_of(g);
    for (size_t i = 0; i < f->shape.lists * f->shape.dim; i++)
        assert_true(centroids[i] == f->shape.centroids[i]);
    for (size_t list = 0; list < f->shape.lists; list++) {
        size_t held;
        assert_int_equal(dip_faiss_list(f->index, list, &held, NULL, NULL, &error), 0);
        assert_true(held <= p->shape->n - seen);
        assert_int_equal(dip_faiss_list(f->index, list, &held, rows, codes, &error), 0);
        for (size_t i = 0; i < held; i++) {
            uint32_t place;
            assert_int_equal(list_of(g, (uint32_t)rows[i], &place), list);
            size_t slot = dip_segment_slot(g, (uint32_t)list, place);
            for (size_t m = 0; m < f->shape.code_count; m++)
                assert_int_equal(codes[i * bytes + m / 2] >> (m % 2 * 4) & 15, code_of(g, slot, m));
        }
        seen += held;
        empty += held == 0;
    }
    assert_int_equal(seen, p->shape->n);
    assert_int_not_equal(dip_faiss_list(f->index, f->shape.lists, &seen, NULL, NULL, &error), 0);
    free(rows), free(codes), free(centroids);
    return empty;
}

/* The widest step of the refinement; 0: float16. */
static double widest_step(const pair *p, const dip_index *index)
{
    const dip_segment *g = segment_of(p);
    double widest = 0;
    size_t stride = dip_segment_refine_bytes(&g->shape);
    if (index == p->faiss || g->shape.refinement == DIP_REFINE_HALF) return 0;
    for (size_t place = 0; place < g->shape.count; place++)
        widest = fmax(widest, (double)dip_scale_value(g->refinement[(place + 1) * stride - 1]));
    return widest;
}

/* How far a score may be from the truth: half a step a dimension, and the step itself is rounded. */
static double error_of(double step, const float *query, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++) sum += fabs((double)query[j]);
    return step > 0 ? .6 * step * sum + 1e-5 : 1e-3;
}

/* What native was asked for, and did not find since it refines no candidate that is far behind by its codes. */
static size_t asked, missed;

/*
 * All lists, all candidates: scores are true up to the error of the refinement, and hits those of exact search. FAISS's
 * candidates are all refined; of native's, those whose codes err by less than three times the usual.
 */
static void compare_with_truth(const pair *p, const dip_index *index, size_t k)
{
    const shape *s = p->shape;
    uint64_t *hits = malloc(NQ * k * sizeof *hits), *truth = malloc(NQ * k * sizeof *truth);
    float *scores = malloc(NQ * k * sizeof *scores);
    double *best = malloc(NQ * k * sizeof *best), step = widest_step(p, index);
    dip_index_params all = {s->lists, (uint32_t)s->n, 0};
    assert_ok(dip_index_search(index, p->queries, NQ, k, &all, NULL, 0, hits, scores));
    support_search(p->vectors, p->ids, s->n, s->dim, p->queries, NQ, k, NULL, truth, best);
    for (size_t i = 0; i < NQ * k; i++) {
        const float *query = p->queries + i / k * s->dim;
        double error = error_of(step, query, s->dim), sum = 0;
        assert_int_equal(hits[i] == DIP_NO_ID, i % k >= s->n);
        if (hits[i] == DIP_NO_ID) continue;
        const float *v = p->vectors + (hits[i] - 10) / 3 * s->dim;
        for (size_t j = 0; j < s->dim; j++) sum += (double)v[j] * (double)query[j];
        bool found = sum >= best[i] - 2 * error;
        asked += index == p->native;
        missed += index == p->native && !found;
        if (fabs(sum - (double)scores[i]) > error || (!found && index == p->faiss))
            fail_msg("hit %zu scores %.6f for %.6f, best %.6f, error %.6f", i, (double)scores[i],
                     sum, best[i], error);
        for (size_t j = i / k * k; j < i; j++) assert_int_not_equal(hits[j], hits[i]);
    }
    free(hits), free(truth), free(scores), free(best);
}

static void compare_all(const shape *s, uint64_t seed, size_t *empty)
{
    pair p = make_pair(s, seed);
    *empty += compare_codes(&p);
    size_t ks[] = {1, K, s->n + 3};
    for (size_t i = 0; i < (s->n < 300 ? 3 : 2); i++) {
        compare_with_truth(&p, p.native, ks[i]);
        compare_with_truth(&p, p.faiss, ks[i]);
    }
    drop_pair(&p);
}

static void same_codes_and_both_near_exact(void **state)
{
    (void)state;
    size_t empty = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) compare_all(&shapes[i], i, &empty);
    assert_true(empty > 0); /* the shapes have such lists */
    if (missed * 500 > asked) fail_msg("%zu of %zu were missed", missed, asked);
}

static void random_shapes_too(void **state)
{
    (void)state;
    size_t empty = 0;
    dip_rng rng;
    dip_rng_init(&rng, 4, 0);
    for (size_t i = 0; i < RANDOM_SHAPES; i++) {
        shape s = {.n = 64 + dip_rng_below(&rng, 250),
                   .dim = 32 + dip_rng_below(&rng, i % 2 ? 100 : 400),
                   .refinement = dip_rng_below(&rng, 2) ? DIP_REFINE_HALF : DIP_REFINE_INT8,
                   .kind = (kind)dip_rng_below(&rng, 5)};
        s.lists = 1 + dip_rng_below(&rng, (uint32_t)s.n / 4);
        compare_all(&s, 100 + i, &empty);
    }
    if (missed * 500 > asked) fail_msg("%zu of %zu were missed", missed, asked);
}

/* The vectors of the `probes` nearest lists, ascending by id; their number. */
static size_t probed_ids(const pair *p, const float *query, size_t probes, uint64_t *out)
{
    const dip_segment *g = segment_of(p);
    const shape *s = p->shape;
    double cost[256], bar = 0;
    float *centroids = centroids_of(g);
    for (size_t l = 0; l < s->lists; l++) {
        cost[l] = 0;
        for (size_t j = 0; j < s->dim; j++) {
            double d = (double)centroids[l * s->dim + j] - (double)query[j];
            cost[l] += d * d;
        }
    }
    for (size_t i = 0; i < probes; i++) { /* the next larger one, `probes` times */
        double next = INFINITY;
        for (size_t l = 0; l < s->lists; l++)
            if (cost[l] > bar && cost[l] < next) next = cost[l];
        bar = next;
    }
    size_t n = 0;
    uint32_t place;
    for (uint32_t row = 0; row < s->n; row++)
        if (cost[list_of(g, row, &place)] <= bar) out[n++] = p->ids[row];
    free(centroids);
    return n;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* As many hits as the probed lists hold vectors: then these are the hits, whatever their scores. */
static void candidates_are_those_of_the_nearest_lists(void **state)
{
    (void)state;
    shape s = {1500, 60, 50, 0, DIP_REFINE_INT8, CLUSTERS};
    pair p = make_pair(&s, 11);
    uint64_t *wanted = malloc(s.n * sizeof *wanted), *hits = malloc(s.n * sizeof *hits);
    float *scores = malloc(s.n * sizeof *scores);
    for (size_t i = 0; i < NQ * 3; i++) {
        const float *query = p.queries + i / 3 * s.dim;
        dip_index_params params = {(uint32_t)(1 + i % 3 * 4), 1, 0};
        size_t n = probed_ids(&p, query, params.nprobe, wanted);
        assert_true(n > 0);
        for (int engine = 0; engine < 2; engine++) {
            assert_ok(dip_index_search(engine ? p.native : p.faiss, query, 1, n, &params, NULL, 0,
                                       hits, scores));
            qsort(hits, n, sizeof *hits, by_value);
            assert_memory_equal(hits, wanted, n * sizeof *hits);
        }
    }
    free(wanted), free(hits), free(scores);
    drop_pair(&p);
}

static void few_vectors_are_searched_exactly(void **state)
{
    (void)state;
    for (size_t n = 1; n < DIP_FAISS_LEAST; n += 31) {
        shape s = {n, 40, 1, 0, DIP_REFINE_AUTO, CLUSTERS};
        float *vectors = make_vectors(&s, n, 0), score[3];
        uint64_t *ids = support_ids(n), hits[3];
        dip_index *index = support_index(scratch, "x", DIP_ENGINE_AUTO, vectors, ids, n, s.dim);
        assert_int_equal(dip_index_engine(index), DIP_ENGINE_EXACT);
        assert_ok(dip_index_search(index, vectors, 1, 3, NULL, NULL, 0, hits, score));
        assert_int_equal(hits[0], ids[0]);
        assert_int_equal(hits[2] == DIP_NO_ID, n < 3);
        dip_index_close(index);
        dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE};
        assert_fails(DIP_EINVAL, "too few",
                     dip_index_build(scratch, "y", &recipe, vectors, ids, n, s.dim, NULL));
        free(vectors), free(ids);
    }
}

static void impossible_codes_are_refused(void **state)
{
    (void)state;
    shape s = {100, 514, 2, 0, DIP_REFINE_INT8, CLUSTERS};
    float *vectors = make_vectors(&s, 1, 0);
    uint64_t *ids = support_ids(s.n);
    dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE, .code_count = 514};
    assert_fails(DIP_EINVAL, "at most 256",
                 dip_index_build(scratch, "z", &recipe, vectors, ids, s.n, s.dim, NULL));
    recipe.code_count = 100;
    assert_fails(DIP_EINVAL, "do not divide",
                 dip_index_build(scratch, "z", &recipe, vectors, ids, s.n, s.dim, NULL));
    free(vectors), free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_codes_and_both_near_exact),
        cmocka_unit_test(random_shapes_too),
        cmocka_unit_test(candidates_are_those_of_the_nearest_lists),
        cmocka_unit_test(few_vectors_are_searched_exactly),
        cmocka_unit_test(impossible_codes_are_refused),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
