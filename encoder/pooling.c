/*
 * Pooling; see pooling.h. Plain C: the activations pooled are a small share of all. Values below LEAST count as LEAST in
 * the generalised mean, so that it has a slope at an image of zeros; a NaN comes out.
 */
#include "encoder/pooling.h"

#include <math.h>

static const float least = 1e-6f;

static void gem_forward(const dip_pooling_job *job, const dip_bf16 *in, float *out)
{
    const float share = 1.0f / (float)job->pixels;
    for (size_t c = 0; c < job->channels; c++) out[c] = 0;
    for (size_t i = 0; i < job->pixels; i++, in += job->channels)
        for (size_t c = 0; c < job->channels; c++) {
            const float x = dip_bf16_float(in[c]), y = x < least ? least : x;
            out[c] += y * y * y;
        }
    for (size_t c = 0; c < job->channels; c++) out[c] = cbrtf(out[c] * share);
}

void dip_pooling_forward(const dip_pooling_job *job, const dip_bf16 *in, float *out)
{
    if (job->kind == DIP_POOLING_GEM)
        gem_forward(job, in, out);
    else
        job->loops->mean(in, job->pixels, job->channels, out);
}

/* d out / d in is (in / out)^2 / pixels in the generalised mean. */
void dip_pooling_backward(const dip_pooling_job *job, const dip_pooling_slope *slope, bool add,
                          dip_bf16 *to)
{
    const float share = 1.0f / (float)job->pixels;
    const bool gem = job->kind == DIP_POOLING_GEM;
    const dip_bf16 *in = slope->in;
    if (!gem && !add) {
        job->loops->mean_backward(slope->gradient, job->pixels, job->channels, to);
        return;
    }
    for (size_t i = 0; i < job->pixels; i++, in += job->channels, to += job->channels)
        for (size_t c = 0; c < job->channels; c++) {
            const float x = dip_bf16_float(in[c]), ratio = x < least ? 0 : x / slope->out[c];
            const float d = slope->gradient[c] * share * (gem ? ratio * ratio : 1);
            to[c] = dip_bf16_round(add ? dip_bf16_float(to[c]) + d : d);
        }
}
