/*
 * The comparison; see contest.h. Three loops: specs (a program each), combinations of build parameters (an index each), and
 * combinations of search parameters and batches (a measurement each).
 */
#define _GNU_SOURCE
#include "compare/contest.h"

#include "compare/measure.h"
#include "compare/program.h"
#include "core/hash.h"
#include "core/mem.h"
#include "index/index.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { FIELDS = 1024 };

typedef struct contest {
    dip_results *results;
    const dip_set *set;
    const dip_contest_options *options;
    char machine[128];
    char *indexes, *hdf5; /* folders */
    size_t failed;        /* specs */
} contest;

/* One spec with its program. */
typedef struct entry {
    const dip_spec *spec;
    dip_program *program;
    char engine[64];
    char *build_text, *search_text; /* the default grids, cut up */
    dip_grid build, search;
} entry;

static void note(const contest *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(const contest *c, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (c->options->note) c->options->note(c->options->payload, line);
}

/* ---- the machine ---- */

static void describe_machine(char *out, size_t capacity)
{
    char line[256], model[96] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %95[^\n]", model) == 1) break;
    if (f) fclose(f);
    snprintf(out, capacity, "%s, %ld processors", model, sysconf(_SC_NPROCESSORS_ONLN));
}

/* ---- one index ---- */

static dip_result make_row(const contest *c, const entry *e)
{
    const dip_contest_options *o = c->options;
    const dip_set *s = c->set;
    const char *version = dip_message_get(dip_program_ready(e->program), "version");
    dip_result r = {.n = (double)s->base.rows,
                    .dim = (double)s->base.dim,
                    .queries = (double)s->queries.rows,
                    .changed = (double)s->base.changed,
                    .agreement = s->agreement,
                    .k = (double)o->k,
                    .threads = o->threads,
                    .search_threads = o->search_threads,
                    .repeats = (double)o->repeats,
                    .epsilon = o->epsilon,
                    .open_s = NAN};
    snprintf(r.set, sizeof r.set, "%s", s->name);
    snprintf(r.hash, sizeof r.hash, "%016llx", (unsigned long long)s->hash);
    snprintf(r.distance, sizeof r.distance, "%s", s->distance);
    snprintf(r.engine, sizeof r.engine, "%s", e->engine);
    snprintf(r.version, sizeof r.version, "%s", version ? version : "");
    snprintf(r.machine, sizeof r.machine, "%s", c->machine);
    return r;
}

/* The i-th measurement of an index: search parameters, of each every batch. */
static void set_point(const contest *c, const entry *e, size_t i, dip_result *row, char *fields)
{
    size_t batches = c->options->batch_count;
    dip_grid_text(&e->search, i / batches, ' ', row->search, sizeof row->search);
    dip_grid_text(&e->search, i / batches, '\t', fields, FIELDS);
    row->batch = (double)c->options->batches[i % batches];
}

static size_t point_count(const contest *c, const entry *e)
{
    return dip_grid_size(&e->search) * c->options->batch_count;
}

static bool is_missing(const contest *c, const dip_result *row)
{
    return c->options->again || !dip_results_find(c->results, row);
}

static size_t count_missing(const contest *c, const entry *e, dip_result row)
{
    char fields[FIELDS];
    size_t missing = 0;
    for (size_t i = 0; i < point_count(c, e); i++) {
        set_point(c, e, i, &row, fields);
        missing += is_missing(c, &row);
    }
    return missing;
}

/* ---- building, or opening what was built ---- */

static dip_status ask_for_index(const contest *c, const entry *e, const char *word,
                                const char *folder, const char *fields, dip_message *answer)
{
    char phase[128];
    snprintf(phase, sizeof phase, "%s: %s", e->engine,
             *word == 'b' ? "building an index" : "opening the index");
    char *line =
        dip_sprintf("%s\tbase=%s\tmetric=l2\tthreads=%u\tfolder=%s%s%s\n", word, c->set->base.path,
                    c->options->threads, folder, *fields ? "\t" : "", fields);
    dip_status status = line ? dip_program_ask(e->program, line, phase, answer) : DIP_ENOMEM;
    dip_free(line);
    return status;
}

static dip_status take_index(const entry *e, const dip_message *answer, const char *word,
                             double *wall, double *cpu, dip_result *row)
{
    const char *describe = dip_message_get(answer, "describe");
    if (strcmp(answer->word, word) != 0)
        return dip_fail(DIP_EFORMAT, "%s answers '%.40s' where '%s' was due", e->engine,
                        answer->word, word);
    dip_status status = dip_message_number(answer, "seconds", wall);
    if (!status) status = dip_message_number(answer, "cpu", cpu);
    if (!status) status = dip_message_number(answer, "bytes", &row->bytes);
    snprintf(row->describe, sizeof row->describe, "%s", describe ? describe : "");
    return status;
}

static dip_status build_index(const contest *c, const entry *e, const char *folder,
                              const char *built, const char *fields, dip_result *row)
{
    dip_message answer = {.count = 0};
    char text[96];
    dip_status status = dip_file_remove(folder);
    if (!status) status = dip_folder_create(folder);
    if (!status) status = ask_for_index(c, e, "build", folder, fields, &answer);
    if (!status) status = take_index(e, &answer, "built", &row->build_s, &row->build_cpu_s, row);
    dip_message_fini(&answer);
    if (status) {
        dip_file_remove(folder);
        return status;
    }
    int n = snprintf(text, sizeof text, "%.6f %.6f\n", row->build_s, row->build_cpu_s);
    return dip_file_write(built, text, (size_t)n);
}

/* False if it has to be built (again). */
static bool open_index(const contest *c, const entry *e, const char *folder, const char *built,
                       const char *fields, dip_result *row)
{
    dip_message answer = {.count = 0};
    char *text = NULL;
    size_t length;
    double cpu;
    if (c->options->again || !dip_file_exists(built)) return false;
    bool fine = !dip_file_read(&text, &length, built, 4096) &&
                sscanf(text, "%lf %lf", &row->build_s, &row->build_cpu_s) == 2 &&
                !ask_for_index(c, e, "open", folder, fields, &answer) &&
                !take_index(e, &answer, "opened", &row->open_s, &cpu, row);
    dip_message_fini(&answer);
    dip_free(text);
    if (!fine) row->open_s = NAN;
    return fine;
}

static dip_status ready_index(const contest *c, const entry *e, const char *folder,
                              const char *fields, dip_result *row)
{
    char *built = dip_sprintf("%s.built", folder);
    if (!built) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    if (!open_index(c, e, folder, built, fields, row))
        status = build_index(c, e, folder, built, fields, row);
    dip_free(built);
    return status;
}

/* ---- measuring ---- */

static void note_excess(const contest *c, const dip_result *row)
{
    double wall_us = 1e6 / row->qps, most = row->search_threads * wall_us;
    if (row->cpu_us > 1.1 * most + 1)
        note(c,
             "%s %s used %.1f processors in a search that was allowed %.0f: its times do not "
             "compare",
             row->engine, row->search, row->cpu_us / wall_us, row->search_threads);
}

static dip_status measure_point(contest *c, const entry *e, const char *fields, dip_result *row)
{
    const dip_point point = {c->set, fields, c->indexes, c->hdf5};
    dip_status status = dip_measure(e->program, &point, row);
    if (status) return status;
    note_excess(c, row);
    status = dip_results_add(c->results, row);
    if (!status && c->options->measured) status = c->options->measured(c->options->payload, row);
    return status;
}

/* A request that the engine refuses spoils only its own point. */
static dip_status measure_all(contest *c, const entry *e, dip_result row, bool *refused)
{
    char fields[FIELDS];
    dip_status status = DIP_OK;
    for (size_t i = 0; i < point_count(c, e) && !status; i++) {
        set_point(c, e, i, &row, fields);
        if (!is_missing(c, &row)) continue;
        status = measure_point(c, e, fields, &row);
        if (status != DIP_EINVAL) continue;
        if (i % c->options->batch_count == 0)
            note(c, "%s (%s / %s)", dip_last_error(), row.build, row.search);
        *refused = true;
        status = DIP_OK;
    }
    return status;
}

/* Of the base alone: other queries find the same index. */
static char *index_folder(const contest *c, const dip_result *row)
{
    char text[512];
    snprintf(text, sizeof text, "%016llx\n%s\n%s", (unsigned long long)c->set->base.hash,
             row->engine, row->build);
    return dip_sprintf("%s/%016llx", c->indexes,
                       (unsigned long long)dip_hash64(text, strlen(text)));
}

static dip_status drop_index(const contest *c, const char *folder)
{
    if (c->options->keep) return DIP_OK;
    char *built = dip_sprintf("%s.built", folder);
    dip_status status = built ? dip_file_remove(built) : DIP_ENOMEM;
    if (!status) status = dip_file_remove(folder);
    dip_free(built);
    return status;
}

static dip_status run_build(contest *c, const entry *e, size_t i, bool *refused)
{
    char fields[FIELDS];
    dip_result row = make_row(c, e);
    dip_grid_text(&e->build, i, ' ', row.build, sizeof row.build);
    dip_grid_text(&e->build, i, '\t', fields, sizeof fields);
    if (!count_missing(c, e, row)) return DIP_OK;
    char *folder = index_folder(c, &row);
    dip_status status = folder ? ready_index(c, e, folder, fields, &row) : DIP_ENOMEM;
    if (!status) status = measure_all(c, e, row, refused);
    if (!status) status = drop_index(c, folder);
    dip_free(folder);
    return status;
}

/* ---- one engine ---- */

/* The spec's grid, else the default that the program told. */
static dip_status choose_grid(dip_grid *out, char **text, bool given, const dip_grid *grid,
                              const entry *e, const char *name)
{
    const char *standard = dip_message_get(dip_program_ready(e->program), name);
    *out = *grid;
    if (given || !standard) return DIP_OK;
    *text = dip_strdup(standard);
    if (!*text) return DIP_ENOMEM;
    dip_status status = dip_grid_parse(out, *text);
    return status ? dip_fail_prefix(status, "what %s says of its parameters", e->engine) : DIP_OK;
}

static dip_status start(const contest *c, entry *e)
{
    const dip_contest_options *o = c->options;
    char *const *command = e->spec->command;
    char serve[] = "--serve", bench[] = "bench";
    char *own[] = {o->program, bench, serve, command[0], NULL};
    bool is_own = !command[1] && dip_engine_find(command[0]) != DIP_ENGINE_AUTO;
    unsigned threads = o->threads > o->search_threads ? o->threads : o->search_threads;
    char log[80];
    snprintf(log, sizeof log, "%s.log",
             e->spec->label ? e->spec->label : dip_path_base(command[0]));
    for (char *p = log; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p)) *p = '_';
    char *path = dip_path_join(o->folder, log);
    if (!path) return DIP_ENOMEM;
    dip_status status =
        dip_program_start(&e->program, is_own ? own : command, threads, path, o->progress);
    dip_free(path);
    if (status) return status;
    const dip_message *ready = dip_program_ready(e->program);
    snprintf(e->engine, sizeof e->engine, "%s",
             e->spec->label ? e->spec->label : dip_message_get(ready, "engine"));
    status =
        choose_grid(&e->build, &e->build_text, e->spec->has_build, &e->spec->build, e, "build");
    if (!status)
        status = choose_grid(&e->search, &e->search_text, e->spec->has_search, &e->spec->search, e,
                             "search");
    return status;
}

