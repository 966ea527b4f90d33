/** Scratch memory of the workers of one net, and the body that they use. */
#ifndef ENCODER_WORKSPACE_H
#define ENCODER_WORKSPACE_H

#include "encoder/kernel.h"

#include <diptych/status.h>

typedef struct dip_workspace {
    const dip_kernel *kernel;
    unsigned workers;
    size_t bytes;    /* a worker */
    char *scratch;   /* (workers, bytes) */
    float *partials; /* sums of tasks, added in task order afterwards */
    size_t partial_count;
} dip_workspace;

/** `partials`: floats that the task sums of one call need at most. The body is dip_kernel_get(). */
dip_status dip_workspace_init(dip_workspace *workspace, size_t bytes, size_t partials);
void dip_workspace_fini(dip_workspace *workspace);

/** Before work: makes room if dip_threads() grew; otherwise allocates nothing. */
dip_status dip_workspace_ready(dip_workspace *workspace);

static inline void *dip_workspace_scratch(const dip_workspace *workspace, unsigned worker)
{
    return workspace->scratch + (size_t)worker * workspace->bytes;
}

/** total[c] = sum of partials[t][c] over tasks t in order, in double. */
void dip_workspace_total(const dip_workspace *workspace, size_t tasks, size_t count, double *total);

/** Takes n bytes off the front of a scratch area; 64-byte aligned. */
static inline void *dip_carve(char **cursor, size_t bytes)
{
    char *block = *cursor;
    *cursor += (bytes + 63) & ~(size_t)63;
    return block;
}

#endif
