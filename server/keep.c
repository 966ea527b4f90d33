/* Things kept for a while; see keep.h. One array in order of arrival under one lock; there are at most some thousands. */
#define _GNU_SOURCE
#include "server/keep.h"

#include "core/clock.h"
#include "core/mem.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

typedef struct entry {
    char id[DIP_KEEP_ID];
    void *thing;
    size_t bytes;
    double asked; /* for it, last; dip_seconds() */
    unsigned holders;
    bool gone; /* freed by the last who holds it */
} entry;

struct dip_keep {
    dip_keep_options options;
    pthread_mutex_t lock;
    entry *entries;
    size_t count, capacity;
};

dip_status dip_keep_create(dip_keep **out, const dip_keep_options *options)
{
    dip_keep *keep = dip_calloc(1, sizeof *keep);
    if (!keep) return DIP_ENOMEM;
    keep->options = *options;
    pthread_mutex_init(&keep->lock, NULL);
    *out = keep;
    return DIP_OK;
}

void dip_keep_destroy(dip_keep *keep)
{
    if (!keep) return;
    for (size_t i = 0; i < keep->count; i++) keep->options.free_thing(keep->entries[i].thing);
    pthread_mutex_destroy(&keep->lock);
    dip_free(keep->entries);
    dip_free(keep);
}

double dip_keep_seconds(const dip_keep *keep) { return keep->options.seconds; }

/* ---- with the lock held ---- */

static void remove_at(dip_keep *keep, size_t at)
{
    entry *e = &keep->entries[at];
    e->gone = true;
    if (e->holders) return;
    keep->options.free_thing(e->thing);
    memmove(e, e + 1, (--keep->count - at) * sizeof *e);
}

static void expire(dip_keep *keep)
{
    double oldest = dip_seconds() - keep->options.seconds;
    for (size_t i = keep->count; i-- > 0;)
        if (!keep->entries[i].gone && keep->entries[i].asked < oldest) remove_at(keep, i);
}

/* Until one more of so many bytes fits. */
static void make_room(dip_keep *keep, size_t bytes)
{
    for (;;) {
        size_t number = 0, sum = bytes, first = SIZE_MAX;
        for (size_t i = 0; i < keep->count; i++) {
            const entry *e = &keep->entries[i];
            if (e->gone) continue;
            number++;
            sum += e->bytes;
            if (first == SIZE_MAX || e->asked < keep->entries[first].asked) first = i;
        }
        if (first == SIZE_MAX) return;
        if (number < keep->options.most && sum <= keep->options.most_bytes) return;
        remove_at(keep, first);
    }
}

static entry *find(dip_keep *keep, const char *id)
{
    for (size_t i = 0; i < keep->count; i++)
        if (!keep->entries[i].gone && !strcmp(keep->entries[i].id, id)) return &keep->entries[i];
    return NULL;
}

static dip_status append(dip_keep *keep, const entry *e)
{
    if (dip_array_reserve((void **)&keep->entries, &keep->capacity, keep->count + 1, sizeof *e))
        return DIP_ENOMEM;
    keep->entries[keep->count++] = *e;
    return DIP_OK;
}

/* ---- the interface ---- */

static dip_status draw_id(const char *prefix, char id[DIP_KEEP_ID])
{
    uint64_t bits[2];
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        return dip_fail(DIP_EIO, "the system gives no random numbers for a name");
    snprintf(id, DIP_KEEP_ID, "%s%016llx%016llx", prefix, (unsigned long long)bits[0],
             (unsigned long long)bits[1]);
    return DIP_OK;
}

dip_status dip_keep_add(dip_keep *keep, void *thing, size_t bytes, char id[DIP_KEEP_ID])
{
    entry e = {.thing = thing, .bytes = bytes, .asked = dip_seconds()};
    dip_status status =
        bytes <= keep->options.most_bytes
            ? draw_id(keep->options.prefix, e.id)
            : dip_fail(DIP_ENOSPC, "%zu bytes are more than is kept of what clients leave", bytes);
    if (!status) {
        memcpy(id, e.id, DIP_KEEP_ID);
        pthread_mutex_lock(&keep->lock);
        expire(keep);
        make_room(keep, bytes);
        status = append(keep, &e);
        pthread_mutex_unlock(&keep->lock);
    }
    if (status) keep->options.free_thing(thing);
    return status;
}

static void *hold(dip_keep *keep, const char *id, bool ask)
{
    void *thing = NULL;
    pthread_mutex_lock(&keep->lock);
    expire(keep);
    entry *e = find(keep, id);
    if (e) {
        e->holders++;
        if (ask) e->asked = dip_seconds();
        thing = e->thing;
    }
    pthread_mutex_unlock(&keep->lock);
    return thing;
}

void *dip_keep_hold(dip_keep *keep, const char *id) { return hold(keep, id, true); }
void *dip_keep_look(dip_keep *keep, const char *id) { return hold(keep, id, false); }

void dip_keep_release(dip_keep *keep, void *thing)
{
    if (!thing) return;
    pthread_mutex_lock(&keep->lock);
    for (size_t i = 0; i < keep->count; i++) {
        entry *e = &keep->entries[i];
        if (e->thing != thing) continue;
        if (!--e->holders && e->gone) remove_at(keep, i);
        break;
    }
    pthread_mutex_unlock(&keep->lock);
}

bool dip_keep_drop(dip_keep *keep, const char *id)
{
    pthread_mutex_lock(&keep->lock);
    expire(keep);
    entry *e = find(keep, id);
    if (e) remove_at(keep, (size_t)(e - keep->entries));
    pthread_mutex_unlock(&keep->lock);
    return e != NULL;
}

dip_status dip_keep_list(dip_keep *keep, char (**ids)[DIP_KEEP_ID], size_t *count)
{
    pthread_mutex_lock(&keep->lock);
    expire(keep);
    *count = 0;
    *ids = dip_alloc((keep->count + 1) * sizeof **ids);
    for (size_t i = 0; i < keep->count && *ids; i++)
        if (!keep->entries[i].gone) memcpy((*ids)[(*count)++], keep->entries[i].id, sizeof **ids);
    pthread_mutex_unlock(&keep->lock);
    return *ids ? DIP_OK : DIP_ENOMEM;
}
