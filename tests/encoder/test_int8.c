/*
 * The int8 encoder: each body's finish against plain arithmetic, bit for bit; convolutions in all their modes;
 * and whole nets against the same in bfloat16.
 */
#include "support_reference.h"

#include "core/parallel.h"
#include "encoder/net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dip_rng rng;

static int seed(void **state)
{
    (void)state;
    dip_rng_init(&rng, 8, 0);
    dip_threads_set(0);
    return 0;
}

/* All byte values, the extremes often: what a product in 16 bits would not survive. */
static void *random_bytes(size_t n)
{
    uint8_t *bytes = malloc(n);
    if (!bytes) abort();
    for (size_t i = 0; i < n; i++) {
        const uint32_t r = dip_rng_below(&rng, 4);
        bytes[i] = r == 0 ? 0xff : r == 1 ? 0x7f : (uint8_t)dip_rng_below(&rng, 256);
    }
    return bytes;
}

/* ---- finish ---- */

static uint8_t cut(float value)
{
    if (!(value > 0)) return 0; /* a NaN too */
    return value > 255 ? 255 : (uint8_t)rintf(value);
}

static void test_bytes_from_values(void **state)
{
    (void)state;
    enum { N = 64 };
    dip_bf16 in[N];
    for (size_t i = 0; i < N; i++) in[i] = dip_bf16_round((float)(300 * dip_rng_normal(&rng)));
    for (size_t i = 0; i < 8; i++) in[i] = dip_bf16_round((float)i + 0.5f); /* ties */
    in[8] = 0x7fc0;                                                         /* NaN */
    in[9] = 0x7f80;                                                         /* infinity */
    for (size_t b = 0; body_at(b); b++) {
        uint8_t out[N];
        body_at(b)->loops->round8(in, 0.75f, out, N);
        for (size_t i = 0; i < N; i++) assert_int_equal(out[i], cut(dip_bf16_float(in[i]) * 0.75f));
    }
}

enum { PIXELS = 40, CHANNELS = 96, COLUMN = 32 };

typedef struct finish_data {
    int32_t c[DIP_PANEL];
    float scale[CHANNELS], shift[CHANNELS];
    dip_bf16 *residual;
    uint8_t *residual8;
    uint32_t pixel[DIP_BLOCK];
} finish_data;

static float finish_want(const finish_data *d, const dip_finish *f, size_t row, size_t column)
{
    const size_t at = d->pixel[row] * CHANNELS + COLUMN + column;
    float value = (float)d->c[row * DIP_BLOCK + column] * d->scale[COLUMN + column];
    value += d->shift[COLUMN + column];
    if (f->residual) value += dip_bf16_float(d->residual[at]);
    if (f->residual8) value += (float)d->residual8[at] * f->unit8;
    return f->relu && value < 0 ? 0 : value;
}

static void check_finish(const dip_kernel *body, const finish_data *d, const dip_finish *f)
{
    static const unsigned rows[2] = {16, 7};
    dip_bf16 out[PIXELS * CHANNELS];
    const dip_finish_block block = {.c = (const float *)(const void *)d->c,
                                    .rows = rows,
                                    .pixel = d->pixel,
                                    .out = out,
                                    .channels = CHANNELS,
                                    .column = COLUMN};
    body->loops->finish(f, &block);
    for (size_t row = 0; row < 16 + 7; row++)
        for (size_t column = 0; column < DIP_BLOCK; column++) {
            const size_t at = d->pixel[row] * CHANNELS + COLUMN + column;
            const float want = finish_want(d, f, row, column);
            if (f->per_unit > 0)
                assert_int_equal(((uint8_t *)out)[at], cut(want * f->per_unit));
            else
                assert_int_equal(out[at], dip_bf16_round(want));
        }
}

static void test_finish(void **state)
{
    (void)state;
    finish_data d = {.residual = random_bf16(&rng, PIXELS * CHANNELS),
                     .residual8 = random_bytes(PIXELS * CHANNELS)};
    for (size_t i = 0; i < DIP_PANEL; i++) d.c[i] = (int32_t)dip_rng_below(&rng, 20000) - 10000;
    for (size_t i = 0; i < DIP_BLOCK; i++) d.pixel[i] = (uint32_t)(i * 7 % PIXELS);
    for (size_t i = 0; i < CHANNELS; i++) {
        d.scale[i] = (float)(1e-4 * dip_rng_normal(&rng));
        d.shift[i] = (float)(0.3 * dip_rng_normal(&rng));
    }
    for (unsigned kind = 0; kind < 12; kind++) {
        const dip_finish finish = {.kind = DIP_FINISH_INT8,
                                   .relu = kind & 1,
                                   .scale = d.scale,
                                   .shift = d.shift,
                                   .residual = kind / 4 == 1 ? d.residual : NULL,
                                   .residual8 = kind / 4 == 2 ? d.residual8 : NULL,
                                   .unit8 = 0.003f,
                                   .per_unit = kind & 2 ? 90 : 0};
        for (size_t b = 0; body_at(b); b++) check_finish(body_at(b), &d, &finish);
    }
    free(d.residual), free(d.residual8);
}

