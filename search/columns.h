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

/** Degrees are kept in units of 1e-7 (1 cm): half the memory of a double, and exact in comparisons. */
#define DIP_DEGREE 1e7

/** 52 bytes a row. */
typedef struct dip_columns {
    size_t count; /* rows, ascending id */
    uint64_t *ids;
    uint64_t *places;
    uint32_t *modalities;
    int64_t *times; /* DIP_NO_TIME = not known */
    /** Footprint, longitudes in -180..180; west > east: across the antimeridian; south > north: not known. */
    int32_t *west, *south, *east, *north;
    uint32_t *labels, *splits; /* numbers in the two below */
    dip_words label_lists,
        split_names; /* each different text once; a list of labels has '|' between them */
    size_t capacity;
    const char *modality_names[DIP_MAX_MODALITIES]; /* the archive's; "" = no such one */
    size_t modality_rows[DIP_MAX_MODALITIES];
} dip_columns;

dip_status dip_columns_load(dip_columns *columns, const dip_archive *archive);
void dip_columns_fini(dip_columns *columns);

/** Sets a row's footprint from degrees; NAN: not known. */
void dip_columns_set_footprint(dip_columns *columns, size_t row, double west, double south,
                               double east, double north);

/** Row of an id, or SIZE_MAX. */
size_t dip_columns_find(const dip_columns *columns, uint64_t id);

/** Centre of a row's footprint; false if it has none. */
bool dip_columns_centre(const dip_columns *columns, size_t row, double *lon, double *lat);

/** Centre of a tile's footprint; false if it is not known. */
bool dip_meta_centre(const dip_meta *meta, double *lon, double *lat);

/** Great-circle distance of two points in degrees, on a sphere. */
double dip_distance_km(double lon1, double lat1, double lon2, double lat2);

/**
 * The row of `modality` (-1: any) whose centre is nearest by great circle; of equally near ones the first that is
 * not of modality `avoid` (-1: none). SIZE_MAX if no row has a footprint.
 */
size_t dip_columns_nearest(const dip_columns *columns, double lon, double lat, int modality,
                           int avoid);

#endif
