/* Plain operators; see support_reference.h. */
#include "support_reference.h"

#include <math.h>
#include <stdlib.h>

const dip_kernel *body_at(size_t position)
{
    size_t found = 0;
    for (size_t i = 0; dip_kernel_at(i); i++)
        if (dip_kernel_at(i)->usable(dip_cpu_get()) && found++ == position) return dip_kernel_at(i);
    return position == found ? &dip_kernel_amx_emulated : NULL;
}

dip_bf16 *random_bf16(dip_rng *rng, size_t n)
{
    dip_bf16 *values = malloc(n * sizeof *values);
    if (!values) abort();
    for (size_t i = 0; i < n; i++) values[i] = dip_bf16_round((float)dip_rng_normal(rng));
    return values;
}

float *random_float(dip_rng *rng, size_t n)
{
    float *values = malloc(n * sizeof *values);
    if (!values) abort();
    for (size_t i = 0; i < n; i++) values[i] = (float)dip_rng_normal(rng);
    return values;
}

double *zeros(size_t n)
{
    double *values = calloc(n, sizeof *values);
    if (!values) abort();
    return values;
}

/* One product: output value, input value, weight, as positions. */
typedef void (*product_fn)(void *context, size_t out, size_t in, size_t weight);

static void each_product(const dip_conv *conv, size_t images, product_fn fn, void *context)
{
    const size_t side = dip_conv_out_side(conv), k = conv->kernel, C = conv->in_channels;
    for (size_t p = 0; p < images * side * side; p++)
        for (size_t tap = 0; tap < k * k; tap++) {
            const size_t image = p / (side * side), i = p / side % side, j = p % side;
            const size_t y = i * conv->stride + tap / k - k / 2;
            const size_t x = j * conv->stride + tap % k - k / 2;
            if (y >= conv->in_side || x >= conv->in_side) continue; /* wraps below zero */
            const size_t in = ((image * conv->in_side + y) * conv->in_side + x) * C;
            for (size_t n = 0; n < conv->out_channels; n++)
                for (size_t c = 0; c < C; c++)
                    fn(context, p * conv->out_channels + n, in + c,
                       n * dip_conv_row(conv) + tap * C + c);
        }
}

typedef struct operands {
    const dip_bf16 *in, *gradient;
    const float *weights;
    double *result, *magnitude;
} operands;

static double rounded(float value) { return dip_bf16_float(dip_bf16_round(value)); }

static void add(const operands *o, size_t at, double product)
{
    o->result[at] += product;
    o->magnitude[at] += fabs(product);
}

static void forward_product(void *context, size_t out, size_t in, size_t weight)
{
    const operands *o = context;
    add(o, out, (double)dip_bf16_float(o->in[in]) * rounded(o->weights[weight]));
}

static void data_product(void *context, size_t out, size_t in, size_t weight)
{
    const operands *o = context;
    add(o, in, (double)dip_bf16_float(o->gradient[out]) * rounded(o->weights[weight]));
}

static void weights_product(void *context, size_t out, size_t in, size_t weight)
{
    const operands *o = context;
    add(o, weight, (double)dip_bf16_float(o->gradient[out]) * dip_bf16_float(o->in[in]));
}

void reference_conv(const dip_conv *conv, size_t images, const dip_bf16 *in, const float *weights,
                    double *out, double *magnitude)
{
    operands o = {.in = in, .weights = weights, .result = out, .magnitude = magnitude};
    each_product(conv, images, forward_product, &o);
}

void reference_conv_data(const dip_conv *conv, size_t images, const dip_bf16 *gradient,
                         const float *weights, double *in_gradient, double *magnitude)
{
    operands o = {
        .gradient = gradient, .weights = weights, .result = in_gradient, .magnitude = magnitude};
    each_product(conv, images, data_product, &o);
}

void reference_conv_weights(const dip_conv *conv, size_t images, const dip_bf16 *in,
                            const dip_bf16 *gradient, double *weight_gradient, double *magnitude)
{
    operands o = {
        .in = in, .gradient = gradient, .result = weight_gradient, .magnitude = magnitude};
    each_product(conv, images, weights_product, &o);
}

double reference_pool(const dip_bf16 *raw, const float *scale, const float *shift, size_t side,
                      size_t channels, size_t row, size_t column, size_t channel, long *chosen)
{
    double best = 0;
    *chosen = -1;
    for (long y = 2 * (long)row - 1; y <= 2 * (long)row + 1; y++)
        for (long x = 2 * (long)column - 1; x <= 2 * (long)column + 1; x++) {
            if (y < 0 || x < 0 || y >= (long)side || x >= (long)side) continue;
            const size_t at = (size_t)y * side + (size_t)x;
            double v = (double)scale[channel] * dip_bf16_float(raw[at * channels + channel]) +
                       shift[channel];
            if (v > best) {
                best = v;
                *chosen = (long)at;
            }
        }
    return best;
}

bool near_float(float got, double want, double magnitude)
{
    return fabs(got - want) <= 2e-6 * (magnitude + fabs(want)) + 1e-30;
}

bool near_bf16(dip_bf16 got, double want, double magnitude)
{
    return fabs(dip_bf16_float(got) - want) <= fabs(want) / 256 + 2e-6 * magnitude + 1e-30;
}
