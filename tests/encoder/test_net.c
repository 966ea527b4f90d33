/* Nets without their backward pass: table, tensors, initial values, and the two ways of encoding. */
#include "encoder/net.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 70 };

static dip_net_spec small_spec(void)
{
    dip_net_spec spec = {.input_px = 20,
                         .stem_kernel = 3,
                         .stem_stride = 2,
                         .stage_count = 2,
                         .width = {32, 64},
                         .blocks = {1, 2},
                         .shared_from = 1,
                         .head = DIP_HEAD_LINEAR,
                         .head_shared = true,
                         .embed_dim = 32,
                         .modality_count = 2};
    strcpy(spec.modality[0].name, "s1");
    strcpy(spec.modality[1].name, "s2");
    spec.modality[0].band_count = 2;
    spec.modality[1].band_count = 5;
    return spec;
}

static dip_net_spec pooled_spec(void)
{
    dip_net_spec spec = small_spec();
    spec.stem_kernel = 7;
    spec.stem_pool = true;
    spec.input_px = 39;
    spec.head = DIP_HEAD_MLP;
    spec.head_hidden = 64;
    spec.head_shared = false;
    spec.shared_from = 2;
    return spec;
}

static dip_net_spec bottleneck_spec(void)
{
    dip_net_spec spec = small_spec();
    spec.block = DIP_BLOCK_BOTTLENECK;
    spec.width[1] = 32;
    return spec;
}

/* The last two stages, by the generalised mean. */
static dip_net_spec gem_spec(void)
{
    dip_net_spec spec = small_spec();
    spec.pooling = DIP_POOLING_GEM;
    spec.pooled_before = 1;
    return spec;
}

static dip_net *open_net(const dip_net_spec *spec, dip_net_mode mode)
{
    dip_net *net = NULL;
    assert_int_equal(dip_net_create(&net, spec, BATCH, mode), DIP_OK);
    return net;
}

static float *noise(size_t n, uint64_t seed)
{
    dip_rng rng;
    dip_rng_init(&rng, seed, 0);
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)dip_rng_normal(&rng);
    return values;
}

static size_t input_values(const dip_net_spec *spec, size_t m)
{
    return (size_t)spec->input_px * spec->input_px * spec->modality[m].band_count;
}

/* ---- table ---- */

typedef struct wrong_case {
    const char *field;
    size_t offset; /* of a uint32_t in the table */
    uint32_t value;
} wrong_case;

#define WRONG(member, value)                           \
    {                                                  \
#member, offsetof(dip_net_spec, member), value \
    }

static void test_table_is_checked(void **state)
{
    (void)state;
    static const wrong_case cases[] = {
        WRONG(input_px, 0),    WRONG(input_px, 100000),  WRONG(stem_kernel, 5),
        WRONG(stem_stride, 3), WRONG(stem_stride, 0),    WRONG(stage_count, 0),
        WRONG(stage_count, 5), WRONG(width, 0),          WRONG(width, 40),
        WRONG(width, 4096),    WRONG(blocks, 0),         WRONG(blocks, 1000000),
        WRONG(shared_from, 3), WRONG(head, 7),           WRONG(embed_dim, 0),
        WRONG(embed_dim, 100), WRONG(modality_count, 0), WRONG(modality_count, 17),
        WRONG(block, 2),       WRONG(pooling, 2),        WRONG(pooled_before, 2)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_net_spec spec = small_spec();
        dip_net *net = NULL;
        memcpy((char *)&spec + cases[i].offset, &cases[i].value, sizeof(uint32_t));
        dip_error_clear();
        assert_int_equal(dip_net_create(&net, &spec, 1, DIP_NET_INFER), DIP_EINVAL);
        assert_non_null(strstr(dip_last_error(), cases[i].field));
        assert_null(net);
    }
}

