/* diptych eval: how well does the model retrieve? */
#include "tools/cmd.h"

#include "core/file.h"
#include "core/mem.h"
#include "index/generation.h"
#include "search/engine.h"
#include "search/models.h"
#include "tools/evaluate.h"
#include "front/json.h"
#include "tools/report.h"
#include "tools/table.h"
#include "front/tile.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *model, *split, *k, *output;
    int gallery;
    int as; /* dip_compact_form */
    int64_t dims, resamples, seed;
    double recall, max_ms;
    bool by_scene, exact;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model to measure; default: the live index's, else the newest"},
    {.name = "split",
     .type = DIP_OPTION_TEXT,
     .offset = AT(split),
     .choices = "SPLIT",
     .help = "split that queries are taken from, or 'all'; default: test, or all if there is none"},
    {.name = "gallery",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(gallery),
     .choices = "split|all",
     .fallback = "split",
     .help = "tiles that can be hits: of the same split, or all"},
    {.name = "k",
     .letter = 'k',
     .type = DIP_OPTION_TEXT,
     .offset = AT(k),
     .choices = "K,K,...",
     .fallback = "1,5,10",
     .help = "numbers of hits to measure at"},
    {.name = "by-scene",
     .type = DIP_OPTION_FLAG,
     .offset = AT(by_scene),
     .help = "intervals from whole scenes: wider, and honest when a scene's tiles are alike"},
    {.name = "resamples",
     .type = DIP_OPTION_INT,
     .offset = AT(resamples),
     .high = 100000,
     .fallback = "1000",
     .help = "bootstrap resamples of the 95 % intervals; 0: none"},
    {.name = "seed",
     .type = DIP_OPTION_INT,
     .offset = AT(seed),
     .fallback = "1",
     .help = "of the resamples"},
    {.name = "as",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(as),
     .choices = "float|int8|sign",
     .fallback = "float",
     .help = "form of the embeddings: as stored, a byte or a bit a dimension; exact search only"},
    {.name = "dims",
     .type = DIP_OPTION_INT,
     .offset = AT(dims),
     .high = 65536,
     .fallback = "0",
     .help = "keep the principal N dimensions of the training tiles; 0: all; exact search only"},
    {.name = "exact", .type = DIP_OPTION_FLAG, .offset = AT(exact), .help = "by exact search only"},
    DIP_EFFORT_OPTIONS,
    {.name = "output",
     .letter = 'o',
     .type = DIP_OPTION_TEXT,
     .offset = AT(output),
     .choices = "FILE",
     .help = "write the JSON to a file as well"},
    {.name = NULL},
};

typedef struct session {
    dip_tool *tool;
    const options *options;
    dip_archive *archive;
    dip_search *search; /* NULL: nothing to measure through */
    char *model;
    bool simulated;
    dip_evaluate_options how;
    dip_evaluation evaluation;
} session;

/* ---- setting up ---- */

static dip_status parse_k(session *s)
{
    const char *p = s->options->k;
    while (*p) {
        char *end;
        long k = strtol(p, &end, 10);
        bool fine = end != p && (*end == ',' || !*end) && k >= 1 && k <= 10000;
        if (!fine || s->how.k_count == DIP_EVALUATE_MOST_K)
            return dip_fail(DIP_EINVAL, "-k '%s' is not a list of up to %d whole numbers from 1",
                            s->options->k, DIP_EVALUATE_MOST_K);
        s->how.k[s->how.k_count++] = (size_t)k;
        p = *end ? end + 1 : end;
    }
    if (!s->how.k_count) return dip_fail(DIP_EINVAL, "-k names no number");
    return DIP_OK;
}

typedef struct split_search {
    const char *name;
    bool found;
} split_search;

static dip_status look_for_split(void *context, const dip_meta *meta)
{
    split_search *s = context;
    s->found = !strcmp(meta->split, s->name);
    return s->found ? DIP_ECANCEL : DIP_OK;
}

static dip_status choose_split(session *s)
{
    const char *wanted = s->options->split;
    split_search search = {wanted ? wanted : "test", false};
    if (wanted && !strcmp(wanted, "all")) return DIP_OK;
    dip_status status = dip_archive_each(s->archive, look_for_split, &search);
    if (search.found) {
        s->how.split = search.name;
        return DIP_OK;
    }
    if (status) return status;
    if (wanted) return dip_fail(DIP_ENOENT, "no tile is of split '%s'", wanted);
    dip_tool_note(s->tool,
                  "no tile is of split 'test': measuring on all tiles, those of training too");
    return DIP_OK;
}

