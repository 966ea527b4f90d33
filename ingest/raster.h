/** Raster files through GDAL: the only file of Diptych that sees gdal.h. Thread-safe after dip_raster_init(). */
#ifndef INGEST_RASTER_H
#define INGEST_RASTER_H

#include <diptych/tile.h>

#include "core/status.h"

/** Registers GDAL's drivers and turns its error output into status lines. Idempotent. */
void dip_raster_init(void);

/** What a raster file holds, all its bands, in file order. */
typedef struct dip_raster {
    uint32_t band_count;
    char band_name[DIP_MAX_BANDS]
                  [DIP_WORD_CAPACITY]; /* the band's description, "" if it has none */
    dip_plane planes[DIP_MAX_BANDS];
    int32_t epsg;
    double transform[6];
    double west, south, east, north; /* degrees WGS84, NAN if the file has no georeference */
    int64_t time; /* TIFFTAG_DATETIME or ACQUISITION metadata, else DIP_NO_TIME */
} dip_raster;

/**
 * Reads a file (any path that GDAL opens). Expected failures: DIP_ENOENT, DIP_EFORMAT (no raster; truncated: names
 * the band; too many bands; a pixel type we do not store). Free with dip_raster_fini().
 */
dip_status dip_raster_read(dip_raster *out, const char *path);
void dip_raster_fini(dip_raster *raster);

/** Writes planes of one size as a deflated GeoTIFF (export, simulate). */
dip_status dip_raster_write(const char *path, const dip_tile *tile, const dip_modality *modality);

/** 8-bit pixels (height, width, channels 1 or 3) as PNG; *bytes is the caller's (dip_free). */
dip_status dip_png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                          uint8_t **bytes, size_t *length);

#endif
