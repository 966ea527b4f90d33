/*
 * diptych align: carries vectors of unrelated models into one space.
 *
 * Three parts, each of which is passed over if it was done before: learn the heads (train/align.h), store the aligned
 * embeddings (train/encode.h), write them as .npy files.
 */
#include "tools/cmd.h"

#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "search/models.h"
#include "tools/train_result.h"
#include "train/align.h"
#include "train/encode.h"

#include <diptych/model.h>

#include "encoder/model.h"

#include <string.h>

enum { BATCH = 8192 }; /* vectors a transaction */

typedef struct session {
    dip_tool *tool;
    const dip_align_options *options;
    const char *path; /* of the archive */
    dip_vectors vectors[DIP_MAX_MODALITIES];
    size_t count;
    dip_train_result result;
    dip_encode_report stored;
    uint64_t written; /* files */
} session;

/* ---- words ---- */

/* The part of "s1=A;s2=B" behind a modality's '='; without any '=' the whole. *out NULL: none. Free with dip_free(). */
static dip_status part_of(const char *list, const char *modality, char **out)
{
    size_t length = strlen(modality);
    const char *at = list;
    *out = NULL;
    if (!list) return DIP_OK;
    if (strchr(list, '=')) {
        while (*at && (strncmp(at, modality, length) != 0 || at[length] != '=')) {
            at += strcspn(at, ";");
            at += *at == ';';
        }
        if (!*at) return DIP_OK;
        at += length + 1;
    }
    *out = dip_strndup(at, strcspn(at, ";"));
    return *out ? DIP_OK : DIP_ENOMEM;
}

/* Every "s1=" of the list must be one of the modalities that vectors are given for. `whole`: one word may stand for all. */
static dip_status check_list(const session *s, const char *option, const char *list, bool whole)
{
    for (const char *at = list; at && *at; at += *at == ';') {
        size_t length = strcspn(at, ";");
        bool known = whole && !strchr(list, '=');
        for (size_t i = 0; i < s->count; i++) {
            size_t name = strlen(s->vectors[i].modality);
            known |= !strncmp(at, s->vectors[i].modality, name) && at[name] == '=';
        }
        if (!known)
            return dip_fail(DIP_EINVAL,
                            "--%s: '%.*s' is not MODALITY=FILE of a modality with vectors", option,
                            (int)length, at);
        at += length;
    }
    return DIP_OK;
}

/* "s1=WORD" */
static dip_status open_one(session *s, const dip_archive *archive, const char *word)
{
    const char *equals = strchr(word, '=');
    char *ids = NULL, modality[DIP_WORD_CAPACITY];
    if (!equals || equals == word || !equals[1] || (size_t)(equals - word) >= sizeof modality)
        return dip_fail(DIP_EINVAL, "'%.100s' is not MODALITY=VECTORS", word);
    snprintf(modality, sizeof modality, "%.*s", (int)(equals - word), word);
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->vectors[i].modality, modality))
            return dip_fail(DIP_EINVAL, "vectors of '%s' are given twice", modality);
    dip_status status = part_of(s->options->ids, modality, &ids);
    if (!status)
        status = dip_vectors_open(&s->vectors[s->count], archive, modality, equals + 1, ids,
                                  s->tool->progress);
    if (!status) s->count++;
    dip_free(ids);
    return status;
}

static dip_status open_all(session *s, const dip_archive *archive, int argc, char **argv)
{
    dip_status status = DIP_OK;
    if (argc < 2 && !s->options->apply)
        return dip_fail(DIP_EINVAL, "alignment needs the vectors of two modalities");
    if (argc > DIP_MAX_MODALITIES) return dip_fail(DIP_EINVAL, "too many words");
    for (int i = 0; !status && i < argc; i++) status = open_one(s, archive, argv[i]);
    if (!status) status = check_list(s, "ids", s->options->ids, true);
    return status ? status : check_list(s, "output", s->options->output, false);
}

/* ---- the three parts ---- */

static dip_status learn(session *s, int argc, char **argv)
{
    dip_archive *archive = NULL;
    const dip_train_listener listener = {
        .progress = s->tool->progress, .note = dip_tool_note_line, .payload = s->tool};
    dip_status status = dip_archive_open(&archive, s->path, DIP_ARCHIVE_READ);
    if (!status) status = open_all(s, archive, argc, argv);
    if (!status && !s->options->apply)
        status = dip_align(archive, s->options, s->vectors, s->count, &listener, &s->result);
    else if (!status)
        snprintf(s->result.model, sizeof s->result.model, "%s", s->options->apply);
    dip_archive_close(archive);
    return status;
}

/* Without --apply what is stored already is from the same vectors. */
static dip_status store(session *s, const char *model_path)
{
    dip_archive *archive = NULL;
    const dip_encode_options how = {.batch = BATCH,
                                    .force = s->options->apply != NULL,
                                    .vectors = s->vectors,
                                    .vector_count = s->count,
                                    .progress = s->tool->progress,
                                    .refused = dip_tool_note_line,
                                    .payload = s->tool};
    dip_status status = dip_archive_open(&archive, s->path, DIP_ARCHIVE_WRITE);
    if (!status) status = dip_encode(archive, model_path, &how, &s->stored);
    dip_archive_close(archive);
    return status;
}

