/**
 * The layout output: means of cells of a stage's result, each through the same linear map.
 *
 *   cell (i, j) of a stage's result (side, side, channels) averages rows i * side / grid to (i + 1) * side / grid,
 *   columns likewise; layout(i, j) = W cell(i, j), centred: less its mean over i and j
 *
 * Inside view: called by the passes of a dip_net and by train/backward.c.
 */
#ifndef ENCODER_LAYOUT_H
#define ENCODER_LAYOUT_H

#include "encoder/graph.h"

/** The stage's result of `images` images, which are number `first` and on of the call, to the track's cells. */
void dip_layout_pool(const dip_net *net, const dip_track *track, const dip_bf16 *in, size_t first,
                     size_t images);

/** The track's cells to out, (images, grid, grid, layout_channels). */
void dip_layout_forward(const dip_net *net, const dip_track *track, size_t images, float *out);

/**
 * TRAIN: from the gradient of the layout, (images, grid, grid, layout_channels), to those of its weights, added, and
 * of the stage's result, added to `gradient` unless that is NULL.
 */
void dip_layout_backward(dip_net *net, const dip_track *track, const float *d_layout, size_t images,
                         dip_bf16 *gradient);

#endif
