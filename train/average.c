/* Moving average of a net; see average.h. Running statistics lie one tensor after the other, in the net's order. */
#include "train/average.h"

#include "core/mem.h"
#include "core/status.h"
#include "train/optimiser.h"

#include <string.h>

struct dip_average {
    dip_net *net;
    float *params, *running;
    float *current; /* the net's running statistics, read out */
    size_t running_count;
};

static bool is_running(const dip_tensor *tensor)
{
    return tensor->kind == DIP_TENSOR_RUNNING_MEAN || tensor->kind == DIP_TENSOR_RUNNING_VAR;
}

static void read_running(const dip_net *net, float *out)
{
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const dip_tensor *tensor = dip_net_tensor(net, i);
        if (!is_running(tensor)) continue;
        dip_net_tensor_get(net, i, out);
        out += tensor->count;
    }
}

static void write_running(dip_net *net, const float *in)
{
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const dip_tensor *tensor = dip_net_tensor(net, i);
        if (!is_running(tensor)) continue;
        dip_net_tensor_set(net, i, in);
        in += tensor->count;
    }
}

dip_status dip_average_create(dip_average **out, dip_net *net)
{
    dip_average *average = dip_calloc(1, sizeof *average);
    if (!average) return DIP_ENOMEM;
    average->net = net;
    for (size_t i = 0; i < dip_net_tensor_count(net); i++)
        if (is_running(dip_net_tensor(net, i)))
            average->running_count += dip_net_tensor(net, i)->count;
    average->params = dip_alloc(dip_net_param_count(net) * sizeof(float));
    average->running = dip_alloc(average->running_count * sizeof(float));
    average->current = dip_alloc(average->running_count * sizeof(float));
    if (!average->params || !average->running || !average->current) {
        dip_average_destroy(average);
        return DIP_ENOMEM;
    }
    dip_average_reset(average);
    *out = average;
    return DIP_OK;
}

void dip_average_destroy(dip_average *average)
{
    if (!average) return;
    dip_free(average->params);
    dip_free(average->running);
    dip_free(average->current);
    dip_free(average);
}

void dip_average_reset(dip_average *average)
{
    memcpy(average->params, dip_net_params(average->net),
           dip_net_param_count(average->net) * sizeof(float));
    read_running(average->net, average->running);
}

void dip_average_step(dip_average *average, double decay)
{
    dip_average_update(average->params, dip_net_params(average->net),
                       dip_net_param_count(average->net), decay);
    read_running(average->net, average->current);
    dip_average_update(average->running, average->current, average->running_count, decay);
}

static void exchange(float *a, float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

void dip_average_swap(dip_average *average)
{
    exchange(average->params, dip_net_params(average->net), dip_net_param_count(average->net));
    read_running(average->net, average->current);
    write_running(average->net, average->running);
    memcpy(average->running, average->current, average->running_count * sizeof(float));
}

float *dip_average_params(dip_average *average) { return average->params; }

float *dip_average_running(dip_average *average, size_t *count)
{
    *count = average->running_count;
    return average->running;
}
