/* A list of connections under one lock; see pace.h. shutdown() is called under the lock, so no other connection has the number yet. */
#define _GNU_SOURCE
#include "server/pace.h"

#include "core/clock.h"
#include "core/mem.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

struct dip_paced {
    dip_paced *previous, *next;
    int fd;
    double since, bytes;
    bool resting, taking;
    unsigned half_closed; /* sweeps in a row that saw it so */
};

struct dip_pace {
    pthread_mutex_t lock;
    dip_paced *first;
    double idle;
};

dip_status dip_pace_create(dip_pace **out, double idle_seconds)
{
    dip_pace *pace = dip_calloc(1, sizeof *pace);
    if (!pace) return DIP_ENOMEM;
    pthread_mutex_init(&pace->lock, NULL);
    pace->idle = idle_seconds;
    *out = pace;
    return DIP_OK;
}

void dip_pace_destroy(dip_pace *pace)
{
    if (!pace) return;
    while (pace->first) dip_pace_end(pace, pace->first);
    pthread_mutex_destroy(&pace->lock);
    dip_free(pace);
}

dip_paced *dip_pace_begin(dip_pace *pace, int fd)
{
    dip_paced *c = dip_alloc(sizeof *c);
    if (!c) return NULL;
    *c = (dip_paced){.fd = fd, .since = dip_seconds()};
    pthread_mutex_lock(&pace->lock);
    c->next = pace->first;
    if (c->next) c->next->previous = c;
    pace->first = c;
    pthread_mutex_unlock(&pace->lock);
    return c;
}

void dip_pace_end(dip_pace *pace, dip_paced *c)
{
    if (!c) return;
    pthread_mutex_lock(&pace->lock);
    if (c->next) c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        pace->first = c->next;
    pthread_mutex_unlock(&pace->lock);
    dip_free(c);
}

static void begin_turn(dip_pace *pace, dip_paced *c, bool taking, size_t bytes)
{
    if (!c) return;
    double now = dip_seconds();
    pthread_mutex_lock(&pace->lock);
    c->since = now;
    c->bytes = (double)bytes;
    c->taking = taking;
    c->resting = false;
    c->half_closed = 0;
    pthread_mutex_unlock(&pace->lock);
}

void dip_pace_sends(dip_pace *pace, dip_paced *c) { begin_turn(pace, c, false, 0); }

void dip_pace_takes(dip_pace *pace, dip_paced *c, size_t bytes)
{
    begin_turn(pace, c, true, bytes);
}

void dip_pace_more(dip_pace *pace, dip_paced *c, size_t bytes)
{
    if (!c) return;
    pthread_mutex_lock(&pace->lock);
    c->bytes += (double)bytes;
    pthread_mutex_unlock(&pace->lock);
}

void dip_pace_rest(dip_pace *pace, dip_paced *c)
{
    if (!c) return;
    pthread_mutex_lock(&pace->lock);
    c->resting = true;
    pthread_mutex_unlock(&pace->lock);
}

static bool has_half_closed(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0 && look.revents & POLLRDHUP;
}

/* Seen twice: what was on its way at the first look has been read by the second. */
static bool owes_for_ever(dip_paced *c)
{
    if (c->taking || !has_half_closed(c->fd)) return false;
    return ++c->half_closed == 2;
}

unsigned dip_pace_sweep(dip_pace *pace)
{
    unsigned n = 0;
    double now = dip_seconds();
    pthread_mutex_lock(&pace->lock);
    for (dip_paced *c = pace->first; c; c = c->next) {
        if (c->resting) continue;
        bool slow = now - c->since > 2 * pace->idle + c->bytes / DIP_PACE_BYTES;
        if (!slow && !owes_for_ever(c)) continue;
        c->resting = true;
        shutdown(c->fd, SHUT_RDWR);
        n += slow;
    }
    pthread_mutex_unlock(&pace->lock);
    return n;
}
