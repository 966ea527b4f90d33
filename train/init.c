/*
 * Encoders trained elsewhere; see init.h.
 *
 * Opening finds the encoder in each file (whatever stands before "layer1.0.conv1.weight" is its prefix), reads the
 * network off the tensors' names and shapes, and finds the archive's bands among the channels. Loading goes over the
 * net's tensors and asks the file for each, so that nothing can be missing; that nothing is left over is checked too.
 */
#include "train/init.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/channels.h"

#include <stdio.h>
#include <string.h>

enum { NAME_CAPACITY = 256, LIST_CAPACITY = 64 };

/* What the options call a network. */
typedef struct network {
    char block[16], widths[LIST_CAPACITY], blocks[LIST_CAPACITY], shared_from[8];
} network;

typedef struct source {
    char *path, *bands; /* of --init and --init-bands; path NULL: none */
    dip_safetensors *file;
    char prefix[NAME_CAPACITY];
    dip_channels channels;
    uint32_t channel_of[DIP_MAX_BANDS];
    char unused[LIST_CAPACITY * 4];
} source;

struct dip_init {
    source sources[DIP_MAX_MODALITIES];
    uint32_t modality_count;
    network network;
};

/* ---- the options ---- */

static uint32_t find_modality(const dip_dataset *d, const char *name, size_t length)
{
    uint32_t m = 0;
    while (m < d->modality_count && (strlen(d->modality[m].name) != length ||
                                     strncmp(d->modality[m].name, name, length) != 0))
        m++;
    return m;
}

/* One "name=value" of `length` letters; the value into the source's `path` or `bands`. */
static dip_status read_assignment(dip_init *init, const dip_dataset *d, const char *option,
                                  bool path, const char *at, size_t length)
{
    const char *equals = memchr(at, '=', length);
    const size_t name = equals ? (size_t)(equals - at) : 0, value = length - name - 1;
    if (!name || name + 1 >= length)
        return dip_fail(DIP_EINVAL, "option '%s': '%.*s' is not 'modality=%s'", option, (int)length,
                        at, path ? "file" : "bands");
    const uint32_t m = find_modality(d, at, name);
    if (m == d->modality_count)
        return dip_fail(DIP_EINVAL, "option '%s': '%.*s' is none of the modalities to learn",
                        option, (int)name, at);
    char **out = path ? &init->sources[m].path : &init->sources[m].bands;
    if (*out)
        return dip_fail(DIP_EINVAL, "option '%s' names modality '%s' twice", option,
                        d->modality[m].name);
    *out = dip_strndup(equals + 1, value);
    return *out ? DIP_OK : DIP_ENOMEM;
}

static dip_status read_assignments(dip_init *init, const dip_dataset *d, const char *option,
                                   bool path, const char *text)
{
    const char *separator = path ? "," : ";";
    dip_status status = DIP_OK;
    for (const char *at = text; !status && at; at = *at ? at + 1 : NULL) {
        const size_t length = strcspn(at, separator);
        status = read_assignment(init, d, option, path, at, length);
        at += length;
    }
    return status;
}

static dip_status check_assignments(const dip_init *init, const dip_dataset *d,
                                    const dip_train_options *options)
{
    for (uint32_t m = 0; m < d->modality_count; m++) {
        const source *s = &init->sources[m];
        const char *name = d->modality[m].name;
        if (s->bands && !s->path)
            return dip_fail(DIP_EINVAL, "option 'init-bands' speaks of '%s', 'init' does not",
                            name);
        if (!s->path && !options->epochs)
            return dip_fail(DIP_EINVAL,
                            "option 'epochs' is 0, but 'init' has no weights for modality '%s'",
                            name);
    }
    return DIP_OK;
}

/* ---- the encoder in a file ---- */

static const dip_safetensors_entry *find(const source *s, const char *name)
{
    char full[2 * NAME_CAPACITY];
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    return dip_safetensors_find(s->file, full);
}

static const dip_safetensors_entry *find_block(const source *s, uint32_t stage, uint32_t block,
                                               const char *leaf)
{
    char name[64];
    snprintf(name, sizeof name, "layer%u.%u.%s", stage + 1, block, leaf);
    return find(s, name);
}

/* Whether the word before the prefix's last dot is the modality's name. */
static bool is_named(const char *prefix, size_t length, const char *modality)
{
    const size_t n = strlen(modality);
    return length > n && prefix[length - 1] == '.' &&
           !strncmp(prefix + length - 1 - n, modality, n) &&
           (length == n + 1 || prefix[length - n - 2] == '.');
}

