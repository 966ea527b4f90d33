/**
 * What lies around the block products of a search: rounding with its bounds, and the scores that reach a bar. One table an
 * instruction set.
 */
#ifndef INDEX_REACH_H
#define INDEX_REACH_H

#include "core/product.h"

typedef struct dip_reach {
    /**
     * Rounds a vector to bfloat16, with zeros up to a multiple of DIP_BLOCK. norm, error: upper bounds of its length and
     * of the length of what rounding changed.
     */
    void (*round)(const float *vector, size_t dim, dip_bf16 *out, float *norm, float *error);

    /**
     * marks[r]: bit c is set where block[r][c] - offsets[r] >= bars[c]; `block` is (32, 32), as a product leaves it. Returns
     * all marks together.
     */
    uint32_t (*mark)(const float *block, size_t rows, const float *offsets, const float *bars,
                     uint32_t *marks);
} dip_reach;

/** The table for this processor. */
const dip_reach *dip_reach_get(void);

/* Ask core/cpu.h before calling into one. */
extern const dip_reach dip_reach_plain, dip_reach_avx2, dip_reach_avx512, dip_reach_avx512bf16;

#endif
