/* The encoder's work, as benchmarks time it; see encoder_work.h. */
#include "bench/encoder_work.h"

#include "core/parallel.h"
#include "encoder/conv_weights.h"
#include "train/backward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail_loudly(void)
{
    fprintf(stderr, "bench_encoder: %s\n", dip_last_error());
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (!block) exit(1);
    return block;
}

/* ---- nets ---- */

typedef struct shape {
    const char *name;
    uint32_t width, stem_kernel, stem_stride, blocks[DIP_MAX_STAGES];
    bool stem_pool;
    dip_block_kind block;
} shape;

static const shape shapes[] = {
    {"resnet10", 32, 3, 2, {1, 1, 1, 1}, false, DIP_BLOCK_BASIC},
    {"resnet18", 64, 7, 2, {2, 2, 2, 2}, true, DIP_BLOCK_BASIC},
    {"resnet50", 64, 7, 2, {3, 4, 6, 3}, true, DIP_BLOCK_BOTTLENECK},
};

dip_net_spec bench_spec(const char *net, uint32_t px, uint32_t bands, uint32_t stem_stride)
{
    const shape *s = shapes, *end = shapes + sizeof shapes / sizeof *shapes;
    while (s < end && strcmp(s->name, net) != 0) s++;
    if (s == end) {
        fprintf(stderr, "bench_encoder: no net '%s'; resnet10, resnet18 or resnet50\n", net);
        exit(2);
    }
    dip_net_spec spec = {.input_px = px,
                         .stem_kernel = s->stem_kernel,
                         .stem_stride = stem_stride ? stem_stride : s->stem_stride,
                         .stem_pool = s->stem_pool,
                         .block = s->block,
                         .stage_count = 4,
                         .shared_from = 2,
                         .head_shared = true,
                         .embed_dim = 128,
                         .modality_count = 1};
    for (int i = 0; i < 4; i++) {
        spec.width[i] = s->width << i;
        spec.blocks[i] = s->blocks[i];
    }
    snprintf(spec.modality[0].name, sizeof spec.modality[0].name, "m");
    spec.modality[0].band_count = bands;
    return spec;
}

static bool decays(const dip_tensor *t)
{
    return t->kind == DIP_TENSOR_CONV || t->kind == DIP_TENSOR_LINEAR;
}

static void open_optimiser(bench_work *w)
{
    const dip_adamw settings = {.weight_decay = 0.05, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8};
    const size_t tensors = dip_net_tensor_count(w->net);
    dip_segment *segments = memory(tensors, sizeof *segments);
    size_t n = 0;
    for (size_t i = 0; i < tensors; i++) {
        const dip_tensor *t = dip_net_tensor(w->net, i);
        if (t->param_offset == SIZE_MAX) continue;
        segments[n++] = (dip_segment){t->param_offset, t->param_count, decays(t)};
    }
    if (dip_optimiser_create(&w->optimiser, &settings, segments, n, dip_net_param_count(w->net)))
        fail_loudly();
    free(segments);
}

void bench_work_open(bench_work *w, const dip_net_spec *spec, size_t batch, dip_net_mode mode)
{
    const size_t values = batch * spec->input_px * spec->input_px * spec->modality[0].band_count;
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    *w = (bench_work){.batch = batch};
    if (dip_net_create(&w->net, spec, batch, mode)) fail_loudly();
    dip_net_init(w->net, &rng, false);
    w->input = memory(values, sizeof(float));
    w->h = memory(batch * dip_net_spec_dim(spec, DIP_H), sizeof(float));
    w->z = memory(batch * spec->embed_dim, sizeof(float));
    w->dz = memory(batch * spec->embed_dim, sizeof(float));
    for (size_t i = 0; i < values; i++) w->input[i] = (float)dip_rng_normal(&rng);
    for (size_t i = 0; i < batch * spec->embed_dim; i++)
        w->dz[i] = (float)(dip_rng_normal(&rng) / (double)batch);
    if (mode == DIP_NET_TRAIN) open_optimiser(w);
}

void bench_work_close(bench_work *w)
{
    dip_optimiser_destroy(w->optimiser);
    dip_net_destroy(w->net);
    free(w->input);
    free(w->h);
    free(w->z);
    free(w->dz);
    *w = (bench_work){.batch = 0};
}

