/* diptych explain: why two tiles score what they score. */
#include "tools/cmd.h"

#include <diptych/search.h>

#include "core/file.h"
#include "core/mem.h"
#include "front/explain.h"
#include "front/probe.h"
#include "front/tile.h"
#include "ingest/raster.h"
#include "search/engine.h"
#include "tools/explain_page.h"

#include <stddef.h>
#include <string.h>

typedef struct options {
    const char *from, *bands, *output, *model, *generation;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "output",
     .letter = 'o',
     .type = DIP_OPTION_TEXT,
     .offset = AT(output),
     .choices = "FILE",
     .help = "why.png: the tiles and the map; why.html: with text, needs nothing else"},
    {.name = "from",
     .type = DIP_OPTION_TEXT,
     .offset = AT(from),
     .choices = "MODALITY",
     .help = "modality of the probes, where the word alone leaves it open"},
    {.name = "bands",
     .type = DIP_OPTION_TEXT,
     .offset = AT(bands),
     .choices = "B04,B03,...",
     .help = "names of a raster file's bands, if it has none"},
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model that the index must have been built with"},
    {.name = "generation",
     .type = DIP_OPTION_TEXT,
     .offset = AT(generation),
     .choices = "NAME",
     .help = "an older index; default: the live one"},
    {.name = NULL},
};

typedef enum form { NO_FILE, PNG, HTML } form;

typedef struct session {
    dip_tool *tool;
    const options *options;
    form form;
    dip_archive *archive;
    dip_search *search;
    dip_typed_probe typed[2];
    dip_explanation explanation;
} session;

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n > m && !strcmp(path + n - m, end);
}

static dip_status choose_form(session *s)
{
    const char *output = s->options->output;
    if (!output) return DIP_OK;
    s->form = ends_in(output, ".png") ? PNG : ends_in(output, ".html") ? HTML : NO_FILE;
    if (s->form) return DIP_OK;
    return dip_fail(DIP_EINVAL, "--output '%s' ends neither in .png nor in .html", output);
}

static dip_status open_search(session *s, const char *path)
{
    dip_search_options wanted = {
        .model = s->options->model, .generation = s->options->generation, .browse = true};
    dip_status status = dip_archive_open(&s->archive, path, DIP_ARCHIVE_READ);
    if (status) return status;
    if (s->options->from && dip_archive_find_modality(s->archive, s->options->from) < 0)
        return dip_modality_unknown(s->archive, s->options->from);
    return dip_search_open(&s->search, s->archive, &wanted);
}

static dip_status explain(session *s, char **words)
{
    dip_probe_options how = {.from = s->options->from, .bands = s->options->bands};
    dip_status status = DIP_OK;
    for (int i = 0; i < 2 && !status; i++)
        status = dip_typed_probe_init(&s->typed[i], s->archive, s->search, words[i], &how);
    if (status) return status;
    return dip_explain(s->search, &s->typed[0].probe, &s->typed[1].probe, &s->explanation);
}

static dip_status write_png(const session *s)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_status status = dip_explanation_png(s->archive, &s->explanation, &bytes, &length);
    if (!status) status = dip_file_write(s->options->output, bytes, length);
    dip_free(bytes);
    return status;
}

static void print(const session *s)
{
    bool simulated = false;
    if (s->tool->json) {
        dip_json json;
        dip_json_start(&json, stdout);
        dip_explanation_json(&json, NULL, &s->explanation);
    } else {
        dip_explain_print(&s->explanation, stdout);
    }
    for (int i = 0; i < 2; i++) {
        const dip_tile *tile = s->explanation.side[i].stored;
        simulated |= tile && dip_meta_simulated(&tile->meta);
    }
    if (simulated) dip_tool_note(s->tool, "simulated data");
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    session s = {.tool = tool, .options = values};
    (void)argc;
    dip_raster_init();
    dip_status status = choose_form(&s);
    if (!status) status = open_search(&s, argv[0]);
    if (!status) status = explain(&s, argv + 1);
    if (!status) print(&s);
    if (!status && s.form == PNG) status = write_png(&s);
    if (!status && s.form == HTML)
        status = dip_explain_page(s.archive, &s.explanation, s.options->output);
    dip_explanation_fini(&s.explanation);
    for (int i = 0; i < 2; i++) dip_typed_probe_fini(&s.typed[i]);
    dip_search_close(s.search);
    dip_archive_close(s.archive);
    return status;
}

const dip_command dip_cmd_explain = {
    .name = "explain",
    .summary = "tell why two tiles score what they score",
    .usage = "ARCHIVE PROBE PROBE",
    .text =
        "A PROBE is what diptych query takes. Tells how the score compares with random pairs, "
        "which\n"
        "parts of the embedding it comes from, which parts of the two tiles match, which labels\n"
        "agree, and how far in space and time they lie apart (docs/explain.md).",
    .options = table,
    .size = sizeof(options),
    .least_args = 3,
    .most_args = 3,
    .json = true,
    .run = run,
};
