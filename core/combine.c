/*
 * Concurrent calls made one; see combine.h. Whoever finds nobody at work leads: it takes itself and all that fits off the
 * queue, works without the lock, and wakes the others, of which one leads next.
 */
#include "core/combine.h"

#include <stdbool.h>

struct dip_waiter {
    const void *job;
    bool done, alone; /* alone: its batch failed, so it has to do the job itself */
    dip_waiter *next;
};

void dip_combiner_init(dip_combiner *c)
{
    *c = (dip_combiner){.first = NULL};
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->over, NULL);
}

void dip_combiner_fini(dip_combiner *c)
{
    pthread_cond_destroy(&c->over);
    pthread_mutex_destroy(&c->lock);
}

/* ---- with the lock held ---- */

static void append(dip_combiner *c, dip_waiter *me)
{
    dip_waiter **at = &c->first;
    while (*at) at = &(*at)->next;
    *at = me;
    c->waiting++;
}

/* Takes `me` and what fits off the queue, `me` always. */
static size_t take(dip_combiner *c, const dip_combine_how *how, dip_waiter *me, dip_waiter **batch)
{
    size_t n = 0;
    bool taken = false;
    for (dip_waiter **at = &c->first; *at;) {
        dip_waiter *w = *at;
        size_t room = DIP_COMBINE_MOST - n - (taken ? 0 : 1); /* one place is mine */
        if (w != me && (!room || !how->fits(me->job, w->job))) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        taken |= w == me;
        batch[n++] = w;
        c->waiting--;
    }
    return n;
}

static void finish(dip_combiner *c, dip_waiter **batch, size_t n, bool failed)
{
    for (size_t i = 0; i < n; i++) {
        batch[i]->done = true;
        batch[i]->alone = failed && n > 1;
    }
    c->leading = NULL;
    pthread_cond_broadcast(&c->over);
}

/* ---- the call ---- */

/* Works with the lock released in between. */
static dip_status lead(dip_combiner *c, const dip_combine_how *how, dip_waiter *me)
{
    dip_waiter *batch[DIP_COMBINE_MOST];
    const void *jobs[DIP_COMBINE_MOST];
    size_t n = take(c, how, me, batch);
    c->leading = me->job;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < n; i++) jobs[i] = batch[i]->job;
    dip_status status = how->run(jobs, n);
    pthread_mutex_lock(&c->lock);
    finish(c, batch, n, status != DIP_OK);
    if (status && n > 1)
        dip_error_clear(); /* whose failure it is comes out when each is done alone */
    return status;
}

dip_status dip_combine(dip_combiner *c, const dip_combine_how *how, const void *job)
{
    dip_waiter me = {.job = job};
    dip_status status = DIP_OK;
    pthread_mutex_lock(&c->lock);
    if (c->leading && !how->fits(c->leading, job)) {
        me.alone = true;
    } else {
        append(c, &me);
        while (!me.done && c->leading) pthread_cond_wait(&c->over, &c->lock);
        if (!me.done) status = lead(c, how, &me);
    }
    pthread_mutex_unlock(&c->lock);
    return me.alone ? how->run(&job, 1) : status;
}

size_t dip_combiner_waiting(dip_combiner *c)
{
    pthread_mutex_lock(&c->lock);
    size_t waiting = c->waiting;
    pthread_mutex_unlock(&c->lock);
    return waiting;
}
