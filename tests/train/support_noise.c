/* See support_noise.h. */
#include "support_noise.h"

#include <math.h>
#include <stdlib.h>

float noise(uint32_t seed, uint32_t at)
{
    static const uint32_t shifts[] = {16, 13}, factors[] = {0x85ebca6b, 0xc2b2ae35};
    uint32_t x = at * 0x9e3779b1u + seed;
    for (int i = 0; i < 2; i++) x = (x ^ x >> shifts[i]) * factors[i];
    x ^= x >> 16;
    return (float)(x >> 8) / 8388608.0f - 1;
}

uint32_t noise_seed(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

float *noise_values(uint32_t seed, size_t count, float amplitude)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = amplitude * noise(seed, (uint32_t)i);
    return values;
}

double noise_difference(const float *values, size_t count, const double *expected)
{
    double squares = 0;
    for (uint32_t p = 0; p < NOISE_PROJECTIONS; p++) {
        double dot = 0;
        for (size_t i = 0; i < count; i++)
            dot += sqrt(3.0) * noise(1000 + p, (uint32_t)i) * values[i];
        squares += (dot - expected[1 + p]) * (dot - expected[1 + p]);
    }
    return sqrt(squares / NOISE_PROJECTIONS) / (expected[0] + 1e-12);
}
