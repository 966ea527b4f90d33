/* Life of a net, its parameters and tensors; see net.h. The passes are in net_forward.c and train/backward.c. */
#include "encoder/graph.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <assert.h>
#include <math.h>

dip_status dip_net_create(dip_net **out, const dip_net_spec *spec, size_t max_batch,
                          dip_net_mode mode)
{
    dip_status status = dip_net_spec_check(spec);
    if (status) return status;
    if (max_batch == 0)
        return dip_fail(DIP_EINVAL, "network: max_batch is 0; it must be at least 1");
    dip_net *net = dip_calloc(1, sizeof *net);
    if (!net) return DIP_ENOMEM;
    net->spec = *spec;
    net->max_batch = max_batch;
    net->mode = mode;
    status = dip_graph_build(net);
    if (status) {
        dip_net_destroy(net);
        return status;
    }
    *out = net;
    return DIP_OK;
}

void dip_net_destroy(dip_net *net)
{
    if (!net) return;
    dip_workspace_fini(&net->workspace);
    dip_region_unmap(net->params, net->param_bytes);
    dip_region_unmap(net->grads, net->param_bytes);
    dip_region_unmap(net->arena, net->arena_bytes);
    for (uint32_t m = 0; m < net->spec.modality_count; m++) dip_free(net->tracks[m].blocks);
    dip_free(net->layers);
    dip_free(net->tensors);
    dip_free(net->running);
    dip_free(net->sums);
    dip_free(net);
}

void dip_net_freeze(dip_net *net, size_t modality)
{
    assert(net->mode == DIP_NET_TRAIN && net->spec.shared_from == net->spec.stage_count);
    net->tracks[modality].frozen = true;
}

const dip_net_spec *dip_net_get_spec(const dip_net *net) { return &net->spec; }
size_t dip_net_param_count(const dip_net *net) { return net->param_count; }
float *dip_net_params(dip_net *net) { return net->params; }
float *dip_net_grads(dip_net *net) { return net->grads; }
size_t dip_net_tensor_count(const dip_net *net) { return net->tensor_count; }

const dip_tensor *dip_net_tensor(const dip_net *net, size_t position)
{
    return &net->tensors[position];
}

/* ---- initial values ---- */

static void init_layer(dip_net *net, const dip_tensor *t, dip_rng *rng)
{
    const uint32_t out = t->shape[0], taps = t->shape[2] * t->shape[3];
    const size_t used = (size_t)taps * t->shape[1], row = t->param_count / out;
    const double deviation = sqrt(2.0 / ((double)out * taps));
    for (size_t o = 0; o < out; o++) {
        float *w = net->params + t->param_offset + o * row;
        memset(w, 0, row * sizeof *w);
        for (size_t i = 0; i < used; i++) w[i] = (float)(deviation * dip_rng_normal(rng));
    }
}

/* `out`: rows that are not padding. */
static void init_linear(dip_net *net, const dip_linear *linear, uint32_t out, dip_rng *rng)
{
    const double bound = 1 / sqrt(linear->in);
    float *w = net->params + linear->weight;
    for (size_t i = 0; i < (size_t)linear->in * out; i++)
        w[i] = (float)dip_rng_range(rng, -bound, bound);
    for (size_t o = 0; linear->bias != SIZE_MAX && o < out; o++)
        net->params[linear->bias + o] = (float)dip_rng_range(rng, -bound, bound);
}

static void init_norm(dip_unit *unit, void *context)
{
    dip_net *net = context;
    for (uint32_t c = 0; c < unit->norm.channels; c++) {
        net->params[unit->norm.weight + c] = 1;
        net->params[unit->norm.bias + c] = 0;
        unit->norm.running_mean[c] = 0;
        unit->norm.running_var[c] = 1;
    }
}

void dip_net_init(dip_net *net, dip_rng *rng, bool zero_last)
{
    for (size_t i = 0; i < net->tensor_count; i++)
        if (net->tensors[i].kind == DIP_TENSOR_CONV) init_layer(net, &net->tensors[i], rng);
    for (uint32_t h = 0; h < net->head_count; h++)
        for (uint32_t i = 0; i < net->head_depth; i++)
            init_linear(net, &net->heads[h].layer[i], net->heads[h].layer[i].out, rng);
    for (uint32_t h = 0; h < net->head_count; h++)
        if (net->spec.layout_grid)
            init_linear(net, &net->heads[h].layout, net->spec.layout_channels, rng);
    for (uint32_t m = 0; m < net->spec.modality_count; m++) {
        dip_track_each_unit(net, &net->tracks[m], init_norm, net);
        for (uint32_t b = 0; zero_last && b < net->block_count; b++) {
            const dip_norm *last = &dip_block_last(&net->tracks[m].blocks[b])->norm;
            memset(net->params + last->weight, 0, last->channels * sizeof(float));
        }
    }
    dip_net_refresh(net);
}

