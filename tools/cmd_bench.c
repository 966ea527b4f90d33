/* diptych bench: search engines side by side. */
#define _GNU_SOURCE
#include "tools/cmd.h"

#include "compare/contest.h"
#include "compare/measure.h"
#include "compare/serve.h"
#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/index.h"
#include "tools/bench_groups.h"
#include "tools/bench_page.h"
#include "tools/bench_set.h"
#include "tools/table.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SPECS = 64, LARGEST_PLAN = 1 << 20 };

typedef struct options {
    const char *queries, *base, *model, *name, *plan, *out, *batches, *serve;
    int64_t rows, most_queries, k, repeats, search_threads;
    double epsilon;
    bool keep, again;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "queries",
     .type = DIP_OPTION_TEXT,
     .offset = AT(queries),
     .choices = "FILE|MODALITY",
     .help = "what asks: a file of vectors; of an archive, a modality"},
    {.name = "base",
     .type = DIP_OPTION_TEXT,
     .offset = AT(base),
     .choices = "MODALITY",
     .help = "of an archive: the modality that is searched"},
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "of an archive: the model whose embeddings are taken; default: the newest one"},
    {.name = "rows",
     .type = DIP_OPTION_INT,
     .offset = AT(rows),
     .high = 4e9,
     .fallback = "0",
     .help = "take only the first N base vectors; 0: all"},
    {.name = "most-queries",
     .type = DIP_OPTION_INT,
     .offset = AT(most_queries),
     .high = 1e9,
     .fallback = "10000",
     .help = "take only the first N queries; 0: all"},
    {.name = "name",
     .type = DIP_OPTION_TEXT,
     .offset = AT(name),
     .choices = "TEXT",
     .help = "what to call the data; default: from the files' names"},
    {.name = "plan",
     .type = DIP_OPTION_TEXT,
     .offset = AT(plan),
     .choices = "FILE",
     .help = "a file with an engine a line, as on the command line; '#' begins a comment"},
    {.name = "k",
     .letter = 'k',
     .type = DIP_OPTION_INT,
     .offset = AT(k),
     .low = 1,
     .high = 10000,
     .fallback = "10",
     .help = "neighbours to find"},
    {.name = "batches",
     .type = DIP_OPTION_TEXT,
     .offset = AT(batches),
     .choices = "N,N,...",
     .fallback = "1,all",
     .help = "queries a call; each is measured"},
    {.name = "repeats",
     .type = DIP_OPTION_INT,
     .offset = AT(repeats),
     .low = 1,
     .high = DIP_MEASURE_MOST_REPEATS,
     .fallback = "3",
     .help = "times that each search is measured, after one to warm up"},
    {.name = "search-threads",
     .type = DIP_OPTION_INT,
     .offset = AT(search_threads),
     .low = 1,
     .high = 256,
     .fallback = "1",
     .help = "threads that a call may use; --threads is for building"},
    {.name = "epsilon",
     .type = DIP_OPTION_REAL,
     .offset = AT(epsilon),
     .low = 0,
     .high = 1,
     .fallback = "1e-6",
     .help = "a hit may be so much less alike than the true k-th; ann-benchmarks has 1e-3"},
    {.name = "out",
     .letter = 'o',
     .type = DIP_OPTION_TEXT,
     .offset = AT(out),
     .choices = "FOLDER",
     .fallback = "bench-results",
     .help = "folder of results, page and cache"},
    {.name = "keep",
     .type = DIP_OPTION_FLAG,
     .offset = AT(keep),
     .help = "keep the indexes, to measure more of them later"},
    {.name = "again",
     .type = DIP_OPTION_FLAG,
     .offset = AT(again),
     .help = "measure also what is measured already"},
    {.name = "serve",
     .type = DIP_OPTION_TEXT,
     .offset = AT(serve),
     .choices = "ENGINE",
     .help = "be the program of an engine that another comparison starts (docs/bench.md)"},
    {.name = NULL},
};

typedef struct session {
    dip_tool *tool;
    const options *options;
    dip_set set;
    dip_results results;
    dip_spec specs[MOST_SPECS];
    size_t spec_count;
    dip_contest_options how;
    char program[PATH_MAX];
} session;

/* ---- what to measure ---- */

static dip_status add_spec(session *s, const char *line)
{
    if (s->spec_count == MOST_SPECS)
        return dip_fail(DIP_EINVAL, "more than %d engines", MOST_SPECS);
    dip_status status = dip_spec_parse(&s->specs[s->spec_count], line);
    if (!status) s->spec_count++;
    return status;
}

static dip_status read_plan(session *s)
{
    char *text, *rest = NULL;
    size_t length;
    dip_status status = dip_file_read(&text, &length, s->options->plan, LARGEST_PLAN);
    if (status) return status;
    for (char *line = strtok_r(text, "\n", &rest); line && !status;
         line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, "#\r")] = '\0';
        if (line[strspn(line, " \t")]) status = add_spec(s, line);
    }
    dip_free(text);
    return status;
}

