/*
 * Walks a net down; see backward.h and encoder/graph.h.
 *
 * Gradients of activations live in the net's four buffers. Two of them take turns as the gradient of a block's
 * output and of its input; where the shortcut is the identity they are one and the same, so its gradient is
 * already in place when the first convolution's is added. The third holds the gradient between two convolutions,
 * the fourth that of a raw convolution result.
 *
 * ReLU masks and the sums that batch norm's backward needs are taken while a gradient passes by: in the finish of the
 * convolution that makes it, or in the pass that masks a block's output.
 */
#include "train/backward.h"

#include "core/parallel.h"
#include "core/status.h"
#include "encoder/conv_weights.h"
#include "encoder/graph.h"
#include "encoder/layout.h"

enum { TASK_VALUES = 64 * 1024 };

typedef struct descent {
    dip_net *net;
    dip_track *track;
    size_t images;
    dip_bf16 *out, *in; /* gradients of a block's output and input */
    dip_bf16 *middle, *raw;
} descent;

static size_t unit_pixels(const dip_unit *unit, size_t images)
{
    const size_t side = dip_conv_out_side(&unit->layer->conv);
    return images * side * side;
}

/* ---- passes over activations ---- */

typedef struct mask_job {
    const dip_workspace *workspace;
    dip_mask mask;
    size_t pixels, step, sums; /* pixels of a task; floats of its sums */
} mask_job;

static dip_status mask_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const mask_job *job = context;
    const size_t first = task * job->step, rest = job->pixels - first;
    dip_mask mask = job->mask;
    mask.sums = job->workspace->partials + task * job->sums;
    memset(mask.sums, 0, job->sums * sizeof(float));
    job->workspace->kernel->loops->mask(&mask, first, rest < job->step ? rest : job->step);
    return DIP_OK;
}

/* Pixels of a task: as many as an image has, or enough to be worth one; partials are one an image at most. */
static size_t task_pixels(size_t image_pixels, size_t channels)
{
    const size_t images = TASK_VALUES / (image_pixels * channels);
    return image_pixels * (images ? images : 1);
}

/* Masks the gradient of `out` in place; sums into net->sums. */
static void run_mask(const descent *d, const dip_unit *unit, const dip_unit *second,
                     const dip_bf16 *out, dip_bf16 *gradient)
{
    const size_t channels = unit->norm.channels;
    mask_job job = {.workspace = &d->net->workspace,
                    .mask = {.out = out,
                             .raw = {unit->raw, second ? second->raw : NULL},
                             .gradient = gradient,
                             .channels = channels},
                    .pixels = unit_pixels(unit, d->images),
                    .step = task_pixels(unit_pixels(unit, 1), channels),
                    .sums = (second ? 3 : 2) * channels};
    const size_t tasks = (job.pixels + job.step - 1) / job.step;
    dip_parallel_for(tasks, mask_task, &job);
    dip_workspace_total(job.workspace, tasks, job.sums, d->net->sums);
}

typedef struct norm_job {
    const dip_loops *loops;
    const dip_unit *unit;
    const dip_bf16 *gradient;
    dip_bf16 *out;
    size_t pixels, step;
} norm_job;

static dip_status norm_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const norm_job *job = context;
    const size_t channels = job->unit->norm.channels, first = task * job->step;
    const size_t rest = job->pixels - first, at = first * channels;
    job->loops->norm_backward(job->gradient + at, job->unit->raw + at, job->unit->norm.slopes,
                              job->out + at, rest < job->step ? rest : job->step, channels);
    return DIP_OK;
}

/* From the gradient of a norm's result, whose sums are known, to that of the raw convolution result. */
static void run_norm(const descent *d, dip_unit *unit, const double *sum, const double *sum_raw,
                     const dip_bf16 *gradient)
{
    const size_t pixels = unit_pixels(unit, d->images);
    dip_norm_backward(&unit->norm, d->net->params, d->net->grads, sum, sum_raw, (double)pixels);
    norm_job job = {d->net->workspace.kernel->loops,  unit, gradient, d->raw, pixels,
                    TASK_VALUES / unit->norm.channels};
    dip_parallel_for((pixels + job.step - 1) / job.step, norm_task, &job);
}

/* ---- convolutions ---- */

/* d->raw, the gradient of the unit's raw result, to that of its weights. */
static void run_weights(const descent *d, const dip_unit *unit, const dip_bf16 *in)
{
    const dip_layer *layer = unit->layer;
    const dip_conv_weights_job job = {.pass = &layer->forward,
                                      .in = in,
                                      .gradient = d->raw,
                                      .images = d->images,
                                      .sums = d->net->weight_sums,
                                      .grads = d->net->grads + layer->weights};
    dip_conv_weights_run(&d->net->workspace, &job);
}

