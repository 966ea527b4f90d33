/**
 * Do the nearest tiles show the same kind of land? Measured on held-out tiles with labels, which training does not use.
 */
#ifndef TRAIN_HELD_LABELS_H
#define TRAIN_HELD_LABELS_H

#include "train/held_pairs.h"
#include "train/metrics.h"

enum { DIP_LABEL_DIRECTIONS = 4 };

/** p@10 (metrics.h) of one direction, of the tiles with a primary label; `any`: p_any@10, of those with labels. */
typedef struct dip_label_precision {
    uint32_t from, to; /* modalities */
    dip_metric primary, any;
} dip_label_precision;

/**
 * All four directions of a combination: across both ways, and inside each modality. *count gets how many of them have
 * labels; `out` holds DIP_LABEL_DIRECTIONS.
 */
dip_status dip_held_label_precision(const dip_held *held, dip_label_precision *out, size_t *count);

#endif
