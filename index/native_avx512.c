/* AVX-512 bodies of the native engine's loops, for processors without VNNI; see native_kernel.h. */
#include "index/native_vector.h"

#include <string.h>

/* Eight centroids' sums of a step as pairs of partial sums: bytes and values widened to 16 bits. */
static inline __m512i add_step(__m512i sum, const uint8_t *bytes, __m512i values)
{
    __m512i wide = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)bytes));
    return _mm512_add_epi32(sum, _mm512_madd_epi16(wide, values));
}

static void coarse(const dip_native_coarse *c, const dip_native_query *q, size_t first,
                   size_t blocks, float *scores)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *bytes = c->bytes + (first + b) * c->steps * 64;
        __m512i left = _mm512_setzero_si512(), right = left;
        for (size_t j = 0; j < c->steps; j++, bytes += 64) {
            int32_t word;
            memcpy(&word, q->values + 4 * j, sizeof word);
            __m512i values = _mm512_cvtepi8_epi16(_mm256_set1_epi32(word));
            left = add_step(left, bytes, values);
            right = add_step(right, bytes + 32, values);
        }
        __m512i sum = _mm512_add_epi32(_mm512_permutex2var_epi32(left, even, right),
                                       _mm512_permutex2var_epi32(left, odd, right));
        size_t at = (first + b) * DIP_NATIVE_ROWS;
        __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(q->base)));
        __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(c->scales + at), _mm512_set1_ps(q->scale));
        _mm512_storeu_ps(
            scores + b * DIP_NATIVE_ROWS,
            _mm512_add_ps(_mm512_mul_ps(value, scale), _mm512_loadu_ps(c->biases + at)));
    }
}

const dip_native_kernel dip_native_avx512 = {"avx512", make_tables, encode,   coarse,  pick,
                                             scan,     dot,         dot_int8, dot_half};