/* What a file may say of the layout: too large, nowhere, or nothing. */
static void test_layouts_are_checked(void **state)
{
    (void)state;
    static const wrong_case cases[] = {WRONG(layout_grid, 11),    WRONG(layout_grid, 1000000),
                                       WRONG(layout_stage, 2),    WRONG(layout_stage, 1000000),
                                       WRONG(layout_channels, 0), WRONG(layout_channels, 1000000)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_net_spec spec = small_spec(); /* stage 0 has 10 pixels a side */
        spec.layout_grid = 10;
        spec.layout_channels = 81;
        assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
        memcpy((char *)&spec + cases[i].offset, &cases[i].value, sizeof(uint32_t));
        assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
        assert_non_null(strstr(dip_last_error(), cases[i].field));
    }
    dip_net_spec spec = small_spec();
    spec.layout_grid = 10;
    spec.layout_channels = 82;
    assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "smaller"));
}

static void test_names_of_modalities_are_checked(void **state)
{
    (void)state;
    static const char *const names[] = {"", "shared", "s1"}; /* the other one is s1 */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dip_net_spec spec = small_spec();
        strcpy(spec.modality[1].name, names[i]);
        assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
    }
    dip_net_spec spec = small_spec();
    memset(spec.modality[1].name, 'x', sizeof spec.modality[1].name);
    assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
    spec = small_spec();
    spec.modality[0].band_count = DIP_MAX_BANDS + 1;
    assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
    spec = pooled_spec();
    spec.head_hidden = 33;
    assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
    spec = pooled_spec();
    assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 64);
    spec.block = DIP_BLOCK_BOTTLENECK;
    assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 256);
    spec.pooled_before = 1; /* 4 * 32 of the first stage come before */
    assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 384);
    spec.width[1] = 1024; /* 4096 would leave it */
    assert_int_equal(dip_net_spec_check(&spec), DIP_EINVAL);
}

/* ---- tensors ---- */

static void test_tensor_names(void **state)
{
    (void)state;
    static const char *const first[] = {"s1.conv1.weight",       "s1.bn1.weight",
                                        "s1.bn1.bias",           "s1.bn1.running_mean",
                                        "s1.bn1.running_var",    "s1.layer1.0.conv1.weight",
                                        "s1.layer1.0.bn1.weight"};
    static const char *const last[] = {"shared.layer2.0.conv1.weight",
                                       "shared.layer2.0.conv2.weight",
                                       "shared.layer2.0.downsample.0.weight",
                                       "shared.layer2.1.conv1.weight",
                                       "shared.layer2.1.conv2.weight",
                                       "shared.head.0.weight",
                                       "shared.head.0.bias"};
    dip_net_spec spec = small_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    const size_t count = dip_net_tensor_count(net);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(dip_net_tensor(net, i)->name, first[i]);
        assert_string_equal(dip_net_tensor(net, count - 7 + i)->name, last[i]);
    }
    /* stem 5, own block 10, shared blocks 12 + 8 without convolutions; twice; and the shared ones */
    assert_int_equal(count, 2 * (5 + 10 + 12 + 8) + 7);
    dip_net_destroy(net);
}

/* Names and shapes of torchvision's and timm's ResNet-50. */
static void test_tensors_of_bottlenecks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t shape[4];
    } shared[] = {{"shared.layer2.0.conv1.weight", {32, 128, 1, 1}},
                  {"shared.layer2.0.conv2.weight", {32, 32, 3, 3}},
                  {"shared.layer2.0.conv3.weight", {128, 32, 1, 1}},
                  {"shared.layer2.0.downsample.0.weight", {128, 128, 1, 1}},
                  {"shared.layer2.1.conv1.weight", {32, 128, 1, 1}},
                  {"shared.layer2.1.conv2.weight", {32, 32, 3, 3}},
                  {"shared.layer2.1.conv3.weight", {128, 32, 1, 1}}};
    dip_net_spec spec = bottleneck_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    const size_t count = dip_net_tensor_count(net);
    for (size_t i = 0; i < 7; i++) {
        const dip_tensor *t = dip_net_tensor(net, count - 9 + i);
        assert_string_equal(t->name, shared[i].name);
        assert_memory_equal(t->shape, shared[i].shape, sizeof t->shape);
    }
    /* stem 5, own block 20, shared blocks 16 + 12 without convolutions; twice; and the shared ones */
    assert_int_equal(count, 2 * (5 + 20 + 16 + 12) + 9);
    dip_net_destroy(net);
}

