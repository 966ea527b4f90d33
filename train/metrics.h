/**
 * Measures of retrieval: rankings and labels in, a value with its chance level and a 95 % interval out.
 *
 * For query q and hit r with label sets Lq, Lr: prec = |Lq & Lr| / |Lr|, rec = |Lq & Lr| / |Lq|, f1 their harmonic
 * mean. Rows shorter than k (a small gallery) are averaged over what they hold.
 *
 *   pair_recall@k  is the tile of the query's own place among the k? (needs no label)
 *   f1_item@k      mean of f1 over hits, then queries
 *   f1_macro@k     harmonic mean of prec and rec, each averaged over hits and queries
 *   map_any@k      average precision, relevant = shares a label; map_all@k: relevant = the same label set.
 *                  AP@k = sum over relevant ranks i <= k of (relevant among the first i) / i, divided by
 *                  min(k, relevant in the gallery); queries with nothing relevant in the gallery are left out
 *   p@k            share of hits with the query's primary label
 *   p_any@k        share of hits that share a label with the query
 *
 * `chance` is the expected value for a random order of the same gallery, computed, not sampled.
 */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include "train/labels.h"

#include <stdbool.h>

#define DIP_NO_HIT UINT32_MAX

/** What the measures know of a tile. */
typedef struct dip_eval_item {
    uint64_t place;
    uint32_t labels;  /* set, or DIP_NO_SET */
    uint32_t primary; /* set of the primary label alone, or DIP_NO_SET */
    uint32_t scene;   /* number of the scene, for intervals by scene */
} dip_eval_item;

/** Queries and what came back for them, over a gallery in which every tile could be a hit. */
typedef struct dip_ranking {
    size_t query_count, gallery_count, depth;
    const dip_eval_item *queries, *gallery;
    const uint32_t
        *hits; /* (query_count, depth): positions in the gallery; DIP_NO_HIT ends a short row */
    bool same_modality; /* each query's own tile is in the gallery and was left out of its hits */
} dip_ranking;

typedef enum dip_metric_kind {
    DIP_METRIC_PAIR_RECALL,
    DIP_METRIC_F1_ITEM,
    DIP_METRIC_F1_MACRO,
    DIP_METRIC_MAP_ANY,
    DIP_METRIC_MAP_ALL,
    DIP_METRIC_PRECISION,
    DIP_METRIC_PRECISION_ANY,
    DIP_METRIC_KIND_COUNT
} dip_metric_kind;

/** "pair_recall", "f1_item", ... */
const char *dip_metric_name(dip_metric_kind kind);

typedef struct dip_bootstrap {
    size_t resamples; /* 0: no interval */
    uint64_t seed;
    bool
        by_scene; /* draw whole scenes: wider, and honest when a scene's tiles resemble each other */
} dip_bootstrap;

#define DIP_BOOTSTRAP_INIT           \
    {                                \
        .resamples = 1000, .seed = 1 \
    }

typedef struct dip_metric {
    dip_metric_kind kind;
    size_t k;
    size_t queries; /* that count: with labels, with a twin in the gallery, ... */
    double value, chance;
    double low, high; /* 95 % percentile bootstrap interval; NAN without resamples */
} dip_metric;

/**
 * One measure. Label measures need a set in every query and gallery item (p@k: a primary one); the caller leaves
 * the others out of the ranking. Without a query that counts, queries is 0 and the values are NAN.
 * Expected failure: DIP_EINVAL (k is 0 or more than the ranking's depth while the gallery is larger).
 */
dip_status dip_metric_compute(const dip_label_sets *sets, const dip_ranking *ranking,
                              dip_metric_kind kind, size_t k, const dip_bootstrap *bootstrap,
                              dip_metric *out);

/**
 * Row i of `queries` and of `gallery`, both (n, dim), belong to one place: rank (n) gets how many rows of the gallery
 * come before a query's own, exactly; 0 is found first. Equal scores rank in row order, so a collapsed encoder gets the
 * chance level.
 */
dip_status dip_pair_ranks(const float *queries, const float *gallery, size_t n, size_t dim,
                          size_t *rank);
/** pair_recall@k: the share of n ranks below k; 0 without any. */
double dip_share_found(const size_t *rank, size_t n, size_t k);

/**
 * Positions of the k largest of n scores, best first, of equal ones the first; `skip` is left out (SIZE_MAX: none).
 * Returns how many there are, at most k.
 */
size_t dip_largest(const float *scores, size_t n, size_t skip, size_t k, uint32_t *out);

/* ---- the parts, for tests ---- */

double dip_f1(double prec, double rec);
/** AP@k of one row: relevant[i] tells of rank i + 1; `total` relevant items exist in the gallery. */
double dip_average_precision(const bool *relevant, size_t k, size_t total);
/** Its expected value over random orders of n items. */
double dip_average_precision_chance(size_t k, size_t total, size_t n);

#endif
