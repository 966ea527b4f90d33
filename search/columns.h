/**
 * The archive's metadata as columns in memory: what filters and nearest-place look-ups run over.
 *
 * Read once when a search is opened; a snapshot, immutable after that, for any number of threads.
 */
#ifndef SEARCH_COLUMNS_H
#define SEARCH_COLUMNS_H

#include <diptych/archive.h>

#include "core/words.h"

#include <stdbool.h>

typedef struct dip_columns {
    size_t count; /* rows, ascending id */
    uint64_t *ids;
    uint64_t *places;
    uint32_t *modalities;
    int64_t *times;
    double *west, *south, *east, *north; /* degrees; NAN = not known */
    uint32_t *labels, *splits;           /* numbers in `texts` */
    dip_words texts;
    size_t capacity;
} dip_columns;

dip_status dip_columns_load(dip_columns *columns, const dip_archive *archive);
void dip_columns_fini(dip_columns *columns);

/** Row of an id, or SIZE_MAX. */
size_t dip_columns_find(const dip_columns *columns, uint64_t id);

/** Centre of a row's footprint; false if it has none. An antimeridian footprint has west > east. */
bool dip_columns_centre(const dip_columns *columns, size_t row, double *lon, double *lat);

/** Great-circle distance of two points in degrees, on a sphere. */
double dip_distance_km(double lon1, double lat1, double lon2, double lat2);

/**
 * The row of `modality` (-1: any) whose centre is nearest by great circle; of equally near ones the first that is
 * not of modality `avoid` (-1: none). SIZE_MAX if no row has a footprint.
 */
size_t dip_columns_nearest(const dip_columns *columns, double lon, double lat, int modality,
                           int avoid);

#endif
