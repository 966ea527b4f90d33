/* float32 <-> float16 by integer arithmetic; see half.h. */
#define _GNU_SOURCE
#include "core/half.h"

#include "core/cpu.h"

#include <string.h>

uint16_t dip_half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to 2^16 or more */
    if (magnitude >= 0x38800000) {                                 /* 2^-14: normal */
        magnitude += 0xfff + (magnitude >> 13 & 1);
        return (uint16_t)(sign | ((magnitude - 0x38000000) >> 13));
    }
    /* Subnormal: the hidden bit and 23 more, shifted so that the last one is worth 2^-24. */
    uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return (uint16_t)sign; /* below 2^-25; 2^-25 itself ties to zero below */
    uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    uint32_t shift = 126 - exponent;
    uint32_t half = mantissa >> shift, rest = mantissa & ((1u << shift) - 1);
    uint32_t middle = 1u << (shift - 1);
    if (rest > middle || (rest == middle && (half & 1))) half++;
    return (uint16_t)(sign | half);
}

float dip_half_value(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    uint32_t bits;
    float value;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0);
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        value = (float)mantissa * 0x1p-24f; /* exact */
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

void dip_half_pack(uint16_t *out, const float *in, size_t n)
{
    if (dip_cpu_get()->avx2) {
        dip_half_pack_avx2(out, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++) out[i] = dip_half_of(in[i]);
}

void dip_half_unpack(float *out, const void *in, size_t n)
{
    if (dip_cpu_get()->avx2) {
        dip_half_unpack_avx2(out, in, n);
        return;
    }
    const unsigned char *at = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, at + 2 * i, sizeof half);
        out[i] = dip_half_value(half);
    }
}
