/**
 * From the number of vectors, their dimension, a budget of memory and a recall to what is built.
 *
 * The first that fits of
 *   1. exact search, below recipe.exact_below vectors (50,000), and always where too few to train (DIP_FAISS_LEAST);
 *   2. the native engine, 2 dimensions a code (more if that were over 128 codes), refinement by halves, if the recall
 *      asked for is above DIP_INT8_RECALL;
 *   3. the same, refinement by bytes;
 *   4. the same with codes of twice, four times, ... as many dimensions, down to a sixteenth of a byte a dimension;
 *   5. 3. and 4. with the refinement left on disk: a query reads some of it there.
 * What a recipe states is kept: the steps differ in the rest.
 */
#ifndef INDEX_RECIPE_H
#define INDEX_RECIPE_H

#include "index/index.h"

/**
 * Recall@10 that refinement by bytes reaches with ease: .9864 at 16 of 4,096 lists and 40 candidates, .9915 at 100, on a
 * million clustered vectors of 128 dimensions; comparing a query's hits again with the stored vectors adds some.
 */
#define DIP_INT8_RECALL 0.99

typedef struct dip_index_plan {
    dip_index_recipe recipe; /* without zeros, but for memory and recall */
    uint64_t memory, disk;   /* bytes: what searches keep reading; all files together. Estimates */
    bool refine_from_disk;   /* the refinement is not part of `memory` */
    char why[128];           /* a line for people */
} dip_index_plan;

/**
 * Expected failure: DIP_EINVAL (nothing that the recipe allows fits its memory: says what would be needed; code_count
 * does not divide dim).
 */
dip_status dip_index_plan_make(dip_index_plan *out, const dip_index_recipe *recipe, size_t n,
                               size_t dim);

#endif
