/* Checks the network table; see spec.h. */
#include "encoder/spec.h"

#include "core/status.h"
#include "encoder/conv.h"

#include <string.h>

enum { MAX_INPUT_PX = 2048, MAX_BLOCKS = 64, MAX_DIM = 8192 };

static dip_status check_range(const char *field, uint32_t value, uint32_t low, uint32_t high)
{
    if (value >= low && value <= high) return DIP_OK;
    return dip_fail(DIP_EINVAL, "network: %s is %u; it must be %u to %u", field, value, low, high);
}

/* Block products are 32 wide. */
static dip_status check_multiple(const char *field, uint32_t value, uint32_t high)
{
    dip_status status = check_range(field, value, 32, high);
    if (status || value % 32 == 0) return status;
    return dip_fail(DIP_EINVAL, "network: %s is %u; it must be a multiple of 32", field, value);
}

static dip_status check_stem(const dip_net_spec *spec)
{
    dip_status status = check_range("input_px", spec->input_px, 8, MAX_INPUT_PX);
    if (!status && spec->stem_kernel != 3 && spec->stem_kernel != 7)
        status = dip_fail(DIP_EINVAL, "network: stem_kernel is %u; it must be 3 or 7",
                          spec->stem_kernel);
    if (!status) status = check_range("stem_stride", spec->stem_stride, 1, 2);
    return status;
}

static uint32_t expansion(const dip_net_spec *spec)
{
    return spec->block == DIP_BLOCK_BOTTLENECK ? DIP_BOTTLENECK_EXPANSION : 1;
}

static dip_status check_stages(const dip_net_spec *spec)
{
    if (spec->block != DIP_BLOCK_BASIC && spec->block != DIP_BLOCK_BOTTLENECK)
        return dip_fail(DIP_EINVAL, "network: block %d is not known; use basic or bottleneck",
                        (int)spec->block);
    dip_status status = check_range("stage_count", spec->stage_count, 1, DIP_MAX_STAGES);
    for (uint32_t i = 0; !status && i < spec->stage_count; i++) {
        status = check_multiple("width", spec->width[i], DIP_MAX_CHANNELS / expansion(spec));
        if (!status) status = check_range("blocks", spec->blocks[i], 1, MAX_BLOCKS);
    }
    if (!status) status = check_range("shared_from", spec->shared_from, 0, spec->stage_count);
    if (!status && spec->pooling != DIP_POOLING_MEAN && spec->pooling != DIP_POOLING_GEM)
        status = dip_fail(DIP_EINVAL, "network: pooling %d is not known; use mean or gem",
                          (int)spec->pooling);
    if (!status)
        status = check_range("pooled_before", spec->pooled_before, 0, spec->stage_count - 1);
    return status;
}

static dip_status check_head(const dip_net_spec *spec)
{
    dip_status status = check_multiple("embed_dim", spec->embed_dim, MAX_DIM);
    if (!status && spec->head != DIP_HEAD_LINEAR && spec->head != DIP_HEAD_MLP)
        status = dip_fail(DIP_EINVAL, "network: head %d is not known; use linear or mlp",
                          (int)spec->head);
    if (!status && spec->head == DIP_HEAD_MLP)
        status = check_multiple("head_hidden", spec->head_hidden, MAX_DIM);
    return status;
}

static dip_status check_layout(const dip_net_spec *spec)
{
    if (!spec->layout_grid) return DIP_OK;
    dip_status status = check_range("layout_stage", spec->layout_stage, 0, spec->stage_count - 1);
    if (status) return status;
    const uint32_t side = dip_net_spec_stage_side(spec, spec->layout_stage);
    if (spec->layout_grid > side)
        return dip_fail(DIP_EINVAL,
                        "network: layout_grid is %u; it must be at most %u: so many pixels a side "
                        "has stage %u at an input of %u pixels",
                        spec->layout_grid, side, spec->layout_stage, spec->input_px);
    status = check_range("layout_channels", spec->layout_channels, 1, MAX_DIM);
    const uint64_t cells = (uint64_t)spec->layout_grid * spec->layout_grid;
    if (!status && cells * spec->layout_channels > MAX_DIM)
        status =
            dip_fail(DIP_EINVAL,
                     "network: a layout of %u x %u cells of %u values has more than %d values; "
                     "make layout_grid or layout_channels smaller",
                     spec->layout_grid, spec->layout_grid, spec->layout_channels, MAX_DIM);
    return status;
}

/* Names become parts of tensor names; "shared" is taken there. */
static dip_status check_modality(const dip_net_spec *spec, uint32_t m)
{
    const dip_modality *modality = &spec->modality[m];
    const void *end = memchr(modality->name, '\0', sizeof modality->name);
    if (!end || !modality->name[0] || strcmp(modality->name, "shared") == 0)
        return dip_fail(DIP_EINVAL, "network: modality %u has no usable name", m);
    for (uint32_t other = 0; other < m; other++)
        if (strcmp(spec->modality[other].name, modality->name) == 0)
            return dip_fail(DIP_EINVAL, "network: two modalities are named '%s'", modality->name);
    return check_range("band_count", modality->band_count, 1, DIP_MAX_BANDS);
}

dip_status dip_net_spec_check(const dip_net_spec *spec)
{
    dip_status status = check_stem(spec);
    if (!status) status = check_stages(spec);
    if (!status) status = check_head(spec);
    if (!status) status = check_layout(spec);
    if (!status)
        status = check_range("modality_count", spec->modality_count, 1, DIP_MAX_MODALITIES);
    for (uint32_t m = 0; !status && m < spec->modality_count; m++) status = check_modality(spec, m);
    return status;
}

uint32_t dip_net_spec_stage_dim(const dip_net_spec *spec, uint32_t stage)
{
    return spec->width[stage] * expansion(spec);
}

const char *const dip_output_names[DIP_OUTPUTS] = {"z", "h", "layout"};

uint32_t dip_net_spec_dim(const dip_net_spec *spec, dip_output output)
{
    uint32_t features = 0;
    switch (output) {
    case DIP_Z: return spec->embed_dim;
    case DIP_H:
        for (uint32_t i = spec->stage_count - 1 - spec->pooled_before; i < spec->stage_count; i++)
            features += dip_net_spec_stage_dim(spec, i);
        return features;
    default: return spec->layout_grid * spec->layout_grid * spec->layout_channels;
    }
}

/* A stride of 2 leaves half of the pixels, rounded up. */
uint32_t dip_net_spec_stage_side(const dip_net_spec *spec, uint32_t stage)
{
    uint32_t side = spec->input_px;
    if (spec->stem_stride == 2) side = (side + 1) / 2;
    if (spec->stem_pool) side = (side + 1) / 2;
    for (uint32_t i = 0; i < stage; i++) side = (side + 1) / 2;
    return side;
}
