/** Manifests: one row a tile, in CSV or as the properties of GeoJSON features. */
#ifndef INGEST_MANIFEST_H
#define INGEST_MANIFEST_H

#include "ingest/source.h"

/** Columns that mean something; all others go to the tile's `extra`. The first three must be there. */
typedef enum dip_column {
    DIP_COLUMN_TILE_ID,
    DIP_COLUMN_MODALITY,
    DIP_COLUMN_PATH, /* relative to the manifest; a folder: one single-band raster a band; empty: no pixels */
    DIP_COLUMN_PLACE, /* joins tiles; default: tile_id */
    DIP_COLUMN_LABELS,
    DIP_COLUMN_PRIMARY_LABEL,
    DIP_COLUMN_LABEL_SOURCE,
    DIP_COLUMN_SPLIT,
    DIP_COLUMN_SCENE,
    DIP_COLUMN_DATETIME,
    DIP_COLUMN_ACQ_DATE,
    DIP_COLUMN_SOURCE_PRODUCT,
    DIP_COLUMN_LON, /* of the centre */
    DIP_COLUMN_LAT,
    DIP_COLUMN_WEST,
    DIP_COLUMN_SOUTH,
    DIP_COLUMN_EAST,
    DIP_COLUMN_NORTH,
    DIP_COLUMN_GSD_M,
    DIP_COLUMN_WIDTH, /* what the file must have, as the three below */
    DIP_COLUMN_HEIGHT,
    DIP_COLUMN_BANDS,
    DIP_COLUMN_DTYPE,
    DIP_COLUMN_EXTRA, /* of a GeoJSON table alone: a JSON object */
    DIP_COLUMN_COUNT
} dip_column;

const char *dip_column_name(dip_column column);

/**
 * Opens a manifest: ".csv", ".tsv", ".txt" or ".geojson", ".json".
 * Expected failures: DIP_ENOENT, DIP_EFORMAT (not to be read; a required column is missing).
 */
dip_status dip_manifest_open(dip_source *out, const char *path);
/** Opens the manifest that a folder of folders stands for; folders.h. */
dip_status dip_manifest_open_folders(dip_source *out, const char *path);

#endif
