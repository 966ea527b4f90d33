/* All convolutions of a network on oneDNN, for comparison with ours: answers requests (bench/support.h). */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_dnnl f32|bf16\n"
    "\n"
    "All convolutions of a network on oneDNN, for comparison with ours: answers requests (bench/support.h).\n"
    "\n"
    "The task says which passes: \"up\" (forward alone) or \"convs\" (forward, and backward for data and weights). The\n"
    "request's file holds the layers, five numbers each: in channels, in side, out channels, kernel, stride (padding is\n"
    "kernel / 2). Every array has the layout that oneDNN likes best, as if all reorders were free. OMP_NUM_THREADS sets\n"
    "the threads.\n";
/* clang-format on */

enum { MAX_LAYERS = 128, PASSES = 3, PLACES = 6 };

typedef struct layer {
    dnnl_dim_t in, side, out, kernel, stride;
} layer;

typedef struct pass {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[3];
} pass;

/* Arrays of a pass, by what they are; each has memory that all layers use in turn. */
enum place { SOURCE, WEIGHTS, RESULT, SOURCE_GRADIENT, WEIGHTS_GRADIENT, RESULT_GRADIENT };

static struct {
    char file[512];
    size_t batch, passes;
    layer layers[MAX_LAYERS];
    pass pass[PASSES * MAX_LAYERS];
    size_t layer_count;
    size_t bytes[PLACES];
    void *memory[PLACES];
} net;

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_data_type_t type;

static void must(dnnl_status_t status)
{
    if (status == dnnl_success) return;
    fprintf(stderr, "bench_dnnl: oneDNN says %d%s\n", (int)status,
            status == dnnl_unimplemented ? " (not implemented)" : "");
    exit(1);
}

static void read_layers(const char *path)
{
    FILE *file = fopen(path, "r");
    layer l;
    if (!file) {
        fprintf(stderr, "bench_dnnl: cannot open '%s'\n", path);
        exit(1);
    }
    net.layer_count = 0;
    while (net.layer_count < MAX_LAYERS &&
           fscanf(file, "%ld %ld %ld %ld %ld", &l.in, &l.side, &l.out, &l.kernel, &l.stride) == 5)
        net.layers[net.layer_count++] = l;
    fclose(file);
}

static dnnl_memory_desc_t shaped(int rank, const dnnl_dims_t dims, dnnl_data_type_t of)
{
    dnnl_memory_desc_t description;
    must(dnnl_memory_desc_init_by_tag(&description, rank, dims, of, dnnl_format_tag_any));
    return description;
}

/* A memory object whose bytes come later: first all passes tell how many they need. */
static void bind(pass *p, int slot, int argument, enum place place, const_dnnl_primitive_desc_t pd,
                 dnnl_query_t query)
{
    const dnnl_memory_desc_t *description = dnnl_primitive_desc_query_md(pd, query, 0);
    const size_t bytes = dnnl_memory_desc_get_size(description);
    if (bytes > net.bytes[place]) net.bytes[place] = bytes;
    p->args[slot].arg = argument;
    must(dnnl_memory_create(&p->args[slot].memory, description, engine, DNNL_MEMORY_NONE));
}

static dnnl_primitive_desc_t made(pass *p, const void *description, dnnl_primitive_desc_t hint)
{
    dnnl_primitive_desc_t pd;
    must(dnnl_primitive_desc_create(&pd, description, NULL, engine, hint));
    must(dnnl_primitive_create(&p->primitive, pd));
    return pd;
}

typedef struct arrays {
    dnnl_memory_desc_t source, weights, result, weights_gradient;
    dnnl_dims_t strides, padding;
} arrays;

static arrays arrays_of(const layer *l, dnnl_dim_t batch)
{
    const dnnl_dim_t pad = l->kernel / 2, out = (l->side + 2 * pad - l->kernel) / l->stride + 1;
    arrays a = {.strides = {l->stride, l->stride}, .padding = {pad, pad}};
    a.source = shaped(4, (dnnl_dims_t){batch, l->in, l->side, l->side}, type);
    a.weights = shaped(4, (dnnl_dims_t){l->out, l->in, l->kernel, l->kernel}, type);
    a.result = shaped(4, (dnnl_dims_t){batch, l->out, out, out}, type);
    a.weights_gradient = shaped(4, (dnnl_dims_t){l->out, l->in, l->kernel, l->kernel}, dnnl_f32);
    return a;
}

static void add_backward(arrays *a, dnnl_primitive_desc_t hint, bool data)
{
    dnnl_convolution_desc_t description;
    pass *p;
    dnnl_primitive_desc_t pd;
    if (data) {
        must(dnnl_convolution_backward_data_desc_init(&description, dnnl_convolution_direct,
                                                      &a->source, &a->weights, &a->result,
                                                      a->strides, a->padding, a->padding));
        p = &net.pass[net.passes++];
        pd = made(p, &description, hint);
        bind(p, 0, DNNL_ARG_DIFF_DST, RESULT_GRADIENT, pd, dnnl_query_diff_dst_md);
        bind(p, 1, DNNL_ARG_WEIGHTS, WEIGHTS, pd, dnnl_query_weights_md);
        bind(p, 2, DNNL_ARG_DIFF_SRC, SOURCE_GRADIENT, pd, dnnl_query_diff_src_md);
        dnnl_primitive_desc_destroy(pd);
    }
    must(dnnl_convolution_backward_weights_desc_init(
        &description, dnnl_convolution_direct, &a->source, &a->weights_gradient, NULL, &a->result,
        a->strides, a->padding, a->padding));
    p = &net.pass[net.passes++];
    pd = made(p, &description, hint);
    bind(p, 0, DNNL_ARG_SRC, SOURCE, pd, dnnl_query_src_md);
    bind(p, 1, DNNL_ARG_DIFF_DST, RESULT_GRADIENT, pd, dnnl_query_diff_dst_md);
    bind(p, 2, DNNL_ARG_DIFF_WEIGHTS, WEIGHTS_GRADIENT, pd, dnnl_query_diff_weights_md);
    dnnl_primitive_desc_destroy(pd);
}

