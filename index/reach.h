/**
 * What lies around the block products of a search: rounding with its bounds, and the scores that reach a bar.
 */
#ifndef INDEX_REACH_H
#define INDEX_REACH_H

#include "core/product.h"

#include <float.h>

/** One table an instruction set. */
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

/** Bounds of one rounded vector, or of all of a set. */
typedef struct dip_bounds {
    float norm, error, offset;
} dip_bounds;

/**
 * What the score of rounded vectors, q'.v' - offset, may differ from dip_dot's: with |q' - q| <= d and |v' - v| <= e,
 * |q'.v' - q.v| = |(q' - q).v' + q.(v' - v)| <= d |v'| + |q| e; and the float32 sums of either. d and e are measured:
 * about 0.0016 of the lengths.
 */
float dip_reach_slack(const dip_bounds *rows, const dip_bounds *query, size_t dim);

/** The bar for rounded scores if exact ones below `worst` do not count. */
static inline float dip_reach_bar(float worst, float slack)
{
    return worst - slack - FLT_EPSILON * (worst < 0 ? -worst : worst);
}

/** 32 rounded vectors (32, depth), depth a multiple of 32, as the columns of a product. panel: (32, depth). */
void dip_reach_panel(const dip_product_body *body, const dip_bf16 *vectors, size_t depth,
                     dip_bf16 *panel);

/** block (32, 32) = `count` <= 32 rows (depth apart) times a panel. All 32 rows are read; between body->enter and leave. */
void dip_reach_block(const dip_product_body *body, const dip_bf16 *rows, size_t count, size_t depth,
                     const dip_bf16 *panel, float *block);

/* Ask core/cpu.h before calling into one. */
extern const dip_reach dip_reach_plain, dip_reach_avx2, dip_reach_avx512, dip_reach_avx512bf16;

#endif
