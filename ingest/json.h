/** JSON that import reads and writes: the only file of this folder that sees jansson.h. */
#ifndef INGEST_JSON_H
#define INGEST_JSON_H

#include "core/status.h"
#include "ingest/table.h"

#include <stddef.h>
#include <stdint.h>

/** What the labels_metadata.json of a BigEarthNet patch says. */
typedef struct dip_patch_labels {
    char *labels;              /* '|'-separated, as the file names them */
    char *source;              /* product that the patch was cut from, "" if it is not named */
    char *partner;             /* corresponding_s2_patch of a radar patch, "" for an optical one */
    double ulx, uly, lrx, lry; /* corners in the patch's own system, NAN if one is not given */
    int32_t epsg;              /* of that system, 0 if not known */
    int64_t time;              /* DIP_NO_TIME if not given */
} dip_patch_labels;

/**
 * Takes the file as it is found in the archive: radar patches write `lly` for `lry` and `acquisition_time` for
 * `acquisition_date`. Expected failure: DIP_EFORMAT. Free with dip_patch_labels_fini().
 */
dip_status dip_patch_labels_parse(dip_patch_labels *out, const char *bytes, size_t length);
void dip_patch_labels_fini(dip_patch_labels *labels);

/**
 * A GeoJSON FeatureCollection as a table with the columns of manifest.h, `extra` filled with what has no column of
 * its own. A geometry fills west, south, east, north; `labels` may be an array.
 * Expected failure: DIP_EFORMAT.
 */
dip_status dip_table_parse_geojson(dip_table *out, const char *bytes, size_t length);

/**
 * A JSON object of n texts; one that is a JSON number becomes a number, an empty one is left out. "" if nothing is
 * left. *out is the caller's (dip_free).
 */
dip_status dip_extra_object(char **out, const char *const *keys, const char *const *values,
                            size_t n);
/** {"key":["a","b"]} from "a|b". */
dip_status dip_extra_list(char **out, const char *key, const char *list);

#endif
