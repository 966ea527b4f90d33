/* JSON of a model's metadata; see model_metadata.h. The only file of this folder that sees jansson.h. */
#include "encoder/model_metadata.h"

#include "core/mem.h"
#include "core/status.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const form_names[] = {"unit", "centred", "standard"};
static const char *const head_names[] = {"linear", "mlp"};
static const char *const pooling_names[] = {"mean", "gem"};
static const char *const block_names[] = {"basic", "bottleneck"};

/* ---- writing ---- */

/* Takes the reference. */
static char *to_text(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    char *copy = NULL;
    if (text)
        copy = dip_strdup(text);
    else
        dip_fail(DIP_ENOMEM, "out of memory: the metadata of a model");
    free(text);
    json_decref(value);
    return copy;
}

char *dip_network_text(const dip_net_spec *spec)
{
    json_t *stages = json_array();
    for (uint32_t i = 0; i < spec->stage_count; i++)
        json_array_append_new(stages, json_pack("{s:i, s:i}", "width", (int)spec->width[i],
                                                "blocks", (int)spec->blocks[i]));
    return to_text(json_pack(
        "{s:i, s:{s:i, s:i, s:b}, s:s, s:o, s:i, s:{s:s, s:i}, s:{s:s, s:i, s:b}, s:i, s:{s:i, "
        "s:i, s:i, s:b}}",
        "input_px", (int)spec->input_px, "stem", "kernel", (int)spec->stem_kernel, "stride",
        (int)spec->stem_stride, "pool", (int)spec->stem_pool, "block", block_names[spec->block],
        "stages", stages, "shared_from", (int)spec->shared_from, "pooling", "kind",
        pooling_names[spec->pooling], "stages", (int)spec->pooled_before + 1, "head", "kind",
        head_names[spec->head], "hidden", (int)spec->head_hidden, "shared", (int)spec->head_shared,
        "embed_dim", (int)spec->embed_dim, "layout", "grid", (int)spec->layout_grid, "stage",
        (int)spec->layout_stage, "channels", (int)spec->layout_channels, "centred",
        (int)spec->layout_centred));
}

static json_t *band_json(const dip_band *band)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f}", "name", band->name, "unit", band->unit, "gsd_m",
                     band->gsd_m, "mean", band->mean, "stddev", band->stddev);
}

static json_t *modality_json(const dip_modality *modality)
{
    json_t *bands = json_array(), *display = json_array();
    for (uint32_t b = 0; b < modality->band_count; b++)
        json_array_append_new(bands, band_json(&modality->bands[b]));
    for (int i = 0; i < 3 && modality->display[i][0]; i++)
        json_array_append_new(display, json_string(modality->display[i]));
    return json_pack("{s:s, s:o, s:o}", "name", modality->name, "display", display, "bands", bands);
}

char *dip_modalities_text(const dip_modality *modalities, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t m = 0; m < count; m++) json_array_append_new(list, modality_json(&modalities[m]));
    return to_text(list);
}

static json_t *part_json(const dip_embed_part *part)
{
    return json_pack("{s:f, s:s}", "weight", part->weight, "form", form_names[part->form]);
}

char *dip_embedding_text(const dip_embed_spec *spec)
{
    json_t *root = json_pack("{s:i}", "views", (int)spec->views);
    for (int p = 0; root && p < DIP_OUTPUTS; p++)
        json_object_set_new(root, dip_output_names[p], part_json(&spec->part[p]));
    return to_text(root);
}

char *dip_heads_text(const dip_heads_spec *spec)
{
    json_t *inputs = json_array();
    for (uint32_t m = 0; m < spec->modality_count; m++) {
        const dip_heads_input *input = &spec->input[m];
        json_array_append_new(inputs, json_pack("{s:s, s:i, s:s, s:s, s:s}", "modality",
                                                spec->modality[m].name, "dim", (int)input->dim,
                                                "model", input->model, "fingerprint",
                                                input->fingerprint, "origin", input->origin));
    }
    return to_text(json_pack("{s:s, s:i, s:i, s:o}", "kind", head_names[spec->head], "hidden",
                             (int)spec->hidden, "embed_dim", (int)spec->embed_dim, "inputs",
                             inputs));
}

/* ---- reading ---- */

/* The first failure is kept; what follows reads zeros. */
typedef struct reader {
    const char *file, *what;
    dip_status status;
} reader;

