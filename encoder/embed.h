/**
 * The embedding: what is made of the network's outputs z (projection), h (features) and layout.
 *
 *   embedding = unit( sqrt(w_z) * part(z), sqrt(w_h) * part(h), sqrt(w_layout) * part(layout) )
 *
 * A part of weight 0 is left out. The cosine of two embeddings is thus the weighted mean of the parts' cosines.
 *
 *   form unit      part(x) = unit(x)
 *   form centred   part(x) = unit(unit(x) - m)      m: mean of unit(x) over training tiles of the modality
 *   form standard  part(x) = unit((x - m) / s)      m, s: mean and deviation of x over the same
 *
 * Centring each modality takes away what tells the modalities apart rather than the places. With several views
 * (orientations of the input), the embedding is the unit sum of the views' embeddings; the layout of a view is
 * turned back first.
 */
#ifndef ENCODER_EMBED_H
#define ENCODER_EMBED_H

#include "encoder/net.h"

typedef enum dip_embed_form {
    DIP_EMBED_UNIT,
    DIP_EMBED_CENTRED,
    DIP_EMBED_STANDARD
} dip_embed_form;

typedef struct dip_embed_part {
    double weight;
    dip_embed_form form;
} dip_embed_part;

typedef struct dip_embed_spec {
    dip_embed_part part[DIP_OUTPUTS];
    uint32_t views; /* 1, 2 (and mirrored), 4 (turned) or 8 (both) */
} dip_embed_spec;

/** Weights, forms and views in range. DIP_EINVAL names the field. */
dip_status dip_embed_spec_check(const dip_embed_spec *spec);

typedef struct dip_embedding dip_embedding;

/** Constants start neutral: m = 0, s = 1. */
dip_status dip_embedding_create(dip_embedding **out, const dip_embed_spec *spec,
                                const dip_net_spec *net);
void dip_embedding_destroy(dip_embedding *embedding);
const dip_embed_spec *dip_embedding_spec(const dip_embedding *embedding);
size_t dip_embedding_dim(const dip_embedding *embedding);
/** Width of an output. */
size_t dip_embedding_part_dim(const dip_embedding *embedding, int part);
/** True if a part of the embedding has constants to be fitted. */
bool dip_embedding_needs_fit(const dip_embedding *embedding);

/** m and s of a part and modality: dip_embedding_part_dim() floats, to be read or set. */
float *dip_embedding_mean(dip_embedding *embedding, size_t modality, int part);
float *dip_embedding_scale(dip_embedding *embedding, size_t modality, int part);

/** Fits the constants of one modality to n tiles' outputs, an (n, width) array each; those without weight may be NULL. */
void dip_embedding_fit(dip_embedding *embedding, size_t modality, float *const outputs[DIP_OUTPUTS],
                       size_t n);
/** out: (n, dim), unit norm. */
void dip_embedding_combine(const dip_embedding *embedding, size_t modality,
                           float *const outputs[DIP_OUTPUTS], size_t n, float *out);
/**
 * Network and all: inputs (n, px, px, bands), n <= the net's max_batch, to out (n, dim), unit norm.
 * DIP_EINVAL: the network's output is not finite.
 */
dip_status dip_embedding_encode(const dip_embedding *embedding, dip_net *net, size_t modality,
                                const float *inputs, size_t n, float *out);

#endif