static void test_separate_heads_have_owners(void **state)
{
    (void)state;
    dip_net_spec spec = pooled_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    size_t heads = 0;
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const char *name = dip_net_tensor(net, i)->name;
        assert_null(strstr(name, "shared"));
        heads += strstr(name, ".head.0.") || strstr(name, ".head.2.");
    }
    assert_int_equal(heads, 8);
    dip_net_destroy(net);
}

/* The places of tensors in the flat vector do not overlap, and lie inside. */
static void test_tensor_places(void **state)
{
    (void)state;
    dip_net_spec spec = small_spec();
    dip_net *net = open_net(&spec, DIP_NET_TRAIN);
    size_t at = 0;
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const dip_tensor *t = dip_net_tensor(net, i);
        const bool running =
            t->kind == DIP_TENSOR_RUNNING_MEAN || t->kind == DIP_TENSOR_RUNNING_VAR;
        assert_int_equal(t->param_offset == SIZE_MAX, running);
        if (running) continue;
        assert_true(t->param_offset >= at && t->param_count >= t->count);
        at = t->param_offset + t->param_count;
    }
    assert_true(at <= dip_net_param_count(net));
    dip_net_destroy(net);
}

static void test_tensor_round_trip(void **state)
{
    (void)state;
    dip_net_spec spec = pooled_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
            const size_t n = dip_net_tensor(net, i)->count;
            float *values = noise(n, i), *back = calloc(n, sizeof *back);
            if (pass == 0) dip_net_tensor_set(net, i, values);
            dip_net_tensor_get(net, i, back);
            assert_memory_equal(values, back, n * sizeof *values);
            free(values), free(back);
        }
    dip_net_destroy(net);
}

/* (out, in, kh, kw) against rows of (kh, kw, in). */
static void test_tensor_layout(void **state)
{
    (void)state;
    dip_net_spec spec = small_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    const dip_tensor *t = dip_net_tensor(net, 0);
    assert_int_equal(t->rank, 4);
    const uint32_t *s = t->shape;
    assert_true(s[0] == 32 && s[1] == 2 && s[2] == 3 && s[3] == 3);
    float *values = noise(t->count, 1);
    dip_net_tensor_set(net, 0, values);
    const float *w = dip_net_params(net) + t->param_offset;
    const size_t row = t->param_count / s[0];
    for (size_t o = 0; o < s[0]; o++)
        for (size_t k = 0; k < row; k++) {
            const size_t in = k % s[1], tap = k / s[1];
            const float want = tap < 9 ? values[(o * s[1] + in) * 9 + tap] : 0;
            assert_float_equal(w[o * row + k], want, 0);
        }
    free(values);
    dip_net_destroy(net);
}

/* ---- initial values ---- */

static double deviation(const float *values, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)values[i] * values[i];
    return sqrt(squares / (double)n);
}

