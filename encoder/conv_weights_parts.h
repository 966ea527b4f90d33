/**
 * The three ways of conv_weights.c to get pixels under the block product, k running over pixels.
 *
 * Each adds the gradient of some images and some blocks of 32 window columns (taps and input channels) to sums.
 * For `images` and `flat` a block stands for 32 input channels with all their taps; for `gather` for 32
 * consecutive columns of the gathered rows.
 */
#ifndef ENCODER_CONV_WEIGHTS_PARTS_H
#define ENCODER_CONV_WEIGHTS_PARTS_H

#include "encoder/conv_weights.h"

typedef struct dip_weights_part {
    const dip_workspace *workspace;
    const dip_conv_weights_job *job;
    size_t first_image, last_image, first_block, last_block; /* [first, last) */
    float *sums;                                             /* (out_channels, depth) */
    char *scratch;
} dip_weights_part;

void dip_weights_gather(const dip_weights_part *part);
size_t dip_weights_gather_scratch(const dip_conv_pass *pass);
void dip_weights_images(const dip_weights_part *part);
size_t dip_weights_images_scratch(const dip_conv_pass *pass);
void dip_weights_flat(const dip_weights_part *part);
size_t dip_weights_flat_scratch(const dip_conv_pass *pass);

/** A pixel of zeros, wide enough for any layer. */
extern const dip_bf16 dip_weights_zeros[];

/**
 * Tiles of dY transposed from 32 pixels of it: channels [16 t, 16 t + 16) go to tiles + t * stride.
 */
void dip_weights_tiles(const dip_product_body *body, const dip_bf16 *const rows[DIP_BLOCK],
                       size_t channels, dip_bf16 *tiles, size_t stride);

/** product->b, b_*, a_step, a_segment, segments, steps and c_row are set; `tiles`, strided as above, is A. */
void dip_weights_multiply(const dip_weights_part *part, dip_product *product, const dip_bf16 *tiles,
                          size_t stride, size_t column);

/** Rows of output worked on at a time, when one takes `row_bytes` of scratch, evenly cut. */
size_t dip_weights_band(const dip_conv_pass *pass, size_t row_bytes);

#endif
