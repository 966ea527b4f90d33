/**
 * Batch norm as an affine map a channel: out = scale * raw + shift.
 *
 * The sums that it needs come out of the convolution's finish, so a norm never reads the activations itself.
 */
#ifndef ENCODER_NORM_H
#define ENCODER_NORM_H

#include <stddef.h>
#include <stdint.h>

typedef struct dip_norm {
    uint32_t channels;
    size_t weight, bias; /* first float of each in the flat parameter vector */
    float *running_mean, *running_var;
    float *scale, *shift;  /* the map in use */
    float *mean, *inv_std; /* of the last batch */
    float *slopes; /* (3, channels): d raw = slopes[0] * d out + slopes[1] * raw + slopes[2] */
} dip_norm;

/** Floats of one norm, and their division among its pointers. */
size_t dip_norm_floats(uint32_t channels);
void dip_norm_place(dip_norm *norm, float *memory);

/** sums: (2, channels) of raw and raw^2 over `count` pixels. Moves the running statistics by `momentum`. */
void dip_norm_use_batch(dip_norm *norm, const float *params, const double *sums, double count,
                        float momentum);
void dip_norm_use_running(dip_norm *norm, const float *params);

/**
 * sums: of g = d out and of g * raw, one value a channel each, over `count` pixels. Adds the gradients of weight
 * and bias to grads and sets `slopes`.
 */
void dip_norm_backward(dip_norm *norm, const float *params, float *grads, const double *sum,
                       const double *sum_raw, double count);

#endif
