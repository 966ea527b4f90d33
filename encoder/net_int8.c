/* The int8 encoder: from what was watched to scales, and panels packed again in place; see net.h. */
#include "encoder/graph.h"

#include "core/parallel.h"
#include "core/status.h"

#include <math.h>

dip_status dip_net_watch(dip_net *net, size_t modality, const float *input, size_t n)
{
    if (net->mode != DIP_NET_INFER || modality >= net->spec.modality_count ||
        net->tracks[modality].int8)
        return dip_fail(DIP_EINVAL, "network: ranges for int8 are watched in a net made for "
                                    "inference, before it is switched to int8");
    net->watching = true;
    dip_status status = dip_net_forward(net, modality, input, n, (dip_net_out){NULL});
    net->watching = false;
    return status;
}

typedef struct int8_job {
    const dip_net *net;
    const dip_unit *unit;
} int8_job;

static dip_status int8_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const int8_job *job = context;
    const dip_unit *unit = job->unit;
    dip_conv_pack_int8(&unit->layer->conv, job->net->params + unit->layer->weights,
                       unit->norm.scale, task * DIP_BLOCK, unit->folded, unit->norm.scale);
    return DIP_OK;
}

/* input8: what a 1 of the unit's input is worth. */
static void pack_unit(const dip_net *net, dip_unit *unit, float input8)
{
    int8_job job = {net, unit};
    dip_norm_use_running(&unit->norm, net->params);
    dip_parallel_for(unit->norm.channels / DIP_BLOCK, int8_task, &job);
    for (uint32_t c = 0; c < unit->norm.channels; c++) unit->norm.scale[c] *= input8;
    unit->unit8 = unit->peak > 0 ? unit->peak / 255 : 1;
}

static void pack_track(const dip_net *net, dip_track *track)
{
    float unit8 = track->stem.unit8 = track->stem.peak / 255;
    for (uint32_t b = 0; b < net->block_count; b++) {
        dip_block *block = &track->blocks[b];
        if (block->has_shortcut) pack_unit(net, &block->shortcut, unit8);
        for (uint32_t u = 0; u < block->unit_count; u++) {
            pack_unit(net, &block->unit[u], unit8);
            unit8 = block->unit[u].unit8;
        }
    }
}

static void check_peak(dip_unit *unit, void *context)
{
    bool *finite = context;
    if (!isfinite(unit->peak)) *finite = false;
}

dip_status dip_net_use_int8(dip_net *net, size_t modality)
{
    bool finite = modality < net->spec.modality_count;
    dip_track *track = &net->tracks[finite ? modality : 0];
    dip_track_each_unit(net, track, check_peak, &finite);
    if (!finite || !(track->stem.peak > 0))
        return dip_fail(DIP_EINVAL,
                        "network: no ranges for int8 in modality %zu: nothing was watched, or "
                        "outputs are zero or not finite",
                        modality);
    if (!track->int8) pack_track(net, track);
    track->int8 = true;
    return DIP_OK;
}
