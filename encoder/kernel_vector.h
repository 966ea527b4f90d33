/**
 * A float vector as wide as the file's instruction set, for kernel_loops.h and kernel_product.h.
 *
 * Only kernel_*.c include this: each is compiled for its own instruction set, so the same text becomes
 * SSE2, AVX2 or AVX-512 code. GCC's and Clang's vector types do the lane-wise arithmetic; what they lack (fused
 * multiply-add, native rounding to bfloat16) is named here once a set.
 */
#ifndef ENCODER_KERNEL_VECTOR_H
#define ENCODER_KERNEL_VECTOR_H

#include "encoder/kernel.h"

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
typedef float vf __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef uint16_t vh __attribute__((vector_size(32)));
#elif defined(__AVX2__)
enum { LANES = 8 };
typedef float vf __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));
typedef uint16_t vh __attribute__((vector_size(16)));
#else
enum { LANES = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef uint16_t vh __attribute__((vector_size(8)));
#endif

enum { VECTORS = DIP_BLOCK / LANES }; /* vectors in 32 columns */

static inline vf vf_load(const float *from)
{
    vf v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void vf_store(float *to, vf v) { memcpy(to, &v, sizeof v); }

/** Minus, not plus: x - 0 is x for every x, so nothing is left to compute. */
static inline vf vf_set(float value) { return value - (vf){0}; }

static inline vf vf_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/** All bits set where v > 0. */
static inline vu vf_positive(vf v) { return (vu)(v > (vf){0}); }

static inline vf vf_keep(vu mask, vf v) { return (vf)((vu)v & mask); }

/** Zero where v < 0; a NaN stays, so that it reaches somebody who looks. */
static inline vf vf_relu(vf v) { return vf_keep((vu)(v >= (vf){0}) | (vu)(v != v), v); }

static inline vu vu_select(vu mask, vu yes, vu no) { return (yes & mask) | (no & ~mask); }

static inline vf vf_load_bf16(const dip_bf16 *from)
{
    vh half;
    memcpy(&half, from, sizeof half);
    return (vf)(__builtin_convertvector(half, vu) << 16);
}

static inline void vf_store_bf16(dip_bf16 *to, vf v)
{
#if defined(__AVX512BF16__)
    __m256bh half = _mm512_cvtneps_pbh((__m512)v);
#else
    vu word = (vu)v, rounded = (word + 0x7fff + (word >> 16 & 1)) >> 16;
    vu is_nan = (vu)((word & 0x7fffffff) > 0x7f800000);
    vh half = __builtin_convertvector(vu_select(is_nan, word >> 16 | 0x40, rounded), vh);
#endif
    memcpy(to, &half, sizeof half);
}

#endif
