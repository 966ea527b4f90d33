/**
 * Which training pairs come together in a batch, and in which order.
 *
 * A batch is of one combination of modalities; the pairs that do not fill a last batch of an epoch sit that epoch out. What
 * an epoch looks like follows from seed and epoch alone.
 */
#ifndef TRAIN_PLAN_H
#define TRAIN_PLAN_H

#include "train/dataset.h"

/** At step s of an epoch comes batch b = turn[s]: the pairs order[start[b]] .. order[start[b] + length[b] - 1]. */
typedef struct dip_plan {
    uint32_t *order;  /* positions in dataset->train, combination after combination */
    uint32_t *length; /* of each batch */
    uint32_t *start;
    uint32_t *turn;
    size_t steps; /* an epoch */
} dip_plan;

/** Batches of `batch` pairs, or of all that a combination has. DIP_ENOENT: no combination has two pairs. */
dip_status dip_plan_make(dip_plan *plan, const dip_dataset *dataset, size_t batch);
void dip_plan_fini(dip_plan *plan);
/** Sets the order of an epoch. */
void dip_plan_shuffle(dip_plan *plan, const dip_dataset *dataset, uint64_t seed, uint64_t epoch);

#endif