static void refuse(reader *r, const char *field, const char *expected)
{
    if (!r->status)
        r->status = dip_fail(DIP_EFORMAT, "'%s': %s: '%s' is missing or not %s", r->file, r->what,
                             field, expected);
}

static json_t *parse(reader *r, const char *text)
{
    json_error_t error;
    if (!text) {
        r->status =
            dip_fail(DIP_EFORMAT, "'%s' is no model of ours: it has no '%s' in its metadata",
                     r->file, r->what);
        return NULL;
    }
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        r->status = dip_fail(DIP_EFORMAT, "'%s': %s is no JSON: %s", r->file, r->what, error.text);
    return value;
}

static uint32_t read_uint(reader *r, const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > 1000000)
        return refuse(r, field, "a whole number"), 0;
    return (uint32_t)number;
}

static bool read_bool(reader *r, const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    if (!json_is_boolean(value)) refuse(r, field, "true or false");
    return json_is_true(value);
}

static double read_real(reader *r, const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    double number = json_number_value(value);
    if (json_is_number(value) && isfinite(number)) return number;
    refuse(r, field, "a number");
    return 0;
}

/* A text of `capacity` bytes at most, the 0 byte included. */
static void read_text(reader *r, const json_t *value, const char *field, char *out, size_t capacity)
{
    const char *text = json_string_value(value);
    if (text && strlen(text) < capacity)
        strcpy(out, text);
    else
        refuse(r, field, "a short text");
}

static void read_word(reader *r, const json_t *value, const char *field, char *out)
{
    read_text(r, value, field, out, DIP_WORD_CAPACITY);
}

static int read_choice(reader *r, const json_t *object, const char *field, const char *const *words,
                       int count)
{
    const char *text = json_string_value(json_object_get(object, field));
    for (int i = 0; text && i < count; i++)
        if (!strcmp(text, words[i])) return i;
    refuse(r, field, "a word that we know");
    return 0;
}

static void read_stages(reader *r, const json_t *root, dip_net_spec *spec)
{
    const json_t *stages = json_object_get(root, "stages");
    size_t count = json_array_size(stages);
    if (count < 1 || count > DIP_MAX_STAGES) {
        refuse(r, "stages", "a list of one to four");
        return;
    }
    spec->stage_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        spec->width[i] = read_uint(r, json_array_get(stages, i), "width");
        spec->blocks[i] = read_uint(r, json_array_get(stages, i), "blocks");
    }
}

/* Older models have no word for it. */
static void read_pooling(reader *r, const json_t *pooling, dip_net_spec *spec)
{
    spec->pooling = DIP_POOLING_MEAN;
    spec->pooled_before = 0;
    if (!pooling) return;
    spec->pooling = (dip_pooling)read_choice(r, pooling, "kind", pooling_names, 2);
    const uint32_t stages = read_uint(r, pooling, "stages");
    if (stages < 1 || stages > spec->stage_count) refuse(r, "stages", "some of the stages");
    spec->pooled_before = stages - 1;
}

dip_status dip_network_parse(const char *text, const char *file, dip_net_spec *spec)
{
    reader r = {file, "network", DIP_OK};
    json_t *root = parse(&r, text);
    if (!root) return r.status;
    const json_t *stem = json_object_get(root, "stem"), *head = json_object_get(root, "head");
    spec->input_px = read_uint(&r, root, "input_px");
    spec->stem_kernel = read_uint(&r, stem, "kernel");
    spec->stem_stride = read_uint(&r, stem, "stride");
    spec->stem_pool = read_bool(&r, stem, "pool");
    /* older models have no word for it */
    spec->block = DIP_BLOCK_BASIC;
    if (json_object_get(root, "block"))
        spec->block = (dip_block_kind)read_choice(&r, root, "block", block_names, 2);
    read_stages(&r, root, spec);
    spec->shared_from = read_uint(&r, root, "shared_from");
    read_pooling(&r, json_object_get(root, "pooling"), spec);
    spec->head = (dip_head)read_choice(&r, head, "kind", head_names, 2);
    spec->head_hidden = read_uint(&r, head, "hidden");
    spec->head_shared = read_bool(&r, head, "shared");
    spec->embed_dim = read_uint(&r, root, "embed_dim");
    const json_t *layout = json_object_get(root, "layout"); /* older models have none */
    spec->layout_grid = layout ? read_uint(&r, layout, "grid") : 0;
    spec->layout_stage = layout ? read_uint(&r, layout, "stage") : 0;
    spec->layout_channels = layout ? read_uint(&r, layout, "channels") : 0;
    spec->layout_centred = layout && read_bool(&r, layout, "centred");
    json_decref(root);
    return r.status;
}

