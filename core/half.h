/**
 * float32 <-> float16 (IEEE 754 binary16), rounding to nearest, ties to even; NaN stays NaN.
 * With F16C the processor's instructions are used, which give the same bits; DIP_NO_AVX2 switches them off.
 */
#ifndef CORE_HALF_H
#define CORE_HALF_H

#include <stddef.h>
#include <stdint.h>

uint16_t dip_half_of(float value);
float dip_half_value(uint16_t half);

void dip_half_pack(uint16_t *out, const float *in, size_t n);
/** `in` need not be aligned. */
void dip_half_unpack(float *out, const void *in, size_t n);

/* Bodies for AVX2 with F16C, in half_avx2.c. */
void dip_half_pack_avx2(uint16_t *out, const float *in, size_t n);
void dip_half_unpack_avx2(float *out, const void *in, size_t n);

#endif
