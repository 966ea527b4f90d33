/*
 * Trainings of the archive as they go, for the page that draws them: the list of runs/, and of one run its config.ini and
 * metrics.jsonl. A reader comes back with ?after= the `next` of the last answer and gets the lines that came since; `from` is
 * where the answer begins, and is 0 again when the history became shorter, as it does when a killed run is resumed. A name
 * is looked for in the folder's own list, so that none leads out of it.
 */
#define _POSIX_C_SOURCE 200809L

#include "server/service.h"

#include "core/file.h"
#include "core/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES = 1 << 20, CONFIG_BYTES = 1 << 20 };

static char *run_path(const char *folder, const char *name, const char *file)
{
    return dip_sprintf("%s/%s/%s", folder, name, file);
}

static bool run_has(const char *folder, const char *name, const char *file)
{
    char *path = run_path(folder, name, file);
    bool has = path && dip_file_exists(path);
    dip_free(path);
    return has;
}

/* What trainings there are; an archive that never trained has no folder of them. */
static dip_status list_runs(const char *folder, char ***names, size_t *count)
{
    *names = NULL;
    *count = 0;
    return dip_file_is_folder(folder) ? dip_folder_list(names, count, folder) : DIP_OK;
}

static char *runs_folder(const dip_service *service)
{
    return dip_path_join(dip_archive_path(dip_service_archive(service)), "runs");
}

void dip_serve_runs(void *context, const dip_request *request, dip_response *response)
{
    (void)request;
    char **names = NULL, *folder = runs_folder(context);
    size_t count = 0;
    dip_writer writer;
    dip_status st = folder ? list_runs(folder, &names, &count) : DIP_ENOMEM;
    if (!st) st = dip_writer_begin(&writer);
    if (st) {
        dip_response_fail_status(response, st);
        goto out;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_array(&writer.json, "runs");
    for (size_t i = 0; i < count; i++) {
        if (!run_has(folder, names[i], "config.ini")) continue;
        dip_json_object(&writer.json, NULL);
        dip_json_text(&writer.json, "id", names[i]);
        dip_json_flag(&writer.json, "finished", run_has(folder, names[i], "finished.ini"));
        dip_json_end(&writer.json);
    }
    dip_json_end(&writer.json);
    dip_json_end(&writer.json);
    dip_writer_end(&writer, response, 200, "application/json");
    dip_response_header(response, "Cache-Control", "no-store");
out:
    dip_names_free(names, count);
    dip_free(folder);
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) text[--length] = '\0';
    return text;
}

/* config.ini as {"section":{"key":"value"}}. */
static void write_config(dip_json *json, char *text)
{
    bool inside = false;
    dip_json_object(json, "config");
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = '\0';
        line = trim(line);
        size_t length = strlen(line);
        char *value = strchr(line, '=');
        if (*line == '[' && line[length - 1] == ']') {
            line[length - 1] = '\0';
            if (inside) dip_json_end(json);
            dip_json_object(json, line + 1);
            inside = true;
        } else if (inside && value && *line != ';' && *line != '#') {
            *value++ = '\0';
            dip_json_text(json, trim(line), trim(value));
        }
    }
    if (inside) dip_json_end(json);
    dip_json_end(json);
}

/* A part of a history: whole lines from byte `from` up to `next`. */
typedef struct history {
    char *text;
    uint64_t from, next, size;
} history;

static dip_status read_history(history *out, const char *path, uint64_t after)
{
    FILE *file = NULL;
    dip_status st = DIP_OK;
    *out = (history){0};
    if (!dip_file_exists(path)) return DIP_OK; /* begun, but not a line yet */
    if ((st = dip_file_size(&out->size, path))) return st;
    out->from = out->next = after <= out->size ? after : 0;
    if (!(out->text = dip_alloc(ANSWER_BYTES + 1))) return DIP_ENOMEM;
    if (!(file = fopen(path, "rb")) || fseeko(file, (off_t)out->from, SEEK_SET)) {
        st = dip_fail_errno("read", path);
    } else {
        size_t got = fread(out->text, 1, ANSWER_BYTES, file);
        while (got && out->text[got - 1] != '\n') got--; /* the last line is being written */
        out->text[got] = '\0';
        out->next = out->from + got;
    }
    if (file) fclose(file);
    return st;
}

static void write_history(dip_json *json, const history *part, bool finished)
{
    dip_json_count(json, "from", part->from);
    dip_json_count(json, "next", part->next);
    dip_json_flag(json, "more", part->next < part->size && part->next > part->from);
    dip_json_flag(json, "finished", finished);
    dip_json_array(json, "lines");
    for (char *line = part->text, *next; line && *line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = '\0';
        dip_json_embed(json, NULL, line);
    }
    dip_json_end(json);
}

static bool parse_after(const dip_request *request, uint64_t *after)
{
    const char *text = dip_request_query(request, "after");
    char *end;
    *after = 0;
    if (!text) return true;
    errno = 0;
    *after = strtoull(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno;
}

static void answer_run(const char *folder, const char *name, uint64_t after, dip_response *response)
{
    char *config_path = run_path(folder, name, "config.ini"), *config = NULL;
    char *history_path = run_path(folder, name, "metrics.jsonl");
    bool finished = run_has(folder, name, "finished.ini"); /* before the lines: none is missed */
    history part = {0};
    size_t config_length = 0;
    dip_writer writer;
    dip_status st = config_path && history_path ? DIP_OK : DIP_ENOMEM;
    if (!st) st = dip_file_read(&config, &config_length, config_path, CONFIG_BYTES);
    if (!st) st = read_history(&part, history_path, after);
    if (!st) st = dip_writer_begin(&writer);
    if (st) {
        dip_response_fail_status(response, st);
        goto out;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "id", name);
    write_config(&writer.json, config);
    write_history(&writer.json, &part, finished);
    dip_json_end(&writer.json);
    dip_writer_end(&writer, response, 200, "application/json");
    dip_response_header(response, "Cache-Control", "no-store");
out:
    dip_free(part.text);
    dip_free(config);
    dip_free(config_path);
    dip_free(history_path);
}

void dip_serve_run(void *context, const dip_request *request, dip_response *response)
{
    uint64_t after;
    if (!parse_after(request, &after)) {
        dip_response_fail(
            response, 400, "InvalidParameterValue",
            "after: '%s' is not a whole number; it is the 'next' of an earlier answer",
            dip_request_query(request, "after"));
        return;
    }
    char **names = NULL, *folder = runs_folder(context);
    size_t count = 0, i = 0;
    dip_status st = folder ? list_runs(folder, &names, &count) : DIP_ENOMEM;
    while (i < count && strcmp(names[i], request->part[0]) != 0) i++;
    if (st)
        dip_response_fail_status(response, st);
    else if (i == count || !run_has(folder, names[i], "config.ini"))
        dip_response_fail(response, 404, "NotFound",
                          "there is no training '%s'; /runs lists those of the archive",
                          request->part[0]);
    else
        answer_run(folder, names[i], after, response);
    dip_names_free(names, count);
    dip_free(folder);
}
