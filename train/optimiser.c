/*
 * AdamW; see optimiser.h. A piece is a part of one segment, so that it decays as a whole or not at all; one piece is
 * one task of the pool.
 */
#include "train/optimiser.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <assert.h>
#include <math.h>

enum { PIECE = 16384 };

struct dip_optimiser {
    dip_adamw settings;
    dip_segment *pieces;
    size_t piece_count;
    double *partial; /* one a piece */
    float *first, *second;
    size_t param_count;
    uint64_t steps;
};

static size_t pieces_of(size_t count) { return (count + PIECE - 1) / PIECE; }

static void cut(dip_optimiser *optimiser, const dip_segment *segment)
{
    for (size_t at = 0; at < segment->count; at += PIECE) {
        size_t left = segment->count - at;
        optimiser->pieces[optimiser->piece_count++] =
            (dip_segment){segment->offset + at, left < PIECE ? left : PIECE, segment->decay};
    }
}

dip_status dip_optimiser_create(dip_optimiser **out, const dip_adamw *settings,
                                const dip_segment *segments, size_t segment_count,
                                size_t param_count)
{
    size_t pieces = 0;
    for (size_t i = 0; i < segment_count; i++) pieces += pieces_of(segments[i].count);
    dip_optimiser *optimiser = dip_calloc(1, sizeof *optimiser);
    if (!optimiser) return DIP_ENOMEM;
    optimiser->settings = *settings;
    optimiser->param_count = param_count;
    optimiser->pieces = dip_alloc(pieces * sizeof *optimiser->pieces);
    optimiser->partial = dip_alloc(pieces * sizeof *optimiser->partial);
    optimiser->first = dip_calloc(param_count, sizeof(float));
    optimiser->second = dip_calloc(param_count, sizeof(float));
    if (!optimiser->pieces || !optimiser->partial || !optimiser->first || !optimiser->second) {
        dip_optimiser_destroy(optimiser);
        return DIP_ENOMEM;
    }
    for (size_t i = 0; i < segment_count; i++) cut(optimiser, &segments[i]);
    *out = optimiser;
    return DIP_OK;
}

void dip_optimiser_destroy(dip_optimiser *optimiser)
{
    if (!optimiser) return;
    dip_free(optimiser->pieces);
    dip_free(optimiser->partial);
    dip_free(optimiser->first);
    dip_free(optimiser->second);
    dip_free(optimiser);
}

float *dip_optimiser_moment(dip_optimiser *optimiser, int which)
{
    return which ? optimiser->second : optimiser->first;
}

size_t dip_optimiser_param_count(const dip_optimiser *optimiser) { return optimiser->param_count; }

uint64_t dip_optimiser_steps(const dip_optimiser *optimiser) { return optimiser->steps; }

void dip_optimiser_set_steps(dip_optimiser *optimiser, uint64_t steps) { optimiser->steps = steps; }

/* ---- one step ---- */

typedef struct step_job {
    dip_optimiser *optimiser;
    float *params;
    const float *grads;
    float rate, scale;           /* of the gradient, by clipping */
    float first_fix, second_fix; /* 1 / (1 - beta^t) */
} step_job;

static dip_status norm_task(void *context, size_t task, unsigned worker)
{
    const step_job *job = context;
    const dip_segment *piece = &job->optimiser->pieces[task];
    const float *g = job->grads + piece->offset;
    double sum = 0;
    (void)worker;
    for (size_t i = 0; i < piece->count; i++) sum += (double)g[i] * g[i];
    job->optimiser->partial[task] = sum;
    return DIP_OK;
}

static dip_status step_task(void *context, size_t task, unsigned worker)
{
    const step_job *job = context;
    const dip_optimiser *o = job->optimiser;
    const dip_segment *piece = &o->pieces[task];
    const float beta1 = (float)o->settings.beta1, beta2 = (float)o->settings.beta2;
    const float epsilon = (float)o->settings.epsilon;
    const float keep = piece->decay ? (float)(1 - job->rate * o->settings.weight_decay) : 1;
    float *restrict p = job->params + piece->offset;
    float *restrict m = o->first + piece->offset, *restrict v = o->second + piece->offset;
    const float *restrict grads = job->grads + piece->offset;
    (void)worker;
    for (size_t i = 0; i < piece->count; i++) {
        float g = grads[i] * job->scale;
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        float size = sqrtf(v[i] * job->second_fix) + epsilon;
        p[i] = keep * p[i] - job->rate * (m[i] * job->first_fix) / size;
    }
    return DIP_OK;
}

static void run(dip_task_fn task, step_job *job)
{
    dip_status status = dip_parallel_for(job->optimiser->piece_count, task, job);
    assert(!status && "the tasks cannot fail");
    (void)status;
}

double dip_optimiser_step(dip_optimiser *optimiser, double rate, float *params, const float *grads)
{
    const dip_adamw *settings = &optimiser->settings;
    step_job job = {
        .optimiser = optimiser, .params = params, .grads = grads, .rate = (float)rate, .scale = 1};
    double sum = 0;
    run(norm_task, &job);
    for (size_t i = 0; i < optimiser->piece_count; i++) sum += optimiser->partial[i];
    double norm = sqrt(sum);
    if (!isfinite(norm)) return norm;
    if (settings->clip > 0 && norm > settings->clip) job.scale = (float)(settings->clip / norm);
    double t = (double)++optimiser->steps;
    job.first_fix = (float)(1 / (1 - pow(settings->beta1, t)));
    job.second_fix = (float)(1 / (1 - pow(settings->beta2, t)));
    run(step_task, &job);
    return norm;
}

/* ---- schedules ---- */

double dip_rate_at(double rate, dip_decay decay, uint64_t step, uint64_t warmup, uint64_t total)
{
    const double pi = 3.14159265358979323846;
    if (step < warmup) return rate * (double)(step + 1) / (double)warmup;
    if (decay == DIP_DECAY_CONSTANT || total <= warmup) return rate;
    double done = (double)(step - warmup) / (double)(total - warmup);
    return 0.5 * rate * (1 + cos(pi * (done < 1 ? done : 1)));
}

double dip_average_decay(double decay, uint64_t step)
{
    double young = (2.0 + (double)step) / (11.0 + (double)step);
    return young < decay ? young : decay;
}

typedef struct average_job {
    float *average;
    const float *values;
    size_t count;
    float decay;
} average_job;

static dip_status average_task(void *context, size_t task, unsigned worker)
{
    const average_job *job = context;
    size_t first = task * PIECE, end = first + PIECE < job->count ? first + PIECE : job->count;
    float *restrict average = job->average;
    const float *restrict values = job->values;
    (void)worker;
    for (size_t i = first; i < end; i++)
        average[i] += (1 - job->decay) * (values[i] - average[i]); /* equal values stay equal */
    return DIP_OK;
}

void dip_average_update(float *average, const float *values, size_t count, double decay)
{
    average_job job = {average, values, count, (float)decay};
    dip_status status = dip_parallel_for(pieces_of(count), average_task, &job);
    assert(!status && "the tasks cannot fail");
    (void)status;
}