/* An encoder begins where a tensor is called <prefix>layer1.0.conv1.weight; of several, the modality's own is meant. */
static dip_status find_prefix(source *s, const char *modality)
{
    static const char mark[] = "layer1.0.conv1.weight";
    size_t found = 0, named = 0;
    for (size_t i = 0; i < dip_safetensors_count(s->file); i++) {
        const char *name = dip_safetensors_at(s->file, i)->name;
        const size_t length = strlen(name), tail = sizeof mark - 1;
        if (length < tail || strcmp(name + length - tail, mark) != 0) continue;
        const size_t before = length - tail;
        if ((before && name[before - 1] != '.') || before >= NAME_CAPACITY) continue;
        const bool ours = is_named(name, before, modality);
        found++;
        named += ours;
        if (found == 1 || ours) snprintf(s->prefix, NAME_CAPACITY, "%.*s", (int)before, name);
    }
    if (found == 1 || named == 1) return DIP_OK;
    if (found)
        return dip_fail(DIP_EFORMAT, "'%s' has %zu encoders, and not one whose prefix is '%s.'",
                        s->path, found, modality);
    return dip_fail(DIP_EFORMAT,
                    "'%s' has no ResNet under torchvision's names: no tensor is called '%s'",
                    s->path, mark);
}

static dip_status refuse_tensor(const source *s, const char *name, const char *why)
{
    return dip_fail(DIP_EFORMAT, "'%s': tensor '%s%s' %s", s->path, s->prefix, name, why);
}

/* Channels of the input; checks the stem, whose stride and pooling no tensor tells. */
static dip_status read_stem(const source *s, uint32_t *channels)
{
    const dip_safetensors_entry *stem = find(s, "conv1.weight");
    if (!stem) return refuse_tensor(s, "conv1.weight", "is missing");
    if (stem->rank != 4 || stem->shape[2] != 7 || stem->shape[3] != 7)
        return refuse_tensor(s, "conv1.weight", "is no 7x7 convolution, as a ResNet's first is");
    if (stem->shape[1] < 1 || stem->shape[1] > DIP_MAX_BANDS)
        return refuse_tensor(s, "conv1.weight", "has more input channels than a tile has bands");
    *channels = (uint32_t)stem->shape[1];
    return DIP_OK;
}

static dip_status read_stage(const source *s, uint32_t stage, network *out)
{
    uint32_t blocks = 0;
    const dip_safetensors_entry *first = find_block(s, stage, 0, "conv1.weight");
    while (find_block(s, stage, blocks, "conv1.weight")) blocks++;
    if (first->rank != 4 || first->shape[0] > 100000)
        return dip_fail(DIP_EFORMAT, "'%s': tensor '%s' is no convolution", s->path, first->name);
    const size_t w = strlen(out->widths), b = strlen(out->blocks);
    const char *comma = stage ? "," : "";
    snprintf(out->widths + w, LIST_CAPACITY - w, "%s%llu", comma,
             (unsigned long long)first->shape[0]);
    snprintf(out->blocks + b, LIST_CAPACITY - b, "%s%u", comma, blocks);
    return DIP_OK;
}

static dip_status read_network(const source *s, network *out)
{
    uint32_t stages = 0;
    dip_status status = DIP_OK;
    *out = (network){.block = "basic"};
    if (find_block(s, 0, 0, "conv3.weight")) strcpy(out->block, "bottleneck");
    for (; !status && stages < DIP_MAX_STAGES && find_block(s, stages, 0, "conv1.weight"); stages++)
        status = read_stage(s, stages, out);
    snprintf(out->shared_from, sizeof out->shared_from, "%u", stages);
    return status;
}

/* ---- the network in the options ---- */

static const dip_option *option_row(const char *name)
{
    const dip_option *row = dip_train_table;
    while (strcmp(row->name, name) != 0) row++;
    return row;
}

/* A value that is neither the default nor the file's was asked for. */
static dip_status settle(dip_train_options *options, const source *s, const char *name,
                         const char *value)
{
    char now[512];
    const dip_option *row = option_row(name);
    dip_options_get(row, options, now, sizeof now);
    if (strcmp(now, value) != 0 && strcmp(now, row->fallback) != 0)
        return dip_fail(DIP_EINVAL, "option '%s' is '%s', but the encoder in '%s' needs --%s %s",
                        name, now, s->path, name, value);
    return dip_options_set(dip_train_table, options, name, value);
}