/* last_norm: in the name of the norm that ends a block. */
static void check_initial(const dip_net *net, size_t i, bool zero_last, const char *last_norm)
{
    const dip_tensor *t = dip_net_tensor(net, i);
    float *v = malloc(t->count * sizeof *v);
    dip_net_tensor_get(net, i, v);
    const double n = (double)t->count, got = deviation(v, t->count);
    const bool last = strstr(t->name, last_norm) && t->kind == DIP_TENSOR_NORM_WEIGHT;
    double want = t->kind == DIP_TENSOR_NORM_WEIGHT ? !(zero_last && last) : 0;
    if (t->kind == DIP_TENSOR_RUNNING_VAR) want = 1;
    if (t->kind == DIP_TENSOR_CONV)
        want = sqrt(2.0 / ((double)t->shape[0] * t->shape[2] * t->shape[3]));
    if (t->kind == DIP_TENSOR_LINEAR) want = sqrt(1.0 / 3 / t->shape[1]);
    if (t->kind == DIP_TENSOR_LINEAR_BIAS)
        want = sqrt(1.0 / 3 / dip_net_spec_dim(dip_net_get_spec(net), DIP_H));
    const bool random =
        t->kind == DIP_TENSOR_CONV || t->rank == 2 || t->kind == DIP_TENSOR_LINEAR_BIAS;
    if (fabs(got - want) > (random ? want * 4 / sqrt(n) : 0))
        fail_msg("%s: deviation %.4f, must be %.4f", t->name, got, want);
    free(v);
}

static void test_initial_values(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const bool zero_last = i & 1, bottleneck = i & 2;
        dip_net_spec spec = bottleneck ? bottleneck_spec() : small_spec();
        dip_net *net = open_net(&spec, DIP_NET_TRAIN);
        dip_rng rng;
        dip_rng_init(&rng, 8, 0);
        dip_net_init(net, &rng, zero_last);
        for (size_t t = 0; t < dip_net_tensor_count(net); t++)
            check_initial(net, t, zero_last, bottleneck ? ".bn3." : ".bn2.");
        dip_net_destroy(net);
    }
}

/* ---- encoding ---- */

/* A TRAIN net whose running statistics have seen some batches, and an INFER net of the same weights. */
typedef struct twins {
    dip_net_spec spec;
    dip_net *train, *infer;
    float *input[2];
} twins;

static void open_twins(twins *t, dip_net_spec spec)
{
    dip_rng rng;
    dip_rng_init(&rng, 9, 0);
    t->spec = spec;
    t->train = open_net(&spec, DIP_NET_TRAIN);
    t->infer = open_net(&spec, DIP_NET_INFER);
    dip_net_init(t->train, &rng, false);
    for (size_t m = 0; m < 2; m++) {
        t->input[m] = noise(BATCH * input_values(&spec, m), 20 + m);
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                dip_net_forward_train(t->train, m, t->input[m], BATCH, 0.4f, (dip_net_out){NULL}),
                DIP_OK);
    }
    for (size_t i = 0; i < dip_net_tensor_count(t->train); i++) {
        float *values = malloc(dip_net_tensor(t->train, i)->count * sizeof *values);
        dip_net_tensor_get(t->train, i, values);
        dip_net_tensor_set(t->infer, i, values);
        free(values);
    }
    dip_net_refresh(t->infer);
}

static void close_twins(twins *t)
{
    dip_net_destroy(t->train);
    dip_net_destroy(t->infer);
    free(t->input[0]), free(t->input[1]);
}

static double relative_difference(const float *a, const float *b, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(squares / (double)n) / deviation(b, n);
}

static void check_folding(dip_net_spec spec)
{
    twins t;
    open_twins(&t, spec);
    const size_t width = dip_net_spec_dim(&spec, DIP_H), embed = spec.embed_dim;
    float *h[2], *z[2];
    for (int i = 0; i < 2; i++) {
        h[i] = malloc(BATCH * width * sizeof(float));
        z[i] = malloc(BATCH * embed * sizeof(float));
    }
    for (size_t m = 0; m < 2; m++) {
        dip_net_forward(t.train, m, t.input[m], BATCH, (dip_net_out){z[0], h[0]});
        dip_net_forward(t.infer, m, t.input[m], BATCH, (dip_net_out){z[1], h[1]});
        assert_true(relative_difference(h[1], h[0], BATCH * width) < 0.01);
        assert_true(relative_difference(z[1], z[0], BATCH * embed) < 0.02);
    }
    for (int i = 0; i < 2; i++) free(h[i]), free(z[i]);
    close_twins(&t);
}