/* Exact search is no rival: it is what the others are measured against, and slow. */
static dip_status choose_specs(session *s, int argc, char **argv)
{
    dip_status status = DIP_OK;
    for (int i = 1; i < argc && !status; i++) status = add_spec(s, argv[i]);
    if (!status && s->options->plan) status = read_plan(s);
    const char *name;
    bool none = !s->spec_count;
    for (size_t i = 0; none && !status && (name = dip_engine_name(i)); i++)
        if (strcmp(name, "exact") != 0) status = add_spec(s, name);
    return status;
}

static dip_status parse_batches(session *s)
{
    const char *p = s->options->batches;
    while (*p) {
        char *end;
        bool all = !strncmp(p, "all", 3);
        long batch = strtol(p, &end, 10);
        if (all) end = (char *)(uintptr_t)p + 3, batch = 0;
        bool fine = end != p && (*end == ',' || !*end) && (all || batch >= 1);
        if (!fine || s->how.batch_count == DIP_CONTEST_MOST_BATCHES)
            return dip_fail(DIP_EINVAL,
                            "--batches '%s' is not a list of up to %d numbers from 1, or 'all'",
                            s->options->batches, DIP_CONTEST_MOST_BATCHES);
        s->how.batches[s->how.batch_count++] = (size_t)batch;
        p = *end ? end + 1 : end;
    }
    if (!s->how.batch_count) return dip_fail(DIP_EINVAL, "--batches names no number");
    return DIP_OK;
}

/* ---- telling ---- */

static void tell_note(void *payload, const char *line)
{
    const session *s = payload;
    dip_tool_note(s->tool, "%s", line);
}

static dip_status tell_measured(void *payload, const dip_result *r)
{
    session *s = payload;
    if (s->tool->verbose)
        dip_tool_note(s->tool, "%s %s %s: recall %.4f, %.0f queries/s", r->engine, r->build,
                      r->search, r->recall, r->qps);
    return DIP_OK;
}

static void add_cells(dip_text_table *t, const dip_result *r)
{
    char took[32];
    dip_format_seconds(r->build_s, took, sizeof took);
    if (r->build_s < 10) snprintf(took, sizeof took, "%.2f s", r->build_s);
    dip_text_table_add(t, "%s", r->engine);
    dip_text_table_add(t, "%s%s%s", r->build, *r->build && *r->search ? " / " : "", r->search);
    if (r->batch > 0)
        dip_text_table_add(t, "%.0f", r->batch);
    else
        dip_text_table_add(t, "all");
    dip_text_table_add(t, "%.4f", r->recall);
    dip_text_table_add(t, "%.0f", r->qps);
    dip_text_table_add(t, "%.0f us", r->cpu_us);
    dip_text_table_add(t, "%.0f us", r->p99_us);
    dip_text_table_add(t, "%.0f B", r->bytes / r->n);
    dip_text_table_add(t, "%s", took);
}

/* The rows of each engine that none of its own others beats. */
static dip_status print_group(const dip_bench_group *g)
{
    dip_text_table *t;
    dip_status status = dip_text_table_create(&t, "llrrrrrrr");
    if (status) return status;
    char heading[32];
    snprintf(heading, sizeof heading, "recall@%.0f", g->rows[0]->k);
    const char *const heads[] = {"engine", "parameters", "batch",    heading,   "queries/s",
                                 "CPU",    "p99",        "a vector", "built in"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) dip_text_table_add(t, "%s", heads[i]);
    for (size_t i = 0; i < g->count; i++)
        if (dip_bench_leads(g, g->rows[i], dip_bench_speed, false)) add_cells(t, g->rows[i]);
    status = dip_text_table_print(t, stdout);
    dip_text_table_destroy(t);
    return status;
}

static dip_status print_json(const dip_bench_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        char *line = dip_result_line(g->rows[i]);
        if (!line) return DIP_ENOMEM;
        puts(line);
        dip_free(line);
    }
    return DIP_OK;
}

static dip_status print_results(session *s)
{
    dip_bench_group *groups;
    size_t count;
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->set.hash);
    dip_status status =
        dip_bench_groups_make(&groups, &count, &s->results, s->set.base.vectors ? hash : NULL);
    if (status) return status;
    for (size_t i = 0; i < count && !status; i++) {
        const dip_result *r = groups[i].rows[0];
        if (!s->tool->json)
            printf("%s%s: %.0f vectors of %.0f, %.0f queries\n\n", i ? "\n" : "", r->set, r->n,
                   r->dim, r->queries);
        status = s->tool->json ? print_json(&groups[i]) : print_group(&groups[i]);
    }
    dip_bench_groups_free(groups, count);
    return status;
}

static dip_status write_page(session *s)
{
    char *path = dip_path_join(s->options->out, "report.html");
    dip_status status = path ? dip_bench_page_write(&s->results, path) : DIP_ENOMEM;
    if (!status) dip_tool_note(s->tool, "the page is %s", path);
    dip_free(path);
    return status;
}

