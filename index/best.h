/** The best of many candidates, by score: partly sorted in place. The result depends on the input alone. */
#ifndef INDEX_BEST_H
#define INDEX_BEST_H

#include "index/native_kernel.h"

/** Brings the k candidates of the highest scores to the front, in any order. */
void dip_best_select(dip_native_candidate *candidates, size_t n, size_t k);

/** Highest score first; of equal ones the smaller slot. */
void dip_best_sort(dip_native_candidate *candidates, size_t n);

#endif
