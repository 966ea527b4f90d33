/*
 * The losses; see loss.h.
 *
 * All work on unit vectors u = x / |x|, stacked: rows 0..n-1 modality 1, rows n..2n-1 modality 2. A loss makes the
 * gradient with respect to u (`du`), and spread() carries it to x: dx = (I - u u') du / |x|.
 */
#include "train/loss.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "train/blas.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { ROWS = 32 }; /* rows a task */

struct dip_loss_space {
    size_t pairs, dim;
    float *unit;     /* (2n, d) */
    float *gradient; /* (2n, d), with respect to `unit` */
    float *norm;     /* (2n) */
    float *matrix;   /* (2n, 2n) */
    double *partial; /* one a task */
    size_t *nearest; /* (2n) */
};

dip_status dip_loss_space_create(dip_loss_space **out, size_t pairs, size_t dim)
{
    dip_loss_space *space = dip_calloc(1, sizeof *space);
    if (!space) return DIP_ENOMEM;
    space->pairs = pairs;
    space->dim = dim;
    space->unit = dip_alloc_aligned(2 * pairs * dim * sizeof(float));
    space->gradient = dip_alloc_aligned(2 * pairs * dim * sizeof(float));
    space->norm = dip_alloc(2 * pairs * sizeof(float));
    space->matrix = dip_alloc_aligned(4 * pairs * pairs * sizeof(float));
    space->partial = dip_alloc((2 * pairs / ROWS + 1) * sizeof(double));
    space->nearest = dip_alloc(2 * pairs * sizeof(size_t));
    if (!space->unit || !space->gradient || !space->norm || !space->matrix || !space->partial ||
        !space->nearest) {
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
    dip_free(space->partial);
    dip_free(space->nearest);
    dip_free(space);
}

/* ---- unit vectors ---- */

static double dot(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void make_unit(const float *x, size_t d, float *unit, float *norm)
{
    double length = sqrt(dot(x, x, d)), floor_length = 1e-12;
    *norm = (float)(length > floor_length ? length : floor_length);
    for (size_t i = 0; i < d; i++) unit[i] = x[i] / *norm;
}

static void make_units(dip_loss_space *s, const dip_loss_batch *b)
{
    assert(b->n <= s->pairs && b->d <= s->dim);
    for (size_t i = 0; i < b->n; i++) {
        make_unit(b->x1 + i * b->d, b->d, s->unit + i * b->d, &s->norm[i]);
        make_unit(b->x2 + i * b->d, b->d, s->unit + (b->n + i) * b->d, &s->norm[b->n + i]);
    }
}

static void spread_row(const float *unit, const float *gradient, float norm, size_t d,
                       double weight, float *out)
{
    float along = (float)dot(unit, gradient, d), scale = (float)(weight / norm);
    for (size_t i = 0; i < d; i++) out[i] += scale * (gradient[i] - along * unit[i]);
}

/* From the gradient with respect to unit vectors to that of the inputs. */
static void spread(const dip_loss_space *s, const dip_loss_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t k = b->n + i;
        spread_row(s->unit + i * b->d, s->gradient + i * b->d, s->norm[i], b->d, b->weight,
                   b->d1 + i * b->d);
        spread_row(s->unit + k * b->d, s->gradient + k * b->d, s->norm[k], b->d, b->weight,
                   b->d2 + i * b->d);
    }
}

/* ---- cross-entropy of rows ---- */

/*
 * `rows` rows of `count` cosines each become d(loss)/d(cosine). Row r's own vector is candidate r if `within`
 * (and then left out); its partner is the positive. With targets, row r's target is targets[r mod n].
 */
typedef struct entropy_job {
    float *matrix;
    size_t rows, count, n;
    bool within;
    double temperature, smoothing;
    const float *targets; /* (n, n), or NULL: the partner, smoothed */
    double *partial;
} entropy_job;

/* Replaces the cosines by cosine / temperature - log sum exp: log probabilities. `skip` >= count: none. */
static void log_softmax(float *row, size_t count, size_t skip, double temperature)
{
    float high = -INFINITY, scale = (float)(1 / temperature);
    double sum = 0;
    for (size_t k = 0; k < count; k++) {
        row[k] *= scale;
        if (k != skip && row[k] > high) high = row[k];
    }
    for (size_t k = 0; k < count; k++)
        if (k != skip) sum += expf(row[k] - high);
    float shift = high + (float)log(sum);
    for (size_t k = 0; k < count; k++) row[k] -= shift;
}

/* -sum_k target_k log p_k; the row becomes (p - target) * scale. */
static double row_entropy(float *row, const entropy_job *job, size_t r)
{
    size_t skip = job->within ? r : job->count;
    size_t positive = job->within ? (r + job->n) % (2 * job->n) : r % job->n;
    const float *targets = job->targets ? job->targets + (r % job->n) * job->n : NULL;
    float even = (float)(job->smoothing / (double)(job->count - job->within));
    float scale = (float)(1 / (job->temperature * (double)job->rows));
    double loss = 0;
    log_softmax(row, job->count, skip, job->temperature);
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
    size_t first = task * ROWS, end = first + ROWS < job->rows ? first + ROWS : job->rows;
    double sum = 0;
    (void)worker;
    for (size_t r = first; r < end; r++) sum += row_entropy(job->matrix + r * job->count, job, r);
    job->partial[task] = sum;
    return DIP_OK;
}

static double entropy(entropy_job *job)
{
    size_t tasks = (job->rows + ROWS - 1) / ROWS;
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
    dip_blas_abt(2 * n, 2 * n, d, 1, s->unit, s->unit, 0, s->matrix);
    double value = entropy(job);
    dip_blas_ab(2 * n, d, 2 * n, 1, s->matrix, s->unit, 0, s->gradient);
    dip_blas_atb(2 * n, d, 2 * n, 1, s->matrix, s->unit, 1, s->gradient);
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
    dip_blas_abt(n, n, d, 1, u1, u2, 0, s->matrix);
    dip_blas_abt(n, n, d, 1, u2, u1, 0, m2);
    double value = entropy(job);
    dip_blas_ab(n, d, n, 1, s->matrix, u2, 0, g1);
    dip_blas_atb(n, d, n, 1, m2, u2, 1, g1);
    dip_blas_ab(n, d, n, 1, m2, u1, 0, g2);
    dip_blas_atb(n, d, n, 1, s->matrix, u1, 1, g2);
    return value;
}

double dip_loss_contrast(dip_loss_space *space, const dip_contrast *contrast,
                         const dip_loss_batch *batch)
{
    entropy_job job = {.matrix = space->matrix,
                       .n = batch->n,
                       .within = contrast->within,
                       .temperature = contrast->temperature,
                       .smoothing = contrast->smoothing,
                       .partial = space->partial};
    make_units(space, batch);
    double value =
        contrast->within ? contrast_all(space, &job, batch) : contrast_across(space, &job, batch);
    spread(space, batch);
    return value;
}

double dip_loss_soft(dip_loss_space *space, double temperature, const float *targets,
                     const dip_loss_batch *batch)
{
    entropy_job job = {.matrix = space->matrix,
                       .n = batch->n,
                       .temperature = temperature,
                       .targets = targets,
                       .partial = space->partial};
    make_units(space, batch);
    double value = contrast_across(space, &job, batch);
    spread(space, batch);
    return value;
}

/* ---- soft targets ---- */

/* Unit vectors minus their mean, made unit again; one modality. */
static void centre_units(const float *x, size_t n, size_t d, float *unit, float *mean)
{
    float norm;
    memset(mean, 0, d * sizeof *mean);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++) mean[k] += x[i * d + k] / (float)n;
    for (size_t i = 0; i < n; i++) {
        float *u = unit + i * d;
        for (size_t k = 0; k < d; k++) u[k] = x[i * d + k] - mean[k];
        make_unit(u, d, u, &norm);
    }
}

