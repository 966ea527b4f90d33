/**
 * What a generation knows of each direction (modality of the probe -> modality of the hits): operating points, tuned with stored
 * embeddings as queries, and the calibration of scores.
 */
#ifndef SEARCH_DIRECTIONS_H
#define SEARCH_DIRECTIONS_H

#include "index/generation.h"
#include "search/stored.h"

/** One modality of the archive. */
typedef struct dip_part {
    const dip_modality *modality;
    dip_stored stored;
    uint64_t *places;      /* (stored.supply.n): of its tiles */
    size_t first, queries; /* its own among all queries */
    dip_truth truth;       /* of all queries, in this modality */
    dip_index *index;      /* the new one */
    const dip_index *old;  /* of the live generation, or NULL */
} dip_part;

/**
 * Chooses queries of all parts, (*nq, dim) into *queries, the caller's to free with dip_free_aligned(): up to 6,000 of a part, in an order
 * whose beginning is a sample of the whole. They are vectors that training left out, if there are enough of those.
 */
dip_status dip_parts_ask(dip_part *parts, size_t count, size_t dim, float **queries, size_t *nq);

/** Adds the operating points of one direction to the manifest, whose array has room. `to` has an index, and a truth that has seen all. */
dip_status dip_direction_tune(const dip_part *from, const dip_part *to, double target,
                              dip_manifest *manifest);

/** Adds the calibration of one direction, unless all tiles are of one place. The array has room. */
dip_status dip_direction_calibrate(const dip_part *from, const dip_part *to,
                                   dip_manifest *manifest);

#endif