/* ---- all ---- */

static void tell_data(session *s)
{
    const dip_unit_table *b = &s->set.base;
    char n[32], changed[32];
    dip_format_count(b->rows, n, sizeof n);
    dip_format_count(b->changed, changed, sizeof changed);
    dip_tool_note(s->tool, "%s: %s vectors of %zu, %zu queries", s->set.name, n, b->dim,
                  s->set.queries.rows);
    if (b->changed)
        dip_tool_note(
            s->tool,
            "%s of them came with another norm than 1 and were divided by it; %zu are all zero",
            changed, b->zeros);
    if (s->set.agreement < 1)
        dip_tool_note(s->tool, "%.4f of the file's own neighbours are among those found here",
                      s->set.agreement);
}

static dip_status open_data(session *s, const char *data)
{
    const options *o = s->options;
    const dip_bench_source source = {.data = data,
                                     .base = o->base,
                                     .queries = o->queries,
                                     .model = o->model,
                                     .name = o->name,
                                     .rows = (size_t)o->rows,
                                     .most_queries = (size_t)o->most_queries,
                                     .k = (size_t)o->k};
    char *cache = dip_path_join(o->out, "cache");
    dip_status status =
        cache ? dip_bench_set_open(&s->set, &source, cache, s->tool->progress) : DIP_ENOMEM;
    dip_free(cache);
    if (!status) tell_data(s);
    return status;
}

static dip_status compare(session *s)
{
    const options *o = s->options;
    ssize_t length = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    if (length < 0) return dip_fail_errno("find", "/proc/self/exe");
    s->how.folder = o->out;
    s->how.program = s->program;
    s->how.k = (size_t)o->k;
    s->how.repeats = (size_t)o->repeats;
    s->how.threads = dip_threads();
    s->how.search_threads = (unsigned)o->search_threads;
    s->how.epsilon = o->epsilon;
    s->how.keep = o->keep;
    s->how.again = o->again;
    s->how.progress = s->tool->progress;
    s->how.note = tell_note;
    s->how.measured = tell_measured;
    s->how.payload = s;
    return dip_contest_run(&s->results, &s->set, s->specs, s->spec_count, &s->how);
}

/* What was measured before a failure or Ctrl-C is shown as well. */
static dip_status measure_and_tell(session *s, int argc, char **argv)
{
    char *path = dip_path_join(s->options->out, "results.jsonl");
    dip_status status = path ? dip_results_open(&s->results, path) : DIP_ENOMEM;
    dip_status failed = DIP_OK;
    dip_free(path);
    if (!status && argc) status = open_data(s, argv[0]);
    if (status) return status;
    if (argc) failed = compare(s);
    char *line = dip_strdup(dip_last_error());
    if (s->results.count || !failed) status = write_page(s);
    if (!status && failed != DIP_ECANCEL) status = print_results(s);
    if (failed) status = dip_fail(failed, "%s", line ? line : "stopped");
    dip_free(line);
    return status;
}

/* The protocol's lines are cut at tabs and line breaks. */
static dip_status check_words(session *s)
{
    if (!strpbrk(s->options->out, "\t\n")) return DIP_OK;
    return dip_fail(DIP_EINVAL,
                    "--out: a folder's name with a tab or a line break is not possible");
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    if (o->serve) return dip_serve_engine(o->serve, stdin, stdout);
    session *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->tool = tool;
    s->options = o;
    dip_status status = check_words(s);
    if (!status) status = parse_batches(s);
    if (!status) status = choose_specs(s, argc, argv);
    if (!status) status = measure_and_tell(s, argc, argv);
    for (size_t i = 0; i < s->spec_count; i++) dip_spec_fini(&s->specs[i]);
    dip_results_close(&s->results);
    dip_set_close(&s->set);
    dip_free(s);
    return status;
}

const dip_command dip_cmd_bench = {
    .name = "bench",
    .summary = "compare search engines: recall, speed, memory, time to build",
    .usage = "[DATA [ENGINE...]]",
    .text =
        "DATA is a file of vectors (.hdf5 of ann-benchmarks, .fvecs, .bvecs, .fbin, .u8bin, "
        ".i8bin,\n"
        ".npy) or an archive. ENGINE is an engine of the index (native, faiss, exact) or the "
        "command "
        "of a\n"
        "program that speaks the protocol of docs/bench.md, then parameters of building, a slash, "
        "and\n"
        "parameters of searching, as one word: \"faiss lists=1024 / nprobe=4,8,16 depth=8\". "
        "Without "
        "any,\n"
        "all engines of the index are compared. Each runs in a process of its own, with the same "
        "vectors\n"
        "(of unit norm) and threads. Results are added to FOLDER/results.jsonl, and what it holds "
        "is "
        "not\n"
        "measured again; FOLDER/report.html shows them. Without DATA only the page is written.",
    .options = table,
    .size = sizeof(options),
    .least_args = 0,
    .most_args = DIP_ARGS_ANY,
    .json = true,
    .run = run,
};
