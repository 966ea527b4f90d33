/*
 * Convolution passes against plain loops, for every body and every way that a pass can get at its pixels:
 * kernels, strides, odd sides, channel counts that do and do not fill a step, batches around the sizes of chunks.
 */
#include "support_reference.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "encoder/conv_weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct geometry {
    dip_conv conv; /* in channels, side, out channels, kernel, stride */
    size_t images;
} geometry;

static const geometry geometries[] = {
    /* few input channels: gathered windows */
    {{1, 5, 32, 3, 1}, 3},
    {{1, 17, 32, 3, 2}, 2},
    {{1, 33, 32, 7, 2}, 1},
    {{2, 8, 32, 3, 1}, 5},
    {{2, 33, 64, 3, 1}, 1},
    {{2, 16, 32, 7, 2}, 3},
    {{3, 7, 96, 3, 1}, 4},
    {{3, 24, 32, 3, 2}, 2},
    {{3, 15, 64, 7, 1}, 1},
    {{10, 9, 32, 3, 1}, 2},
    {{10, 12, 64, 3, 2}, 3},
    {{10, 13, 32, 7, 2}, 2},
    {{12, 16, 32, 3, 1}, 1},
    {{12, 21, 64, 7, 2}, 1},
    {{12, 6, 32, 1, 1}, 5},
    {{1, 9, 32, 1, 2}, 4},
    {{33, 6, 32, 3, 1}, 2},
    {{64, 5, 32, 7, 1}, 1},
    /* wide maps: runs; widths that do and do not fill sixteen */
    {{32, 16, 32, 3, 1}, 2},
    {{32, 17, 64, 3, 1}, 1},
    {{32, 30, 32, 3, 1}, 1},
    {{32, 33, 32, 3, 2}, 1},
    {{64, 20, 32, 3, 1}, 1},
    {{64, 33, 32, 1, 2}, 2},
    {{96, 16, 32, 1, 1}, 3},
    {{32, 17, 32, 7, 1}, 1},
    {{32, 34, 64, 3, 2}, 1},
    {{32, 50, 32, 3, 1}, 1},
    /* narrow maps, few images: gathered; a tail after the chunks of sixteen */
    {{32, 5, 32, 3, 1}, 1},
    {{32, 8, 64, 3, 2}, 3},
    {{64, 7, 32, 3, 1}, 5},
    {{64, 2, 96, 3, 1}, 15},
    {{32, 6, 32, 1, 2}, 4},
    {{96, 5, 32, 1, 1}, 2},
    {{32, 9, 32, 7, 2}, 2},
    {{32, 1, 32, 3, 1}, 7},
    {{32, 3, 32, 3, 2}, 37},
    {{32, 4, 64, 3, 1}, 51},
    /* narrow maps, images in sixteens */
    {{32, 5, 32, 3, 1}, 16},
    {{32, 8, 32, 3, 1}, 32},
    {{32, 5, 64, 3, 2}, 48},
    {{64, 3, 96, 3, 1}, 64},
    {{64, 2, 32, 3, 2}, 80},
    {{96, 3, 32, 1, 1}, 32},
    {{32, 5, 64, 1, 2}, 48},
    {{32, 4, 32, 7, 1}, 16},
    {{32, 1, 32, 3, 1}, 32},
    {{32, 2, 32, 7, 2}, 16},
    {{32, 9, 32, 3, 1}, 16},
};

enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

typedef struct fixture {
    const geometry *g;
    dip_conv_pass forward, backward[DIP_MAX_CLASSES];
    unsigned classes; /* 0: no backward-data */
    size_t in_values, out_values, weights;
    dip_bf16 *in, *gradient;
    float *w;
    size_t scratch; /* bytes that the passes ask for; GUARD more follow */
    dip_workspace workspace;
} fixture;

enum { GUARD = 512, GUARD_BYTE = 0x5a };

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void set_up(fixture *f, const geometry *g)
{
    const dip_conv *conv = &g->conv;
    const size_t side = dip_conv_out_side(conv), row = dip_conv_row(conv);
    dip_rng rng;
    dip_rng_init(&rng, 11, (uint64_t)(g - geometries));
    *f = (fixture){.g = g};
    f->in_values = g->images * conv->in_side * conv->in_side * conv->in_channels;
    f->out_values = g->images * side * side * conv->out_channels;
    f->weights = conv->out_channels * row;
    f->in = random_bf16(&rng, f->in_values);
    f->gradient = random_bf16(&rng, f->out_values);
    f->w = random_float(&rng, f->weights);
    const size_t used = (size_t)conv->kernel * conv->kernel * conv->in_channels;
    for (size_t i = 0; i < f->weights; i++)
        if (i % row >= used) f->w[i] = 0;
    dip_conv_forward_pass(&f->forward, conv);
    size_t scratch = larger(dip_conv_scratch(&f->forward), dip_conv_weights_scratch(&f->forward));
    size_t partials = dip_conv_partials(&f->forward, g->images);
    if (conv->in_channels % 32 == 0) f->classes = dip_conv_backward_passes(f->backward, conv);
    for (unsigned c = 0; c < f->classes; c++) {
        scratch = larger(scratch, dip_conv_scratch(&f->backward[c]));
        partials = larger(partials, dip_conv_partials(&f->backward[c], g->images));
    }
    f->scratch = scratch;
    assert_int_equal(dip_workspace_init(&f->workspace, scratch + GUARD, partials), DIP_OK);
    for (unsigned w = 0; w < f->workspace.workers; w++)
        memset((char *)dip_workspace_scratch(&f->workspace, w) + scratch, GUARD_BYTE, GUARD);
}

