/**
 * The parts of a model that are no tensors, as JSON texts of the file's __metadata__.
 *
 *   format      "diptych model 1"
 *   network     {"input_px":64,"stem":{"kernel":3,"stride":2,"pool":false},"stages":[{"width":32,"blocks":1},...],
 *                "shared_from":2,"head":{"kind":"linear","hidden":0,"shared":true},"embed_dim":128}
 *   modalities  [{"name":"s1","display":["VV"],"bands":[{"name":"VV","unit":"dB","gsd_m":10.0,"mean":-12.6,"stddev":5.1}]}]
 *   embedding   {"views":1,"z":{"weight":1.0,"form":"centred"},"h":{"weight":0.0,"form":"unit"}}
 */
#ifndef ENCODER_MODEL_METADATA_H
#define ENCODER_MODEL_METADATA_H

#include "encoder/embed.h"
#include "encoder/spec.h"

#define DIP_MODEL_FORMAT "diptych model 1"

/** JSON texts; free with dip_free(). NULL only when memory is short. */
char *dip_network_text(const dip_net_spec *spec);
char *dip_modalities_text(const dip_net_spec *spec);
char *dip_embedding_text(const dip_embed_spec *spec);

/**
 * The ways back. A text that is NULL (missing), no JSON, or has a field missing, of another type or out of range
 * is DIP_EFORMAT, which names the field; `file` appears in the line.
 */
dip_status dip_network_parse(const char *text, const char *file, dip_net_spec *spec);
dip_status dip_modalities_parse(const char *text, const char *file, dip_net_spec *spec);
dip_status dip_embedding_parse(const char *text, const char *file, dip_embed_spec *spec);

#endif
