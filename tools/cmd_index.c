/* diptych index: builds the searchable state of an archive from its embeddings. */
#include "tools/cmd.h"

#include "core/format.h"
#include "search/build.h"
#include "front/json.h"
#include "tools/table.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *model, *memory;
    int engine, refine;
    int64_t lists, codes, keep;
    double recall;
    bool update;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model whose embeddings are indexed; default: the newest one"},
    {.name = "engine",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(engine),
     .choices = "auto|exact|faiss|native",
     .fallback = "auto",
     .help = "auto: exact below 50,000 vectors of a modality, if memory allows"},
    {.name = "memory",
     .type = DIP_OPTION_TEXT,
     .offset = AT(memory),
     .choices = "SIZE",
     .help =
         "memory that all indexes may take when they are searched: 500M, 8G; default: no limit"},
    {.name = "lists",
     .type = DIP_OPTION_INT,
     .offset = AT(lists),
     .high = 1 << 20,
     .fallback = "0",
     .help = "lists of the inverted file; 0: from the number of vectors"},
    {.name = "codes",
     .type = DIP_OPTION_INT,
     .offset = AT(codes),
     .high = 1024,
     .fallback = "0",
     .help = "4-bit codes a vector; 0: from its dimension and the memory"},
    {.name = "refine",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(refine),
     .choices = "auto|int8|half",
     .fallback = "auto",
     .help = "what candidates are scored by; auto: half above a recall of 0.99, if memory allows"},
    {.name = "recall",
     .type = DIP_OPTION_REAL,
     .offset = AT(recall),
     .low = 0.5,
     .high = 1,
     .fallback = "0.99",
     .help = "share of the exact 10 nearest that a search shall find"},
    {.name = "update",
     .letter = 'u',
     .type = DIP_OPTION_FLAG,
     .offset = AT(update),
     .help = "add new tiles to the live index and drop removed ones, without training again"},
    {.name = "keep",
     .type = DIP_OPTION_INT,
     .offset = AT(keep),
     .high = 1000,
     .fallback = "1",
     .help = "older generations to keep"},
    {.name = NULL},
};

static dip_status print_indexes(const dip_indexing_report *r)
{
    dip_text_table *t;
    dip_status status = dip_text_table_create(&t, "llrrrrrrl");
    if (status) return status;
    static const char *const heads[] = {"modality", "index",    "vectors", "added", "removed",
                                        "size",     "a vector", "time",    "why"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) dip_text_table_add(t, "%s", heads[i]);
    for (uint32_t i = 0; i < r->modality_count; i++) {
        char text[64];
        dip_text_table_add(t, "%s", r->modality[i].name);
        dip_text_table_add(t, "%s", r->modality[i].describe);
        dip_format_count(r->modality[i].count, text, sizeof text);
        dip_text_table_add(t, "%s", text);
        dip_format_count(r->modality[i].added, text, sizeof text);
        dip_text_table_add(t, "%s", text);
        dip_format_count(r->modality[i].removed, text, sizeof text);
        dip_text_table_add(t, "%s", text);
        dip_format_bytes(r->modality[i].bytes, text, sizeof text);
        dip_text_table_add(t, "%s", text);
        uint64_t n = r->modality[i].count ? r->modality[i].count : 1;
        dip_text_table_add(t, "%llu B", (unsigned long long)(r->modality[i].bytes / n));
        dip_text_table_add(t, "%.1f s", r->modality[i].seconds);
        dip_text_table_add(t, "%s", r->modality[i].trained ? r->modality[i].why : "updated");
    }
    status = dip_text_table_print(t, stdout);
    dip_text_table_destroy(t);
    return status;
}

/* Does a search that asks for nothing special use this point? */
static bool is_default(const dip_manifest *m, const dip_operating_point *p)
{
    static const dip_effort as_tuned = {0, 0};
    return dip_manifest_point(m, p->from, p->to, &as_tuned) == p;
}

static dip_status print_points(const dip_manifest *m)
{
    dip_text_table *t;
    dip_status status = dip_text_table_create(&t, "lrrrrrl");
    if (status) return status;
    static const char *const heads[] = {"search", "recall@10", "lists", "depth", "gap", "time", ""};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) dip_text_table_add(t, "%s", heads[i]);
    for (uint32_t i = 0; i < m->point_count; i++) {
        const dip_operating_point *p = &m->points[i];
        dip_text_table_add(t, "%s -> %s", p->from, p->to);
        dip_text_table_add(t, "%.4f", p->recall);
        if (p->params.nprobe) {
            dip_text_table_add(t, "%u", p->params.nprobe);
            dip_text_table_add(t, "%u", p->params.depth);
            dip_text_table_add(t, p->params.gap > 0 ? "%.4f" : "-", (double)p->params.gap);
        } else {
            dip_text_table_add(t, "all");
            dip_text_table_add(t, "all");
            dip_text_table_add(t, "-");
        }
        dip_text_table_add(t, "%.3f ms", p->us / 1000);
        dip_text_table_add(t, "%s", is_default(m, p) ? "<- used" : "");
    }
    status = dip_text_table_print(t, stdout);
    dip_text_table_destroy(t);
    return status;
}