static dip_status choose_model(session *s)
{
    dip_search_options wanted = {.model = s->options->model};
    dip_status status = DIP_ENOENT;
    bool exact = s->options->exact || s->options->as || s->options->dims;
    if (!exact) status = dip_search_open(&s->search, s->archive, &wanted);
    if (!status) {
        s->model = dip_strdup(s->search->manifest->model);
        return s->model ? DIP_OK : DIP_ENOMEM;
    }
    if (status != DIP_ENOENT && status != DIP_EMISMATCH) return status;
    char why[512];
    snprintf(why, sizeof why, "%s", dip_last_error());
    status = dip_models_choose(dip_archive_path(s->archive), s->options->model, &s->model);
    if (!status && !exact) dip_tool_note(s->tool, "measuring by exact search only: %s", why);
    return status;
}

/* ---- telling ---- */

static void table_heading(dip_text_table *t, bool indexed)
{
    dip_text_table_add(t, "measure");
    dip_text_table_add(t, "exact");
    dip_text_table_add(t, "95 %% interval");
    dip_text_table_add(t, "%s", indexed ? "index" : "");
    dip_text_table_add(t, "chance");
    dip_text_table_add(t, "queries");
}

static void table_row(dip_text_table *t, const dip_evaluated_metric *m, bool indexed)
{
    dip_text_table_add(t, "%s@%zu", dip_metric_name(m->exact.kind), m->exact.k);
    dip_text_table_add(t, "%.4f", m->exact.value);
    if (isnan(m->exact.low))
        dip_text_table_add(t, "-");
    else
        dip_text_table_add(t, "%.4f .. %.4f", m->exact.low, m->exact.high);
    if (indexed)
        dip_text_table_add(t, "%.4f", m->index.value);
    else
        dip_text_table_add(t, "%s", "");
    dip_text_table_add(t, "%.4f", m->exact.chance);
    dip_text_table_add(t, "%zu", m->exact.queries);
}

static void print_calibration(const dip_evaluated_direction *d)
{
    if (isnan(d->above[0])) return;
    printf("random pairs above the percentile of the other tiles' random pairs:");
    for (int i = 0; i < DIP_EVALUATE_PERCENTILES; i++)
        printf("%s %.4f above %g", i ? "," : "", d->above[i], dip_evaluate_percentile[i]);
    putchar('\n');
}

static dip_status print_direction(const dip_evaluated_direction *d)
{
    dip_text_table *t;
    printf("%s -> %s   %zu queries, %zu tiles to find", d->from, d->to, d->queries, d->gallery);
    if (d->index_is_exact)
        printf("; the index compares all\n");
    else if (d->indexed)
        printf("; the index finds %.4f of the exact 10 nearest, %.4f expected\n", d->index_recall,
               d->expected_recall);
    else
        putchar('\n');
    dip_status status = dip_text_table_create(&t, "lrrrrr");
    if (status) return status;
    table_heading(t, d->indexed);
    for (size_t i = 0; i < d->metric_count; i++) table_row(t, &d->metrics[i], d->indexed);
    status = dip_text_table_print(t, stdout);
    dip_text_table_destroy(t);
    if (!status) print_calibration(d);
    return status;
}

static dip_status print_text(const session *s)
{
    dip_status status = DIP_OK;
    printf("model %s, %s%s%s; %zu dimensions in %zu bytes\n", s->model,
           s->how.split ? "split " : "all tiles", s->how.split ? s->how.split : "",
           s->how.split && s->how.whole_gallery ? " against all tiles" : "", s->evaluation.dims,
           s->evaluation.bytes);
    for (size_t i = 0; i < s->evaluation.count && !status; i++) {
        putchar('\n');
        status = print_direction(&s->evaluation.directions[i]);
    }
    return status;
}

static void json_metric(dip_json *j, const char *key, const dip_metric *m)
{
    dip_json_object(j, key);
    dip_json_real(j, "value", m->value, 6);
    dip_json_real(j, "low", m->low, 6);
    dip_json_real(j, "high", m->high, 6);
    dip_json_end(j);
}