static void test_folding_changes_nothing(void **state)
{
    (void)state;
    check_folding(small_spec());
    check_folding(pooled_spec());
    check_folding(bottleneck_spec());
    check_folding(gem_spec());
}

/* Neither the others in a batch nor its size, nor the threads, nor asking for h and z alone. */
static void test_embedding_depends_on_the_tile_alone(void **state)
{
    (void)state;
    twins t;
    open_twins(&t, small_spec());
    const size_t embed = t.spec.embed_dim, width = dip_net_spec_dim(&t.spec, DIP_H);
    float *z = malloc(BATCH * embed * sizeof *z), *h = malloc(BATCH * width * sizeof *h);
    float one[64];
    dip_threads_set(1);
    dip_net_forward(t.infer, 1, t.input[1], BATCH, (dip_net_out){z, h});
    dip_threads_set(3);
    for (size_t i = 0; i < BATCH; i += 23) {
        const float *tile = t.input[1] + i * input_values(&t.spec, 1);
        assert_int_equal(dip_net_forward(t.infer, 1, tile, 1, (dip_net_out){one}), DIP_OK);
        assert_memory_equal(one, z + i * embed, embed * sizeof *one);
        assert_int_equal(dip_net_forward(t.infer, 1, tile, 1, (dip_net_out){NULL, one}), DIP_OK);
        assert_memory_equal(one, h + i * width, width * sizeof *one);
    }
    dip_threads_set(0);
    free(z), free(h);
    close_twins(&t);
}

static void test_running_statistics_follow_the_batch(void **state)
{
    (void)state;
    dip_net_spec spec = small_spec();
    dip_net *net = open_net(&spec, DIP_NET_TRAIN);
    dip_rng rng;
    dip_rng_init(&rng, 2, 0);
    dip_net_init(net, &rng, false);
    float *input = noise(4 * input_values(&spec, 0), 3), mean[2][32], var[2][32];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dip_net_forward_train(net, 0, input, 4, 0.5f, (dip_net_out){NULL}),
                         DIP_OK);
        dip_net_tensor_get(net, 3, mean[i]);
        dip_net_tensor_get(net, 4, var[i]);
    }
    /* half way from 0 and 1 to the batch's values, then half of the rest */
    for (int c = 0; c < 32; c++) {
        assert_true(fabsf(mean[1][c] - 1.5f * mean[0][c]) < 1e-6f);
        assert_true(fabsf(var[1][c] - (1.5f * var[0][c] - 0.5f)) < 1e-5f * (1 + var[1][c]));
        assert_true(mean[0][c] != 0 && var[0][c] != 1);
    }
    free(input);
    dip_net_destroy(net);
}

/* No ReLU and no pooling hides it. */
static void check_nan_comes_out(dip_net_spec spec, const char *name)
{
    twins t;
    open_twins(&t, spec);
    float *z = malloc(BATCH * spec.embed_dim * sizeof *z);
    for (size_t i = 0; i < dip_net_tensor_count(t.infer); i++) {
        const dip_tensor *tensor = dip_net_tensor(t.infer, i);
        if (strcmp(tensor->name, name)) continue;
        dip_net_params(t.infer)[tensor->param_offset] = NAN;
        dip_net_params(t.train)[tensor->param_offset] = NAN;
    }
    dip_net_refresh(t.infer);
    dip_net_refresh(t.train);
    dip_net_forward(t.infer, 0, t.input[0], 1, (dip_net_out){z});
    assert_true(isnan(z[0]));
    dip_net_forward(t.train, 0, t.input[0], 1, (dip_net_out){z});
    assert_true(isnan(z[0]));
    dip_net_forward_train(t.train, 0, t.input[0], BATCH, 0.1f, (dip_net_out){z});
    assert_true(isnan(z[0]));
    free(z);
    close_twins(&t);
}

