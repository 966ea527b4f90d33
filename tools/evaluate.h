/** Measuring a model on an archive: every direction, by exact search and through the index. */
#ifndef TOOLS_EVALUATE_H
#define TOOLS_EVALUATE_H

#include <diptych/search.h>

#include "core/progress.h"
#include "index/compact.h"
#include "index/manifest.h"
#include "train/metrics.h"

enum { DIP_EVALUATE_MOST_K = 8, DIP_EVALUATE_PERCENTILES = 3 };

/** Percentiles that calibration is tried at: 90, 99, 99.9. */
extern const double dip_evaluate_percentile[DIP_EVALUATE_PERCENTILES];

typedef struct dip_evaluate_options {
    const char *model;  /* id */
    const char *split;  /* of the queries; NULL: all tiles */
    bool whole_gallery; /* hits come from all tiles, not from the split alone */
    size_t k[DIP_EVALUATE_MOST_K];
    size_t k_count;
    dip_compact_form
        form;    /* what is compared: learned on the tiles of split 'train', if there are any */
    size_t dims; /* 0: as many as the model's */
    dip_bootstrap bootstrap;
    dip_effort effort; /* of the index */
    const dip_progress *progress;
} dip_evaluate_options;

/** One measure of one direction. */
typedef struct dip_evaluated_metric {
    dip_metric exact, index; /* `index` only if the direction's `indexed` is set */
} dip_evaluated_metric;

typedef struct dip_evaluated_direction {
    char from[DIP_WORD_CAPACITY], to[DIP_WORD_CAPACITY];
    size_t queries, gallery;
    bool indexed;
    bool index_is_exact;    /* the engine compares all tiles */
    double index_recall;    /* of the exact 10 nearest of all tiles, how many the index finds */
    size_t recall_queries;  /* that this was measured on */
    double expected_recall; /* that the index is tuned for at this effort; NAN: not known */
    /*
     * Random pairs of queries and gallery, of different places, above the percentiles of random pairs of the tiles
     * outside of the split: that the tiles are new to the model should change nothing. NAN without such tiles.
     */
    double above[DIP_EVALUATE_PERCENTILES];
    dip_evaluated_metric *metrics;
    size_t metric_count;
} dip_evaluated_direction;

typedef struct dip_evaluation {
    dip_evaluated_direction *directions;
    size_t count;
    size_t dims, bytes; /* of a vector that was compared: dimensions, and bytes if it were stored */
} dip_evaluation;

/**
 * `search` may be NULL, and must be with another form or `dims`: then by exact search only. Directions without queries or gallery are left out.
 * Label measures leave unlabelled tiles out, as queries and in the gallery; p@k those without a primary label.
 * Free with dip_evaluation_fini(). Expected failures: DIP_ENOENT (no embeddings), DIP_ECANCEL.
 */
dip_status dip_evaluate(const dip_archive *archive, dip_search *search,
                        const dip_evaluate_options *options, dip_evaluation *out);
void dip_evaluation_fini(dip_evaluation *evaluation);

#endif
