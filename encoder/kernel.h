/**
 * What the operators ask of an instruction set: the block product of core/product.h and a few row loops around it.
 *
 * The finish of int8 blocks uses no fused arithmetic: all bodies give the same bits.
 */
#ifndef ENCODER_KERNEL_H
#define ENCODER_KERNEL_H

#include "core/product.h"

enum {
    DIP_NO_ARGMAX = 255, /* max pool: no input was positive */
    DIP_POOL_SIDE = 3,   /* max pool: 3x3 windows, stride 2, one pixel of padding */
};

/** What happens to a block of a convolution's result on its way to memory. */
typedef enum dip_finish_kind {
    DIP_FINISH_STORE, /* out = c */
    DIP_FINISH_ADD,   /* out += c */
    DIP_FINISH_SUMS,  /* out = c; sums of c and of c^2 (batch norm forward) */
    DIP_FINISH_MASK,  /* out = g = c where scale * raw + shift > 0, else 0; sums of g and of g * raw
                         (backward through ReLU, and what batch norm's backward needs) */
    DIP_FINISH_BIAS,  /* out = c + shift (+ residual), ReLU if asked (batch norm folded) */
    DIP_FINISH_INT8 /* out = c * scale + shift (+ residual | + residual8 * unit8), ReLU if asked; c is of the
                         int8 product. With per_unit, out is u8: this many to 1, rounded, 0..255 */
} dip_finish_kind;

/** `raw`, `residual` have the shape of the output; `scale`, `shift` one value a channel. */
typedef struct dip_finish {
    dip_finish_kind kind;
    bool relu;
    const dip_bf16 *raw, *residual;
    const float *scale, *shift;
    const uint8_t *residual8;
    float unit8, per_unit;
} dip_finish;

/** One finished block: row r of `c` (32 floats each) goes to pixel[r] of `out`, channels column .. column+31. */
typedef struct dip_finish_block {
    const float *c;
    const unsigned *rows; /* [2], as in dip_product */
    const uint32_t *pixel;
    dip_bf16 *out; /* u8 if the finish makes such */
    size_t channels, column;
    float *sums; /* [2][32], added to */
} dip_finish_block;

/** out = affine(raw) [+ residual | + affine(raw2)], then ReLU if asked. Pixels of `channels` values. */
typedef struct dip_affine {
    const dip_bf16 *raw, *residual, *raw2;
    const float *scale, *shift, *scale2, *shift2;
    bool relu;
    dip_bf16 *out;
    size_t channels;
} dip_affine;

/** gradient is masked in place where out <= 0; sums: [1 + raws][channels], of g and of g * raw[i]; added to. */
typedef struct dip_mask {
    const dip_bf16 *out;
    const dip_bf16 *raw[2]; /* raw[1] may be NULL */
    dip_bf16 *gradient;
    float *sums;
    size_t channels;
} dip_mask;

/** Max pool of relu(scale * raw + shift), one image. side: of the raw image; pooled side: (side - 1) / 2 + 1. */
typedef struct dip_pool {
    const dip_bf16 *raw;
    const float *scale, *shift;
    size_t side, channels;
    dip_bf16 *out;
    uint8_t *argmax;          /* tap 0..8 of each output value, or DIP_NO_ARGMAX */
    const dip_bf16 *gradient; /* of out; backward */
    dip_bf16 *raw_gradient;   /* gradient reaching the affine map; backward */
    float *sums;              /* [2][channels], of g and of g * raw; backward, added to */
} dip_pool;

/** c (m, n) (+)= a (m, k) * b (k, n), float32; `a` has any strides. n is a multiple of 32. */
typedef struct dip_matmul {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    bool accumulate;
} dip_matmul;

/** The loops around the products; the same source compiled for each instruction set (kernel_loops.h). */
typedef struct dip_loops {
    void (*finish)(const dip_finish *finish, const dip_finish_block *block);
    /** out = in * per_unit, rounded, 0..255; n is a multiple of 32. */
    void (*round8)(const dip_bf16 *in, float per_unit, uint8_t *out, size_t n);
    void (*affine)(const dip_affine *affine, size_t first_pixel, size_t pixels);
    void (*mask)(const dip_mask *mask, size_t first_pixel, size_t pixels);
    /** out = k[0] * gradient + k[1] * raw + k[2]; k: [3][channels]. out may be gradient. */
    void (*norm_backward)(const dip_bf16 *gradient, const dip_bf16 *raw, const float *k,
                          dip_bf16 *out, size_t pixels, size_t channels);
    void (*pool)(const dip_pool *pool);
    void (*pool_backward)(const dip_pool *pool);
    /** Mean over pixels, and its gradient; `channels` is a multiple of 32. */
    void (*mean)(const dip_bf16 *in, size_t pixels, size_t channels, float *out);
    void (*mean_backward)(const float *gradient, size_t pixels, size_t channels, dip_bf16 *out);
    void (*matmul)(const dip_matmul *matmul);
} dip_loops;

typedef struct dip_kernel {
    const dip_product_body *product;
    const dip_loops *loops;
} dip_kernel;

/** Those of the body that dip_product_get() chooses. */
const dip_kernel *dip_kernel_get(void);

/** All of this build, fastest first; `position` from 0, NULL past the end. */
const dip_kernel *dip_kernel_at(size_t position);

/* The loops; ask the product's `usable` before calling into one. */
extern const dip_loops dip_loops_avx512bf16, dip_loops_avx512, dip_loops_avx2, dip_loops_plain;

#endif
