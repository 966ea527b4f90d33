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
    bool
        browse; /* an archive without an index opens too, with `model` or the newest: for metadata, filters and dip_explain() */
} dip_search_options;

/**
 * Opens archive, model and index for searching. The archive is borrowed and must outlive it.
 * Expected failures: DIP_ENOENT (no index: says what to run), DIP_EMISMATCH (another model's index, or encoded again since).
 */
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

/**
 * What to search for. The filters, from `bbox` to `filter`, must all let a tile pass; a tile of which a filter's subject is
 * not known does not. The same names serve here, on the command line and over HTTP.
 */
typedef struct dip_query {
    const char *
        to; /* target modality, or several, '|'-separated; "all"; NULL: every one but the probe's, or its own if it is
                       the only one */
    size_t k;   /* hits wanted; default 10 */
    bool exact; /* scan all instead of asking the index */
    double
        recall; /* share of the exact 10 nearest that the index is to find, at least: with the least work that does; 1: exact;
                   0: the share that the index was tuned for */
    double
        budget_ms; /* milliseconds that the index may take, by the time that it took when it was built: the best recall
                      within them, or just `recall`; 0: no limit */
    bool
        include_self; /* let the probe's own tile and those of the examples be hits (by default they are left out) */
    const double
        *bbox; /* west, south, east, north; west > east crosses the antimeridian; or NULL */
    const char *
        intersects; /* GeoJSON: a geometry, Feature or FeatureCollection that hits touch; or NULL */
    const char *
        datetime; /* hits were taken then: a year, month, day, moment, or from/to, ".." being open; or NULL */
    const char *label;    /* hits carry this label (or one of several, '|'-separated); or NULL */
    const char *split;    /* hits are of this split (or one of several); or NULL */
    const char *filter;   /* CQL2, as text or as JSON: docs/filters.md; or NULL */
    const uint64_t *only; /* hits are among these tiles, in any order; or NULL */
    size_t only_count;
    double min_score;   /* only hits that score at least this; default -1: all */
    bool one_per_place; /* of each place the best hit alone */
    double
        diversify_km; /* hits' centres are at least so far apart, the better one stays; 0: no matter */
    /**
     * Examples (NULL if there are none): the query vector is
     *     unit( mean of the probe and the positive ones - DIP_NEGATIVE_WEIGHT * mean of the negative ones )
     * (J. Rocchio, Relevance feedback in information retrieval, 1971, with the probe as one of the relevant). Such hits have no
     * percentile.
     */
    const dip_probe *positive, *negative;
    size_t positive_count, negative_count;
} dip_query;

#define DIP_NEGATIVE_WEIGHT 0.5

#define DIP_QUERY_INIT            \
    {                             \
        .k = 10, .min_score = -1, \
    }

typedef struct dip_hit {
    uint64_t id;
    float score; /* cosine */
    float
        percentile; /* share of the archive's random pairs in this direction that score lower, 0..100; or NAN */
    dip_meta *meta; /* owned by the result */
} dip_hit;

enum { DIP_MISSING_CAPACITY = 192 };

typedef struct dip_result {
    size_t count;
    dip_hit *hits;     /* best first */
    uint64_t probe_id; /* TILE, LONLAT: the stored tile that was asked with; else DIP_NO_ID */
    uint64_t matching; /* tiles that the filters leave; all tiles of the target without filters */
    bool searched_exactly;
    double
        expected_recall; /* of the indexes that were asked, the lowest; 1: all were compared; NAN: not known */
    char plan[256]; /* a line for people: how each target was searched */
    char missing
        [DIP_MISSING_CAPACITY]; /* a line for people: a label or the like that was asked for and that no tile has; or "" */
} dip_result;

/**
 * Any number of threads. PIXELS probes wait for each other (the encoder uses all cores), those that wait are encoded
 * together; concurrent exact searches of a target without filters share one pass over its vectors. Neither changes a bit
 * of what a search finds.
 * A `recall` that the index does not reach gets its best: result->expected_recall says so.
 * Always k hits if k tiles match (of which, with min_score, one_per_place or diversify_km, as many as these let stand).
 * Expected failures: DIP_ENOENT (no such tile; no embedding: run encode), DIP_EMISMATCH (bands), DIP_EINVAL (unknown
 * modality: names the known ones; recall or budget_ms out of range; a filter that cannot be read or compares what cannot be compared: says where;
 * examples that cancel each other out).
 */
dip_status dip_search_run(dip_search *search, const dip_probe *probe, const dip_query *query,
                          dip_result *out);
void dip_result_fini(dip_result *result);

/* ---- why two tiles score what they score ---- */

enum { DIP_EXPLAIN_GRID = 8, DIP_EXPLAIN_PARTS = 3 };

/** One of the two that are compared. */
typedef struct dip_explained {
    uint64_t id;                      /* of a stored tile, or DIP_NO_ID */
    char modality[DIP_WORD_CAPACITY]; /* "": not known */
    const dip_tile
        *tile; /* the stored one, owned by the explanation; the probe's own; NULL: a vector */
    dip_tile *stored;
} dip_explained;

/** A quarter, side or the middle of both tiles: half of their width and height. */
typedef struct dip_explained_place {
    const char *name; /* "NW", "N", "NE", "W", "centre", "E", "SW", "S", "SE" */
    float score;      /* of the two cuts, as if they were tiles */
} dip_explained_place;

/** A stretch of the embedding: the shares of all add up to the score. */
typedef struct dip_explained_part {
    const char *name;            /* "projection", "features", "layout", or "embedding" alone */
    float weight, cosine, share; /* share = weight * cosine */
} dip_explained_part;

typedef struct dip_explanation {
    dip_explained side[2];
    float score;         /* as a search gives it */
    float percentile;    /* as of dip_hit; NAN: the direction has no calibration */
    float p50, p95, p99; /* what random pairs of the direction score; NAN likewise */
    size_t part_count;
    dip_explained_part part[DIP_EXPLAIN_PARTS];
    /**
     * How well each cell of the largest centred square matches its counterpart, north-west first; 1: as a tile matches itself.
     * The mean of two scores of the parts around a cell, cut out and enlarged, and shown alone, with twice what hiding
     * them in both tiles costs the score. docs/decisions/0014-explain.md
     */
    float heat[DIP_EXPLAIN_GRID][DIP_EXPLAIN_GRID];
    bool has_heat; /* false: one of the two has no pixels that the model could look at */
    char *no_heat; /* why, for people; or NULL; owned */
    dip_explained_place best, weakest;
    char *labels_both, *labels_a, *labels_b; /* '|'-separated; owned */
    double distance_km, days_apart;          /* NAN: not known */
} dip_explanation;

/**
 * Explains the score of two probes. It takes some 220 encodings of cut and covered tiles, in slices, between which others may
 * have the encoder. Any number of threads. Expected failures: as of dip_search_run().
 */
dip_status dip_explain(dip_search *search, const dip_probe *a, const dip_probe *b,
                       dip_explanation *out);
void dip_explanation_fini(dip_explanation *explanation);

#ifdef __cplusplus
}
#endif
#endif
