/**
 * What FAISS's C API does for us (faiss.c): k-means, code books, codes, its own files; and the state of the faiss
 * engine, which candidates.c searches.
 */
#ifndef INDEX_FAISS_H
#define INDEX_FAISS_H

#include "index/coded.h"
#include "index/engine.h"
#include "index/faiss_ext.h"
#include "index/shelves.h"

enum { DIP_FIRST_DEPTH = 8 }; /* until somebody tunes */

typedef struct dip_faiss {
    struct FaissIndex_H *index;
    dip_faiss_shape shape;
    dip_map file; /* FAISS's file; an update starts from its bytes */
} dip_faiss;

/** A failure of FAISS as one of ours; `what` says what was not possible, `name` on what. */
dip_status dip_faiss_fail(int code, const dip_faiss_error *error, const char *what,
                          const char *name);
/** The same for the last call of FAISS's own C API. */
dip_status dip_faiss_fail_c(const char *what, const char *name);

/** K-means of vectors (n, dim) into centroids (k, dim), n at least k; on all threads, or alone inside a task. */
dip_status dip_faiss_cluster(const float *vectors, size_t n, size_t dim, size_t k, uint64_t seed,
                             float *centroids, const char *name);

/**
 * Trains on the vectors of a build and codes them; `shelves` (may be NULL): dip_coded_add(). *index (may be NULL): FAISS's
 * index, trained, without vectors; free with faiss_Index_free().
 */
dip_status dip_faiss_code(dip_coded *out, struct FaissIndex_H **index, dip_shelves *shelves,
                          const dip_build *build);

/** Lists to scan until somebody tunes. */
uint32_t dip_faiss_first_nprobe(uint32_t lists);

/** dip_engine_ops.scores, .search */
dip_status dip_faiss_row_scores(const dip_index *index, const float *query, const uint32_t *rows,
                                size_t n, float *scores);
dip_status dip_faiss_search(const dip_index *index, const dip_request *request);

#endif
