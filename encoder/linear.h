/** Linear layers of the heads, in float32: out = in * W^T + bias. */
#ifndef ENCODER_LINEAR_H
#define ENCODER_LINEAR_H

#include "encoder/workspace.h"

typedef struct dip_linear {
    uint32_t in, out;    /* multiples of 32 */
    size_t weight, bias; /* (out, in) and (out) in the flat parameter vector; bias SIZE_MAX: none */
    float *transposed;   /* (in, out), of the last dip_linear_refresh() */
} dip_linear;

void dip_linear_refresh(dip_linear *linear, const float *params);

/** in: (n, linear->in); out: (n, linear->out). */
void dip_linear_forward(const dip_workspace *workspace, const dip_linear *linear,
                        const float *params, const float *in, size_t n, bool relu, float *out);

/** Adds the gradients of weight and bias to grads. d_in: written, or NULL. */
void dip_linear_backward(const dip_workspace *workspace, const dip_linear *linear,
                         const float *params, float *grads, const float *in, const float *d_out,
                         size_t n, float *d_in);

#endif
