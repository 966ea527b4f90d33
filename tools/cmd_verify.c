/* diptych verify: checks every checksum and cross-reference of an archive. */
#include "tools/cmd.h"

#include <diptych/archive.h>
#include <diptych/search.h>

#include "core/file.h"
#include "core/mem.h"
#include "index/generation.h"
#include "search/models.h"
#include "front/json.h"
#include "tools/report.h"
#include "core/format.h"

#include <stdio.h>

typedef struct findings {
    dip_tool *tool;
    uint64_t faults;
} findings;

/* Faults are the result: they go to standard output. */
static void report(void *payload, const char *line)
{
    findings *f = payload;
    dip_report_clear();
    if (f->tool->json) {
        dip_json j;
        dip_json_start(&j, stdout);
        dip_json_object(&j, NULL);
        dip_json_text(&j, "fault", line);
        dip_json_end(&j);
    } else {
        printf("%s\n", line);
    }
}

static dip_status verify_models(findings *f, const char *archive_path, size_t *count)
{
    char **ids;
    dip_status status = dip_models_list(archive_path, &ids, count);
    if (status) return status;
    for (size_t i = 0; i < *count && !status; i++) {
        dip_model *model = NULL;
        char *path = dip_models_path(archive_path, ids[i]);
        if (!path) status = DIP_ENOMEM;
        if (path && dip_model_open(&model, path)) {
            char *line = dip_sprintf("model %s: %s; train again, or put back a copy", ids[i],
                                     dip_last_error());
            if (line)
                report(f, line);
            else
                status = DIP_ENOMEM;
            f->faults++;
            dip_free(line);
        }
        dip_model_close(model);
        dip_free(path);
    }
    dip_names_free(ids, *count);
    return status;
}

/* Do live index, stored embeddings and model belong together? Only worth asking when each of them is whole. */
static dip_status verify_together(findings *f, const dip_archive *archive)
{
    dip_search *search = NULL;
    dip_status status = dip_search_open(&search, archive, NULL);
    if (!status && !dip_search_model(search)) status = DIP_EMISMATCH;
    dip_search_close(search);
    if (status == DIP_ENOENT || !status) return DIP_OK; /* no index yet */
    if (status == DIP_ENOMEM) return status;
    report(f, dip_last_error());
    f->faults++;
    return DIP_OK;
}

static void print_sound(const dip_tool *tool, const dip_archive_counts *counts, size_t models)
{
    char tiles[40], embeddings[40], all[40];
    if (tool->json) {
        dip_json j;
        dip_json_start(&j, stdout);
        dip_json_object(&j, NULL);
        dip_json_flag(&j, "sound", true);
        dip_json_count(&j, "tiles", counts->tiles);
        dip_json_count(&j, "embeddings", counts->embeddings);
        dip_json_count(&j, "models", models);
        dip_json_end(&j);
        return;
    }
    dip_format_things(counts->tiles, "tile", tiles, sizeof tiles);
    dip_format_things(counts->embeddings, "embedding", embeddings, sizeof embeddings);
    dip_format_things(models, "model", all, sizeof all);
    printf("sound: %s, %s, %s, all indexes\n", tiles, embeddings, all);
}

static dip_status verify(findings *f, const dip_archive *archive)
{
    dip_archive_counts counts;
    size_t models = 0;
    uint64_t store = 0, indexes = 0;
    const dip_progress *p = f->tool->progress;
    dip_status status = dip_archive_verify(archive, report, f, p->fn, p->payload, &store);
    f->faults += store;
    if (!status) status = verify_models(f, dip_archive_path(archive), &models);
    if (!status) status = dip_generation_verify(dip_archive_path(archive), report, f, &indexes);
    f->faults += indexes;
    if (!status && !f->faults) status = verify_together(f, archive);
    if (!status) status = dip_archive_count(archive, &counts);
    if (status) return status;
    if (f->faults)
        return dip_fail(DIP_ECORRUPT, "%llu fault%s found", (unsigned long long)f->faults,
                        f->faults == 1 ? "" : "s");
    print_sound(f->tool, &counts, models);
    return DIP_OK;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    dip_archive *archive = NULL;
    findings f = {.tool = tool};
    (void)values, (void)argc;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_READ);
    if (!status) status = verify(&f, archive);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_verify = {
    .name = "verify",
    .summary = "check every checksum and cross-reference",
    .usage = "ARCHIVE",
    .text = "Reads all tiles, metadata, embeddings, models and indexes. Each fault is one line of "
            "output that\n"
            "says what is wrong and what to do; with faults the exit status is 1.",
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
