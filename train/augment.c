/*
 * Augmentation; see augment.h. Speckle of L = 1 / s^2 looks multiplies the intensity by a gamma variate of mean 1 and
 * shape L, each pixel and band its own; what that does to the stored value depends on the band's unit.
 * [Goodman, Speckle Phenomena in Optics, 2007]
 */
#include "train/augment.h"

#include "encoder/prepare.h"

#include <math.h>
#include <string.h>

/* ---- views ---- */

dip_view dip_view_whole(void) { return (dip_view){.side = 1, .x = 0.5, .y = 0.5}; }

dip_view dip_view_draw(const dip_augment *augment, dip_rng *rng)
{
    double low = augment->zoom_min * augment->zoom_min,
           high = augment->zoom_max * augment->zoom_max;
    dip_view view = {.side = sqrt(dip_rng_range(rng, low, high))};
    view.x = dip_rng_uniform(rng);
    view.y = dip_rng_uniform(rng);
    uint32_t turns = dip_rng_below(rng, 4), mirror = dip_rng_below(rng, 2);
    view.turns = augment->rotations ? turns : 0;
    view.mirror = augment->flips && mirror;
    return view;
}

dip_status dip_view_cut(const dip_view *view, const float *image, uint32_t width, uint32_t height,
                        uint32_t bands, uint32_t px, float *scratch, float *out)
{
    double side = view->side * (width < height ? width : height);
    double x = view->x * (width - side), y = view->y * (height - side);
    bool turned = view->turns || view->mirror;
    dip_status status =
        dip_resample(image, width, height, bands, x, y, side, side, px, turned ? scratch : out);
    if (!status && turned) dip_orient(scratch, view->turns, view->mirror, px, bands, out);
    return status;
}

/* ---- values ---- */

/* Gain and offset of each band; a dropped band has neither. */
static void draw_lines(const dip_augment *augment, uint32_t bands, dip_rng *rng, float *gain,
                       float *offset)
{
    uint32_t kept = dip_rng_below(rng, bands);
    for (uint32_t b = 0; b < bands; b++) {
        gain[b] = (float)(1 + dip_rng_range(rng, -augment->gain, augment->gain));
        offset[b] = (float)dip_rng_range(rng, -augment->offset, augment->offset);
        if (dip_rng_uniform(rng) < augment->band_drop && b != kept) gain[b] = offset[b] = 0;
    }
}

static void add_lines(const dip_augment *augment, uint32_t bands, size_t pixels, dip_rng *rng,
                      float *values)
{
    float gain[DIP_MAX_BANDS], offset[DIP_MAX_BANDS];
    draw_lines(augment, bands, rng, gain, offset);
    for (size_t i = 0; i < pixels; i++)
        for (uint32_t b = 0; b < bands; b++)
            values[i * bands + b] = values[i * bands + b] * gain[b] + offset[b];
}

/* A normalised value after its intensity was multiplied by `factor`. */
static float speckled(float value, const dip_band *band, double factor)
{
    double scale = band->stddev > 0 ? band->stddev : 1;
    if (!strcmp(band->unit, "dB")) return (float)(value + 10 * log10(factor) / scale);
    double stored = value * scale + band->mean;
    stored *= !strcmp(band->unit, "power") ? factor : sqrt(factor);
    return (float)((stored - band->mean) / scale);
}

bool dip_band_has_speckle(const dip_band *band)
{
    return !strcmp(band->unit, "dB") || !strcmp(band->unit, "amplitude") ||
           !strcmp(band->unit, "power");
}

static void add_speckle(double strength, const dip_modality *modality, size_t pixels, dip_rng *rng,
                        float *values)
{
    double looks = 1 / (strength * strength);
    uint32_t bands = modality->band_count;
    for (uint32_t b = 0; b < bands; b++) {
        if (!dip_band_has_speckle(&modality->bands[b])) continue;
        for (size_t i = 0; i < pixels; i++) {
            double factor = fmax(dip_rng_gamma(rng, looks) / looks, 1e-6);
            values[i * bands + b] = speckled(values[i * bands + b], &modality->bands[b], factor);
        }
    }
}

static void cut_out(uint32_t bands, uint32_t px, dip_rng *rng, float *values)
{
    uint32_t least = px / 8 ? px / 8 : 1, most = px / 3 > least ? px / 3 : least;
    uint32_t side = least + dip_rng_below(rng, most - least + 1);
    uint32_t x = dip_rng_below(rng, px - side + 1), y = dip_rng_below(rng, px - side + 1);
    for (uint32_t row = y; row < y + side; row++)
        memset(values + ((size_t)row * px + x) * bands, 0, (size_t)side * bands * sizeof *values);
}

void dip_augment_values(const dip_augment *augment, const dip_modality *modality, uint32_t px,
                        dip_rng *rng, float *values)
{
    uint32_t bands = modality->band_count;
    size_t pixels = (size_t)px * px;
    if (augment->speckle > 0) add_speckle(augment->speckle, modality, pixels, rng, values);
    if (augment->gain > 0 || augment->offset > 0 || augment->band_drop > 0)
        add_lines(augment, bands, pixels, rng, values);
    for (size_t i = 0; augment->noise > 0 && i < pixels * bands; i++)
        values[i] += (float)(augment->noise * dip_rng_normal(rng));
    if (augment->cutout > 0 && dip_rng_uniform(rng) < augment->cutout)
        cut_out(bands, px, rng, values);
}