/* d->raw to the gradient of the unit's input; the sums of a mask into net->sums, added over the passes. */
static void run_data(const descent *d, const dip_unit *unit, dip_finish finish, dip_bf16 *out)
{
    const dip_layer *layer = unit->layer;
    const size_t count = 2 * (size_t)layer->conv.in_channels;
    double *sums = finish.kind == DIP_FINISH_MASK ? d->net->sums : NULL;
    double *more = d->net->sums + 2 * DIP_MAX_CHANNELS;
    for (unsigned i = 0; i < layer->backward_count; i++) {
        const dip_conv_job job = {.pass = &layer->backward[i],
                                  .in = d->raw,
                                  .panels = layer->backward_panels[i],
                                  .out = out,
                                  .images = d->images,
                                  .finish = finish,
                                  .sums = sums && i ? more : sums};
        dip_conv_run(&d->net->workspace, &job);
        for (size_t c = 0; sums && i && c < count; c++) sums[c] += more[c];
    }
}

/* ---- the walk ---- */

/* From the masked gradient of the block's output, d->out, to d->raw of its first unit. */
static void units_backward(const descent *d, dip_block *block, const dip_bf16 *in)
{
    const double *sums = d->net->sums;
    const dip_bf16 *gradient = d->out;
    for (uint32_t u = block->unit_count; u-- > 0; gradient = d->middle) {
        dip_unit *unit = &block->unit[u], *below = u ? unit - 1 : NULL;
        run_norm(d, unit, sums, sums + unit->norm.channels, gradient);
        run_weights(d, unit, below ? below->out : in);
        if (!below) break;
        const dip_finish mask = {.kind = DIP_FINISH_MASK,
                                 .raw = below->raw,
                                 .scale = below->norm.scale,
                                 .shift = below->norm.shift};
        run_data(d, unit, mask, d->middle);
    }
}

static void block_backward(descent *d, dip_block *block, const dip_bf16 *in)
{
    const double *sums = d->net->sums;
    const dip_unit *last = dip_block_last(block);
    const size_t channels = last->norm.channels;
    const dip_finish add = {.kind = DIP_FINISH_ADD}, store = {.kind = DIP_FINISH_STORE};
    double shortcut_sums[2][DIP_MAX_CHANNELS];
    run_mask(d, last, block->has_shortcut ? &block->shortcut : NULL, last->out, d->out);
    if (block->has_shortcut) {
        memcpy(shortcut_sums[0], sums, channels * sizeof *sums);
        memcpy(shortcut_sums[1], sums + 2 * channels, channels * sizeof *sums);
    }
    units_backward(d, block, in);
    if (!block->has_shortcut) {
        run_data(d, &block->unit[0], add, d->out);
        return;
    }
    run_data(d, &block->unit[0], store, d->in);
    run_norm(d, &block->shortcut, shortcut_sums[0], shortcut_sums[1], d->out);
    run_weights(d, &block->shortcut, in);
    run_data(d, &block->shortcut, add, d->in);
    dip_bf16 *free = d->out;
    d->out = d->in;
    d->in = free;
}

typedef struct pool_job {
    const dip_workspace *workspace;
    dip_pool pool;
} pool_job;

static dip_status pool_task(void *context, size_t image, unsigned worker)
{
    (void)worker;
    const pool_job *job = context;
    dip_pool pool = job->pool;
    const size_t raw = pool.side * pool.side * pool.channels;
    const size_t side = (pool.side - 1) / 2 + 1, pooled = side * side * pool.channels;
    pool.raw += image * raw;
    pool.raw_gradient += image * raw;
    pool.argmax += image * pooled;
    pool.gradient += image * pooled;
    pool.sums = job->workspace->partials + image * 2 * pool.channels;
    memset(pool.sums, 0, 2 * pool.channels * sizeof(float));
    job->workspace->kernel->loops->pool_backward(&pool);
    return DIP_OK;
}

static void stem_backward(descent *d)
{
    dip_net *net = d->net;
    dip_unit *stem = &d->track->stem;
    const size_t channels = stem->norm.channels;
    const dip_bf16 *gradient = d->out;
    if (net->spec.stem_pool) {
        pool_job job = {.workspace = &net->workspace,
                        .pool = {.raw = stem->raw,
                                 .side = dip_conv_out_side(&stem->layer->conv),
                                 .channels = channels,
                                 .argmax = d->track->argmax,
                                 .gradient = d->out,
                                 .raw_gradient = d->middle}};
        dip_parallel_for(d->images, pool_task, &job);
        dip_workspace_total(&net->workspace, d->images, 2 * channels, net->sums);
        gradient = d->middle;
    } else {
        run_mask(d, stem, NULL, stem->out, d->out);
    }
    run_norm(d, stem, net->sums, net->sums + channels, gradient);
    run_weights(d, stem, d->track->input);
}

