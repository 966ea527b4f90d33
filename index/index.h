/**
 * A searchable set of unit-norm vectors of one modality, sealed in one file (or two) of a generation.
 *
 * Scores are cosines; inside, everything is L2 on unit vectors: |u - v|^2 = 2 - 2 cos. Ids are the archive's tile ids.
 * Engines answer the same call: `exact` scans all vectors; `faiss` searches FAISS's IVF-PQ (residual 4-bit codes and
 * refinement), in a file that FAISS reads too; `native` searches the same lists and codes with loops of its own.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include "core/progress.h"
#include "core/status.h"
#include "index/supply.h"
#include "index/truth.h"

#include <diptych/tile.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_index dip_index;

typedef enum dip_engine {
    DIP_ENGINE_AUTO,
    DIP_ENGINE_EXACT,
    DIP_ENGINE_FAISS,
    DIP_ENGINE_NATIVE
} dip_engine;

/** What a candidate of the native engine is scored by. */
typedef enum dip_refinement {
    DIP_REFINE_AUTO,
    DIP_REFINE_INT8, /* dim + 1 bytes a vector */
    DIP_REFINE_HALF  /* 2 dim bytes */
} dip_refinement;

enum { DIP_FAISS_LEAST = 64 }; /* vectors that it takes to train lists and codes */

/** Name of the i-th engine, "exact"; NULL behind the last. */
const char *dip_engine_name(size_t i);
/** The engine of that name; AUTO if there is none. */
dip_engine dip_engine_find(const char *name);

/** What to build. Zero fields are chosen from the others, n and dim: recipe.h says how, and gives the result. */
typedef struct dip_index_recipe {
    dip_engine engine;   /* AUTO: exact below exact_below vectors */
    size_t exact_below;  /* default 50,000 */
    uint32_t lists;      /* IVF lists */
    uint32_t code_count; /* 4-bit sub-quantisers; dim is a multiple of it */
    dip_refinement refinement;
    uint64_t memory; /* bytes that searching may keep in memory; 0: no limit */
    double recall;   /* that searches will be asked for at most; 0: no matter */
    uint64_t seed;
} dip_index_recipe;

/**
 * Is a vector left out of training? One in eight is, where there are many: lists bend towards the vectors that they were trained on, so
 * what searches find is best measured by others.
 */
bool dip_index_holds_out(uint64_t id);

/** How to search; zero fields: the operating point stored at build time. */
typedef struct dip_index_params {
    uint32_t nprobe;
    uint32_t depth; /* candidates that leave the 4-bit scan for refinement, as a multiple of k */
    /**
     * Native engine: of the nprobe nearest lists a query reads those that are not further than this behind its nearest,
     * by q.c - |c|^2 / 2, half the difference of squared distances. Not under a filter. 0: all of them.
     */
    float gap;
} dip_index_params;

/**
 * Builds over vectors (n, dim) with ids (n, ascending) and writes `folder`/`name`.exact, or for the native engine
 * `folder`/`name`.segment, or for the faiss engine `folder`/`name`.ivfpq (a file of FAISS's own, with row numbers for ids) and
 * `folder`/`name`.ids (the tile id of each row).
 * The bytes depend on the vectors, the recipe and the seed, not on the number of threads. n from 0.
 * Expected failures: DIP_EINVAL (no unit vectors, ids not ascending, code_count does not divide dim, too few vectors
 * for lists and codes), DIP_ECANCEL.
 */
dip_status dip_index_build(const char *folder, const char *name, const dip_index_recipe *recipe,
                           const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                           const dip_progress *progress);

/** The same over vectors that need not be in memory. The supply has ids. */
dip_status dip_index_build_from(const char *folder, const char *name,
                                const dip_index_recipe *recipe, const dip_supply *supply,
                                const dip_progress *progress);

/**
 * Opens what dip_index_build() or dip_index_update() wrote. Every byte is checked against a checksum first, of a
 * segment those of its header and its lists (segment.h): damage is DIP_ECORRUPT, or wrong scores of damaged vectors, never a
 * crash. Expected failure: DIP_ENOENT.
 */
