/**
 * Evaluation while training: fits the embedding to training pairs and measures pair recall on held-out ones.
 *
 * It has an inference net of its own, with the input size that the model will have, so that what it measures is what
 * the model file will do.
 */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "encoder/embed.h"
#include "train/tile_cache.h"

enum { DIP_EVALUATE_K = 10 };

typedef struct dip_evaluator dip_evaluator;

/** Everything is borrowed. `spec`: of the model, its input_px that of encoding. */
dip_status dip_evaluator_create(dip_evaluator **out, const dip_dataset *dataset,
                                const dip_tile_cache *cache, const dip_net_spec *spec,
                                const dip_embed_spec *embedding);
void dip_evaluator_destroy(dip_evaluator *evaluator);

/** Takes a net's weights and fits the embedding's constants to up to `tiles` training tiles a modality. */
dip_status dip_evaluator_take(dip_evaluator *evaluator, const dip_net *net, size_t tiles);

/**
 * recall[0]: share of held-out pairs whose second tile is among the DIP_EVALUATE_K nearest of the first; recall[1]:
 * the other way round; the mean over the combinations of modalities. *pairs: how many were asked, at most 1,000 a
 * combination; 0 without held-out pairs, and then the recalls are 0.
 */
dip_status dip_evaluator_recall(dip_evaluator *evaluator, double recall[2], size_t *pairs);

/** What dip_model_write() needs; borrowed. */
dip_net *dip_evaluator_net(dip_evaluator *evaluator);
dip_embedding *dip_evaluator_embedding(dip_evaluator *evaluator);

#endif
