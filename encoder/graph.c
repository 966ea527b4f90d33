/*
 * Builds a net from its table; see graph.h.
 *
 * Order: layers and tracks (structure only), then tensors with their places in the flat vector, owner by owner,
 * then memory: the same placing function runs twice, first without an arena to measure it.
 */
#include "encoder/graph.h"

#include "core/mem.h"
#include "core/status.h"
#include "encoder/conv_weights.h"

#include <assert.h>
#include <stdio.h>

enum { PARAM_ALIGN = 64, ARENA_ALIGN = 4096 };

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* ---- structure ---- */

uint32_t dip_net_stem_side(const dip_net_spec *spec)
{
    const dip_conv stem = {
        .in_side = spec->input_px, .kernel = spec->stem_kernel, .stride = spec->stem_stride};
    const uint32_t side = dip_conv_out_side(&stem);
    return spec->stem_pool ? (side - 1) / 2 + 1 : side;
}

bool dip_net_tap(const dip_net *net, uint32_t block, dip_tap *tap)
{
    const dip_net_spec *spec = &net->spec;
    const uint32_t first = spec->stage_count - 1 - spec->pooled_before;
    uint32_t stage = 0, end = spec->blocks[0];
    tap->offset = 0;
    for (; end <= block; end += spec->blocks[++stage])
        if (stage >= first) tap->offset += dip_net_spec_stage_dim(spec, stage);
    if (stage < first || block + 1 != end) return false;
    const dip_conv *conv = &dip_block_last(&net->tracks[0].blocks[block])->layer->conv;
    const size_t side = dip_conv_out_side(conv);
    tap->pooling = (dip_pooling_job){net->workspace.kernel->loops, spec->pooling, side * side,
                                     conv->out_channels};
    return true;
}

uint32_t dip_net_head_widths(const dip_net_spec *spec, uint32_t width[3])
{
    uint32_t depth = 0;
    width[0] = dip_net_spec_dim(spec, DIP_H);
    if (spec->head == DIP_HEAD_MLP) width[++depth] = spec->head_hidden;
    width[++depth] = spec->embed_dim;
    return depth;
}

static dip_layer *add_layer(dip_net *net, dip_conv conv, uint32_t owner, bool passes_gradient)
{
    dip_layer *layer = &net->layers[net->layer_count++];
    *layer = (dip_layer){.conv = conv, .owner = owner};
    dip_conv_forward_pass(&layer->forward, &conv);
    if (net->mode == DIP_NET_TRAIN && passes_gradient)
        layer->backward_count = dip_conv_backward_passes(layer->backward, &conv);
    return layer;
}

/* `model`: the unit of another modality whose layer is shared, or NULL. */
static void build_unit(dip_net *net, dip_unit *unit, const dip_unit *model, dip_conv conv,
                       uint32_t owner)
{
    unit->layer = model ? model->layer : add_layer(net, conv, owner, true);
    unit->norm.channels = conv.out_channels;
}

static void build_block(dip_net *net, uint32_t m, uint32_t number, uint32_t stage, bool first,
                        uint32_t *channels, uint32_t *side)
{
    const bool shared = stage >= net->spec.shared_from;
    const uint32_t owner = shared ? DIP_OWNER_SHARED : m, width = net->spec.width[stage];
    const uint32_t out = dip_net_spec_stage_dim(&net->spec, stage);
    const uint32_t stride = first && stage > 0 ? 2 : 1;
    const bool bottleneck = net->spec.block == DIP_BLOCK_BOTTLENECK;
    dip_block *block = &net->tracks[m].blocks[number];
    const dip_block *model = shared && m > 0 ? &net->tracks[0].blocks[number] : NULL;
    const dip_conv shortcut = {*channels, *side, out, 1, stride};
    block->unit_count = bottleneck ? 3 : 2;
    block->has_shortcut = stride != 1 || out != *channels;
    for (uint32_t u = 0; u < block->unit_count; u++) {
        const dip_conv conv = {.in_channels = *channels,
                               .in_side = *side,
                               .out_channels = u + 1 < block->unit_count ? width : out,
                               .kernel = bottleneck && u != 1 ? 1 : 3,
                               .stride = u == bottleneck ? stride : 1};
        build_unit(net, &block->unit[u], model ? &model->unit[u] : NULL, conv, owner);
        *channels = conv.out_channels;
        *side = dip_conv_out_side(&conv);
    }
    if (block->has_shortcut)
        build_unit(net, &block->shortcut, model ? &model->shortcut : NULL, shortcut, owner);
}