/* ---- convolutions ---- */

typedef struct conv_case {
    dip_conv conv;
    size_t images;
} conv_case;

static const conv_case convs[] = {
    {{64, 20, 32, 3, 1}, 2},  /* runs */
    {{64, 35, 64, 3, 2}, 1},  /* runs, strided */
    {{64, 8, 64, 3, 1}, 32},  /* images */
    {{128, 4, 96, 3, 2}, 16}, /* images */
    {{64, 2, 32, 3, 1}, 3},   /* gathered: few images */
    {{32, 18, 32, 3, 1}, 2},  /* gathered: half a step of channels */
    {{32, 9, 64, 1, 2}, 17},  /* gathered */
    {{128, 18, 64, 1, 1}, 1}, /* runs, without a copy */
};

static int32_t conv_want(const dip_conv *c, const uint8_t *image, const int8_t *weights, size_t row,
                         size_t column)
{
    const int pad = (int)c->kernel / 2, side = (int)c->in_side;
    int32_t sum = 0;
    for (int ky = 0; ky < (int)c->kernel; ky++)
        for (int kx = 0; kx < (int)c->kernel; kx++) {
            const int y = (int)(row * c->stride) + ky - pad,
                      x = (int)(column * c->stride) + kx - pad;
            if (y < 0 || x < 0 || y >= side || x >= side) continue;
            for (size_t i = 0; i < c->in_channels; i++)
                sum += image[(size_t)(y * side + x) * c->in_channels + i] *
                       weights[((size_t)ky * c->kernel + kx) * c->in_channels + i];
        }
    return sum;
}

/* Weights that are whole numbers up to 127, so that packing leaves them as they are. */
static int8_t *whole_weights(const dip_conv *conv, float *rows)
{
    const size_t n = (size_t)conv->kernel * conv->kernel * conv->in_channels;
    int8_t *weights = malloc(conv->out_channels * n);
    if (!weights) abort();
    for (size_t o = 0; o < conv->out_channels; o++)
        for (size_t k = 0; k < n; k++) {
            weights[o * n + k] = (int8_t)(k == 0 ? -127 : (int)dip_rng_below(&rng, 255) - 127);
            rows[o * dip_conv_row(conv) + k] = weights[o * n + k];
        }
    return weights;
}

static void check_conv(const dip_kernel *body, const conv_case *t)
{
    const dip_conv *conv = &t->conv;
    const size_t side = dip_conv_out_side(conv), area = side * side, out_n = conv->out_channels;
    const size_t in_n = (size_t)conv->in_side * conv->in_side * conv->in_channels;
    const size_t taps = (size_t)conv->kernel * conv->kernel * conv->in_channels;
    dip_conv_pass forward, pass;
    dip_workspace workspace;
    dip_conv_forward_pass(&forward, conv);
    pass = dip_conv_pass_int8(&forward);
    assert_int_equal(dip_workspace_init(&workspace, dip_conv_scratch(&pass),
                                        dip_conv_partials(&pass, t->images)),
                     DIP_OK);
    workspace.kernel = body;
    float *rows = calloc(out_n * dip_conv_row(conv), sizeof *rows), unit[512], shift[512] = {0};
    dip_bf16 *panels = calloc(dip_conv_pass_panels(&pass), sizeof *panels);
    dip_bf16 *out = calloc(t->images * area * out_n, sizeof *out);
    uint8_t *in = random_bytes(t->images * in_n);
    int8_t *weights = whole_weights(conv, rows);
    for (size_t o = 0; o < out_n; o += DIP_BLOCK)
        dip_conv_pack_int8(conv, rows, NULL, o, panels, unit);
    for (size_t o = 0; o < out_n; o++) assert_float_equal(unit[o], 1, 0);
    const dip_conv_job job = {.pass = &pass,
                              .in = (const dip_bf16 *)(const void *)in,
                              .panels = panels,
                              .out = out,
                              .images = t->images,
                              .finish = {.kind = DIP_FINISH_INT8, .scale = unit, .shift = shift}};
    dip_conv_run(&workspace, &job);
    for (size_t n = 0; n<t->images; n += t->images> 4 ? 5 : 1)
        for (size_t p = 0; p < area; p++)
            for (size_t o = 0; o < out_n; o += 7) {
                const int32_t want =
                    conv_want(conv, in + n * in_n, weights + o * taps, p / side, p % side);
                const dip_bf16 got = out[(n * area + p) * out_n + o];
                if (got != dip_bf16_round((float)want))
                    fail_msg("body %s, case %d, image %zu, point %zu, channel %zu: %g, not %d",
                             body->product->name, (int)(t - convs), n, p, o, dip_bf16_float(got),
                             want);
            }
    free(rows), free(panels), free(out), free(in), free(weights);
    dip_workspace_fini(&workspace);
}

