/*
 * A model: a network in inference mode, the definition of its embedding, and its metadata; or heads on other models'
 * vectors (chain.h); see model.h.
 *
 * Encoding goes in chunks: the pool prepares the tiles of a chunk (one task a tile), then the network, which uses
 * the pool itself, takes them all.
 */
#include "encoder/model.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "encoder/chain.h"
#include "encoder/model_metadata.h"
#include "encoder/prepare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 64, NAME_CAPACITY = 96 };

static const char *const suffix = ".safetensors";

struct dip_model {
    char *id;
    dip_safetensors *file; /* kept for its metadata */
    const dip_modality *modalities;
    size_t modality_count, dim;
    dip_chain *chain; /* NULL: it is a network, which the rest describes */
    dip_net *net;
    dip_embedding *embedding;
    float *inputs; /* (CHUNK, px, px, bands of the widest modality) */
};

/* ---- constants of the embedding as tensors ---- */

static void constant_name(const dip_net_spec *spec, size_t modality, int part, bool scale,
                          char *out)
{
    snprintf(out, NAME_CAPACITY, "%s.embedding.%s.%s", spec->modality[modality].name,
             dip_output_names[part], scale ? "scale" : "mean");
}

static float *constant_values(dip_embedding *embedding, size_t modality, int part, bool scale)
{
    return scale ? dip_embedding_scale(embedding, modality, part)
                 : dip_embedding_mean(embedding, modality, part);
}

/* ---- reading ---- */

static dip_status check_shape(const dip_safetensors_entry *entry, const uint32_t *shape,
                              uint32_t rank, const char *path)
{
    bool same = entry->rank == rank;
    for (uint32_t i = 0; same && i < rank; i++) same = entry->shape[i] == shape[i];
    if (same) return DIP_OK;
    char found[128] = "";
    for (uint32_t i = 0, at = 0; i < entry->rank && at < sizeof found; i++)
        at += (uint32_t)snprintf(found + at, sizeof found - at, i ? ", %llu" : "%llu",
                                 (unsigned long long)entry->shape[i]);
    return dip_fail(DIP_EFORMAT,
                    "'%s': tensor '%s' has shape (%s), which the network table does not give", path,
                    entry->name, found);
}

/* A tensor of the wanted shape, all finite, into `out`. */
dip_status dip_tensor_read(const dip_safetensors *file, const char *path, const char *name,
                           const uint32_t *shape, uint32_t rank, float *out)
{
    const dip_safetensors_entry *entry = dip_safetensors_find(file, name);
    if (!entry) return dip_fail(DIP_EFORMAT, "'%s': tensor '%s' is missing", path, name);
    dip_status status = check_shape(entry, shape, rank, path);
    if (!status) status = dip_safetensors_floats(entry, out);
    for (uint64_t i = 0; !status && i < entry->count; i++)
        if (!isfinite(out[i]))
            status = dip_fail(DIP_ECORRUPT, "'%s': tensor '%s' has a value that is not finite",
                              path, name);
    return status;
}

static size_t largest_tensor(const dip_net *net)
{
    size_t most = 0;
    for (size_t i = 0; i < dip_net_tensor_count(net); i++)
        if (dip_net_tensor(net, i)->count > most) most = dip_net_tensor(net, i)->count;
    return most;
}

dip_status dip_net_load(dip_net *net, const dip_safetensors *file, const char *path)
{
    dip_status status = DIP_OK;
    float *values = dip_alloc(largest_tensor(net) * sizeof *values);
    if (!values) return DIP_ENOMEM;
    for (size_t i = 0; !status && i < dip_net_tensor_count(net); i++) {
        const dip_tensor *tensor = dip_net_tensor(net, i);
        status = dip_tensor_read(file, path, tensor->name, tensor->shape, tensor->rank, values);
        if (!status) dip_net_tensor_set(net, i, values);
    }
    dip_free(values);
    if (!status) dip_net_refresh(net);
    return status;
}

/* Values are divided by them. */
static dip_status check_scales(const float *scale, size_t n, const char *name, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (!(scale[i] > 0))
            return dip_fail(DIP_ECORRUPT, "'%s': tensor '%s' has a value that is not above zero",
                            path, name);
    return DIP_OK;
}

