/**
 * The block product: one contract, a body for each instruction set.
 *
 * All bodies agree on the numbers: bfloat16 operands, exact products, float32 sums. They differ in the order of
 * summation inside a block and in speed, nothing else.
 *
 *     C[32][32] (+)= sum over k of A[32][k] * B[k][32]
 *
 * walks k in *steps* of 32, and the steps in *segments*. A is read in place, rows at a fixed stride: 32 pixels
 * of an image whose channels run along k, 32 vectors whose components do. B comes in *panels*, one a step: 32 values of
 * k times 32 columns, laid out [2][16][16][2] = [column half][k pair][column][k in pair], the operand layout of both the
 * AMX and the AVX-512 BF16 dot products. The halves need not follow each other.
 *
 * Of a half that is asked for, all 16 rows of C may be written and all 16 rows of A read.
 *
 * The int8 product is the same on bytes: a 16-bit word holds two values, so an image of C channels is one of C / 2
 * words, a step of 32 words is 64 of k, and a panel is [column half][16 of k / 4][16][4]. A is unsigned, B signed, C
 * int32 (in the memory of `c`). Sums are exact: all bodies give the same bits.
 */
#ifndef CORE_PRODUCT_H
#define CORE_PRODUCT_H

#include "core/bf16.h"
#include "core/cpu.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DIP_BLOCK = 32,      /* side of a block, length of a step */
    DIP_HALF = 16,       /* rows of a tile, columns of a panel half */
    DIP_PANEL = 32 * 32, /* elements of a panel */
    DIP_TILE = 16 * 32,  /* elements of a tile: half a panel, or 16 rows of A */
};

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

typedef struct dip_product_body {
    const char *name;
    bool (*usable)(const dip_cpu *cpu);
    /** Around a region of products, on the thread that runs it. */
    void (*enter)(void);
    void (*leave)(void);
    void (*bf16)(const dip_product *product);
    void (*int8)(const dip_product *product);
    /* Making operands. */
    void (*round)(const float *in, dip_bf16 *out, size_t n);
    /** A panel from 32 rows of 32 values (k runs over rows): rows[r] + offset. half: between its halves. */
    void (*panel)(const dip_bf16 *const *rows, size_t offset, dip_bf16 *panel, size_t half);
    /** 16x16 transpose of pairs of values: half a panel whose columns are the rows of the source, at `stride`. */
    void (*transpose)(const dip_bf16 *source, size_t stride, dip_bf16 *target);
} dip_product_body;

/** The fastest body that this processor (and the switches of core/cpu.h) allows. */
const dip_product_body *dip_product_get(void);

/** All bodies of this build, fastest first; `position` from 0, NULL past the end. */
const dip_product_body *dip_product_at(size_t position);

/* The bodies; ask `usable` before calling into one. */
extern const dip_product_body dip_product_amx, dip_product_avx512bf16, dip_product_avx512vnni,
    dip_product_avx512, dip_product_avx2, dip_product_plain;

#endif
