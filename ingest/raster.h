/** Raster files through GDAL: the only file of Diptych that sees gdal.h. Thread-safe. */
#ifndef INGEST_RASTER_H
#define INGEST_RASTER_H

#include <diptych/tile.h>

#include "core/status.h"

#include <stdbool.h>

/** A tile has at most so many pixels a side; anything larger is a scene that wants cutting first. */
enum { DIP_RASTER_MAX_SIDE = 16384 };

/** Registers GDAL's drivers and turns its error output into status lines. Idempotent; the rest calls it. */
void dip_raster_init(void);

/** What a raster file holds, all its bands, in file order. */
typedef struct dip_raster {
    uint32_t band_count;
    /** First word of the band's description ("B4" of "B4, central wavelength 665 nm"), "" if it has none. */
    char band_name[DIP_MAX_BANDS][DIP_WORD_CAPACITY];
    dip_plane planes[DIP_MAX_BANDS];
    int32_t epsg;
    double transform[6];             /* north up; all 0 if the file has none */
    double west, south, east, north; /* degrees WGS84, NAN if the file has no georeference */
    double gsd_m;                    /* width of a pixel on the ground, 2 digits; 0 = not known */
    int64_t time;                    /* ACQUISITIONDATETIME or TIFFTAG_DATETIME, else DIP_NO_TIME */
} dip_raster;

/**
 * Reads a file (any path that GDAL opens). Expected failures: DIP_ENOENT, DIP_EFORMAT (no raster; truncated: names
 * the band; too many bands; a pixel type we do not store). Free with dip_raster_fini().
 */
dip_status dip_raster_read(dip_raster *out, const char *path);
/** The same without georeference and time, which cost as much as the pixels of a small tile. */
dip_status dip_raster_read_pixels(dip_raster *out, const char *path);
/**
 * A GeoTIFF in memory, as somebody sent it: by its first bytes it is one, nothing but GDAL's driver for GeoTIFF opens it, and
 * what it names outside of itself is not followed. Expected failures: DIP_EFORMAT (no TIFF; damaged), DIP_ENOSPC (more than
 * `most_bytes` of pixels, in the image or in one block), DIP_EINVAL (several images).
 */
dip_status dip_raster_read_sent(dip_raster *out, const uint8_t *bytes, size_t length,
                                size_t most_bytes);
void dip_raster_fini(dip_raster *raster);

/** Corners of a footprint in degrees WGS84. */
typedef struct dip_box {
    double west, south, east, north;
} dip_box;

/**
 * Footprint of a grid, from its corners and edge midpoints. False, with every side NAN, if the system is not
 * known, a point has no place in it, or the grid reaches over the antimeridian.
 */
bool dip_raster_locate(dip_box *box, int32_t epsg, const double transform[6], uint32_t width,
                       uint32_t height);

/**
 * Writes planes of one size and pixel type as a deflated GeoTIFF, aside and renamed. Band names, georeference and
 * time go with it. Expected failure: DIP_EMISMATCH (bands of different size or type).
 */
dip_status dip_raster_write(const char *path, const dip_tile *tile, const dip_modality *modality);

/** The same into memory; *bytes is the caller's (dip_free). */
dip_status dip_raster_encode(const dip_tile *tile, const dip_modality *modality, uint8_t **bytes,
                             size_t *length);

/** 8-bit pixels (height, width, channels 1 or 3) as PNG; *bytes is the caller's (dip_free). */
dip_status dip_png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                          uint8_t **bytes, size_t *length);

/** 8-bit pixels (height, width, channels 1 or 3), borrowed. */
typedef struct dip_pixels8 {
    const uint8_t *pixels;
    uint32_t width, height, channels;
} dip_pixels8;

/**
 * A cloud-optimized GeoTIFF, with the reference system, transform and time of `meta`; *bytes is the caller's (dip_free).
 */
dip_status dip_cog_encode(const dip_pixels8 *image, const dip_meta *meta, uint8_t **bytes,
                          size_t *length);

#endif
