/* AVX-512 VNNI body of the native engine's coarse loop; the others are those of AVX-512. See native_kernel.h. */
#include "index/native_vector.h"

#include <string.h>

static inline void finish(const dip_native_coarse *c, const dip_native_query *q, size_t at,
                          __m512i sum, float *scores)
{
    __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(q->base)));
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(c->scales + at), _mm512_set1_ps(q->scale));
    _mm512_storeu_ps(scores,
                     _mm512_add_ps(_mm512_mul_ps(value, scale), _mm512_loadu_ps(c->biases + at)));
}

static inline __m512i add_step(__m512i sum, const uint8_t *bytes, __m512i values)
{
    return _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(bytes), values);
}

static inline __m512i step_of(const int8_t *values)
{
    int32_t word;
    memcpy(&word, values, sizeof word);
    return _mm512_set1_epi32(word);
}

static void coarse(const dip_native_coarse *c, const dip_native_query *q, size_t first,
                   size_t blocks, float *scores)
{
    size_t stride = c->steps * 64, b = 0;
    for (; b + 4 <= blocks; b += 4) { /* four sums hide the latency of one */
        const uint8_t *bytes = c->bytes + (first + b) * stride;
        __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        for (size_t j = 0; j < c->steps; j++) {
            __m512i values = step_of(q->values + 4 * j);
            for (size_t i = 0; i < 4; i++)
                sum[i] = add_step(sum[i], bytes + i * stride + j * 64, values);
        }
        for (size_t i = 0; i < 4; i++)
            finish(c, q, (first + b + i) * DIP_NATIVE_ROWS, sum[i],
                   scores + (b + i) * DIP_NATIVE_ROWS);
    }
    for (; b < blocks; b++) {
        const uint8_t *bytes = c->bytes + (first + b) * stride;
        __m512i sum = _mm512_setzero_si512();
        for (size_t j = 0; j < c->steps; j++)
            sum = add_step(sum, bytes + j * 64, step_of(q->values + 4 * j));
        finish(c, q, (first + b) * DIP_NATIVE_ROWS, sum, scores + b * DIP_NATIVE_ROWS);
    }
}

const dip_native_kernel dip_native_avx512vnni = {"avx512vnni", make_tables, encode,   coarse,  pick,
                                                 scan,         dot,         dot_int8, dot_half};