static dip_status settle_network(const dip_init *init, const source *s, dip_train_options *options)
{
    const network *n = &init->network;
    const char *const values[][2] = {{"stem-kernel", "7"},           {"stem-stride", "2"},
                                     {"stem-pool", "yes"},           {"block", n->block},
                                     {"widths", n->widths},          {"blocks", n->blocks},
                                     {"shared-from", n->shared_from}};
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < sizeof values / sizeof *values; i++)
        status = settle(options, s, values[i][0], values[i][1]);
    return status;
}

/* Without training, projection and layout are chance. */
static void settle_embedding(dip_train_options *options)
{
    if (options->epochs) return;
    options->embed_z = options->embed_layout = 0;
    if (!(options->embed_h > 0)) options->embed_h = 1;
}

/* ---- opening ---- */

static dip_status match_bands(source *s, const dip_modality *modality)
{
    uint32_t channels = 0;
    dip_status status = read_stem(s, &channels);
    if (status) return status;
    if (!s->bands)
        return dip_fail(DIP_EINVAL,
                        "'%s' has %u input channels: say which bands they are, as --init-bands "
                        "'%s=BAND,BAND,...' or with the name of a published set",
                        s->path, channels, modality->name);
    status = dip_channels_read(&s->channels, s->bands, channels);
    if (!status) status = dip_channels_match(&s->channels, modality, s->channel_of);
    if (!status)
        dip_channels_unused(&s->channels, modality, s->channel_of, s->unused, sizeof s->unused);
    return status;
}

static dip_status open_source(source *s, const dip_modality *modality, network *out)
{
    dip_status status = dip_safetensors_open(&s->file, s->path);
    if (!status) status = find_prefix(s, modality->name);
    if (!status) status = read_network(s, out);
    return status ? status : match_bands(s, modality);
}

static dip_status open_sources(dip_init *init, const dip_dataset *d, dip_train_options *options)
{
    const source *first = NULL;
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && m < d->modality_count; m++) {
        source *s = &init->sources[m];
        network found;
        if (!s->path) continue;
        status = open_source(s, &d->modality[m], &found);
        if (status) return status;
        if (!first) {
            init->network = found;
            status = settle_network(init, s, options);
        } else if (memcmp(&found, &init->network, sizeof found) != 0) {
            status = dip_fail(DIP_EINVAL,
                              "'%s' and '%s' are not the same network; one model has one kind of "
                              "encoder for all modalities",
                              first->path, s->path);
        }
        first = s;
    }
    return status;
}

dip_status dip_init_open(dip_init **out, const dip_dataset *dataset, dip_train_options *options)
{
    *out = NULL;
    if (!options->init) return DIP_OK;
    dip_init *init = dip_calloc(1, sizeof *init);
    if (!init) return DIP_ENOMEM;
    init->modality_count = dataset->modality_count;
    dip_status status = read_assignments(init, dataset, "init", true, options->init);
    if (!status && options->init_bands)
        status = read_assignments(init, dataset, "init-bands", false, options->init_bands);
    if (!status) status = check_assignments(init, dataset, options);
    if (!status) status = open_sources(init, dataset, options);
    if (status) {
        dip_init_close(init);
        return status;
    }
    settle_embedding(options);
    *out = init;
    return DIP_OK;
}

void dip_init_close(dip_init *init)
{
    if (!init) return;
    for (uint32_t m = 0; m < init->modality_count; m++) {
        dip_safetensors_close(init->sources[m].file);
        dip_free(init->sources[m].path);
        dip_free(init->sources[m].bands);
    }
    dip_free(init);
}

/* ---- asking ---- */

bool dip_init_has(const dip_init *init, uint32_t modality)
{
    return init && modality < init->modality_count && init->sources[modality].path;
}

uint64_t dip_init_fingerprint(const dip_init *init)
{
    uint64_t hash = 0;
    for (uint32_t m = 0; m < init->modality_count; m++) {
        if (!dip_init_has(init, m)) continue;
        const dip_safetensors *file = init->sources[m].file;
        hash = dip_hash64_seed(&m, sizeof m, hash);
        for (size_t i = 0; i < dip_safetensors_count(file); i++) {
            const dip_safetensors_entry *entry = dip_safetensors_at(file, i);
            hash = dip_hash64_seed(entry->name, strlen(entry->name), hash);
            hash = dip_hash64_seed(entry->bytes, entry->end - entry->begin, hash);
        }
    }
    return hash;
}

