/** The images of simulated ground: what the optical and the radar sensor record. */
#ifndef INGEST_RENDER_H
#define INGEST_RENDER_H

#include <diptych/tile.h>

#include "core/rng.h"
#include "ingest/land.h"

/** Tables of noise, made once a simulation. */
typedef struct dip_sensors {
    float *normal;  /* quantiles of the standard normal distribution */
    float *speckle; /* of the speckle, dB */
} dip_sensors;

dip_status dip_sensors_init(dip_sensors *sensors, double looks);
void dip_sensors_fini(dip_sensors *sensors);

/**
 * Ten bands of reflectance x 10000, uint16: B02, B03, B04, B08 of `size` pixels, B05, B06, B07, B8A, B11, B12 of half
 * of that; in the order B02 B03 B04 B05 B06 B07 B08 B8A B11 B12. `size` is even. Pixels are the caller's (dip_free),
 * also after a failure.
 */
dip_status dip_render_optical(dip_plane *planes, const dip_ground *ground, const dip_region *region,
                              const dip_sensors *sensors, dip_rng *rng);

/** Two bands, VV and VH, dB, float32. */
dip_status dip_render_radar(dip_plane *planes, const dip_ground *ground, const dip_sensors *sensors,
                            dip_rng *rng);

#endif
