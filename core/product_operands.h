/** Making operands, for the tables of all bodies: with AVX-512 by shuffles, else by loops that compilers make vectors of. */
#ifndef CORE_PRODUCT_OPERANDS_H
#define CORE_PRODUCT_OPERANDS_H

#include "core/vector.h"

static void operand_round(const float *in, dip_bf16 *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vf_store_bf16(out + i, vf_load(in + i));
    for (; i < n; i++) out[i] = dip_bf16_round(in[i]);
}

#if defined(__AVX512BW__)

/* Positions of the values of two rows, taken in turn: row 0 is 0..31, row 1 is 32..63. */
static inline __m512i pair_order(int first)
{
    uint16_t order[DIP_BLOCK];
    for (int i = 0; i < DIP_HALF; i++) {
        order[2 * i] = (uint16_t)(first + i);
        order[2 * i + 1] = (uint16_t)(DIP_BLOCK + first + i);
    }
    return _mm512_loadu_si512(order);
}

static void operand_panel(const dip_bf16 *const *rows, size_t offset, dip_bf16 *panel, size_t half)
{
    const __m512i left = pair_order(0), right = pair_order(DIP_HALF);
    for (int q = 0; q < DIP_HALF; q++, panel += DIP_BLOCK) {
        __m512i even = _mm512_loadu_si512(rows[2 * q] + offset);
        __m512i odd = _mm512_loadu_si512(rows[2 * q + 1] + offset);
        _mm512_storeu_si512(panel, _mm512_permutex2var_epi16(even, left, odd));
        _mm512_storeu_si512(panel + half, _mm512_permutex2var_epi16(even, right, odd));
    }
}

/* 16x16 transpose of 32-bit words: within 128-bit lanes by unpacking, then the lanes themselves. */
static void operand_transpose(const dip_bf16 *source, size_t stride, dip_bf16 *target)
{
    __m512i r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(source + i * stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(target + i * DIP_BLOCK, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_si512(target + (i + 8) * DIP_BLOCK,
                            _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
        _mm512_storeu_si512(target + (i + 4) * DIP_BLOCK,
                            _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
        _mm512_storeu_si512(target + (i + 12) * DIP_BLOCK,
                            _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
    }
}

#else

static void operand_panel(const dip_bf16 *const *rows, size_t offset, dip_bf16 *panel, size_t half)
{
    for (int q = 0; q < DIP_HALF; q++) {
        const dip_bf16 *even = rows[2 * q] + offset, *odd = rows[2 * q + 1] + offset;
        for (size_t h = 0; h < 2; h++) {
            dip_bf16 *to = panel + h * half + q * 2 * DIP_HALF;
            for (int c = 0; c < DIP_HALF; c++) {
                to[2 * c] = even[h * DIP_HALF + c];
                to[2 * c + 1] = odd[h * DIP_HALF + c];
            }
        }
    }
}

static void operand_transpose(const dip_bf16 *source, size_t stride, dip_bf16 *target)
{
    for (int r = 0; r < DIP_HALF; r++)
        for (int c = 0; c < DIP_HALF; c++)
            memcpy(target + c * DIP_BLOCK + 2 * r, source + r * stride + 2 * c, sizeof(uint32_t));
}

#endif

#define DIP_OPERANDS .round = operand_round, .panel = operand_panel, .transpose = operand_transpose

#endif
