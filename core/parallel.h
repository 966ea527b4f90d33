/**
 * One pool of threads for the process.
 *
 * Work is cut into numbered tasks that do not depend on the number of threads; whoever needs sums keeps one
 * partial sum a task and adds them in task order, so results are the same for any number of threads.
 */
#ifndef CORE_PARALLEL_H
#define CORE_PARALLEL_H

#include "core/status.h"

#include <stddef.h>

/**
 * `task` counts from 0; `worker` < dip_threads() tells the thread, for scratch memory: no two calls that
 * run at the same time in one dip_parallel_for() have the same worker.
 */
typedef dip_status (*dip_task_fn)(void *context, size_t task, unsigned worker);

/**
 * Runs fn for tasks 0..n-1 on all threads, the caller's included, and waits.
 * Returns the failure of the lowest-numbered task that failed, with its line; after a failure, tasks not
 * yet begun are skipped. A call from inside a task, or while another thread uses the pool, runs its tasks
 * one after the other on the calling thread as worker 0.
 */
dip_status dip_parallel_for(size_t n, dip_task_fn fn, void *context);

/** Number of threads, the caller's included. Default: DIP_THREADS, else the processors we may run on. */
unsigned dip_threads(void);

/** Sets it; 0 brings the default back. Not while work runs. At most 256. */
void dip_threads_set(unsigned n);

#endif
