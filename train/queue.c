/*
 * Rings of past outputs; see queue.h. The state is one array, a ring after the other:
 *
 *   next slot, pairs in the ring, marks (pairs), then for each output that is kept
 *   unit vectors (2 sides, pairs, dim), their lengths before (2 sides, pairs)
 */
#include "train/queue.h"

#include "core/mem.h"

#include <string.h>

enum { COUNTERS = 2 };

struct dip_queue {
    size_t pairs, rings, dim[2];
    size_t ring_size; /* floats */
    size_t size;
    float *state;
    dip_past *past; /* (rings, 2): views into `state` */
};

static size_t output_size(const dip_queue *q, int output)
{
    return q->dim[output] ? 2 * q->pairs * (q->dim[output] + 1) : 0;
}

static float *ring_of(const dip_queue *q, size_t ring) { return q->state + ring * q->ring_size; }

static void set_views(dip_queue *q)
{
    for (size_t ring = 0; ring < q->rings; ring++) {
        const float *mark = ring_of(q, ring) + COUNTERS, *at = mark + q->pairs;
        for (int output = 0; output < 2; at += output_size(q, output++)) {
            const float *length = at + 2 * q->pairs * q->dim[output];
            q->past[2 * ring + (size_t)output] = (dip_past){q->pairs, mark, at, length};
        }
    }
}

dip_status dip_queue_create(dip_queue **out, size_t pairs, size_t rings, const size_t dim[2])
{
    dip_queue *q = dip_calloc(1, sizeof *q);
    if (!q) return DIP_ENOMEM;
    q->pairs = pairs;
    q->rings = rings;
    memcpy(q->dim, dim, sizeof q->dim);
    q->ring_size = COUNTERS + pairs + output_size(q, 0) + output_size(q, 1);
    q->size = rings * q->ring_size;
    q->state = dip_calloc(q->size, sizeof *q->state);
    q->past = dip_calloc(2 * rings, sizeof *q->past);
    if (!q->state || !q->past) {
        dip_queue_destroy(q);
        return DIP_ENOMEM;
    }
    set_views(q);
    *out = q;
    return DIP_OK;
}

void dip_queue_destroy(dip_queue *q)
{
    if (!q) return;
    dip_free(q->state);
    dip_free(q->past);
    dip_free(q);
}

const dip_past *dip_queue_past(const dip_queue *q, size_t ring, int output)
{
    if (!q || ring_of(q, ring)[1] < (float)q->pairs) return NULL;
    return &q->past[2 * ring + (size_t)output];
}

static void put(dip_queue *q, float *to, int output, size_t slot, size_t row, float *const x[2])
{
    size_t dim = q->dim[output], lengths = 2 * q->pairs * dim;
    for (size_t side = 0; dim && side < 2; side++) {
        size_t at = side * q->pairs + slot;
        to[lengths + at] = dip_loss_unit(x[side] + row * dim, dim, to + at * dim);
    }
}

void dip_queue_push(dip_queue *q, size_t ring, size_t n, const uint32_t *pair, float *const x[2][2])
{
    float *state = ring_of(q, ring), *mark = state + COUNTERS, *values = mark + q->pairs;
    for (size_t i = n > q->pairs ? n - q->pairs : 0; i < n; i++) {
        size_t slot = (size_t)state[0];
        mark[slot] = dip_loss_mark(pair[i]);
        put(q, values, 0, slot, i, x[0]);
        put(q, values + output_size(q, 0), 1, slot, i, x[1]);
        state[0] = (float)((slot + 1) % q->pairs);
        if (state[1] < (float)q->pairs) state[1] += 1;
    }
}

float *dip_queue_state(dip_queue *q, size_t *count)
{
    *count = q->size;
    return q->state;
}
