/**
 * Evaluation while training: fits the embedding to training pairs and encodes held-out ones; held.h measures those.
 *
 * It has an inference net of its own, with the input size that the model will have, so that what it measures is what
 * the model file will do.
 */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "encoder/embed.h"
#include "train/tile_cache.h"

typedef struct dip_evaluator dip_evaluator;

/** Everything is borrowed. `spec`: of the model, its input_px that of encoding. */
dip_status dip_evaluator_create(dip_evaluator **out, const dip_dataset *dataset,
                                const dip_tile_cache *cache, const dip_net_spec *spec,
                                const dip_embed_spec *embedding);
void dip_evaluator_destroy(dip_evaluator *evaluator);

/** Takes a net's weights and fits the embedding's constants to up to `tiles` training tiles a modality. */
dip_status dip_evaluator_take(dip_evaluator *evaluator, const dip_net *net, size_t tiles);

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
dip_status dip_evaluator_each(dip_evaluator *evaluator, dip_held_fn fn, void *context);

/** What dip_model_write() needs; borrowed. */
dip_net *dip_evaluator_net(dip_evaluator *evaluator);
dip_embedding *dip_evaluator_embedding(dip_evaluator *evaluator);

#endif
