/*
 * The forward passes; see net.h and graph.h.
 *
 * TRAIN keeps every raw convolution result and every activation. INFER moves DIP_INFER_IMAGES images at a time
 * through four buffers, with batch norm, shortcut and ReLU in the finish of the convolutions.
 */
#include "encoder/graph.h"
#include "encoder/layout.h"

#include "core/parallel.h"
#include "core/status.h"

enum { TASK_VALUES = 64 * 1024 };

/* ---- loops over activations ---- */

typedef struct affine_job {
    const dip_loops *loops;
    const dip_affine *affine;
    size_t pixels, step;
} affine_job;

static dip_status affine_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const affine_job *job = context;
    const size_t first = task * job->step, rest = job->pixels - first;
    job->loops->affine(job->affine, first, rest < job->step ? rest : job->step);
    return DIP_OK;
}

void dip_run_affine(const dip_workspace *workspace, const dip_affine *affine, size_t pixels)
{
    affine_job job = {workspace->kernel->loops, affine, pixels, TASK_VALUES / affine->channels};
    dip_parallel_for((pixels + job.step - 1) / job.step, affine_task, &job);
}

typedef struct round_job {
    const dip_product_body *body;
    const float *in;
    dip_bf16 *out;
    size_t values;
} round_job;

static dip_status round_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const round_job *job = context;
    const size_t first = task * TASK_VALUES, rest = job->values - first;
    job->body->round(job->in + first, job->out + first, rest < TASK_VALUES ? rest : TASK_VALUES);
    return DIP_OK;
}

static void round_input(const dip_net *net, const float *in, dip_bf16 *out, size_t values)
{
    round_job job = {net->workspace.kernel->product, in, out, values};
    dip_parallel_for((values + TASK_VALUES - 1) / TASK_VALUES, round_task, &job);
}

/* One image a task. */
typedef struct pool_job {
    const dip_loops *loops;
    dip_pool pool;
} pool_job;

static dip_status pool_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const pool_job *job = context;
    const size_t raw = job->pool.side * job->pool.side * job->pool.channels;
    const size_t side = (job->pool.side - 1) / 2 + 1, pooled = side * side * job->pool.channels;
    dip_pool pool = job->pool;
    pool.raw += task * raw;
    pool.out += task * pooled;
    if (pool.argmax) pool.argmax += task * pooled;
    job->loops->pool(&pool);
    return DIP_OK;
}

static void pool_images(const dip_net *net, const dip_bf16 *raw, const float *scale,
                        const float *shift, dip_bf16 *out, uint8_t *argmax, size_t images)
{
    const dip_conv *stem = &net->tracks[0].stem.layer->conv;
    pool_job job = {.loops = net->workspace.kernel->loops,
                    .pool = {.raw = raw,
                             .scale = scale,
                             .shift = shift,
                             .out = out,
                             .argmax = argmax,
                             .side = dip_conv_out_side(stem),
                             .channels = stem->out_channels}};
    dip_parallel_for(images, pool_task, &job);
}

typedef struct tap_job {
    dip_tap tap;
    const dip_bf16 *in;
    float *features;
    size_t width;
} tap_job;

static dip_status tap_task(void *context, size_t image, unsigned worker)
{
    (void)worker;
    const tap_job *job = context;
    const dip_pooling_job *pooling = &job->tap.pooling;
    dip_pooling_forward(pooling, job->in + image * pooling->pixels * pooling->channels,
                        job->features + image * job->width + job->tap.offset);
    return DIP_OK;
}

/* What the heads take from a block's result: of images `first` and on, features and cells, if its stage has any. */
static void tap_block(const dip_net *net, const dip_track *track, uint32_t block,
                      const dip_bf16 *in, size_t first, size_t images)
{
    tap_job job = {.in = in, .width = dip_net_spec_dim(&net->spec, DIP_H)};
    job.features = track->features + first * job.width;
    if (dip_net_tap(net, block, &job.tap)) dip_parallel_for(images, tap_task, &job);
    if (block == dip_net_layout_block(net)) dip_layout_pool(net, track, in, first, images);
}

/* ---- with kept activations ---- */