void bench_forward(void *context)
{
    bench_work *w = context;
    if (dip_net_forward_train(w->net, 0, w->input, w->batch, 0.1f, (dip_net_out){w->z, w->h}))
        fail_loudly();
}

void bench_backward(void *context)
{
    bench_work *w = context;
    memset(dip_net_grads(w->net), 0, dip_net_param_count(w->net) * sizeof(float));
    if (dip_net_backward(w->net, 0, (dip_net_out){w->dz})) fail_loudly();
}

void bench_update(void *context)
{
    bench_work *w = context;
    dip_optimiser_step(w->optimiser, 1e-4, dip_net_params(w->net), dip_net_grads(w->net));
    dip_net_refresh(w->net);
}

void bench_step(void *context)
{
    bench_forward(context);
    bench_backward(context);
    bench_update(context);
}

void bench_encode(void *context)
{
    bench_work *w = context;
    if (dip_net_forward(w->net, 0, w->input, w->batch, (dip_net_out){w->z, w->h})) fail_loudly();
}

void bench_use_int8(bench_work *w)
{
    if (dip_net_watch(w->net, 0, w->input, w->batch) || dip_net_use_int8(w->net, 0)) fail_loudly();
}

double bench_flops(const dip_net *net, bool backward)
{
    double sum = 0;
    for (size_t i = 0; i < net->layer_count; i++) {
        const dip_conv *c = &net->layers[i].conv;
        const double side = dip_conv_out_side(c), taps = (double)c->kernel * c->kernel;
        const double once = 2 * side * side * taps * c->in_channels * c->out_channels;
        sum += once * (backward ? i == 0 ? 2 : 3 : 1); /* no gradient of the input itself */
    }
    return sum;
}

/* ---- single convolutions ---- */

static dip_bf16 *noise(size_t n)
{
    dip_bf16 *values = memory(n, sizeof *values);
    dip_rng rng;
    dip_rng_init(&rng, 2, 0);
    for (size_t i = 0; i < n; i++) values[i] = dip_bf16_round((float)dip_rng_uniform(&rng) - 0.5f);
    return values;
}

void bench_conv_open(bench_conv *c, const bench_work *w)
{
    size_t in = 0, out = 0;
    for (size_t i = 0; i < w->net->layer_count; i++) {
        const dip_conv *conv = &w->net->layers[i].conv;
        const size_t side = dip_conv_out_side(conv);
        const size_t from = (size_t)conv->in_side * conv->in_side * conv->in_channels;
        const size_t to = side * side * conv->out_channels;
        in = from > in ? from : in;
        out = to > out ? to : out;
    }
    *c = (bench_conv){.work = w};
    c->in = noise(w->batch * in);
    c->gradient = noise(w->batch * in);
    c->out = noise(w->batch * out);
}

void bench_conv_close(bench_conv *c)
{
    free(c->in);
    free(c->out);
    free(c->gradient);
}

void bench_conv_forward(void *context)
{
    const bench_conv *c = context;
    const dip_conv_job job = {.pass = &c->layer->forward,
                              .in = c->in,
                              .panels = c->layer->panels,
                              .out = c->out,
                              .images = c->work->batch,
                              .finish.kind = DIP_FINISH_SUMS,
                              .sums = c->work->net->sums};
    dip_conv_run(&c->work->net->workspace, &job);
}

void bench_conv_data(void *context)
{
    const bench_conv *c = context;
    for (unsigned i = 0; i < c->layer->backward_count; i++) {
        const dip_conv_job job = {.pass = &c->layer->backward[i],
                                  .in = c->out,
                                  .panels = c->layer->backward_panels[i],
                                  .out = c->gradient,
                                  .images = c->work->batch};
        dip_conv_run(&c->work->net->workspace, &job);
    }
}

void bench_conv_weights(void *context)
{
    const bench_conv *c = context;
    const dip_conv_weights_job job = {.pass = &c->layer->forward,
                                      .in = c->in,
                                      .gradient = c->out,
                                      .images = c->work->batch,
                                      .sums = c->work->net->weight_sums,
                                      .grads = c->work->net->grads + c->layer->weights};
    dip_conv_weights_run(&c->work->net->workspace, &job);
}
