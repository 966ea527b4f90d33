/*
 * See crew.h. All threads sleep in epoll_wait() of one instance, the gate, which wakes one of them for an event. It watches
 *
 *   the source, one-shot: the gate shuts itself when it wakes somebody, and is opened by whoever leaves the lock; so what a
 *               thread stirs up while it holds the lock wakes nobody
 *   the bell, edge-triggered: a write wakes one more thread, for a job or a turn that is left over
 *
 * The source is itself an epoll instance in server/http.c, and no thread may take its events without the lock: that is why it is
 * watched from outside.
 */
#define _GNU_SOURCE
#include "server/crew.h"

#include "core/clock.h"
#include "core/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TICK_MS = 1000 };
static const double LOOK = 50e-6; /* seconds */

struct dip_crew {
    dip_crew_work work;
    int source, gate, bell;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* nothing runs */
    dip_job *first, *last;
    unsigned waiting, most, running, workers;
    bool closed, ended;
    unsigned thread_count;
    pthread_t threads[];
};

static void set_gate(dip_crew *crew, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT};
    epoll_ctl(crew->gate, EPOLL_CTL_MOD, crew->source, &event);
}

static void ring(dip_crew *crew) { eventfd_write(crew->bell, 1); }

void dip_crew_enter(dip_crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    set_gate(crew, 0);
}

/* The lock first: who comes through the gate should find it free. */
static void leave(dip_crew *crew)
{
    pthread_mutex_unlock(&crew->lock);
    set_gate(crew, EPOLLIN);
}

void dip_crew_leave(dip_crew *crew)
{
    ring(crew);
    leave(crew);
}

/* The rest is called with the lock held. */

bool dip_crew_post(dip_crew *crew, dip_job *job)
{
    if (crew->closed || crew->waiting >= crew->most + crew->workers - crew->running) return false;
    job->next = NULL;
    if (crew->last)
        crew->last->next = job;
    else
        crew->first = job;
    crew->last = job;
    crew->waiting++;
    return true;
}

static bool may_run(const dip_crew *crew) { return crew->first && crew->running < crew->workers; }

static dip_job *take(dip_crew *crew)
{
    dip_job *job = crew->first;
    if (!(crew->first = job->next)) crew->last = NULL;
    crew->waiting--;
    crew->running++;
    return job;
}

/* A turn, and a job of those that wait for this thread, or NULL; what is left over is another's. */
static dip_job *attend(dip_crew *crew)
{
    bool more = crew->work.turn(crew->work.context);
    dip_job *job = may_run(crew) ? take(crew) : NULL;
    if (more || may_run(crew)) ring(crew);
    return job;
}

static void finish(dip_crew *crew, dip_job *job)
{
    crew->work.done(crew->work.context, job, false);
    if (!--crew->running) pthread_cond_broadcast(&crew->idle);
}

/* Who asks one thing after the other is back sooner than a thread falls asleep and is woken: look a moment before sleeping. */
static void await_event(dip_crew *crew)
{
    struct epoll_event event;
    for (double until = dip_seconds() + LOOK; dip_seconds() < until; sched_yield())
        if (epoll_wait(crew->gate, &event, 1, 0) > 0) return;
    epoll_wait(crew->gate, &event, 1, TICK_MS);
}

static void *serve(void *argument)
{
    dip_crew *crew = argument;
    for (bool ended = false; !ended;) {
        await_event(crew);
        pthread_mutex_lock(&crew->lock);
        for (dip_job *job; (job = attend(crew));) {
            leave(crew);
            crew->work.run(crew->work.context, job);
            dip_crew_enter(crew);
            finish(crew, job);
        }
        if ((ended = crew->ended)) ring(crew); /* and the next one sees it */
        leave(crew);
    }
    return NULL;
}

/* Beginning and end */

static dip_status open_gate(dip_crew *crew)
{
    struct epoll_event source = {.events = EPOLLIN | EPOLLONESHOT},
                       bell = {.events = EPOLLIN | EPOLLET};
    crew->gate = epoll_create1(EPOLL_CLOEXEC);
    crew->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (crew->gate < 0 || crew->bell < 0 ||
        epoll_ctl(crew->gate, EPOLL_CTL_ADD, crew->source, &source) ||
        epoll_ctl(crew->gate, EPOLL_CTL_ADD, crew->bell, &bell))
        return dip_fail(DIP_EIO, "cannot wait for connections: %s", strerror(errno));
    return DIP_OK;
}

static dip_status start_threads(dip_crew *crew)
{
    while (crew->thread_count <= crew->workers) {
        int error = pthread_create(&crew->threads[crew->thread_count], NULL, serve, crew);
        if (error) return dip_fail(DIP_ENOMEM, "cannot start a thread: %s", strerror(error));
        crew->thread_count++;
    }
    return DIP_OK;
}

dip_status dip_crew_start(dip_crew **out, const dip_crew_work *work, int fd, unsigned workers,
                          unsigned waiting)
{
    dip_crew *crew = dip_calloc(1, sizeof *crew + (workers + 1) * sizeof(pthread_t));
    if (!crew) return DIP_ENOMEM;
    crew->work = *work;
    crew->source = fd;
    crew->gate = crew->bell = -1;
    crew->workers = workers;
    crew->most = waiting;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->idle, NULL);
    *out = crew; /* before there are threads, whose turns may post */
    dip_status status = open_gate(crew);
    if (!status) status = start_threads(crew);
    if (status) {
        dip_crew_destroy(crew);
        *out = NULL;
    }
    return status;
}

void dip_crew_close(dip_crew *crew)
{
    dip_crew_enter(crew);
    crew->closed = true;
    while (crew->first) {
        dip_job *job = take(crew);
        crew->running--;
        crew->work.done(crew->work.context, job, true);
    }
    dip_crew_leave(crew);
    pthread_mutex_lock(&crew->lock);
    while (crew->running) pthread_cond_wait(&crew->idle, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

void dip_crew_destroy(dip_crew *crew)
{
    if (!crew) return;
    dip_crew_close(crew);
    pthread_mutex_lock(&crew->lock);
    crew->ended = true;
    ring(crew);
    pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->thread_count; i++) pthread_join(crew->threads[i], NULL);
    if (crew->gate >= 0) close(crew->gate);
    if (crew->bell >= 0) close(crew->bell);
    pthread_cond_destroy(&crew->idle);
    pthread_mutex_destroy(&crew->lock);
    dip_free(crew);
}