static dip_status read_constants(dip_model *model, const char *path)
{
    const dip_net_spec *spec = dip_net_get_spec(model->net);
    const dip_embed_spec *parts = dip_embedding_spec(model->embedding);
    dip_status status = DIP_OK;
    for (size_t m = 0; m < spec->modality_count; m++) {
        for (int i = 0; !status && i < 2 * DIP_OUTPUTS; i++) {
            char name[NAME_CAPACITY];
            int part = i / 2;
            bool scale = i % 2;
            uint32_t dim = (uint32_t)dip_embedding_part_dim(model->embedding, part);
            float *values = constant_values(model->embedding, m, part, scale);
            if (!(parts->part[part].weight > 0)) continue;
            constant_name(spec, m, part, scale, name);
            status = dip_tensor_read(model->file, path, name, &dim, 1, values);
            if (!status && scale) status = check_scales(values, dim, name, path);
        }
    }
    return status;
}

static dip_status read_spec(const dip_safetensors *file, const char *path, dip_net_spec *spec,
                            dip_embed_spec *embedding)
{
    dip_status status = dip_network_parse(dip_safetensors_metadata(file, "network"), path, spec);
    if (!status)
        status = dip_modalities_parse(dip_safetensors_metadata(file, "modalities"), path,
                                      spec->modality, &spec->modality_count);
    if (!status)
        status = dip_embedding_parse(dip_safetensors_metadata(file, "embedding"), path, embedding);
    if (!status && (dip_net_spec_check(spec) || dip_embed_spec_check(embedding)))
        status = dip_fail_prefix(DIP_EFORMAT, "'%s'", path);
    return status;
}

static size_t widest(const dip_net_spec *spec)
{
    size_t most = 0;
    for (uint32_t m = 0; m < spec->modality_count; m++)
        if (spec->modality[m].band_count > most) most = spec->modality[m].band_count;
    return most;
}

static dip_status load_net(dip_model *model, const char *path)
{
    dip_net_spec spec = {.input_px = 0};
    dip_embed_spec embedding;
    dip_status status = read_spec(model->file, path, &spec, &embedding);
    if (!status) status = dip_net_create(&model->net, &spec, CHUNK, DIP_NET_INFER);
    if (!status) status = dip_embedding_create(&model->embedding, &embedding, &spec);
    if (!status) status = dip_net_load(model->net, model->file, path);
    if (!status) status = read_constants(model, path);
    if (status) return status;
    size_t pixels = (size_t)spec.input_px * spec.input_px;
    model->inputs = dip_alloc_aligned(CHUNK * pixels * widest(&spec) * sizeof(float));
    model->modalities = dip_net_get_spec(model->net)->modality;
    model->modality_count = spec.modality_count;
    model->dim = dip_embedding_dim(model->embedding);
    return model->inputs ? DIP_OK : DIP_ENOMEM;
}

static dip_status load_chain(dip_model *model, const char *path, unsigned depth)
{
    dip_status status = dip_chain_open(&model->chain, model->file, path, model->id, depth);
    if (status) return status;
    const dip_heads_spec *spec = &dip_chain_heads(model->chain)->spec;
    model->modalities = spec->modality;
    model->modality_count = spec->modality_count;
    model->dim = spec->embed_dim;
    return DIP_OK;
}

static dip_status load(dip_model *model, const char *path, unsigned depth)
{
    dip_status status = dip_safetensors_open(&model->file, path);
    if (status) return status;
    const char *format = dip_safetensors_metadata(model->file, "format");
    if (format && !strcmp(format, DIP_HEADS_FORMAT)) return load_chain(model, path, depth);
    if (format && !strcmp(format, DIP_MODEL_FORMAT)) return load_net(model, path);
    return dip_fail(DIP_EFORMAT, "'%s' is not a model of ours: its format is '%s', expected '%s'",
                    path, format ? format : "", DIP_MODEL_FORMAT);
}

static char *id_of(const char *path)
{
    const char *base = dip_path_base(path);
    size_t length = strlen(base), tail = strlen(suffix);
    if (length > tail && !strcmp(base + length - tail, suffix)) length -= tail;
    return dip_strndup(base, length);
}

dip_status dip_model_open_below(dip_model **out, const char *path, unsigned depth)
{
    dip_model *model = dip_calloc(1, sizeof *model);
    if (!model) return DIP_ENOMEM;
    model->id = id_of(path);
    dip_status status = model->id ? load(model, path, depth) : DIP_ENOMEM;
    if (status)
        dip_model_close(model);
    else
        *out = model;
    return status;
}

dip_status dip_model_open(dip_model **out, const char *path)
{
    return dip_model_open_below(out, path, 0);
}

void dip_model_close(dip_model *model)
{
    if (!model) return;
    dip_chain_close(model->chain);
    dip_net_destroy(model->net);
    dip_embedding_destroy(model->embedding);
    dip_safetensors_close(model->file);
    dip_free_aligned(model->inputs);
    dip_free(model->id);
    dip_free(model);
}

/* ---- asking ---- */

