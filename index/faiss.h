/** The state of the faiss engine: shared by faiss.c (FAISS's C API: build, open, update) and candidates.c (search). */
#ifndef INDEX_FAISS_H
#define INDEX_FAISS_H

#include "index/engine.h"
#include "index/faiss_ext.h"

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

/** dip_engine_ops.scores and .search */
dip_status dip_faiss_row_scores(const dip_index *index, const float *query, const uint32_t *rows,
                                size_t n, float *scores);
dip_status dip_faiss_search(const dip_index *index, const dip_request *request);

#endif
