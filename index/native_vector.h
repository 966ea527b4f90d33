/* The AVX-512 loops that the bodies with and without VNNI share; see native_kernel.h. */
#ifndef INDEX_NATIVE_VECTOR_H
#define INDEX_NATIVE_VECTOR_H

#include "index/native_tables.h"

#include <immintrin.h>

/* The lanes of the last, shorter part. */
static inline __mmask16 lanes(size_t left)
{
    return left >= 16 ? 0xffff : (__mmask16)((1U << left) - 1);
}

static size_t pick(const float *scores, size_t n, float threshold, uint32_t first,
                   dip_native_candidate *out)
{
    size_t found = 0;
    __m512 bar = _mm512_set1_ps(threshold);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 part = lanes(n - i);
        __m512 score = _mm512_maskz_loadu_ps(part, scores + i);
        uint32_t mask = _mm512_mask_cmp_ps_mask(part, score, bar, _CMP_GT_OQ);
        for (; mask; mask &= mask - 1) {
            uint32_t at = (uint32_t)i + (uint32_t)__builtin_ctz(mask);
            out[found++] = (dip_native_candidate){scores[at], first + at, 0};
        }
    }
    return found;
}

/*
 * Sums of 32 vectors as 16-bit numbers: of the even positions and of the odd ones. Pairs of bytes are added as they are;
 * what the odd ones put on top comes off in the end.
 */
static inline void add_block(const dip_native_run *run, const uint8_t *codes, __m256i *even,
                             __m256i *odd)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i whole = _mm512_setzero_si512(), high = whole;
    for (size_t g = 0; g < run->groups; g++) {
        const uint8_t *table = run->tables + g * DIP_NATIVE_TABLE;
        __m512i x = _mm512_loadu_si512(codes + g * 64);
        __m512i a = _mm512_shuffle_epi8(_mm512_load_si512(table), _mm512_and_si512(x, low));
        __m512i b = _mm512_shuffle_epi8(_mm512_load_si512(table + 64),
                                        _mm512_and_si512(_mm512_srli_epi16(x, 4), low));
        whole = _mm512_add_epi16(whole, _mm512_add_epi16(a, b));
        high = _mm512_add_epi16(high,
                                _mm512_add_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8)));
    }
    whole = _mm512_sub_epi16(whole, _mm512_slli_epi16(high, 8));
    *even = _mm256_add_epi16(_mm512_castsi512_si256(whole), _mm512_extracti64x4_epi64(whole, 1));
    *odd = _mm256_add_epi16(_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64(high, 1));
}

static inline __m512 score_of(const dip_native_run *run, __m256i sum, const uint16_t *terms)
{
    __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(sum));
    __m512 term = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)terms));
    return _mm512_sub_ps(
        _mm512_fmadd_ps(value, _mm512_set1_ps(run->unit), _mm512_set1_ps(run->base)), term);
}

static size_t scan(const dip_native_run *run, float threshold, dip_native_candidate *out)
{
    size_t n = 0, bytes = run->groups * 2 * DIP_NATIVE_BLOCK;
    __m512 bar = _mm512_set1_ps(threshold);
    for (size_t b = run->block; b < run->block + run->blocks; b++) {
        const uint8_t *codes = run->codes + b * bytes;
        const uint16_t *terms = run->terms + b * DIP_NATIVE_BLOCK;
        __m256i even, odd;
        prefetch_ahead(run, b - run->block, bytes);
        add_block(run, codes, &even, &odd);
        /* Back in the order of the vectors: the even and the odd position of each 16 bits take turns. */
        __m256i first = _mm256_unpacklo_epi16(even, odd), second = _mm256_unpackhi_epi16(even, odd);
        __m512 upper = score_of(run, _mm256_permute2x128_si256(first, second, 0x20), terms);
        __m512 lower = score_of(run, _mm256_permute2x128_si256(first, second, 0x31), terms + 16);
        uint32_t mask = _mm512_cmp_ps_mask(upper, bar, _CMP_GT_OQ) |
                        (uint32_t)_mm512_cmp_ps_mask(lower, bar, _CMP_GT_OQ) << 16;
        if (!mask) continue;
        float value[DIP_NATIVE_BLOCK];
        _mm512_storeu_ps(value, upper);
        _mm512_storeu_ps(value + 16, lower);
        for (; mask; mask &= mask - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(mask);
            out[n++] =
                (dip_native_candidate){value[i], (uint32_t)(b * DIP_NATIVE_BLOCK) + i, run->probe};
        }
    }
    return n;
}

static float dot(const float *a, const float *b, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        sum =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i), sum);
    }
    return _mm512_reduce_add_ps(sum);
}

static float dot_int8(const float *query, const int8_t *vector, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512i wide = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, vector + i));
        sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, query + i), _mm512_cvtepi32_ps(wide), sum);
    }
    return _mm512_reduce_add_ps(sum);
}

static float dot_half(const float *query, const uint16_t *vector, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 wide = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, vector + i));
        sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, query + i), wide, sum);
    }
    return _mm512_reduce_add_ps(sum);
}

#endif
