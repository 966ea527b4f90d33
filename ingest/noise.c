/*
 * Value noise and quantile tables; see noise.h.
 *
 * An octave is bilinear interpolation, with smoothed weights, between random values on a lattice. Per row the two
 * lattice rows above and below are blended once, so that a pixel costs one interpolation.
 */
#include "ingest/noise.h"

#include "core/mem.h"

#include <math.h>
#include <string.h>

/* Standard deviation of an octave of unit amplitude: 1/3 of the uniform corners, twice times 362/462 by the weights. */
static const float octave_deviation = 0.4524f;

static float lattice_value(uint64_t seed, int32_t x, int32_t y)
{
    uint64_t hash = dip_mix(dip_mix(seed, (uint32_t)x), (uint32_t)y);
    return 2 * dip_unit(hash) - 1;
}

static float smooth(double t) { return (float)(t * t * t * (t * (t * 6 - 15) + 10)); }

typedef struct columns {
    uint32_t *cell;       /* of each pixel column */
    float *weight;        /* of the cell's right side */
    float *above, *below; /* lattice rows */
    float *row;           /* their blend */
    int32_t first;
    uint32_t lattice;
} columns;

static void fill_lattice(float *values, const columns *c, uint64_t seed, int32_t y)
{
    for (uint32_t i = 0; i < c->lattice; i++)
        values[i] = lattice_value(seed, c->first + (int32_t)i, y);
}

static void add_octave(float *field, const dip_window *w, double wavelength, float amplitude,
                       uint64_t seed, columns *c)
{
    c->first = (int32_t)floor(w->x / wavelength);
    for (uint32_t x = 0; x < w->width; x++) {
        double at = (w->x + (int32_t)x) / wavelength, cell = floor(at);
        c->cell[x] = (uint32_t)((int32_t)cell - c->first);
        c->weight[x] = smooth(at - cell);
    }
    c->lattice = c->cell[w->width - 1] + 2;
    int32_t filled = INT32_MIN;
    for (uint32_t y = 0; y < w->height; y++) {
        double at = (w->y + (int32_t)y) / wavelength, cell = floor(at);
        if ((int32_t)cell != filled) {
            filled = (int32_t)cell;
            fill_lattice(c->above, c, seed, filled);
            fill_lattice(c->below, c, seed, filled + 1);
        }
        float lower = smooth(at - cell) * amplitude, upper = amplitude - lower;
        for (uint32_t i = 0; i < c->lattice; i++)
            c->row[i] = upper * c->above[i] + lower * c->below[i];
        float *out = field + (size_t)y * w->width;
        for (uint32_t x = 0; x < w->width; x++) {
            float left = c->row[c->cell[x]], right = c->row[c->cell[x] + 1];
            out[x] += left + c->weight[x] * (right - left);
        }
    }
}

dip_status dip_noise_fill(float *field, const dip_window *window, double wavelength,
                          unsigned octaves, uint64_t seed)
{
    /* The shortest wavelength is one pixel at least, so a lattice has at most width + 3 values. */
    size_t room = window->width + 4;
    float *block = dip_alloc(room * 5 * sizeof *block);
    if (!block) return DIP_ENOMEM;
    columns c = {.cell = (uint32_t *)(block + 4 * room),
                 .weight = block,
                 .above = block + room,
                 .below = block + 2 * room,
                 .row = block + 3 * room};
    float energy = 0, amplitude = 1;
    for (unsigned o = 0; o < octaves; o++, amplitude /= 2) energy += amplitude * amplitude;
    amplitude = 1 / (octave_deviation * sqrtf(energy));
    memset(field, 0, (size_t)window->width * window->height * sizeof *field);
    for (unsigned o = 0; o < octaves; o++, amplitude /= 2, wavelength /= 2)
        add_octave(field, window, fmax(1, wavelength), amplitude, dip_mix(seed, o), &c);
    dip_free(block);
    return DIP_OK;
}

/* Inverse of a cumulative distribution that is given by a density on an even grid. */
static void invert(float *table, double low, double high, double (*log_density)(double, double),
                   double parameter)
{
    enum { STEPS = 1 << 18 };
    double step = (high - low) / STEPS, total = 0, sum = 0;
    for (int i = 0; i < STEPS; i++) total += exp(log_density(low + (i + 0.5) * step, parameter));
    int next = 0;
    for (int i = 0; i < STEPS && next < DIP_QUANTILES; i++) {
        double share = exp(log_density(low + (i + 0.5) * step, parameter)) / total;
        double target = (next + 0.5) / DIP_QUANTILES;
        while (next < DIP_QUANTILES && sum + share >= target) {
            table[next++] = (float)(low + (i + (target - sum) / share) * step);
            target = (next + 0.5) / DIP_QUANTILES;
        }
        sum += share;
    }
    for (; next < DIP_QUANTILES; next++) table[next] = (float)high;
}

static double log_normal_density(double x, double unused)
{
    (void)unused;
    return -0.5 * x * x;
}

void dip_quantiles_normal(float *table) { invert(table, -6, 6, log_normal_density, 0); }

/* Of y = ln x: density proportional to exp(looks (y - e^y)). */
static double log_speckle_density(double y, double looks) { return looks * (y - exp(y) + 1); }

void dip_quantiles_speckle_db(float *table, double looks)
{
    const double decibels = 10 / log(10.0);
    double spread = 1 / sqrt(looks);
    invert(table, -6 * spread - 14 / looks, 6 * spread, log_speckle_density, looks);
    for (int i = 0; i < DIP_QUANTILES; i++) table[i] = (float)(table[i] * decibels);
}
