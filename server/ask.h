/**
 * A search as a client asks for it: the parameters of GET and the JSON body of POST /search, one struct for both. The only
 * file of the server that sees jansson.h.
 *
 *   STAC API Aggregation 0.3: aggregations (names), beside the filters
 *   STAC API Item Search 1.0: ids, collections, bbox, intersects, datetime, limit, token, filter (CQL2)
 *   ours: "similarity" {item, positive[], negative[], vector[], k, min_score, exact, recall, max_ms, diversify_km,
 *   one_per_place}; in GET similar_to=collection/id, positive=, negative= (','-separated) and the others by their names
 *
 * In GET a list is ','-separated, bbox is four or six numbers, intersects GeoJSON, filter CQL2 (filter-lang: cql2-text or
 * cql2-json). In POST null is as good as nothing. bbox together with intersects is refused, as the standard wants; of a
 * bbox with heights the horizontal numbers count; west > east crosses the antimeridian. limit and k above the most are the
 * most; without k, limit is k. An unknown name in "similarity" is refused and the nearest known one named, an unknown one
 * elsewhere passed over.
 */
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include <diptych/search.h>

#include "server/http.h"

enum {
    DIP_ASK_LIMIT = 10,          /* what to pass as default_limit */
    DIP_ASK_MOST_HITS = 1000,    /* k at most */
    DIP_ASK_MOST_VALUES = 4096,  /* names of a list, numbers of a vector */
    DIP_ASK_MOST_BYTES = 4 << 20 /* of a body: parsed, JSON takes up to thirty times its length */
};

/** An item named "collection/id": the archive's modality and tile, or a temporary or saved one. */
typedef struct dip_ask {
    char **ids; /* of items, or NULL: all */
    size_t id_count;
    char **collections; /* or NULL: all */
    size_t collection_count;
    double bbox[4];
    bool has_bbox;
    char *intersects, *datetime, *filter; /* as dip_query has them, or NULL */
    char **aggregations;                  /* names; of /aggregate alone */
    size_t aggregation_count;
    size_t limit; /* items a page */
    char *token;  /* of the page, or NULL */
    bool similar; /* the rest is set */
    char *item;   /* "collection/id", or NULL */
    char **positive, **negative;
    size_t positive_count, negative_count;
    float *vector; /* or NULL */
    size_t vector_length;
    size_t k;
    double min_score, recall, max_ms, diversify_km;
    bool exact, one_per_place;
    char *text; /* of POST: the body as compact JSON, without its token; else NULL */
} dip_ask;

/** Expected failure: DIP_EINVAL, a line that begins with the parameter's name. */
dip_status dip_ask_parse(dip_ask *out, const dip_request *request, size_t default_limit,
                         size_t most_items);
/** The same from the JSON of a saved query. */
dip_status dip_ask_parse_json(dip_ask *out, const char *text, size_t default_limit,
                              size_t most_items);
void dip_ask_fini(dip_ask *ask);

/** Fills filters, k and the like of a query; it borrows from the ask. `to` is left alone. */
void dip_ask_query(const dip_ask *ask, dip_query *query);

#endif
