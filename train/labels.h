/**
 * Label sets: "water|woodland" -> a number for the set, and how two sets overlap.
 *
 * Order and repetition of words do not matter: "a|b" and "b|a|a" are one set. One thread at a time while sets are
 * added, any number after.
 */
#ifndef TRAIN_LABELS_H
#define TRAIN_LABELS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

#define DIP_NO_SET UINT32_MAX /* no labels */

typedef struct dip_label_sets dip_label_sets;

dip_status dip_label_sets_create(dip_label_sets **out);
void dip_label_sets_destroy(dip_label_sets *sets);

/** *set gets the number of the set that `labels` ('|'-separated) names; DIP_NO_SET for "". */
dip_status dip_label_sets_add(dip_label_sets *sets, const char *labels, uint32_t *set);
/** Number of different sets so far: they are 0 .. count-1. */
size_t dip_label_sets_count(const dip_label_sets *sets);
/** Labels in a set. */
size_t dip_label_sets_size(const dip_label_sets *sets, uint32_t set);
/** Labels that two sets have in common. */
size_t dip_label_sets_shared(const dip_label_sets *sets, uint32_t a, uint32_t b);

#endif
