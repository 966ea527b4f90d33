/**
 * Listing tiles without comparing them: those that pass the filters, in ascending id, a page at a time; and what there is of
 * a modality as a whole.
 *
 * A page is asked for by the last id of the page before, so pages stay what they are when tiles come or go in between: no tile
 * is met twice, and none that stays is left out.
 */
#ifndef SEARCH_BROWSE_H
#define SEARCH_BROWSE_H

#include <diptych/search.h>

typedef struct dip_browse_options {
    const dip_query *filters; /* bbox ... filter of it; NULL: none */
    const uint64_t *only;     /* ids, in any order; NULL: all */
    size_t only_count;
    uint32_t modalities; /* a bit each; 0: none */
    uint64_t after;      /* the last id of the page before, or DIP_NO_ID */
    size_t limit;
} dip_browse_options;

typedef struct dip_listing {
    uint64_t *ids; /* ascending; owned */
    size_t count;
    uint64_t matched; /* on all pages together */
    bool more;        /* there is a page after this one */
} dip_listing;

/**
 * Any number of threads. Without filters it looks at the rows of the page alone.
 * Expected failure: DIP_EINVAL (a filter; see dip_query).
 */
dip_status dip_browse(dip_search *search, const dip_browse_options *options, dip_listing *out);
void dip_listing_fini(dip_listing *listing);

/**
 * The rows that options ask for (all pages of them) as a bit each: *rows is the caller's (dip_free). The same failure.
 */
dip_status dip_browse_rows(dip_search *search, const dip_browse_options *options, uint64_t **rows);

typedef struct dip_tally {
    char *name;
    uint64_t count; /* tiles */
} dip_tally;

struct dip_words;
/**
 * Texts that are '|'-separated lists, and how many rows have each text: how many have each word, most frequent first, then by name.
 * Free with dip_tally_free().
 */
dip_status dip_tally_make(const struct dip_words *texts, const uint64_t *rows, dip_tally **out,
                          size_t *n);
void dip_tally_free(dip_tally *tally, size_t n);

/** What the tiles of a modality have in common. */
typedef struct dip_extent {
    uint64_t tiles;
    double west, south, east,
        north; /* around all footprints; NAN: none is known. One across the antimeridian: -180..180 */
    int64_t first, last;        /* DIP_NO_TIME: no time is known */
    dip_tally *labels, *splits; /* most frequent first, then by name; owned */
    size_t label_count, split_count;
} dip_extent;

/** Goes over all rows. Any number of threads. */
dip_status dip_extent_measure(dip_search *search, uint32_t modality, dip_extent *out);
void dip_extent_fini(dip_extent *extent);

#endif
