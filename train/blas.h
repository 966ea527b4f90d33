/**
 * Float32 matrix products through OpenBLAS: the only file of this folder that sees cblas.h.
 *
 * All matrices are row-major and dense. The products run on the calling thread alone, so that they do not depend
 * on the number of threads.
 */
#ifndef TRAIN_BLAS_H
#define TRAIN_BLAS_H

#include <stddef.h>

/** c = alpha a b' + beta c: a (m, k), b (n, k), c (m, n). */
void dip_blas_abt(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                  float beta, float *c);
/** c = alpha a b + beta c: a (m, k), b (k, n), c (m, n). */
void dip_blas_ab(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                 float beta, float *c);
/** c = alpha a' b + beta c: a (k, m), b (k, n), c (m, n). */
void dip_blas_atb(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                  float beta, float *c);

#endif
