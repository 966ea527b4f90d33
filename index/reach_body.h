/* The loops of reach.h, compiled once an instruction set. */
#include "core/vector.h"
#include "index/reach.h"

#include <float.h>
#include <math.h>

static float sum_of(vf v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#else
    float lanes[LANES], sum = 0;
    vf_store(lanes, v);
    for (int i = 0; i < LANES; i++) sum += lanes[i];
    return sum;
#endif
}

/* From a sum of n squares, each step of which may have rounded down. */
static float bound(float squares, size_t n)
{
    return sqrtf(squares) * (1 + (float)n * FLT_EPSILON);
}

static void round_row(const float *vector, size_t dim, dip_bf16 *out, float *norm, float *error)
{
    vf squares = {0}, changes = {0};
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        const vf value = vf_load(vector + i);
        vf_store_bf16(out + i, value);
        const vf change = value - vf_load_bf16(out + i);
        squares = vf_fma(value, value, squares);
        changes = vf_fma(change, change, changes);
    }
    float square = sum_of(squares), changed = sum_of(changes);
    for (; i < dim; i++) {
        out[i] = dip_bf16_round(vector[i]);
        const float change = vector[i] - dip_bf16_float(out[i]);
        square += vector[i] * vector[i];
        changed += change * change;
    }
    for (; i % DIP_BLOCK; i++) out[i] = 0;
    *norm = bound(square, dim);
    *error = bound(changed, dim);
}

/* A bit a lane: a >= b. */
static inline uint32_t at_least(vf a, vf b)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ);
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GE_OQ));
#else
    uint32_t bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (uint32_t)(a[i] >= b[i]) << i;
    return bits;
#endif
}

static uint32_t mark_rows(const float *block, size_t rows, const float *offsets, const float *bars,
                          uint32_t *marks)
{
    vf bar[VECTORS];
    uint32_t any = 0;
    for (int v = 0; v < VECTORS; v++) bar[v] = vf_load(bars + v * LANES);
    for (size_t r = 0; r < rows; r++, block += DIP_BLOCK) {
        const vf offset = vf_set(offsets[r]);
        uint32_t bits = 0;
        for (int v = 0; v < VECTORS; v++)
            bits |= at_least(vf_load(block + v * LANES) - offset, bar[v]) << (v * LANES);
        marks[r] = bits;
        any |= bits;
    }
    return any;
}

#define REACH                                 \
    {                                         \
        .round = round_row, .mark = mark_rows \
    }
