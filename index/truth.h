/**
 * The exact nearest of some queries, found as the vectors go by, which need not be in memory together: what operating points are
 * measured against.
 */
#ifndef INDEX_TRUTH_H
#define INDEX_TRUTH_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Neighbours that are kept: the k that count, and room for those that tie with the last of them. */
enum { DIP_TRUTH_WIDTH = 32 };

typedef struct dip_truth {
    const float *queries; /* (nq, dim), the caller's, unit norm */
    size_t nq, dim;
    size_t n; /* vectors that went by */
    uint64_t *
        ids; /* (nq, DIP_TRUTH_WIDTH), best first, ties by the smaller id, DIP_NO_ID where there are fewer */
    float *scores; /* likewise */
    float *least;  /* a query: the last of its neighbours' scores */
    uint64_t *new_ids;
    float *new_scores;
} dip_truth;

dip_status dip_truth_init(dip_truth *truth, const float *queries, size_t nq, size_t dim);
void dip_truth_fini(dip_truth *truth);

/** The next vectors (n, dim) with their ids, which ascend over all calls. On all threads. */
dip_status dip_truth_add(dip_truth *truth, const float *vectors, const uint64_t *ids, size_t n);

/**
 * How many of a query's neighbours, from the best on, score as the k-th does or better, less a tolerance: k, more if others tie
 * with it, fewer if there are fewer vectors. 0: so many tie that not all of them are known.
 */
size_t dip_truth_hits(const dip_truth *truth, size_t query, size_t k);

/** Is an id among the first `hits` neighbours of a query? */
bool dip_truth_has(const dip_truth *truth, size_t query, size_t hits, uint64_t id);

#endif
