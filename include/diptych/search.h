/**
 * Search: a probe in, hits out.
 *
 * probe -> embedding (encoded, if it is pixels) -> candidates from the index -> exact re-rank from stored embeddings
 * -> hits with score, percentile, tile, place, time, footprint.
 */
#ifndef DIPTYCH_SEARCH_H
#define DIPTYCH_SEARCH_H

#include <diptych/archive.h>
#include <diptych/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dip_engine_handle dip_search;

typedef struct dip_search_options {
    const char *model;      /* id; NULL: the one that the live index was built with */
    const char *generation; /* NULL: the live one */
} dip_search_options;

/** Opens archive, model and index for searching. The archive is borrowed and must outlive it. */
dip_status dip_search_open(dip_search **out, const dip_archive *archive,
                           const dip_search_options *options);
void dip_search_close(dip_search *search);
/** Borrowed; opened on first use. NULL if that fails (the failure line says why). */
dip_model *dip_search_model(dip_search *search);

typedef enum dip_probe_kind {
    DIP_PROBE_TILE,   /* a stored tile, by id */
    DIP_PROBE_PIXELS, /* a tile in memory, of a modality the model knows */
    DIP_PROBE_VECTOR, /* an embedding */
    DIP_PROBE_LONLAT  /* the stored tile (of modality `from`, or any) whose centre is nearest */
} dip_probe_kind;

typedef struct dip_probe {
    dip_probe_kind kind;
    uint64_t id;          /* TILE */
    const dip_tile *tile; /* PIXELS */
    const char *
        modality; /* PIXELS, VECTOR: what it is of (VECTOR: or NULL); LONLAT: of which, NULL = any */
    const float *vector; /* VECTOR: dip_model_dim() floats, unit norm */
    double lon, lat;     /* LONLAT */
} dip_probe;

typedef struct dip_query {
    const char *
        to; /* target modality; NULL: every modality but the probe's, or its own if it is the only one; "all" */
    size_t k;          /* hits wanted; default 10 */
    bool exact;        /* scan all instead of asking the index */
    bool include_self; /* let the probe's own tile be a hit (it is left out by default) */
    const double
        *bbox; /* west, south, east, north; west > east crosses the antimeridian; or NULL */
    int64_t time_from, time_to; /* seconds since 1970, both included; DIP_NO_TIME: open */
    const char *label; /* hits carry this label (or one of several, '|'-separated); or NULL */
    const char *split; /* hits are of this split; or NULL */
} dip_query;

#define DIP_QUERY_INIT                                            \
    {                                                             \
        .k = 10, .time_from = DIP_NO_TIME, .time_to = DIP_NO_TIME \
    }

typedef struct dip_hit {
    uint64_t id;
    float score; /* cosine */
    float
        percentile; /* share of the archive's random pairs in this direction that score lower, 0..100; or NAN */
    dip_meta *meta; /* owned by the result */
} dip_hit;

typedef struct dip_result {
    size_t count;
    dip_hit *hits;     /* best first */
    uint64_t probe_id; /* TILE, LONLAT: the stored tile that was asked with; else DIP_NO_ID */
    uint64_t matching; /* tiles that the filters leave; all tiles of the target without filters */
    bool searched_exactly;
} dip_result;

/**
 * Any number of threads, except that PIXELS probes wait for each other (the encoder uses all cores).
 * Always k hits if k tiles match. Expected failures: DIP_ENOENT (no such tile; no embedding: run encode),
 * DIP_EMISMATCH (bands), DIP_EINVAL (unknown modality: names the known ones).
 */
dip_status dip_search_run(dip_search *search, const dip_probe *probe, const dip_query *query,
                          dip_result *out);
void dip_result_fini(dip_result *result);

#ifdef __cplusplus
}
#endif
#endif
