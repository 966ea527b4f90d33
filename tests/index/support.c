#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "tests/scratch.h"

#include <math.h>

/* The loops of this file are only there to compare with; a sanitizer would spend its time in them. */
#define PLAIN \
    __attribute__((no_sanitize("thread"), no_sanitize("address"), no_sanitize("undefined")))

PLAIN static void normalise(float *v, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++) sum += (double)v[j] * v[j];
    float scale = (float)(1 / sqrt(sum));
    for (size_t j = 0; j < dim; j++) v[j] *= scale;
}

/* Uniform with the variance of a normal draw: three times as fast, and as good for this. */
static float draw(dip_rng *rng) { return (float)(dip_rng_uniform(rng) * 2 - 1) * 1.7320508F; }

PLAIN float *support_vectors(size_t n, size_t dim, uint64_t seed, uint64_t part, size_t clusters)
{
    float *centres = malloc(clusters * dim * sizeof *centres);
    float *vectors = malloc((n + 1) * dim * sizeof *vectors);
    assert_non_null(centres);
    assert_non_null(vectors);
    dip_rng rng;
    dip_rng_init(&rng, seed, 1000);
    for (size_t i = 0; i < clusters * dim; i++) centres[i] = draw(&rng);
    dip_rng_init(&rng, seed, part);
    for (size_t i = 0; i < n; i++) {
        const float *centre = centres + dip_rng_below(&rng, (uint32_t)clusters) * dim;
        for (size_t j = 0; j < dim; j++) vectors[i * dim + j] = centre[j] + 0.5F * draw(&rng);
        normalise(vectors + i * dim, dim);
    }
    free(centres);
    return vectors;
}

uint64_t *support_ids(size_t n)
{
    uint64_t *ids = malloc((n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++) ids[i] = 10 + 3 * i;
    return ids;
}

char *scratch;

char *support_folder(void) { return scratch_folder("index"); }

void support_drop(char *folder)
{
    assert_ok(dip_file_remove(folder));
    free(folder);
}

int support_setup(void **state)
{
    (void)state;
    scratch = support_folder();
    return 0;
}

int support_teardown(void **state)
{
    (void)state;
    dip_threads_set(0);
    support_drop(scratch);
    return 0;
}

const char *support_path(const char *folder, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

char *support_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    *length = (size_t)size;
    return bytes;
}

void support_write(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

typedef struct scored {
    double score;
    uint64_t id;
} scored;

static int best_first(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

PLAIN static double product(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++) sum += (double)a[j] * b[j];
    return sum;
}

/* Puts `one` into the best k of a sorted list; returns the new length. */
static size_t insert(scored *best, size_t n, size_t k, scored one)
{
    if (n == k && best_first(&one, &best[n - 1]) > 0) return n;
    size_t at = n < k ? n++ : n - 1;
    for (; at > 0 && best_first(&one, &best[at - 1]) < 0; at--) best[at] = best[at - 1];
    best[at] = one;
    return n;
}

void support_search(const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                    const float *queries, size_t nq, size_t k, bool (*keep)(uint64_t id),
                    uint64_t *hits, double *scores)
{
    scored *best = malloc((k + 1) * sizeof *best);
    assert_non_null(best);
    for (size_t q = 0; q < nq; q++) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++)
            if (!keep || keep(ids[i]))
                m = insert(best, m, k,
                           (scored){product(queries + q * dim, vectors + i * dim, dim), ids[i]});
        for (size_t j = 0; j < k; j++) {
            hits[q * k + j] = j < m ? best[j].id : DIP_NO_ID;
            if (scores) scores[q * k + j] = j < m ? best[j].score : -2;
        }
    }
    free(best);
}

static double score_of(const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                       const float *query, uint64_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && ids[low] == id ? product(query, vectors + low * dim, dim) : -3;
}

double support_recall(const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                      const float *queries, size_t nq, size_t k, const uint64_t *hits)
{
    uint64_t *truth = malloc(nq * k * sizeof *truth);
    double *scores = malloc(nq * k * sizeof *scores);
    assert_non_null(truth);
    assert_non_null(scores);
    support_search(vectors, ids, n, dim, queries, nq, k, NULL, truth, scores);
    size_t good = 0;
    for (size_t i = 0; i < nq * k; i++) {
        size_t q = i / k;
        double score = score_of(vectors, ids, n, dim, queries + q * dim, hits[i]);
        good += score >= scores[q * k + k - 1] - 1e-6;
    }
    free(truth);
    free(scores);
    return (double)good / (double)(nq * k);
}

dip_index *support_index(const char *folder, const char *name, dip_engine engine,
                         const float *vectors, const uint64_t *ids, size_t n, size_t dim)
{
    dip_index_recipe recipe = {.engine = engine};
    dip_index *index = NULL;
    assert_ok(dip_index_build(folder, name, &recipe, vectors, ids, n, dim, NULL));
    assert_ok(dip_index_open(&index, folder, name));
    return index;
}
