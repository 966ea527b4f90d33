/* Images a second of the encoder: training steps and encoding, single tiles, or each convolution of a net by itself. */
#define _POSIX_C_SOURCE 200809L
#include "bench/encoder_work.h"
#include "bench/peak.h"
#include "bench/support.h"
#include "core/parallel.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_encoder [--net resnet10|resnet18|resnet50] [--px 64] [--bands 3] [--batch 64] [--stride 1|2] [--seconds 2]\n"
    "                     [--layers | --latency]\n"
    "       bench_encoder --serve [--precision bf16|int8]\n"
    "\n"
    "Images a second of the encoder: training steps and encoding, single tiles, or each convolution of a net by itself.\n"
    "\n"
    "One JSON object a line. \"images_s\" is by the clock (the median of repeats), \"images_cpu_s\" by processor time\n"
    "of all threads, which other work on the machine disturbs least. The latency rows are single tiles on one thread\n"
    "and on two. The body is what core/cpu.h allows: run with DIP_NO_AVX512BF16=1, DIP_NO_AVX512=1 or DIP_NO_AVX2=1 for\n"
    "the others; DIP_THREADS sets the threads.\n"
    "\n"
    "--serve answers requests (bench/support.h), with --precision int8 encoding in it, its ranges from the input. Tasks:\n"
    "  train, encode   a step with AdamW; the net with batch norm folded\n"
    "  tile            encode of one tile\n"
    "  up, convs       all convolutions by themselves: forward; forward and backward\n"
    "  peak            multiply-adds on registers with the body's instructions\n"
    "  layers          the convolutions, as JSON\n"
    "  share <file>    writes weights, inputs and the h that comes of them, for a peer to repeat\n";
/* clang-format on */

typedef struct settings {
    const char *net;
    uint32_t px, bands, stride;
    size_t batch;
    double seconds;
    bool layers, latency, serve, int8;
} settings;

/* ---- rows ---- */

static void report(const settings *s, const bench_work *w, const char *what, bench_timing t)
{
    printf("{\"bench\":\"encoder\",\"what\":\"%s\",\"net\":\"%s\",\"px\":%u,\"bands\":%u,"
           "\"stem_stride\":%u,\"batch\":%zu,\"body\":\"%s\",\"threads\":%u,\"images_s\":%.1f,"
           "\"images_s_best\":%.1f,\"images_cpu_s\":%.1f,\"ms\":%.3f}\n",
           what, s->net, s->px, s->bands, dip_net_get_spec(w->net)->stem_stride, w->batch,
           w->net->workspace.kernel->product->name, dip_threads(), (double)w->batch / t.median,
           (double)w->batch / t.best, (double)w->batch / t.cpu, t.median * 1e3);
    fflush(stdout);
}

static bench_timing measure(void (*fn)(void *), void *context, double seconds)
{
    fn(context);
    return bench_measure(fn, context, seconds, 3);
}

static void bench_nets(const settings *s)
{
    const dip_net_spec spec = bench_spec(s->net, s->px, s->bands, s->stride);
    bench_work w;
    bench_work_open(&w, &spec, s->batch, DIP_NET_TRAIN);
    report(s, &w, "train", measure(bench_step, &w, s->seconds));
    report(s, &w, "forward", measure(bench_forward, &w, s->seconds / 3));
    report(s, &w, "backward", measure(bench_backward, &w, s->seconds / 3));
    report(s, &w, "update", measure(bench_update, &w, s->seconds / 10));
    bench_work_close(&w);
    bench_work_open(&w, &spec, s->batch, DIP_NET_INFER);
    report(s, &w, "encode", measure(bench_encode, &w, s->seconds / 3));
    bench_use_int8(&w);
    report(s, &w, "encode int8", measure(bench_encode, &w, s->seconds / 3));
    bench_work_close(&w);
}

static void report_latency(const settings *s, const bench_work *w, const char *what, bench_timing t)
{
    printf("{\"bench\":\"encoder\",\"what\":\"%s\",\"net\":\"%s\",\"px\":%u,\"bands\":%u,"
           "\"stem_stride\":%u,\"body\":\"%s\",\"threads\":%u,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"best_ms\":%.3f,\"cpu_ms\":%.3f}\n",
           what, s->net, s->px, s->bands, dip_net_get_spec(w->net)->stem_stride,
           w->net->workspace.kernel->product->name, dip_threads(), t.median * 1e3, t.p99 * 1e3,
           t.best * 1e3, t.cpu * 1e3);
    fflush(stdout);
}

static void bench_latency(const settings *s)
{
    const dip_net_spec spec = bench_spec(s->net, s->px, s->bands, s->stride);
    const unsigned before = dip_threads();
    bench_work w;
    bench_work_open(&w, &spec, 1, DIP_NET_INFER);
    for (int int8 = 0; int8 < 2; int8++) {
        if (int8) bench_use_int8(&w);
        for (unsigned threads = 1; threads <= 2; threads++) {
            dip_threads_set(threads);
            report_latency(s, &w, int8 ? "one tile int8" : "one tile",
                           measure(bench_encode, &w, s->seconds / 4));
        }
    }
    dip_threads_set(before);
    bench_work_close(&w);
}

