/* Adapter to OpenBLAS; see blas.h. */
#include "index/blas.h"

#include "index/faiss_ext.h"

#include <cblas.h>

void dip_blas_products(const float *a, size_t m, const float *b, size_t n, size_t dim,
                       float *scores, size_t stride)
{
    int before = dip_omp_alone();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n, (blasint)dim, 1, a,
                (blasint)dim, b, (blasint)dim, 0, scores, (blasint)stride);
    dip_omp_restore(before);
}
