/*
 * An engine of the index behind the protocol; see serve.h. One index is open at a time. All that takes time is measured
 * here, next to the work: wall clock and processor time of the process.
 */
#define _GNU_SOURCE
#include "compare/serve.h"

#include "compare/message.h"
#include "compare/points.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/index.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 256 };

static const char index_name[] = "index";

typedef struct server {
    dip_engine engine;
    FILE *out;
    dip_index *index; /* NULL: none is open */
    double told;      /* when progress was last told */
} server;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- fields ---- */

/* Parameters that each kind of request may have; the protocol's own fields are not among them. */
typedef struct parameter {
    const char *name;
    size_t offset;     /* of a uint32_t, an enumeration of that size, or a float */
    const char *words; /* "a|b", for 1 and 2; NULL: a whole number from 1, or of a float: */
    bool real;         /* a number from 0 */
    bool native;       /* of that engine alone */
} parameter;

static const parameter build_parameters[] = {
    {.name = "lists", .offset = offsetof(dip_index_recipe, lists)},
    {.name = "codes", .offset = offsetof(dip_index_recipe, code_count)},
    {"refine", offsetof(dip_index_recipe, refinement), "int8|half", .native = true},
    {0},
};
static const parameter search_parameters[] = {
    {.name = "nprobe", .offset = offsetof(dip_index_params, nprobe)},
    {.name = "depth", .offset = offsetof(dip_index_params, depth)},
    {.name = "gap", .offset = offsetof(dip_index_params, gap), .real = true, .native = true},
    {0},
};

static dip_status need(const dip_message *m, const char *name, const char **out)
{
    *out = dip_message_get(m, name);
    return *out ? DIP_OK : dip_fail(DIP_EINVAL, "'%s' without %s=", m->word, name);
}

static dip_status need_whole(const dip_message *m, const char *name, double most, size_t *out)
{
    double value = 0;
    dip_status status = dip_message_number(m, name, &value);
    if (!status && (value < 1 || value > most || value != (double)(size_t)value))
        status = dip_fail(DIP_EINVAL, "%s=%g is no whole number from 1 to %.0f", name, value, most);
    if (!status) *out = (size_t)value;
    return status;
}

/* The number of the word among "a|b", from 1. */
static dip_status take_word(const char *name, const char *word, const char *words, size_t *out)
{
    const char *at = words;
    for (size_t number = 1; *at; number++) {
        size_t length = strcspn(at, "|");
        if (strlen(word) == length && !strncmp(at, word, length)) {
            *out = number;
            return DIP_OK;
        }
        at += length + (at[length] == '|');
    }
    return dip_fail(DIP_EINVAL, "%s=%s is none of %s", name, word, words);
}

/* A parameter's value to its place in a struct. */
static dip_status take_parameter(const parameter *p, const dip_message *m, const char *text,
                                 void *out)
{
    size_t value = 0;
    double real = 0;
    dip_status status = p->words  ? take_word(p->name, text, p->words, &value)
                        : p->real ? dip_message_number(m, p->name, &real)
                                  : need_whole(m, p->name, UINT32_MAX, &value);
    if (!status && !(real >= 0 && real < 4))
        status = dip_fail(DIP_EINVAL, "%s=%s is no number from 0 to 4", p->name, text);
    if (status) return status;
    const uint32_t number = (uint32_t)value;
    const float small = (float)real;
    memcpy((char *)out + p->offset, p->real ? (const void *)&small : &number, sizeof number);
    return DIP_OK;
}

