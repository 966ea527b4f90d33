/* Vectors to lists and codes; see coded.h. */
#include "index/coded.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/native_kernel.h"
#include "index/shelves.h"

#include <string.h>

enum { SLAB = 1 << 16, BLOCK = 512 }; /* vectors between two looks at the progress; of one task */

void dip_coded_fini(dip_coded *c)
{
    dip_lists_fini(&c->lists);
    dip_free_aligned(c->codebook);
    dip_free(c->list);
    dip_free(c->codes);
    *c = (dip_coded){0};
}

typedef struct slab {
    const dip_coded *coded;
    const dip_native_kernel *kernel;
    const float *vectors; /* (n, dim) */
    size_t first, n;
} slab;

static dip_status encode_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const slab *s = context;
    const dip_coded *c = s->coded;
    size_t dim = c->lists.dim, end = (task + 1) * BLOCK < s->n ? (task + 1) * BLOCK : s->n;
    float *residual = dip_alloc(dim * sizeof *residual);
    if (!residual) return DIP_ENOMEM;
    for (size_t at = task * BLOCK; at < end; at++) {
        const size_t i = s->first + at;
        const float *x = s->vectors + at * dim, *centroid = c->lists.centroids + c->list[i] * dim;
        for (size_t j = 0; j < dim; j++) residual[j] = x[j] - centroid[j];
        s->kernel->encode(residual, c->codebook, c->code_count, dim / c->code_count,
                          c->codes + i * c->code_bytes);
    }
    dip_free(residual);
    return DIP_OK;
}

static dip_status add_slab(dip_coded *c, const float *vectors, size_t first, size_t n)
{
    slab s = {c, dip_native_kernel_get(), vectors, first, n};
    dip_status status = dip_lists_assign(&c->lists, vectors, n, c->list + first);
    return status ? status : dip_parallel_for((n + BLOCK - 1) / BLOCK, encode_block, &s);
}

dip_status dip_coded_add(dip_coded *c, const dip_supply *supply, dip_shelves *shelves,
                         const dip_progress *progress, const char *name)
{
    const size_t n = supply->n;
    float *room = dip_supply_room(supply, n < SLAB ? n : SLAB);
    c->code_bytes = (c->code_count + 1) / 2;
    c->n = n;
    c->list = dip_alloc(n * sizeof *c->list);
    c->codes = dip_alloc(n * c->code_bytes);
    dip_status status = room && c->list && c->codes ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i += SLAB) {
        const float *vectors;
        size_t count = n - i < SLAB ? n - i : SLAB;
        if (dip_progress_tick(progress, "encoding", i, n))
            status = dip_fail(DIP_ECANCEL, "building index '%s' was stopped", name);
        if (!status) status = dip_supply_read(supply, i, count, room, &vectors);
        if (!status) status = add_slab(c, vectors, i, count);
        if (!status && shelves) status = dip_shelves_add(shelves, c, vectors, i, count);
    }
    dip_free_aligned(room);
    return status;
}