static void json_direction(dip_json *j, const dip_evaluated_direction *d)
{
    dip_json_object(j, NULL);
    dip_json_text(j, "from", d->from);
    dip_json_text(j, "to", d->to);
    dip_json_count(j, "queries", d->queries);
    dip_json_count(j, "gallery", d->gallery);
    if (d->indexed) {
        dip_json_flag(j, "index_is_exact", d->index_is_exact);
        dip_json_real(j, "index_recall_at_10", d->index_recall, 6);
        dip_json_real(j, "index_recall_expected", d->expected_recall, 6);
        dip_json_count(j, "index_recall_queries", d->recall_queries);
    }
    dip_json_array(j, "calibration");
    for (int i = 0; i < DIP_EVALUATE_PERCENTILES; i++) {
        dip_json_object(j, NULL);
        dip_json_real(j, "percentile", dip_evaluate_percentile[i], 1);
        dip_json_real(j, "share_above", d->above[i], 6);
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_array(j, "metrics");
    for (size_t i = 0; i < d->metric_count; i++) {
        const dip_evaluated_metric *m = &d->metrics[i];
        dip_json_object(j, NULL);
        dip_json_text(j, "metric", dip_metric_name(m->exact.kind));
        dip_json_count(j, "k", m->exact.k);
        dip_json_count(j, "queries", m->exact.queries);
        dip_json_real(j, "chance", m->exact.chance, 6);
        json_metric(j, "exact", &m->exact);
        if (d->indexed) json_metric(j, "index", &m->index);
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_end(j);
}

static void write_json(const session *s, FILE *out, bool pretty)
{
    dip_json j;
    dip_json_start(&j, out);
    j.pretty = pretty;
    dip_json_object(&j, NULL);
    dip_json_text(&j, "archive", dip_archive_title(s->archive));
    dip_json_flag(&j, "simulated", s->simulated);
    dip_json_text(&j, "model", s->model);
    dip_json_text(&j, "split", s->how.split ? s->how.split : "all");
    dip_json_text(&j, "gallery", s->how.whole_gallery ? "all" : "split");
    dip_json_text(&j, "intervals", s->options->by_scene ? "scenes" : "queries");
    dip_json_count(&j, "dims", s->evaluation.dims);
    dip_json_count(&j, "bytes", s->evaluation.bytes);
    dip_json_whole(&j, "resamples", s->options->resamples);
    dip_json_whole(&j, "seed", s->options->seed);
    dip_json_array(&j, "directions");
    for (size_t i = 0; i < s->evaluation.count; i++)
        json_direction(&j, &s->evaluation.directions[i]);
    dip_json_end(&j);
    dip_json_end(&j);
}

static dip_status write_output(const session *s)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, s->options->output);
    if (status) return status;
    write_json(s, file.stream, true);
    status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}

static dip_status print(const session *s)
{
    dip_status status = DIP_OK;
    if (s->tool->json)
        write_json(s, stdout, false);
    else
        status = print_text(s);
    if (!status && s->options->output) status = write_output(s);
    if (!status && s->simulated) dip_tool_note(s->tool, "simulated data");
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    session s = {.tool = tool, .options = o};
    (void)argc;
    s.how.bootstrap = (dip_bootstrap){(size_t)o->resamples, (uint64_t)o->seed, o->by_scene};
    s.how.whole_gallery = o->gallery == 1;
    s.how.progress = tool->progress;
    s.how.form = (dip_compact_form)o->as;
    s.how.dims = (size_t)o->dims;
    s.how.effort = (dip_effort){o->recall, o->max_ms * 1000};
    dip_status status = parse_k(&s);
    if (!status) status = dip_archive_open(&s.archive, argv[0], DIP_ARCHIVE_READ);
    if (!status) status = choose_split(&s);
    if (!status) status = choose_model(&s);
    if (!status) status = dip_archive_simulated(s.archive, &s.simulated);
    s.how.model = s.model;
    if (!status) status = dip_evaluate(s.archive, s.search, &s.how, &s.evaluation);
    if (!status) status = print(&s);
    dip_evaluation_fini(&s.evaluation);
    dip_search_close(s.search);
    dip_free(s.model);
    dip_archive_close(s.archive);
    return status;
}

const dip_command dip_cmd_eval = {
    .name = "eval",
    .summary = "measure how well the model retrieves",
    .usage = "ARCHIVE",
    .text =
        "For every ordered pair of modalities, by exact search and through the index:\n"
        "  pair_recall@k  the query's own place is among the k hits (needs no labels)\n"
        "  f1_item@k      F1 of the label sets of query and hit, averaged over hits and queries\n"
        "  f1_macro@k     harmonic mean of the averaged precision and the averaged recall\n"
        "  map_any@k      average precision; relevant is what shares a label\n"
        "  map_all@k      average precision; relevant is what has the same labels\n"
        "  p@k            share of hits with the query's primary label\n"
        "  p_any@k        share of hits that share a label with the query\n"
        "chance is the expected value of a random order. A query's own tile is never a hit; tiles\n"
        "without labels are left out where labels count. The last line of a direction tells how\n"
        "well calibrated scores are: the share of the split's random pairs that score above the\n"
        "90th, 99th and 99.9th percentile of random pairs of all other tiles.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
