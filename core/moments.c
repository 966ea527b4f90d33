/* Mean and spread; see moments.h. Parts are held a group at a time. */
#include "core/moments.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <math.h>
#include <string.h>

enum { GROUP = 64 };

typedef struct gathering {
    dip_moments_fn fn;
    void *context;
    size_t n, first;    /* values; part that the group begins with */
    dip_moments *parts; /* (GROUP, n) */
} gathering;

void dip_moments_add(dip_moments *m, double value)
{
    double delta = value - m->mean;
    m->count++;
    m->mean += delta / m->count;
    m->squares += delta * (value - m->mean);
}

double dip_moments_deviation(const dip_moments *m)
{
    return m->count > 0 ? sqrt(m->squares / m->count) : 0;
}

static void join(dip_moments *total, const dip_moments *more)
{
    double count = total->count + more->count, delta = more->mean - total->mean;
    if (!(more->count > 0)) return;
    total->squares += more->squares + delta * delta * total->count * more->count / count;
    total->mean += delta * more->count / count;
    total->count = count;
}

static dip_status gather_part(void *context, size_t task, unsigned worker)
{
    const gathering *g = context;
    (void)worker;
    return g->fn(g->context, g->first + task, g->parts + task * g->n);
}

static dip_status gather_group(gathering *g, size_t count, dip_moments *total)
{
    memset(g->parts, 0, count * g->n * sizeof *g->parts);
    dip_status status = dip_parallel_for(count, gather_part, g);
    for (size_t part = 0; part < count && !status; part++)
        for (size_t i = 0; i < g->n; i++) join(&total[i], &g->parts[part * g->n + i]);
    return status;
}

dip_status dip_moments_gather(dip_moments *total, size_t n, size_t parts, dip_moments_fn fn,
                              void *context, const dip_progress *progress)
{
    gathering g = {.fn = fn, .context = context, .n = n};
    dip_status status = DIP_OK;
    memset(total, 0, n * sizeof *total);
    g.parts = dip_alloc(GROUP * n * sizeof *g.parts);
    if (!g.parts) return DIP_ENOMEM;
    for (; !status && g.first < parts; g.first += GROUP) {
        size_t count = parts - g.first < GROUP ? parts - g.first : GROUP;
        status = gather_group(&g, count, total);
        if (!status && dip_progress_tick(progress, "measuring", g.first + count, parts))
            status = dip_fail(DIP_ECANCEL, "stopped while measuring mean and deviation");
    }
    dip_free(g.parts);
    return status;
}
