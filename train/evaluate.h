/**
 * Evaluation while training: fits the embedding to training pairs and encodes held-out ones; held.h measures those.
 *
 * It has an inference net of its own, with the input size that the model will have, so that what it measures is what
 * the model file will do.
 */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "encoder/embed.h"
#include "train/held_pairs.h"
#include "train/tile_cache.h"

typedef struct dip_evaluator dip_evaluator;

/** Everything is borrowed. `spec`: of the model, its input_px that of encoding. */
dip_status dip_evaluator_create(dip_evaluator **out, const dip_dataset *dataset,
                                const dip_tile_cache *cache, const dip_net_spec *spec,
                                const dip_embed_spec *embedding);
void dip_evaluator_destroy(dip_evaluator *evaluator);

/** Takes a net's weights and fits the embedding's constants to up to `tiles` training tiles a modality. */
dip_status dip_evaluator_take(dip_evaluator *evaluator, const dip_net *net, size_t tiles);

/** The held-out pairs as the model would encode them; it uses the evaluator. */
dip_held_source dip_evaluator_source(dip_evaluator *evaluator);
/** True if the source has failed as the network's output was not finite, not as a tile was bad. */
bool dip_evaluator_diverged(const dip_evaluator *evaluator);

/** What dip_model_write() needs; borrowed. */
dip_net *dip_evaluator_net(dip_evaluator *evaluator);
dip_embedding *dip_evaluator_embedding(dip_evaluator *evaluator);

#endif
