/**
 * Filters in front of zstd: they turn a plane of pixels into as many bytes that compress better, and back, exactly.
 *
 * A filtered plane is its values' lowest bytes, then the next ones, and so on. What the values are:
 *   PLANES    the pixels themselves
 *   DELTA     difference to the left neighbour (first column: to the upper one)
 *   MED       difference to the median of left, upper and left + upper - upper left (the predictor of LOCO-I:
 *             Weinberger, Seroussi and Sapiro, 2000)
 *   MED_BAND  the difference to the plane before it, filtered as MED; it must have the same type and size
 * Differences are taken of pixels mapped to unsigned integers in the same order (so that floats have differences too),
 * modulo the width of the type, and stored with the sign in the lowest bit. float64 knows PLANES only.
 */
#ifndef STORAGE_FILTER_H
#define STORAGE_FILTER_H

#include <diptych/tile.h>

#include <stdbool.h>

typedef enum dip_filter {
    DIP_FILTER_PLANES,
    DIP_FILTER_DELTA,
    DIP_FILTER_MED,
    DIP_FILTER_MED_BAND,
    DIP_FILTER_COUNT
} dip_filter;

/** Whether a plane may have this filter, with `previous` the plane before it or NULL. */
bool dip_filter_fits(dip_filter filter, const dip_plane *plane, const dip_plane *previous);

/** The filter that promises the fewest bytes. scratch: 2 values a pixel. */
dip_filter dip_filter_choose(const dip_plane *plane, const dip_plane *previous, uint32_t *scratch);

/** out: as many bytes as the plane has. scratch: 2 values a pixel. */
void dip_filter_apply(dip_filter filter, const dip_plane *plane, const dip_plane *previous,
                      uint8_t *out, uint32_t *scratch);
/** Fills plane->pixels. scratch: 1 value a pixel. */
void dip_filter_undo(dip_filter filter, const uint8_t *in, const dip_plane *previous,
                     dip_plane *plane, uint32_t *scratch);

#endif
