/**
 * A model that is heads on other models' vectors: pixels go through the model that an input names, then through the head.
 *
 * That model lies beside the file of the heads. It is opened when pixels come, and only if its file is still the one whose
 * vectors the heads learned from.
 */
#ifndef ENCODER_CHAIN_H
#define ENCODER_CHAIN_H

#include <diptych/model.h>

#include "encoder/heads.h"

typedef struct dip_chain dip_chain;

/** Heads that may stand one on the other: files that name each other come to an end too. */
enum { DIP_CHAIN_DEEPEST = 4 };

/**
 * `id`: of the model, for failure lines; borrowed. depth: how many heads stand on this model. Expected failures: as of
 * dip_model_open().
 */
dip_status dip_chain_open(dip_chain **out, const dip_safetensors *file, const char *path,
                          const char *id, unsigned depth);
void dip_chain_close(dip_chain *chain);
dip_heads *dip_chain_heads(dip_chain *chain);

/** The model that makes the vectors of a modality, from pixels; opened once, borrowed. DIP_ENOTSUP, DIP_ENOENT, DIP_EMISMATCH: why not. */
dip_status dip_chain_source(dip_chain *chain, size_t modality, dip_model **out);
/** As dip_model_encode(). */
dip_status dip_chain_encode(dip_chain *chain, size_t modality, const dip_tile *const *tiles,
                            size_t n, float *vectors);
/** As dip_model_prepare() and dip_model_encode_prepared(). */
dip_status dip_chain_prepare(dip_chain *chain, size_t modality, const dip_tile *tile, float **input,
                             uint32_t *px);
dip_status dip_chain_encode_prepared(dip_chain *chain, size_t modality, const float *inputs,
                                     size_t n, float *vectors);

#endif
