/**
 * A simulated paired archive from a physical sketch; everything in it is labelled as simulated.
 *
 * Places carry a land-cover field (terrain, parcels, water, settlement); s2 is reflectance by cover with variation and
 * illumination, s1 is backscatter by cover (dB) with multiplicative gamma speckle of a given number of looks.
 */
#ifndef INGEST_SIMULATE_H
#define INGEST_SIMULATE_H

#include <diptych/archive.h>

#include "core/progress.h"

typedef struct dip_simulation {
    uint64_t seed;
    uint64_t places;  /* pairs */
    uint32_t size_px; /* side of the 10 m grid; 120 */
    double looks;     /* of the radar image; 4.4 as Sentinel-1 GRD */
} dip_simulation;

/** Adds places to an archive; place i depends on (seed, i) alone, so running it again continues. */
dip_status dip_simulate(dip_archive *archive, const dip_simulation *simulation,
                        const dip_progress *progress);

#endif
