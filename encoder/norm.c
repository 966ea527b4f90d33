/* Batch norm; see norm.h. Statistics in double, from float32 sums of a task each. */
#include "encoder/norm.h"

#include <math.h>

static const double EPSILON = 1e-5; /* as in PyTorch */

enum { ARRAYS = 9 };

size_t dip_norm_floats(uint32_t channels) { return (size_t)ARRAYS * channels; }

void dip_norm_place(dip_norm *norm, float *memory)
{
    float **arrays[] = {&norm->running_mean, &norm->running_var, &norm->scale, &norm->shift,
                        &norm->mean,         &norm->inv_std,     &norm->slopes};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = memory + i * norm->channels;
}

void dip_norm_use_batch(dip_norm *norm, const float *params, const double *sums, double count,
                        float momentum)
{
    for (uint32_t c = 0; c < norm->channels; c++) {
        double mean = sums[c] / count, var = sums[norm->channels + c] / count - mean * mean;
        if (var < 0) var = 0;
        double inv_std = 1 / sqrt(var + EPSILON);
        double unbiased = count > 1 ? var * count / (count - 1) : var;
        norm->mean[c] = (float)mean;
        norm->inv_std[c] = (float)inv_std;
        norm->scale[c] = (float)(params[norm->weight + c] * inv_std);
        norm->shift[c] =
            (float)(params[norm->bias + c] - mean * params[norm->weight + c] * inv_std);
        norm->running_mean[c] += momentum * ((float)mean - norm->running_mean[c]);
        norm->running_var[c] += momentum * ((float)unbiased - norm->running_var[c]);
    }
}

void dip_norm_use_running(dip_norm *norm, const float *params)
{
    for (uint32_t c = 0; c < norm->channels; c++) {
        double scale = params[norm->weight + c] / sqrt(norm->running_var[c] + EPSILON);
        norm->scale[c] = (float)scale;
        norm->shift[c] = (float)(params[norm->bias + c] - norm->running_mean[c] * scale);
    }
}

void dip_norm_backward(dip_norm *norm, const float *params, float *grads, const double *sum,
                       const double *sum_raw, double count)
{
    float *k = norm->slopes;
    for (uint32_t c = 0; c < norm->channels; c++) {
        const double mean = norm->mean[c], inv_std = norm->inv_std[c];
        /* sum of g times the normalised value */
        const double sum_normal = (sum_raw[c] - mean * sum[c]) * inv_std;
        grads[norm->bias + c] += (float)sum[c];
        grads[norm->weight + c] += (float)sum_normal;
        const double scale = params[norm->weight + c] * inv_std;
        const double along = -scale * sum_normal / count * inv_std;
        k[c] = (float)scale;
        k[norm->channels + c] = (float)along;
        k[2 * norm->channels + c] = (float)(-scale * sum[c] / count - along * mean);
    }
}
