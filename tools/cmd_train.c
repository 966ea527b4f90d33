/* diptych train: learns encoders from an archive's pairs. */
#include "tools/cmd.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "tools/run_page.h"
#include "tools/train_result.h"

#include <diptych/archive.h>

static void prepare(void *values, int argc, char *const *argv)
{
    dip_train_options_init(values, argc, argv);
}

static double waited_percent(const dip_train_result *r)
{
    return r->seconds > 0 ? 100 * r->waited / r->seconds : 0;
}

/* `page`: of the run. */
static void print_text(const dip_train_result *r, const char *page)
{
    char time[32], epochs[32], steps[32];
    if (r->already) {
        printf("model %s was trained before with these options and data; --force trains it again\n",
               r->model);
        return;
    }
    dip_format_seconds(r->seconds, time, sizeof time);
    dip_format_things(r->epochs, "epoch", epochs, sizeof epochs);
    dip_format_things(r->steps, "step", steps, sizeof steps);
    printf("model %s: %s, %s, %s (%.0f %% of it waiting for tiles)\n", r->model, epochs, steps,
           time, waited_percent(r));
    dip_train_result_print(r);
    if (dip_file_exists(page)) printf("the run as a page: %s\n", page);
}

static void print_json(const dip_train_result *r, const char *page)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_train_result_json(&j, r);
    dip_json_count(&j, "epochs", r->epochs);
    dip_json_count(&j, "parameters", r->parameters);
    dip_json_real(&j, "waited", r->waited, 3);
    if (dip_file_exists(page))
        dip_json_text(&j, "page", page);
    else
        dip_json_null(&j, "page");
    dip_json_end(&j);
}

/* Between two pages at least this many times as long as the last one took. */
enum { PAGE_PAUSE = 50 };

typedef struct watcher {
    dip_tool *tool;
    const dip_archive *archive;
    double next_page; /* clock */
} watcher;

static void note(void *payload, const char *line)
{
    const watcher *w = payload;
    dip_tool_note_line(w->tool, line);
}

/* A page that cannot be written is no reason to stop training. */
static void write_page(void *payload, const char *folder, bool complete)
{
    watcher *w = payload;
    double began = dip_seconds();
    if (!complete && began < w->next_page) return;
    if (dip_run_page_write(w->archive, folder, NULL))
        dip_tool_note(w->tool, "the page of the run is not written: %s", dip_last_error());
    dip_error_clear();
    w->next_page = dip_seconds() + PAGE_PAUSE * (dip_seconds() - began);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    dip_archive *archive = NULL;
    dip_train_result result;
    (void)argc;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_READ);
    watcher w = {.tool = tool, .archive = archive};
    const dip_train_listener listener = {
        .progress = tool->progress, .note = note, .evaluated = write_page, .payload = &w};
    if (!status) status = dip_train(archive, values, &listener, &result);
    char *page =
        status ? NULL
               : dip_sprintf("%s/runs/%s/report.html", dip_archive_path(archive), result.model);
    dip_archive_close(archive);
    if (status) return status;
    if (!page) return DIP_ENOMEM;
    if (tool->json)
        print_json(&result, page);
    else
        print_text(&result, page);
    dip_free(page);
    return DIP_OK;
}

const dip_command dip_cmd_train = {
    .name = "train",
    .summary = "learn encoders from the archive's pairs",
    .usage = "ARCHIVE",
    .text =
        "A pair is a place with tiles of two modalities. Pairs of split 'train' are learned (all, "
        "if\n"
        "the archive has no splits), those of 'val' are asked while training. The model goes to\n"
        "models/<name>.safetensors, the run's history to runs/<name>. An interrupted run "
        "continues.",
    .options = dip_train_table,
    .size = sizeof(dip_train_options),
    .prepare = prepare,
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
