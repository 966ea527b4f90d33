/** A bounded queue and the threads that work it off, first come, first served. */
#ifndef SERVER_JOBS_H
#define SERVER_JOBS_H

#include "core/status.h"

#include <stdbool.h>

/** First member of what is queued. */
typedef struct dip_job {
    struct dip_job *next;
} dip_job;

typedef struct dip_jobs dip_jobs;

/** `run` does a job, on one of `workers` threads; `drop` gets those that the end came before. */
dip_status dip_jobs_start(dip_jobs **out, unsigned workers, unsigned waiting,
                          void (*run)(dip_job *job), void (*drop)(dip_job *job));
/** Would a job be refused? With one thread that posts, "no" holds until it does, or until the end. */
bool dip_jobs_full(dip_jobs *jobs);
/** False if the queue is full or at its end; the job is then the caller's still. */
bool dip_jobs_post(dip_jobs *jobs, dip_job *job);
unsigned dip_jobs_waiting(dip_jobs *jobs);
/** Takes no more, drops what waits, and returns when what runs is done. dip_jobs_destroy() does it too. */
void dip_jobs_stop(dip_jobs *jobs);
void dip_jobs_destroy(dip_jobs *jobs);

#endif
