/*
 * Whole nets, forward and backward: against PyTorch (tests/encoder/reference/net.txt, made by make_reference.py), against
 * finite differences, and against themselves with other numbers of threads.
 */
#include "train/backward.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "support_noise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_LINE = 2048 };

/* ---- what make_reference.py does, once more ---- */

/* The script's nets; batch as there. b has another stem and head, c other blocks, d another pooling. */
static dip_net_spec spec_of(char name, size_t *batch)
{
    const bool b = name == 'b', c = name == 'c', d = name == 'd';
    dip_net_spec spec = {
        .input_px = b   ? 21
                    : c ? 17
                        : 16,
        .stem_kernel = b ? 7 : 3,
        .stem_stride = b ? 2 : 1,
        .stem_pool = b,
        .block = c ? DIP_BLOCK_BOTTLENECK : DIP_BLOCK_BASIC,
        .stage_count = 2,
        .width = {32, 64},
        .blocks = {b ? 1 : 2, b ? 2 : 1},
        .shared_from = b ? 2 : 1,
        .pooling = d ? DIP_POOLING_GEM : DIP_POOLING_MEAN,
        .pooled_before = d,
        .head = b ? DIP_HEAD_MLP : DIP_HEAD_LINEAR,
        .head_shared = !b,
        .head_hidden = b ? 64 : 0,
        .embed_dim = 32,
        .layout_grid = b   ? 0
                       : c ? 2
                           : 5,
        .layout_stage = c,
        .layout_centred = name == 'a',
        .layout_channels = b   ? 0
                           : c ? 33
                               : 6,
        .modality_count = 2,
        .modality = {{.name = "s1", .band_count = 2}, {.name = "s2", .band_count = 3}}};
    if (b) {
        spec.modality[0] = (dip_modality){.name = "one", .band_count = 1};
        spec.modality[1] = (dip_modality){.name = "ten", .band_count = 10};
    } else if (c) {
        spec.modality[0] = (dip_modality){.name = "sar", .band_count = 2};
        spec.modality[1] = (dip_modality){.name = "msi", .band_count = 12};
    }
    if (d) {
        spec.modality[0] = (dip_modality){.name = "red", .band_count = 1};
        spec.modality[1] = (dip_modality){.name = "blue", .band_count = 4};
    }
    *batch = b ? 34 : c ? 18 : d ? 6 : 5;
    return spec;
}

static void fill_tensor(dip_net *net, size_t position)
{
    const dip_tensor *t = dip_net_tensor(net, position);
    float amplitude = 0.25f, offset = t->kind == DIP_TENSOR_NORM_WEIGHT ? 1 : 0;
    if (t->kind == DIP_TENSOR_CONV)
        amplitude = (float)sqrt(6.0 / ((double)t->shape[0] * t->shape[2] * t->shape[3]));
    if (t->kind == DIP_TENSOR_LINEAR) amplitude = (float)(1 / sqrt(t->shape[1]));
    if (t->kind == DIP_TENSOR_RUNNING_MEAN) amplitude = 0;
    if (t->kind == DIP_TENSOR_RUNNING_VAR) amplitude = 0, offset = 1;
    float *values = noise_values(noise_seed(t->name), t->count, amplitude);
    for (size_t i = 0; i < t->count; i++) values[i] += offset;
    dip_net_tensor_set(net, position, values);
    free(values);
}

typedef struct run {
    dip_net *net;
    dip_net_spec spec;
    size_t batch;
    float *input[2], *eval[2]; /* a modality each; eval: z */
    float *out[2][DIP_OUTPUTS], *gradient[2][DIP_OUTPUTS];
} run;

static size_t output_count(const run *r, int output)
{
    return r->batch * dip_net_spec_dim(&r->spec, (dip_output)output);
}

static void open_spec(run *r, dip_net_spec spec, size_t batch)
{
    *r = (run){.spec = spec, .batch = batch};
    assert_int_equal(dip_net_create(&r->net, &r->spec, r->batch, DIP_NET_TRAIN), DIP_OK);
    for (size_t i = 0; i < dip_net_tensor_count(r->net); i++) fill_tensor(r->net, i);
    dip_net_refresh(r->net);
    static const uint32_t salt[DIP_OUTPUTS] = {2, 1, 3};
    static const float amplitude[DIP_OUTPUTS] = {1, 0.1f, 0.3f};
    const size_t px = r->spec.input_px;
    for (size_t m = 0; m < 2; m++) {
        const dip_modality *modality = &r->spec.modality[m];
        const uint32_t seed = noise_seed(modality->name);
        r->input[m] = noise_values(seed, r->batch * px * px * modality->band_count, 1.7f);
        r->eval[m] = calloc(r->batch * r->spec.embed_dim, sizeof(float));
        for (int p = 0; p < DIP_OUTPUTS; p++) {
            const size_t count = output_count(r, p);
            r->gradient[m][p] = noise_values(seed ^ salt[p], count, amplitude[p]);
            r->out[m][p] = calloc(count + 1, sizeof(float));
        }
    }
}