const char *dip_model_id(const dip_model *model) { return model->id; }
size_t dip_model_dim(const dip_model *model) { return model->dim; }
uint32_t dip_model_input_px(const dip_model *model)
{
    return model->net ? dip_net_get_spec(model->net)->input_px : 0;
}

size_t dip_model_modality_count(const dip_model *model) { return model->modality_count; }

const dip_modality *dip_model_modality(const dip_model *model, size_t position)
{
    return &model->modalities[position];
}

int dip_model_find_modality(const dip_model *model, const char *name)
{
    for (size_t m = 0; m < model->modality_count; m++)
        if (!strcmp(model->modalities[m].name, name)) return (int)m;
    return -1;
}

dip_heads *dip_model_heads(dip_model *model)
{
    return model->chain ? dip_chain_heads(model->chain) : NULL;
}

dip_status dip_model_takes_pixels(dip_model *model, size_t position)
{
    dip_model *source;
    return model->chain ? dip_chain_source(model->chain, position, &source) : DIP_OK;
}

dip_status dip_model_fingerprint(const char *path, char *out)
{
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    snprintf(out, DIP_FINGERPRINT, "%016llx",
             (unsigned long long)dip_hash64(map.bytes, map.length));
    dip_file_unmap(&map);
    return DIP_OK;
}

const char *dip_model_metadata(const dip_model *model, const char *key)
{
    return dip_safetensors_metadata(model->file, key);
}

/* "VV (dB), VH (dB)" */
static void list_bands(const dip_modality *modality, char *out, size_t capacity)
{
    size_t at = 0;
    out[0] = 0;
    for (uint32_t b = 0; b < modality->band_count && at < capacity; b++) {
        const dip_band *band = &modality->bands[b];
        const char *comma = b ? ", " : "";
        if (band->unit[0])
            at += (size_t)snprintf(out + at, capacity - at, "%s%s (%s)", comma, band->name,
                                   band->unit);
        else
            at += (size_t)snprintf(out + at, capacity - at, "%s%s", comma, band->name);
    }
}

/* Same names in the same order; units too, where both are known. */
static bool same_bands(const dip_modality *a, const dip_modality *b)
{
    if (a->band_count != b->band_count) return false;
    for (uint32_t i = 0; i < a->band_count; i++) {
        const dip_band *x = &a->bands[i], *y = &b->bands[i];
        if (strcmp(x->name, y->name) != 0) return false;
        if (x->unit[0] && y->unit[0] && strcmp(x->unit, y->unit) != 0) return false;
    }
    return true;
}

static void list_modalities(const dip_model *model, char *out, size_t capacity)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t m = 0; m < dip_model_modality_count(model) && at < capacity; m++)
        at += (size_t)snprintf(out + at, capacity - at, m ? ", %s" : "%s",
                               dip_model_modality(model, m)->name);
}

dip_status dip_model_check(const dip_model *model, const dip_modality *modality)
{
    enum { TEXT = 1024 };
    char ours[TEXT], theirs[TEXT];
    int position = dip_model_find_modality(model, modality->name);
    if (position < 0) {
        list_modalities(model, ours, TEXT);
        return dip_fail(DIP_EMISMATCH, "model '%s' has no encoder for modality '%s'; it has %s",
                        model->id, modality->name, ours);
    }
    const dip_modality *expected = dip_model_modality(model, (size_t)position);
    if (same_bands(expected, modality)) return DIP_OK;
    list_bands(expected, ours, TEXT);
    list_bands(modality, theirs, TEXT);
    return dip_fail(
        DIP_EMISMATCH,
        "model '%s' was trained on %s with bands %s; these tiles have %s; train a model "
        "on such tiles, or import them with the --bands and --units of the others",
        model->id, modality->name, ours, theirs);
}

/* ---- encoding ---- */

typedef struct chunk {
    dip_model *model;
    size_t modality, size;
    const dip_tile *const *tiles;
} chunk;

/* The largest centred square of a tile, as input. */
static dip_status prepare_tile(const dip_tile *tile, const dip_modality *modality, uint32_t px,
                               float *out)
{
    uint32_t width, height, bands = modality->band_count;
    dip_prepare_size(tile, &width, &height);
    float *image = dip_alloc((size_t)width * height * bands * sizeof *image);
    if (!image) return DIP_ENOMEM;
    dip_status status = dip_prepare(tile, modality, image);
    uint32_t side = width < height ? width : height;
    if (!status)
        status = dip_resample(image, width, height, bands, 0.5 * (width - side),
                              0.5 * (height - side), side, side, px, out);
    dip_free(image);
    return status;
}

