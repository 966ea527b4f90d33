/**
 * Heads on vectors: one small network a modality, which carries vectors that some model made into one common space.
 *
 *   x = (v - mean) * scale            mean, scale: (dim) each, from the training vectors of the modality
 *   z = W x + b                       linear
 *   z = W2 relu(W1 x + b1) + b2       mlp
 *   embedding = z / |z|
 *
 * Everything is float32. Rows of x are padded with zeros to a multiple of 32 values; the weights' columns there are zero
 * and stay so. Results do not depend on the number of threads. One thread at a time per dip_heads; the pool works inside.
 */
#ifndef ENCODER_HEADS_H
#define ENCODER_HEADS_H

#include "core/rng.h"
#include "encoder/linear.h"
#include "encoder/safetensors.h"
#include "encoder/spec.h"

enum { DIP_HEADS_TEXT = 96, DIP_HEADS_MAX_DIM = 8192, DIP_HEADS_DEPTH = 2 };

/** Where the vectors of a modality come from. */
typedef struct dip_heads_input {
    uint32_t dim;
    char
        model[DIP_HEADS_TEXT]; /* the archive's model that makes them; "": they came from outside */
    char fingerprint
        [DIP_HEADS_TEXT]; /* of that model's file, 16 hexadecimal digits; from outside: of the vectors */
    char origin[DIP_HEADS_TEXT]; /* for people: the model, or the name of the file */
} dip_heads_input;

typedef struct dip_heads_spec {
    dip_head head;
    uint32_t hidden;    /* mlp: a multiple of 32 */
    uint32_t embed_dim; /* a multiple of 32 */
    uint32_t modality_count;
    dip_modality
        modality[DIP_MAX_MODALITIES]; /* what the vectors are of: for pixels through `model` */
    dip_heads_input input[DIP_MAX_MODALITIES];
} dip_heads_spec;

/** Ranges and multiples. DIP_EINVAL names the field. */
dip_status dip_heads_spec_check(const dip_heads_spec *spec);

typedef struct dip_heads {
    dip_heads_spec spec;
    uint32_t depth; /* layers of a head */
    dip_linear layer[DIP_MAX_MODALITIES][DIP_HEADS_DEPTH];
    float *mean[DIP_MAX_MODALITIES], *scale[DIP_MAX_MODALITIES]; /* (dim) */
    float *params; /* of all heads, (param_count): what the optimiser walks */
    size_t param_count;
    dip_workspace workspace; /* for the choice of the kernel alone */
    float *inputs, *hidden;  /* scratch of dip_heads_encode() */
} dip_heads;

/** Neutral constants, zero weights. */
dip_status dip_heads_create(dip_heads **out, const dip_heads_spec *spec);
void dip_heads_destroy(dip_heads *heads);

/** Weights and biases as in PyTorch's Linear; the same for every order of calls. */
void dip_heads_init(dip_heads *heads, dip_rng *rng);
/** Must follow every change of the parameters. */
void dip_heads_refresh(dip_heads *heads);

/** Values of a row of x: dim, rounded up to a multiple of 32. */
size_t dip_heads_width(const dip_heads *heads, size_t modality);
/** One vector to a row of x. */
void dip_heads_standardise(const dip_heads *heads, size_t modality, const float *vector, float *x);
/** x: (n, width); hidden: (n, spec.hidden), written, NULL if linear; z: (n, embed_dim). */
void dip_heads_forward(const dip_heads *heads, size_t modality, const float *x, size_t n,
                       float *hidden, float *z);
/** vectors: (n, dim) to out: (n, embed_dim), unit norm. DIP_EINVAL: a result is not finite. */
dip_status dip_heads_encode(dip_heads *heads, size_t modality, const float *vectors, size_t n,
                            float *out);

/**
 * The model file of heads, which dip_model_open() opens: "<modality>.input.mean", "<modality>.input.scale" (dim),
 * "<modality>.head.0.weight" (out, dim), "<modality>.head.0.bias" (out), of an mlp "<modality>.head.2.weight" and
 * ".bias" too. The bytes depend on the arguments alone.
 */
dip_status dip_heads_write(const char *path, const dip_heads *heads,
                           const dip_safetensors_text *texts, size_t text_count);
/** Constants and weights of heads that were made with the file's spec; refreshes them. */
dip_status dip_heads_load(dip_heads *heads, const dip_safetensors *file, const char *path);

#endif
