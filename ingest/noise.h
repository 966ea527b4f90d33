/** Value noise on integer lattices: the random fields of simulated landscapes. Pure functions of their arguments. */
#ifndef INGEST_NOISE_H
#define INGEST_NOISE_H

#include "core/status.h"

#include <stdint.h>

/** A well mixed hash of two numbers; chains: dip_mix(dip_mix(a, b), c). */
static inline uint64_t dip_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + 0x9e3779b97f4a7c15u * (b + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/** Uniform in [0, 1) from a hash. */
static inline float dip_unit(uint64_t hash) { return (float)(hash >> 40) * 0x1p-24f; }

/** Pixels of a larger plane. */
typedef struct dip_window {
    int32_t x, y;
    uint32_t width, height;
} dip_window;

/**
 * Fractal noise of roughly unit variance into field (height, width): octaves from `wavelength` pixels downwards by
 * halves, each with half the amplitude of the one before. Expected failure: DIP_ENOMEM.
 */
dip_status dip_noise_fill(float *field, const dip_window *window, double wavelength,
                          unsigned octaves, uint64_t seed);

/** Quantiles of a distribution at 2^16 evenly spaced probabilities: a draw is one table look-up. */
enum { DIP_QUANTILES = 1 << 16 };
void dip_quantiles_normal(float *table);
/** Of 10 log10(x), x of gamma distribution with mean 1 and shape `looks`. */
void dip_quantiles_speckle_db(float *table, double looks);

#endif