static dip_status prepare_task(void *context, size_t task, unsigned worker)
{
    const chunk *c = context;
    (void)worker;
    return prepare_tile(c->tiles[task], dip_model_modality(c->model, c->modality),
                        dip_model_input_px(c->model), c->model->inputs + task * c->size);
}

/* Tiles to the model's inputs, CHUNK at most. */
static dip_status prepare_chunk(dip_model *model, size_t modality, const dip_tile *const *tiles,
                                size_t n)
{
    const size_t px = dip_model_input_px(model);
    chunk c = {model, modality, px * px * dip_model_modality(model, modality)->band_count, tiles};
    return dip_parallel_for(n, prepare_task, &c);
}

static dip_status check_position(const dip_model *model, size_t modality)
{
    if (modality < dip_model_modality_count(model)) return DIP_OK;
    return dip_fail(DIP_EINVAL, "model '%s' has no modality number %zu", model->id, modality);
}

dip_status dip_model_encode(dip_model *model, size_t modality, const dip_tile *const *tiles,
                            size_t n, float *vectors)
{
    dip_status status = check_position(model, modality);
    if (!status && model->chain) return dip_chain_encode(model->chain, modality, tiles, n, vectors);
    const size_t dim = dip_model_dim(model);
    for (size_t at = 0; at < n && !status; at += CHUNK) {
        const size_t count = n - at < CHUNK ? n - at : CHUNK;
        status = prepare_chunk(model, modality, tiles + at, count);
        if (!status)
            status = dip_embedding_encode(model->embedding, model->net, modality, model->inputs,
                                          count, vectors + at * dim);
    }
    return status;
}

dip_status dip_model_prepare(dip_model *model, size_t modality, const dip_tile *tile, float **input,
                             uint32_t *px)
{
    dip_status status = check_position(model, modality);
    if (!status && model->chain) return dip_chain_prepare(model->chain, modality, tile, input, px);
    if (status) return status;
    const uint32_t side = dip_model_input_px(model);
    const dip_modality *bands = dip_model_modality(model, modality);
    float *values = dip_alloc_aligned((size_t)side * side * bands->band_count * sizeof *values);
    if (!values) return DIP_ENOMEM;
    status = prepare_tile(tile, bands, side, values);
    if (status) {
        dip_free_aligned(values);
        return status;
    }
    *input = values;
    *px = side;
    return DIP_OK;
}

dip_status dip_model_encode_prepared(dip_model *model, size_t modality, const float *inputs,
                                     size_t n, float *vectors)
{
    dip_status status = check_position(model, modality);
    if (!status && model->chain)
        return dip_chain_encode_prepared(model->chain, modality, inputs, n, vectors);
    const size_t dim = dip_model_dim(model), px = dip_model_input_px(model);
    for (size_t at = 0; at < n && !status; at += CHUNK) {
        const size_t count = n - at < CHUNK ? n - at : CHUNK;
        const size_t size = px * px * dip_model_modality(model, modality)->band_count;
        status = dip_embedding_encode(model->embedding, model->net, modality, inputs + at * size,
                                      count, vectors + at * dim);
    }
    return status;
}

size_t dip_model_parts(const dip_model *model, dip_model_part parts[DIP_MODEL_PARTS])
{
    static const char *const names[DIP_OUTPUTS] = {"projection", "features", "layout"};
    size_t count = 0, offset = 0;
    for (int p = 0; model->embedding && p < DIP_OUTPUTS; p++) {
        if (!(dip_embedding_spec(model->embedding)->part[p].weight > 0)) continue;
        const size_t dim = dip_embedding_part_dim(model->embedding, p);
        parts[count++] = (dip_model_part){names[p], offset, dim};
        offset += dim;
    }
    if (!count) parts[count++] = (dip_model_part){"embedding", 0, model->dim};
    return count;
}

static dip_status check_network(const dip_model *model, size_t modality)
{
    if (!model->chain) return check_position(model, modality);
    return dip_fail(DIP_EINVAL,
                    "model '%s' is heads on vectors and has no int8; encode the model that makes "
                    "the vectors in it",
                    model->id);
}

dip_status dip_model_watch(dip_model *model, size_t modality, const dip_tile *const *tiles,
                           size_t n)
{
    dip_status status = check_network(model, modality);
    for (size_t at = 0; at < n && !status; at += CHUNK) {
        const size_t count = n - at < CHUNK ? n - at : CHUNK;
        status = prepare_chunk(model, modality, tiles + at, count);
        if (!status) status = dip_net_watch(model->net, modality, model->inputs, count);
    }
    return status;
}

