/* diptych report: the page of a training run. */
#define _GNU_SOURCE
#include "tools/cmd.h"

#include "core/file.h"
#include "core/mem.h"
#include "front/json.h"
#include "tools/run_page.h"

#include <diptych/archive.h>

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

typedef struct options {
    const char *output;
} options;

static const dip_option table[] = {
    {.name = "output",
     .letter = 'o',
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, output),
     .choices = "FILE",
     .help = "where to write it; default: report.html in the run's folder"},
    {.name = NULL},
};

/* When the history of a run was last added to, in nanoseconds; negative: it has none. */
static int64_t changed_at(const char *runs, const char *name)
{
    struct stat facts;
    int64_t when = -1;
    char *path = dip_sprintf("%s/%s/metrics.jsonl", runs, name);
    if (path && !stat(path, &facts))
        when = (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
    dip_free(path);
    return when;
}

/* The run that was last worked on. */
static dip_status find_newest(const char *runs, char **name)
{
    char **names = NULL;
    size_t count = 0, newest = 0;
    int64_t latest = -1;
    dip_status status = dip_file_exists(runs) ? dip_folder_list(&names, &count, runs) : DIP_OK;
    for (size_t i = 0; i < count; i++) {
        int64_t when = changed_at(runs, names[i]);
        if (when <= latest) continue;
        latest = when;
        newest = i;
    }
    if (!status && latest < 0)
        status = dip_fail(DIP_ENOENT, "the archive has no training run; run diptych train");
    if (!status && !(*name = dip_strdup(names[newest]))) status = DIP_ENOMEM;
    dip_names_free(names, count);
    return status;
}

static dip_status check_name(const char *runs, const char *name)
{
    if (strchr(name, '/') || changed_at(runs, name) < 0)
        return dip_fail(DIP_ENOENT, "'%s' has no training run '%s'", runs, name);
    return DIP_OK;
}

static void tell(const dip_tool *tool, const char *run, const char *path)
{
    dip_json j;
    if (!tool->json) {
        printf("run %s: %s\n", run, path);
        return;
    }
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "run", run);
    dip_json_text(&j, "file", path);
    dip_json_end(&j);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    dip_archive *archive = NULL;
    char *runs = NULL, *name = NULL, *folder = NULL, *path = NULL;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_READ);
    if (status) return status;
    runs = dip_path_join(dip_archive_path(archive), "runs");
    status = !runs ? DIP_ENOMEM : argc > 1 ? check_name(runs, argv[1]) : find_newest(runs, &name);
    if (!status && argc > 1 && !(name = dip_strdup(argv[1]))) status = DIP_ENOMEM;
    if (!status && !(folder = dip_path_join(runs, name))) status = DIP_ENOMEM;
    if (!status) path = o->output ? dip_strdup(o->output) : dip_path_join(folder, "report.html");
    if (!status && !path) status = DIP_ENOMEM;
    if (!status) status = dip_run_page_write(archive, folder, path);
    if (!status) tell(tool, name, path);
    dip_archive_close(archive);
    dip_free(runs);
    dip_free(name);
    dip_free(folder);
    dip_free(path);
    return status;
}

const dip_command dip_cmd_report = {
    .name = "report",
    .summary = "show a training run as a page",
    .usage = "ARCHIVE [RUN]",
    .text = "One HTML file with the course of the run, its best and worst found held-out pairs,\n"
            "its data and options; it needs no network and no script. Training writes it at each\n"
            "evaluation; this makes it again, of the latest run or of the one that is named.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 2,
    .json = true,
    .run = run,
};
