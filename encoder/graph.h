/**
 * Inside view of a dip_net: what encoder/net*.c build and walk up, and train/backward.c walks down.
 *
 *   layer   one set of convolution weights; owned by a modality or shared
 *   unit    a layer seen by one modality: its batch norm and its activations
 *   block   two or three units, a shortcut, their sum
 *   track   one modality's way from input to h and cells: stem, blocks, pooling
 *   head    h -> z, and cells -> layout
 *
 * A TRAIN net keeps in each track what the backward pass reads; an INFER net has folded panels in each unit and four
 * buffers that all tracks share.
 */
#ifndef ENCODER_GRAPH_H
#define ENCODER_GRAPH_H

#include "encoder/conv.h"
#include "encoder/linear.h"
#include "encoder/net.h"
#include "encoder/norm.h"
#include "encoder/pooling.h"

enum {
    DIP_INFER_IMAGES = 64,
    DIP_NET_BUFFERS = 4,
    DIP_BLOCK_UNITS = 3 /* at most */
};

typedef struct dip_layer {
    dip_conv conv;
    uint32_t owner; /* modality, or DIP_OWNER_SHARED */
    size_t weights; /* first float in the flat vector */
    dip_conv_pass forward, backward[DIP_MAX_CLASSES];
    unsigned backward_count;                             /* 0 in the stem and in INFER nets */
    dip_bf16 *panels, *backward_panels[DIP_MAX_CLASSES]; /* TRAIN */
} dip_layer;

typedef struct dip_unit {
    dip_layer *layer;
    dip_norm norm;
    dip_bf16 *raw; /* TRAIN: the convolution's result */
    dip_bf16 *
        out; /* TRAIN: after the norm, the sum if it ends a block, ReLU, and the stem's pooling; not of shortcuts */
    dip_bf16 *folded; /* INFER: panels times norm.scale; norm.shift is the bias */
    /* INFER: largest output that dip_net_watch() saw. Int8: what a 1 of the u8 output is worth; `folded` are int8
     * panels, norm.scale brings their sums back */
    float peak, unit8;
} dip_unit;

typedef struct dip_block {
    dip_unit unit[DIP_BLOCK_UNITS], shortcut;
    uint32_t unit_count;
    bool has_shortcut; /* else the input itself is added */
} dip_block;

typedef struct dip_track {
    dip_unit stem;
    dip_bf16 *input;
    uint8_t *argmax; /* of the stem's pooling */
    dip_block *blocks;
    float *features, *hidden; /* (max_batch, width of h), (max_batch, head_hidden) */
    float *cells;             /* (max_batch, grid, grid, channels of the layout's stage) */
    size_t head;
    bool frozen;
    size_t images; /* of the last dip_net_forward_train(); 0: nothing kept */
    bool int8;     /* INFER: all but the stem */
} dip_track;

typedef struct dip_head_layers {
    uint32_t owner;
    dip_linear layer[2]; /* one, or two with a ReLU between */
    dip_linear layout;   /* of a cell, padded to a multiple of 32 values; in = 0: none */
} dip_head_layers;

struct dip_net {
    dip_net_spec spec;
    size_t max_batch;
    dip_net_mode mode;
    bool watching; /* outputs of units, for their peaks */
    dip_workspace workspace;
    dip_layer *layers;
    size_t layer_count;
    dip_track tracks[DIP_MAX_MODALITIES];
    uint32_t block_count; /* of each track */
    dip_head_layers heads[DIP_MAX_MODALITIES];
    uint32_t head_count, head_depth;
    dip_tensor *tensors;
    float **running; /* tensor's data where it is a running statistic, else NULL */
    size_t tensor_count, param_count;
    float *params, *grads;
    size_t param_bytes;
    char *arena; /* activations, panels, norms; all page-mapped at once */
    size_t arena_bytes;
    /* TRAIN: gradients of activations on their way down; INFER: activations on their way up */
    dip_bf16 *buffer[DIP_NET_BUFFERS];
    float *weight_sums;             /* TRAIN: partial gradients of one layer */
    float *head_buffer;             /* (2, max_batch, widest of the head) */
    float *cell_values;             /* (max_batch, grid, grid, padded channels of a cell) */
    float *cell_gradient;           /* TRAIN: as a track's cells */
    float *unit_scale, *zero_shift; /* the map that changes nothing */
    double *sums;                   /* (4, DIP_MAX_CHANNELS) */
};

/** The unit whose activations are the block's. */
static inline dip_unit *dip_block_last(dip_block *block)
{
    return &block->unit[block->unit_count - 1];
}

/** Where the activations after a block are pooled into h, `offset` from its start. */
typedef struct dip_tap {
    dip_pooling_job pooling;
    size_t offset;
} dip_tap;

/** False: the block does not end a stage that is pooled. */
bool dip_net_tap(const dip_net *net, uint32_t block, dip_tap *tap);

/** Pixels a side after the stem, pooling included. */
uint32_t dip_net_stem_side(const dip_net_spec *spec);

/** The head's depth and widths: in of layer i is width[i], out is width[i + 1]. */
uint32_t dip_net_head_widths(const dip_net_spec *spec, uint32_t width[3]);

/** Builds layers, tracks, heads, tensors, arena. On failure the caller destroys the net. */
dip_status dip_graph_build(dip_net *net);

/** Calls `visit` for each unit of a track, in order of the forward pass. */
typedef void (*dip_unit_fn)(dip_unit *unit, void *context);
void dip_track_each_unit(const dip_net *net, dip_track *track, dip_unit_fn visit, void *context);

/** The block whose result the layout's cells average; block_count if the net has no layout. */
static inline uint32_t dip_net_layout_block(const dip_net *net)
{
    if (!net->spec.layout_grid) return net->block_count;
    uint32_t block = 0;
    for (uint32_t stage = 0; stage <= net->spec.layout_stage; stage++)
        block += net->spec.blocks[stage];
    return block - 1;
}

/** Where a cell of the layout lies in its stage's result. */
typedef struct dip_cell {
    uint32_t top, bottom, left, right; /* the ends not included */
} dip_cell;

static inline dip_cell dip_layout_cell(uint32_t i, uint32_t grid, uint32_t side)
{
    const uint32_t row = i / grid, column = i % grid;
    return (dip_cell){row * side / grid, (row + 1) * side / grid, column * side / grid,
                      (column + 1) * side / grid};
}

/** Applies the affine map to `pixels` pixels, in tasks of fixed size. */
void dip_run_affine(const dip_workspace *workspace, const dip_affine *affine, size_t pixels);

#endif