static void test_nan_comes_out(void **state)
{
    (void)state;
    check_nan_comes_out(small_spec(), "shared.layer2.0.conv1.weight");
    check_nan_comes_out(pooled_spec(), "s1.conv1.weight");
    check_nan_comes_out(gem_spec(), "shared.layer2.0.conv1.weight");
}

/* ---- refusals ---- */

static void test_calls_are_checked(void **state)
{
    (void)state;
    dip_net_spec spec = small_spec();
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    float none[1];
    assert_int_equal(dip_net_forward(net, 2, none, 1, (dip_net_out){NULL}), DIP_EINVAL);
    assert_int_equal(dip_net_forward(net, 0, none, BATCH + 1, (dip_net_out){NULL}), DIP_EINVAL);
    assert_int_equal(dip_net_forward(net, 0, none, 0, (dip_net_out){NULL}), DIP_OK);
    assert_int_equal(dip_net_forward_train(net, 0, none, 1, 0.1f, (dip_net_out){NULL}), DIP_EINVAL);
    dip_net_destroy(net);
    assert_int_equal(dip_net_create(&net, &spec, 0, DIP_NET_INFER), DIP_EINVAL);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    dip_net_spec spec = small_spec();
    for (size_t n = 1;; n++) {
        dip_net *net = NULL;
        dip_mem_fail_after(n);
        const dip_status status = dip_net_create(&net, &spec, 2, DIP_NET_TRAIN);
        dip_mem_fail_after(0);
        dip_net_destroy(net);
        if (!status) {
            assert_true(n > 5);
            return;
        }
        assert_int_equal(status, DIP_ENOMEM);
        assert_null(net);
    }
}

static void read_tensor(const dip_net *net, const char *name, float *out)
{
    size_t i = 0;
    while (strcmp(dip_net_tensor(net, i)->name, name) != 0) i++;
    dip_net_tensor_get(net, i, out);
}

/* One cell of the last stage averages what h does, so the layout is its map of h. */
static void test_layout_maps_cells(void **state)
{
    (void)state;
    enum { CELL = 5, WIDTH = 64 };
    dip_net_spec spec = small_spec();
    spec.layout_grid = 1;
    spec.layout_stage = 1;
    spec.layout_channels = CELL;
    dip_net *net = open_net(&spec, DIP_NET_INFER);
    float *input = noise(BATCH * 20 * 20 * 2, 5), weight[CELL * WIDTH], layout[BATCH * CELL];
    float *h = calloc(BATCH * WIDTH, sizeof *h);
    dip_rng rng;
    dip_rng_init(&rng, 6, 0);
    dip_net_init(net, &rng, false);
    read_tensor(net, "shared.layout.weight", weight);
    assert_int_equal(
        dip_net_forward(net, 0, input, BATCH, (dip_net_out){[DIP_H] = h, [DIP_LAYOUT] = layout}),
        DIP_OK);
    for (size_t i = 0; i < BATCH * CELL; i++) {
        double want = 0;
        for (size_t k = 0; k < WIDTH; k++)
            want += (double)h[i / CELL * WIDTH + k] * weight[i % CELL * WIDTH + k];
        assert_float_equal(layout[i], want, 1e-4);
    }
    dip_net_destroy(net);
    free(input), free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_checked),
        cmocka_unit_test(test_layouts_are_checked),
        cmocka_unit_test(test_names_of_modalities_are_checked),
        cmocka_unit_test(test_tensor_names),
        cmocka_unit_test(test_tensors_of_bottlenecks),
        cmocka_unit_test(test_separate_heads_have_owners),
        cmocka_unit_test(test_tensor_places),
        cmocka_unit_test(test_tensor_round_trip),
        cmocka_unit_test(test_tensor_layout),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_folding_changes_nothing),
        cmocka_unit_test(test_embedding_depends_on_the_tile_alone),
        cmocka_unit_test(test_running_statistics_follow_the_batch),
        cmocka_unit_test(test_layout_maps_cells),
        cmocka_unit_test(test_nan_comes_out),
        cmocka_unit_test(test_calls_are_checked),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
