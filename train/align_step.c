/*
 * One step of an alignment, and what is measured between steps; see aligner.h. A pair's inputs are made by one task, with
 * numbers drawn from (seed, pass, pair) alone.
 */
#include "train/aligner.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <math.h>
#include <string.h>

enum { TASK_PAIRS = 16 };

static const uint64_t pair_tag = 0x616c69676e; /* a stream of its own */

/* ---- inputs ---- */

typedef struct gather_job {
    const dip_aligner *aligner;
    const uint32_t *order; /* positions of the pairs in dataset->train */
    size_t n;
} gather_job;

/* Sets a share of the values to their mean, the others are that much larger. Four draws a number. */
static void drop_out(double share, size_t dim, dip_rng *rng, float *x)
{
    const uint64_t limit = (uint64_t)(share * 65536);
    const float keep = (float)(1 / (1 - (double)limit / 65536));
    for (size_t i = 0; i < dim; i += 4) {
        uint64_t draws = dip_rng_u64(rng);
        for (size_t k = i; k < i + 4 && k < dim; k++, draws >>= 16)
            x[k] = (draws & 65535) < limit ? 0 : x[k] * keep;
    }
}

static void make_input(const dip_aligner *t, const dip_pair *pair, int side, dip_rng *rng,
                       float *vector, float *x)
{
    uint32_t modality = pair->modality[side];
    uint32_t tile = pair->first[side] + dip_rng_below(rng, pair->count[side]);
    size_t dim = t->vectors[modality].input.dim;
    double noise = t->options.train.noise;
    dip_vectors_read(&t->vectors[modality], t->row[tile], 1, vector);
    dip_heads_standardise(t->heads, modality, vector, x);
    for (size_t i = 0; noise > 0 && i < dim; i++) x[i] += (float)(noise * dip_rng_normal(rng));
    if (t->options.dropout > 0) drop_out(t->options.dropout, dim, rng, x);
}

/* What the soft targets compare, padded with zeros to one width: cosines stay as they are. */
static void keep_input(const dip_aligner *t, int side, size_t i, const float *x, size_t width)
{
    if (!t->compared) return;
    float *h = t->outputs.value[side][DIP_H] + i * t->widest;
    memcpy(h, x, width * sizeof *h);
    memset(h + width, 0, (t->widest - width) * sizeof *h);
}

static dip_status gather_task(void *context, size_t task, unsigned worker)
{
    const gather_job *job = context;
    const dip_aligner *t = job->aligner;
    size_t end = (task + 1) * TASK_PAIRS < job->n ? (task + 1) * TASK_PAIRS : job->n;
    for (size_t i = task * TASK_PAIRS; i < end; i++) {
        const dip_pair *pair = &t->dataset->train[job->order[i]];
        dip_rng rng;
        dip_rng_init(&rng, (uint64_t)t->options.train.seed ^ pair_tag,
                     t->planned << 32 | job->order[i]);
        for (int side = 0; side < 2; side++) {
            size_t width = dip_heads_width(t->heads, pair->modality[side]);
            float *x = t->x[side] + i * width;
            make_input(t, pair, side, &rng, t->scratch + worker * t->widest, x);
            keep_input(t, side, i, x, width);
        }
    }
    return DIP_OK;
}

/* The pairs of this step: the plan is shuffled anew for each pass over them. */
static const uint32_t *next_pairs(dip_aligner *t, size_t *n)
{
    uint64_t pass = t->cursor.total / t->plan.steps;
    if (pass != t->planned)
        dip_plan_shuffle(&t->plan, t->dataset, (uint64_t)t->options.train.seed, pass);
    t->planned = pass;
    uint32_t batch = t->plan.turn[t->cursor.total % t->plan.steps];
    *n = t->plan.length[batch];
    return t->plan.order + t->plan.start[batch];
}

/* ---- backward ---- */

