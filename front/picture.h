/** A tile as a picture: the modality's display bands, stretched between percentiles, as 8-bit pixels. */
#ifndef FRONT_PICTURE_H
#define FRONT_PICTURE_H

#include <diptych/tile.h>

#include "core/status.h"

typedef struct dip_picture {
    uint32_t width, height, channels; /* channels 1 (grey) or 3 */
    uint8_t *pixels;                  /* (height, width, channels), owned */
} dip_picture;

/**
 * Each channel is stretched between its 2nd and 98th percentile, but over no less than a part of what the band
 * varies in the archive, so that a calm lake stays calm. Radar (unit "amplitude", "power", "dB") is shown in dB.
 * Free with dip_picture_fini().
 */
dip_status dip_picture_render(dip_picture *out, const dip_tile *tile, const dip_modality *modality);
void dip_picture_fini(dip_picture *picture);

/** The same as PNG; *bytes is the caller's (dip_free). */
dip_status dip_picture_png(const dip_tile *tile, const dip_modality *modality, uint8_t **bytes,
                           size_t *length);

/** The bands that a picture shows, 1 or 3, as positions: those that the modality names, else its first. */
uint32_t dip_picture_bands(const dip_modality *modality, uint32_t bands[3]);

/** "B04, B03, B02" or "VV, dB": what the picture shows, into `out`. */
void dip_picture_caption(const dip_modality *modality, char *out, size_t capacity);

#endif
