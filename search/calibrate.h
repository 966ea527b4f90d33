/** Calibration: what score do random pairs of different places have? */
#ifndef SEARCH_CALIBRATE_H
#define SEARCH_CALIBRATE_H

#include "index/generation.h"
#include "index/supply.h"

/** Vectors of one modality with the places of their tiles. */
typedef struct dip_calibration_side {
    const dip_supply *supply;
    const uint64_t *places; /* (supply->n) */
} dip_calibration_side;

/**
 * Takes pairs (one of each side, different places), all if there are not too many, else random ones, and fills
 * out->quantile.
 * *pairs gets their number, 0 if no two tiles are of different places (then `out` is untouched).
 */
dip_status dip_calibrate(const dip_calibration_side *from, const dip_calibration_side *to,
                         uint64_t seed, dip_calibration *out, size_t *pairs);

/** Share of random pairs that score lower than `score`, 0..100; NAN without calibration (NULL). */
float dip_calibration_percentile(const dip_calibration *calibration, float score);

/** The direction's calibration in a manifest, or NULL. */
const dip_calibration *dip_calibration_find(const dip_manifest *manifest, const char *from,
                                            const char *to);

#endif