dip_status dip_model_use_int8(dip_model *model, size_t modality)
{
    dip_status status = check_network(model, modality);
    return status ? status : dip_net_use_int8(model->net, modality);
}

/* ---- writing ---- */

dip_status dip_tensor_list_init(dip_tensor_list *list, const dip_net *net, size_t more)
{
    size_t floats = 0, n = net ? dip_net_tensor_count(net) : 0;
    for (size_t i = 0; i < n; i++) floats += dip_net_tensor(net, i)->count;
    list->count = 0;
    list->tensors = dip_alloc((n + more) * sizeof *list->tensors);
    list->values = dip_alloc((floats + 1) * sizeof *list->values);
    if (!list->tensors || !list->values) {
        dip_tensor_list_fini(list);
        return DIP_ENOMEM;
    }
    for (float *at = list->values; list->count < n;
         at += dip_net_tensor(net, list->count++)->count) {
        const dip_tensor *tensor = dip_net_tensor(net, list->count);
        dip_safetensors_tensor *to = &list->tensors[list->count];
        *to = (dip_safetensors_tensor){.name = tensor->name, .rank = tensor->rank, .values = at};
        for (uint32_t k = 0; k < tensor->rank; k++) to->shape[k] = tensor->shape[k];
        dip_net_tensor_get(net, list->count, at);
    }
    return DIP_OK;
}

void dip_tensor_list_fini(dip_tensor_list *list)
{
    dip_free(list->tensors);
    dip_free(list->values);
    *list = (dip_tensor_list){.count = 0};
}

typedef char constant_names[DIP_MAX_MODALITIES * 2 * DIP_OUTPUTS][NAME_CAPACITY];

/* `names` keeps the names that the list points to. */
static void add_constants(dip_tensor_list *list, const dip_net_spec *spec, dip_embedding *embedding,
                          constant_names names)
{
    for (size_t m = 0; m < spec->modality_count; m++) {
        for (int i = 0; i < 2 * DIP_OUTPUTS; i++) {
            int part = i / 2;
            if (!(dip_embedding_spec(embedding)->part[part].weight > 0)) continue;
            char *name = *names++;
            constant_name(spec, m, part, i % 2, name);
            list->tensors[list->count++] =
                (dip_safetensors_tensor){.name = name,
                                         .rank = 1,
                                         .shape = {dip_embedding_part_dim(embedding, part)},
                                         .values = constant_values(embedding, m, part, i % 2)};
        }
    }
}

static dip_status write_file(const char *path, const dip_tensor_list *list,
                             const dip_net_spec *spec, const dip_embedding *embedding,
                             const dip_safetensors_text *texts, size_t text_count)
{
    enum { OWN = 4 };
    char *network = dip_network_text(spec),
         *modalities = dip_modalities_text(spec->modality, spec->modality_count);
    char *definition = dip_embedding_text(dip_embedding_spec(embedding));
    dip_safetensors_text *all = dip_alloc((OWN + text_count) * sizeof *all);
    dip_status status = DIP_ENOMEM;
    if (network && modalities && definition && all) {
        all[0] = (dip_safetensors_text){"format", DIP_MODEL_FORMAT};
        all[1] = (dip_safetensors_text){"network", network};
        all[2] = (dip_safetensors_text){"modalities", modalities};
        all[3] = (dip_safetensors_text){"embedding", definition};
        if (text_count) memcpy(all + OWN, texts, text_count * sizeof *all);
        status = dip_safetensors_write(path, list->tensors, list->count, all, OWN + text_count);
    }
    dip_free(network);
    dip_free(modalities);
    dip_free(definition);
    dip_free(all);
    return status;
}

dip_status dip_model_write(const char *path, const dip_net *net, const dip_net_spec *spec,
                           dip_embedding *embedding, const dip_safetensors_text *texts,
                           size_t text_count)
{
    constant_names names;
    dip_tensor_list list;
    dip_status status = dip_tensor_list_init(&list, net, 2 * DIP_OUTPUTS * spec->modality_count);
    if (status) return status;
    add_constants(&list, spec, embedding, names);
    status = write_file(path, &list, spec, embedding, texts, text_count);
    dip_tensor_list_fini(&list);
    return status;
}

dip_status dip_net_copy(dip_net *to, const dip_net *from)
{
    float *values = dip_alloc(largest_tensor(from) * sizeof *values);
    if (!values) return DIP_ENOMEM;
    for (size_t i = 0; i < dip_net_tensor_count(from); i++) {
        dip_net_tensor_get(from, i, values);
        dip_net_tensor_set(to, i, values);
    }
    dip_net_refresh(to);
    dip_free(values);
    return DIP_OK;
}
