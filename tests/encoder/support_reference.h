/**
 * The operators once more, as plain loops in double: the truth that every body is held against.
 *
 * Inputs are bfloat16 or float values widened to double; nothing is rounded on the way. Images are NHWC and square.
 */
#ifndef TESTS_ENCODER_SUPPORT_REFERENCE_H
#define TESTS_ENCODER_SUPPORT_REFERENCE_H

#include "core/rng.h"
#include "encoder/conv.h"

#include <stdbool.h>

/** The bodies that can run here, AMX in software included; NULL past the end. */
const dip_kernel *body_at(size_t position);
extern const dip_product_body dip_product_amx_emulated;

/** Fresh values, standard normal; a buffer of exactly n values, so that a sanitizer sees its ends. */
dip_bf16 *random_bf16(dip_rng *rng, size_t n);
float *random_float(dip_rng *rng, size_t n);
double *zeros(size_t n);

/**
 * weights: rows of dip_conv_row() floats, rounded to bfloat16 when used. magnitude: sum of |products| of each result,
 * the scale of its rounding errors.
 */
void reference_conv(const dip_conv *conv, size_t images, const dip_bf16 *in, const float *weights,
                    double *out, double *magnitude);
void reference_conv_data(const dip_conv *conv, size_t images, const dip_bf16 *gradient,
                         const float *weights, double *in_gradient, double *magnitude);
void reference_conv_weights(const dip_conv *conv, size_t images, const dip_bf16 *in,
                            const dip_bf16 *gradient, double *weight_gradient, double *magnitude);

/** Position of the chosen input among side * side, or -1 where none is positive. */
double reference_pool(const dip_bf16 *raw, const float *scale, const float *shift, size_t side,
                      size_t channels, size_t row, size_t column, size_t channel, long *chosen);

/** |got - want| <= 2^-8 |want| (one rounding to bfloat16) + 2e-6 magnitude. */
bool near_bf16(dip_bf16 got, double want, double magnitude);
bool near_float(float got, double want, double magnitude);

#endif
