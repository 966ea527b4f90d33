/** bfloat16: the upper half of a float32. */
#ifndef CORE_BF16_H
#define CORE_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t dip_bf16;

static inline float dip_bf16_float(dip_bf16 value)
{
    uint32_t word = (uint32_t)value << 16;
    float result;
    memcpy(&result, &word, sizeof result);
    return result;
}

/** Rounds to nearest even; a NaN stays one. */
static inline dip_bf16 dip_bf16_round(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    uint32_t rounded = (word + 0x7fff + (word >> 16 & 1)) >> 16, quiet = word >> 16 | 0x40;
    return (dip_bf16)((word & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

#endif
