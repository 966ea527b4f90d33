/**
 * Augmentation: which window of a tile a step sees, how it is turned, and noise on its values.
 *
 * Everything is drawn from the caller's generator, so that what a step sees depends on seed, epoch and pair alone.
 */
#ifndef TRAIN_AUGMENT_H
#define TRAIN_AUGMENT_H

#include "core/rng.h"
#include "core/status.h"

#include <diptych/tile.h>

#include <stdbool.h>

typedef struct dip_augment {
    double zoom_min, zoom_max; /* side of the window, as a share of the tile's; uniform in area */
    bool flips, rotations;     /* mirrored; turned by quarters */
    double gain, offset;       /* each band: x * (1 + U(-gain, gain)) + U(-offset, offset) */
    double noise; /* standard deviation of white noise, in standard deviations of the band */
    double
        speckle; /* relative standard deviation of the intensity of radar bands: 1 / sqrt(looks) */
    double band_drop; /* probability that a band is set to its mean; one band stays */
    double cutout;    /* probability that a square of 1/8 .. 1/3 of the side is set to the mean */
} dip_augment;

/** A square window and its orientation; positions are shares of the room that the window leaves. */
typedef struct dip_view {
    double side, x, y; /* of the tile's shorter side; 0..1 */
    unsigned turns;    /* quarter turns */
    bool mirror;
} dip_view;

/** The largest centred square, as it is: what the encoder sees at inference. */
dip_view dip_view_whole(void);
/** Draws the same number of values for any settings. */
dip_view dip_view_draw(const dip_augment *augment, dip_rng *rng);

/**
 * Cuts the view out of a (height, width, bands) image: out (px, px, bands). `scratch` has the size of `out`.
 */
dip_status dip_view_cut(const dip_view *view, const float *image, uint32_t width, uint32_t height,
                        uint32_t bands, uint32_t px, float *scratch, float *out);

/** Whether speckle knows the band's unit: "dB", "amplitude" or "power". */
bool dip_band_has_speckle(const dip_band *band);

/** Gain, offset, noise, speckle, dropped bands and cut-outs on normalised values, in place. */
void dip_augment_values(const dip_augment *augment, const dip_modality *modality, uint32_t px,
                        dip_rng *rng, float *values);

#endif
