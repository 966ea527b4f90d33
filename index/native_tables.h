/* The bodies of dip_native_kernel.tables and .encode, compiled once an instruction set; see native_kernel.h. */
#ifndef INDEX_NATIVE_TABLES_H
#define INDEX_NATIVE_TABLES_H

#include "index/native_kernel.h"

#include <float.h>
#include <string.h>

/* Asks for the codes of a block that is scanned a run later. */
static inline void prefetch_ahead(const dip_native_run *run, size_t block, size_t bytes)
{
    const uint8_t *codes = run->codes + (run->ahead + block) * bytes;
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(codes + i);
    __builtin_prefetch(run->terms + (run->ahead + block) * DIP_NATIVE_BLOCK);
}

static inline float code_entries(const float *query, const float *codebook, size_t sub, float *out,
                                 float *range)
{
    float sum[16] = {0}, low = FLT_MAX, high = -FLT_MAX;
    for (size_t t = 0; t < sub; t++)
        for (size_t j = 0; j < 16; j++) sum[j] += query[t] * codebook[t * 16 + j];
    for (size_t j = 0; j < 16; j++) {
        low = sum[j] < low ? sum[j] : low;
        high = sum[j] > high ? sum[j] : high;
    }
    for (size_t j = 0; j < 16; j++) out[j] = sum[j] - low;
    *range = high - low;
    return low;
}

static dip_native_levels make_tables(const float *query, const float *codebook, size_t codes,
                                     size_t sub, float *entries, uint8_t *tables)
{
    static const uint8_t places[DIP_NATIVE_GROUP] = {0, 64, 32, 96};
    float base = 0, widest = 0, range;
    for (size_t i = 0; i < codes; i++) {
        base +=
            code_entries(query + i * sub, codebook + i * sub * 16, sub, entries + i * 16, &range);
        widest = range > widest ? range : widest;
    }
    float unit = widest > 0 ? widest / DIP_NATIVE_LEVELS : 1, per_unit = 1 / unit;
    size_t groups = (codes + DIP_NATIVE_GROUP - 1) / DIP_NATIVE_GROUP;
    if (codes % DIP_NATIVE_GROUP)
        memset(tables + (groups - 1) * DIP_NATIVE_TABLE, 0, DIP_NATIVE_TABLE);
    for (size_t i = 0; i < codes; i++) {
        uint8_t level[16],
            *table = tables + i / DIP_NATIVE_GROUP * DIP_NATIVE_TABLE + places[i % 4];
        for (size_t j = 0; j < 16; j++) {
            float value = entries[i * 16 + j] * per_unit + 0.5F;
            level[j] = (uint8_t)(int32_t)(value < DIP_NATIVE_LEVELS ? value : DIP_NATIVE_LEVELS);
        }
        memcpy(table, level, 16);
        memcpy(table + 16, level, 16);
    }
    return (dip_native_levels){unit, base};
}

static inline unsigned nearest_entry(const float *residual, const float *codebook, size_t sub)
{
    float cost[16] = {0}, least = FLT_MAX;
    for (size_t t = 0; t < sub; t++)
        for (size_t j = 0; j < 16; j++) {
            float difference = residual[t] - codebook[t * 16 + j];
            cost[j] += difference * difference;
        }
    for (size_t j = 0; j < 16; j++) least = cost[j] < least ? cost[j] : least;
    unsigned nearest = 0;
    while (nearest < 15 && cost[nearest] != least) nearest++;
    return nearest;
}

static void encode(const float *residual, const float *codebook, size_t codes, size_t sub,
                   uint8_t *out)
{
    for (size_t m = 0; m < codes; m++) {
        unsigned code = nearest_entry(residual + m * sub, codebook + m * sub * 16, sub);
        out[m / 2] = (uint8_t)(m % 2 ? out[m / 2] | code << 4 : code);
    }
}

#endif
