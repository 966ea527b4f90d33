/**
 * Threads that wait together for a source of events, and do what comes of it: leader and followers, without an election.
 *
 * One thread more than may run jobs waits at the source. Whoever an event wakes gives the source a turn, under the crew's
 * lock, and runs one of the jobs that the turn posted, without the lock, while the others wait on. When its job is done it gives
 * the source a turn again, so that what the job made goes out from the same thread. A lone request never changes its thread, and
 * one thread is always left to wait.
 */
#ifndef SERVER_CREW_H
#define SERVER_CREW_H

#include "core/status.h"

#include <stdbool.h>

typedef struct dip_crew dip_crew;

/** First member of what is queued. */
typedef struct dip_job {
    struct dip_job *next;
} dip_job;

typedef struct dip_crew_work {
    /* With the lock: takes what the source has, posts jobs. True: there is more to take at once. Called every second at least. */
    bool (*turn)(void *context);
    /* Without the lock, at most `workers` at a time. */
    void (*run)(void *context, dip_job *job);
    /* With the lock, a turn follows: the job was run, or `dropped` because the end came before. */
    void (*done)(void *context, dip_job *job, bool dropped);
    void *context;
} dip_crew_work;

/**
 * `fd` is readable while the source has events; `waiting` jobs may wait for a thread. *out is set before the first turn, and NULL
 * after a failure.
 */
dip_status dip_crew_start(dip_crew **out, const dip_crew_work *work, int fd, unsigned workers,
                          unsigned waiting);
/** In a turn. False: nobody is free and the queue is full, or it is closed; the job is then the caller's still. */
bool dip_crew_post(dip_crew *crew, dip_job *job);
/** The lock, for others who must touch what `turn` touches; a turn follows. */
void dip_crew_enter(dip_crew *crew);
void dip_crew_leave(dip_crew *crew);
/** Takes no more jobs, drops those that wait, and returns when those that run are done; turns go on. */
void dip_crew_close(dip_crew *crew);
/** Closes, and ends the threads. NULL is fine. */
void dip_crew_destroy(dip_crew *crew);

#endif
