/*
 * Quality of retrieval: ablations from a plan, through the program as a user runs it. docs/quality.md tells how to run it
 * and how to read what comes out.
 *
 *   bench_quality [--data DIR] [--work DIR] [--out PATH] [--test [--again]] [--report] [--rows a,b] [--threads N] PLAN
 *
 * PATH.jsonl remembers every outcome and is what a second call goes on from; PATH.md and PATH.json are written from it.
 */
#define _GNU_SOURCE
#include "bench/quality/report.h"
#include "bench/quality/sweep.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/options_rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_STOPPED = 130 };

typedef struct options {
    const char *data, *work, *out, *program, *rows;
    int64_t threads;
    bool test, again, report, keep, help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    NAMED("data", data, "DIR", NULL, "folder of the data sets; default: DIPTYCH_DATA, else this one"),
    NAMED("work", work, "DIR", "quality.work", "folder for archives"),
    NAMED("out", out, "PATH", NULL, "results, without .jsonl, .md, .json; default: quality-<plan> in the work folder"),
    NAMED("diptych", program, "PATH", NULL, "the program; default: the one beside this"),
    NAMED("rows", rows, "A,B,...", NULL, "run these rows only"),
    INT("threads", threads, 0, 256, "0", "threads for the program; 0: one a processor"),
    FLAG("test", test, NULL, "measure the finals on the test split, in place of the candidates"),
    FLAG("again", again, NULL, "with --test: measure also what was measured on the test split before"),
    FLAG("report", report, NULL, "only write the report anew"),
    FLAG("keep", keep, NULL, "leave models and runs in the archives of the work folder"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

typedef struct session {
    options options;
    dip_plan plan;
    dip_outcomes outcomes;
    char *out, *results, *program;
} session;

static void tell(void *payload, const char *line)
{
    (void)payload;
    fprintf(stderr, "bench_quality: %s\n", line);
}

static dip_status write_report(void *payload)
{
    const session *s = payload;
    return dip_report_write(&s->plan, &s->outcomes, s->out);
}

/* "<work>/quality-<plan>", the plan's name without its ending. */
static char *default_out(const session *s, const char *plan)
{
    const char *base = dip_path_base(plan), *dot = strrchr(base, '.');
    return dip_sprintf("%s/quality-%.*s", s->options.work,
                       (int)(dot ? (size_t)(dot - base) : strlen(base)), base);
}

static char *own_neighbour(const char *name)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    char *folder = dip_path_folder(path), *neighbour = folder ? dip_path_join(folder, name) : NULL;
    dip_free(folder);
    return neighbour;
}

static dip_status open_session(session *s, const char *plan)
{
    const options *o = &s->options;
    dip_status status = dip_plan_read(&s->plan, plan);
    if (status) return status;
    s->out = o->out ? dip_strdup(o->out) : default_out(s, plan);
    s->results = s->out ? dip_sprintf("%s.jsonl", s->out) : NULL;
    s->program = o->program ? dip_strdup(o->program) : own_neighbour("diptych");
    char *folder = s->results ? dip_path_folder(s->results) : NULL;
    status = s->program && folder ? dip_folder_create(folder) : DIP_ENOMEM;
    dip_free(folder);
    return status ? status : dip_outcomes_read(&s->outcomes, s->results);
}

static dip_status sweep(session *s)
{
    const options *o = &s->options;
    const char *data = o->data ? o->data : getenv("DIPTYCH_DATA");
    const dip_sweep_options how = {.program = s->program,
                                   .data = data ? data : ".",
                                   .work = o->work,
                                   .results = s->results,
                                   .rows = o->rows,
                                   .threads = (uint64_t)o->threads,
                                   .final = o->test,
                                   .again = o->again,
                                   .keep = o->keep,
                                   .note = tell,
                                   .changed = write_report,
                                   .payload = s};
    return dip_sweep_run(&s->plan, &how, &s->outcomes);
}

static dip_status run(session *s, const char *plan)
{
    dip_status status = open_session(s, plan);
    if (!status && !s->options.report) status = sweep(s);
    if (!status) status = write_report(s);
    if (!status) printf("%s.md\n", s->out);
    dip_plan_fini(&s->plan);
    dip_outcomes_fini(&s->outcomes);
    dip_free(s->out);
    dip_free(s->results);
    dip_free(s->program);
    return status;
}

static int usage(FILE *out)
{
    fputs("usage: bench_quality [OPTIONS] PLAN\n\n", out);
    dip_options_help(table, out);
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    session s = {.out = NULL};
    int rest = 0;
    dip_options_defaults(table, &s.options);
    dip_status status = dip_options_parse(table, &s.options, argc, argv, &rest);
    if (!status && s.options.help) return usage(stdout);
    if (!status && rest != 1) return usage(stderr);
    if (!status && s.options.again && !s.options.test)
        status = dip_fail(DIP_EINVAL, "--again is for --test");
    if (!status && s.options.rows && s.options.report)
        status = dip_fail(DIP_EINVAL, "--report is of all rows");
    if (status) {
        tell(NULL, dip_last_error());
        return EXIT_USAGE;
    }
    status = run(&s, argv[1]);
    if (!status) return EXIT_SUCCESS;
    tell(NULL, dip_last_error());
    return status == DIP_ECANCEL ? EXIT_STOPPED : EXIT_FAILURE;
}
