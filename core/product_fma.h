/**
 * The block product in float32 FMA: bfloat16 operands are widened on the way in, which is exact.
 *
 * Included by the bodies without a bfloat16 dot product, after vector.h. Steps are taken in chunks. Of a chunk, a
 * group of rows is widened to memory, from where one load brings a value to all lanes; then WIDE vectors of
 * columns at a time pass over it, their sums in registers. Panels are widened in registers: pair q of a step is one
 * 32-bit word a column, its low half is k = 2q and its high half k = 2q + 1.
 */
#ifndef CORE_PRODUCT_FMA_H
#define CORE_PRODUCT_FMA_H

#include "core/vector.h"

/* GROUP * WIDE sums, WIDE columns and a broadcast value fit the registers; 16 rows are groups of GROUP and a rest. */
#if defined(__AVX512F__)
enum { GROUP = 8, REST = 8 };
#else
enum { GROUP = 6, REST = 4 };
#endif
enum { WIDE = 2, CHUNK = 8 };

/* Some steps: rows widened, and where their panels are. */
typedef struct widened_chunk {
    _Alignas(64) float rows[GROUP][CHUNK * DIP_BLOCK];
    const dip_bf16 *panels[CHUNK];
    unsigned steps;
} widened_chunk;

/*
 * sum += a * b. AVX2's 16 registers are just enough if each sum stays in its own, which gcc 12 does not see: it
 * moves sums into the register of a factor and then spills.
 */
static ALWAYS_INLINE void add_product(vf *sum, vf a, vf b)
{
#if defined(__FMA__) && !defined(__AVX512F__)
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
#else
    *sum = vf_fma(a, b, *sum);
#endif
}

/* One value of each pair: the low halves, or the high ones. */
static ALWAYS_INLINE vf widen(vu pairs, bool high)
{
#if defined(__FMA__) && !defined(__AVX512F__)
    /* two shifts instead of a mask, which would take a register for good */
    __m256i x = (__m256i)pairs;
    if (high) x = _mm256_srli_epi32(x, 16);
    return (vf)_mm256_slli_epi32(x, 16);
#else
    return (vf)(high ? pairs & 0xffff0000u : pairs << 16);
#endif
}

/* Columns of the panel from `column` on; a vector never straddles its two halves. */
static ALWAYS_INLINE vf load_columns(const dip_bf16 *b, ptrdiff_t b_half, int column, bool high)
{
    vu pairs;
    memcpy(&pairs, b + column / DIP_HALF * b_half + column % DIP_HALF * 2, sizeof pairs);
    return widen(pairs, high);
}

/* One step of `group` rows, WIDE * LANES columns from b on. */
static ALWAYS_INLINE void product_step(const float *rows, const dip_bf16 *b, ptrdiff_t b_half,
                                       vf sum[GROUP][WIDE], const int group)
{
    for (int q = 0; q < DIP_HALF; q++, rows += 2, b += 2 * DIP_HALF)
#pragma GCC unroll 2
        for (int high = 0; high < 2; high++) {
            const vf left = load_columns(b, b_half, 0, high);
            const vf right = load_columns(b, b_half, LANES, high);
#pragma GCC unroll 8
            for (int r = 0; r < group; r++) {
                const vf value = vf_set(rows[r * CHUNK * DIP_BLOCK + high]);
                add_product(&sum[r][0], value, left);
                add_product(&sum[r][1], value, right);
            }
        }
}

static ALWAYS_INLINE void product_chunk(const widened_chunk *chunk, ptrdiff_t b_half, float *c,
                                        ptrdiff_t c_row, int column, bool add, const int group)
{
    const ptrdiff_t at = column / DIP_HALF * b_half + column % DIP_HALF * 2;
    vf sum[GROUP][WIDE];
    c += column;
#pragma GCC unroll 8
    for (int r = 0; r < group; r++)
#pragma GCC unroll 2
        for (int v = 0; v < WIDE; v++)
            sum[r][v] = add ? vf_load(c + r * c_row + v * LANES) : (vf){0};
    for (unsigned k = 0; k < chunk->steps; k++)
        product_step(chunk->rows[0] + k * DIP_BLOCK, chunk->panels[k] + at, b_half, sum, group);
#pragma GCC unroll 8
    for (int r = 0; r < group; r++)
#pragma GCC unroll 2
        for (int v = 0; v < WIDE; v++) vf_store(c + r * c_row + v * LANES, sum[r][v]);
}

/* Steps from `first` on, as many as fit. */
static void widen_chunk(const dip_product *p, int half, int row, int group, unsigned first,
                        widened_chunk *chunk)
{
    const unsigned rest = p->segments * p->steps - first;
    chunk->steps = rest < CHUNK ? rest : CHUNK;
    for (unsigned k = 0; k < chunk->steps; k++) {
        const ptrdiff_t segment = (first + k) / p->steps, step = (first + k) % p->steps;
        const dip_bf16 *a = p->a[half] + segment * p->a_segment + step * p->a_step;
        chunk->panels[k] = p->b + segment * p->b_segment + step * p->b_step;
        for (int r = 0; r < group; r++)
            for (int i = 0; i < DIP_BLOCK; i += LANES)
                vf_store(&chunk->rows[r][k * DIP_BLOCK + i],
                         vf_load_bf16(a + (row + r) * p->a_row + i));
    }
}

static ALWAYS_INLINE void product_group(const dip_product *p, int half, int row, const int group)
{
    float *c = p->c + (half * DIP_HALF + row) * p->c_row;
    const unsigned steps = p->segments * p->steps;
    widened_chunk chunk;
    unsigned first = 0;
    do {
        const bool add = p->accumulate || first > 0;
        widen_chunk(p, half, row, group, first, &chunk);
        for (int column = 0; column < DIP_BLOCK; column += WIDE * LANES)
            product_chunk(&chunk, p->b_half, c, p->c_row, column, add, group);
        first += CHUNK;
    } while (first < steps);
}

static void product_fma(const dip_product *p)
{
    for (int half = 0; half < 2; half++)
        for (int row = 0; row < (int)p->rows[half];)
            if (row + GROUP <= DIP_HALF) {
                product_group(p, half, row, GROUP);
                row += GROUP;
            } else {
                product_group(p, half, row, REST);
                row += REST;
            }
}

#endif
