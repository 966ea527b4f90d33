/**
 * The block product with the dot product instructions of AVX-512: a 32-bit word of A with one of B in each column.
 *
 * Included by the bodies that have VNNI (four bytes a word) and perhaps BF16 (two values). Eight rows by 32 columns stay
 * in 16 registers; a word of each row is broadcast from memory.
 */
#ifndef CORE_PRODUCT_DOT_H
#define CORE_PRODUCT_DOT_H

#include "core/vector.h"

enum { GROUP = 8, AHEAD = 8 * DIP_PANEL };

typedef enum dot_kind { DOT_BF16, DOT_INT8 } dot_kind;

static ALWAYS_INLINE __m512i dot(__m512i sum, __m512i a, __m512i b, const dot_kind kind)
{
#ifdef __AVX512BF16__
    if (kind == DOT_BF16) return (__m512i)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#endif
    (void)kind;
    return _mm512_dpbusd_epi32(sum, a, b);
}

static ALWAYS_INLINE __m512i add(__m512i a, __m512i b, const dot_kind kind)
{
    return kind == DOT_BF16 ? (__m512i)_mm512_add_ps((__m512)a, (__m512)b) : _mm512_add_epi32(a, b);
}

static ALWAYS_INLINE __m512i broadcast_word(const dip_bf16 *from)
{
    int word;
    memcpy(&word, from, sizeof word);
    return _mm512_set1_epi32(word);
}

/* ask: for the panels AHEAD of these, which may have to come from memory; the first group of a product does. */
static ALWAYS_INLINE void dot_step(const dip_bf16 *a, ptrdiff_t a_row, const dip_bf16 *b,
                                   ptrdiff_t b_half, __m512i *left, __m512i *right,
                                   const dot_kind kind, const int group, const bool ask)
{
    for (int q = 0; q < DIP_HALF; q++, a += 2, b += DIP_BLOCK) {
        const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + b_half);
        if (ask) {
            _mm_prefetch((const char *)(b + AHEAD), _MM_HINT_T1);
            _mm_prefetch((const char *)(b + b_half + AHEAD), _MM_HINT_T1);
        }
#pragma GCC unroll 8
        for (int r = 0; r < group; r++) {
            const __m512i word = broadcast_word(a + r * a_row);
            left[r] = dot(left[r], word, b0, kind);
            right[r] = dot(right[r], word, b1, kind);
        }
    }
}

static ALWAYS_INLINE void dot_group(const dip_product *p, int half, int row, const dot_kind kind,
                                    const int group, const bool ask)
{
    const dip_bf16 *a = p->a[half] + row * p->a_row, *b = p->b;
    const ptrdiff_t c_row = p->c_row;
    float *c = p->c + (half * DIP_HALF + row) * c_row;
    __m512i left[GROUP], right[GROUP];
#pragma GCC unroll 8
    for (int r = 0; r < group; r++) left[r] = right[r] = _mm512_setzero_si512();
    for (unsigned s = 0; s < p->segments; s++, a += p->a_segment, b += p->b_segment)
        for (unsigned k = 0; k < p->steps; k++)
            dot_step(a + k * p->a_step, p->a_row, b + k * p->b_step, p->b_half, left, right, kind,
                     group, ask);
    if (p->accumulate) {
#pragma GCC unroll 8
        for (int r = 0; r < group; r++) {
            left[r] = add(left[r], _mm512_loadu_si512(c + r * c_row), kind);
            right[r] = add(right[r], _mm512_loadu_si512(c + r * c_row + DIP_HALF), kind);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < group; r++) {
        _mm512_storeu_si512(c + r * c_row, left[r]);
        _mm512_storeu_si512(c + r * c_row + DIP_HALF, right[r]);
    }
}

static ALWAYS_INLINE void dot_product(const dip_product *p, const dot_kind kind)
{
    for (int half = 0; half < 2; half++) {
        const int rows = (int)p->rows[half];
        for (int row = 0; row < rows; row += GROUP)
            if (rows - row <= GROUP / 2)
                dot_group(p, half, row, kind, GROUP / 2, true);
            else if (half == 0 && row == 0)
                dot_group(p, half, row, kind, GROUP, true);
            else
                dot_group(p, half, row, kind, GROUP, false);
    }
}

#endif