static void add_layer(const layer *l, size_t batch, bool backward, bool data)
{
    arrays a = arrays_of(l, (dnnl_dim_t)batch);
    dnnl_convolution_desc_t description;
    must(dnnl_convolution_forward_desc_init(
        &description, backward ? dnnl_forward_training : dnnl_forward_inference,
        dnnl_convolution_direct, &a.source, &a.weights, NULL, &a.result, a.strides, a.padding,
        a.padding));
    pass *p = &net.pass[net.passes++];
    dnnl_primitive_desc_t pd = made(p, &description, NULL);
    bind(p, 0, DNNL_ARG_SRC, SOURCE, pd, dnnl_query_src_md);
    bind(p, 1, DNNL_ARG_WEIGHTS, WEIGHTS, pd, dnnl_query_weights_md);
    bind(p, 2, DNNL_ARG_DST, RESULT, pd, dnnl_query_dst_md);
    if (backward) add_backward(&a, pd, data);
    dnnl_primitive_desc_destroy(pd);
}

static enum place place_of(const dnnl_exec_arg_t *a)
{
    switch (a->arg) {
    case DNNL_ARG_SRC: return SOURCE;
    case DNNL_ARG_WEIGHTS: return WEIGHTS;
    case DNNL_ARG_DST: return RESULT;
    case DNNL_ARG_DIFF_SRC: return SOURCE_GRADIENT;
    case DNNL_ARG_DIFF_WEIGHTS: return WEIGHTS_GRADIENT;
    default: return RESULT_GRADIENT;
    }
}

/* Small values of both signs, whatever the type: the bytes 0xbc and 0x3c begin -0.01 and 0.01 in float32 and bfloat16. */
static void *noise(size_t bytes)
{
    unsigned char *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    unsigned state = 1;
    if (!block) exit(1);
    for (size_t i = 0; i < bytes; i++) {
        state = state * 1664525u + 1013904223u;
        block[i] =
            i & 1 ? (unsigned char)(0x3c | (state >> 31 << 7)) : (unsigned char)(state >> 24);
    }
    return block;
}

static void close_net(void)
{
    for (size_t i = 0; i < net.passes; i++) {
        dnnl_primitive_destroy(net.pass[i].primitive);
        for (int k = 0; k < 3; k++) dnnl_memory_destroy(net.pass[i].args[k].memory);
    }
    for (int i = 0; i < PLACES; i++) free(net.memory[i]);
    memset(&net, 0, sizeof net);
}

static void open_net(const bench_request *r, bool backward)
{
    close_net();
    read_layers(r->file);
    for (size_t i = 0; i < net.layer_count; i++)
        add_layer(&net.layers[i], r->batch, backward, i > 0);
    for (int i = 0; i < PLACES; i++)
        if (net.bytes[i]) net.memory[i] = noise(net.bytes[i]);
    for (size_t i = 0; i < net.passes; i++)
        for (int k = 0; k < 3; k++)
            must(dnnl_memory_set_data_handle(net.pass[i].args[k].memory,
                                             net.memory[place_of(&net.pass[i].args[k])]));
    snprintf(net.file, sizeof net.file, "%s", r->file);
    net.batch = r->batch;
}

static void run(void *context)
{
    (void)context;
    for (size_t i = 0; i < net.passes; i++)
        must(dnnl_primitive_execute(net.pass[i].primitive, stream, 3, net.pass[i].args));
    must(dnnl_stream_wait(stream));
}

static double flops(bool backward)
{
    double sum = 0;
    for (size_t i = 0; i < net.layer_count; i++) {
        const layer *l = &net.layers[i];
        const double side = (double)((l->side + 2 * (l->kernel / 2) - l->kernel) / l->stride + 1);
        const double once = 2 * side * side * (double)(l->in * l->out * l->kernel * l->kernel);
        sum += once * (backward ? i ? 3 : 2 : 1);
    }
    return sum;
}

static void answer(const bench_request *r)
{
    const bool backward = strcmp(r->task, "convs") == 0;
    const size_t passes = backward ? 3 * net.layer_count - 1 : net.layer_count;
    if (net.passes != passes || strcmp(net.file, r->file) != 0 || net.batch != r->batch ||
        !net.passes)
        open_net(r, backward);
    run(NULL);
    const bench_timing t = bench_measure(run, NULL, r->seconds, 1);
    bench_answer(type == dnnl_bf16 ? "bf16" : "f32", t, r->batch,
                 (double)r->batch * flops(backward));
}

int main(int argc, char **argv)
{
    bench_help(argc, argv, usage);
    if (argc != 2 || (strcmp(argv[1], "f32") && strcmp(argv[1], "bf16")))
        return bench_wrong_words(usage);
    type = strcmp(argv[1], "bf16") ? dnnl_f32 : dnnl_bf16;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0));
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    bench_serve(answer);
    close_net();
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return 0;
}
