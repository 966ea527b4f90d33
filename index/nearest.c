/*
 * Nearest centroids; see nearest.h. |x - c|^2 = |x|^2 + |c|^2 - 2 x.c, the products by sgemm in fixed blocks of
 * vectors against fixed blocks of centroids; |c|^2/2 - x.c is what is compared.
 */
#include "index/nearest.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/blas.h"
#include "index/dot.h"

#include <float.h>

enum { VECTOR_BLOCK = 128, CENTROID_BLOCK = 512 };

typedef struct work {
    const float *vectors, *centroids;
    size_t n, k, dim;
    dip_dot_fn dot;
    float *half_norms; /* k */
    float *tiles;      /* (threads, VECTOR_BLOCK, CENTROID_BLOCK) */
    int64_t *nearest;
    float *distances;
} work;

/* The least of half_norms - products; sixteen running minima, which compilers make vectors of. */
static float least_cost(const float *half_norms, const float *products, size_t n)
{
    float least[16];
    size_t i = 0;
    for (size_t j = 0; j < 16; j++) least[j] = FLT_MAX;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) {
            float cost = half_norms[i + j] - products[i + j];
            least[j] = cost < least[j] ? cost : least[j];
        }
    for (; i < n; i++) {
        float cost = half_norms[i] - products[i];
        least[0] = cost < least[0] ? cost : least[0];
    }
    for (size_t j = 1; j < 16; j++) least[0] = least[j] < least[0] ? least[j] : least[0];
    return least[0];
}

static dip_status run_block(void *context, size_t task, unsigned worker)
{
    const work *w = context;
    size_t first = task * VECTOR_BLOCK;
    size_t rows = w->n - first < VECTOR_BLOCK ? w->n - first : VECTOR_BLOCK;
    float *tile = w->tiles + (size_t)worker * VECTOR_BLOCK * CENTROID_BLOCK;
    float best[VECTOR_BLOCK];
    size_t where[VECTOR_BLOCK] = {0};
    for (size_t i = 0; i < rows; i++) best[i] = FLT_MAX;
    for (size_t c = 0; c < w->k; c += CENTROID_BLOCK) {
        size_t columns = w->k - c < CENTROID_BLOCK ? w->k - c : CENTROID_BLOCK;
        dip_blas_products(w->vectors + first * w->dim, rows, w->centroids + c * w->dim, columns,
                          w->dim, tile, CENTROID_BLOCK);
        for (size_t i = 0; i < rows; i++) {
            const float *products = tile + i * CENTROID_BLOCK;
            float cost = least_cost(w->half_norms + c, products, columns);
            if (cost >= best[i]) continue;
            size_t j = 0;
            while (j + 1 < columns && w->half_norms[c + j] - products[j] != cost) j++;
            best[i] = cost;
            where[i] = c + j;
        }
    }
    for (size_t i = 0; i < rows; i++) {
        const float *x = w->vectors + (first + i) * w->dim;
        w->nearest[first + i] = (int64_t)where[i];
        if (!w->distances) continue;
        float distance = w->dot(x, x, w->dim) + 2 * best[i];
        w->distances[first + i] = distance > 0 ? distance : 0;
    }
    return DIP_OK;
}

dip_status dip_nearest(const float *vectors, size_t n, const float *centroids, size_t k, size_t dim,
                       int64_t *nearest, float *distances)
{
    work w = {.vectors = vectors,
              .centroids = centroids,
              .n = n,
              .k = k,
              .dim = dim,
              .dot = dip_dot_get(),
              .nearest = nearest,
              .distances = distances};
    dip_status status = DIP_ENOMEM;
    w.half_norms = dip_alloc(k * sizeof *w.half_norms);
    w.tiles = dip_alloc(dip_threads() * sizeof(float) * VECTOR_BLOCK * CENTROID_BLOCK);
    if (w.half_norms && w.tiles) {
        for (size_t c = 0; c < k; c++)
            w.half_norms[c] = w.dot(centroids + c * dim, centroids + c * dim, dim) / 2;
        status = dip_parallel_for((n + VECTOR_BLOCK - 1) / VECTOR_BLOCK, run_block, &w);
    }
    dip_free(w.half_norms);
    dip_free(w.tiles);
    return status;
}
