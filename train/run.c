/* The folder of a run; see run.h. */
#include "train/run.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "storage/writer_lock.h"

#include <stdio.h>
#include <string.h>

enum { MOST_NAMES = 1000, CONFIG_LIMIT = 1 << 20 };

char *dip_run_file(const dip_run *run, const char *name)
{
    return dip_path_join(run->folder, name);
}

void dip_run_fini(dip_run *run)
{
    if (run->locked) dip_writer_unlock(&run->lock);
    dip_free(run->folder);
    dip_free(run->model_path);
    dip_free(run->identity);
    *run = (dip_run){.folder = NULL};
}

static dip_status set_paths(dip_run *run, const char *archive_path)
{
    dip_free(run->folder);
    dip_free(run->model_path);
    run->folder = dip_sprintf("%s/runs/%s", archive_path, run->id);
    run->model_path = dip_sprintf("%s/models/%s.safetensors", archive_path, run->id);
    return run->folder && run->model_path ? DIP_OK : DIP_ENOMEM;
}

/* Does config.ini begin with our identity? */
static dip_status compare(const dip_run *run, const char *config, bool *same)
{
    char *text = NULL;
    size_t length, identity = strlen(run->identity);
    dip_status status = dip_file_read(&text, &length, config, CONFIG_LIMIT);
    *same = !status && length >= identity && !memcmp(text, run->identity, identity);
    dip_free(text);
    return status;
}

/* Whether the present id can be ours, and in which state. A folder without config.ini never got to run. */
static dip_status look(dip_run *run, bool *ours)
{
    char *config = dip_run_file(run, "config.ini"), *finished = dip_run_file(run, "finished.ini");
    dip_status status = config && finished ? DIP_OK : DIP_ENOMEM;
    if (!status && dip_file_exists(config)) {
        bool done = dip_file_exists(finished) && dip_file_exists(run->model_path);
        run->state = done ? DIP_RUN_FINISHED : DIP_RUN_UNFINISHED;
        status = compare(run, config, ours);
    } else if (!status) {
        run->state = DIP_RUN_NEW;
        *ours = !dip_file_exists(run->model_path);
    }
    dip_free(config);
    dip_free(finished);
    return status;
}

static dip_status find_name(dip_run *run, const char *archive_path, const char *name)
{
    for (int i = 1; i < MOST_NAMES; i++) {
        bool ours = false;
        if (i == 1)
            snprintf(run->id, sizeof run->id, "%s", name);
        else
            snprintf(run->id, sizeof run->id, "%s-%d", name, i);
        dip_status status = set_paths(run, archive_path);
        if (!status) status = look(run, &ours);
        if (status || ours) return status;
    }
    return dip_fail(DIP_EEXIST, "the archive has %d runs named '%s'; choose another --name",
                    MOST_NAMES - 1, name);
}

static dip_status write_config(const dip_run *run, const char *notes)
{
    char *path = dip_run_file(run, "config.ini");
    char *text = dip_sprintf("%s\n[run]\n%s", run->identity, notes);
    dip_status status = path && text ? dip_file_write(path, text, strlen(text)) : DIP_ENOMEM;
    dip_free(path);
    dip_free(text);
    return status;
}

/* Leaves config.ini alone: killed half-way, the folder still belongs to this run. And the lock, which is held. */
static dip_status empty_folder(const dip_run *run)
{
    char **names = NULL;
    size_t count = 0;
    dip_status status = dip_folder_list(&names, &count, run->folder);
    for (size_t i = 0; !status && i < count; i++) {
        if (!strcmp(names[i], "config.ini") || !strcmp(names[i], "writer.lock")) continue;
        char *path = dip_run_file(run, names[i]);
        status = path ? dip_file_remove(path) : DIP_ENOMEM;
        dip_free(path);
    }
    dip_names_free(names, count);
    return status;
}

/* Another process may have finished the run while we looked, so the state is looked up again. */
static dip_status lock_folder(dip_run *run)
{
    bool ours;
    dip_status status = dip_folder_create(run->folder);
    if (!status) status = dip_writer_lock(&run->lock, run->folder);
    run->locked = !status;
    return status ? status : look(run, &ours);
}

dip_status dip_run_open(dip_run *run, const char *archive_path, const dip_run_request *request)
{
    *run = (dip_run){.identity = dip_strdup(request->identity)};
    dip_status status = run->identity ? DIP_OK : DIP_ENOMEM;
    if (!status) status = find_name(run, archive_path, request->name);
    if (!status && (run->state != DIP_RUN_FINISHED || request->force)) status = lock_folder(run);
    bool anew = request->force || (!request->resume && run->state == DIP_RUN_UNFINISHED);
    if (!status && anew && run->state != DIP_RUN_NEW) {
        status = empty_folder(run);
        run->state = DIP_RUN_NEW;
    }
    if (!status && run->state == DIP_RUN_NEW) status = write_config(run, request->notes);
    if (status) dip_run_fini(run);
    return status;
}

dip_status dip_run_finish(const dip_run *run, const char *text)
{
    char *path = dip_run_file(run, "finished.ini");
    dip_status status = path ? dip_file_write(path, text, strlen(text)) : DIP_ENOMEM;
    dip_free(path);
    return status;
}
