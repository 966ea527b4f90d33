/*
 * Losses that are cross-entropies of rows of cosines, L_MIM and soft targets; see loss.h. Rows are tasks, sums are kept
 * one a task and added in order.
 */
#include "train/loss_space.h"

#include "core/parallel.h"
#include "train/blas.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- past vectors ---- */

/* Cosines with past vectors; of the other modality alone unless `within`. Returns how many a row. */
static size_t past_cosines(dip_loss_space *s, const dip_loss_batch *b, bool within)
{
    size_t n = b->n, d = b->d, count = dip_loss_past_count(b), columns = within ? 2 * count : count;
    assert(count <= s->past_pairs);
    if (!count) return 0;
    if (within) {
        dip_blas_abt(2 * n, columns, d, 1, s->unit, b->past->unit, 0, s->past);
    } else {
        dip_blas_abt(n, count, d, 1, s->unit, b->past->unit + count * d, 0, s->past);
        dip_blas_abt(n, count, d, 1, s->unit + n * d, b->past->unit, 0, s->past + n * count);
    }
    dip_loss_hide_own(b, s->past, 2 * n, columns);
    return columns;
}

/* Adds what past vectors give to the gradient; they get none. */
static void past_gradient(dip_loss_space *s, const dip_loss_batch *b, bool within)
{
    size_t n = b->n, d = b->d, count = dip_loss_past_count(b);
    if (!count) return;
    if (within) {
        dip_blas_ab(2 * n, d, 2 * count, 1, s->past, b->past->unit, 1, s->gradient);
    } else {
        dip_blas_ab(n, d, count, 1, s->past, b->past->unit + count * d, 1, s->gradient);
        dip_blas_ab(n, d, count, 1, s->past + n * count, b->past->unit, 1, s->gradient + n * d);
    }
}

/* ---- cross-entropy of rows ---- */

/*
 * `rows` rows of `count` cosines with the batch and `past_count` with past vectors become d(loss)/d(cosine). Row r's
 * own vector is candidate r if `within` (and then left out); its partner is the positive. With targets, row r's target
 * is row r mod n of both parts of the targets.
 */
typedef struct entropy_job {
    float *matrix, *past;
    size_t rows, count, past_count, n;
    bool within;
    double temperature, smoothing;
    const float *targets; /* (n, n) and (n, past_count), or NULL: the partner, smoothed */
    double *partial;
} entropy_job;

/* Scales a row; the largest value but that at `skip`. */
static float scale_row(float *row, size_t count, size_t skip, float scale)
{
    float high = -INFINITY;
    for (size_t k = 0; k < count; k++) {
        row[k] *= scale;
        if (k != skip && row[k] > high) high = row[k];
    }
    return high;
}

static double sum_exp(const float *row, size_t count, size_t skip, float high)
{
    double sum = 0;
    for (size_t k = 0; k < count; k++)
        if (k != skip) sum += expf(row[k] - high);
    return sum;
}

/* Replaces cosines by cosine / temperature - log sum exp: log probabilities. `skip` >= count: none. */
static void log_softmax(float *row, size_t count, size_t skip, float *past, size_t past_count,
                        double temperature)
{
    float scale = (float)(1 / temperature);
    float high = scale_row(row, count, skip, scale);
    float past_high = scale_row(past, past_count, past_count, scale);
    if (past_high > high) high = past_high;
    double sum = sum_exp(row, count, skip, high) + sum_exp(past, past_count, past_count, high);
    float shift = high + (float)log(sum);
    for (size_t k = 0; k < count; k++) row[k] -= shift;
    for (size_t k = 0; k < past_count; k++) past[k] -= shift;
}

/* The part of row_entropy() over past vectors, whose targets are 0 if there are none. */
static double past_entropy(float *row, size_t count, const float *targets, float scale)
{
    double loss = 0;
    for (size_t k = 0; k < count; k++) {
        float target = targets ? targets[k] : 0;
        if (target > 0) loss -= (double)target * row[k];
        row[k] = (expf(row[k]) - target) * scale;
    }
    return loss;
}

