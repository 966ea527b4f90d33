/* One list under one lock; see jobs.h. */
#include "server/jobs.h"

#include "core/mem.h"

#include <pthread.h>
#include <string.h>

struct dip_jobs {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    void (*run)(dip_job *job);
    void (*drop)(dip_job *job);
    dip_job *first, *last;
    unsigned waiting, most, idle, thread_count;
    bool ended;
    pthread_t threads[];
};

static dip_job *take(dip_jobs *jobs)
{
    dip_job *job = jobs->first;
    if (!job) return NULL;
    if (!(jobs->first = job->next)) jobs->last = NULL;
    jobs->waiting--;
    return job;
}

static void *work(void *argument)
{
    dip_jobs *jobs = argument;
    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        jobs->idle++;
        while (!jobs->first && !jobs->ended) pthread_cond_wait(&jobs->posted, &jobs->lock);
        jobs->idle--;
        dip_job *job = jobs->ended ? NULL : take(jobs);
        if (!job) break;
        pthread_mutex_unlock(&jobs->lock);
        jobs->run(job);
        pthread_mutex_lock(&jobs->lock);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

dip_status dip_jobs_start(dip_jobs **out, unsigned workers, unsigned waiting,
                          void (*run)(dip_job *job), void (*drop)(dip_job *job))
{
    dip_jobs *jobs = dip_calloc(1, sizeof *jobs + workers * sizeof(pthread_t));
    if (!jobs) return DIP_ENOMEM;
    jobs->run = run;
    jobs->drop = drop;
    jobs->most = waiting;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->posted, NULL);
    while (jobs->thread_count < workers) {
        int error = pthread_create(&jobs->threads[jobs->thread_count], NULL, work, jobs);
        if (error && !jobs->thread_count) {
            dip_jobs_destroy(jobs);
            return dip_fail(DIP_ENOMEM, "cannot start a thread: %s", strerror(error));
        }
        if (error) break; /* fewer do */
        jobs->thread_count++;
    }
    *out = jobs;
    return DIP_OK;
}

/* With the lock held. A thread that is free counts as a place. */
static bool full(const dip_jobs *jobs)
{
    return jobs->ended || jobs->waiting >= jobs->most + jobs->idle;
}

bool dip_jobs_full(dip_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    bool is = full(jobs);
    pthread_mutex_unlock(&jobs->lock);
    return is;
}

bool dip_jobs_post(dip_jobs *jobs, dip_job *job)
{
    pthread_mutex_lock(&jobs->lock);
    bool taken = !full(jobs);
    if (taken) {
        job->next = NULL;
        if (jobs->last)
            jobs->last->next = job;
        else
            jobs->first = job;
        jobs->last = job;
        jobs->waiting++;
        pthread_cond_signal(&jobs->posted);
    }
    pthread_mutex_unlock(&jobs->lock);
    return taken;
}

unsigned dip_jobs_waiting(dip_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    unsigned n = jobs->waiting;
    pthread_mutex_unlock(&jobs->lock);
    return n;
}

void dip_jobs_stop(dip_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->ended = true;
    dip_job *left = jobs->first;
    jobs->first = jobs->last = NULL;
    jobs->waiting = 0;
    unsigned n = jobs->thread_count;
    jobs->thread_count = 0;
    pthread_cond_broadcast(&jobs->posted);
    pthread_mutex_unlock(&jobs->lock);
    while (left) {
        dip_job *next = left->next;
        jobs->drop(left);
        left = next;
    }
    for (unsigned i = 0; i < n; i++) pthread_join(jobs->threads[i], NULL);
}

void dip_jobs_destroy(dip_jobs *jobs)
{
    if (!jobs) return;
    dip_jobs_stop(jobs);
    pthread_cond_destroy(&jobs->posted);
    pthread_mutex_destroy(&jobs->lock);
    dip_free(jobs);
}
