/**
 * Inside view of a model file; the calls that use one are in <diptych/model.h>.
 *
 * Tensors: those of the network under PyTorch's names (dip_net_tensor()), then the constants of the embedding,
 * "<modality>.embedding.<z|h|layout>.mean" and ".scale". Metadata: model_metadata.h, and what the trainer adds.
 */
#ifndef ENCODER_MODEL_H
#define ENCODER_MODEL_H

#include <diptych/model.h>

#include "encoder/embed.h"
#include "encoder/heads.h"

/**
 * Writes a model. `spec` describes it to readers: as the net's, but input_px may differ (a net is trained on smaller
 * windows than it encodes). The bytes depend on the arguments alone.
 */
dip_status dip_model_write(const char *path, const dip_net *net, const dip_net_spec *spec,
                           dip_embedding *embedding, const dip_safetensors_text *texts,
                           size_t text_count);

/** A net's tensors (NULL: none) as dip_safetensors_write() takes them, with room for `more`, which the caller adds at the end. */
typedef struct dip_tensor_list {
    dip_safetensors_tensor *tensors;
    size_t count;
    float *values;
} dip_tensor_list;

dip_status dip_tensor_list_init(dip_tensor_list *list, const dip_net *net, size_t more);
void dip_tensor_list_fini(dip_tensor_list *list);

/** One tensor by name into `out`: DIP_EFORMAT (missing, or of another shape), DIP_ECORRUPT (not finite). */
dip_status dip_tensor_read(const dip_safetensors *file, const char *path, const char *name,
                           const uint32_t *shape, uint32_t rank, float *out);
/** All tensors of a net, by name; refreshes it. */
dip_status dip_net_load(dip_net *net, const dip_safetensors *file, const char *path);

/** Copies all tensors of one net into another of the same spec (input_px and mode aside), and refreshes it. */
dip_status dip_net_copy(dip_net *to, const dip_net *from);

/** dip_net_watch() and dip_net_use_int8() on tiles; from then on dip_model_encode() runs that modality in int8. */
dip_status dip_model_watch(dip_model *model, size_t modality, const dip_tile *const *tiles,
                           size_t n);
dip_status dip_model_use_int8(dip_model *model, size_t modality);

/** Side of the square that a tile of this model is brought to; 0: it is made of heads on vectors. */
uint32_t dip_model_input_px(const dip_model *model);

/**
 * A tile as the encoder of a modality takes it, through heads too: the largest centred square, (px, px, bands), normalised.
 * *input is the caller's (dip_free_aligned). Expected failures: as of dip_model_encode() and dip_model_takes_pixels().
 */
dip_status dip_model_prepare(dip_model *model, size_t modality, const dip_tile *tile, float **input,
                             uint32_t *px);
/** dip_model_encode() of n prepared tiles, one behind the other: what is done to an input need not be done to planes. */
dip_status dip_model_encode_prepared(dip_model *model, size_t modality, const float *inputs,
                                     size_t n, float *vectors);

enum { DIP_MODEL_PARTS = DIP_OUTPUTS };
/** A stretch of an embedding; the products of two embeddings over the parts add up to their score. */
typedef struct dip_model_part {
    const char *name; /* "projection", "features", "layout"; of heads "embedding" alone */
    size_t offset, dim;
} dip_model_part;

/** The parts of an embedding, in order; returns how many. */
size_t dip_model_parts(const dip_model *model, dip_model_part parts[DIP_MODEL_PARTS]);

/** The heads of a model that was made by aligning vectors; NULL: it is a network. Borrowed. */
dip_heads *dip_model_heads(dip_model *model);
/** Whether tiles of a modality can be encoded from their pixels; the failure line says why not and what to do. */
dip_status dip_model_takes_pixels(dip_model *model, size_t position);

/** dip_model_open() of a model that `depth` heads stand on. */
dip_status dip_model_open_below(dip_model **out, const char *path, unsigned depth);

enum { DIP_FINGERPRINT = 17 };
/** Of a model's file: 16 hexadecimal digits of its XXH3, and the 0 byte. */
dip_status dip_model_fingerprint(const char *path, char *out);

#endif
