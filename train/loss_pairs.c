/* Losses that draw pairs of vectors together, L_MDE and L_MSP; see loss.h. */
#include "train/loss_space.h"

#include "train/blas.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- pairs drawn together ---- */

double dip_loss_discrepancy(dip_loss_space *space, dip_discrepancy form,
                            const dip_loss_batch *batch)
{
    size_t n = batch->n, d = batch->d;
    double sum = 0;
    dip_loss_units(space, batch);
    for (size_t i = 0; i < n; i++) {
        const float *u1 = space->unit + i * d, *u2 = space->unit + (n + i) * d;
        float *g1 = space->gradient + i * d, *g2 = space->gradient + (n + i) * d;
        double cosine = dip_loss_dot(u1, u2, d);
        bool logarithm = form == DIP_DISCREPANCY_LOG;
        double slope = logarithm ? -1 / (1 + exp(-cosine)) : -1;
        sum += logarithm ? -log1p(exp(cosine)) : 1 - cosine;
        for (size_t k = 0; k < d; k++) {
            g1[k] = (float)(slope / (double)n) * u2[k];
            g2[k] = (float)(slope / (double)n) * u1[k];
        }
    }
    dip_loss_spread(space, batch);
    return sum / (double)n;
}

/* ---- the most similar of the same modality ---- */

/* Position of the largest value of a row but `skip`. */
static size_t row_argmax(const float *row, size_t n, size_t skip)
{
    size_t best = skip ? 0 : 1;
    for (size_t k = best; k < n; k++)
        if (k != skip && row[k] > row[best]) best = k;
    return best;
}

/* The best of each row: of the batch, or n + slot of the past. */
static void take_nearest(const dip_loss_space *s, const dip_loss_batch *b, size_t *nearest)
{
    size_t n = b->n, count = dip_loss_past_count(b);
    for (size_t i = 0; i < n; i++) {
        const float *row = s->matrix + i * n, *past = s->past + i * count;
        nearest[i] = row_argmax(row, n, i);
        size_t best = count ? row_argmax(past, count, count) : 0;
        if (count && past[best] > row[nearest[i]]) nearest[i] = n + best;
    }
}

/* Nearest by the sum of both modalities' cosines: one neighbour for both. */
static void nearest_fused(dip_loss_space *s, const dip_loss_batch *b)
{
    size_t n = b->n, d = b->d, count = dip_loss_past_count(b);
    const float *u2 = s->unit + n * d;
    dip_blas_abt(n, n, d, 1, s->unit, s->unit, 0, s->matrix);
    dip_blas_abt(n, n, d, 1, u2, u2, 1, s->matrix);
    if (count) {
        dip_blas_abt(n, count, d, 1, s->unit, b->past->unit, 0, s->past);
        dip_blas_abt(n, count, d, 1, u2, b->past->unit + count * d, 1, s->past);
        dip_loss_hide_own(b, s->past, n, count);
    }
    take_nearest(s, b, s->nearest);
    memcpy(s->nearest + n, s->nearest, n * sizeof *s->nearest);
}

/* (n, m) cosines become 2 x_i.x_j - |x_j|^2, which is largest for the least distance. */
static void cosines_to_nearness(float *cosines, size_t n, const float *norm, size_t m,
                                const float *other)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            cosines[i * m + j] = other[j] * (2 * norm[i] * cosines[i * m + j] - other[j]);
}

/* Nearest by Euclidean distance, of one side. */
static void nearest_own(dip_loss_space *s, const dip_loss_batch *b, size_t side)
{
    size_t n = b->n, d = b->d, count = dip_loss_past_count(b);
    const float *unit = s->unit + side * n * d, *norm = s->norm + side * n;
    dip_blas_abt(n, n, d, 1, unit, unit, 0, s->matrix);
    cosines_to_nearness(s->matrix, n, norm, n, norm);
    if (count) {
        dip_blas_abt(n, count, d, 1, unit, b->past->unit + side * count * d, 0, s->past);
        cosines_to_nearness(s->past, n, norm, count, b->past->norm + side * count);
        dip_loss_hide_own(b, s->past, n, count);
    }
    take_nearest(s, b, s->nearest + side * n);
}

/* Mean cosine of one side's vectors with their neighbours; gradient of half of it. */
static double similar_of(dip_loss_space *s, const dip_loss_batch *b, size_t side)
{
    size_t n = b->n, d = b->d;
    const float share = 0.5f / (float)n, *unit = s->unit + side * n * d;
    const float *past = b->past ? b->past->unit + side * b->past->count * d : NULL;
    float *gradient = s->gradient + side * n * d;
    double sum = 0;
    memset(gradient, 0, n * d * sizeof *gradient);
    for (size_t i = 0; i < n; i++) {
        size_t j = s->nearest[side * n + i];
        const float *other = j < n ? unit + j * d : past + (j - n) * d;
        sum += dip_loss_dot(unit + i * d, other, d);
        for (size_t k = 0; k < d; k++) gradient[i * d + k] += share * other[k];
        for (size_t k = 0; j < n && k < d; k++) gradient[j * d + k] += share * unit[i * d + k];
    }
    return sum / (double)n;
}

double dip_loss_similar(dip_loss_space *space, dip_neighbour source, const dip_loss_batch *batch)
{
    dip_loss_units(space, batch);
    if (batch->n < 2) return 0;
    assert(dip_loss_past_count(batch) <= space->past_pairs);
    if (source == DIP_NEIGHBOUR_FUSED) {
        nearest_fused(space, batch);
    } else {
        nearest_own(space, batch, 0);
        nearest_own(space, batch, 1);
    }
    double first = similar_of(space, batch, 0), second = similar_of(space, batch, 1);
    dip_loss_spread(space, batch);
    return 0.5 * (first + second);
}