static dip_status run_spec(contest *c, const dip_spec *spec)
{
    entry e = {.spec = spec};
    bool refused = false;
    dip_status status = start(c, &e);
    size_t builds = status ? 0 : dip_grid_size(&e.build);
    for (size_t i = 0; i < builds && !status; i++) {
        status = run_build(c, &e, i, &refused);
        if (status != DIP_EINVAL) continue;
        note(c, "%s", dip_last_error());
        refused = true;
        status = DIP_OK;
    }
    dip_program_stop(e.program);
    dip_free(e.build_text);
    dip_free(e.search_text);
    if (status && status != DIP_ECANCEL && status != DIP_ENOSPC) {
        note(c, "%s", dip_last_error());
        refused = true;
        status = DIP_OK;
    }
    c->failed += refused;
    return status;
}

/* ---- all ---- */

/* Two comparisons in one folder would spoil each other's times and files. */
static dip_status lock_folder(const char *folder, int *lock)
{
    char *path = dip_path_join(folder, "lock");
    *lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    dip_status status = DIP_OK;
    if (!path)
        status = DIP_ENOMEM;
    else if (*lock < 0)
        status = dip_fail_errno("write", path);
    else if (flock(*lock, LOCK_EX | LOCK_NB))
        status = dip_fail(DIP_EBUSY, "another comparison works in '%s'; wait for it", folder);
    dip_free(path);
    return status;
}

dip_status dip_contest_run(dip_results *results, const dip_set *set, const dip_spec *specs,
                           size_t spec_count, const dip_contest_options *options)
{
    contest c = {.results = results, .set = set, .options = options};
    int lock = -1;
    describe_machine(c.machine, sizeof c.machine);
    c.indexes = dip_path_join(options->folder, "indexes");
    c.hdf5 = dip_path_join(options->folder, "results");
    dip_status status = c.indexes && c.hdf5 ? dip_folder_create(c.indexes) : DIP_ENOMEM;
    if (!status) status = lock_folder(options->folder, &lock);
    for (size_t i = 0; i < spec_count && !status; i++) status = run_spec(&c, &specs[i]);
    if (lock >= 0) close(lock);
    dip_free(c.indexes);
    dip_free(c.hdf5);
    if (status || !c.failed) return status;
    return dip_fail(DIP_EIO, "%zu of %zu engines could not be measured wholly; see the lines above",
                    c.failed, spec_count);
}
