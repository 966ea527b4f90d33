/*
 * Images a second of the encoder: training steps and encoding, or each convolution of a net by itself.
 *
 *   bench_encoder [--net resnet10|resnet18|resnet50] [--px 64] [--bands 3] [--batch 64] [--stride 1|2] [--seconds 2]
 *                 [--layers | --latency]
 *
 * One JSON object a line. "images_s" is by the clock (the median of repeats), "images_cpu_s" by processor time
 * of all threads, which other work on the machine disturbs least. The latency rows are single tiles on one thread
 * and on two: median, 99th percentile and best; --latency gives them alone. The body is what core/cpu.h allows: run with
 * DIP_NO_AVX512BF16=1, DIP_NO_AVX512=1 or DIP_NO_AVX2=1 for the others; DIP_THREADS sets the threads.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/parallel.h"
#include "encoder/conv_weights.h"
#include "encoder/graph.h"
#include "train/backward.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_REPEATS = 1000 };

typedef struct settings {
    const char *net;
    uint32_t px, bands, stride;
    size_t batch;
    double seconds;
    bool layers, latency;
} settings;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct timing {
    double median, best, p99, cpu; /* seconds a call */
} timing;

/* Calls fn for about `seconds`, at least three times after a warm-up. */
static timing measure(void (*fn)(void *), void *context, double seconds)
{
    static double wall[MAX_REPEATS];
    size_t n = 0;
    fn(context);
    const double begin = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    do {
        const double before = seconds_of(CLOCK_MONOTONIC);
        fn(context);
        wall[n++] = seconds_of(CLOCK_MONOTONIC) - before;
    } while (n < MAX_REPEATS && (n < 3 || seconds_of(CLOCK_MONOTONIC) - begin < seconds));
    timing t = {.cpu = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)n};
    qsort(wall, n, sizeof *wall, compare);
    t.best = wall[0];
    t.median = wall[n / 2];
    t.p99 = wall[n * 99 / 100];
    return t;
}

static dip_net_spec spec_of(const settings *s)
{
    static const struct {
        const char *name;
        uint32_t width, blocks[4];
        dip_block_kind block;
    } nets[] = {{"resnet10", 32, {1, 1, 1, 1}, DIP_BLOCK_BASIC},
                {"resnet18", 64, {2, 2, 2, 2}, DIP_BLOCK_BASIC},
                {"resnet50", 64, {3, 4, 6, 3}, DIP_BLOCK_BOTTLENECK}};
    size_t n = 0;
    while (n < 3 && strcmp(s->net, nets[n].name)) n++;
    if (n == 3) {
        fprintf(stderr, "bench_encoder: no net '%s'; resnet10, resnet18 or resnet50\n", s->net);
        exit(2);
    }
    const bool large = n > 0; /* the published stem */
    dip_net_spec spec = {.input_px = s->px,
                         .stem_kernel = large ? 7 : 3,
                         .stem_stride = large ? 2 : s->stride,
                         .stem_pool = large,
                         .block = nets[n].block,
                         .stage_count = 4,
                         .shared_from = 2,
                         .head_shared = true,
                         .embed_dim = 128,
                         .modality_count = 1};
    for (int i = 0; i < 4; i++) {
        spec.width[i] = nets[n].width << i;
        spec.blocks[i] = nets[n].blocks[i];
    }
    snprintf(spec.modality[0].name, sizeof spec.modality[0].name, "m");
    spec.modality[0].band_count = s->bands;
    return spec;
}

/* ---- whole nets ---- */

typedef struct work {
    dip_net *net;
    size_t batch;
    float *input, *z, *dz;
} work;

static void fail_loudly(void)
{
    fprintf(stderr, "bench_encoder: %s\n", dip_last_error());
    exit(1);
}

