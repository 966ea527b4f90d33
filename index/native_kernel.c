/* Plain bodies of the native engine's loops, and the choice among the bodies; see native_kernel.h. */
#include "index/native_kernel.h"

#include "core/cpu.h"
#include "core/half.h"
#include "index/native_tables.h"

static void coarse(const dip_native_coarse *c, const dip_native_query *q, size_t first,
                   size_t blocks, float *scores)
{
    for (size_t i = 0; i < blocks * DIP_NATIVE_ROWS; i++) {
        size_t block = first + i / DIP_NATIVE_ROWS, row = i % DIP_NATIVE_ROWS;
        const uint8_t *bytes = c->bytes + (block * c->steps * DIP_NATIVE_ROWS + row) * 4;
        int32_t sum = -q->base;
        for (size_t j = 0; j < c->steps * 4; j++)
            sum += bytes[j / 4 * DIP_NATIVE_ROWS * 4 + j % 4] * q->values[j];
        size_t at = block * DIP_NATIVE_ROWS + row;
        scores[i] = (float)sum * (c->scales[at] * q->scale) + c->biases[at];
    }
}

static size_t pick(const float *scores, size_t n, float threshold, uint32_t first,
                   dip_native_candidate *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (scores[i] > threshold)
            out[found++] = (dip_native_candidate){scores[i], first + (uint32_t)i, 0};
    return found;
}

static unsigned entry(const dip_native_run *run, size_t code, unsigned value)
{
    static const uint8_t places[DIP_NATIVE_GROUP] = {0, 64, 32, 96};
    return run->tables[code / DIP_NATIVE_GROUP * DIP_NATIVE_TABLE + places[code % 4] + value];
}

static size_t scan(const dip_native_run *run, float threshold, dip_native_candidate *out)
{
    size_t codes = run->groups * DIP_NATIVE_GROUP, n = 0;
    size_t first = run->block * DIP_NATIVE_BLOCK, end = first + run->blocks * DIP_NATIVE_BLOCK;
    for (size_t slot = first; slot < end; slot++) {
        const uint8_t *bytes = run->codes +
                               slot / DIP_NATIVE_BLOCK * (codes / 2 * DIP_NATIVE_BLOCK) +
                               slot % DIP_NATIVE_BLOCK;
        unsigned sum = 0;
        for (size_t i = 0; i < codes; i++)
            sum += entry(run, i, bytes[i / 2 * DIP_NATIVE_BLOCK] >> (i % 2 * 4) & 15);
        float score = run->base + (float)sum * run->unit - dip_half_value(run->terms[slot]);
        if (score > threshold) out[n++] = (dip_native_candidate){score, (uint32_t)slot, run->probe};
    }
    return n;
}

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static float dot_int8(const float *query, const int8_t *vector, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += query[i] * (float)vector[i];
    return sum;
}

static float dot_half(const float *query, const uint16_t *vector, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += query[i] * dip_half_value(vector[i]);
    return sum;
}

const dip_native_kernel dip_native_plain = {"plain", make_tables, encode,   coarse,  pick,
                                            scan,    dot,         dot_int8, dot_half};

const dip_native_kernel *dip_native_kernel_get(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    if (cpu->avx512vnni) return &dip_native_avx512vnni;
    if (cpu->avx512) return &dip_native_avx512;
    return cpu->avx2 ? &dip_native_avx2 : &dip_native_plain;
}
