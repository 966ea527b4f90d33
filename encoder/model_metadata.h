/**
 * The parts of a model that are no tensors, as JSON texts of the file's __metadata__.
 *
 *   format      "diptych model 1"
 *   network     {"input_px":64,"stem":{"kernel":3,"stride":2,"pool":false},"block":"basic",
 *                "stages":[{"width":32,"blocks":1},...],"shared_from":2,"pooling":{"kind":"mean","stages":1},
 *                "head":{"kind":"linear","hidden":0,"shared":true},"embed_dim":128,
 *                "layout":{"grid":8,"stage":1,"channels":4,"centred":true}}
 *   modalities  [{"name":"s1","display":["VV"],"bands":[{"name":"VV","unit":"dB","gsd_m":10.0,"mean":-12.6,"stddev":5.1}]}]
 *   embedding   {"views":1,"z":{"weight":1.0,"form":"centred"},"h":{"weight":0.0,"form":"unit"},"layout":{...}}
 *
 * Heads on vectors have the format "diptych heads 1", "modalities", and instead of the other two
 *   heads       {"kind":"mlp","hidden":512,"embed_dim":128,"inputs":[{"modality":"s1","dim":256,"model":"a",
 *                "fingerprint":"<16 hexadecimal digits>","origin":"a"}]}     model "": the vectors came from outside
 */
#ifndef ENCODER_MODEL_METADATA_H
#define ENCODER_MODEL_METADATA_H

#include "encoder/embed.h"
#include "encoder/heads.h"

#define DIP_MODEL_FORMAT "diptych model 1"
#define DIP_HEADS_FORMAT "diptych heads 1"

/** JSON texts; free with dip_free(). NULL only when memory is short. */
char *dip_network_text(const dip_net_spec *spec);
char *dip_modalities_text(const dip_modality *modalities, uint32_t count);
char *dip_embedding_text(const dip_embed_spec *spec);
char *dip_heads_text(const dip_heads_spec *spec);

/**
 * The ways back. A text that is NULL (missing), no JSON, or has a field missing, of another type or out of range
 * is DIP_EFORMAT, which names the field; `file` appears in the line.
 */
dip_status dip_network_parse(const char *text, const char *file, dip_net_spec *spec);
dip_status dip_modalities_parse(const char *text, const char *file, dip_modality *modalities,
                                uint32_t *count);
dip_status dip_embedding_parse(const char *text, const char *file, dip_embed_spec *spec);
/** After dip_modalities_parse() into the same spec: the inputs are of its modalities, in their order. */
dip_status dip_heads_parse(const char *text, const char *file, dip_heads_spec *spec);

#endif
