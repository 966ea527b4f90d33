/**
 * Import: outside files -> tiles in an archive, in batches.
 *
 * Running it again continues: what is stored already (modality and name) is skipped. A bad file is refused with
 * one line to `refused`, the rest goes in. Order of import, and so every id, depends on the input alone.
 */
#ifndef INGEST_IMPORT_H
#define INGEST_IMPORT_H

#include <diptych/archive.h>

#include "core/progress.h"

typedef enum dip_layout { DIP_LAYOUT_AUTO, DIP_LAYOUT_MANIFEST, DIP_LAYOUT_BIGEARTHNET } dip_layout;

typedef struct dip_import_options {
    dip_layout layout;
    /** "s1=VV,VH;s2=B02,B03,B04": names for the bands of rasters that carry none. NULL: descriptions, else band1... */
    const char *bands;
    const char *units; /* "s1=dB;s2=reflectance"; NULL: guessed from names and pixel type */
    int labels19;      /* BigEarthNet: map the 43 CORINE labels to the 19-class nomenclature */
    size_t batch;      /* tiles per transaction; 0: 256 */
    const dip_progress *progress;
    /** One line per refused tile ("import: tile X: band B05 is 61x60, expected 60x60; skipped"). */
    void (*refused)(void *payload, const char *line);
    void *payload;
} dip_import_options;

typedef struct dip_import_report {
    uint64_t added, present, refused, places;
    dip_layout layout; /* what was recognised */
} dip_import_report;

/**
 * `source`: a manifest (.csv, .geojson), a folder that has manifest.csv, or the folder(s) of a BigEarthNet tree.
 * Several folders: `source` lists them, `source_count` long.
 */
dip_status dip_import(dip_archive *archive, const char *const *sources, size_t source_count,
                      const dip_import_options *options, dip_import_report *report);

#endif
