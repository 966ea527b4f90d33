/**
 * Numbers in few bytes: arrays of whole numbers of 1 to 4 bytes each, and scales of one byte.
 */
#ifndef INDEX_PACKED_H
#define INDEX_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Bytes of a number that is at most `most`. */
static inline unsigned dip_packed_width(uint64_t most)
{
    return most >> 24 ? 4 : most >> 16 ? 3 : most >> 8 ? 2 : 1;
}

/** The i-th number of an array: `width` bytes each, the lowest first. */
static inline uint32_t dip_packed_get(const uint8_t *bytes, unsigned width, size_t i)
{
    const uint8_t *at = bytes + i * width;
    uint32_t low = at[0];
    if (width == 1) return low;
    low |= (uint32_t)at[1] << 8;
    if (width == 2) return low;
    low |= (uint32_t)at[2] << 16;
    return width == 3 ? low : low | (uint32_t)at[3] << 24;
}

static inline void dip_packed_put(uint8_t *bytes, unsigned width, size_t i, uint32_t value)
{
    for (unsigned b = 0; b < width; b++) bytes[i * width + b] = (uint8_t)(value >> 8 * b);
}

/* A scale: 4 bits of exponent, 4 of mantissa, (16 + m) 2^(e - 25). As bits of a float: */
enum { DIP_SCALE_SHIFT = 19, DIP_SCALE_LEAST = 106 << 23 };

static inline float dip_scale_value(uint8_t scale)
{
    const uint32_t bits = ((uint32_t)scale << DIP_SCALE_SHIFT) + DIP_SCALE_LEAST;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/** The least scale that is not below a positive value; the greatest, 1 / 33, if none is. */
static inline uint8_t dip_scale_above(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits <= DIP_SCALE_LEAST) return 0;
    bits = (bits - DIP_SCALE_LEAST + (1U << DIP_SCALE_SHIFT) - 1) >> DIP_SCALE_SHIFT;
    return bits < UINT8_MAX ? (uint8_t)bits : UINT8_MAX;
}

#endif
