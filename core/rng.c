/* Random numbers; see rng.h. */
#include "core/rng.h"

#include <math.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void dip_rng_init(dip_rng *rng, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    uint64_t mixed = splitmix(&state) ^ (stream * 0xd1342543de82ef95u + 1);
    for (int i = 0; i < 4; i++) rng->s[i] = splitmix(&mixed);
}

static inline uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t dip_rng_u64(dip_rng *rng)
{
    uint64_t *s = rng->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint32_t dip_rng_below(dip_rng *rng, uint32_t n)
{
    uint32_t threshold = -n % n; /* Lemire, 2019 */
    for (;;) {
        uint64_t product = (dip_rng_u64(rng) >> 32) * n;
        if ((uint32_t)product >= threshold) return (uint32_t)(product >> 32);
    }
}

double dip_rng_uniform(dip_rng *rng) { return (double)(dip_rng_u64(rng) >> 11) * 0x1p-53; }

double dip_rng_range(dip_rng *rng, double low, double high)
{
    return low + (high - low) * dip_rng_uniform(rng);
}

double dip_rng_normal(dip_rng *rng)
{
    for (;;) {
        double u = dip_rng_range(rng, -1, 1), v = dip_rng_range(rng, -1, 1), q = u * u + v * v;
        if (q > 0 && q < 1) return u * sqrt(-2 * log(q) / q);
    }
}

double dip_rng_gamma(dip_rng *rng, double shape)
{
    if (shape < 1) {
        double boost = pow(1 - dip_rng_uniform(rng), 1 / shape);
        return dip_rng_gamma(rng, shape + 1) * boost;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = dip_rng_normal(rng), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        double u = 1 - dip_rng_uniform(rng);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}

void dip_rng_shuffle(dip_rng *rng, uint32_t *values, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = dip_rng_below(rng, (uint32_t)i);
        uint32_t t = values[i - 1];
        values[i - 1] = values[j];
        values[j] = t;
    }
}
