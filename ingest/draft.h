/** Drafts: how a source's read() fills them from files. */
#ifndef INGEST_DRAFT_H
#define INGEST_DRAFT_H

#include "ingest/source.h"

enum { DIP_NAME_MOST = 255 }; /* bytes of a tile's or a place's name */

/** All bands of one raster, with their names, and its georeference and time. */
dip_status dip_draft_read_raster(dip_draft *draft, const char *path);
/** The same of a GeoTIFF in memory: dip_raster_read_sent(). */
dip_status dip_draft_read_sent(dip_draft *draft, const uint8_t *bytes, size_t length,
                               size_t most_bytes);
/**
 * Appends the one band of a raster. With `georeference` its place on the ground and its time become the draft's if
 * it is the finest grid so far. Expected failure: DIP_EFORMAT (more than one band), and those of dip_raster_read().
 */
dip_status dip_draft_read_band(dip_draft *draft, const char *path, const char *name,
                               bool georeference);
/**
 * Every raster "<anything>_<band>.tif" (or .tiff, .jp2, .png) of a folder, by name.
 * Expected failure: DIP_ENOENT (there is none).
 */
dip_status dip_draft_read_folder(dip_draft *draft, const char *path);

/** Whether a file's name ends as a raster's does: .tif, .tiff, .jp2 or .png. */
bool dip_name_is_raster(const char *name);

/** Position of the finest grid. */
uint32_t dip_draft_finest(const dip_draft *draft);

/** True for a name that the archive takes: 1 to DIP_NAME_MOST bytes of UTF-8, no control characters. */
bool dip_name_is_usable(const char *name);
/** True for the name of a modality or a band: letters, digits, "_-.+", shorter than DIP_WORD_CAPACITY. */
bool dip_word_is_usable(const char *word);

#endif