dip_status dip_init_normalise(const dip_init *init, dip_dataset *dataset)
{
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && init && m < init->modality_count; m++)
        if (dip_init_has(init, m))
            status = dip_channels_normalise(&init->sources[m].channels, init->sources[m].channel_of,
                                            &dataset->modality[m]);
    return status;
}

void dip_init_describe(const dip_init *init, uint32_t modality, char *line, size_t capacity)
{
    const source *s = &init->sources[modality];
    snprintf(line, capacity, "begins with '%s': %s blocks %s%s%s%s", s->path, init->network.block,
             init->network.blocks, *s->unused ? "; the archive lacks " : "", s->unused,
             *s->unused ? ", taken as zero" : "");
}

/* ---- loading ---- */

/* (out, channels, 7, 7) of the file to (out, bands, 7, 7) of the net; a band without a channel has no weights. */
static dip_status load_stem(const source *s, const dip_tensor *t, float *values)
{
    const size_t taps = (size_t)t->shape[2] * t->shape[3], bands = t->shape[1];
    const uint32_t shape[4] = {t->shape[0], s->channels.count, t->shape[2], t->shape[3]};
    float *from = dip_alloc(t->shape[0] * shape[1] * taps * sizeof *from);
    if (!from) return DIP_ENOMEM;
    dip_status status =
        dip_tensor_read(s->file, s->path, find(s, "conv1.weight")->name, shape, 4, from);
    memset(values, 0, t->count * sizeof *values);
    for (size_t o = 0; !status && o < shape[0]; o++)
        for (size_t b = 0; b < bands; b++)
            if (s->channel_of[b] != DIP_NO_CHANNEL)
                memcpy(values + (o * bands + b) * taps,
                       from + (o * shape[1] + s->channel_of[b]) * taps, taps * sizeof *values);
    dip_free(from);
    return status;
}

/* `name`: without the modality. */
static dip_status load_tensor(const source *s, const dip_tensor *t, const char *name, float *values)
{
    char full[2 * NAME_CAPACITY];
    if (!strcmp(name, "conv1.weight")) return load_stem(s, t, values);
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    dip_status status = dip_tensor_read(s->file, s->path, full, t->shape, t->rank, values);
    for (size_t i = 0; !status && t->kind == DIP_TENSOR_RUNNING_VAR && i < t->count; i++)
        if (values[i] < 0) status = refuse_tensor(s, name, "has a variance below zero");
    return status;
}

static bool is_encoder(const dip_tensor *t)
{
    return t->kind != DIP_TENSOR_LINEAR && t->kind != DIP_TENSOR_LINEAR_BIAS;
}

static bool begins(const char *text, const char *word)
{
    return !strncmp(text, word, strlen(word));
}

/* A tensor inside the encoder that no plain ResNet has: the net would compute something else than the file's. */
static dip_status check_rest(const source *s, const dip_net *net, uint32_t m)
{
    const size_t owner = strlen(dip_net_get_spec(net)->modality[m].name) + 1;
    for (size_t i = 0; i < dip_safetensors_count(s->file); i++) {
        const char *name = dip_safetensors_at(s->file, i)->name;
        if (!begins(name, s->prefix)) continue;
        name += strlen(s->prefix);
        bool known = strstr(name, "num_batches_tracked") ||
                     !(begins(name, "conv1.") || begins(name, "bn1.") || begins(name, "layer"));
        for (size_t t = 0; !known && t < dip_net_tensor_count(net); t++) {
            const dip_tensor *tensor = dip_net_tensor(net, t);
            known = tensor->owner == m && !strcmp(tensor->name + owner, name);
        }
        if (!known) return refuse_tensor(s, name, "belongs to no plain ResNet");
    }
    return DIP_OK;
}

static dip_status load_source(const source *s, dip_net *net, uint32_t m)
{
    const size_t owner = strlen(dip_net_get_spec(net)->modality[m].name) + 1;
    dip_status status = check_rest(s, net, m);
    for (size_t i = 0; !status && i < dip_net_tensor_count(net); i++) {
        const dip_tensor *t = dip_net_tensor(net, i);
        if (t->owner != m || !is_encoder(t)) continue;
        float *values = dip_alloc(t->count * sizeof *values);
        status = values ? load_tensor(s, t, t->name + owner, values) : DIP_ENOMEM;
        if (!status) dip_net_tensor_set(net, i, values);
        dip_free(values);
    }
    return status;
}

dip_status dip_init_load(const dip_init *init, dip_net *net)
{
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && init && m < init->modality_count; m++)
        if (dip_init_has(init, m)) status = load_source(&init->sources[m], net, m);
    return status;
}
