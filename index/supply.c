/*
 * Vectors to be indexed; see supply.h. Picking reads stretches: rows near each other with what lies between them, rows far
 * apart one by one.
 */
#include "index/supply.h"

#include "core/mem.h"
#include "index/dot.h"

#include <math.h>
#include <string.h>

enum { STRETCH = 1 << 16, NEAR = 512 };

static dip_status check(const float *vectors, const uint64_t *ids, size_t first, size_t n,
                        size_t dim)
{
    dip_dot_fn dot = dip_dot_get();
    for (size_t i = 0; i < n; i++) {
        const float *v = vectors + i * dim;
        float square = dot(v, v, dim);
        if (!(fabsf(square - 1) < 0.04F))
            return dip_fail(DIP_EINVAL,
                            "the vector of tile %llu is no unit vector (its length is %g); "
                            "run diptych encode again",
                            (unsigned long long)(ids ? ids[i] : first + i), sqrt((double)square));
    }
    return DIP_OK;
}

dip_status dip_supply_check(const float *vectors, const uint64_t *ids, size_t n, size_t dim)
{
    return check(vectors, ids, 0, n, dim);
}

float *dip_supply_room(const dip_supply *s, size_t count)
{
    return dip_alloc_aligned(s->values ? 1 : count * s->dim * sizeof(float));
}

dip_status dip_supply_read(const dip_supply *s, size_t first, size_t count, float *room,
                           const float **rows)
{
    dip_status status = DIP_OK;
    *rows = s->values ? s->values + first * s->dim : room;
    if (!s->values) status = s->read(s->payload, first, count, room);
    return status ? status : check(*rows, s->ids ? s->ids + first : NULL, first, count, s->dim);
}

/* As many of the rows as one stretch holds. */
static size_t stretch_of(const size_t *rows, size_t count)
{
    size_t n = 1;
    while (n < count && rows[n] - rows[n - 1] <= NEAR && rows[n] - rows[0] < STRETCH) n++;
    return n;
}

static dip_status pick_by_hook(const dip_supply *s, const size_t *rows, size_t count, float *out)
{
    dip_status status = s->pick(s->payload, rows, count, out);
    for (size_t i = 0; i < count && !status; i++)
        status = check(out + i * s->dim, s->ids ? s->ids + rows[i] : NULL, rows[i], 1, s->dim);
    return status;
}

dip_status dip_supply_pick(const dip_supply *s, const size_t *rows, size_t count, float *out)
{
    if (s->pick && !s->values) return pick_by_hook(s, rows, count, out);
    float *room = dip_supply_room(s, STRETCH);
    dip_status status = room ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0, n; i < count && !status; i += n) {
        const float *from;
        n = s->values ? 1 : stretch_of(rows + i, count - i);
        status = dip_supply_read(s, rows[i], rows[i + n - 1] - rows[i] + 1, room, &from);
        for (size_t j = 0; j < n && !status; j++)
            memcpy(out + (i + j) * s->dim, from + (rows[i + j] - rows[i]) * s->dim,
                   s->dim * sizeof *out);
    }
    dip_free_aligned(room);
    return status;
}
