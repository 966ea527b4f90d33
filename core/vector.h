/**
 * A float vector as wide as the file's instruction set, for kernel_loops.h and kernel_product.h.
 *
 * Only kernel_*.c include this: each is compiled for its own instruction set, so the same text becomes
 * SSE2, AVX2 or AVX-512 code. GCC's and Clang's vector types do the lane-wise arithmetic; what they lack (fused
 * multiply-add, native rounding to bfloat16) is named here once a set.
 */
#ifndef CORE_VECTOR_H
#define CORE_VECTOR_H

#include "core/product.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

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

/** gcc 12 would widen half a vector at a time. */
static inline vf vf_load_bf16(const dip_bf16 *from)
{
#if defined(__AVX512F__)
    const vu word = (vu)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from));
#elif defined(__AVX2__)
    const vu word = (vu)_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)from));
#else
    vh half;
    memcpy(&half, from, sizeof half);
    const vu word = __builtin_convertvector(half, vu);
#endif
    return (vf)(word << 16);
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

/** Cut to 0 .. most; a NaN becomes 0. */
static inline vf vf_clamp(vf v, vf most)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps(_mm512_max_ps((__m512)v, _mm512_setzero_ps()), (__m512)most);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps(_mm256_max_ps((__m256)v, _mm256_setzero_ps()), (__m256)most);
#else
    v = vf_keep(vf_positive(v), v);
    return (vf)vu_select((vu)(v > most), (vu)most, (vu)v);
#endif
}

/** Rounds to nearest even, cut to 0..255: adding 1.5 * 2^23 leaves the integer in the low bits. */
static inline void vf_store_u8(uint8_t *to, vf v)
{
    typedef uint8_t bytes __attribute__((vector_size(LANES)));
    const vu word = (vu)(vf_clamp(v, vf_set(255)) + vf_set(12582912)) & 0xff;
    const bytes out = __builtin_convertvector(word, bytes);
    memcpy(to, &out, sizeof out);
}

typedef int32_t vi __attribute__((vector_size(sizeof(vf))));

/** gcc 12 would convert bytes one by one. */
static inline vf vf_load_u8(const uint8_t *from)
{
#if defined(__AVX512F__)
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)from)));
#elif defined(__AVX2__)
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)from)));
#else
    vi in;
    for (int i = 0; i < LANES; i++) in[i] = from[i];
    return __builtin_convertvector(in, vf);
#endif
}

/** int32 values that lie in the memory of floats. */
static inline vf vf_load_integers(const float *from)
{
    vi in;
    memcpy(&in, from, sizeof in);
    return __builtin_convertvector(in, vf);
}

#endif
