/** Backward pass of a convolution's weights: dW[out][k] = sum over pixels of dY[pixel][out] * X[pixel][k]. */
#ifndef ENCODER_CONV_WEIGHTS_H
#define ENCODER_CONV_WEIGHTS_H

#include "encoder/conv.h"

typedef struct dip_conv_weights_job {
    const dip_conv_pass *pass; /* the forward pass */
    const dip_bf16 *in;        /* what the forward pass read */
    const dip_bf16 *gradient;  /* of its result */
    size_t images;
    float *sums;  /* dip_conv_weights_sums() floats */
    float *grads; /* rows of dip_conv_row(); added to */
} dip_conv_weights_job;

void dip_conv_weights_run(const dip_workspace *workspace, const dip_conv_weights_job *job);

size_t dip_conv_weights_scratch(const dip_conv_pass *pass);
/** Floats of partial gradients; bounded, whatever the number of images or threads. */
size_t dip_conv_weights_sums(const dip_conv_pass *pass);

#endif
