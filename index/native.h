/**
 * The native engine: FAISS trains an IVF-PQ index, we scan it (segment.h).
 *
 * A search ranks the groups of lists by their centroids and the lists of the nearest groups by theirs, with the query as
 * bytes, re-ranks a shortlist with the query as it is, scans the 4-bit codes of the nprobe nearest lists, and scores the
 * best of what it found by the refinement vectors. With a gap, lists that are far behind the nearest are not scanned: how many
 * a query needs is told by how alone its nearest list stands. |q - c - r|^2 = 2 - 2 (q.c + q.r - term), so one table a query does.
 *
 * Vectors that come later stand in `<name>.delta` (layout.h) with their float32 values, and every search compares all of
 * them; so do bits for the rows of the segment that are gone. When either grows too long, an update writes a new
 * segment with the same lists and code book. Rows are the segment's, then the delta's.
 */
#ifndef INDEX_NATIVE_H
#define INDEX_NATIVE_H

#include "index/engine.h"
#include "index/segment.h"

#include <pthread.h>

/** Memory of one search at work; kept between searches. */
typedef struct dip_native_scratch {
    struct dip_native_scratch *next;
    int8_t *values;   /* the query as bytes, padded to whole steps */
    int8_t *centroid; /* of a list, likewise */
    uint8_t *tables;
    float *entries;  /* the tables before they are bytes */
    uint32_t *order; /* the chosen groups, then the chosen lists */
    float *products; /* query times centroid of each probed list */
    uint32_t *gaps;  /* from a place to its slot, likewise */
    dip_native_candidate *found;
    size_t room; /* of found */
} dip_native_scratch;

typedef struct dip_native {
    dip_segment segment;
    char *path;  /* of the segment */
    dip_map map; /* of the delta, if there is one */
    dip_layout_view delta;
    uint64_t *ids, *removed; /* of all rows, if there is a delta */
    const dip_native_kernel *kernel;
    pthread_mutex_t lock; /* of what follows */
    unsigned cold;        /* turns left that ask for what they will read */
    dip_native_scratch *idle;
} dip_native;

/** dip_engine_ops.scores, .search, .behind, .narrow */
dip_status dip_native_row_scores(const dip_index *index, const float *query, const uint32_t *rows,
                                 size_t n, float *scores);
dip_status dip_native_search(const dip_index *index, const dip_request *request);
dip_status dip_native_behind(const dip_index *index, const float *queries, size_t nq,
                             uint32_t nprobe, float *out);
bool dip_native_narrow(const dip_index *index, const dip_index_params *params, size_t rows);
void dip_native_scratch_free(dip_native_scratch *scratch);

/** dip_engine_ops.update */
dip_status dip_native_update(const dip_index *base, const dip_change *change);

#define DIP_NATIVE_DELTA ".delta"

#endif
