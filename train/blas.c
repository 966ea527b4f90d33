/*
 * Adapter of OpenBLAS; see blas.h. Its work is split by the number of threads, and with it the order of sums at the
 * edges of blocks; one thread a call keeps the numbers the same everywhere.
 */
#include "train/blas.h"

#include <cblas.h>

static void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, size_t m, size_t n, size_t k,
                    float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta,
                    float *c)
{
    int threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
    cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb,
                beta, c, (int)n);
    openblas_set_num_threads(threads);
}

void dip_blas_abt(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                  float beta, float *c)
{
    product(CblasNoTrans, CblasTrans, m, n, k, alpha, a, k, b, k, beta, c);
}

void dip_blas_ab(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                 float beta, float *c)
{
    product(CblasNoTrans, CblasNoTrans, m, n, k, alpha, a, k, b, n, beta, c);
}

void dip_blas_atb(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
                  float beta, float *c)
{
    product(CblasTrans, CblasNoTrans, m, n, k, alpha, a, m, b, n, beta, c);
}
