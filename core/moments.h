/**
 * Mean and spread of values over much data, gathered in parts.
 */
#ifndef CORE_MOMENTS_H
#define CORE_MOMENTS_H

#include "core/progress.h"
#include "core/status.h"

#include <stddef.h>

/** Zero it to begin. */
typedef struct dip_moments {
    double count, mean, squares; /* squares: summed, of the distances to the mean */
} dip_moments;

/** Adds one value. [Welford, 1962] */
void dip_moments_add(dip_moments *moments, double value);
/** Standard deviation of what was seen; 0 of nothing. */
double dip_moments_deviation(const dip_moments *moments);

/** Fills `out`, as many zeroed moments as there are values, from one part of the data. */
typedef dip_status (*dip_moments_fn)(void *context, size_t part, dip_moments *out);

/**
 * The moments of n values over all of the data: fn for parts 0..parts-1 on all threads, joined in the order of the parts,
 * so that rounding does not depend on threads [Chan, Golub and LeVeque, 1983]. total: (n), overwritten.
 * Expected failures: those of fn; DIP_ECANCEL.
 */
dip_status dip_moments_gather(dip_moments *total, size_t n, size_t parts, dip_moments_fn fn,
                              void *context, const dip_progress *progress);

#endif