/* ---- panels ---- */

/* Tasks are 32 columns of a layer, counted over all layers. */
static size_t layer_tasks(const dip_layer *layer)
{
    const uint32_t in = layer->backward_count ? layer->conv.in_channels : 0;
    return (in > layer->conv.out_channels ? in : layer->conv.out_channels) / DIP_BLOCK;
}

static void pack_columns(const dip_net *net, const dip_layer *layer, size_t first)
{
    const dip_product_body *body = net->workspace.kernel->product;
    const float *weights = net->params + layer->weights;
    if (first < layer->conv.out_channels)
        dip_conv_pack_forward(body, &layer->conv, weights, NULL, first, layer->panels);
    for (unsigned i = 0; i < layer->backward_count && first < layer->conv.in_channels; i++)
        dip_conv_pack_backward(body, &layer->conv, &layer->backward[i], weights, first,
                               layer->backward_panels[i]);
}

static dip_status pack_layer_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const dip_net *net = context;
    const dip_layer *layer = net->layers;
    for (; task >= layer_tasks(layer); layer++) task -= layer_tasks(layer);
    pack_columns(net, layer, task * DIP_BLOCK);
    return DIP_OK;
}

static void pack_layers(dip_net *net)
{
    size_t tasks = 0;
    for (size_t i = 0; i < net->layer_count; i++) tasks += layer_tasks(&net->layers[i]);
    dip_parallel_for(tasks, pack_layer_task, net);
}

typedef struct fold_job {
    const dip_net *net;
    const dip_unit *unit;
} fold_job;

static dip_status fold_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const fold_job *job = context;
    const dip_layer *layer = job->unit->layer;
    dip_conv_pack_forward(job->net->workspace.kernel->product, &layer->conv,
                          job->net->params + layer->weights, job->unit->norm.scale,
                          task * DIP_BLOCK, job->unit->folded);
    return DIP_OK;
}

static void fold_unit(dip_unit *unit, void *context)
{
    const dip_net *net = context;
    fold_job job = {net, unit};
    unit->peak = 0;
    dip_norm_use_running(&unit->norm, net->params);
    dip_parallel_for(unit->layer->conv.out_channels / DIP_BLOCK, fold_task, &job);
}

void dip_net_refresh(dip_net *net)
{
    for (uint32_t h = 0; h < net->head_count; h++) {
        for (uint32_t i = 0; i < net->head_depth; i++)
            dip_linear_refresh(&net->heads[h].layer[i], net->params);
        dip_linear_refresh(&net->heads[h].layout, net->params);
    }
    if (net->mode == DIP_NET_TRAIN)
        pack_layers(net);
    else
        for (uint32_t m = 0; m < net->spec.modality_count; m++) {
            net->tracks[m].int8 = false;
            dip_track_each_unit(net, &net->tracks[m], fold_unit, net);
        }
}

/* ---- tensors ---- */

/*
 * Visits each value of a tensor in PyTorch's order and tells its place in the kernels' layout, which differs
 * for convolutions only: (out, in, kh, kw) against rows of (kh, kw, in) with padding.
 */
static size_t kernel_place(const dip_tensor *t, size_t i)
{
    if (t->kind != DIP_TENSOR_CONV) return i;
    const size_t x = i % t->shape[3], y = i / t->shape[3] % t->shape[2];
    const size_t taps = (size_t)t->shape[2] * t->shape[3];
    const size_t in = i / taps % t->shape[1], out = i / taps / t->shape[1];
    const size_t row = t->param_count / t->shape[0];
    return out * row + (y * t->shape[3] + x) * t->shape[1] + in;
}

void dip_net_tensor_get(const dip_net *net, size_t position, float *out)
{
    const dip_tensor *t = &net->tensors[position];
    const float *from =
        net->running[position] ? net->running[position] : net->params + t->param_offset;
    for (size_t i = 0; i < t->count; i++) out[i] = from[kernel_place(t, i)];
}

void dip_net_tensor_set(dip_net *net, size_t position, const float *in)
{
    const dip_tensor *t = &net->tensors[position];
    float *to = net->running[position] ? net->running[position] : net->params + t->param_offset;
    for (size_t i = 0; i < t->count; i++) to[kernel_place(t, i)] = in[i];
}

void dip_net_tensor_grad(const dip_net *net, size_t position, float *out)
{
    const dip_tensor *t = &net->tensors[position];
    assert(net->grads && !net->running[position]);
    for (size_t i = 0; i < t->count; i++) out[i] = net->grads[t->param_offset + kernel_place(t, i)];
}
