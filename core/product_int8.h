/**
 * The int8 product without a byte dot product: operands are widened to 16 bits, whose products are added in pairs.
 *
 * Included by the bodies without VNNI, after vector.h. (The byte multiplication of AVX2 adds pairs in 16 bits,
 * which 255 * 127 * 2 overflows.) Rows are widened to memory, some steps of a few rows at a time; a vector of panel is
 * LANES / 2 columns of four k, so a sum is two lanes a column, added up at the end.
 */
#ifndef CORE_PRODUCT_INT8_H
#define CORE_PRODUCT_INT8_H

#include "core/vector.h"

enum {
    ROWS8 = LANES == 16 ? 8 : 4,
    SUMS8 = 2,             /* vectors of columns that pass over the rows together, of one half */
    STEPS8 = 8,            /* widened at a time */
    STEP8 = 2 * DIP_BLOCK, /* k of a step */
    COLUMNS8 = LANES / 2,  /* of a vector */
    WIDTH8 = 2 * LANES     /* values of a vector */
};

typedef int8_t vb __attribute__((vector_size(WIDTH8)));
typedef int16_t vs __attribute__((vector_size(2 * WIDTH8)));

/* Sums of neighbouring products; four values of k for each column; bytes as 16 bits. Named where gcc 12 does badly. */
static ALWAYS_INLINE vi multiply_pairs(vs a, vs b)
{
#if defined(__AVX512BW__)
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    const vi low_a = (vi)a << 16 >> 16, low_b = (vi)b << 16 >> 16;
    return low_a * low_b + ((vi)a >> 16) * ((vi)b >> 16);
#endif
}

static ALWAYS_INLINE vs broadcast_four(const int16_t *from)
{
    int64_t four;
    memcpy(&four, from, sizeof four);
#if defined(__AVX512BW__)
    return (vs)_mm512_set1_epi64(four);
#elif defined(__AVX2__)
    return (vs)_mm256_set1_epi64x(four);
#else
    typedef int64_t vq __attribute__((vector_size(2 * WIDTH8)));
    return (vs)((vq){0} + four);
#endif
}

static ALWAYS_INLINE vs load_widened(const int8_t *from)
{
#if defined(__AVX512BW__)
    return (vs)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)from));
#elif defined(__AVX2__)
    return (vs)_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)from));
#elif defined(__SSE2__)
    const __m128i bytes = _mm_loadl_epi64((const void *)from);
    return (vs)_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
#else
    vb bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, vs);
#endif
}

/* Some steps: rows widened, and where their panels are. */
typedef struct widened_steps {
    _Alignas(64) int16_t rows[ROWS8][STEPS8 * STEP8];
    const dip_bf16 *panels[STEPS8];
    unsigned steps;
} widened_steps;

static void widen_steps(const dip_product *p, int half, int row, unsigned first, widened_steps *to)
{
    const unsigned rest = p->segments * p->steps - first;
    to->steps = rest < STEPS8 ? rest : STEPS8;
    for (unsigned k = 0; k < to->steps; k++) {
        const ptrdiff_t segment = (first + k) / p->steps, step = (first + k) % p->steps;
        const dip_bf16 *a = p->a[half] + segment * p->a_segment + step * p->a_step;
        to->panels[k] = p->b + segment * p->b_segment + step * p->b_step;
        for (int r = 0; r < ROWS8; r++) {
            const uint8_t *from = (const uint8_t *)(a + (row + r) * p->a_row);
            for (int i = 0; i < STEP8; i++) to->rows[r][k * STEP8 + i] = from[i];
        }
    }
}

/* Adds the sums of SUMS8 vectors of columns, from `column` on, to C. */
static ALWAYS_INLINE void add_columns8(const widened_steps *s, ptrdiff_t b_half, int column,
                                       float *c, ptrdiff_t c_row)
{
    const ptrdiff_t at = column / DIP_HALF * b_half * 2 + column % DIP_HALF * 4;
    vi sum[ROWS8][SUMS8] = {{{0}}};
    for (unsigned k = 0; k < s->steps; k++) {
        const int8_t *b = (const int8_t *)s->panels[k] + at;
        for (int q = 0; q < DIP_HALF; q++, b += 4 * DIP_HALF) {
            vs panel[SUMS8];
#pragma GCC unroll 4
            for (int v = 0; v < SUMS8; v++) panel[v] = load_widened(b + v * WIDTH8);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS8; r++) {
                const vs four = broadcast_four(&s->rows[r][k * STEP8 + 4 * q]);
#pragma GCC unroll 4
                for (int v = 0; v < SUMS8; v++) sum[r][v] += multiply_pairs(four, panel[v]);
            }
        }
    }
    for (int r = 0; r < ROWS8; r++) {
        int32_t pairs[SUMS8 * LANES], whole[SUMS8 * COLUMNS8];
        memcpy(pairs, sum[r], sizeof pairs);
        memcpy(whole, c + r * c_row + column, sizeof whole);
        for (int i = 0; i < SUMS8 * COLUMNS8; i++) whole[i] += pairs[2 * i] + pairs[2 * i + 1];
        memcpy(c + r * c_row + column, whole, sizeof whole);
    }
}

static void product_int8(const dip_product *p)
{
    const unsigned steps = p->segments * p->steps;
    for (int half = 0; half < 2; half++)
        for (int row = 0; row < (int)p->rows[half]; row += ROWS8) {
            float *c = p->c + (half * DIP_HALF + row) * p->c_row;
            for (int r = 0; r < ROWS8 && !p->accumulate; r++)
                memset(c + r * p->c_row, 0, DIP_BLOCK * sizeof *c);
            widened_steps widened;
            for (unsigned first = 0; first < steps; first += STEPS8) {
                widen_steps(p, half, row, first, &widened);
                for (int column = 0; column < DIP_BLOCK; column += SUMS8 * COLUMNS8)
                    add_columns8(&widened, p->b_half, column, c, p->c_row);
            }
        }
}

#endif
