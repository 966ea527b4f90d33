/**
 * Random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
 *
 * A generator is a plain value: save it in a checkpoint, copy it, own one a thread. The stream depends on
 * (seed, stream) alone, so work split over threads draws the same numbers for any number of threads.
 */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct dip_rng {
    uint64_t s[4];
} dip_rng;

void dip_rng_init(dip_rng *rng, uint64_t seed, uint64_t stream);
uint64_t dip_rng_u64(dip_rng *rng);
/** Uniform in [0, n), without bias; n > 0. */
uint32_t dip_rng_below(dip_rng *rng, uint32_t n);
/** Uniform in [0, 1). */
double dip_rng_uniform(dip_rng *rng);
/** Uniform in [low, high). */
double dip_rng_range(dip_rng *rng, double low, double high);
/** Standard normal (polar method, no state kept). */
double dip_rng_normal(dip_rng *rng);
/** Gamma with the given shape > 0 and unit scale (Marsaglia and Tsang, 2000). */
double dip_rng_gamma(dip_rng *rng, double shape);
/** Fisher-Yates on n 32-bit values. */
void dip_rng_shuffle(dip_rng *rng, uint32_t *values, size_t n);

#endif
