/* float32 <-> float16 by F16C; see half.h. */
#include "core/half.h"

#include <immintrin.h>
#include <string.h>

void dip_half_pack_avx2(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(void *)(out + i), half);
    }
    for (; i < n; i++) out[i] = dip_half_of(in[i]);
}

void dip_half_unpack_avx2(float *out, const void *in, size_t n)
{
    const unsigned char *at = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(at + 2 * i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
    }
    for (; i < n; i++) {
        uint16_t half;
        memcpy(&half, at + 2 * i, sizeof half);
        out[i] = dip_half_value(half);
    }
}