void dip_heads_backward(const dip_heads *heads, size_t modality, const float *x,
                        const float *hidden, size_t n, const float *dz, float *d_hidden,
                        float *grads)
{
    const dip_linear *layer = heads->layer[modality];
    const float *d_out = dz;
    if (heads->depth > 1) {
        dip_linear_backward(&heads->workspace, &layer[1], heads->params, grads, hidden, dz, n,
                            d_hidden);
        for (size_t i = 0; i < n * heads->spec.hidden; i++)
            if (!(hidden[i] > 0)) d_hidden[i] = 0;
        d_out = d_hidden;
    }
    dip_linear_backward(&heads->workspace, &layer[0], heads->params, grads, x, d_out, n, NULL);
}

/* ---- the step ---- */

static dip_status unstable(const dip_aligner *t, double rate)
{
    return dip_fail(DIP_EINVAL,
                    "alignment became unstable at step %llu: the numbers are not finite; the "
                    "learning rate %g is likely too high (the gradient's norm was %.3g a step "
                    "before), try --rate %g or --clip 1",
                    (unsigned long long)t->cursor.total + 1, rate, t->last_norm,
                    t->options.train.rate / 4);
}

dip_status dip_aligner_step(dip_aligner *t, dip_loss_values *values)
{
    const dip_train_options *o = &t->options.train;
    double rate = dip_rate_at(o->rate, (dip_decay)o->decay, t->cursor.total,
                              (uint64_t)llround(o->warmup), t->steps);
    gather_job job = {.aligner = t};
    job.order = next_pairs(t, &job.n);
    const dip_pair *first = &t->dataset->train[job.order[0]];
    dip_status status = dip_parallel_for((job.n + TASK_PAIRS - 1) / TASK_PAIRS, gather_task, &job);
    if (status) return status;
    for (int side = 0; side < 2; side++)
        dip_heads_forward(t->heads, first->modality[side], t->x[side], job.n, t->hidden[side],
                          t->outputs.value[side][DIP_Z]);
    t->outputs.n = job.n;
    t->outputs.pair = job.order;
    memcpy(t->outputs.modality, first->modality, sizeof t->outputs.modality);
    const dip_when when = {t->cursor.total, t->steps, t->cursor.total};
    dip_objective_run(t->objective, &when, &t->outputs, values);
    if (!isfinite(values->total)) return unstable(t, rate);
    memset(t->grads, 0, t->heads->param_count * sizeof *t->grads);
    for (int side = 0; side < 2; side++)
        dip_heads_backward(t->heads, first->modality[side], t->x[side], t->hidden[side], job.n,
                           t->outputs.gradient[side][DIP_Z], t->d_hidden, t->grads);
    double norm = dip_optimiser_step(t->optimiser, rate, t->heads->params, t->grads);
    if (!isfinite(norm)) return unstable(t, rate);
    t->last_norm = norm;
    dip_heads_refresh(t->heads);
    if (t->average)
        dip_average_update(t->average, t->heads->params, t->heads->param_count,
                           dip_average_decay(o->average, t->cursor.total));
    t->cursor.total++;
    t->cursor.loss_sum += values->total;
    t->cursor.step++;
    return DIP_OK;
}

/* ---- held-out pairs ---- */

void dip_aligner_take(dip_aligner *t)
{
    memcpy(t->model->params, t->average ? t->average : t->heads->params,
           t->heads->param_count * sizeof *t->model->params);
    dip_heads_refresh(t->model);
}

static dip_status encode(void *context, uint32_t modality, const uint32_t *tiles, size_t n,
                         float *out)
{
    const dip_aligner *t = context;
    size_t dim = t->vectors[modality].input.dim;
    float *vectors = dip_alloc(n * dim * sizeof *vectors);
    if (!vectors) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++)
        dip_vectors_read(&t->vectors[modality], t->row[tiles[i]], 1, vectors + i * dim);
    dip_status status = dip_heads_encode(t->model, modality, vectors, n, out);
    dip_free(vectors);
    return status;
}

dip_held_source dip_aligner_source(dip_aligner *t)
{
    return (dip_held_source){t->dataset, t->model->spec.embed_dim, encode, t};
}