typedef struct pass {
    dip_net *net;
    dip_track *track;
    size_t images;
    bool batch_statistics;
    float momentum;
} pass;

static size_t unit_pixels(const dip_unit *unit, size_t images)
{
    const size_t side = dip_conv_out_side(&unit->layer->conv);
    return images * side * side;
}

/* Convolution and the batch norm's affine map; applying it is left to the caller. */
static void run_unit(const pass *p, dip_unit *unit, const dip_bf16 *in)
{
    dip_net *net = p->net;
    dip_conv_job job = {.pass = &unit->layer->forward,
                        .in = in,
                        .panels = unit->layer->panels,
                        .out = unit->raw,
                        .images = p->images};
    if (p->batch_statistics) {
        job.finish.kind = DIP_FINISH_SUMS;
        job.sums = net->sums;
    }
    dip_conv_run(&net->workspace, &job);
    if (p->batch_statistics)
        dip_norm_use_batch(&unit->norm, net->params, net->sums,
                           (double)unit_pixels(unit, p->images), p->momentum);
    else
        dip_norm_use_running(&unit->norm, net->params);
}

static dip_affine unit_affine(const dip_unit *unit)
{
    return (dip_affine){.raw = unit->raw,
                        .scale = unit->norm.scale,
                        .shift = unit->norm.shift,
                        .relu = true,
                        .out = unit->out,
                        .channels = unit->norm.channels};
}

static void run_stem(const pass *p, const float *input)
{
    dip_net *net = p->net;
    dip_track *track = p->track;
    dip_unit *stem = &track->stem;
    const size_t px = net->spec.input_px;
    round_input(net, input, track->input, p->images * px * px * stem->layer->conv.in_channels);
    run_unit(p, stem, track->input);
    if (net->spec.stem_pool) {
        pool_images(net, stem->raw, stem->norm.scale, stem->norm.shift, stem->out, track->argmax,
                    p->images);
    } else {
        const dip_affine affine = unit_affine(stem);
        dip_run_affine(&net->workspace, &affine, unit_pixels(stem, p->images));
    }
}

/* Gives the affine map of a block's last unit what the shortcut adds. */
static void add_shortcut(dip_affine *affine, const dip_block *block, const dip_bf16 *in)
{
    if (!block->has_shortcut) {
        affine->residual = in;
        return;
    }
    affine->raw2 = block->shortcut.raw;
    affine->scale2 = block->shortcut.norm.scale;
    affine->shift2 = block->shortcut.norm.shift;
}

/* Returns the block's activations. */
static const dip_bf16 *run_block(const pass *p, dip_block *block, const dip_bf16 *in)
{
    const dip_bf16 *x = in;
    if (block->has_shortcut) run_unit(p, &block->shortcut, in);
    for (uint32_t u = 0; u < block->unit_count; u++) {
        dip_unit *unit = &block->unit[u];
        run_unit(p, unit, x);
        dip_affine affine = unit_affine(unit);
        if (u + 1 == block->unit_count) add_shortcut(&affine, block, in);
        dip_run_affine(&p->net->workspace, &affine, unit_pixels(unit, p->images));
        x = unit->out;
    }
    return x;
}

static void run_kept(const pass *p, const float *input)
{
    const dip_bf16 *x = p->track->stem.out;
    run_stem(p, input);
    for (uint32_t b = 0; b < p->net->block_count; b++) {
        x = run_block(p, &p->track->blocks[b], x);
        tap_block(p->net, p->track, b, x, 0, p->images);
    }
}

/* ---- folded ---- */

/* Outputs are not negative, so their bits are in the order of their values; a NaN is largest. */
static void watch(dip_unit *unit, const dip_bf16 *out, size_t images)
{
    const size_t n = unit_pixels(unit, images) * unit->norm.channels;
    dip_bf16 most = 0;
    for (size_t i = 0; i < n; i++) most = out[i] > most ? out[i] : most;
    if (!(unit->peak >= dip_bf16_float(most))) unit->peak = dip_bf16_float(most);
}

