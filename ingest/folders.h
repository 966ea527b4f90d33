/** A folder that has a folder of rasters for each modality, and no manifest: radar/field_017.tif, optical/field_017.tif. */
#ifndef INGEST_FOLDERS_H
#define INGEST_FOLDERS_H

#include "ingest/table.h"

/** Whether `path` is such a folder. Fails only for want of memory or when a folder cannot be read. */
dip_status dip_folders_recognise(bool *recognised, const char *path);

/**
 * The manifest that such a folder stands for: tile_id, modality, path, a row a tile, by modality and name. Modalities are
 * named like the folders; those with other names than dip_word_is_usable() takes are passed over. A tile is a raster,
 * named by what stands before the ending, or a folder with one raster a band (dip_draft_read_folder()).
 * Expected failure: DIP_ENOENT (there is no tile).
 */
dip_status dip_folders_table(dip_table *out, const char *path);

#endif
