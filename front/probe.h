/** What a user types as a probe: a stored tile, a raster file or a folder of them, a location. */
#ifndef FRONT_PROBE_H
#define FRONT_PROBE_H

#include <diptych/search.h>

#include "ingest/draft.h"

typedef struct dip_probe_options {
    const char *from;  /* modality, or NULL */
    const char *bands; /* "B04,B03,B02": names of a file's bands, or NULL */
} dip_probe_options;

/** A word made into a probe. `tile` and `modality` are set for files: what the picture is made from. */
typedef struct dip_typed_probe {
    const char *word; /* borrowed */
    dip_probe probe;
    dip_draft draft; /* what the file holds */
    dip_tile tile;   /* of a vector: without planes */
    dip_modality modality;
    float *vector;
} dip_typed_probe;

/**
 * "#123" is a tile id; "s1/NAME" or "NAME" a stored tile; "lon,lat" the nearest one; else a raster
 * file, a folder with a file "<anything>_<band>.tif" a band, or a .npy file with one vector: an embedding of the model, or
 * what a head of the model takes.
 * Expected failures: DIP_ENOENT (neither tile nor file), DIP_EINVAL (a name that several modalities have; a file
 * whose bands have no names), DIP_EMISMATCH (bands that no encoder wants, a vector of another width). Free with dip_typed_probe_fini().
 */
dip_status dip_typed_probe_init(dip_typed_probe *out, const dip_archive *archive,
                                dip_search *search, const char *word,
                                const dip_probe_options *options);
/** The same of a GeoTIFF that was sent, of at most `most_bytes` of pixels: dip_raster_read_sent(). `word` is its name. */
dip_status dip_typed_probe_init_sent(dip_typed_probe *out, const dip_archive *archive,
                                     dip_search *search, const char *word, const uint8_t *bytes,
                                     size_t length, size_t most_bytes,
                                     const dip_probe_options *options);
void dip_typed_probe_fini(dip_typed_probe *probe);

/** "13.5,48.2" as two numbers; false for anything else. */
bool dip_lonlat_parse(const char *text, double *lon, double *lat);

#endif
