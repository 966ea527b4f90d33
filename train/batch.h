/**
 * Batches of augmented pairs, made by background threads while earlier steps compute.
 *
 * What a batch holds depends on seed, epoch and position alone. A batch is of one combination of modalities; the pairs
 * that do not fill a last batch of an epoch sit that epoch out.
 */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H

#include "train/augment.h"
#include "train/tile_cache.h"

typedef struct dip_loader_options {
    uint64_t seed;
    size_t batch;
    uint32_t input_px;
    dip_augment augment;
    bool independent; /* a view of its own for each modality */
    size_t
        threads; /* that make batches; 0: one for each four of the pool. It does not change what they hold */
} dip_loader_options;

typedef struct dip_train_batch {
    size_t n;
    uint32_t modality[2];
    float *input[2]; /* (n, px, px, bands) */
    uint32_t *pair;  /* (n) positions in the data set's training pairs */
} dip_train_batch;

typedef struct dip_loader dip_loader;

/** Data set and cache are borrowed. */
dip_status dip_loader_create(dip_loader **out, const dip_dataset *dataset,
                             const dip_tile_cache *cache, const dip_loader_options *options);
void dip_loader_destroy(dip_loader *loader);

uint64_t dip_loader_steps(const dip_loader *loader); /* an epoch */

/** Begins to make batches from this step of this epoch on, epoch after epoch. */
dip_status dip_loader_start(dip_loader *loader, uint64_t epoch, uint64_t step);
/** The next batch, valid until the next call. Fails with what making it failed with. */
dip_status dip_loader_next(dip_loader *loader, const dip_train_batch **batch);
/** Seconds that dip_loader_next() has waited since dip_loader_start(). */
double dip_loader_waited(const dip_loader *loader);

#endif
