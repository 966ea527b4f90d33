/** BigEarthNet-MM version 1 as it is unpacked: one folder a patch, one single-band GeoTIFF a band, labels in JSON. */
#ifndef INGEST_BIGEARTHNET_H
#define INGEST_BIGEARTHNET_H

#include "ingest/source.h"

/** What a patch folder's name says. */
typedef struct dip_patch_name {
    bool radar;
    int64_t time; /* sensing */
    char
        grid_tile[8]; /* MGRS tile, "33UUP"; "" for an optical patch, whose name does not tell it */
} dip_patch_name;

/** False for a name that is no patch's. */
bool dip_patch_name_parse(dip_patch_name *out, const char *name);

/**
 * Whether `path` is a folder of patches (of version 2 too, for dip_bigearthnet_open() to explain), or holds one whose name
 * begins with "BigEarthNet". Fails only for want of memory or when a folder cannot be read.
 */
dip_status dip_bigearthnet_recognise(bool *recognised, const char *path);

/**
 * Opens one or several folders, each as above. Optical patches come first, then radar ones, each by name.
 * `labels19`: labels of the 19-class nomenclature, with the original ones in `extra`; else the original ones alone.
 * Expected failures: DIP_ENOENT, DIP_ENOTSUP (version 2, whose labels are not in the folders).
 */
dip_status dip_bigearthnet_open(dip_source *out, const char *const *paths, size_t count,
                                bool labels19);

#endif