static void build_track(dip_net *net, uint32_t m)
{
    const dip_net_spec *spec = &net->spec;
    const dip_conv stem = {spec->modality[m].band_count, spec->input_px, spec->width[0],
                           spec->stem_kernel, spec->stem_stride};
    dip_track *track = &net->tracks[m];
    track->stem.layer = add_layer(net, stem, m, false);
    track->stem.norm.channels = stem.out_channels;
    track->head = spec->head_shared ? 0 : m;
    uint32_t channels = spec->width[0], side = dip_net_stem_side(spec), number = 0;
    for (uint32_t stage = 0; stage < spec->stage_count; stage++)
        for (uint32_t b = 0; b < spec->blocks[stage]; b++)
            build_block(net, m, number++, stage, b == 0, &channels, &side);
}

static void build_heads(dip_net *net)
{
    uint32_t width[3];
    net->head_depth = dip_net_head_widths(&net->spec, width);
    net->head_count = net->spec.head_shared ? 1 : net->spec.modality_count;
    for (uint32_t h = 0; h < net->head_count; h++) {
        net->heads[h].owner = net->spec.head_shared ? DIP_OWNER_SHARED : h;
        for (uint32_t i = 0; i < net->head_depth; i++)
            net->heads[h].layer[i] = (dip_linear){.in = width[i], .out = width[i + 1]};
        if (net->spec.layout_grid)
            net->heads[h].layout = (dip_linear){
                .in = dip_net_spec_stage_dim(&net->spec, net->spec.layout_stage),
                .out = (net->spec.layout_channels + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK,
                .bias = SIZE_MAX};
    }
}

void dip_track_each_unit(const dip_net *net, dip_track *track, dip_unit_fn visit, void *context)
{
    visit(&track->stem, context);
    for (uint32_t b = 0; b < net->block_count; b++) {
        dip_block *block = &track->blocks[b];
        for (uint32_t u = 0; u < block->unit_count; u++) visit(&block->unit[u], context);
        if (block->has_shortcut) visit(&block->shortcut, context);
    }
}

static dip_status build_structure(dip_net *net)
{
    const uint32_t modalities = net->spec.modality_count;
    for (uint32_t s = 0; s < net->spec.stage_count; s++) net->block_count += net->spec.blocks[s];
    const size_t units = 1 + (DIP_BLOCK_UNITS + 1) * (size_t)net->block_count;
    const size_t tensors = modalities * (6 * units + 5) + units + 5;
    net->layers = dip_calloc(modalities * units, sizeof *net->layers);
    net->tensors = dip_calloc(tensors, sizeof *net->tensors);
    net->running = dip_calloc(tensors, sizeof *net->running);
    net->sums = dip_calloc(4 * DIP_MAX_CHANNELS, sizeof *net->sums);
    if (!net->layers || !net->tensors || !net->running || !net->sums) return DIP_ENOMEM;
    for (uint32_t m = 0; m < modalities; m++) {
        net->tracks[m].blocks = dip_calloc(net->block_count, sizeof(dip_block));
        if (!net->tracks[m].blocks) return DIP_ENOMEM;
        build_track(net, m);
    }
    build_heads(net);
    return DIP_OK;
}

/* ---- tensors ---- */

static const char *owner_name(const dip_net *net, uint32_t owner)
{
    return owner == DIP_OWNER_SHARED ? "shared" : net->spec.modality[owner].name;
}

static dip_tensor *add_tensor(dip_net *net, uint32_t owner, const char *path, const char *leaf,
                              dip_tensor_kind kind)
{
    dip_tensor *t = &net->tensors[net->tensor_count++];
    t->kind = kind;
    t->owner = owner;
    t->param_offset = SIZE_MAX;
    int length = snprintf(t->name, sizeof t->name, "%s.%s.%s", owner_name(net, owner), path, leaf);
    assert(length > 0 && (size_t)length < sizeof t->name);
    (void)length;
    return t;
}

static void set_shape(dip_tensor *t, uint32_t rank, const uint32_t *shape)
{
    t->rank = rank;
    t->count = 1;
    for (uint32_t i = 0; i < rank; i++) t->count *= t->shape[i] = shape[i];
}

/* Reserves `count` floats of the flat vector for the tensor. */
static size_t place_tensor(dip_net *net, dip_tensor *t, size_t count)
{
    t->param_offset = net->param_count;
    t->param_count = count;
    net->param_count += (count + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    return t->param_offset;
}

static void add_layer_tensor(dip_net *net, dip_layer *layer, uint32_t owner, const char *path)
{
    const dip_conv *conv = &layer->conv;
    dip_tensor *t = add_tensor(net, owner, path, "weight", DIP_TENSOR_CONV);
    set_shape(t, 4,
              (uint32_t[]){conv->out_channels, conv->in_channels, conv->kernel, conv->kernel});
    layer->weights = place_tensor(net, t, conv->out_channels * dip_conv_row(conv));
}

static void add_norm_tensors(dip_net *net, dip_norm *norm, uint32_t owner, const char *path)
{
    dip_tensor *t = add_tensor(net, owner, path, "weight", DIP_TENSOR_NORM_WEIGHT);
    set_shape(t, 1, &norm->channels);
    norm->weight = place_tensor(net, t, norm->channels);
    t = add_tensor(net, owner, path, "bias", DIP_TENSOR_NORM_BIAS);
    set_shape(t, 1, &norm->channels);
    norm->bias = place_tensor(net, t, norm->channels);
    t = add_tensor(net, owner, path, "running_mean", DIP_TENSOR_RUNNING_MEAN);
    set_shape(t, 1, &norm->channels);
    t = add_tensor(net, owner, path, "running_var", DIP_TENSOR_RUNNING_VAR);
    set_shape(t, 1, &norm->channels);
}

/* The layer if it is the owner's, and the norm if the track is. */
static void add_unit_tensors(dip_net *net, dip_unit *unit, uint32_t owner, const char *path,
                             const char *norm_path)
{
    if (unit->layer->owner == owner) add_layer_tensor(net, unit->layer, owner, path);
    if (owner != DIP_OWNER_SHARED) add_norm_tensors(net, &unit->norm, owner, norm_path);
}

static void add_block_tensors(dip_net *net, dip_block *block, uint32_t owner, uint32_t stage,
                              uint32_t number)
{
    char path[64], norm_path[64];
    for (uint32_t u = 0; u < block->unit_count; u++) {
        snprintf(path, sizeof path, "layer%u.%u.conv%u", stage + 1, number, u + 1);
        snprintf(norm_path, sizeof norm_path, "layer%u.%u.bn%u", stage + 1, number, u + 1);
        add_unit_tensors(net, &block->unit[u], owner, path, norm_path);
    }
    if (!block->has_shortcut) return;
    snprintf(path, sizeof path, "layer%u.%u.downsample.0", stage + 1, number);
    snprintf(norm_path, sizeof norm_path, "layer%u.%u.downsample.1", stage + 1, number);
    add_unit_tensors(net, &block->shortcut, owner, path, norm_path);
}

/* `out`: rows that are the tensor's; those beyond are padding. */
static void add_weight_tensor(dip_net *net, dip_linear *linear, uint32_t out, uint32_t owner,
                              const char *path)
{
    dip_tensor *t = add_tensor(net, owner, path, "weight", DIP_TENSOR_LINEAR);
    set_shape(t, 2, (uint32_t[]){out, linear->in});
    linear->weight = place_tensor(net, t, (size_t)linear->out * linear->in);
}

/* The MLP's ReLU counts as head.1, as in a PyTorch Sequential. */
static void add_head_tensors(dip_net *net, dip_head_layers *head)
{
    for (uint32_t i = 0; i < net->head_depth; i++) {
        char path[16];
        snprintf(path, sizeof path, "head.%u", 2 * i);
        dip_linear *linear = &head->layer[i];
        add_weight_tensor(net, linear, linear->out, head->owner, path);
        dip_tensor *t = add_tensor(net, head->owner, path, "bias", DIP_TENSOR_LINEAR_BIAS);
        set_shape(t, 1, &linear->out);
        linear->bias = place_tensor(net, t, linear->out);
    }
    if (head->layout.in)
        add_weight_tensor(net, &head->layout, net->spec.layout_channels, head->owner, "layout");
}

static void add_owner_tensors(dip_net *net, uint32_t owner)
{
    dip_track *track = &net->tracks[owner == DIP_OWNER_SHARED ? 0 : owner];
    if (owner != DIP_OWNER_SHARED) add_unit_tensors(net, &track->stem, owner, "conv1", "bn1");
    uint32_t number = 0;
    for (uint32_t s = 0; s < net->spec.stage_count; s++)
        for (uint32_t b = 0; b < net->spec.blocks[s]; b++)
            add_block_tensors(net, &track->blocks[number++], owner, s, b);
    for (uint32_t h = 0; h < net->head_count; h++)
        if (net->heads[h].owner == owner) add_head_tensors(net, &net->heads[h]);
}

static dip_status build_tensors(dip_net *net)
{
    for (uint32_t m = 0; m < net->spec.modality_count; m++) add_owner_tensors(net, m);
    add_owner_tensors(net, DIP_OWNER_SHARED);
    net->param_bytes = net->param_count * sizeof(float);
    net->params = dip_region_map(net->param_bytes);
    if (!net->params) return DIP_ENOMEM;
    if (net->mode == DIP_NET_INFER) return DIP_OK;
    net->grads = dip_region_map(net->param_bytes);
    return net->grads ? DIP_OK : DIP_ENOMEM;
}

/* ---- memory ---- */

/* The next bytes of the arena; NULL while it is being measured. */
static void *place(dip_net *net, size_t bytes)
{
    void *at = net->arena ? net->arena + net->arena_bytes : NULL;
    net->arena_bytes += (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    return at;
}

static void *place_values(dip_net *net, size_t count)
{
    return place(net, count * sizeof(dip_bf16));
}

static size_t raw_values(const dip_unit *unit)
{
    const size_t side = dip_conv_out_side(&unit->layer->conv);
    return side * side * unit->layer->conv.out_channels;
}

static void place_unit(dip_unit *unit, void *context)
{
    dip_net *net = context;
    float *floats = place(net, dip_norm_floats(unit->norm.channels) * sizeof(float));
    if (floats) dip_norm_place(&unit->norm, floats);
    if (net->mode == DIP_NET_INFER)
        unit->folded = place_values(net, dip_conv_pass_panels(&unit->layer->forward));
    else
        unit->raw = place_values(net, net->max_batch * raw_values(unit));
}

static void place_layer(dip_net *net, dip_layer *layer)
{
    if (net->mode == DIP_NET_INFER) return;
    layer->panels = place_values(net, dip_conv_pass_panels(&layer->forward));
    for (unsigned i = 0; i < layer->backward_count; i++)
        layer->backward_panels[i] = place_values(net, dip_conv_pass_panels(&layer->backward[i]));
}

/* Images that are in flight together. */
static size_t group_images(const dip_net *net)
{
    const bool limited = net->mode == DIP_NET_INFER && net->max_batch > DIP_INFER_IMAGES;
    return limited ? DIP_INFER_IMAGES : net->max_batch;
}

/* Cells of a batch. */
static size_t cell_count(const dip_net *net)
{
    return net->max_batch * net->spec.layout_grid * net->spec.layout_grid;
}

static float *place_cells(dip_net *net, uint32_t values)
{
    return place(net, cell_count(net) * values * sizeof(float));
}

static void place_track(dip_net *net, dip_track *track, uint32_t m)
{
    const size_t px = net->spec.input_px, side = dip_net_stem_side(&net->spec);
    const size_t n = group_images(net), pooled = side * side * net->spec.width[0];
    uint32_t width[3];
    dip_net_head_widths(&net->spec, width);
    dip_track_each_unit(net, track, place_unit, net);
    track->input = place_values(net, n * px * px * net->spec.modality[m].band_count);
    track->features = place(net, net->max_batch * width[0] * sizeof(float));
    track->hidden = place(net, net->max_batch * width[1] * sizeof(float));
    track->cells = place_cells(net, net->heads[track->head].layout.in);
    if (net->mode == DIP_NET_INFER) return;
    track->stem.out = place_values(net, n * pooled);
    if (net->spec.stem_pool) track->argmax = place(net, n * pooled);
    for (uint32_t b = 0; b < net->block_count; b++)
        for (uint32_t u = 0; u < track->blocks[b].unit_count; u++) {
            dip_unit *unit = &track->blocks[b].unit[u];
            unit->out = place_values(net, n * raw_values(unit));
        }
}

static void place_linear(dip_net *net, dip_linear *linear)
{
    linear->transposed = place(net, (size_t)linear->in * linear->out * sizeof(float));
}

typedef struct widest {
    size_t values, channels;
} widest;

static void widest_unit(dip_unit *unit, void *context)
{
    widest *w = context;
    w->values = larger(w->values, raw_values(unit));
    w->channels = larger(w->channels, unit->norm.channels);
}

static widest widest_of(dip_net *net)
{
    widest w = {0};
    dip_track_each_unit(net, &net->tracks[0], widest_unit, &w);
    return w;
}

static void place_net(dip_net *net)
{
    const widest w = widest_of(net);
    uint32_t width[3];
    const uint32_t depth = dip_net_head_widths(&net->spec, width);
    size_t head = 0, sums = 0;
    for (uint32_t i = 0; i <= depth; i++) head = larger(head, width[i]);
    net->arena_bytes = 0;
    for (size_t i = 0; i < net->layer_count; i++) {
        place_layer(net, &net->layers[i]);
        sums = larger(sums, dip_conv_weights_sums(&net->layers[i].forward));
    }
    for (uint32_t m = 0; m < net->spec.modality_count; m++) place_track(net, &net->tracks[m], m);
    for (uint32_t h = 0; h < net->head_count; h++) {
        for (uint32_t i = 0; i < depth; i++) place_linear(net, &net->heads[h].layer[i]);
        place_linear(net, &net->heads[h].layout);
    }
    for (int i = 0; i < DIP_NET_BUFFERS; i++)
        net->buffer[i] = place_values(net, group_images(net) * w.values);
    net->head_buffer = place(net, 2 * net->max_batch * head * sizeof(float));
    net->cell_values = place_cells(net, net->heads[0].layout.out);
    net->unit_scale = place(net, w.channels * sizeof(float));
    net->zero_shift = place(net, w.channels * sizeof(float));
    if (net->mode == DIP_NET_INFER) return;
    net->weight_sums = place(net, sums * sizeof(float));
    net->cell_gradient = place_cells(net, net->heads[0].layout.in);
}

static dip_status build_workspace(dip_net *net)
{
    size_t bytes = 0, partials = 0;
    const size_t n = group_images(net);
    for (size_t i = 0; i < net->layer_count; i++) {
        const dip_layer *layer = &net->layers[i];
        bytes = larger(bytes, dip_conv_scratch(&layer->forward));
        partials = larger(partials, dip_conv_partials(&layer->forward, n));
        if (net->mode == DIP_NET_INFER && layer->conv.in_channels % DIP_BLOCK == 0) {
            const dip_conv_pass int8 = dip_conv_pass_int8(&layer->forward);
            bytes = larger(bytes, dip_conv_scratch(&int8));
        }
        if (net->mode == DIP_NET_TRAIN)
            bytes = larger(bytes, dip_conv_weights_scratch(&layer->forward));
        for (unsigned p = 0; p < layer->backward_count; p++) {
            bytes = larger(bytes, dip_conv_scratch(&layer->backward[p]));
            partials = larger(partials, dip_conv_partials(&layer->backward[p], n));
        }
    }
    /* one task an image in the passes over activations, three sums a channel */
    partials = larger(partials, n * 3 * widest_of(net).channels);
    return dip_workspace_init(&net->workspace, bytes, partials);
}

/* Running statistics are tensors too, but live beside the norm. */
static void point_at_running(dip_unit *unit, void *context)
{
    dip_net *net = context;
    for (size_t i = 0; i + 2 < net->tensor_count; i++)
        if (net->tensors[i].kind == DIP_TENSOR_NORM_BIAS &&
            net->tensors[i].param_offset == unit->norm.bias) {
            net->running[i + 1] = unit->norm.running_mean;
            net->running[i + 2] = unit->norm.running_var;
        }
}

dip_status dip_graph_build(dip_net *net)
{
    dip_status status = build_structure(net);
    if (!status) status = build_tensors(net);
    if (status) return status;
    place_net(net);
    net->arena = dip_region_map(net->arena_bytes);
    if (!net->arena) return DIP_ENOMEM;
    place_net(net);
    for (size_t c = 0; c < widest_of(net).channels; c++) net->unit_scale[c] = 1;
    for (uint32_t m = 0; m < net->spec.modality_count; m++)
        dip_track_each_unit(net, &net->tracks[m], point_at_running, net);
    return build_workspace(net);
}
