/**
 * The network table: everything that describes an encoder but its weights.
 *
 *   per modality: stem -> stages 0 .. shared_from-1
 *   conv weights shared between modalities: stages shared_from .. stage_count-1
 *   pooling over the pixels of the last stage, or stages -> h -> projection head(s) -> z (embed_dim)
 *   a stage's result, averaged in grid x grid cells -> a linear map of each cell -> layout (grid, grid, channels)
 *
 * h and z tell what a tile shows, wherever in the tile it lies; layout tells what lies where. Twins are cut from
 * the same ground, so they agree in it, and places of one kind do not: it finds the twin among its like. Centred, it
 * leaves to h and z what all of the tile has in common.
 *
 * A residual block is basic, 3x3 - 3x3, or a bottleneck, 1x1 - 3x3 - 1x1 to four times the width; the block that begins
 * stage i > 0 has stride 2 in its first 3x3. [He et al., CVPR 2016; the stride's place as in torchvision and timm]
 *
 * Batch norm always belongs to one modality, in shared stages too (own scale, shift and running statistics):
 * the modalities' activations differ in scale, their filters need not. [Chang et al., CVPR 2019]
 */
#ifndef ENCODER_SPEC_H
#define ENCODER_SPEC_H

#include <diptych/status.h>
#include <diptych/tile.h>

#include <stdbool.h>
#include <stdint.h>

enum { DIP_MAX_STAGES = 4, DIP_BOTTLENECK_EXPANSION = 4 };

typedef enum dip_block_kind { DIP_BLOCK_BASIC, DIP_BLOCK_BOTTLENECK } dip_block_kind;

typedef enum dip_pooling {
    DIP_POOLING_MEAN,
    DIP_POOLING_GEM /* generalised mean of power 3 */
} dip_pooling;

typedef enum dip_head { DIP_HEAD_LINEAR, DIP_HEAD_MLP } dip_head; /* MLP: Linear-ReLU-Linear */

typedef struct dip_net_spec {
    uint32_t input_px;    /* side of the square input */
    uint32_t stem_kernel; /* 3 or 7 */
    uint32_t stem_stride; /* 1 or 2 */
    bool stem_pool;       /* 3x3 stride-2 max pool after the stem */
    dip_block_kind block;
    uint32_t stage_count;
    uint32_t
        width[DIP_MAX_STAGES]; /* of a block's 3x3; multiples of 32; width[0] is the stem's too */
    uint32_t blocks[DIP_MAX_STAGES]; /* residual blocks of a stage */
    uint32_t shared_from; /* first stage whose conv weights are shared; stage_count: none */
    dip_pooling pooling;
    uint32_t
        pooled_before; /* stages before the last that are pooled into h too, and stand first in it */
    dip_head head;
    bool head_shared;
    uint32_t head_hidden;     /* MLP: hidden width, a multiple of 32 */
    uint32_t embed_dim;       /* of z, a multiple of 32 */
    uint32_t layout_grid;     /* cells a side of the layout; 0: the net has none */
    uint32_t layout_stage;    /* whose result the cells average */
    uint32_t layout_channels; /* of a cell */
    bool layout_centred;      /* the cells' mean is taken from each */
    uint32_t modality_count;
    dip_modality
        modality[DIP_MAX_MODALITIES]; /* names, bands and the statistics that normalise them */
} dip_net_spec;

/** Checks ranges and multiples. DIP_EINVAL names the field. */
dip_status dip_net_spec_check(const dip_net_spec *spec);

/** Channels that leave a stage. */
uint32_t dip_net_spec_stage_dim(const dip_net_spec *spec, uint32_t stage);

/** What a network gives for a tile; none is unit-norm. */
typedef enum dip_output {
    DIP_Z,      /* projection of h */
    DIP_H,      /* features: what leaves the pooled stages */
    DIP_LAYOUT, /* (grid, grid, channels) */
    DIP_OUTPUTS
} dip_output;

/** "z", "h", "layout". */
extern const char *const dip_output_names[DIP_OUTPUTS];

/** Values of an output; 0: the net has no such output. */
uint32_t dip_net_spec_dim(const dip_net_spec *spec, dip_output output);
/** Pixels a side of a stage's result. */
uint32_t dip_net_spec_stage_side(const dip_net_spec *spec, uint32_t stage);

#endif