static void open_work(work *w, const settings *s, dip_net_mode mode)
{
    const dip_net_spec spec = spec_of(s);
    const size_t values = s->batch * s->px * s->px * s->bands;
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    *w = (work){.batch = s->batch};
    if (dip_net_create(&w->net, &spec, s->batch, mode)) fail_loudly();
    dip_net_init(w->net, &rng, false);
    w->input = malloc(values * sizeof(float));
    w->z = malloc(s->batch * spec.embed_dim * sizeof(float));
    w->dz = malloc(s->batch * spec.embed_dim * sizeof(float));
    if (!w->input || !w->z || !w->dz) exit(1);
    for (size_t i = 0; i < values; i++) w->input[i] = (float)dip_rng_normal(&rng);
    for (size_t i = 0; i < s->batch * spec.embed_dim; i++)
        w->dz[i] = (float)(dip_rng_normal(&rng) / (double)s->batch);
}

static void close_work(work *w)
{
    dip_net_destroy(w->net);
    free(w->input);
    free(w->z);
    free(w->dz);
}

static void up(void *context)
{
    work *w = context;
    if (dip_net_forward_train(w->net, 0, w->input, w->batch, 0.1f, NULL, w->z)) fail_loudly();
}

static void down(void *context)
{
    work *w = context;
    if (dip_net_backward(w->net, 0, NULL, w->dz)) fail_loudly();
}

static void repack(void *context) { dip_net_refresh(((work *)context)->net); }

static void step(void *context)
{
    up(context);
    down(context);
    repack(context);
}

static void encode(void *context)
{
    work *w = context;
    if (dip_net_forward(w->net, 0, w->input, w->batch, NULL, w->z)) fail_loudly();
}

static void report(const settings *s, const work *w, const char *what, timing t)
{
    printf("{\"bench\":\"encoder\",\"what\":\"%s\",\"net\":\"%s\",\"px\":%u,\"bands\":%u,"
           "\"stem_stride\":%u,\"batch\":%zu,\"body\":\"%s\",\"threads\":%u,\"images_s\":%.1f,"
           "\"images_s_best\":%.1f,\"images_cpu_s\":%.1f,\"ms\":%.3f}\n",
           what, s->net, s->px, s->bands, s->stride, w->batch, w->net->workspace.kernel->name,
           dip_threads(), (double)w->batch / t.median, (double)w->batch / t.best,
           (double)w->batch / t.cpu, t.median * 1e3);
    fflush(stdout);
}

static void bench_nets(const settings *s)
{
    work w;
    open_work(&w, s, DIP_NET_TRAIN);
    report(s, &w, "train", measure(step, &w, s->seconds));
    report(s, &w, "forward", measure(up, &w, s->seconds / 3));
    report(s, &w, "backward", measure(down, &w, s->seconds / 3));
    report(s, &w, "repack", measure(repack, &w, s->seconds / 10));
    close_work(&w);
    open_work(&w, s, DIP_NET_INFER);
    report(s, &w, "encode", measure(encode, &w, s->seconds / 3));
    close_work(&w);
}

static void bench_latency(const settings *s)
{
    const unsigned before = dip_threads();
    work w;
    open_work(&w, s, DIP_NET_INFER);
    w.batch = 1;
    for (unsigned threads = 1; threads <= 2; threads++) {
        dip_threads_set(threads);
        const timing t = measure(encode, &w, s->seconds / 2);
        printf("{\"bench\":\"encoder\",\"what\":\"one tile\",\"net\":\"%s\",\"px\":%u,\"bands\":%u,"
               "\"stem_stride\":%u,\"body\":\"%s\",\"threads\":%u,\"p50_ms\":%.3f,"
               "\"p99_ms\":%.3f,\"best_ms\":%.3f,\"cpu_ms\":%.3f}\n",
               s->net, s->px, s->bands, s->stride, w.net->workspace.kernel->name, threads,
               t.median * 1e3, t.p99 * 1e3, t.best * 1e3, t.cpu * 1e3);
        fflush(stdout);
    }
    dip_threads_set(before);
    close_work(&w);
}

/* ---- single convolutions ---- */

typedef struct layer_work {
    work *w;
    const dip_layer *layer;
    dip_bf16 *in, *out;
} layer_work;

static void layer_forward(void *context)
{
    const layer_work *l = context;
    const dip_conv_job job = {.pass = &l->layer->forward,
                              .in = l->in,
                              .panels = l->layer->panels,
                              .out = l->out,
                              .images = l->w->batch,
                              .finish.kind = DIP_FINISH_SUMS,
                              .sums = l->w->net->sums};
    dip_conv_run(&l->w->net->workspace, &job);
}

