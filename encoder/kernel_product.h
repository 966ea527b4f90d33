/**
 * The block product in float32 FMA: bfloat16 operands are widened on the way in, which is exact.
 *
 * Included by the bodies without a bfloat16 dot product, after kernel_vector.h. GROUP rows by WIDE vectors of
 * columns stay in registers while k runs; pair q of a step is one 32-bit word in A and one a column in the panel, its
 * low half is k = 2q and its high half k = 2q + 1.
 */
#ifndef ENCODER_KERNEL_PRODUCT_H
#define ENCODER_KERNEL_PRODUCT_H

#include "encoder/kernel_vector.h"

#if defined(__AVX512F__)
enum { GROUP = 8, WIDE = 2 };
#else
enum { GROUP = 4, WIDE = 2 };
#endif

static inline vf widen_low(uint32_t pair)
{
    uint32_t word = pair << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return vf_set(value);
}

static inline vf widen_high(uint32_t pair)
{
    uint32_t word = pair & 0xffff0000u;
    float value;
    memcpy(&value, &word, sizeof value);
    return vf_set(value);
}

/** One step: 16 pairs of `GROUP` rows against the panel columns at `b`. */
static inline void product_step(const dip_bf16 *a, ptrdiff_t a_row, const dip_bf16 *b,
                                ptrdiff_t b_half, vf sum[GROUP][WIDE])
{
    for (int q = 0; q < DIP_HALF; q++) {
        vf low[WIDE], high[WIDE];
        for (int v = 0; v < WIDE; v++) {
            /* a vector never straddles the two column halves of the panel */
            const int column = v * LANES;
            const ptrdiff_t at = column / DIP_HALF * b_half + column % DIP_HALF * 2;
            vu pairs;
            memcpy(&pairs, b + at + q * 2 * DIP_HALF, sizeof pairs);
            low[v] = (vf)(pairs << 16);
            high[v] = (vf)(pairs & 0xffff0000u);
        }
#pragma GCC unroll 8
        for (int r = 0; r < GROUP; r++) {
            uint32_t pair;
            memcpy(&pair, a + r * a_row + 2 * q, sizeof pair);
            vf even = widen_low(pair), odd = widen_high(pair);
            for (int v = 0; v < WIDE; v++)
                sum[r][v] = vf_fma(odd, high[v], vf_fma(even, low[v], sum[r][v]));
        }
    }
}

/** `GROUP` rows, WIDE * LANES columns from `column` on. */
static inline void product_group(const dip_product *p, int half, int row, int column)
{
    const dip_bf16 *a = p->a[half] + row * p->a_row;
    const dip_bf16 *b = p->b + column / DIP_HALF * p->b_half + column % DIP_HALF * 2;
    float *c = p->c + (half * DIP_HALF + row) * p->c_row + column;
    vf sum[GROUP][WIDE];
    for (int r = 0; r < GROUP; r++)
        for (int v = 0; v < WIDE; v++)
            sum[r][v] = p->accumulate ? vf_load(c + r * p->c_row + v * LANES) : (vf){0};
    for (unsigned s = 0; s < p->segments; s++, a += p->a_segment, b += p->b_segment)
        for (unsigned k = 0; k < p->steps; k++)
            product_step(a + k * p->a_step, p->a_row, b + k * p->b_step, p->b_half, sum);
    for (int r = 0; r < GROUP; r++)
        for (int v = 0; v < WIDE; v++) vf_store(c + r * p->c_row + v * LANES, sum[r][v]);
}

static void product_fma(const dip_product *p)
{
    for (int half = 0; half < 2; half++)
        for (int row = 0; row < (int)p->rows[half]; row += GROUP)
            for (int column = 0; column < DIP_BLOCK; column += WIDE * LANES)
                product_group(p, half, row, column);
}

#endif
