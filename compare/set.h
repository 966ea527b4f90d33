/**
 * What the engines are compared on: base vectors, queries, and the true nearest neighbours, the same for all.
 *
 * Everything is of unit norm here. On unit vectors cosine, inner product and Euclidean distance give one order, so each
 * engine may take the measure that suits it. Vectors that come with another norm are divided by it; for a Euclidean data
 * set that is another problem than the file's own (`changed` counts the rows), whose ground truth then is of no use: the
 * neighbours are always found here, by exact search. A row of zeros has no direction and becomes the diagonal.
 *
 * The vectors are .fbin files in a cache folder (an .fbin file of unit vectors is used as it is), mapped, never held in
 * memory; the truth is kept there too.
 */
#ifndef COMPARE_SET_H
#define COMPARE_SET_H

#include "compare/points.h"
#include "core/file.h"
#include "core/progress.h"

/** One table of unit vectors, in a file. */
typedef struct dip_unit_table {
    char *path; /* an .fbin file */
    const float *vectors;
    size_t rows, dim;
    uint64_t hash;  /* of its bytes */
    size_t changed; /* rows that came with another norm */
    size_t zeros;   /* of them rows of zeros */
    dip_map map;
} dip_unit_table;

/**
 * Takes at most `most` rows (0: all). `folder` is the cache, which must be there. Expected failures: DIP_EFORMAT (a value is
 * not finite: names the row), DIP_ENOSPC, DIP_ECANCEL.
 */
dip_status dip_unit_table_make(dip_unit_table *out, const dip_points *points, const char *folder,
                               size_t most, const dip_progress *progress);
void dip_unit_table_close(dip_unit_table *table);

typedef struct dip_set {
    char name[96];
    char distance[32]; /* what the file says it is of: "angular", "euclidean"; "" if it does not */
    dip_unit_table base, queries;
    uint64_t hash;    /* of base and queries */
    size_t k;         /* neighbours that are known of each query */
    uint32_t *ids;    /* (queries, k), nearest first */
    float *scores;    /* (queries, k), cosines */
    double agreement; /* share of the file's own neighbours that are among ours; NAN: it has none */
} dip_set;

/**
 * Fills in the k nearest of each query: from the cache, or by exact search. k is at most the number of base vectors.
 * Expected failures: DIP_EMISMATCH (base and queries differ in dimension), DIP_EINVAL (k), DIP_ECANCEL.
 */
dip_status dip_set_find_truth(dip_set *set, const char *folder, size_t k,
                              const dip_progress *progress);

/** Compares with the neighbours in an ann-benchmarks file. One without them is fine. */
dip_status dip_set_compare_with(dip_set *set, const char *hdf5_path);

void dip_set_close(dip_set *set);

/**
 * Recall@k by distance: the share of the k * queries answers whose cosine reaches the true k-th one's less `epsilon`, so
 * that ties do no harm. ids: (queries, k), negative: none. An id counts once a query. `scores` (queries, k) gets the
 * cosines, -2 for none. Expected failure: DIP_EFORMAT (an id that is no row of the base).
 */
dip_status dip_set_recall(const dip_set *set, const int32_t *ids, size_t k, double epsilon,
                          double *recall, float *scores);

#endif
