/* Heads on other models' vectors; see chain.h. */
#include "encoder/chain.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "encoder/model_metadata.h"

#include <string.h>

enum { CHUNK = 256 };

struct dip_chain {
    dip_heads *heads;
    const char *id;
    unsigned depth;
    char *folder; /* of the models */
    dip_model *sources[DIP_MAX_MODALITIES];
    float *vectors; /* (CHUNK, widest input), of a source */
};

static dip_status read_spec(const dip_safetensors *file, const char *path, dip_heads_spec *spec)
{
    dip_status status = dip_modalities_parse(dip_safetensors_metadata(file, "modalities"), path,
                                             spec->modality, &spec->modality_count);
    if (!status) status = dip_heads_parse(dip_safetensors_metadata(file, "heads"), path, spec);
    if (!status && dip_heads_spec_check(spec)) status = dip_fail_prefix(DIP_EFORMAT, "'%s'", path);
    return status;
}

static dip_status load(dip_chain *chain, const dip_safetensors *file, const char *path)
{
    size_t widest = 0;
    dip_heads_spec *spec = dip_calloc(1, sizeof *spec);
    dip_status status = spec ? read_spec(file, path, spec) : DIP_ENOMEM;
    if (!status) status = dip_heads_create(&chain->heads, spec);
    dip_free(spec);
    if (!status) status = dip_heads_load(chain->heads, file, path);
    if (status) return status;
    for (uint32_t m = 0; m < chain->heads->spec.modality_count; m++)
        if (chain->heads->spec.input[m].dim > widest) widest = chain->heads->spec.input[m].dim;
    chain->folder = dip_path_folder(path);
    chain->vectors = dip_alloc_aligned(CHUNK * widest * sizeof(float));
    return chain->folder && chain->vectors ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_chain_open(dip_chain **out, const dip_safetensors *file, const char *path,
                          const char *id, unsigned depth)
{
    dip_chain *chain = dip_calloc(1, sizeof *chain);
    if (!chain) return DIP_ENOMEM;
    chain->id = id;
    chain->depth = depth;
    dip_status status = load(chain, file, path);
    if (status)
        dip_chain_close(chain);
    else
        *out = chain;
    return status;
}

void dip_chain_close(dip_chain *chain)
{
    if (!chain) return;
    for (size_t m = 0; m < DIP_MAX_MODALITIES; m++) dip_model_close(chain->sources[m]);
    dip_heads_destroy(chain->heads);
    dip_free(chain->folder);
    dip_free_aligned(chain->vectors);
    dip_free(chain);
}

dip_heads *dip_chain_heads(dip_chain *chain) { return chain->heads; }

/* ---- sources ---- */

static dip_status check_fingerprint(const dip_chain *chain, const dip_heads_input *input,
                                    const char *path)
{
    char found[DIP_FINGERPRINT];
    dip_status status = dip_model_fingerprint(path, found);
    if (status == DIP_ENOENT)
        return dip_fail(DIP_ENOENT,
                        "model '%s' needs model '%s', which is not there any more; put '%s' back",
                        chain->id, input->model, path);
    if (status || !strcmp(found, input->fingerprint)) return status;
    return dip_fail(DIP_EMISMATCH,
                    "model '%s' was trained again since '%s' was made from its vectors; run "
                    "diptych encode -m %s, then diptych align",
                    input->model, chain->id, input->model);
}

static dip_status open_source(dip_chain *chain, size_t modality, const dip_heads_input *input)
{
    const char *name = chain->heads->spec.modality[modality].name;
    dip_model *model = NULL;
    if (chain->depth == DIP_CHAIN_DEEPEST)
        return dip_fail(
            DIP_ENOTSUP,
            "model '%s' is heads on heads on heads, more than %d deep; align the vectors "
            "of a model that takes pixels",
            chain->id, DIP_CHAIN_DEEPEST);
    char *path = dip_sprintf("%s/%s.safetensors", chain->folder, input->model);
    dip_status status = path ? check_fingerprint(chain, input, path) : DIP_ENOMEM;
    if (!status) status = dip_model_open_below(&model, path, chain->depth + 1);
    dip_free(path);
    int position = status ? -1 : dip_model_find_modality(model, name);
    if (!status && (position < 0 || dip_model_dim(model) != input->dim))
        status =
            dip_fail(DIP_EMISMATCH, "model '%s' does not make the %u values of %s that '%s' takes",
                     input->model, input->dim, name, chain->id);
    if (!status) status = dip_model_takes_pixels(model, (size_t)position);
    if (status)
        dip_model_close(model);
    else
        chain->sources[modality] = model;
    return status;
}

dip_status dip_chain_source(dip_chain *chain, size_t modality, dip_model **out)
{
    const dip_heads_input *input = &chain->heads->spec.input[modality];
    const char *name = chain->heads->spec.modality[modality].name;
    if (!input->model[0])
        return dip_fail(DIP_ENOTSUP,
                        "model '%s' takes vectors of %s that another program made ('%s'), not "
                        "pixels; make the vector there and give it as a .npy file",
                        chain->id, name, input->origin);
    dip_status status = chain->sources[modality] ? DIP_OK : open_source(chain, modality, input);
    if (!status) *out = chain->sources[modality];
    return status;
}

/* The source of a modality, and the modality's position there. */
static dip_status find_source(dip_chain *chain, size_t modality, dip_model **source,
                              size_t *position)
{
    dip_status status = dip_chain_source(chain, modality, source);
    if (!status)
        *position =
            (size_t)dip_model_find_modality(*source, chain->heads->spec.modality[modality].name);
    return status;
}

dip_status dip_chain_encode(dip_chain *chain, size_t modality, const dip_tile *const *tiles,
                            size_t n, float *vectors)
{
    size_t dim = chain->heads->spec.embed_dim, position = 0;
    dip_model *source = NULL;
    dip_status status = find_source(chain, modality, &source, &position);
    for (size_t at = 0; !status && at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK;
        status = dip_model_encode(source, position, tiles + at, count, chain->vectors);
        if (!status)
            status =
                dip_heads_encode(chain->heads, modality, chain->vectors, count, vectors + at * dim);
    }
    return status;
}

dip_status dip_chain_prepare(dip_chain *chain, size_t modality, const dip_tile *tile, float **input,
                             uint32_t *px)
{
    size_t position = 0;
    dip_model *source = NULL;
    dip_status status = find_source(chain, modality, &source, &position);
    return status ? status : dip_model_prepare(source, position, tile, input, px);
}

dip_status dip_chain_encode_prepared(dip_chain *chain, size_t modality, const float *inputs,
                                     size_t n, float *vectors)
{
    size_t position = 0;
    dip_model *source = NULL;
    dip_status status = find_source(chain, modality, &source, &position);
    if (status) return status;
    float *between =
        dip_alloc_aligned(n * chain->heads->spec.input[modality].dim * sizeof *between);
    if (!between) return DIP_ENOMEM;
    status = dip_model_encode_prepared(source, position, inputs, n, between);
    if (!status) status = dip_heads_encode(chain->heads, modality, between, n, vectors);
    dip_free_aligned(between);
    return status;
}
