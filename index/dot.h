/**
 * The one inner product of exact scores: sixteen partial sums, added in a fixed order, no fused multiply-add, so
 * every instruction set gives the same bits.
 */
#ifndef INDEX_DOT_H
#define INDEX_DOT_H

#include <stddef.h>

typedef float (*dip_dot_fn)(const float *a, const float *b, size_t n);

/** The body for this processor. */
dip_dot_fn dip_dot_get(void);

float dip_dot_plain(const float *a, const float *b, size_t n);
float dip_dot_avx2(const float *a, const float *b,
                   size_t n); /* only where the processor has AVX2 */

#endif
