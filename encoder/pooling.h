/**
 * Pooling of an image's activations, (pixels, channels) after a ReLU, to one value a channel: their mean, or the
 * generalised mean (mean x^3)^(1/3), which heeds what is strong anywhere. [Radenovic et al., TPAMI 2019]
 */
#ifndef ENCODER_POOLING_H
#define ENCODER_POOLING_H

#include "encoder/kernel.h"
#include "encoder/spec.h"

typedef struct dip_pooling_job {
    const dip_loops *loops;
    dip_pooling kind;
    size_t pixels, channels; /* channels: a multiple of 32 */
} dip_pooling_job;

void dip_pooling_forward(const dip_pooling_job *job, const dip_bf16 *in, float *out);

/** What the backward pass reads: `in` and `out` of the forward pass and the gradient of `out`. */
typedef struct dip_pooling_slope {
    const dip_bf16 *in;
    const float *out, *gradient;
} dip_pooling_slope;

/** Writes the gradient of `in` or, with `add`, adds it to what is there. */
void dip_pooling_backward(const dip_pooling_job *job, const dip_pooling_slope *slope, bool add,
                          dip_bf16 *to);

#endif
