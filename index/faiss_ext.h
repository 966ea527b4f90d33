/**
 * What FAISS 1.7.3's C API lacks, in its manner: plain C functions around one index of ours, the FaissIndex
 * "IVF<lists>,PQ<codes>x4fsr,Refine(SQfp16)" with the L2 metric.
 *
 * A function returns 0, or a negative value with a line in `error`; no C++ exception leaves it. OpenMP regions inside
 * run on the calling thread alone. Functions on a const index may run on any number of threads at once.
 */
#ifndef INDEX_FAISS_EXT_H
#define INDEX_FAISS_EXT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct FaissIndex_H; /* FaissIndex of the C API */

enum { DIP_FAISS_FAILED = -1, DIP_FAISS_NO_MEMORY = -2 };

typedef struct dip_faiss_error {
    char text[240];
} dip_faiss_error;

/**
 * Lets OpenMP regions begun by the calling thread (FAISS, OpenBLAS) run on that thread alone; returns what
 * dip_omp_restore() takes to undo it. The setting is the thread's own, nobody else sees it.
 */
int dip_omp_alone(void);
void dip_omp_restore(int before);

/** Nearest of k centroids for n vectors, with squared distances; non-zero stops the training. */
typedef int (*dip_faiss_assign_fn)(void *context, const float *vectors, size_t n,
                                   const float *centroids, size_t k, size_t dim, int64_t *nearest,
                                   float *distances);

/** A flat L2 index for faiss_Clustering_train() that asks `fn` for assignments. Free with faiss_Index_free(). */
int dip_faiss_assigner_new(struct FaissIndex_H **out, size_t dim, dip_faiss_assign_fn fn,
                           void *context, dip_faiss_error *error);

/** Reads an index from bytes in memory; the bytes are copied. */
int dip_faiss_read(struct FaissIndex_H **out, const void *bytes, size_t length,
                   dip_faiss_error *error);

typedef struct dip_faiss_shape {
    size_t dim, count, lists, code_count, code_bytes;
    const float *centroids; /* (lists, dim), borrowed */
    const float *codebook;  /* (code_count, 16, dim / code_count), borrowed */
} dip_faiss_shape;

/** Fails if the index is not of the kind named above, or not trained. */
int dip_faiss_shape_get(const struct FaissIndex_H *index, dip_faiss_shape *shape,
                        dip_faiss_error *error);

/**
 * Prepares an index fresh from the factory for training: sets the (lists, dim) centroids, the seed of the code books and
 * who assigns vectors to their entries (an assigner of dim / code_count dimensions, borrowed until dip_faiss_release()),
 * and says that few training vectors are fine, so that FAISS prints no advice.
 */
int dip_faiss_prepare(struct FaissIndex_H *index, const float *centroids, int seed,
                      struct FaissIndex_H *assigner, dip_faiss_error *error);
/** The index forgets the assigner. */
int dip_faiss_release(struct FaissIndex_H *index, dip_faiss_error *error);

/** Appends encoded vectors; they get the next local ids. Nobody else may use the index meanwhile. */
int dip_faiss_append(struct FaissIndex_H *index, const float *vectors, size_t n,
                     const uint32_t *lists, const uint8_t *codes, dip_faiss_error *error);

/**
 * The content of a list: *held vectors, their local ids and their codes (held, code_bytes), two codes a byte, the even one
 * low. `locals` and `codes` may be NULL, to ask for the number.
 */
int dip_faiss_list(const struct FaissIndex_H *index, size_t list, size_t *held, int64_t *locals,
                   uint8_t *codes, dip_faiss_error *error);

/** What a plain user of the file (Python) gets without asking: nprobe, and depth as the refinement's factor. */
int dip_faiss_set_defaults(struct FaissIndex_H *index, size_t nprobe, float depth,
                           dip_faiss_error *error);

/**
 * The `fetch` candidates nearest by their 4-bit codes in the `nprobe` nearest lists: locals (nq, fetch), a short row
 * ends in -1. distances: (nq, fetch), scratch for the caller.
 */
int dip_faiss_candidates(const struct FaissIndex_H *index, const float *queries, size_t nq,
                         size_t nprobe, size_t fetch, int64_t *locals, float *distances,
                         dip_faiss_error *error);

/** Inner products of a query with refinement vectors. Every local id must be below the index's count. */
int dip_faiss_scores(const struct FaissIndex_H *index, const float *query, const uint32_t *locals,
                     size_t n, float *scores, dip_faiss_error *error);

/** Refinement vectors `first`..`first + n - 1` as float32. */
int dip_faiss_decode(const struct FaissIndex_H *index, size_t first, size_t n, float *vectors,
                     dip_faiss_error *error);

#ifdef __cplusplus
}
#endif
#endif
