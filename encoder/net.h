/**
 * The network: an array of operators built from a dip_net_spec, one arena for activations, one flat
 * float32 parameter vector.
 *
 * Numbers: activations are NHWC bfloat16, all sums are float32; the instruction set changes only the speed.
 * Results do not depend on the number of threads. A net is used by one thread at a time (it uses the pool
 * inside); a forward or backward step allocates nothing.
 */
#ifndef ENCODER_NET_H
#define ENCODER_NET_H

#include "core/rng.h"
#include "encoder/spec.h"

#include <stddef.h>

typedef struct dip_net dip_net;

typedef enum dip_net_mode {
    DIP_NET_INFER, /* batch norm folded into the weights, activations reused */
    DIP_NET_TRAIN  /* activations kept for the backward pass, gradients allocated */
} dip_net_mode;

/** Weights are zero until dip_net_init() or dip_net_tensor_set(). max_batch: tiles of one modality a call. */
dip_status dip_net_create(dip_net **out, const dip_net_spec *spec, size_t max_batch,
                          dip_net_mode mode);
void dip_net_destroy(dip_net *net);
const dip_net_spec *dip_net_get_spec(const dip_net *net);

/** He-normal (fan out) convolutions, batch norm 1 and 0 (the last of a block 0 when zero_last), linear as in PyTorch. */
void dip_net_init(dip_net *net, dip_rng *rng, bool zero_last);

/**
 * TRAIN: the modality's encoder stays as it is. Its training passes use the running statistics and leave them, and going
 * back ends at its head. Its layers must be its own (shared_from: none).
 */
void dip_net_freeze(dip_net *net, size_t modality);

/* ---- parameters ---- */

/**
 * The flat vector that the optimiser walks: weights in the layout of the kernels, padding included
 * (padding has zero gradient and stays zero). Running statistics are not in it.
 */
size_t dip_net_param_count(const dip_net *net);
float *dip_net_params(dip_net *net);
/** TRAIN only; same length and layout. dip_net_backward() adds to it; the caller clears it. */
float *dip_net_grads(dip_net *net);
/** Must follow every change of parameters or running statistics: repacks the panels of the kernels. */
void dip_net_refresh(dip_net *net);

enum { DIP_OWNER_SHARED = DIP_MAX_MODALITIES };

typedef enum dip_tensor_kind {
    DIP_TENSOR_CONV,         /* (out, in, kh, kw) */
    DIP_TENSOR_NORM_WEIGHT,  /* (c) */
    DIP_TENSOR_NORM_BIAS,    /* (c) */
    DIP_TENSOR_RUNNING_MEAN, /* (c), not in the flat vector */
    DIP_TENSOR_RUNNING_VAR,  /* (c), not in the flat vector */
    DIP_TENSOR_LINEAR,       /* (out, in) */
    DIP_TENSOR_LINEAR_BIAS   /* (out) */
} dip_tensor_kind;

/**
 * One named tensor, PyTorch's names and order: "<owner>.conv1.weight", "<owner>.bn1.weight",
 * "<owner>.layer1.0.conv1.weight", "<owner>.layer2.0.downsample.0.weight", "<owner>.head.0.weight",
 * "<owner>.layout.weight", where the owner is the modality's name, or "shared" for what modalities share. The modality's
 * batch norm inside shared stages keeps the modality's name.
 */
typedef struct dip_tensor {
    char name[96];
    dip_tensor_kind kind;
    uint32_t owner; /* position of its modality, or DIP_OWNER_SHARED */
    uint32_t rank, shape[4];
    size_t count; /* product of the shape */
    size_t
        param_offset; /* first float in the flat vector (kernel layout); running statistics: SIZE_MAX */
    size_t param_count; /* floats there, padding included */
} dip_tensor;

size_t dip_net_tensor_count(const dip_net *net);
const dip_tensor *dip_net_tensor(const dip_net *net, size_t position);
/** Copies a tensor out or in, PyTorch's layout, `count` floats. After _set: dip_net_refresh(). */
void dip_net_tensor_get(const dip_net *net, size_t position, float *out);
void dip_net_tensor_set(dip_net *net, size_t position, const float *in);
/** As _get for the gradient (TRAIN; not for running statistics). */
void dip_net_tensor_grad(const dip_net *net, size_t position, float *out);

/* ---- passes ---- */

/** An array for each output, or NULL for one that is not wanted; (dip_net_out){z, h} names the first two. */
typedef float *dip_net_out[DIP_OUTPUTS];

/**
 * Encodes a batch with the running statistics. input: (n, input_px, input_px, bands) float32, normalised,
 * n <= max_batch. out: a (n, dip_net_spec_dim()) array for each output that is wanted, else NULL.
 * In a TRAIN net too (evaluation between steps); overwrites the kept activations of that modality.
 */
dip_status dip_net_forward(dip_net *net, size_t modality, const float *input, size_t n,
                           float *const out[DIP_OUTPUTS]);

/**
 * TRAIN: the same with the batch's own statistics, keeping what backward needs, one set a modality;
 * updates the running statistics with `momentum` (0.1 as in PyTorch; unbiased variance).
 */
dip_status dip_net_forward_train(dip_net *net, size_t modality, const float *input, size_t n,
                                 float momentum, float *const out[DIP_OUTPUTS]);

/* ---- int8 ---- */

/**
 * INFER: the convolutions of one modality but for its stem in int8, from here to the next dip_net_refresh(). Weights
 * are symmetric with one scale an output channel; activations, which no ReLU leaves negative, are u8 with one scale a
 * layer: 255 is the largest output that dip_net_watch() saw, and larger ones are cut off. [Jacob et al., CVPR 2018]
 * DIP_EINVAL: dip_net_watch() has not seen this modality, or saw outputs that are not finite.
 */
dip_status dip_net_use_int8(dip_net *net, size_t modality);

/** As dip_net_forward(), for the largest outputs alone; not after dip_net_use_int8(). Any number of calls. */
dip_status dip_net_watch(dip_net *net, size_t modality, const float *input, size_t n);

#endif