static void bench_layer(const settings *s, bench_conv *l)
{
    static const char *const names[] = {"forward", "data", "weights"};
    void (*const passes[])(void *) = {bench_conv_forward, bench_conv_data, bench_conv_weights};
    const dip_conv *c = &l->layer->conv;
    const double side = dip_conv_out_side(c), taps = (double)c->kernel * c->kernel;
    const double flops =
        2 * side * side * taps * c->in_channels * c->out_channels * (double)l->work->batch;
    for (int p = 0; p < 3; p++) {
        if (p == 1 && !l->layer->backward_count) continue;
        const bench_timing t = measure(passes[p], l, s->seconds / 20);
        printf("{\"bench\":\"conv\",\"pass\":\"%s\",\"in\":%u,\"side\":%u,\"out\":%u,\"kernel\":%u,"
               "\"stride\":%u,\"images\":%zu,\"body\":\"%s\",\"threads\":%u,\"gflops_cpu\":%.0f,"
               "\"gflops\":%.0f,\"us_image\":%.1f}\n",
               names[p], c->in_channels, c->in_side, c->out_channels, c->kernel, c->stride,
               l->work->batch, l->work->net->workspace.kernel->product->name, dip_threads(),
               flops / t.cpu * 1e-9, flops / t.median * 1e-9, t.cpu / (double)s->batch * 1e6);
        fflush(stdout);
    }
}

static void bench_layers(const settings *s)
{
    const dip_net_spec spec = bench_spec(s->net, s->px, s->bands, s->stride);
    bench_work w;
    bench_conv conv;
    bench_work_open(&w, &spec, s->batch, DIP_NET_TRAIN);
    bench_step(&w);
    bench_conv_open(&conv, &w);
    for (size_t i = 0; i < w.net->layer_count; i++) {
        conv.layer = &w.net->layers[i];
        bench_layer(s, &conv);
    }
    bench_conv_close(&conv);
    bench_work_close(&w);
}

/* ---- requests ---- */

static bool int8; /* how to encode */

/* Built for the last request, and warmed up; kept while requests ask for the same. */
static struct {
    bench_work work;
    bench_conv conv;
    dip_net_mode mode;
    bench_request request;
} held;

static void let_go(void)
{
    if (held.conv.in) bench_conv_close(&held.conv);
    if (held.work.net) bench_work_close(&held.work);
    held.conv = (bench_conv){.in = NULL};
}

static bench_work *hold(const bench_request *r, dip_net_mode mode)
{
    const bench_request *old = &held.request;
    if (held.work.net && held.mode == mode && old->px == r->px && old->bands == r->bands &&
        old->batch == r->batch && strcmp(old->net, r->net) == 0)
        return &held.work;
    const dip_net_spec spec = bench_spec(r->net, r->px, r->bands, 0);
    let_go();
    bench_work_open(&held.work, &spec, r->batch, mode);
    if (int8 && mode == DIP_NET_INFER) bench_use_int8(&held.work);
    if (mode == DIP_NET_TRAIN)
        bench_step(&held.work);
    else
        bench_encode(&held.work);
    held.mode = mode;
    held.request = *r;
    return &held.work;
}

static void every_conv_up(void *context)
{
    bench_conv *c = context;
    for (size_t i = 0; i < c->work->net->layer_count; i++) {
        c->layer = &c->work->net->layers[i];
        bench_conv_forward(c);
    }
}

static void every_conv(void *context)
{
    bench_conv *c = context;
    for (size_t i = 0; i < c->work->net->layer_count; i++) {
        c->layer = &c->work->net->layers[i];
        bench_conv_forward(c);
        bench_conv_data(c);
        bench_conv_weights(c);
    }
}

static void answer_convs(const bench_request *r, bool backward)
{
    bench_work *w = hold(r, DIP_NET_TRAIN);
    if (!held.conv.in) bench_conv_open(&held.conv, w);
    const bench_timing t =
        bench_measure(backward ? every_conv : every_conv_up, &held.conv, r->seconds, 1);
    bench_answer(w->net->workspace.kernel->product->name, t, w->batch,
                 (double)w->batch * bench_flops(w->net, backward));
}

static void answer_net(const bench_request *r, dip_net_mode mode)
{
    const bool train = mode == DIP_NET_TRAIN;
    bench_work *w = hold(r, mode);
    const bench_timing t = bench_measure(train ? bench_step : bench_encode, w, r->seconds, 1);
    bench_answer(w->net->workspace.kernel->product->name, t, w->batch,
                 (double)w->batch * bench_flops(w->net, train));
}

static void answer_tile(const bench_request *r)
{
    bench_work one = *hold(r, DIP_NET_INFER);
    one.batch = 1;
    bench_encode(&one);
    const bench_timing t = bench_measure(bench_encode, &one, r->seconds, 20);
    bench_answer(one.net->workspace.kernel->product->name, t, 1, bench_flops(one.net, false));
}

static double peak_flops;
static void run_peak(void *context) { peak_flops = bench_peak(context); }

