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
    uint32_t size_px; /* side of the 10 m grid, even, 16 to 1024; 120 as BigEarthNet */
    double looks;     /* of the radar image, 0.5 to 1000; 4.4 as Sentinel-1 GRD */
} dip_simulation;

/**
 * Adds places to an archive, modalities "s1" (VV, VH) and "s2" (ten bands). Place i depends on (seed, size_px, looks,
 * i) alone, so running it again continues. Sixteen neighbouring places are a scene; of ten scenes seven are for
 * training, one for validation, two for tests.
 * Expected failures: DIP_EINVAL (a number out of range), DIP_EMISMATCH (the archive has other modalities of these
 * names), DIP_ECANCEL, those of the store.
 */
dip_status dip_simulate(dip_archive *archive, const dip_simulation *simulation,
                        const dip_progress *progress);

/* ---- single places, without an archive ---- */

typedef struct dip_simulator dip_simulator;

/** Expected failure: DIP_EINVAL. */
dip_status dip_simulator_create(dip_simulator **out, const dip_simulation *simulation);
void dip_simulator_destroy(dip_simulator *simulator);

/** Which of a pair. */
typedef enum dip_simulated { DIP_SIMULATED_S1, DIP_SIMULATED_S2 } dip_simulated;
void dip_simulator_modality(dip_modality *out, dip_simulated which);

/** Both tiles of one place; their meta lives as long as they do and has no ids. */
typedef struct dip_pair {
    dip_tile tile[2]; /* by dip_simulated */
    char name[48], scene[48], source[64], labels[192], extra[64];
} dip_pair;

/** Any number of threads at once. Freed with dip_pair_destroy(). */
dip_status dip_simulator_place(dip_pair **out, const dip_simulator *simulator, uint64_t place);
void dip_pair_destroy(dip_pair *pair);

#endif