static void open_run(run *r, char name)
{
    size_t batch;
    const dip_net_spec spec = spec_of(name, &batch);
    open_spec(r, spec, batch);
}

static void close_run(run *r)
{
    for (size_t m = 0; m < 2; m++) {
        free(r->input[m]), free(r->eval[m]);
        for (int p = 0; p < DIP_OUTPUTS; p++) free(r->out[m][p]), free(r->gradient[m][p]);
    }
    dip_net_destroy(r->net);
}

/* Both modalities up, then down, as a trainer does; gradients add up. */
static void step(run *r)
{
    for (size_t m = 0; m < 2; m++)
        assert_int_equal(dip_net_forward_train(r->net, m, r->input[m], r->batch, 0.1f, r->out[m]),
                         DIP_OK);
    for (size_t m = 0; m < 2; m++)
        assert_int_equal(dip_net_backward(r->net, m, r->gradient[m]), DIP_OK);
}

/* ---- PyTorch ---- */

static size_t tensor_position(const dip_net *net, const char *name)
{
    for (size_t i = 0; i < dip_net_tensor_count(net); i++)
        if (strcmp(dip_net_tensor(net, i)->name, name) == 0) return i;
    fail_msg("the net has no tensor '%s'", name);
    return 0;
}

/* Values that a line of the file speaks of: "<kind> <tensor>" or "<modality> <output>". */
static float *values_of(const run *r, const char *first, const char *second, size_t *count)
{
    const bool grad = strcmp(first, "grad") == 0;
    if (grad || strcmp(first, "running") == 0) {
        const size_t position = tensor_position(r->net, second);
        *count = dip_net_tensor(r->net, position)->count;
        float *values = malloc(*count * sizeof *values);
        if (grad)
            dip_net_tensor_grad(r->net, position, values);
        else
            dip_net_tensor_get(r->net, position, values);
        return values;
    }
    const size_t m = strcmp(first, r->spec.modality[0].name) ? 1 : 0;
    assert_string_equal(first, r->spec.modality[m].name);
    int output = 0;
    while (output < DIP_OUTPUTS && strcmp(second, dip_output_names[output])) output++;
    const float *from = output < DIP_OUTPUTS ? r->out[m][output] : r->eval[m];
    *count = output_count(r, output < DIP_OUTPUTS ? output : DIP_Z);
    float *values = malloc(*count * sizeof *values);
    memcpy(values, from, *count * sizeof *values);
    return values;
}

/*
 * A line is "<net> <first> <second> <moved> <norm> <projections>"; `moved` tells how far rounding to bfloat16 moves the
 * value in PyTorch itself. Little more than that is allowed. Returns whether the line is of this net.
 */
static bool check_line(const run *r, char name, const char *line)
{
    char net[8], first[48], second[96];
    double moved, expected[1 + NOISE_PROJECTIONS];
    int at = 0, length;
    if (sscanf(line, "%7s %47s %95s %lf%n", net, first, second, &moved, &at) != 4)
        fail_msg("%s", line);
    if (net[0] != name) return false;
    for (int i = 0; i <= NOISE_PROJECTIONS; i++, at += length)
        if (sscanf(line + at, "%lf%n", &expected[i], &length) != 1) fail_msg("%s", line);
    size_t count;
    float *values = values_of(r, first, second, &count);
    const double off = noise_difference(values, count, expected);
    if (!(off <= 1.7 * moved + 0.002))
        fail_msg("net %c, %s %s: off by %.4f; rounding makes %.4f", name, first, second, off,
                 moved);
    free(values);
    return true;
}

