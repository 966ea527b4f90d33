/**
 * The plain types of a tile: bands, modalities, pixel planes, metadata.
 *
 * A tile is one image of one place by one modality. A modality is a named list of bands; nothing in Diptych
 * knows how many modalities there are or what they are called.
 */
#ifndef DIPTYCH_TILE_H
#define DIPTYCH_TILE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DIP_NO_ID UINT64_MAX  /* no tile, no place */
#define DIP_NO_TIME INT64_MIN /* acquisition time not known */

enum {
    DIP_WORD_CAPACITY = 32, /* names of bands, modalities, units, with the 0 byte */
    DIP_MAX_BANDS = 64,     /* a modality */
    DIP_MAX_MODALITIES = 16 /* an archive */
};

typedef enum dip_dtype {
    DIP_DTYPE_U8 = 1,
    DIP_DTYPE_U16,
    DIP_DTYPE_I16,
    DIP_DTYPE_U32,
    DIP_DTYPE_I32,
    DIP_DTYPE_F32,
    DIP_DTYPE_F64
} dip_dtype;

/** Bytes of one value; 0 for an unknown type. */
size_t dip_dtype_size(dip_dtype dtype);
/** "uint8", "int16", "float32", ...; NULL for an unknown type. */
const char *dip_dtype_name(dip_dtype dtype);

typedef struct dip_band {
    char name[DIP_WORD_CAPACITY]; /* B04, VV; unique in the modality */
    char unit[DIP_WORD_CAPACITY]; /* "dB", "amplitude", "power", "reflectance", "" = not known */
    double gsd_m; /* ground sampling distance of the band's own grid, metres; 0 = not known */
    double mean, stddev; /* of the archive's pixels in stored values; stddev 0 = not known */
} dip_band;

typedef struct dip_modality {
    char name[DIP_WORD_CAPACITY];       /* s1, s2, ... */
    char display[3][DIP_WORD_CAPACITY]; /* bands shown as R,G,B; only the first set: grey */
    uint32_t
        band_count; /* 0: its tiles have no pixels and are known by metadata and vectors alone */
    dip_band bands[DIP_MAX_BANDS];
} dip_modality;

/** One band's pixels on the band's own grid, row-major, north up, native byte order. */
typedef struct dip_plane {
    dip_dtype dtype;
    uint32_t width, height;
    void *pixels;
} dip_plane;

/** Lists are '|'-separated. No pointer is NULL in what Diptych hands out; "" means not known. */
typedef struct dip_meta {
    uint64_t id;       /* assigned by the archive, never reused */
    uint64_t place;    /* joins the tiles of one location */
    uint32_t modality; /* position in the archive's list */
    const char *name;  /* outside id, unique within the modality */
    const char *place_name;
    int64_t time;                    /* acquisition, seconds since 1970 UTC, or DIP_NO_TIME */
    double west, south, east, north; /* footprint, degrees WGS84; NAN = not known */
    int32_t epsg;                    /* of `transform`; 0 = not known */
    double transform[6];             /* GDAL's geotransform of the finest grid; all 0 = not known */
    const char *labels;              /* "residential|water" */
    const char *primary_label;
    const char *label_source;
    const char *split;  /* "train", "val", "test" or "" */
    const char *scene;  /* what must not be cut by a split */
    const char *source; /* product that the tile comes from */
    const char *extra;  /* further properties: a JSON object, or "" */
} dip_meta;

/** A tile with its pixels: planes[i] belongs to band i of the modality. */
typedef struct dip_tile {
    dip_meta meta;
    uint32_t plane_count;
    dip_plane planes[DIP_MAX_BANDS];
} dip_tile;

#ifdef __cplusplus
}
#endif
#endif