/* Nobody wrote past the scratch that was asked for. */
static void check_guards(const fixture *f)
{
    for (unsigned w = 0; w < f->workspace.workers; w++) {
        const char *guard = (char *)dip_workspace_scratch(&f->workspace, w) + f->scratch;
        for (size_t i = 0; i < GUARD; i++) assert_int_equal(guard[i], GUARD_BYTE);
    }
}

static void tear_down(fixture *f)
{
    check_guards(f);
    dip_workspace_fini(&f->workspace);
    free(f->in);
    free(f->gradient);
    free(f->w);
}

static void explain(const fixture *f, const char *what, size_t at, double got, double want)
{
    const dip_conv *c = &f->g->conv;
    print_error(
        "%s, body %s: %u->%u channels, side %u, kernel %u, stride %u, %zu images: value %zu "
        "is %.9g, must be %.9g\n",
        what, f->workspace.kernel->product->name, c->in_channels, c->out_channels, c->in_side,
        c->kernel, c->stride, f->g->images, at, got, want);
    fail();
}

static void check_bf16(const fixture *f, const char *what, const dip_bf16 *got, const double *want,
                       const double *magnitude, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!near_bf16(got[i], want[i], magnitude[i]))
            explain(f, what, i, dip_bf16_float(got[i]), want[i]);
}

/* ---- forward, and its sums ---- */

static void run_forward(const fixture *f, dip_finish finish, dip_bf16 *out, double *sums)
{
    const size_t N = f->g->conv.out_channels;
    dip_bf16 *panels = malloc(dip_conv_pass_panels(&f->forward) * sizeof *panels);
    for (size_t n = 0; n < N; n += DIP_BLOCK)
        dip_conv_pack_forward(f->workspace.kernel->product, &f->g->conv, f->w, NULL, n, panels);
    const dip_conv_job job = {.pass = &f->forward,
                              .in = f->in,
                              .panels = panels,
                              .out = out,
                              .images = f->g->images,
                              .finish = finish,
                              .sums = sums};
    dip_conv_run(&f->workspace, &job);
    free(panels);
}

static void check_sums(const fixture *f, const double *sums, const double *out)
{
    const size_t N = f->g->conv.out_channels;
    for (size_t n = 0; n < N; n++) {
        double sum = 0, square = 0, scale = 0;
        for (size_t i = n; i < f->out_values; i += N) {
            sum += out[i];
            scale += fabs(out[i]);
            square += out[i] * out[i];
        }
        if (!near_float((float)sums[n], sum, 8 * scale)) explain(f, "sum", n, sums[n], sum);
        if (!near_float((float)sums[N + n], square, 8 * square))
            explain(f, "sum of squares", n, sums[N + n], square);
    }
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t g = 0; g < GEOMETRIES; g++) {
        fixture f;
        set_up(&f, &geometries[g]);
        double *want = zeros(f.out_values), *magnitude = zeros(f.out_values);
        double *sums = zeros(2 * f.g->conv.out_channels);
        dip_bf16 *out = malloc(f.out_values * sizeof *out);
        reference_conv(&f.g->conv, f.g->images, f.in, f.w, want, magnitude);
        for (size_t b = 0; body_at(b); b++) {
            f.workspace.kernel = body_at(b);
            run_forward(&f, (dip_finish){.kind = DIP_FINISH_SUMS}, out, sums);
            check_bf16(&f, "forward", out, want, magnitude, f.out_values);
            check_sums(&f, sums, want);
        }
        free(want), free(magnitude), free(sums), free(out);
        tear_down(&f);
    }
}

/* ---- backward-data ---- */