/* ---- head and pooling ---- */

/* The gradient reaching h through the projection, into the net's head buffer. */
static void projection_backward(const descent *d, const float *dz)
{
    dip_net *net = d->net;
    const dip_head_layers *head = &net->heads[d->track->head];
    uint32_t width[3];
    const uint32_t depth = dip_net_head_widths(&net->spec, width);
    float *dh = net->head_buffer, *hidden = dh + net->max_batch * width[0];
    if (depth == 1) {
        dip_linear_backward(&net->workspace, &head->layer[0], net->params, net->grads,
                            d->track->features, dz, d->images, dh);
        return;
    }
    dip_linear_backward(&net->workspace, &head->layer[1], net->params, net->grads, d->track->hidden,
                        dz, d->images, hidden);
    for (size_t i = 0; i < d->images * width[1]; i++)
        if (!(d->track->hidden[i] > 0)) hidden[i] = 0;
    dip_linear_backward(&net->workspace, &head->layer[0], net->params, net->grads,
                        d->track->features, hidden, d->images, dh);
}

typedef struct tap_job {
    dip_tap tap;
    const float *gradient, *features;
    size_t width;
    const dip_bf16 *in;
    bool add;
    dip_bf16 *out;
} tap_job;

static dip_status tap_task(void *context, size_t image, unsigned worker)
{
    (void)worker;
    const tap_job *job = context;
    const dip_pooling_job *pooling = &job->tap.pooling;
    const size_t at = image * job->width + job->tap.offset;
    const size_t values = image * pooling->pixels * pooling->channels;
    const dip_pooling_slope slope = {job->in + values, job->features + at, job->gradient + at};
    dip_pooling_backward(pooling, &slope, job->add, job->out + values);
    return DIP_OK;
}

/* What reaches a block's activations from h, in the net's head buffer, into d->out. */
static void tap_backward(const descent *d, uint32_t block, bool add)
{
    tap_job job = {.gradient = d->net->head_buffer,
                   .features = d->track->features,
                   .width = dip_net_spec_dim(&d->net->spec, DIP_H),
                   .in = dip_block_last(&d->track->blocks[block])->out,
                   .add = add,
                   .out = d->out};
    if (dip_net_tap(d->net, block, &job.tap)) dip_parallel_for(d->images, tap_task, &job);
}

/* The gradient of h, into the net's head buffer. */
static void features_backward(const descent *d, float *const gradient[DIP_OUTPUTS])
{
    const size_t values = d->images * dip_net_spec_dim(&d->net->spec, DIP_H);
    float *dh = d->net->head_buffer;
    if (gradient[DIP_Z])
        projection_backward(d, gradient[DIP_Z]);
    else
        memset(dh, 0, values * sizeof *dh);
    for (size_t i = 0; gradient[DIP_H] && i < values; i++) dh[i] += gradient[DIP_H][i];
}

dip_status dip_net_backward(dip_net *net, size_t modality, float *const gradient[DIP_OUTPUTS])
{
    if (modality >= net->spec.modality_count || !net->tracks[modality].images)
        return dip_fail(DIP_EINVAL, "network: no training pass of modality %zu to go back from",
                        modality);
    dip_status status = dip_workspace_ready(&net->workspace);
    if (status) return status;
    dip_track *track = &net->tracks[modality];
    descent d = {.net = net,
                 .track = track,
                 .images = track->images,
                 .out = net->buffer[0],
                 .in = net->buffer[1],
                 .middle = net->buffer[2],
                 .raw = net->buffer[3]};
    if (track->frozen) {
        if (gradient[DIP_Z]) projection_backward(&d, gradient[DIP_Z]);
        if (gradient[DIP_LAYOUT])
            dip_layout_backward(net, track, gradient[DIP_LAYOUT], d.images, NULL);
        return DIP_OK;
    }
    features_backward(&d, gradient);
    for (uint32_t b = net->block_count; b-- > 0;) {
        tap_backward(&d, b, b + 1 < net->block_count);
        if (b == dip_net_layout_block(net) && gradient[DIP_LAYOUT])
            dip_layout_backward(net, track, gradient[DIP_LAYOUT], d.images, d.out);
        block_backward(&d, &track->blocks[b],
                       b ? dip_block_last(&track->blocks[b - 1])->out : track->stem.out);
    }
    stem_backward(&d);
    return DIP_OK;
}
