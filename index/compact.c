/*
 * Compact embeddings; see compact.h. The linear map is FAISS's PCA, through its C API, on the calling thread alone.
 * FAISS takes the mean of what it learns from away; each vector is shown to it with both signs, which makes that mean 0.
 */
#include "index/compact.h"

#include "core/mem.h"
#include "index/faiss.h"

#include <faiss/c_api/VectorTransform_c.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

struct dip_compact {
    dip_compact_form form;
    size_t dim, dims;
    FaissVectorTransform *map; /* NULL: the vectors keep their components */
};

enum { BLOCK = 1024 };

static dip_status fail_map(void) { return dip_faiss_fail_c("learn", "a compact form"); }

/* Directions of the largest sums of squares, turned at random for signs, so that each bit tells as much. */
static dip_status learn_directions(dip_compact *c, const float *vectors, size_t n)
{
    size_t dim = c->dim;
    if (n < c->dims)
        return dip_fail(DIP_EINVAL,
                        "%zu dimensions cannot be learned from %zu vectors; ask for fewer", c->dims,
                        n);
    if (faiss_PCAMatrix_new_with(&c->map, (int)dim, (int)c->dims, 0, c->form == DIP_COMPACT_SIGN))
        return fail_map();
    float *both = dip_alloc(2 * n * dim * sizeof *both);
    if (!both) return DIP_ENOMEM;
    memcpy(both, vectors, n * dim * sizeof *both);
    for (size_t i = 0; i < n * dim; i++) both[n * dim + i] = -vectors[i];
    int failed = faiss_VectorTransform_train(c->map, (idx_t)(2 * n), both);
    dip_free(both);
    return failed ? fail_map() : DIP_OK;
}

static dip_status make_rotation(dip_compact *c)
{
    const float none = 0;
    if (faiss_RandomRotationMatrix_new_with(&c->map, (int)c->dim, (int)c->dim)) return fail_map();
    return faiss_VectorTransform_train(c->map, 1, &none) ? fail_map() : DIP_OK; /* looks at none */
}

static dip_status learn(dip_compact *c, const float *vectors, size_t n)
{
    dip_status status = DIP_OK;
    int before = dip_omp_alone();
    if (c->dims < c->dim)
        status = learn_directions(c, vectors, n);
    else if (c->form == DIP_COMPACT_SIGN)
        status = make_rotation(c);
    dip_omp_restore(before);
    return status;
}

dip_status dip_compact_create(dip_compact **out, dip_compact_form form, const float *vectors,
                              size_t n, size_t dim, size_t dims)
{
    if (dims > dim)
        return dip_fail(DIP_EINVAL, "the embeddings have %zu dimensions, not %zu", dim, dims);
    dip_compact *c = dip_calloc(1, sizeof *c);
    if (!c) return DIP_ENOMEM;
    *c = (dip_compact){.form = form, .dim = dim, .dims = dims ? dims : dim};
    dip_status status = learn(c, vectors, n);
    if (status)
        dip_compact_destroy(c);
    else
        *out = c;
    return status;
}

void dip_compact_destroy(dip_compact *compact)
{
    if (compact && compact->map) faiss_VectorTransform_free(compact->map);
    dip_free(compact);
}

size_t dip_compact_dims(const dip_compact *compact) { return compact->dims; }

size_t dip_compact_bytes(const dip_compact *compact)
{
    switch (compact->form) {
    case DIP_COMPACT_INT8: return compact->dims;
    case DIP_COMPACT_SIGN: return (compact->dims + 7) / 8;
    default: return 2 * compact->dims;
    }
}

/* ---- applying ---- */

static void round_to_int8(float *v, size_t dims)
{
    float largest = 0;
    for (size_t i = 0; i < dims; i++) largest = fmaxf(largest, fabsf(v[i]));
    if (!(largest > 0)) return;
    for (size_t i = 0; i < dims; i++) v[i] = rintf(v[i] * (127 / largest));
}

static void keep_signs(float *v, size_t dims)
{
    for (size_t i = 0; i < dims; i++) v[i] = v[i] < 0 ? -1 : 1;
}

static void to_unit(float *v, size_t dims)
{
    double squares = 0;
    for (size_t i = 0; i < dims; i++) squares += (double)v[i] * v[i];
    float factor = squares > 0 ? (float)(1 / sqrt(squares)) : 0;
    for (size_t i = 0; i < dims; i++) v[i] *= factor;
}

/* Up to BLOCK vectors; `centred` has room for them. */
static void apply_block(const dip_compact *c, const float *mean, const float *vectors, size_t n,
                        float *centred, float *out)
{
    memcpy(centred, vectors, n * c->dim * sizeof *centred);
    if (c->form == DIP_COMPACT_SIGN)
        for (size_t i = 0; i < n * c->dim; i++) centred[i] -= mean[i % c->dim];
    if (c->map)
        faiss_VectorTransform_apply_noalloc(c->map, (idx_t)n, centred, out);
    else
        memcpy(out, centred, n * c->dim * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        if (c->form == DIP_COMPACT_INT8) round_to_int8(out + i * c->dims, c->dims);
        if (c->form == DIP_COMPACT_SIGN) keep_signs(out + i * c->dims, c->dims);
        to_unit(out + i * c->dims, c->dims);
    }
}

dip_status dip_compact_apply(const dip_compact *compact, const float *mean, const float *vectors,
                             size_t n, float *out)
{
    float *centred = dip_alloc(BLOCK * compact->dim * sizeof *centred);
    if (!centred) return DIP_ENOMEM;
    int before = dip_omp_alone();
    for (size_t at = 0; at < n; at += BLOCK)
        apply_block(compact, mean, vectors + at * compact->dim, n - at < BLOCK ? n - at : BLOCK,
                    centred, out + at * compact->dims);
    dip_omp_restore(before);
    dip_free(centred);
    return DIP_OK;
}
