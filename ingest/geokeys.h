/** What a GeoTIFF says of its coordinate system, as bytes: to recognise a system without building it. */
#ifndef INGEST_GEOKEYS_H
#define INGEST_GEOKEYS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * A number for the GeoKeys of a TIFF or BigTIFF file (its first directory). Two files with the same number have the same
 * coordinate system. False if the file is no TIFF, has no GeoKeys, is damaged, or has a sidecar "<path>.aux.xml", which may
 * know better. Never fails otherwise; opens the file by itself.
 */
bool dip_geokeys_hash(uint64_t *hash, const char *path);

#endif