static void layer_data(void *context)
{
    const layer_work *l = context;
    for (unsigned i = 0; i < l->layer->backward_count; i++) {
        const dip_conv_job job = {.pass = &l->layer->backward[i],
                                  .in = l->out,
                                  .panels = l->layer->backward_panels[i],
                                  .out = l->in,
                                  .images = l->w->batch};
        dip_conv_run(&l->w->net->workspace, &job);
    }
}

static void layer_weights(void *context)
{
    const layer_work *l = context;
    const dip_conv_weights_job job = {.pass = &l->layer->forward,
                                      .in = l->in,
                                      .gradient = l->out,
                                      .images = l->w->batch,
                                      .sums = l->w->net->weight_sums,
                                      .grads = l->w->net->grads + l->layer->weights};
    dip_conv_weights_run(&l->w->net->workspace, &job);
}

static void bench_layer(const settings *s, layer_work *l)
{
    static const char *const names[] = {"forward", "data", "weights"};
    void (*const passes[])(void *) = {layer_forward, layer_data, layer_weights};
    const dip_conv *c = &l->layer->conv;
    const double side = dip_conv_out_side(c), taps = (double)c->kernel * c->kernel;
    const double flops =
        2 * side * side * taps * c->in_channels * c->out_channels * (double)l->w->batch;
    for (int p = 0; p < 3; p++) {
        if (p == 1 && !l->layer->backward_count) continue;
        const timing t = measure(passes[p], l, s->seconds / 20);
        printf("{\"bench\":\"conv\",\"pass\":\"%s\",\"in\":%u,\"side\":%u,\"out\":%u,\"kernel\":%u,"
               "\"stride\":%u,\"images\":%zu,\"body\":\"%s\",\"threads\":%u,\"gflops_cpu\":%.0f,"
               "\"gflops\":%.0f,\"us_image\":%.1f}\n",
               names[p], c->in_channels, c->in_side, c->out_channels, c->kernel, c->stride,
               l->w->batch, l->w->net->workspace.kernel->name, dip_threads(), flops / t.cpu * 1e-9,
               flops / t.median * 1e-9, t.cpu / (double)l->w->batch * 1e6);
        fflush(stdout);
    }
}

static void bench_layers(const settings *s)
{
    work w;
    open_work(&w, s, DIP_NET_TRAIN);
    step(&w);
    for (size_t i = 0; i < w.net->layer_count; i++) {
        const dip_conv *c = &w.net->layers[i].conv;
        layer_work l = {.w = &w, .layer = &w.net->layers[i]};
        l.in = calloc(w.batch * c->in_side * c->in_side, c->in_channels * sizeof *l.in);
        const size_t side = dip_conv_out_side(c);
        l.out = calloc(w.batch * side * side, c->out_channels * sizeof *l.out);
        if (!l.in || !l.out) exit(1);
        bench_layer(s, &l);
        free(l.in);
        free(l.out);
    }
    close_work(&w);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"net", required_argument, NULL, 'n'},
                                            {"px", required_argument, NULL, 'p'},
                                            {"bands", required_argument, NULL, 'c'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"stride", required_argument, NULL, 's'},
                                            {"seconds", required_argument, NULL, 't'},
                                            {"layers", no_argument, NULL, 'l'},
                                            {"latency", no_argument, NULL, '1'},
                                            {0}};
    settings s = {.net = "resnet10", .px = 64, .bands = 3, .stride = 1, .batch = 64, .seconds = 2};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (o) {
        case 'n': s.net = optarg; break;
        case 'p': s.px = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'c': s.bands = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'b': s.batch = strtoul(optarg, NULL, 10); break;
        case 's': s.stride = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': s.seconds = strtod(optarg, NULL); break;
        case 'l': s.layers = true; break;
        case '1': s.latency = true; break;
        default: return 2;
        }
    if (s.layers)
        bench_layers(&s);
    else if (!s.latency)
        bench_nets(&s);
    if (!s.layers) bench_latency(&s);
    return 0;
}
