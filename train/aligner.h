/** What the steps of an alignment need, made once. Inside view of align.h. */
#ifndef TRAIN_ALIGNER_H
#define TRAIN_ALIGNER_H

#include "train/align.h"
#include "train/checkpoint.h"
#include "train/journal.h"
#include "train/objective.h"
#include "train/plan.h"

typedef struct dip_aligner {
    dip_align_options options; /* a copy, with what is the same for all alignments filled in */
    const dip_train_listener *listener;
    dip_train_result *result;
    const dip_vectors *vectors; /* one a modality of the data set */
    dip_run run;
    dip_dataset *dataset;
    uint32_t *row; /* (dataset->tile_count): of a tile's vector */
    dip_plan plan;
    uint64_t planned; /* the pass over the pairs that the plan is shuffled for */
    dip_heads *heads; /* that learn */
    dip_heads *model; /* with the weights that the model would have: dip_aligner_take() */
    float *grads, *average, *best; /* (param_count): as heads->params; of the best evaluation */
    dip_optimiser *optimiser;
    dip_objective *objective;
    dip_outputs outputs;
    float *x[2], *hidden[2], *d_hidden; /* (batch, widest input), (batch, hidden) */
    bool compared;                      /* soft targets compare inputs: outputs.h has them */
    float *scratch;                     /* a vector a thread of the pool */
    size_t widest;                      /* input of all modalities, padded */
    dip_journal journal;
    dip_cursor cursor;
    uint64_t steps, eval_every; /* in all; between evaluations */
    double began, last_norm;
    uint64_t began_at; /* steps that were done then */
} dip_aligner;

/** Mean and scale of each modality's inputs, from up to 65,536 training tiles, spread evenly; of heads and model. */
dip_status dip_aligner_measure(dip_aligner *aligner);

/**
 * Adds the gradients of a modality's parameters to `grads`. x, hidden: of dip_heads_forward(); dz: (n, embed_dim); d_hidden:
 * (n, spec.hidden), scratch, NULL if linear.
 */
void dip_heads_backward(const dip_heads *heads, size_t modality, const float *x,
                        const float *hidden, size_t n, const float *dz, float *d_hidden,
                        float *grads);

/** One step at the cursor, which moves on. DIP_EINVAL: it became unstable; says what to try. */
dip_status dip_aligner_step(dip_aligner *aligner, dip_loss_values *values);

/** Gives `model` the present weights: the moving average, or those that learn. */
void dip_aligner_take(dip_aligner *aligner);
/** The held-out pairs as `model` carries them over. */
dip_held_source dip_aligner_source(dip_aligner *aligner);

#endif