static void read_modality(reader *r, const json_t *object, dip_modality *modality)
{
    const json_t *bands = json_object_get(object, "bands");
    const json_t *display = json_object_get(object, "display");
    size_t count = json_array_size(bands), shown = json_array_size(display);
    read_word(r, json_object_get(object, "name"), "name", modality->name);
    if (shown > 3) refuse(r, "display", "a list of at most three bands");
    for (size_t i = 0; i < shown && i < 3; i++)
        read_word(r, json_array_get(display, i), "display", modality->display[i]);
    if (!json_is_array(bands) || count > DIP_MAX_BANDS) {
        refuse(r, "bands", "a list of up to 64");
        return;
    }
    modality->band_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *band = json_array_get(bands, i);
        read_word(r, json_object_get(band, "name"), "name", modality->bands[i].name);
        read_word(r, json_object_get(band, "unit"), "unit", modality->bands[i].unit);
        modality->bands[i].gsd_m = read_real(r, band, "gsd_m");
        modality->bands[i].mean = read_real(r, band, "mean");
        modality->bands[i].stddev = read_real(r, band, "stddev");
    }
}

dip_status dip_modalities_parse(const char *text, const char *file, dip_modality *modalities,
                                uint32_t *count)
{
    reader r = {file, "modalities", DIP_OK};
    json_t *root = parse(&r, text);
    if (!root) return r.status;
    size_t n = json_array_size(root);
    if (n < 1 || n > DIP_MAX_MODALITIES) {
        refuse(&r, "modalities", "a list of one to sixteen");
        n = 0;
    }
    *count = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        modalities[i] = (dip_modality){.band_count = 0};
        read_modality(&r, json_array_get(root, i), &modalities[i]);
    }
    json_decref(root);
    return r.status;
}

dip_status dip_embedding_parse(const char *text, const char *file, dip_embed_spec *spec)
{
    reader r = {file, "embedding", DIP_OK};
    json_t *root = parse(&r, text);
    if (!root) return r.status;
    spec->views = read_uint(&r, root, "views");
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        const json_t *part = json_object_get(root, dip_output_names[p]);
        spec->part[p] = (dip_embed_part){.weight = 0};
        if (!part && p == DIP_LAYOUT) continue;
        spec->part[p].weight = read_real(&r, part, "weight");
        spec->part[p].form = (dip_embed_form)read_choice(&r, part, "form", form_names, 3);
    }
    json_decref(root);
    return r.status;
}

static void read_input(reader *r, const json_t *object, const dip_modality *modality,
                       dip_heads_input *input)
{
    const char *name = json_string_value(json_object_get(object, "modality"));
    if (!name || strcmp(name, modality->name) != 0) refuse(r, "modality", modality->name);
    input->dim = read_uint(r, object, "dim");
    read_text(r, json_object_get(object, "model"), "model", input->model, sizeof input->model);
    read_text(r, json_object_get(object, "fingerprint"), "fingerprint", input->fingerprint,
              sizeof input->fingerprint);
    read_text(r, json_object_get(object, "origin"), "origin", input->origin, sizeof input->origin);
    if (strchr(input->model, '/')) refuse(r, "model", "the name of a model");
}

dip_status dip_heads_parse(const char *text, const char *file, dip_heads_spec *spec)
{
    reader r = {file, "heads", DIP_OK};
    json_t *root = parse(&r, text);
    if (!root) return r.status;
    const json_t *inputs = json_object_get(root, "inputs");
    spec->head = (dip_head)read_choice(&r, root, "kind", head_names, 2);
    spec->hidden = read_uint(&r, root, "hidden");
    spec->embed_dim = read_uint(&r, root, "embed_dim");
    if (json_array_size(inputs) != spec->modality_count)
        refuse(&r, "inputs", "a list with one a modality");
    for (uint32_t m = 0; !r.status && m < spec->modality_count; m++)
        read_input(&r, json_array_get(inputs, m), &spec->modality[m], &spec->input[m]);
    json_decref(root);
    return r.status;
}