static void soft_similarity(dip_soft_source source, const float *u1, const float *u2, size_t n,
                            size_t d, float *out)
{
    static const struct {
        float first, second, across;
    } share[] = {[DIP_SOFT_FUSED] = {0.5f, 0.5f, 0},
                 [DIP_SOFT_ALL] = {0.25f, 0.25f, 0.25f},
                 [DIP_SOFT_FIRST] = {1, 0, 0},
                 [DIP_SOFT_SECOND] = {0, 1, 0},
                 [DIP_SOFT_ACROSS] = {0, 0, 0.5f}};
    memset(out, 0, n * n * sizeof *out);
    if (share[source].first > 0) dip_blas_abt(n, n, d, share[source].first, u1, u1, 1, out);
    if (share[source].second > 0) dip_blas_abt(n, n, d, share[source].second, u2, u2, 1, out);
    if (share[source].across > 0) dip_blas_abt(n, n, d, share[source].across, u1, u2, 1, out);
    if (share[source].across > 0) dip_blas_abt(n, n, d, share[source].across, u2, u1, 1, out);
}

void dip_soft_targets(dip_loss_space *space, dip_soft_source source, double temperature,
                      const float *x1, const float *x2, size_t n, size_t d, float *targets)
{
    float *u2 = space->unit + n * d;
    assert(n <= space->pairs && d <= space->dim);
    centre_units(x1, n, d, space->unit, space->gradient);
    centre_units(x2, n, d, u2, space->gradient);
    soft_similarity(source, space->unit, u2, n, d, targets);
    for (size_t i = 0; i < n; i++) {
        float *row = targets + i * n;
        log_softmax(row, n, i, temperature);
        for (size_t k = 0; k < n; k++) row[k] = k == i ? 0 : expf(row[k]);
    }
}

