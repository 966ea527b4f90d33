/**
 * Exact search over vectors in memory, in blocks: OpenBLAS proposes, dip_dot decides. Scores are dip_dot's bits and
 * ties go to the smaller id, so the result is the same for any number of queries in a call and of threads.
 */
#ifndef INDEX_SCAN_H
#define INDEX_SCAN_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_scan {
    const float *vectors; /* (n, dim), about unit norm */
    const uint64_t *ids;  /* n */
    size_t n, dim;
    const uint64_t *allowed; /* a bit a row; NULL: all rows */
} dip_scan;

/** ids, scores: (nq, k), each row as dip_topk_finish() leaves it. */
dip_status dip_scan_run(const dip_scan *scan, const float *queries, size_t nq, size_t k,
                        uint64_t *ids, float *scores);

#endif
