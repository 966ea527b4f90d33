/** From a tile's planes to the network's input: one grid, chosen window, normalised. */
#ifndef ENCODER_PREPARE_H
#define ENCODER_PREPARE_H

#include <diptych/status.h>
#include <diptych/tile.h>

#include <stdbool.h>

/**
 * Brings all planes to the finest plane's grid (Catmull-Rom bicubic, as GDAL's "cubic") and normalises
 * with (value - mean) / stddev of `modality`. out: (height, width, bands) float32, height and width those of the
 * finest plane; needs dip_prepare_size() floats. DIP_EFORMAT names the band with a NaN or infinite pixel.
 */
dip_status dip_prepare(const dip_tile *tile, const dip_modality *modality, float *out);
/** Side lengths of the finest plane. */
void dip_prepare_size(const dip_tile *tile, uint32_t *width, uint32_t *height);

/**
 * Resamples the window (x, y, w, h; in pixels, fractions allowed) of a (height, width, bands) image to
 * (px, px, bands): area average when shrinking, bilinear when growing. The pixels outside clamp to the edge.
 * Expected failure: DIP_ENOMEM.
 */
dip_status dip_resample(const float *image, uint32_t width, uint32_t height, uint32_t bands,
                        double x, double y, double w, double h, uint32_t px, float *out);

/**
 * Mirrors a (px, px, bands) image left to right (if `mirror`), then turns it by quarters counter-clockwise:
 * turns 0..3. `out` is another image.
 */
void dip_orient(const float *in, unsigned turns, bool mirror, uint32_t px, uint32_t bands,
                float *out);

#endif
