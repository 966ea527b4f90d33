/**
 * Embeddings in fewer bytes: fewer dimensions, int8, or one bit a dimension.
 *
 * Fewer dimensions: the directions in which the vectors learned from have the largest sums of squares (PCA about the
 * origin), so that dot products change least. int8: each vector scaled so that its largest component is 127, and
 * rounded. Sign: each vector less its modality's mean, turned at random, one bit a component; the cosine of two
 * such vectors is 1 - 2 / dims times the number of bits that differ. What comes out is what a search would compare:
 * the packed vector's values as float32, brought to unit norm. Results do not depend on the number of threads.
 */
#ifndef INDEX_COMPACT_H
#define INDEX_COMPACT_H

#include "core/status.h"

#include <stddef.h>

typedef enum dip_compact_form {
    DIP_COMPACT_FLOAT, /* float16, as archives store embeddings */
    DIP_COMPACT_INT8,
    DIP_COMPACT_SIGN,
} dip_compact_form;

typedef struct dip_compact dip_compact;

/**
 * Learns from n unit vectors (n, dim), row-major, a form of `dims` dimensions; dims 0: as many as they have.
 * Expected failure: DIP_EINVAL (dims is more than dim; fewer than dims vectors).
 */
dip_status dip_compact_create(dip_compact **out, dip_compact_form form, const float *vectors,
                              size_t n, size_t dim, size_t dims);
void dip_compact_destroy(dip_compact *compact);

size_t dip_compact_dims(const dip_compact *compact);
/** Of one packed vector. */
size_t dip_compact_bytes(const dip_compact *compact);

/**
 * Packs vectors (n, dim) of one modality and unpacks them into `out` (n, dims). `mean` (dim) is the mean of the
 * modality's vectors; only the form sign looks at it. One call a time.
 */
dip_status dip_compact_apply(const dip_compact *compact, const float *mean, const float *vectors,
                             size_t n, float *out);

#endif