/* Weights that have decayed to almost nothing are nothing. */
static void test_tiny_weights(void **state)
{
    (void)state;
    const dip_conv conv = {64, 4, 32, 1, 1};
    dip_conv_pass pass;
    float weights[64 * 32], unit[32];
    dip_conv_forward_pass(&pass, &conv);
    pass = dip_conv_pass_int8(&pass);
    const size_t values = dip_conv_pass_panels(&pass);
    dip_bf16 *panels = calloc(values, sizeof *panels);
    for (size_t i = 0; i < 64 * 32; i++) weights[i] = i % 2 ? 1e-44f : -2.6e-43f;
    dip_conv_pack_int8(&conv, weights, NULL, 0, panels, unit);
    for (size_t o = 0; o < 32; o++) assert_float_equal(unit[o], 1, 0);
    for (size_t i = 0; i < values; i++) assert_int_equal(panels[i], 0);
    free(panels);
}

static void test_convolutions(void **state)
{
    (void)state;
    for (size_t b = 0; body_at(b); b++)
        for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) check_conv(body_at(b), &convs[i]);
}

/* ---- nets ---- */

enum { BATCH = 20, BANDS = 3, DIM = 32 };

static dip_net_spec small_spec(dip_block_kind block, bool pool)
{
    dip_net_spec spec = {.input_px = 32,
                         .stem_kernel = 3,
                         .stem_stride = 1,
                         .stem_pool = pool,
                         .stage_count = 2,
                         .block = block,
                         .width = {32, 64},
                         .blocks = {2, 2},
                         .shared_from = 1,
                         .head_shared = true,
                         .embed_dim = DIM,
                         .modality_count = 2};
    for (int m = 0; m < 2; m++) {
        snprintf(spec.modality[m].name, sizeof spec.modality[m].name, "m%d", m);
        spec.modality[m].band_count = BANDS;
    }
    return spec;
}

static double least_cosine(const float *a, const float *b, size_t n, size_t dim)
{
    double least = 1;
    for (size_t i = 0; i < n; i++, a += dim, b += dim) {
        double ab = 0, aa = 0, bb = 0;
        for (size_t k = 0; k < dim; k++)
            ab += (double)a[k] * b[k], aa += (double)a[k] * a[k], bb += (double)b[k] * b[k];
        least = fmin(least, ab / sqrt(aa * bb));
    }
    return least;
}

static void check_net(dip_block_kind block, bool pool)
{
    const dip_net_spec spec = small_spec(block, pool);
    dip_net *net = NULL;
    float *input = random_float(&rng, BATCH * 32 * 32 * BANDS);
    float before[BATCH * DIM], int8[BATCH * DIM], again[BATCH * DIM], other[BATCH * DIM];
    assert_int_equal(dip_net_create(&net, &spec, BATCH, DIP_NET_INFER), DIP_OK);
    dip_net_init(net, &rng, false);
    assert_int_equal(dip_net_forward(net, 0, input, BATCH, (dip_net_out){before}), DIP_OK);
    assert_int_equal(dip_net_forward(net, 1, input, BATCH, (dip_net_out){other}), DIP_OK);
    assert_int_equal(dip_net_watch(net, 0, input, BATCH / 2), DIP_OK);
    assert_int_equal(dip_net_watch(net, 0, input, BATCH), DIP_OK);
    assert_int_equal(dip_net_use_int8(net, 0), DIP_OK);
    assert_int_equal(dip_net_forward(net, 0, input, BATCH, (dip_net_out){int8}), DIP_OK);
    assert_memory_not_equal(int8, before, sizeof before);
    assert_true(least_cosine(before, int8, BATCH, DIM) > 0.995);
    /* one by one, and on one thread, to the bit */
    dip_threads_set(1);
    for (size_t i = 0; i < BATCH; i++)
        assert_int_equal(
            dip_net_forward(net, 0, input + i * 32 * 32 * BANDS, 1, (dip_net_out){again + i * DIM}),
            DIP_OK);
    assert_memory_equal(int8, again, sizeof int8);
    /* the other modality, and this one after a refresh, know nothing of it */
    assert_int_equal(dip_net_forward(net, 1, input, BATCH, (dip_net_out){again}), DIP_OK);
    assert_memory_equal(other, again, sizeof again);
    dip_net_refresh(net);
    assert_int_equal(dip_net_forward(net, 0, input, BATCH, (dip_net_out){again}), DIP_OK);
    assert_memory_equal(before, again, sizeof again);
    dip_net_destroy(net);
    free(input);
}

