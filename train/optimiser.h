/**
 * AdamW on one flat vector, with gradient clipping, an exponential moving average, and the schedule of the rate.
 *
 * The vector is cut into pieces of fixed size; sums are kept one a piece and added in order, so that results do
 * not depend on the number of threads. [Loshchilov and Hutter, ICLR 2019]
 */
#ifndef TRAIN_OPTIMISER_H
#define TRAIN_OPTIMISER_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A stretch of the vector: one tensor. */
typedef struct dip_segment {
    size_t offset, count;
    bool decay; /* weights of convolutions and linear layers; not of norms, nor biases */
} dip_segment;

typedef struct dip_adamw {
    double weight_decay, beta1, beta2, epsilon;
    double clip; /* largest norm of the gradient; 0: no limit */
} dip_adamw;

typedef struct dip_optimiser dip_optimiser;

/** Segments must not overlap; what none of them covers is left alone. */
dip_status dip_optimiser_create(dip_optimiser **out, const dip_adamw *settings,
                                const dip_segment *segments, size_t segment_count,
                                size_t param_count);
void dip_optimiser_destroy(dip_optimiser *optimiser);

/** One step; returns the norm of the gradient before clipping. A norm that is not finite changes nothing. */
double dip_optimiser_step(dip_optimiser *optimiser, double rate, float *params, const float *grads);

/** First (0) or second (1) moments, param_count floats: for checkpoints, borrowed. */
float *dip_optimiser_moment(dip_optimiser *optimiser, int which);
size_t dip_optimiser_param_count(const dip_optimiser *optimiser);
uint64_t dip_optimiser_steps(const dip_optimiser *optimiser);
void dip_optimiser_set_steps(dip_optimiser *optimiser, uint64_t steps);

typedef enum dip_decay { DIP_DECAY_COSINE, DIP_DECAY_CONSTANT } dip_decay;

/** Rate of step `step` (from 0): linear from rate / warmup up to `rate` over `warmup` steps, then by `decay`. */
double dip_rate_at(double rate, dip_decay decay, uint64_t step, uint64_t warmup, uint64_t total);

/** Decay of the moving average after step `step` (from 0): it averages over few steps at first. */
double dip_average_decay(double decay, uint64_t step);
/** average = decay * average + (1 - decay) * values */
void dip_average_update(float *average, const float *values, size_t count, double decay);

#endif
