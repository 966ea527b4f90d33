/** The held-out pairs of a data set, encoded by whoever learns. */
#ifndef TRAIN_HELD_PAIRS_H
#define TRAIN_HELD_PAIRS_H

#include "train/dataset.h"

/** Who encodes tiles of a data set: positions in it to (n, dim), unit. */
typedef struct dip_held_source {
    const dip_dataset *dataset;
    size_t dim;
    dip_status (*encode)(void *context, uint32_t modality, const uint32_t *tiles, size_t n,
                         float *out);
    void *context;
} dip_held_source;

/** The held-out pairs of one combination of modalities, encoded: row i of both sides is pair i. */
typedef struct dip_held {
    const dip_dataset *dataset;
    uint32_t modality[2];
    size_t n, dim;
    const uint32_t *tiles[2]; /* (n): positions in the data set */
    const float *vectors[2];  /* (n, dim), unit */
} dip_held;

typedef dip_status (*dip_held_fn)(void *context, const dip_held *held);

/** Calls fn for each combination that has held-out pairs, with at most 1,000 of them; ends at its first failure. */
dip_status dip_held_each(const dip_held_source *source, dip_held_fn fn, void *context);

#endif
