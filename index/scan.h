/**
 * Exact search over vectors in memory: a block product in bfloat16 proposes, dip_dot decides. Scores are dip_dot's bits,
 * ties go to the smaller id, and nothing that belongs in is missed, so the result is the same for any number of queries
 * in a call, of threads, and on any processor.
 */
#ifndef INDEX_SCAN_H
#define INDEX_SCAN_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_scan {
    const float *vectors; /* (n, dim), finite, of any length between 1e-10 and 1e10, or zero */
    const uint64_t *ids;  /* n; NULL: the row numbers */
    size_t n, dim;
    const uint64_t *allowed; /* a bit a row; NULL: all rows */
    const float *offsets;    /* a score is dot - offset of the row; with |v|^2 / 2 the nearest
                                score best; NULL: none */
    const float *least;      /* a query: of no use is a score below; NULL: all are of use */
} dip_scan;

/** ids, scores: (nq, k), each row as dip_topk_finish() leaves it; with `least`, hits below it may be there or not. On all threads. */
dip_status dip_scan_run(const dip_scan *scan, const float *queries, size_t nq, size_t k,
                        uint64_t *ids, float *scores);

#endif