static void test_nets(void **state)
{
    (void)state;
    check_net(DIP_BLOCK_BASIC, false);
    check_net(DIP_BLOCK_BASIC, true);
    check_net(DIP_BLOCK_BOTTLENECK, false);
}

/* A layout of either stage, of more images than go through the net together. */
static void check_layout(dip_block_kind block, uint32_t stage)
{
    enum { MANY = 70, GRID = 4, CELL = 3, VALUES = GRID * GRID * CELL, IMAGE = 32 * 32 * BANDS };
    dip_net_spec spec = small_spec(block, false);
    spec.layout_grid = GRID;
    spec.layout_stage = stage;
    spec.layout_channels = CELL;
    spec.layout_centred = true;
    dip_net *net = NULL;
    float *input = random_float(&rng, MANY * IMAGE);
    float before[MANY * VALUES], int8[MANY * VALUES], again[VALUES];
    assert_int_equal(dip_net_create(&net, &spec, MANY, DIP_NET_INFER), DIP_OK);
    dip_net_init(net, &rng, false);
    assert_int_equal(dip_net_forward(net, 0, input, MANY, (dip_net_out){[DIP_LAYOUT] = before}),
                     DIP_OK);
    assert_int_equal(dip_net_watch(net, 0, input, MANY), DIP_OK);
    assert_int_equal(dip_net_use_int8(net, 0), DIP_OK);
    assert_int_equal(dip_net_forward(net, 0, input, MANY, (dip_net_out){[DIP_LAYOUT] = int8}),
                     DIP_OK);
    assert_memory_not_equal(int8, before, sizeof before);
    assert_true(least_cosine(before, int8, MANY, VALUES) > 0.99);
    for (size_t i = 0; i < MANY; i += 23) {
        assert_int_equal(
            dip_net_forward(net, 0, input + i * IMAGE, 1, (dip_net_out){[DIP_LAYOUT] = again}),
            DIP_OK);
        assert_memory_equal(int8 + i * VALUES, again, sizeof again);
    }
    dip_net_destroy(net);
    free(input);
}

static void test_layouts(void **state)
{
    (void)state;
    check_layout(DIP_BLOCK_BASIC, 0);
    check_layout(DIP_BLOCK_BASIC, 1);
    check_layout(DIP_BLOCK_BOTTLENECK, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    const dip_net_spec spec = small_spec(DIP_BLOCK_BASIC, false);
    dip_net *net = NULL, *train = NULL;
    float *input = random_float(&rng, 32 * 32 * BANDS);
    assert_int_equal(dip_net_create(&net, &spec, 1, DIP_NET_INFER), DIP_OK);
    assert_int_equal(dip_net_create(&train, &spec, 1, DIP_NET_TRAIN), DIP_OK);
    dip_net_init(net, &rng, false);
    assert_int_equal(dip_net_use_int8(net, 0), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "nothing was watched"));
    assert_int_equal(dip_net_use_int8(net, 2), DIP_EINVAL);
    assert_int_equal(dip_net_watch(train, 0, input, 1), DIP_EINVAL);
    input[5] = NAN;
    assert_int_equal(dip_net_watch(net, 0, input, 1), DIP_OK);
    assert_int_equal(dip_net_use_int8(net, 0), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "not finite"));
    dip_net_destroy(net);
    dip_net_destroy(train);
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bytes_from_values, seed),
        cmocka_unit_test_setup(test_finish, seed),
        cmocka_unit_test_setup(test_tiny_weights, seed),
        cmocka_unit_test_setup(test_convolutions, seed),
        cmocka_unit_test_setup(test_nets, seed),
        cmocka_unit_test_setup(test_layouts, seed),
        cmocka_unit_test_setup(test_refusals, seed),
    };
#ifdef __SANITIZE_THREAD__ /* the rest is arithmetic, at a tenth of the speed */
    cmocka_set_test_filter("test_nets");
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
