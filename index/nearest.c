/*
 * Nearest centroids; see nearest.h. Of |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2) the bracket is a score of exact search
 * with k = 1, whose rows are the centroids and whose queries are a block of vectors.
 */
#include "index/nearest.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/dot.h"
#include "index/scan.h"

enum { BLOCK = 2048 };

typedef struct work {
    const dip_scan *centroids;
    const float *vectors;
    size_t n;
    int64_t *nearest;
    float *distances;
} work;

static dip_status run_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const work *w = context;
    const size_t first = task * BLOCK, dim = w->centroids->dim;
    const size_t n = w->n - first < BLOCK ? w->n - first : BLOCK;
    const float *vectors = w->vectors + first * dim;
    uint64_t ids[BLOCK];
    float scores[BLOCK];
    dip_status status = dip_scan_run(w->centroids, vectors, n, 1, ids, scores);
    for (size_t i = 0; !status && i < n; i++) {
        const float *x = vectors + i * dim;
        w->nearest[first + i] = (int64_t)ids[i];
        if (!w->distances) continue;
        const float distance = dip_dot_get()(x, x, dim) - 2 * scores[i];
        w->distances[first + i] = distance > 0 ? distance : 0;
    }
    return status;
}

dip_status dip_nearest(const float *vectors, size_t n, const float *centroids, size_t k, size_t dim,
                       int64_t *nearest, float *distances)
{
    float *half_norms = dip_alloc(k * sizeof *half_norms);
    if (!half_norms) return DIP_ENOMEM;
    for (size_t c = 0; c < k; c++)
        half_norms[c] = dip_dot_get()(centroids + c * dim, centroids + c * dim, dim) / 2;
    const dip_scan scan = {.vectors = centroids, .n = k, .dim = dim, .offsets = half_norms};
    work w = {&scan, vectors, n, nearest, distances};
    dip_status status = dip_parallel_for((n + BLOCK - 1) / BLOCK, run_block, &w);
    dip_free(half_norms);
    return status;
}