static void answer_peak(const bench_request *r)
{
    char body[32];
    snprintf(body, sizeof body, "%s", dip_product_get()->name);
    const bench_timing t = bench_measure(run_peak, body, r->seconds, 3);
    bench_answer(body, t, 0, peak_flops);
}

static void answer_layers(const bench_request *r)
{
    const dip_net *net = hold(r, DIP_NET_TRAIN)->net;
    printf("{\"layers\":[");
    for (size_t i = 0; i < net->layer_count; i++) {
        const dip_conv *c = &net->layers[i].conv;
        printf("%s[%u,%u,%u,%u,%u]", i ? "," : "", c->in_channels, c->in_side, c->out_channels,
               c->kernel, c->stride);
    }
    printf("]}\n");
}

/* ---- sharing weights with a peer ---- */

/* The tensors of `from` in `to`, and into the file after a line of JSON that tells their names and shapes. */
static void share_tensors(FILE *file, const dip_net *from, dip_net *to)
{
    const size_t n = dip_net_tensor_count(from);
    for (size_t i = 0; i < n; i++) {
        const dip_tensor *t = dip_net_tensor(from, i);
        fprintf(file, "%s[\"%s\",[", i ? "," : "", strchr(t->name, '.') + 1);
        for (uint32_t d = 0; d < t->rank; d++) fprintf(file, "%s%u", d ? "," : "", t->shape[d]);
        fprintf(file, "]]");
    }
    fprintf(file, "]}\n");
    for (size_t i = 0; i < n; i++) {
        const size_t count = dip_net_tensor(from, i)->count;
        float *values = malloc(count * sizeof *values);
        if (!values) exit(1);
        dip_net_tensor_get(from, i, values);
        dip_net_tensor_set(to, i, values);
        fwrite(values, sizeof *values, count, file);
        free(values);
    }
    dip_net_refresh(to);
}

/* Running statistics are those of the batch, so that the folded net works at the scale it was made for. */
static void answer_share(const bench_request *r)
{
    const dip_net_spec spec = bench_spec(r->net, r->px, r->bands, 0);
    const size_t features = dip_net_spec_dim(&spec, DIP_H);
    bench_work *encoder = hold(r, DIP_NET_INFER), trained;
    bench_work_open(&trained, &spec, r->batch, DIP_NET_TRAIN);
    FILE *file = fopen(r->file, "wb");
    if (!file || dip_net_forward_train(trained.net, 0, trained.input, r->batch, 1,
                                       (dip_net_out){trained.z})) {
        fprintf(stderr, "bench_encoder: cannot write '%s'\n", r->file);
        exit(1);
    }
    fprintf(file, "{\"features\":%zu,\"tensors\":[", features);
    share_tensors(file, trained.net, encoder->net);
    if (int8) bench_use_int8(encoder);
    bench_encode(encoder);
    fwrite(encoder->input, sizeof(float), r->batch * r->px * r->px * r->bands, file);
    fwrite(encoder->h, sizeof(float), r->batch * features, file);
    const bool failed = ferror(file) || fclose(file);
    bench_work_close(&trained);
    printf("{\"body\":\"%s\",\"written\":%s}\n", encoder->net->workspace.kernel->product->name,
           failed ? "false" : "true");
}

static void answer(const bench_request *r)
{
    const char *task = r->task;
    if (!strcmp(task, "train")) return answer_net(r, DIP_NET_TRAIN);
    if (!strcmp(task, "encode")) return answer_net(r, DIP_NET_INFER);
    if (!strcmp(task, "tile")) return answer_tile(r);
    if (!strcmp(task, "up")) return answer_convs(r, false);
    if (!strcmp(task, "convs")) return answer_convs(r, true);
    if (!strcmp(task, "peak")) return answer_peak(r);
    if (!strcmp(task, "layers")) return answer_layers(r);
    if (!strcmp(task, "share")) return answer_share(r);
    fprintf(stderr, "bench_encoder: no task '%s'\n", task);
    exit(2);
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
                                            {"serve", no_argument, NULL, 'r'},
                                            {"precision", required_argument, NULL, 'i'},
                                            {0}};
    settings s = {.net = "resnet10", .px = 64, .bands = 3, .batch = 64, .seconds = 2};
    bench_help(argc, argv, usage);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (o) {
        case 'n': s.net = optarg; break;
        case 'p': s.px = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'c': s.bands = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'b': s.batch = strtoul(optarg, NULL, 10); break;
        case 's': s.stride = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': s.seconds = strtod(optarg, NULL); break;
        case 'l': s.layers = true; break;
        case '1': s.latency = true; break;
        case 'r': s.serve = true; break;
        case 'i': s.int8 = strcmp(optarg, "int8") == 0; break;
        default: return bench_wrong_words(usage);
        }
    if (optind != argc) return bench_wrong_words(usage);
    int8 = s.int8;
    if (s.serve)
        bench_serve(answer);
    else if (s.layers)
        bench_layers(&s);
    else {
        if (!s.latency) bench_nets(&s);
        bench_latency(&s);
    }
    let_go();
    return 0;
}