static void print_json(const dip_indexing_report *r, const dip_manifest *m)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "generation", r->generation);
    dip_json_text(&j, "model", r->model);
    dip_json_count(&j, "dim", m->dim);
    dip_json_flag(&j, "unchanged", r->unchanged);
    dip_json_array(&j, "modalities");
    for (uint32_t i = 0; i < r->modality_count; i++) {
        dip_json_object(&j, NULL);
        dip_json_text(&j, "modality", r->modality[i].name);
        dip_json_text(&j, "index", r->modality[i].describe);
        dip_json_count(&j, "vectors", r->modality[i].count);
        dip_json_count(&j, "added", r->modality[i].added);
        dip_json_count(&j, "removed", r->modality[i].removed);
        dip_json_count(&j, "without_embedding", r->modality[i].without);
        dip_json_count(&j, "bytes", r->modality[i].bytes);
        if (r->modality[i].trained) {
            dip_json_count(&j, "memory", r->modality[i].memory);
            dip_json_text(&j, "why", r->modality[i].why);
        }
        dip_json_real(&j, "seconds", r->modality[i].seconds, 3);
        dip_json_end(&j);
    }
    dip_json_end(&j);
    dip_json_array(&j, "searches");
    for (uint32_t i = 0; i < m->point_count; i++) {
        const dip_operating_point *p = &m->points[i];
        dip_json_object(&j, NULL);
        dip_json_text(&j, "from", p->from);
        dip_json_text(&j, "to", p->to);
        dip_json_real(&j, "recall", p->recall, 6);
        dip_json_real(&j, "target", p->target, 6);
        dip_json_count(&j, "nprobe", p->params.nprobe);
        dip_json_count(&j, "depth", p->params.depth);
        dip_json_real(&j, "gap", p->params.gap, 6);
        dip_json_real(&j, "us", p->us, 1);
        dip_json_flag(&j, "used", is_default(m, p));
        dip_json_end(&j);
    }
    dip_json_end(&j);
    dip_json_end(&j);
}

static void tell_what_is_missing(dip_tool *tool, const dip_indexing_report *r)
{
    for (uint32_t i = 0; i < r->modality_count; i++) {
        char count[40];
        if (!r->modality[i].without) continue;
        dip_format_count(r->modality[i].without, count, sizeof count);
        dip_tool_note(tool,
                      "%s tiles of modality %s have no embedding of model %s; run diptych encode",
                      count, r->modality[i].name, r->model);
    }
}

static void tell_missed_targets(dip_tool *tool, const dip_manifest *m)
{
    for (uint32_t i = 0; i < m->point_count; i++) {
        const dip_operating_point *p = &m->points[i];
        if (!is_default(m, p) || p->recall >= p->target) continue;
        dip_tool_note(tool, "%s -> %s reaches recall %.4f, not %.4g; more --codes help", p->from,
                      p->to, p->recall, p->target);
    }
}

static dip_status print_report(dip_tool *tool, const dip_archive *archive,
                               const dip_indexing_report *r)
{
    dip_generation *generation;
    dip_status status = dip_generation_open(&generation, dip_archive_path(archive), NULL);
    if (status) return status;
    const dip_manifest *m = dip_generation_read_manifest(generation);
    if (tool->json) {
        print_json(r, m);
    } else if (r->unchanged) {
        printf("generation %s, model %s: up to date\n", r->generation, r->model);
    } else {
        printf("generation %s, model %s, %u dimensions\n\n", r->generation, r->model, m->dim);
        status = print_indexes(r);
        putchar('\n');
        if (!status) status = print_points(m);
    }
    if (!status) tell_what_is_missing(tool, r);
    if (!status && !r->unchanged) tell_missed_targets(tool, m);
    dip_generation_close(generation);
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    dip_archive *archive = NULL;
    dip_indexing_report report;
    (void)argc;
    dip_indexing_options indexing = {.model = o->model,
                                     .recipe = {.engine = (dip_engine)o->engine,
                                                .lists = (uint32_t)o->lists,
                                                .code_count = (uint32_t)o->codes,
                                                .refinement = (dip_refinement)o->refine,
                                                .recall = o->recall},
                                     .update = o->update,
                                     .keep = (size_t)o->keep,
                                     .progress = tool->progress};
    if (o->memory && !(indexing.recipe.memory = dip_bytes_parse(o->memory)))
        return dip_fail(DIP_EINVAL, "--memory '%s' is no size; write it as 500M or 8G", o->memory);
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_READ);
    if (!status) status = dip_index_archive(archive, &indexing, &report);
    if (!status) status = print_report(tool, archive, &report);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_index = {
    .name = "index",
    .summary = "build the index, tune it, and make it live",
    .usage = "ARCHIVE",
    .text =
        "Reads the embeddings that encode stored and builds one index a modality. For every pair "
        "of\n"
        "modalities it measures, against exact search, what recall a query gets for how much of "
        "the\n"
        "index, so that queries can ask for a recall or a time, and how random pairs score, so "
        "that\n"
        "hits come with a percentile. The new generation goes live in one step; searches that run\n"
        "keep the old one.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