static void run_data(const fixture *f, dip_finish finish, dip_bf16 *out)
{
    const size_t C = f->g->conv.in_channels;
    for (unsigned c = 0; c < f->classes; c++) {
        const dip_conv_pass *pass = &f->backward[c];
        dip_bf16 *panels = malloc(dip_conv_pass_panels(pass) * sizeof *panels);
        for (size_t n = 0; n < C; n += DIP_BLOCK)
            dip_conv_pack_backward(f->workspace.kernel->product, &f->g->conv, pass, f->w, n,
                                   panels);
        const dip_conv_job job = {.pass = pass,
                                  .in = f->gradient,
                                  .panels = panels,
                                  .out = out,
                                  .images = f->g->images,
                                  .finish = finish};
        dip_conv_run(&f->workspace, &job);
        free(panels);
    }
}

/* Added to what is there, so that pixels that no tap reaches keep their value. */
static void test_backward_data(void **state)
{
    (void)state;
    for (size_t g = 0; g < GEOMETRIES; g++) {
        fixture f;
        set_up(&f, &geometries[g]);
        double *want = zeros(f.in_values), *magnitude = zeros(f.in_values);
        dip_bf16 *out = malloc(f.in_values * sizeof *out);
        if (f.classes)
            reference_conv_data(&f.g->conv, f.g->images, f.gradient, f.w, want, magnitude);
        for (size_t i = 0; i < f.in_values; i++) {
            want[i] += dip_bf16_float(f.in[i]);
            magnitude[i] += fabs(dip_bf16_float(f.in[i]));
        }
        for (size_t b = 0; body_at(b) && f.classes; b++) {
            f.workspace.kernel = body_at(b);
            memcpy(out, f.in, f.in_values * sizeof *out);
            run_data(&f, (dip_finish){.kind = DIP_FINISH_ADD}, out);
            check_bf16(&f, "backward-data", out, want, magnitude, f.in_values);
        }
        free(want), free(magnitude), free(out);
        tear_down(&f);
    }
}

/* ---- backward-weights ---- */

static float *run_weights(const fixture *f)
{
    float *grads = calloc(f->weights, sizeof *grads);
    float *sums = malloc(dip_conv_weights_sums(&f->forward) * sizeof *sums);
    const dip_conv_weights_job job = {.pass = &f->forward,
                                      .in = f->in,
                                      .gradient = f->gradient,
                                      .images = f->g->images,
                                      .sums = sums,
                                      .grads = grads};
    dip_conv_weights_run(&f->workspace, &job);
    free(sums);
    return grads;
}

/* The padding of a row has a reference of exactly zero, and a magnitude of zero. */
static void test_backward_weights(void **state)
{
    (void)state;
    for (size_t g = 0; g < GEOMETRIES; g++) {
        fixture f;
        set_up(&f, &geometries[g]);
        double *want = zeros(f.weights), *magnitude = zeros(f.weights);
        reference_conv_weights(&f.g->conv, f.g->images, f.in, f.gradient, want, magnitude);
        for (size_t b = 0; body_at(b); b++) {
            f.workspace.kernel = body_at(b);
            float *grads = run_weights(&f);
            for (size_t i = 0; i < f.weights; i++)
                if (!near_float(grads[i], want[i], magnitude[i]))
                    explain(&f, "backward-weights", i, grads[i], want[i]);
            free(grads);
        }
        free(want), free(magnitude);
        tear_down(&f);
    }
}

/* ---- the finishes that batch norm folded and ReLU need ---- */

static void test_finish_with_bias_residual_and_relu(void **state)
{
    (void)state;
    for (size_t g = 18; g < GEOMETRIES; g += 7) {
        fixture f;
        set_up(&f, &geometries[g]);
        const size_t N = f.g->conv.out_channels;
        double *want = zeros(f.out_values), *magnitude = zeros(f.out_values);
        dip_rng rng;
        dip_rng_init(&rng, 3, g);
        float *bias = random_float(&rng, N);
        dip_bf16 *out = malloc(f.out_values * sizeof *out);
        reference_conv(&f.g->conv, f.g->images, f.in, f.w, want, magnitude);
        for (size_t i = 0; i < f.out_values; i++) {
            want[i] += bias[i % N] + dip_bf16_float(f.gradient[i]);
            if (want[i] < 0) want[i] = 0;
            magnitude[i] += fabs(bias[i % N]) + fabs(dip_bf16_float(f.gradient[i]));
        }
        for (size_t b = 0; body_at(b); b++) {
            f.workspace.kernel = body_at(b);
            run_forward(
                &f,
                (dip_finish){
                    .kind = DIP_FINISH_BIAS, .relu = true, .shift = bias, .residual = f.gradient},
                out, NULL);
            check_bf16(&f, "bias, residual, ReLU", out, want, magnitude, f.out_values);
        }
        free(want), free(magnitude), free(bias), free(out);
        tear_down(&f);
    }
}

