/* Plain operators; see support_reference.h. */
#include "support_reference.h"

#include <math.h>
#include <stdlib.h>

static const dip_kernel emulated = {&dip_product_amx_emulated, &dip_loops_plain};

const dip_kernel *body_at(size_t position)
{
    size_t found = 0;
    for (size_t i = 0; dip_kernel_at(i); i++)
        if (dip_kernel_at(i)->product->usable(dip_cpu_get()) && found++ == position)
            return dip_kernel_at(i);
    return position == found ? &emulated : NULL;
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

/* A pixel of the output, a tap that meets the image, the pixel of the input under it. */
typedef struct meeting {
    size_t out, in, weight; /* first value of the pixels; first weight of the tap */
} meeting;

/* The next one; `at` counts pixels and taps. False at the end. */
static bool next_meeting(const dip_conv *conv, size_t images, size_t *at, meeting *m)
{
    const size_t side = dip_conv_out_side(conv), k = conv->kernel;
    for (; *at < images * side * side * k * k; ++*at) {
        const size_t pixel = *at / (k * k), tap = *at % (k * k);
        const size_t i = pixel / side % side, j = pixel % side;
        const size_t y = i * conv->stride + tap / k - k / 2;
        const size_t x = j * conv->stride + tap % k - k / 2;
        if (y >= conv->in_side || x >= conv->in_side) continue; /* wraps below zero */
        const size_t row = pixel / (side * side) * conv->in_side + y;
        m->in = (row * conv->in_side + x) * conv->in_channels;
        m->out = pixel * conv->out_channels;
        m->weight = tap * conv->in_channels;
        ++*at;
        return true;
    }
    return false;
}

static double *widened(const dip_bf16 *values, size_t n)
{
    double *wide = zeros(n);
    for (size_t i = 0; i < n; i++) wide[i] = dip_bf16_float(values[i]);
    return wide;
}

static double *widened_weights(const dip_conv *conv, const float *weights)
{
    const size_t n = conv->out_channels * dip_conv_row(conv);
    double *wide = zeros(n);
    for (size_t i = 0; i < n; i++) wide[i] = dip_bf16_float(dip_bf16_round(weights[i]));
    return wide;
}

static size_t in_values(const dip_conv *conv, size_t images)
{
    return images * conv->in_side * conv->in_side * conv->in_channels;
}

static size_t out_values(const dip_conv *conv, size_t images)
{
    const size_t side = dip_conv_out_side(conv);
    return images * side * side * conv->out_channels;
}

void reference_conv(const dip_conv *conv, size_t images, const dip_bf16 *in, const float *weights,
                    double *out, double *magnitude)
{
    double *x = widened(in, in_values(conv, images)), *w = widened_weights(conv, weights);
    meeting m;
    for (size_t at = 0; next_meeting(conv, images, &at, &m);)
        for (size_t n = 0; n < conv->out_channels; n++) {
            const double *row = w + n * dip_conv_row(conv) + m.weight;
            double sum = 0, size = 0;
            for (size_t c = 0; c < conv->in_channels; c++) {
                sum += x[m.in + c] * row[c];
                size += fabs(x[m.in + c] * row[c]);
            }
            out[m.out + n] += sum;
            magnitude[m.out + n] += size;
        }
    free(x), free(w);
}

void reference_conv_data(const dip_conv *conv, size_t images, const dip_bf16 *gradient,
                         const float *weights, double *in_gradient, double *magnitude)
{
    double *g = widened(gradient, out_values(conv, images)), *w = widened_weights(conv, weights);
    const size_t depth = dip_conv_row(conv);
    meeting m;
    for (size_t at = 0; next_meeting(conv, images, &at, &m);)
        for (size_t c = 0; c < conv->in_channels; c++) {
            const double *column = w + m.weight + c;
            double sum = 0, size = 0;
            for (size_t n = 0; n < conv->out_channels; n++) {
                sum += g[m.out + n] * column[n * depth];
                size += fabs(g[m.out + n] * column[n * depth]);
            }
            in_gradient[m.in + c] += sum;
            magnitude[m.in + c] += size;
        }
    free(g), free(w);
}

void reference_conv_weights(const dip_conv *conv, size_t images, const dip_bf16 *in,
                            const dip_bf16 *gradient, double *weight_gradient, double *magnitude)
{
    double *x = widened(in, in_values(conv, images));
    double *g = widened(gradient, out_values(conv, images));
    meeting m;
    for (size_t at = 0; next_meeting(conv, images, &at, &m);)
        for (size_t n = 0; n < conv->out_channels; n++) {
            const size_t row = n * dip_conv_row(conv) + m.weight;
            const double factor = g[m.out + n];
            for (size_t c = 0; c < conv->in_channels; c++) {
                weight_gradient[row + c] += factor * x[m.in + c];
                magnitude[row + c] += fabs(factor * x[m.in + c]);
            }
        }
    free(x), free(g);
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
