/* AVX2 bodies of the native engine's loops; see native_kernel.h. */
#include "index/native_tables.h"

#include <immintrin.h>
#include <string.h>

static int32_t four(const int8_t *values)
{
    int32_t word;
    memcpy(&word, values, sizeof word);
    return word;
}

/* Four centroids' sums of a step as pairs of partial sums: bytes and values widened to 16 bits. */
static inline __m256i add_step(__m256i sum, const uint8_t *bytes, __m256i values)
{
    __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)bytes));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(wide, values));
}

static inline void finish(const dip_native_coarse *c, const dip_native_query *q, size_t at,
                          __m256i low, __m256i high, float *scores)
{
    __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
    __m256 value = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_set1_epi32(q->base)));
    __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(c->scales + at), _mm256_set1_ps(q->scale));
    _mm256_storeu_ps(scores,
                     _mm256_add_ps(_mm256_mul_ps(value, scale), _mm256_loadu_ps(c->biases + at)));
}

static void coarse(const dip_native_coarse *c, const dip_native_query *q, size_t first,
                   size_t blocks, float *scores)
{
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *bytes = c->bytes + (first + b) * c->steps * 64;
        __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                          _mm256_setzero_si256()};
        for (size_t j = 0; j < c->steps; j++, bytes += 64) {
            __m256i values = _mm256_cvtepi8_epi16(_mm_set1_epi32(four(q->values + 4 * j)));
            for (int r = 0; r < 4; r++) sum[r] = add_step(sum[r], bytes + r * 16, values);
        }
        size_t at = (first + b) * DIP_NATIVE_ROWS;
        finish(c, q, at, sum[0], sum[1], scores + b * DIP_NATIVE_ROWS);
        finish(c, q, at + 8, sum[2], sum[3], scores + b * DIP_NATIVE_ROWS + 8);
    }
}

/*
 * Sums of 32 vectors as 16-bit numbers: of the even positions and of the odd ones. Pairs of bytes are added as they are;
 * what the odd ones put on top comes off in the end.
 */
typedef struct sums {
    __m256i even, odd;
} sums;

static inline sums add_block(const dip_native_run *run, const uint8_t *codes)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i whole = _mm256_setzero_si256(), odd = whole;
    for (size_t p = 0; p < 2 * run->groups; p++) {
        const uint8_t *table = run->tables + p / 2 * DIP_NATIVE_TABLE + p % 2 * 32;
        __m256i x = _mm256_loadu_si256((const __m256i *)(codes + p * 32));
        __m256i a = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)table),
                                        _mm256_and_si256(x, low));
        __m256i b = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(table + 64)),
                                        _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
        whole = _mm256_add_epi16(whole, _mm256_add_epi16(a, b));
        odd = _mm256_add_epi16(odd,
                               _mm256_add_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8)));
    }
    return (sums){_mm256_sub_epi16(whole, _mm256_slli_epi16(odd, 8)), odd};
}

static inline __m256 score_of(const dip_native_run *run, __m128i sum, const uint16_t *terms)
{
    __m256 value = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sum));
    __m256 term = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)terms));
    return _mm256_sub_ps(
        _mm256_fmadd_ps(value, _mm256_set1_ps(run->unit), _mm256_set1_ps(run->base)), term);
}

static inline size_t keep(__m256 score, __m256 threshold, uint32_t slot, uint32_t probe,
                          dip_native_candidate *out)
{
    unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(score, threshold, _CMP_GT_OQ));
    if (!mask) return 0;
    float value[8];
    size_t n = 0;
    _mm256_storeu_ps(value, score);
    for (; mask; mask &= mask - 1) {
        unsigned i = (unsigned)__builtin_ctz(mask);
        out[n++] = (dip_native_candidate){value[i], slot + i, probe};
    }
    return n;
}

static size_t pick(const float *scores, size_t n, float threshold, uint32_t first,
                   dip_native_candidate *out)
{
    size_t found = 0, i = 0;
    __m256 bar = _mm256_set1_ps(threshold);
    for (; i + 8 <= n; i += 8)
        found += keep(_mm256_loadu_ps(scores + i), bar, first + (uint32_t)i, 0, out + found);
    for (; i < n; i++)
        if (scores[i] > threshold)
            out[found++] = (dip_native_candidate){scores[i], first + (uint32_t)i, 0};
    return found;
}

static size_t scan(const dip_native_run *run, float threshold, dip_native_candidate *out)
{
    size_t n = 0, bytes = run->groups * 2 * DIP_NATIVE_BLOCK;
    __m256 bar = _mm256_set1_ps(threshold);
    for (size_t b = run->block; b < run->block + run->blocks; b++) {
        const uint8_t *codes = run->codes + b * bytes;
        const uint16_t *terms = run->terms + b * DIP_NATIVE_BLOCK;
        prefetch_ahead(run, b - run->block, bytes);
        sums s = add_block(run, codes);
        /* Back in the order of the vectors: the even and the odd position of each 16 bits take turns. */
        __m256i first = _mm256_unpacklo_epi16(s.even, s.odd);
        __m256i second = _mm256_unpackhi_epi16(s.even, s.odd);
        __m128i part[4] = {_mm256_castsi256_si128(first), _mm256_castsi256_si128(second),
                           _mm256_extracti128_si256(first, 1), _mm256_extracti128_si256(second, 1)};
        for (unsigned i = 0; i < 4; i++)
            n += keep(score_of(run, part[i], terms + i * 8), bar,
                      (uint32_t)(b * DIP_NATIVE_BLOCK + i * 8), run->probe, out + n);
    }
    return n;
}

static inline float sum_of(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static float dot(const float *a, const float *b, size_t n)
{
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sum);
    float rest = sum_of(sum);
    for (; i < n; i++) rest += a[i] * b[i];
    return rest;
}

static float dot_int8(const float *query, const int8_t *vector, size_t n)
{
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(vector + i)));
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(query + i), _mm256_cvtepi32_ps(wide), sum);
    }
    float rest = sum_of(sum);
    for (; i < n; i++) rest += query[i] * (float)vector[i];
    return rest;
}

static float dot_half(const float *query, const uint16_t *vector, size_t n)
{
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 wide = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(vector + i)));
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(query + i), wide, sum);
    }
    float rest = sum_of(sum);
    for (; i < n; i++) rest += query[i] * _cvtsh_ss(vector[i]);
    return rest;
}

const dip_native_kernel dip_native_avx2 = {"avx2", make_tables, encode,   coarse,  pick,
                                           scan,   dot,         dot_int8, dot_half};
