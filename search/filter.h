/** Filters of a query on the metadata columns. */
#ifndef SEARCH_FILTER_H
#define SEARCH_FILTER_H

#include <diptych/search.h>

#include "search/columns.h"

typedef struct dip_filter dip_filter;

/**
 * Compiles a query's filters. *out is NULL if it has none. DIP_EINVAL: a bounding box or a time range that is none.
 */
dip_status dip_filter_create(dip_filter **out, const dip_columns *columns, const dip_query *query);
void dip_filter_destroy(dip_filter *filter);

bool dip_filter_matches(const dip_filter *filter, const dip_columns *columns, size_t row);

/**
 * Ids of `modality` that match (filter NULL: all), ascending; *ids is the caller's (dip_free).
 */
dip_status dip_filter_ids(const dip_filter *filter, const dip_columns *columns, int modality,
                          uint64_t **ids, size_t *count);

#endif