static bool is_field(const char *name)
{
    static const char *const names[] = {"base",    "metric", "threads", "folder",
                                        "queries", "k",      "batch",   "out"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* The fields that are none of the protocol's, into a struct. */
static dip_status take_parameters(const server *s, const dip_message *m, const parameter *table,
                                  void *out)
{
    for (size_t i = 0; i < m->count; i++) {
        const parameter *p = table;
        if (is_field(m->names[i])) continue;
        while (p->name && strcmp(p->name, m->names[i]) != 0) p++;
        if (!p->name || s->engine == DIP_ENGINE_EXACT ||
            (p->native && s->engine != DIP_ENGINE_NATIVE))
            return dip_fail(DIP_EINVAL, "there is no parameter '%s' of '%s'", m->names[i], m->word);
        dip_status status = take_parameter(p, m, m->values[i], out);
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status take_threads(const dip_message *m)
{
    size_t threads = 0;
    dip_status status = need_whole(m, "threads", MOST_THREADS, &threads);
    if (!status) dip_threads_set((unsigned)threads);
    return status;
}

/* ---- building and opening ---- */

static int tell_progress(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    server *s = payload;
    double now = dip_seconds();
    (void)phase;
    if (now - s->told < 0.5) return 0;
    s->told = now;
    fprintf(s->out, "progress\tdone=%llu\ttotal=%llu\n", (unsigned long long)done,
            (unsigned long long)total);
    fflush(s->out);
    return 0;
}

static dip_status file_bytes(const char *folder, uint64_t *bytes)
{
    char **names;
    size_t count;
    *bytes = 0;
    dip_status status = dip_folder_list(&names, &count, folder);
    if (status) return status;
    for (size_t i = 0; i < count && !status; i++) {
        uint64_t size = 0;
        if (strncmp(names[i], "index.", 6) != 0) continue;
        char *path = dip_path_join(folder, names[i]);
        status = path ? dip_file_size(&size, path) : DIP_ENOMEM;
        dip_free(path);
        *bytes += size;
    }
    dip_names_free(names, count);
    return status;
}

static dip_status build(server *s, const dip_points *base, const char *folder,
                        const dip_index_recipe *recipe)
{
    const dip_progress progress = {tell_progress, s};
    uint64_t *ids = dip_alloc(base->rows * sizeof *ids);
    if (!ids) return DIP_ENOMEM;
    for (size_t i = 0; i < base->rows; i++) ids[i] = i;
    dip_status status = dip_folder_create(folder);
    if (!status)
        status = dip_index_build(folder, index_name, recipe, base->plain, ids, base->rows,
                                 base->dim, &progress);
    dip_free(ids);
    return status;
}

static dip_status open_index(server *s, const char *folder)
{
    dip_index_close(s->index);
    s->index = NULL;
    return dip_index_open(&s->index, folder, index_name);
}

/* What both leave behind: the time until it can answer, and what it weighs. */
static dip_status answer_open(server *s, const char *word, const char *folder, double wall,
                              double cpu)
{
    uint64_t bytes;
    dip_status status = file_bytes(folder, &bytes);
    if (status) return status;
    fprintf(s->out, "%s\tseconds=%.6f\tcpu=%.6f\tbytes=%llu\tdescribe=%s\n", word, wall, cpu,
            (unsigned long long)bytes, dip_index_describe(s->index));
    return DIP_OK;
}

static dip_status do_build(server *s, const dip_message *m)
{
    const char *path, *folder;
    dip_points base = {.rows = 0};
    dip_index_recipe recipe = {.engine = s->engine};
    dip_status status = need(m, "base", &path);
    if (!status) status = need(m, "folder", &folder);
    if (!status) status = take_threads(m);
    if (!status) status = take_parameters(s, m, build_parameters, &recipe);
    if (!status) status = dip_points_open(&base, path, NULL);
    if (!status && !base.plain) status = dip_fail(DIP_EINVAL, "'%s' is no .fbin file", path);
    double wall = dip_seconds(), cpu = cpu_seconds();
    if (!status) status = build(s, &base, folder, &recipe);
    if (!status) status = open_index(s, folder);
    wall = dip_seconds() - wall;
    cpu = cpu_seconds() - cpu;
    dip_points_close(&base);
    return status ? status : answer_open(s, "built", folder, wall, cpu);
}

static dip_status do_open(server *s, const dip_message *m)
{
    const char *folder;
    dip_status status = need(m, "folder", &folder);
    if (!status) status = take_threads(m);
    double wall = dip_seconds(), cpu = cpu_seconds();
    if (!status) status = open_index(s, folder);
    wall = dip_seconds() - wall;
    cpu = cpu_seconds() - cpu;
    return status ? status : answer_open(s, "opened", folder, wall, cpu);
}

/* ---- searching ---- */

typedef struct search_work {
    size_t n, k, batch, calls;
    dip_index_params params;
    float *queries, *scores, *latencies; /* (n, dim), (n, k), (calls) */
    uint64_t *found;                     /* (n, k) */
    double wall, cpu;
} search_work;

static dip_status make_room(search_work *w, size_t dim)
{
    w->calls = (w->n + w->batch - 1) / w->batch;
    w->queries = dip_alloc(w->n * dim * sizeof *w->queries);
    w->found = dip_alloc(w->n * w->k * sizeof *w->found);
    w->scores = dip_alloc(w->n * w->k * sizeof *w->scores);
    w->latencies = dip_alloc(w->calls * sizeof *w->latencies);
    return w->queries && w->found && w->scores && w->latencies ? DIP_OK : DIP_ENOMEM;
}

static void free_room(search_work *w)
{
    dip_free(w->queries);
    dip_free(w->found);
    dip_free(w->scores);
    dip_free(w->latencies);
}

static dip_status run_calls(const dip_index *index, search_work *w)
{
    const size_t dim = dip_index_dim(index);
    dip_status status = DIP_OK;
    double before = dip_seconds(), began = before;
    w->cpu = cpu_seconds();
    for (size_t call = 0; call < w->calls && !status; call++) {
        size_t q = call * w->batch, n = w->n - q < w->batch ? w->n - q : w->batch;
        status = dip_index_search(index, w->queries + q * dim, n, w->k, &w->params, NULL, 0,
                                  w->found + q * w->k, w->scores + q * w->k);
        double now = dip_seconds();
        w->latencies[call] = (float)(now - before);
        before = now;
    }
    w->wall = before - began;
    w->cpu = cpu_seconds() - w->cpu;
    return status;
}

/* Writes `out`.ibin, the neighbours, and `out`.fbin, the seconds of each call. */
static dip_status write_found(const search_work *w, const char *out)
{
    int32_t *ids = dip_alloc(w->n * w->k * sizeof *ids);
    char *ids_path = dip_sprintf("%s.ibin", out), *times_path = dip_sprintf("%s.fbin", out);
    dip_status status = ids && ids_path && times_path ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < w->n * w->k && !status; i++)
        ids[i] = w->found[i] == DIP_NO_ID ? -1 : (int32_t)w->found[i];
    if (!status) status = dip_points_write(ids_path, ids, w->n, w->k);
    if (!status) status = dip_points_write(times_path, w->latencies, w->calls, 1);
    dip_free(ids);
    dip_free(ids_path);
    dip_free(times_path);
    return status;
}

static dip_status take_request(const server *s, const dip_message *m, search_work *w,
                               dip_points *queries)
{
    const char *path;
    dip_status status = need(m, "queries", &path);
    if (!status) status = take_threads(m);
    if (!status) status = take_parameters(s, m, search_parameters, &w->params);
    if (!status) status = need_whole(m, "k", 1e6, &w->k);
    if (!status) status = need_whole(m, "batch", 1e12, &w->batch);
    if (!status && !s->index) status = dip_fail(DIP_EINVAL, "'search' before 'build' or 'open'");
    if (!status) status = dip_points_open(queries, path, NULL);
    if (!status && queries->dim != dip_index_dim(s->index))
        status = dip_fail(DIP_EMISMATCH, "the queries have %zu values, the index %zu", queries->dim,
                          dip_index_dim(s->index));
    w->n = queries->rows;
    return status;
}

static dip_status do_search(server *s, const dip_message *m)
{
    const char *out;
    search_work w = {.n = 0};
    dip_points queries = {.rows = 0};
    dip_status status = need(m, "out", &out);
    if (!status) status = take_request(s, m, &w, &queries);
    if (!status) status = make_room(&w, queries.dim);
    if (!status) status = dip_points_read(&queries, 0, w.n, w.queries);
    if (!status) status = run_calls(s->index, &w);
    if (!status) status = write_found(&w, out);
    if (!status) fprintf(s->out, "searched\tseconds=%.9f\tcpu=%.9f\n", w.wall, w.cpu);
    free_room(&w);
    dip_points_close(&queries);
    return status;
}

/* ---- lines ---- */

/* Starting points for a sweep that names no parameters. */
static void greet(const server *s, const char *engine)
{
    const char *grid =
        s->engine == DIP_ENGINE_EXACT ? "" : "nprobe=2,4,8,16,32,64,128,256 depth=2,8,32";
    fprintf(s->out, "ready\tprotocol=1\tengine=%s\tversion=%s\tbuild=\tsearch=%s\n", engine,
            DIPTYCH_VERSION, grid);
    fflush(s->out);
}

static dip_status answer(server *s, const dip_message *m)
{
    if (!strcmp(m->word, "build")) return do_build(s, m);
    if (!strcmp(m->word, "open")) return do_open(s, m);
    if (!strcmp(m->word, "search")) return do_search(s, m);
    return dip_fail(DIP_EINVAL, "there is no request '%.40s'", m->word);
}

static void tell_failure(FILE *out)
{
    fputs("error\ttext=", out);
    for (const char *p = dip_last_error(); *p; p++) fputc(*p == '\t' || *p == '\n' ? ' ' : *p, out);
    fputc('\n', out);
}

static dip_status no_engine(const char *wanted)
{
    char names[256] = "";
    size_t used = 0;
    const char *name;
    for (size_t i = 0; (name = dip_engine_name(i)) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", name);
    return dip_fail(DIP_EINVAL, "there is no engine '%s'; there are %s", wanted, names);
}

dip_status dip_serve_engine(const char *engine, FILE *in, FILE *out)
{
    server s = {.engine = dip_engine_find(engine), .out = out};
    char *line = NULL;
    size_t capacity = 0;
    bool quit = false;
    if (s.engine == DIP_ENGINE_AUTO) return no_engine(engine);
    greet(&s, engine);
    while (!quit && getline(&line, &capacity, in) > 0) {
        dip_message m;
        dip_status status = dip_message_parse(&m, line);
        quit = !status && !strcmp(m.word, "quit");
        if (!status && !quit) status = answer(&s, &m);
        if (status) tell_failure(out);
        fflush(out);
        dip_message_fini(&m);
    }
    free(line); /* getline's own */
    dip_index_close(s.index);
    return DIP_OK;
}
