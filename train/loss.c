/* Scratch memory of the losses and what they share; see loss.h and loss_space.h. */
#include "train/loss_space.h"

#include "core/mem.h"

#include <assert.h>
#include <math.h>

dip_status dip_loss_space_create(dip_loss_space **out, size_t pairs, size_t dim, size_t past)
{
    dip_loss_space *space = dip_calloc(1, sizeof *space);
    if (!space) return DIP_ENOMEM;
    space->pairs = pairs;
    space->dim = dim;
    space->past_pairs = past;
    space->unit = dip_alloc_aligned(2 * pairs * dim * sizeof(float));
    space->gradient = dip_alloc_aligned(2 * pairs * dim * sizeof(float));
    space->norm = dip_alloc(2 * pairs * sizeof(float));
    space->matrix = dip_alloc_aligned(4 * pairs * pairs * sizeof(float));
    space->past = dip_alloc_aligned(4 * pairs * past * sizeof(float));
    space->centred = dip_alloc_aligned(2 * past * dim * sizeof(float));
    space->partial = dip_alloc((2 * pairs / DIP_LOSS_ROWS + 1) * sizeof(double));
    space->nearest = dip_alloc(2 * pairs * sizeof(size_t));
    if (!space->unit || !space->gradient || !space->norm || !space->matrix || !space->past ||
        !space->centred || !space->partial || !space->nearest) {
        dip_loss_space_destroy(space);
        return DIP_ENOMEM;
    }
    *out = space;
    return DIP_OK;
}

void dip_loss_space_destroy(dip_loss_space *space)
{
    if (!space) return;
    dip_free_aligned(space->unit);
    dip_free_aligned(space->gradient);
    dip_free(space->norm);
    dip_free_aligned(space->matrix);
    dip_free_aligned(space->past);
    dip_free_aligned(space->centred);
    dip_free(space->partial);
    dip_free(space->nearest);
    dip_free(space);
}

/* ---- unit vectors ---- */

double dip_loss_dot(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += (double)a[i] * b[i];
    return sum;
}

float dip_loss_unit(const float *x, size_t d, float *unit)
{
    double length = sqrt(dip_loss_dot(x, x, d)), floor_length = 1e-12;
    float norm = (float)(length > floor_length ? length : floor_length);
    for (size_t i = 0; i < d; i++) unit[i] = x[i] / norm;
    return norm;
}

void dip_loss_units(dip_loss_space *s, const dip_loss_batch *b)
{
    assert(b->n <= s->pairs && b->d <= s->dim);
    for (size_t i = 0; i < b->n; i++) {
        size_t k = b->n + i;
        s->norm[i] = dip_loss_unit(b->x1 + i * b->d, b->d, s->unit + i * b->d);
        s->norm[k] = dip_loss_unit(b->x2 + i * b->d, b->d, s->unit + k * b->d);
    }
}

static void spread_row(const float *unit, const float *gradient, float norm, size_t d,
                       double weight, float *out)
{
    float along = (float)dip_loss_dot(unit, gradient, d), scale = (float)(weight / norm);
    for (size_t i = 0; i < d; i++) out[i] += scale * (gradient[i] - along * unit[i]);
}

/* From the gradient with respect to unit vectors to that of the inputs. */
void dip_loss_spread(const dip_loss_space *s, const dip_loss_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t k = b->n + i;
        spread_row(s->unit + i * b->d, s->gradient + i * b->d, s->norm[i], b->d, b->weight,
                   b->d1 + i * b->d);
        spread_row(s->unit + k * b->d, s->gradient + k * b->d, s->norm[k], b->d, b->weight,
                   b->d2 + i * b->d);
    }
}

/* ---- past vectors ---- */

float dip_loss_mark(uint32_t pair) { return (float)(pair & 0xffffff); }

size_t dip_loss_past_count(const dip_loss_batch *b) { return b->past ? b->past->count : 0; }

/* Hides each pair's own past from rows i, i + n, ... and columns j, j + past, ... of (rows, columns) values. */
void dip_loss_hide_own(const dip_loss_batch *b, float *values, size_t rows, size_t columns)
{
    for (size_t i = 0; i < b->n; i++) {
        float own = dip_loss_mark(b->pair[i]);
        for (size_t j = 0; j < b->past->count; j++) {
            if (b->past->mark[j] != own) continue;
            for (size_t r = i; r < rows; r += b->n)
                for (size_t c = j; c < columns; c += b->past->count)
                    values[r * columns + c] = -INFINITY;
        }
    }
}