/* out = g where scale * raw + shift > 0; sums of g and of g * raw. `gradient` serves as raw. */
static void test_finish_with_mask(void **state)
{
    (void)state;
    for (size_t g = 18; g < GEOMETRIES; g += 5) {
        fixture f;
        set_up(&f, &geometries[g]);
        const size_t N = f.g->conv.out_channels;
        double *want = zeros(f.out_values), *magnitude = zeros(f.out_values), *sums = zeros(2 * N);
        dip_rng rng;
        dip_rng_init(&rng, 4, g);
        float *scale = random_float(&rng, N), *shift = random_float(&rng, N);
        dip_bf16 *out = malloc(f.out_values * sizeof *out);
        reference_conv(&f.g->conv, f.g->images, f.in, f.w, want, magnitude);
        for (size_t i = 0; i < f.out_values; i++)
            if (fmaf(scale[i % N], dip_bf16_float(f.gradient[i]), shift[i % N]) <= 0) want[i] = 0;
        for (size_t b = 0; body_at(b); b++) {
            f.workspace.kernel = body_at(b);
            run_forward(
                &f,
                (dip_finish){
                    .kind = DIP_FINISH_MASK, .raw = f.gradient, .scale = scale, .shift = shift},
                out, sums);
            check_bf16(&f, "mask", out, want, magnitude, f.out_values);
            for (size_t n = 0; n < N; n++) {
                double sum = 0, product = 0, size = 0;
                for (size_t i = n; i < f.out_values; i += N) {
                    sum += want[i];
                    product += want[i] * dip_bf16_float(f.gradient[i]);
                    size += magnitude[i] * (1 + fabs(dip_bf16_float(f.gradient[i])));
                }
                if (!near_float((float)sums[n], sum, size)) explain(&f, "sum", n, sums[n], sum);
                if (!near_float((float)sums[N + n], product, size))
                    explain(&f, "sum of products", n, sums[N + n], product);
            }
        }
        free(want), free(magnitude), free(sums), free(scale), free(shift), free(out);
        tear_down(&f);
    }
}

/* ---- one result, whoever made it ---- */

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (size_t g = 0; g < GEOMETRIES; g += 3) {
        dip_bf16 *out[3];
        float *grads[3];
        double *sums[3];
        fixture f;
        for (unsigned t = 0; t < 3; t++) {
            dip_threads_set(t + 1);
            set_up(&f, &geometries[g]);
            out[t] = malloc(f.out_values * sizeof **out);
            sums[t] = zeros(2 * f.g->conv.out_channels);
            run_forward(&f, (dip_finish){.kind = DIP_FINISH_SUMS}, out[t], sums[t]);
            grads[t] = run_weights(&f);
            tear_down(&f);
        }
        for (unsigned t = 1; t < 3; t++) {
            assert_memory_equal(out[t], out[0], f.out_values * sizeof **out);
            assert_memory_equal(grads[t], grads[0], f.weights * sizeof **grads);
            assert_memory_equal(sums[t], sums[0], 2 * f.g->conv.out_channels * sizeof **sums);
        }
        for (unsigned t = 0; t < 3; t++) free(out[t]), free(grads[t]), free(sums[t]);
    }
    dip_threads_set(0);
}

/* An image alone, gathered, gives the bits that it gives among 32. */
static void test_batch_does_not_matter(void **state)
{
    (void)state;
    geometry many = {{32, 6, 64, 3, 1}, 32}, one = {{32, 6, 64, 3, 1}, 1};
    for (size_t b = 0; body_at(b); b++) {
        fixture f, alone;
        set_up(&f, &many);
        set_up(&alone, &one);
        const size_t image = alone.in_values, result = alone.out_values;
        free(alone.w);
        alone.w = f.w;
        f.workspace.kernel = alone.workspace.kernel = body_at(b);
        dip_bf16 *out = malloc(f.out_values * sizeof *out), *single = malloc(result * sizeof *out);
        run_forward(&f, (dip_finish){.kind = DIP_FINISH_STORE}, out, NULL);
        memcpy(alone.in, f.in + 21 * image, image * sizeof *f.in);
        run_forward(&alone, (dip_finish){.kind = DIP_FINISH_STORE}, single, NULL);
        assert_memory_equal(single, out + 21 * result, result * sizeof *out);
        free(out), free(single);
        alone.w = NULL;
        tear_down(&f);
        tear_down(&alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_backward_weights),
        cmocka_unit_test(test_finish_with_bias_residual_and_relu),
        cmocka_unit_test(test_finish_with_mask),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_batch_does_not_matter),
    };
#ifdef __SANITIZE_THREAD__ /* the rest is arithmetic, at a tenth of the speed */
    cmocka_set_test_filter("*threads*");
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