dip_status dip_index_open(dip_index **out, const char *folder, const char *name);
void dip_index_close(dip_index *index);

size_t dip_index_count(const dip_index *index); /* without the removed */
size_t dip_index_dim(const dip_index *index);
dip_engine dip_index_engine(const dip_index *index);
/** One line for people: "IVF64,PQ64x4fsr,Refine(SQfp16)". */
const char *dip_index_describe(const dip_index *index);

/**
 * The k nearest of each of nq queries (nq, dim), unit norm. ids: (nq, k), scores: (nq, k), best first, ties by
 * the smaller id; always k if there are k, else a row ends in DIP_NO_ID with score -2. `allow` (may be NULL): a sorted list
 * of `allow_count` ids; only those can be hits. A query's answer does not depend on the others of the call. Any number
 * of threads at once. Expected failure: DIP_EINVAL (a query is not of unit norm).
 */
dip_status dip_index_search(const dip_index *index, const float *queries, size_t nq, size_t k,
                            const dip_index_params *params, const uint64_t *allow,
                            size_t allow_count, uint64_t *ids, float *scores);

/** Does a search among `allow_count` ids compare the query with all of them, whatever the engine? */
bool dip_index_compares_all(const dip_index *index, const dip_index_params *params,
                            size_t allow_count);

/**
 * A new sealed index at `folder`/`name` from `base` with some ids removed and vectors added (ids not in base, or
 * among the removed: replaced), without training again. Neither list need be sorted; to remove what is not there is
 * fine. `base` may be in use, and may lie in the same place. Expected failures: DIP_EEXIST (an added id is there and
 * stays), DIP_EINVAL (an id is added twice, no unit vector).
 */
dip_status dip_index_update(const dip_index *base, const char *folder, const char *name,
                            const uint64_t *remove, size_t remove_count, const float *vectors,
                            const uint64_t *ids, size_t n);

/** Copies the ids that it holds from the `first` smallest on, ascending, n at most; returns their number. */
size_t dip_index_ids(const dip_index *index, size_t first, size_t n, uint64_t *ids);

enum {
    DIP_INDEX_MAX_POINTS = 16,
    DIP_INDEX_MOST_TUNED =
        DIP_TRUTH_WIDTH * 3 / 4, /* hits whose recall is measured; the rest is for ties */
    DIP_INDEX_CHOOSING = 5       /* one query of so many chooses, the others report */
};

/** A way to search: what it finds and what it costs. */
typedef struct dip_index_point {
    dip_index_params params;
    double recall; /* recall@k on queries that had no part in choosing it */
    double
        us; /* microseconds of a query on one thread, one query a call: the median by the clock at build time */
} dip_index_point;

typedef struct dip_index_tuning {
    /** Has seen the vectors of the index. Of its queries, `nq` from `first` on ask, best held out. */
    const dip_truth *truth;
    size_t first,
        nq; /* the first fifth of them chooses, the rest reports; let both be samples of the same */
    bool stored; /* the queries are among the vectors: that each finds itself does not count */
    size_t k;    /* hits that count; at most DIP_INDEX_MOST_TUNED */
    size_t
        fetched; /* hits that the index is asked for, of which the k with the best exact scores stay; at least k */
    double target; /* recall that one of the points should just reach */
} dip_index_tuning;

/**
 * Measures recall@k against the truth and gives the points that are worth having, the cheapest first, each with
 * a higher recall than the one before: from a recall of about 0.8 to 0.998, the target, or the best that is worth its cost. A hit counts if its
 * exact score reaches the k-th true score less 1e-6, so ties do no harm; queries with more ties than the truth has room for do not count. Which points come out is the same for any number
 * of threads and on any machine: cost is a model. `us` is by the clock. At least one point; one alone for an
 * engine that compares all.
 */
dip_status dip_index_tune(const dip_index *index, const dip_index_tuning *how,
                          dip_index_point points[DIP_INDEX_MAX_POINTS], size_t *count);

#endif