static void check_against_pytorch(char name)
{
    run r;
    open_run(&r, name);
    step(&r);
    for (size_t m = 0; m < 2; m++)
        assert_int_equal(dip_net_forward(r.net, m, r.input[m], r.batch, (dip_net_out){r.eval[m]}),
                         DIP_OK);
    FILE *file = fopen(DIP_SOURCE_DIR "/tests/encoder/reference/net.txt", "r");
    assert_non_null(file);
    char line[MAX_LINE];
    size_t lines = 0;
    while (fgets(line, sizeof line, file)) lines += check_line(&r, name, line);
    fclose(file);
    /* every tensor's gradient or running statistic; of each modality the outputs, and z of evaluation */
    const size_t outputs = r.spec.layout_grid ? 4 : 3;
    assert_int_equal(lines, dip_net_tensor_count(r.net) + outputs * 2);
    close_run(&r);
}

static void test_pytorch(void **state)
{
    (void)state;
    check_against_pytorch('a');
    check_against_pytorch('b');
    check_against_pytorch('c');
    check_against_pytorch('d');
}

/* ---- finite differences ---- */

static double loss_of(run *r)
{
    double loss = 0;
    for (size_t m = 0; m < 2; m++) {
        dip_net_forward_train(r->net, m, r->input[m], r->batch, 0, r->out[m]);
        for (int p = 0; p < DIP_OUTPUTS; p++)
            for (size_t i = 0; i < output_count(r, p); i++)
                loss += (double)r->out[m][p][i] * r->gradient[m][p][i];
    }
    return loss;
}

/*
 * How far to go along a gradient, relative to the tensor's norm: biases need the most to stand out of the rounding of
 * activations, matrices bend the loss soonest.
 */
static double slope_distance(const dip_tensor *t)
{
    switch (t->kind) {
    case DIP_TENSOR_CONV:
    case DIP_TENSOR_LINEAR: return 0.01;
    case DIP_TENSOR_NORM_WEIGHT: return 0.04;
    default: return 0.16;
    }
}

static double norm_of(const float *values, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += (double)values[i] * values[i];
    return sqrt(squares);
}

/* Slope of the loss along a tensor's own gradient, over the gradient's norm. */
static double slope_ratio(run *r, const dip_tensor *t)
{
    float *params = dip_net_params(r->net) + t->param_offset;
    const float *g = dip_net_grads(r->net) + t->param_offset;
    const double distance = slope_distance(t) * norm_of(params, t->param_count);
    const double norm = norm_of(g, t->param_count);
    float *save = malloc(t->param_count * sizeof *save);
    double loss[2];
    memcpy(save, params, t->param_count * sizeof *save);
    for (int side = 0; side < 2; side++) {
        const double factor = (side ? -distance : distance) / norm;
        for (size_t i = 0; i < t->param_count; i++) params[i] = save[i] + (float)(factor * g[i]);
        dip_net_refresh(r->net);
        loss[side] = loss_of(r);
    }
    memcpy(params, save, t->param_count * sizeof *save);
    free(save);
    return (loss[0] - loss[1]) / (2 * distance * norm);
}

/* Every `stride`-th tensor. */
static void check_slopes(char name, size_t stride)
{
    run r;
    open_run(&r, name);
    step(&r);
    for (size_t i = 0; i < dip_net_tensor_count(r.net); i += stride) {
        const dip_tensor *t = dip_net_tensor(r.net, i);
        if (t->param_offset == SIZE_MAX) continue;
        const double ratio = slope_ratio(&r, t);
        /* the slope along a bias is small where the next norm takes shifts out again */
        const double bound = t->kind == DIP_TENSOR_NORM_BIAS ? 0.3 : 0.15;
        if (!(fabs(ratio - 1) < bound)) fail_msg("%c %s: slope ratio %.3f", name, t->name, ratio);
    }
    close_run(&r);
}

static void test_finite_differences(void **state)
{
    (void)state;
    check_slopes('a', 1);
    check_slopes('b', 4);
    check_slopes('c', 4);
    check_slopes('d', 2);
}

/* ---- properties ---- */

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (const char *name = "abcd"; *name; name++) {
        run r[3];
        for (unsigned t = 0; t < 3; t++) {
            dip_threads_set(t + 1);
            open_run(&r[t], *name);
            step(&r[t]);
        }
        const size_t params = dip_net_param_count(r[0].net);
        for (unsigned t = 1; t < 3; t++) {
            assert_memory_equal(dip_net_grads(r[t].net), dip_net_grads(r[0].net),
                                params * sizeof(float));
            for (size_t m = 0; m < 2; m++)
                for (int p = 0; p < DIP_OUTPUTS; p++)
                    assert_memory_equal(r[t].out[m][p], r[0].out[m][p],
                                        output_count(&r[0], p) * sizeof(float));
        }
        for (unsigned t = 0; t < 3; t++) close_run(&r[t]);
    }
    dip_threads_set(0);
}

