/* A list of connections under one lock; see pace.h. shutdown() is called under the lock, so no other connection has the number yet. */
#include "server/pace.h"

#include "core/clock.h"
#include "core/mem.h"

#include <pthread.h>
#include <sys/socket.h>

struct dip_paced {
    dip_paced *previous, *next;
    int fd;
    double since, bytes;
    bool resting;
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

void dip_pace_turn(dip_pace *pace, dip_paced *c, size_t bytes)
{
    if (!c) return;
    double now = dip_seconds();
    pthread_mutex_lock(&pace->lock);
    c->since = now;
    c->bytes = (double)bytes;
    c->resting = false;
    pthread_mutex_unlock(&pace->lock);
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

unsigned dip_pace_sweep(dip_pace *pace)
{
    unsigned n = 0;
    double now = dip_seconds();
    pthread_mutex_lock(&pace->lock);
    for (dip_paced *c = pace->first; c; c = c->next) {
        if (c->resting || now - c->since < 2 * pace->idle + c->bytes / DIP_PACE_BYTES) continue;
        c->resting = true;
        shutdown(c->fd, SHUT_RDWR);
        n++;
    }
    pthread_mutex_unlock(&pace->lock);
    return n;
}
