/**
 * The lists of an inverted file: centroids, and groups of centroids that are near each other.
 *
 * Two levels cost a square root: k-means makes about sqrt(lists) groups of a sample, then each group's share of the lists
 * from the group's own part, then two rounds over all move every centroid to the mean of what is nearest to it. A
 * vector looks for its list among those of the few nearest groups.
 */
#ifndef INDEX_LISTS_H
#define INDEX_LISTS_H

#include "core/progress.h"
#include "index/supply.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_lists {
    size_t dim, lists, groups;
    float *
        centroids; /* (lists, dim), group after group; those trained here are scales times whole numbers to 127 */
    float *group_centroids; /* (groups, dim) */
    uint32_t *group_first;  /* (groups + 1) */
} dip_lists;

/**
 * Trains `lists` lists on a sample of the supply, which has at least so many vectors, without those that dip_index_holds_out()
 * names if enough are left. The result depends on the seed, not on
 * the number of threads. `name` is for messages. Expected failures: DIP_EINVAL (no unit vector), DIP_ECANCEL.
 */
dip_status dip_lists_train(dip_lists *out, const dip_supply *supply, size_t lists, uint64_t seed,
                           const dip_progress *progress, const char *name);
/**
 * Copies centroids that are there (lists, dim); group g begins at list first[g]. `first`: (groups + 1), or NULL: one group.
 */
dip_status dip_lists_copy(dip_lists *out, const float *centroids, size_t lists, size_t dim,
                          const uint32_t *first, size_t groups);
void dip_lists_fini(dip_lists *lists);

/**
 * The step in which a centroid's components are whole numbers from -127 to 127. That of a centroid made of such is its own, and
 * the products are exact.
 */
float dip_lists_scale(const float *centroid, size_t dim);

/** nearest[i]: the list of vector i. On all threads; the bits do not depend on their number. */
dip_status dip_lists_assign(const dip_lists *lists, const float *vectors, size_t n,
                            uint32_t *nearest);

#endif
