/**
 * A searchable set of unit-norm vectors of one modality, sealed in one file (or two) of a generation.
 *
 * Scores are cosines; inside, everything is L2 on unit vectors: |u - v|^2 = 2 - 2 cos. Ids are the archive's tile ids.
 * Engines answer the same call: `exact` scans all vectors, `faiss` searches FAISS's IVF-PQ (residual 4-bit codes and
 * refinement). A third, native scan of the same trained index has its place here.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include "core/progress.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_index dip_index;

typedef enum dip_engine { DIP_ENGINE_AUTO, DIP_ENGINE_EXACT, DIP_ENGINE_FAISS } dip_engine;

/** What to build. Zero fields are chosen from n and dim; dip_index_recipe_resolve() says what. */
typedef struct dip_index_recipe {
    dip_engine engine;   /* AUTO: exact below exact_below vectors */
    size_t exact_below;  /* default 50,000 */
    uint32_t lists;      /* IVF lists */
    uint32_t code_count; /* 4-bit sub-quantisers; dim is a multiple of it */
    uint64_t seed;
} dip_index_recipe;

void dip_index_recipe_resolve(dip_index_recipe *recipe, size_t n, size_t dim);

/** How to search; zero fields: the operating point stored at build time. */
typedef struct dip_index_params {
    uint32_t nprobe;
    uint32_t depth; /* candidates that leave the 4-bit scan for refinement, as a multiple of k */
} dip_index_params;

/**
 * Builds over vectors (n, dim) with ids (n, ascending) and writes `folder`/`name`.ivfpq (or .exact) and
 * `folder`/`name`.ids. Deterministic for a seed. n from 0.
 */
dip_status dip_index_build(const char *folder, const char *name, const dip_index_recipe *recipe,
                           const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                           const dip_progress *progress);

/** Opens what dip_index_build() wrote. Damage is DIP_ECORRUPT, never a crash. */
dip_status dip_index_open(dip_index **out, const char *folder, const char *name);
void dip_index_close(dip_index *index);

size_t dip_index_count(const dip_index *index); /* without the removed */
size_t dip_index_dim(const dip_index *index);
dip_engine dip_index_engine(const dip_index *index);
/** One line for people: "IVF64,PQ64x4fsr,Refine(SQfp16)". */
const char *dip_index_describe(const dip_index *index);

/**
 * The k nearest of each of nq queries (nq, dim), unit norm. ids: (nq, k), scores: (nq, k), best first; a short row
 * ends in DIP_NO_ID. `allow` (may be NULL): a sorted list of `allow_count` ids; only those can be hits, and k of them
 * are found if k exist. Any number of threads.
 */
dip_status dip_index_search(const dip_index *index, const float *queries, size_t nq, size_t k,
                            const dip_index_params *params, const uint64_t *allow,
                            size_t allow_count, uint64_t *ids, float *scores);

/**
 * A new sealed index at `folder`/`name` from `base` with some ids removed and vectors added (ids not in base, or
 * among the removed: replaced), without training again.
 */
dip_status dip_index_update(const dip_index *base, const char *folder, const char *name,
                            const uint64_t *remove, size_t remove_count, const float *vectors,
                            const uint64_t *ids, size_t n);

/** The ids that it holds, ascending; borrowed. */
const uint64_t *dip_index_ids(const dip_index *index, size_t *n);

/**
 * Measures recall@k against exact search on the given queries (nq, dim) and picks the cheapest nprobe and depth
 * that reach `target`; out gets them, *recall what was measured.
 */
dip_status dip_index_tune(const dip_index *index, const float *vectors, const uint64_t *ids,
                          size_t n, const float *queries, size_t nq, size_t k, double target,
                          dip_index_params *out, double *recall);

#endif