/* -sum_k target_k log p_k; the row becomes (p - target) * scale. */
static double row_entropy(const entropy_job *job, size_t r)
{
    size_t skip = job->within ? r : job->count, n = job->n, i = r % n;
    size_t positive = job->within ? (r + n) % (2 * n) : i;
    float *row = job->matrix + r * job->count, *past = job->past + r * job->past_count;
    const float *targets = job->targets ? job->targets + i * n : NULL;
    const float *past_targets = targets ? job->targets + n * n + i * job->past_count : NULL;
    float even = (float)(job->smoothing / (double)(job->count - job->within));
    float scale = (float)(1 / (job->temperature * (double)job->rows));
    log_softmax(row, job->count, skip, past, job->past_count, job->temperature);
    double loss = past_entropy(past, job->past_count, past_targets, scale);
    for (size_t k = 0; k < job->count; k++) {
        if (k == skip) {
            row[k] = 0;
            continue;
        }
        float sharp = k == positive ? (float)(1 - job->smoothing) : 0;
        float target = targets ? targets[k] : even + sharp;
        if (target > 0) loss -= (double)target * row[k];
        row[k] = (expf(row[k]) - target) * scale;
    }
    return loss;
}

static dip_status entropy_task(void *context, size_t task, unsigned worker)
{
    const entropy_job *job = context;
    size_t first = task * DIP_LOSS_ROWS,
           end = first + DIP_LOSS_ROWS < job->rows ? first + DIP_LOSS_ROWS : job->rows;
    double sum = 0;
    (void)worker;
    for (size_t r = first; r < end; r++) sum += row_entropy(job, r);
    job->partial[task] = sum;
    return DIP_OK;
}

static double entropy(entropy_job *job)
{
    size_t tasks = (job->rows + DIP_LOSS_ROWS - 1) / DIP_LOSS_ROWS;
    double sum = 0;
    dip_status status = dip_parallel_for(tasks, entropy_task, job);
    assert(!status && "the tasks cannot fail");
    (void)status;
    for (size_t i = 0; i < tasks; i++) sum += job->partial[i];
    return sum / (double)job->rows;
}

/* Candidates: all 2n vectors but oneself. */
static double contrast_all(dip_loss_space *s, entropy_job *job, const dip_loss_batch *b)
{
    size_t n = b->n, d = b->d;
    job->rows = job->count = 2 * n;
    job->past_count = past_cosines(s, b, true);
    dip_blas_abt(2 * n, 2 * n, d, 1, s->unit, s->unit, 0, s->matrix);
    double value = entropy(job);
    dip_blas_ab(2 * n, d, 2 * n, 1, s->matrix, s->unit, 0, s->gradient);
    dip_blas_atb(2 * n, d, 2 * n, 1, s->matrix, s->unit, 1, s->gradient);
    past_gradient(s, b, true);
    return value;
}

/* Candidates: the n vectors of the other modality. */
static double contrast_across(dip_loss_space *s, entropy_job *job, const dip_loss_batch *b)
{
    size_t n = b->n, d = b->d;
    const float *u1 = s->unit, *u2 = s->unit + n * d;
    float *g1 = s->gradient, *g2 = s->gradient + n * d, *m2 = s->matrix + n * n;
    job->rows = 2 * n;
    job->count = n;
    job->past_count = past_cosines(s, b, false);
    dip_blas_abt(n, n, d, 1, u1, u2, 0, s->matrix);
    dip_blas_abt(n, n, d, 1, u2, u1, 0, m2);
    double value = entropy(job);
    dip_blas_ab(n, d, n, 1, s->matrix, u2, 0, g1);
    dip_blas_atb(n, d, n, 1, m2, u2, 1, g1);
    dip_blas_ab(n, d, n, 1, m2, u1, 0, g2);
    dip_blas_atb(n, d, n, 1, s->matrix, u1, 1, g2);
    past_gradient(s, b, false);
    return value;
}

double dip_loss_contrast(dip_loss_space *space, const dip_contrast *contrast,
                         const dip_loss_batch *batch)
{
    entropy_job job = {.matrix = space->matrix,
                       .past = space->past,
                       .n = batch->n,
                       .within = contrast->within,
                       .temperature = contrast->temperature,
                       .smoothing = contrast->smoothing,
                       .partial = space->partial};
    dip_loss_units(space, batch);
    double value =
        contrast->within ? contrast_all(space, &job, batch) : contrast_across(space, &job, batch);
    dip_loss_spread(space, batch);
    return value;
}

