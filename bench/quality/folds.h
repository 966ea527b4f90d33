/** Development folds: a manifest with other splits, so that some training scenes take the place of `val`. */
#ifndef BENCH_QUALITY_FOLDS_H
#define BENCH_QUALITY_FOLDS_H

#include "bench/quality/plan.h"

/**
 * Writes to `to` the CSV manifest `from` (or the manifest.csv in the folder `from`) with the scenes of splits `train`
 * and `val` split anew: the scenes, in an order of chance that is always the same, are dealt to hold_out->of parts; part
 * number hold_out->number is `val`, the others `train`. Tiles of other splits, `test` above all, are left out. Paths
 * become absolute.
 * Expected failures: those of reading; DIP_EINVAL (no scenes, or fewer than parts).
 */
dip_status dip_folds_write(const char *to, const char *from, const dip_hold_out *hold_out);

#endif
