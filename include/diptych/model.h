/**
 * A trained model: encoders of several modalities into one embedding space.
 *
 * On disk a model is a safetensors file (PyTorch's tensor names and order) whose __metadata__ holds the network
 * table, each modality's bands, units and statistics, and the training run. Embeddings are unit-norm float32, so
 * a score is a dot product (cosine).
 */
#ifndef DIPTYCH_MODEL_H
#define DIPTYCH_MODEL_H

#include <diptych/status.h>
#include <diptych/tile.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dip_model dip_model;

/**
 * Expected failures: DIP_ENOENT, DIP_EFORMAT (not safetensors, hostile header, a tensor missing or of another
 * shape: named), DIP_ECORRUPT.
 */
dip_status dip_model_open(dip_model **out, const char *path);
void dip_model_close(dip_model *model);

/** Id: the file's name without ".safetensors"; what embeddings and indexes are filed under. */
const char *dip_model_id(const dip_model *model);
size_t dip_model_dim(const dip_model *model);
size_t dip_model_modality_count(const dip_model *model);
/** Bands, units and statistics that the encoder of this position expects. */
const dip_modality *dip_model_modality(const dip_model *model, size_t position);
/** Position of a modality by name, or -1. */
int dip_model_find_modality(const dip_model *model, const char *name);
/** A string of the file's __metadata__, or NULL. */
const char *dip_model_metadata(const dip_model *model, const char *key);

/**
 * DIP_EMISMATCH, with the bands on both sides by name, if tiles of `modality` cannot go through the encoder of
 * the same name.
 */
dip_status dip_model_check(const dip_model *model, const dip_modality *modality);

/**
 * Encodes n tiles of one modality. Each tile's planes are those of the model's bands, in order; they may be on
 * different grids (brought to the finest by bicubic interpolation). vectors: (n, dim), unit norm.
 * A NaN or infinite pixel is DIP_EINVAL and names the band. One thread at a time per model; the pool works inside.
 */
dip_status dip_model_encode(dip_model *model, size_t modality, const dip_tile *const *tiles,
                            size_t n, float *vectors);

#ifdef __cplusplus
}
#endif
#endif
