/*
 * Thread pool; see parallel.h.
 *
 * Workers sleep on a condition variable and wake for a job, a counter of tasks. A job is posted under the
 * lock by the one thread that holds `gate`; the poster works too and then waits until no worker is inside.
 * The pool is rebuilt when the number of threads changes, and in a child after fork().
 */
#define _GNU_SOURCE
#include "core/parallel.h"

#include "core/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 256, FAILURE_CAPACITY = 1024 };

typedef struct job {
    dip_task_fn fn;
    void *context;
    size_t n;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t failure_lock;
    size_t failed_task;
    dip_status failure;
    char line[FAILURE_CAPACITY];
} job;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_posted = PTHREAD_COND_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static job *current;
static uint64_t posted;
static unsigned inside, started, wanted;
static bool quit;
static pthread_t threads[MAX_THREADS];
static _Thread_local bool in_task;

static unsigned default_threads(void)
{
    const char *text = getenv("DIP_THREADS");
    long n = text ? strtol(text, NULL, 10) : 0;
    if (n <= 0) {
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    return n > MAX_THREADS ? MAX_THREADS : (unsigned)n;
}

static void record_failure(job *j, size_t task, dip_status status)
{
    pthread_mutex_lock(&j->failure_lock);
    if (!atomic_load(&j->failed) || task < j->failed_task) {
        j->failed_task = task;
        j->failure = status;
        snprintf(j->line, sizeof j->line, "%s", dip_last_error());
    }
    atomic_store(&j->failed, true);
    pthread_mutex_unlock(&j->failure_lock);
}

static void run_tasks(job *j, unsigned worker)
{
    in_task = true;
    while (!atomic_load_explicit(&j->failed, memory_order_relaxed)) {
        size_t task = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
        if (task >= j->n) break;
        dip_status status = j->fn(j->context, task, worker);
        if (status) record_failure(j, task, status);
    }
    in_task = false;
}

static void *worker_main(void *argument)
{
    unsigned worker = (unsigned)(uintptr_t)argument;
    uint64_t seen = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!quit && (posted == seen || !current)) {
            if (!current) seen = posted;
            pthread_cond_wait(&work_posted, &lock);
        }
        if (quit) break;
        seen = posted;
        job *j = current;
        inside++;
        pthread_mutex_unlock(&lock);
        run_tasks(j, worker);
        pthread_mutex_lock(&lock);
        if (--inside == 0) pthread_cond_signal(&work_done);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With `gate` held. */
static void stop_workers(void)
{
    pthread_mutex_lock(&lock);
    quit = true;
    pthread_cond_broadcast(&work_posted);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
    started = 0;
    quit = false;
}

/* Waits for whoever uses the pool, unless it is a task that ends the process: then its threads are left to their fate. */
static void stop_at_exit(void)
{
    if (in_task) return;
    pthread_mutex_lock(&gate);
    stop_workers();
    pthread_mutex_unlock(&gate);
}

static void forget_workers_after_fork(void)
{
    pthread_mutex_init(&gate, NULL);
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&work_posted, NULL);
    pthread_cond_init(&work_done, NULL);
    started = inside = 0;
    current = NULL;
    in_task = false;
}

/* With `gate` held. Fewer threads than wanted is no failure: the caller always works itself. */
static void start_workers(unsigned n)
{
    static bool registered;
    if (!registered) {
        pthread_atfork(NULL, NULL, forget_workers_after_fork);
        atexit(stop_at_exit);
        registered = true;
    }
    while (started + 1 < n) {
        void *argument = (void *)(uintptr_t)(started + 1);
        if (pthread_create(&threads[started], NULL, worker_main, argument)) break;
        started++;
    }
}

unsigned dip_threads(void)
{
    pthread_mutex_lock(&lock);
    if (!wanted) wanted = default_threads();
    unsigned n = wanted;
    pthread_mutex_unlock(&lock);
    return n;
}

void dip_threads_set(unsigned n)
{
    pthread_mutex_lock(&gate);
    stop_workers();
    pthread_mutex_lock(&lock);
    wanted = n > MAX_THREADS ? MAX_THREADS : n;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&gate);
}

static dip_status run_alone(size_t n, dip_task_fn fn, void *context)
{
    for (size_t task = 0; task < n; task++) {
        dip_status status = fn(context, task, 0);
        if (status) return status;
    }
    return DIP_OK;
}

static void post_and_work(job *j)
{
    pthread_mutex_lock(&lock);
    current = j;
    posted++;
    pthread_cond_broadcast(&work_posted);
    pthread_mutex_unlock(&lock);
    run_tasks(j, 0);
    pthread_mutex_lock(&lock);
    current = NULL;
    while (inside) pthread_cond_wait(&work_done, &lock);
    pthread_mutex_unlock(&lock);
}

dip_status dip_parallel_for(size_t n, dip_task_fn fn, void *context)
{
    unsigned size = dip_threads();
    if (n <= 1 || size == 1 || in_task || pthread_mutex_trylock(&gate))
        return run_alone(n, fn, context);
    start_workers(size);
    job j = {.fn = fn, .context = context, .n = n};
    pthread_mutex_init(&j.failure_lock, NULL);
    post_and_work(&j);
    pthread_mutex_destroy(&j.failure_lock);
    pthread_mutex_unlock(&gate);
    return atomic_load(&j.failed) ? dip_fail(j.failure, "%s", j.line) : DIP_OK;
}
