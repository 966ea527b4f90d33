/** Counting the tiles that filters leave: how many, of which modality, when, and with which labels. */
#ifndef SEARCH_AGGREGATE_H
#define SEARCH_AGGREGATE_H

#include "search/browse.h"

typedef enum dip_interval { DIP_BY_DAY, DIP_BY_MONTH, DIP_BY_YEAR } dip_interval;

typedef struct dip_period {
    int64_t begin; /* midnight, UTC, of its first day */
    uint64_t count;
} dip_period;

typedef struct dip_aggregate {
    uint64_t tiles, of[DIP_MAX_MODALITIES];
    int64_t first, last; /* DIP_NO_TIME: no time is known */
    uint64_t undated, unlabelled;
    dip_interval interval; /* days up to three months, months up to forty years */
    dip_period *periods;   /* those that have tiles, ascending */
    size_t period_count;
    dip_tally *labels; /* most frequent first, then by name */
    size_t label_count;
} dip_aggregate;

/** `after` and `limit` of the options do not matter. Any number of threads. Expected failure: DIP_EINVAL (a filter). */
dip_status dip_aggregate_tiles(dip_search *search, const dip_browse_options *options,
                               dip_aggregate *out);
void dip_aggregate_fini(dip_aggregate *aggregate);

#endif