/* The caller says in `finish` what kind it is and what becomes of the sums. */
static void run_folded(const dip_net *net, dip_unit *unit, const dip_bf16 *in, dip_finish finish,
                       dip_bf16 *out, size_t images)
{
    const bool int8 = finish.kind == DIP_FINISH_INT8;
    dip_conv_pass words;
    if (int8) words = dip_conv_pass_int8(&unit->layer->forward);
    finish.shift = unit->norm.shift;
    finish.scale = unit->norm.scale;
    const dip_conv_job job = {.pass = int8 ? &words : &unit->layer->forward,
                              .in = in,
                              .panels = unit->folded,
                              .out = out,
                              .images = images,
                              .finish = finish};
    dip_conv_run(&net->workspace, &job);
    if (net->watching && finish.relu) watch(unit, out, images);
}

/* The last unit adds the shortcut's output, or the block's input `x`, of which a 1 is worth unit8 if it is u8. */
static void add_to(dip_finish *finish, const dip_block *block, const dip_bf16 *x, float unit8,
                   const dip_bf16 *shortcut)
{
    if (block->has_shortcut) {
        finish->residual = shortcut;
    } else if (finish->kind == DIP_FINISH_INT8) {
        finish->residual8 = (const uint8_t *)x;
        finish->unit8 = unit8;
    } else {
        finish->residual = x;
    }
}

typedef struct round8_job {
    const dip_loops *loops;
    const dip_bf16 *in;
    float per_unit;
    uint8_t *out;
    size_t values;
} round8_job;

static dip_status round8_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const round8_job *job = context;
    const size_t first = task * TASK_VALUES, rest = job->values - first;
    job->loops->round8(job->in + first, job->per_unit, job->out + first,
                       rest < TASK_VALUES ? rest : TASK_VALUES);
    return DIP_OK;
}

/* What has become of a unit's outputs, as u8. */
static void round8(const dip_net *net, const dip_unit *unit, const dip_bf16 *in, dip_bf16 *out,
                   size_t values)
{
    round8_job job = {net->workspace.kernel->loops, in, 1 / unit->unit8, (uint8_t *)out, values};
    dip_parallel_for((values + TASK_VALUES - 1) / TASK_VALUES, round8_task, &job);
}

/*
 * Buffer 0 is a block's input, 1 its shortcut; its units write 2 and 3 in turn, and what the last has written becomes
 * the next block's input. In int8 all are u8 but for shortcuts, which may be negative, and for outputs that a head
 * takes from, which are rounded afterwards.
 */
static void run_folded_blocks(const dip_net *net, dip_track *track, dip_bf16 *buffer[4],
                              size_t first, size_t images)
{
    const dip_finish_kind kind = track->int8 ? DIP_FINISH_INT8 : DIP_FINISH_BIAS;
    float unit8 = track->stem.unit8;
    for (uint32_t b = 0; b < net->block_count; b++) {
        dip_block *block = &track->blocks[b];
        const uint32_t last = block->unit_count - 1;
        dip_bf16 **out = NULL;
        const dip_bf16 *x = buffer[0];
        dip_tap tap;
        const bool tapped = dip_net_tap(net, b, &tap) || b == dip_net_layout_block(net);
        if (block->has_shortcut)
            run_folded(net, &block->shortcut, x, (dip_finish){.kind = kind}, buffer[1], images);
        for (uint32_t u = 0; u <= last; u++, x = *out) {
            dip_finish finish = {.kind = kind, .relu = true};
            if (u == last) add_to(&finish, block, buffer[0], unit8, buffer[1]);
            if (track->int8 && !(u == last && tapped)) finish.per_unit = 1 / block->unit[u].unit8;
            out = &buffer[2 + u % 2];
            run_folded(net, &block->unit[u], x, finish, *out, images);
        }
        const dip_unit *end = &block->unit[last];
        unit8 = end->unit8;
        tap_block(net, track, b, x, first, images);
        if (track->int8 && tapped && b + 1 < net->block_count) {
            round8(net, end, x, buffer[0], unit_pixels(end, images) * end->norm.channels);
            continue;
        }
        dip_bf16 *free = buffer[0];
        buffer[0] = *out;
        *out = free;
    }
}

