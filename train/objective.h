/** The sum of the losses that the options ask for, with their weights and ramps. */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "train/options.h"
#include "train/queue.h"

typedef struct dip_objective dip_objective;

/**
 * The options are borrowed. For up to options->batch pairs a batch, of some two of the modalities; dim: of each output,
 * 0 if there is none.
 */
dip_status dip_objective_create(dip_objective **out, const dip_train_options *options,
                                size_t modalities, const size_t dim[DIP_OUTPUTS]);
void dip_objective_destroy(dip_objective *objective);

/** Network outputs of a batch, [0] and [1] the two modalities, and the gradients that reach them. */
typedef struct dip_outputs {
    size_t n;
    uint32_t modality[2];
    const uint32_t *pair; /* (n) positions in the training pairs */
    float *value[2][DIP_OUTPUTS], *gradient[2][DIP_OUTPUTS]; /* NULL: the net has no such output */
} dip_outputs;

typedef struct dip_loss_values {
    double total, mim, layout, soft, mde, msp, sigreg; /* the parts without their weights */
} dip_loss_values;

/** Where the run is: decides ramps and starts, and what is drawn. */
typedef struct dip_when {
    uint64_t epoch, epochs;
    uint64_t step; /* of the run */
} dip_when;

/** Whether any loss has a gradient for that output; if not, it stays 0. */
bool dip_objective_uses(const dip_objective *objective, dip_output output);

/** Past pairs that losses look at, part of what a checkpoint keeps; NULL: there are none. */
dip_queue *dip_objective_queue(const dip_objective *objective);

/** Sets the gradients (cleared first) and the values; then the batch goes into the queue. */
void dip_objective_run(dip_objective *objective, const dip_when *when, const dip_outputs *outputs,
                       dip_loss_values *values);

#endif
