/**
 * Progress of long work: the worker calls dip_progress_tick(), the listener draws or cancels.
 * Convention as in GDAL: the callback returns non-zero to cancel.
 */
#ifndef CORE_PROGRESS_H
#define CORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef int (*dip_progress_fn)(void *payload, const char *phase, uint64_t done, uint64_t total);

typedef struct dip_progress {
    dip_progress_fn fn; /* NULL: nobody listens */
    void *payload;
} dip_progress;

/** `total` 0 means unknown. Returns true if the listener wants the work to stop. `p` may be NULL. */
static inline bool dip_progress_tick(const dip_progress *p, const char *phase, uint64_t done,
                                     uint64_t total)
{
    return p && p->fn && p->fn(p->payload, phase, done, total) != 0;
}

#endif
