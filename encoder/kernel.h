/**
 * The contract between the operators and the instruction sets: one block product and a few row loops.
 *
 * A *body* is one implementation of the contract. All bodies agree on the numbers: bfloat16 operands, exact
 * products, float32 sums. They differ in the order of summation inside a block and in speed, nothing else.
 *
 * The block product
 *
 *     C[32][32] (+)= sum over k of A[32][k] * B[k][32]
 *
 * walks k in *steps* of 32, and the steps in *segments*. A is read in place, rows at a fixed stride: 32 pixels
 * of an image whose channels run along k. B comes in *panels*, one a step: 32 values of k times 32 columns, laid
 * out [2][16][16][2] = [column half][k pair][column][k in pair], the operand layout of both the AMX and the
 * AVX-512 BF16 dot products. The halves need not follow each other.
 *
 * Of a half that is asked for, all 16 rows of C may be written and all 16 rows of A read.
 *
 * The int8 product is the same on bytes: a 16-bit word holds two values, so an image of C channels is one of C / 2
 * words, a step of 32 words is 64 of k, and a panel is [column half][16 of k / 4][16][4]. A is unsigned, B signed, C
 * int32 (in the memory of `c`). Sums are exact, and the finish of int8 blocks uses no fused arithmetic: all bodies
 * give the same bits.
 */
#ifndef ENCODER_KERNEL_H
#define ENCODER_KERNEL_H

#include "core/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t dip_bf16;

enum {
    DIP_BLOCK = 32,      /* side of a block, length of a step */
    DIP_HALF = 16,       /* rows of a tile, columns of a panel half */
    DIP_PANEL = 32 * 32, /* elements of a panel */
    DIP_TILE = 16 * 32,  /* elements of a tile: half a panel, or 16 rows of A */
    DIP_NO_ARGMAX = 255, /* max pool: no input was positive */
    DIP_POOL_SIDE = 3,   /* max pool: 3x3 windows, stride 2, one pixel of padding */
};

static inline float dip_bf16_float(dip_bf16 value)
{
    uint32_t word = (uint32_t)value << 16;
    float result;
    memcpy(&result, &word, sizeof result);
    return result;
}

/** Rounds to nearest even; a NaN stays one. */
static inline dip_bf16 dip_bf16_round(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    uint32_t rounded = (word + 0x7fff + (word >> 16 & 1)) >> 16, quiet = word >> 16 | 0x40;
    return (dip_bf16)((word & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

/** Strides are in elements. */
typedef struct dip_product {
    const dip_bf16 *a[2]; /* first row of the upper and of the lower 16 rows */
    unsigned rows[2];     /* rows wanted of each half, 0..16; the upper half has at least 1 */
    ptrdiff_t a_row, a_step, a_segment;
    const dip_bf16 *b;                   /* left half of the first panel */
    ptrdiff_t b_half, b_step, b_segment; /* b_half: from the left half of a panel to the right */
    unsigned segments, steps;
    float *c; /* (32, 32), row r at c + r * c_row; the lower half begins at row 16 */
    ptrdiff_t c_row;
    bool accumulate; /* add to C instead of writing it */
} dip_product;

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
    /** A panel from 32 rows of 32 values (k runs over rows): rows[r] + offset. half: between its halves. */
    void (*panel)(const dip_bf16 *const *rows, size_t offset, dip_bf16 *panel, size_t half);
    /** 16x16 transpose of pairs of values. Rows of source at `stride` elements, of target at 32. */
    void (*transpose)(const dip_bf16 *source, size_t stride, dip_bf16 *target);
    void (*round)(const float *in, dip_bf16 *out, size_t n);
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
    const char *name;
    bool (*usable)(const dip_cpu *cpu);
    /** Around a region of products, on the thread that runs it. */
    void (*enter)(void);
    void (*leave)(void);
    void (*product)(const dip_product *product);
    void (*product8)(const dip_product *product);
    const dip_loops *loops;
} dip_kernel;

/** The fastest body that this processor (and the switches of core/cpu.h) allows. */
const dip_kernel *dip_kernel_get(void);

/** All bodies of this build, fastest first; `position` from 0, NULL past the end. */
const dip_kernel *dip_kernel_at(size_t position);

/* The bodies; ask `usable` before calling into one. */
extern const dip_kernel dip_kernel_amx, dip_kernel_avx512bf16, dip_kernel_avx512vnni,
    dip_kernel_avx512, dip_kernel_avx2, dip_kernel_plain;
extern const dip_loops dip_loops_avx512bf16, dip_loops_avx512, dip_loops_avx2, dip_loops_plain;

#endif