/* `images` images from `first` on. */
static void run_group(const dip_net *net, dip_track *track, const float *input, size_t first,
                      size_t images)
{
    dip_bf16 *buffer[DIP_NET_BUFFERS];
    memcpy(buffer, net->buffer, sizeof buffer);
    const size_t px = net->spec.input_px, side = dip_net_stem_side(&net->spec);
    const size_t image = px * px * track->stem.layer->conv.in_channels;
    const dip_finish finish = {.kind = DIP_FINISH_BIAS, .relu = true};
    round_input(net, input + first * image, track->input, images * image);
    run_folded(net, &track->stem, track->input, finish, buffer[0], images);
    if (net->spec.stem_pool) {
        pool_images(net, buffer[0], net->unit_scale, net->zero_shift, buffer[1], NULL, images);
        buffer[0] = net->buffer[1];
        buffer[1] = net->buffer[0];
    }
    if (track->int8) {
        round8(net, &track->stem, buffer[0], buffer[1], images * side * side * net->spec.width[0]);
        dip_bf16 *free = buffer[0];
        buffer[0] = buffer[1];
        buffer[1] = free;
    }
    run_folded_blocks(net, track, buffer, first, images);
}

static void run_infer(const dip_net *net, dip_track *track, const float *input, size_t images)
{
    for (size_t n = 0; n < images; n += DIP_INFER_IMAGES)
        run_group(net, track, input, n,
                  images - n < DIP_INFER_IMAGES ? images - n : DIP_INFER_IMAGES);
}

/* ---- whole ---- */

static void run_projection(const dip_net *net, const dip_track *track, size_t images, float *z)
{
    const dip_head_layers *head = &net->heads[track->head];
    const float *in = track->features;
    if (net->head_depth == 2) {
        dip_linear_forward(&net->workspace, &head->layer[0], net->params, in, images, true,
                           track->hidden);
        in = track->hidden;
    }
    dip_linear_forward(&net->workspace, &head->layer[net->head_depth - 1], net->params, in, images,
                       false, z);
}

static void run_outputs(const dip_net *net, const dip_track *track, size_t images,
                        float *const out[DIP_OUTPUTS])
{
    if (out[DIP_H])
        memcpy(out[DIP_H], track->features,
               images * dip_net_spec_dim(&net->spec, DIP_H) * sizeof(float));
    if (out[DIP_Z]) run_projection(net, track, images, out[DIP_Z]);
    if (out[DIP_LAYOUT] && net->spec.layout_grid)
        dip_layout_forward(net, track, images, out[DIP_LAYOUT]);
}

static dip_status check_call(dip_net *net, size_t modality, size_t n)
{
    if (modality >= net->spec.modality_count)
        return dip_fail(DIP_EINVAL, "network: modality %zu of %u", modality,
                        net->spec.modality_count);
    if (n > net->max_batch)
        return dip_fail(DIP_EINVAL, "network: %zu tiles in a call; at most %zu", n, net->max_batch);
    return dip_workspace_ready(&net->workspace);
}

dip_status dip_net_forward(dip_net *net, size_t modality, const float *input, size_t n,
                           float *const out[DIP_OUTPUTS])
{
    dip_status status = check_call(net, modality, n);
    if (status || n == 0) return status;
    dip_track *track = &net->tracks[modality];
    const pass p = {.net = net, .track = track, .images = n};
    track->images = 0;
    if (net->mode == DIP_NET_TRAIN)
        run_kept(&p, input);
    else
        run_infer(net, track, input, n);
    run_outputs(net, track, n, out);
    return DIP_OK;
}

dip_status dip_net_forward_train(dip_net *net, size_t modality, const float *input, size_t n,
                                 float momentum, float *const out[DIP_OUTPUTS])
{
    dip_status status = check_call(net, modality, n);
    if (status) return status;
    if (net->mode != DIP_NET_TRAIN || n == 0)
        return dip_fail(DIP_EINVAL, "network: a training step needs a net made for training and at "
                                    "least one tile");
    const pass p = {.net = net,
                    .track = &net->tracks[modality],
                    .images = n,
                    .batch_statistics = !net->tracks[modality].frozen,
                    .momentum = momentum};
    run_kept(&p, input);
    run_outputs(net, p.track, n, out);
    p.track->images = n;
    return DIP_OK;
}
