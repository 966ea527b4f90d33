/**
 * Concurrent calls of the same kind made one: who comes first works alone; what arrives meanwhile waits, and the first of it
 * takes all of it along as one batch. Nobody waits for company: a lone call costs one lock more.
 */
#ifndef CORE_COMBINE_H
#define CORE_COMBINE_H

#include "core/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { DIP_COMBINE_MOST = 64 }; /* jobs of a batch */

typedef struct dip_waiter dip_waiter;

typedef struct dip_combiner {
    pthread_mutex_t lock;
    pthread_cond_t over;
    dip_waiter *first;   /* waiting, in order of arrival */
    const void *leading; /* the job that whoever works now brought; NULL: nobody works */
    size_t waiting;
} dip_combiner;

void dip_combiner_init(dip_combiner *combiner);
void dip_combiner_fini(dip_combiner *combiner);

typedef struct dip_combine_how {
    bool (*fits)(const void *a, const void *b);           /* may they go together? an equivalence */
    dip_status (*run)(const void *const *jobs, size_t n); /* does n that fit, all or none */
} dip_combine_how;

/**
 * Does `job`, alone or with others, and returns when it is done. One that does not fit what is being worked on runs at
 * once, beside it. If a batch fails, each of it is done again alone, so the failure is that of the job that has it.
 */
dip_status dip_combine(dip_combiner *combiner, const dip_combine_how *how, const void *job);

/** How many wait at this moment. */
size_t dip_combiner_waiting(dip_combiner *combiner);

#endif
