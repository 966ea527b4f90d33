/**
 * OpenBLAS, one thread a call: work is cut into fixed blocks for our own pool, so that the shape of each product, and
 * with it every bit of the result, does not depend on the number of threads.
 */
#ifndef INDEX_BLAS_H
#define INDEX_BLAS_H

#include <stddef.h>

/** scores[i * stride + j] = a row i (m, dim) . b row j (n, dim). Any number of threads at once. */
void dip_blas_products(const float *a, size_t m, const float *b, size_t n, size_t dim,
                       float *scores, size_t stride);

#endif