/* ---- pairs drawn together ---- */

double dip_loss_discrepancy(dip_loss_space *space, dip_discrepancy form,
                            const dip_loss_batch *batch)
{
    size_t n = batch->n, d = batch->d;
    double sum = 0;
    make_units(space, batch);
    for (size_t i = 0; i < n; i++) {
        const float *u1 = space->unit + i * d, *u2 = space->unit + (n + i) * d;
        float *g1 = space->gradient + i * d, *g2 = space->gradient + (n + i) * d;
        double cosine = dot(u1, u2, d);
        bool logarithm = form == DIP_DISCREPANCY_LOG;
        double slope = logarithm ? -1 / (1 + exp(-cosine)) : -1;
        sum += logarithm ? -log1p(exp(cosine)) : 1 - cosine;
        for (size_t k = 0; k < d; k++) {
            g1[k] = (float)(slope / (double)n) * u2[k];
            g2[k] = (float)(slope / (double)n) * u1[k];
        }
    }
    spread(space, batch);
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

/* Nearest by the sum of both modalities' cosines: one neighbour for both. */
static void nearest_fused(dip_loss_space *s, size_t n, size_t d)
{
    const float *u2 = s->unit + n * d;
    dip_blas_abt(n, n, d, 1, s->unit, s->unit, 0, s->matrix);
    dip_blas_abt(n, n, d, 1, u2, u2, 1, s->matrix);
    for (size_t i = 0; i < n; i++)
        s->nearest[i] = s->nearest[n + i] = row_argmax(s->matrix + i * n, n, i);
}

/* Nearest by Euclidean distance: the largest 2 x_i.x_j - |x_j|^2. */
static void nearest_own(dip_loss_space *s, const float *x, const float *norm, size_t n, size_t d,
                        size_t *nearest)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) s->matrix[i * n + j] = norm[j] * norm[j];
    dip_blas_abt(n, n, d, 2, x, x, -1, s->matrix);
    for (size_t i = 0; i < n; i++) nearest[i] = row_argmax(s->matrix + i * n, n, i);
}

/* Mean cosine of one modality's vectors with their neighbours; gradient of half of it. */
static double similar_of(const float *unit, const size_t *nearest, size_t n, size_t d,
                         float *gradient)
{
    const float share = 0.5f / (float)n;
    double sum = 0;
    memset(gradient, 0, n * d * sizeof *gradient);
    for (size_t i = 0; i < n; i++) {
        size_t j = nearest[i];
        sum += dot(unit + i * d, unit + j * d, d);
        for (size_t k = 0; k < d; k++) {
            gradient[i * d + k] += share * unit[j * d + k];
            gradient[j * d + k] += share * unit[i * d + k];
        }
    }
    return sum / (double)n;
}

double dip_loss_similar(dip_loss_space *space, dip_neighbour source, const dip_loss_batch *batch)
{
    size_t n = batch->n, d = batch->d, at = n * d;
    make_units(space, batch);
    if (n < 2) return 0;
    if (source == DIP_NEIGHBOUR_FUSED) {
        nearest_fused(space, n, d);
    } else {
        nearest_own(space, batch->x1, space->norm, n, d, space->nearest);
        nearest_own(space, batch->x2, space->norm + n, n, d, space->nearest + n);
    }
    double first = similar_of(space->unit, space->nearest, n, d, space->gradient);
    double second = similar_of(space->unit + at, space->nearest + n, n, d, space->gradient + at);
    spread(space, batch);
    return 0.5 * (first + second);
}