static dip_status write_rows(session *s, dip_heads *heads, size_t position, const dip_vectors *v,
                             FILE *out)
{
    enum { ROWS = 1024 };
    size_t dim = heads->spec.embed_dim;
    float *in = dip_alloc(ROWS * v->input.dim * sizeof *in),
          *rows = dip_alloc(ROWS * dim * sizeof *rows);
    dip_status status = in && rows ? DIP_OK : DIP_ENOMEM;
    dip_npy_heading(out, v->rows, dim);
    for (size_t at = 0; !status && at < v->rows; at += ROWS) {
        size_t n = v->rows - at < ROWS ? v->rows - at : ROWS;
        dip_vectors_read(v, at, n, in);
        status = dip_heads_encode(heads, position, in, n, rows);
        if (!status) fwrite(rows, sizeof *rows, n * dim, out);
        if (!status && dip_progress_tick(s->tool->progress, "writing", at + n, v->rows))
            status = dip_fail(DIP_ECANCEL, "stopped");
    }
    dip_free(in);
    dip_free(rows);
    return status;
}

static dip_status write_file(session *s, dip_model *model, const dip_vectors *v, const char *path)
{
    dip_aside file = {0};
    int position = dip_model_find_modality(model, v->modality);
    dip_status status = dip_file_begin(&file, path);
    if (!status) status = write_rows(s, dip_model_heads(model), (size_t)position, v, file.stream);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    if (!status) s->written++;
    return status;
}

static dip_status write_outputs(session *s, dip_model *model)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < s->count; i++) {
        char *path = NULL;
        status = part_of(s->options->output, s->vectors[i].modality, &path);
        if (!status && path) status = write_file(s, model, &s->vectors[i], path);
        dip_free(path);
    }
    return status;
}

/* --apply may name any model of the archive, and any vectors. */
static dip_status check_model(const session *s, dip_model *model)
{
    dip_heads *heads = dip_model_heads(model);
    if (!heads)
        return dip_fail(DIP_EINVAL, "model '%s' is not one that diptych align made",
                        dip_model_id(model));
    for (size_t i = 0; i < s->count; i++) {
        const dip_vectors *v = &s->vectors[i];
        int position = dip_model_find_modality(model, v->modality);
        if (position < 0)
            return dip_fail(DIP_EMISMATCH, "model '%s' has no head for modality '%s'",
                            dip_model_id(model), v->modality);
        uint32_t wanted = heads->spec.input[position].dim;
        if (wanted != v->input.dim)
            return dip_fail(DIP_EMISMATCH, "'%s' has %u values a row, model '%s' takes %u of %s",
                            v->input.origin, v->input.dim, dip_model_id(model), wanted,
                            v->modality);
    }
    return DIP_OK;
}

static dip_status use(session *s)
{
    char *path = dip_models_path(s->path, s->result.model);
    dip_model *model = NULL;
    dip_status status = path ? dip_model_open(&model, path) : DIP_ENOMEM;
    if (!status) status = check_model(s, model);
    if (!status) status = store(s, path);
    if (!status) status = write_outputs(s, model);
    dip_model_close(model);
    dip_free(path);
    return status;
}

/* ---- results ---- */

static double per_second(const session *s)
{
    const dip_train_result *r = &s->result;
    double pairs = (double)(r->steps - r->resumed_from) * (double)s->options->train.batch;
    if ((double)s->options->train.batch > (double)r->pairs)
        pairs = (double)(r->steps - r->resumed_from) * (double)r->pairs;
    return r->seconds > 0 ? pairs / r->seconds : 0;
}

static void print_text(const session *s)
{
    const dip_train_result *r = &s->result;
    char time[32], steps[32], stored[48], present[32];
    dip_format_seconds(r->seconds, time, sizeof time);
    dip_format_things(r->steps, "step", steps, sizeof steps);
    dip_format_things(s->stored.encoded, "aligned embedding", stored, sizeof stored);
    dip_format_count(s->stored.present, present, sizeof present);
    if (r->already)
        printf("model %s was made before from these vectors; --force makes it again\n", r->model);
    else if (!s->options->apply)
        printf("model %s: %s, %s (%.0f pairs/s)\n", r->model, steps, time, per_second(s));
    if (r->steps) dip_train_result_print(r);
    printf("%s stored, %s were there; next: diptych index %s -m %s\n", stored, present, s->path,
           r->model);
}

static void print_json(const session *s)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_train_result_json(&j, &s->result);
    dip_json_real(&j, "pairs_per_second", per_second(s), 1);
    dip_json_count(&j, "stored", s->stored.encoded);
    dip_json_count(&j, "present", s->stored.present);
    dip_json_count(&j, "files", s->written);
    dip_json_end(&j);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    session *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->tool = tool;
    s->options = values;
    s->path = argv[0];
    dip_status status = learn(s, argc - 1, argv + 1);
    if (!status) status = use(s);
    if (!status && tool->json) print_json(s);
    if (!status && !tool->json) print_text(s);
    for (size_t i = 0; i < s->count; i++) dip_vectors_close(&s->vectors[i]);
    dip_free(s);
    return status;
}

const dip_command dip_cmd_align = {
    .name = "align",
    .summary = "carry vectors of unrelated models into one space",
    .usage = "ARCHIVE MODALITY=VECTORS...",
    .text =
        "VECTORS are a NumPy file (.npy, float32 or float16, a row a tile), or a model of the\n"
        "archive whose embeddings are stored. A small head a modality learns from the archive's\n"
        "pairs, as diptych train does. The model goes to models/<name>.safetensors, the aligned\n"
        "embeddings of all tiles into the archive; index, query, eval and export take them with\n"
        "-m <name>. An interrupted run continues.",
    .options = dip_align_table,
    .size = sizeof(dip_align_options),
    .least_args = 2,
    .most_args = 1 + DIP_MAX_MODALITIES,
    .json = true,
    .run = run,
};
