/**
 * Descriptors of photographs: gradient histograms around corners, as Lowe's SIFT (2004) has them: 4 x 4 cells of 8
 * directions, turned by the main direction, length 1, cut at 0.2, length 512 in bytes. Keypoints are random corners at
 * three scales, not extrema of scale space: enough for vectors that are distributed as real ones.
 */
#ifndef BENCH_SIFT_H
#define BENCH_SIFT_H

#include "core/rng.h"
#include "core/status.h"

enum { BENCH_SIFT_DIM = 128 };

typedef struct bench_picture {
    size_t width, height;
    float *grey; /* 0..255; free with dip_free() */
} bench_picture;

/**
 * Up to n descriptors of one picture into `out` (n, BENCH_SIFT_DIM); *count is how many the picture had corners for.
 */
dip_status bench_sift(const bench_picture *picture, size_t n, dip_rng *rng, uint8_t *out,
                      size_t *count);

#endif
