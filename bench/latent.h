/**
 * SIMULATED embeddings: unit vectors that cluster as those of a two-modality archive do. They stand in where no real set is
 * large enough, and whatever is measured on them is to be called simulated.
 *
 * Places are points of a latent space: scenes of different frequency in families. Each modality has an encoder of its own, a
 * random two-layer network; that of the other modality is a disturbed copy with an offset, so its queries lie outside the
 * distribution of the base, as a radar tile's embedding does among optical ones. A vector depends on (seed, set, number)
 * alone.
 */
#ifndef BENCH_LATENT_H
#define BENCH_LATENT_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/** Base and same-modality queries come from one encoder, OTHER from the other. */
typedef enum bench_latent_set {
    BENCH_LATENT_BASE,
    BENCH_LATENT_SAME,
    BENCH_LATENT_OTHER
} bench_latent_set;

enum { BENCH_LATENT_BLOCK = 512 };

typedef struct bench_latent bench_latent;

dip_status bench_latent_create(bench_latent **out, size_t dim, uint64_t seed);
void bench_latent_destroy(bench_latent *model);

/** Floats of scratch memory that a call of bench_latent_block() needs. */
size_t bench_latent_scratch(const bench_latent *model);

/** Vectors [block * BENCH_LATENT_BLOCK, ...) of a set, (BENCH_LATENT_BLOCK, dim). Any number of threads at once. */
void bench_latent_block(const bench_latent *model, bench_latent_set set, uint64_t block,
                        float *scratch, float *vectors);

#endif