double dip_loss_soft(dip_loss_space *space, double temperature, const float *targets,
                     const dip_loss_batch *batch)
{
    entropy_job job = {.matrix = space->matrix,
                       .past = space->past,
                       .n = batch->n,
                       .temperature = temperature,
                       .targets = targets,
                       .partial = space->partial};
    dip_loss_units(space, batch);
    double value = contrast_across(space, &job, batch);
    dip_loss_spread(space, batch);
    return value;
}

/* ---- soft targets ---- */

/* Unit vectors of one modality, and past ones, minus the batch's mean, made unit again. */
static void centre_units(const float *x, size_t n, const dip_loss_batch *b, size_t side,
                         float *unit, float *past, float *mean)
{
    size_t d = b->d, count = dip_loss_past_count(b);
    memset(mean, 0, d * sizeof *mean);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++) mean[k] += x[i * d + k] / (float)n;
    for (size_t i = 0; i < n; i++) {
        float *u = unit + i * d;
        for (size_t k = 0; k < d; k++) u[k] = x[i * d + k] - mean[k];
        dip_loss_unit(u, d, u);
    }
    for (size_t j = 0; j < count; j++) {
        const float *from = b->past->unit + (side * count + j) * d;
        float *u = past + j * d, norm = b->past->norm[side * count + j];
        for (size_t k = 0; k < d; k++) u[k] = from[k] * norm - mean[k];
        dip_loss_unit(u, d, u);
    }
}

/* Similarities of n pairs, u1 and u2, to m pairs, v1 and v2. */
static void soft_similarity(dip_soft_source source, const float *u1, const float *u2, size_t n,
                            const float *v1, const float *v2, size_t m, size_t d, float *out)
{
    static const struct {
        float first, second, across;
    } share[] = {[DIP_SOFT_FUSED] = {0.5f, 0.5f, 0},
                 [DIP_SOFT_ALL] = {0.25f, 0.25f, 0.25f},
                 [DIP_SOFT_FIRST] = {1, 0, 0},
                 [DIP_SOFT_SECOND] = {0, 1, 0},
                 [DIP_SOFT_ACROSS] = {0, 0, 0.5f}};
    memset(out, 0, n * m * sizeof *out);
    if (share[source].first > 0) dip_blas_abt(n, m, d, share[source].first, u1, v1, 1, out);
    if (share[source].second > 0) dip_blas_abt(n, m, d, share[source].second, u2, v2, 1, out);
    if (share[source].across > 0) dip_blas_abt(n, m, d, share[source].across, u1, v2, 1, out);
    if (share[source].across > 0) dip_blas_abt(n, m, d, share[source].across, u2, v1, 1, out);
}

void dip_soft_targets(dip_loss_space *space, dip_soft_source source, double temperature,
                      const dip_loss_batch *batch, float *targets)
{
    size_t n = batch->n, d = batch->d, count = dip_loss_past_count(batch);
    const float *u1 = space->unit, *v1 = space->centred;
    float *u2 = space->unit + n * d, *v2 = space->centred + count * d, *past = targets + n * n;
    assert(n <= space->pairs && d <= space->dim && count <= space->past_pairs);
    centre_units(batch->x1, n, batch, 0, space->unit, space->centred, space->gradient);
    centre_units(batch->x2, n, batch, 1, u2, v2, space->gradient);
    soft_similarity(source, u1, u2, n, u1, u2, n, d, targets);
    if (count) {
        soft_similarity(source, u1, u2, n, v1, v2, count, d, past);
        dip_loss_hide_own(batch, past, n, count);
    }
    for (size_t i = 0; i < n; i++) {
        float *row = targets + i * n, *beside = past + i * count;
        log_softmax(row, n, i, beside, count, temperature);
        for (size_t k = 0; k < n; k++) row[k] = k == i ? 0 : expf(row[k]);
        for (size_t k = 0; k < count; k++) beside[k] = expf(beside[k]);
    }
}
