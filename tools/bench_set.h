/** From the words of a user to the data that engines are compared on. */
#ifndef TOOLS_BENCH_SET_H
#define TOOLS_BENCH_SET_H

#include "compare/set.h"

typedef struct dip_bench_source {
    const char *data;          /* a file of vectors, or an archive */
    const char *base;          /* archive: the modality that is searched */
    const char *queries;       /* a file of queries; archive: the modality that asks */
    const char *model;         /* archive: whose embeddings; NULL: the newest one's */
    const char *name;          /* of the set; NULL: from the above */
    size_t rows, most_queries; /* at most; 0: all */
    size_t k;                  /* true neighbours to find */
} dip_bench_source;

/**
 * Opens, makes unit vectors, finds the true neighbours; `cache` is a folder, made if it is not there. A modality that
 * asks itself gives some of its vectors away as queries. Expected failures: DIP_EINVAL (what is missing), and those of
 * points.h and set.h.
 */
dip_status dip_bench_set_open(dip_set *out, const dip_bench_source *source, const char *cache,
                              const dip_progress *progress);

#endif