static void test_step_allocates_nothing(void **state)
{
    (void)state;
    run r;
    open_run(&r, 'a');
    step(&r); /* starts the pool */
    dip_mem_fail_after(1);
    step(&r);
    dip_net_refresh(r.net);
    assert_null(dip_alloc(1)); /* the first allocation since */
    close_run(&r);
}

static void test_gradients_add_up(void **state)
{
    (void)state;
    run r;
    open_run(&r, 'a');
    step(&r);
    const size_t n = dip_net_param_count(r.net);
    float *once = malloc(n * sizeof *once);
    memcpy(once, dip_net_grads(r.net), n * sizeof *once);
    step(&r);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(dip_net_grads(r.net)[i] - 2 * once[i]) <= 1e-5f * fabsf(once[i]) + 1e-6f);
    free(once);
    close_run(&r);
}

/* Padding of a row of weights has no gradient, so an optimiser leaves it zero. */
static void test_padding_has_no_gradient(void **state)
{
    (void)state;
    run r;
    open_run(&r, 'b');
    step(&r);
    const dip_tensor *stem = dip_net_tensor(r.net, 0);
    const size_t row = stem->param_count / stem->shape[0], used = stem->count / stem->shape[0];
    assert_true(row > used);
    for (size_t i = 0; i < stem->param_count; i++)
        if (i % row >= used) assert_float_equal(dip_net_grads(r.net)[stem->param_offset + i], 0, 0);
    close_run(&r);
}

static void test_order_is_checked(void **state)
{
    (void)state;
    run r;
    open_run(&r, 'a');
    assert_int_equal(dip_net_backward(r.net, 0, r.gradient[0]), DIP_EINVAL);
    step(&r);
    assert_int_equal(dip_net_forward(r.net, 0, r.input[0], r.batch, r.out[0]), DIP_OK);
    assert_int_equal(dip_net_backward(r.net, 0, r.gradient[0]), DIP_EINVAL);
    assert_int_equal(dip_net_backward(r.net, 1, r.gradient[1]), DIP_OK);
    assert_int_equal(dip_net_backward(r.net, 2, r.gradient[1]), DIP_EINVAL);
    close_run(&r);
}

/* ---- frozen encoders ---- */

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* Of a frozen encoder nothing moves but head and layout; as the layout is linear, its weights times their gradient are
 * its values times theirs. */
static void test_frozen(void **state)
{
    (void)state;
    size_t batch;
    dip_net_spec spec = spec_of('b', &batch);
    spec.layout_grid = 2;
    spec.layout_channels = 5;
    spec.layout_centred = true;
    run r;
    open_spec(&r, spec, batch);
    dip_net_freeze(r.net, 0);
    step(&r);
    for (size_t i = 0; i < dip_net_tensor_count(r.net); i++) {
        const dip_tensor *t = dip_net_tensor(r.net, i);
        if (t->param_offset == SIZE_MAX) continue;
        const bool head = t->kind == DIP_TENSOR_LINEAR || t->kind == DIP_TENSOR_LINEAR_BIAS;
        float *gradient = calloc(t->count, sizeof *gradient);
        float *weight = calloc(t->count, sizeof *weight);
        dip_net_tensor_grad(r.net, i, gradient);
        dip_net_tensor_get(r.net, i, weight);
        assert_int_equal(dot(gradient, gradient, t->count) > 0, t->owner != 0 || head);
        if (t->owner == 0 && strstr(t->name, "layout.weight")) {
            const size_t values = output_count(&r, DIP_LAYOUT);
            const double want = dot(r.out[0][DIP_LAYOUT], r.gradient[0][DIP_LAYOUT], values);
            assert_float_equal(dot(weight, gradient, t->count), want, 1e-3 * fabs(want));
        }
        free(gradient), free(weight);
    }
    close_run(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch),
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_step_allocates_nothing),
        cmocka_unit_test(test_gradients_add_up),
        cmocka_unit_test(test_padding_has_no_gradient),
        cmocka_unit_test(test_order_is_checked),
        cmocka_unit_test(test_frozen),
    };
#ifdef __SANITIZE_THREAD__ /* the rest is arithmetic, at a tenth of the speed */
    cmocka_set_test_filter("*threads*");
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
