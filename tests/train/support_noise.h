/* Numbers that C and the scripts beside reference files make alike, and comparisons with what the scripts stored. */
#ifndef TESTS_TRAIN_SUPPORT_NOISE_H
#define TESTS_TRAIN_SUPPORT_NOISE_H

#include <stddef.h>
#include <stdint.h>

enum { NOISE_PROJECTIONS = 32 };

/** Uniform in [-1, 1), from a 32-bit mix of seed and position. */
float noise(uint32_t seed, uint32_t at);
/** FNV-1a of a name. */
uint32_t noise_seed(const char *name);
/** `count` of them times `amplitude`; free with free(). */
float *noise_values(uint32_t seed, size_t count, float amplitude);

/** Norm of the difference, relative, estimated from expected[0], the norm, and [1..], the projections on noise. */
double noise_difference(const float *values, size_t count, const double *expected);

#endif
