/**
 * The filters of a query, compiled for the metadata columns and run over them.
 *
 * bbox, intersects, datetime, label, split and filter of a dip_query become one tree: a row passes if all of them say
 * yes. Logic has three values, as in SQL: what is said about something that a tile does not have is neither true nor
 * false, nor is its opposite, so neither keeps the tile; only IS NULL and what OR brings from elsewhere do. At compile time
 * NOT is carried down to the leaves, so that running the tree needs one bit a row.
 *
 *   datetime   a DATE is all of its day: `=` within it, `<` before, `>` behind it, `<=` and `>=` include it. T_AFTER, T_BEFORE,
 *              T_EQUALS are >, <, =; T_DURING and T_INTERSECTS the same: inside, both ends included; T_DISJOINT outside
 *   geometry   the tile's footprint, a box in degrees; borders count. S_WITHIN: all of the footprint lies inside
 *   labels     a list: A_CONTAINS all of the given, A_OVERLAPS one of them, A_CONTAINEDBY no other, A_EQUALS just them
 *   modality, split, and each of dip_properties: texts in byte order, numbers; a property compared with a number sees
 *              its numbers, with a text its texts
 */
#ifndef SEARCH_FILTER_H
#define SEARCH_FILTER_H

#include <diptych/search.h>

#include "search/properties.h"

typedef struct dip_filter dip_filter;

/**
 * Compiles a query's filters. *out is NULL if it has none. The columns and properties are borrowed.
 * Expected failures: DIP_EINVAL (a filter that cannot be read, or compares what cannot be compared: the line says where
 * and what was expected; a box, shape or time range that is none).
 */
dip_status dip_filter_create(dip_filter **out, const dip_columns *columns,
                             dip_properties *properties, const dip_query *query);
void dip_filter_destroy(dip_filter *filter);

/**
 * "no tile has label 'watr'; did you mean 'water'?": of the first text that the filters ask for and no tile has; "" if
 * all are there. `filter` may be NULL.
 */
const char *dip_filter_missing(const dip_filter *filter);

/** Words of a bitmap over the rows: row r is bit r % 64 of word r / 64. */
size_t dip_filter_words(const dip_columns *columns);

/** Fills the bitmap of the rows that pass; on all threads. One thread at a time with one filter. */
dip_status dip_filter_run(dip_filter *filter, uint64_t *rows);

/** Leaves of *rows (NULL: all) those of the n ids, which may stand in any order. *rows is the caller's (dip_free). */
dip_status dip_filter_keep_ids(const dip_columns *columns, const uint64_t *ids, size_t n,
                               uint64_t **rows);

/** Ids of the bitmap's rows (NULL: all) that are of `modality`, ascending; *ids is the caller's (dip_free). */
dip_status dip_filter_ids(const dip_columns *columns, const uint64_t *rows, int modality,
                          uint64_t **ids, size_t *count);

#endif
