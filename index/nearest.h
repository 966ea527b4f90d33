/** The nearest centroid of many vectors: what k-means and filling the lists spend their time on. */
#ifndef INDEX_NEAREST_H
#define INDEX_NEAREST_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/**
 * nearest[i]: the centroid of the k (k, dim) nearest to vector i, the lower-numbered if two are; distances[i] (may be
 * NULL): the squared distance. On all threads; the bits do not depend on their number.
 */
dip_status dip_nearest(const float *vectors, size_t n, const float *centroids, size_t k, size_t dim,
                       int64_t *nearest, float *distances);

#endif
