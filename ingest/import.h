/**
 * Import: outside files -> tiles in an archive, in batches.
 *
 * Running it again continues: what is stored already (modality and name) is skipped without reading its pixels. A bad
 * file is refused with one line to `refused`, the rest goes in. Order of import, and so every id, depends on the
 * input alone. At the end, modalities without statistics get those of their tiles.
 */
#ifndef INGEST_IMPORT_H
#define INGEST_IMPORT_H

#include <diptych/archive.h>

#include "core/progress.h"

typedef enum dip_layout {
    DIP_LAYOUT_AUTO,
    DIP_LAYOUT_MANIFEST,
    DIP_LAYOUT_FOLDERS, /* a folder of rasters for each modality, without a manifest */
    DIP_LAYOUT_BIGEARTHNET
} dip_layout;

/** What a source turned out to be, before anything is read from it. */
typedef struct dip_import_found {
    dip_layout layout;
    const char *source; /* the path; of several BigEarthNet folders the first */
    uint32_t modality_count;
    char modality[DIP_MAX_MODALITIES][DIP_WORD_CAPACITY];
    uint64_t tiles[DIP_MAX_MODALITIES];
} dip_import_found;

typedef struct dip_import_options {
    dip_layout layout;
    /**
     * "s1=VV,VH;s2=B02,B03,B04": names for the bands of rasters, in file order; without "s1=" for every modality.
     * NULL: the files' own names, else band1...
     */
    const char *bands;
    const char *units; /* "s1=dB;s2=reflectance"; NULL: guessed from names and pixel type */
    int labels19;      /* BigEarthNet: map the 43 CORINE labels to the 19-class nomenclature */
    size_t batch;      /* tiles per transaction; 0: 256 */
    const dip_progress *progress;
    /** One line per refused tile ("tile 'X' (s2): band B05 is 61x60, expected 60x60 (20 m); skipped"). */
    void (*refused)(void *payload, const char *line);
    void (*found)(void *payload, const dip_import_found *found);
    /** A modality is declared whose bands have no names in the files and got band1, band2, ... May be NULL. */
    void (*named)(void *payload, const dip_modality *modality);
    void *payload;
} dip_import_options;

typedef struct dip_import_report {
    uint64_t added, present, refused;
    uint64_t places;   /* that the source's stored tiles lie at */
    uint64_t alone;    /* of these, places that have a single tile in the archive */
    dip_layout layout; /* what was recognised */
} dip_import_report;

/**
 * Whether dip_import() would know what to do with the sources: to be asked before an archive is made for them.
 * Expected failures: DIP_ENOENT, DIP_EINVAL (options).
 */
dip_status dip_import_check(const char *const *sources, size_t source_count,
                            const dip_import_options *options);

/**
 * `sources`: manifests (.csv, .geojson) or folders that have manifest.csv or manifest.geojson, folders as folders.h has
 * them, or the folders of one BigEarthNet tree. `report` is filled also when it fails or is cancelled.
 * Expected failures: DIP_ENOENT, DIP_EINVAL (options), DIP_EFORMAT (the manifest), DIP_EMISMATCH (a modality of the
 * archive has other bands), DIP_ECANCEL, those of the store.
 */
dip_status dip_import(dip_archive *archive, const char *const *sources, size_t source_count,
                      const dip_import_options *options, dip_import_report *report);

#endif
