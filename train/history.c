/* The history of a run as JSON lines; see history.h. The only file of this folder that sees jansson.h. */
#define _GNU_SOURCE
#include "train/history.h"

#include "core/file.h"
#include "core/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 30 };

struct dip_history {
    FILE *stream;
    char *path;
};

/* Is this a whole line of a step up to `step`? */
static bool is_kept(const char *line, size_t length, uint64_t step)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const json_t *value = json_object_get(object, "step");
    bool kept = json_is_integer(value) && (uint64_t)json_integer_value(value) <= step;
    json_decref(object);
    return kept;
}

/* Moves the lines to keep to the front; returns their length. */
static size_t keep_lines(char *text, size_t length, uint64_t step)
{
    size_t at = 0, kept = 0;
    while (at < length) {
        char *end = memchr(text + at, '\n', length - at);
        if (!end) break;
        size_t line = (size_t)(end - text) + 1 - at;
        if (is_kept(text + at, line, step)) {
            memmove(text + kept, text + at, line);
            kept += line;
        }
        at += line;
    }
    return kept;
}

static dip_status trim(const char *path, uint64_t step)
{
    char *text = NULL;
    size_t length = 0;
    if (!step) return dip_file_write(path, "", 0);
    if (!dip_file_exists(path)) return DIP_OK;
    dip_status status = dip_file_read(&text, &length, path, LARGEST);
    if (status) return status;
    size_t kept = keep_lines(text, length, step);
    if (kept != length) status = dip_file_write(path, text, kept);
    dip_free(text);
    return status;
}

dip_status dip_history_open(dip_history **out, const char *path, uint64_t step)
{
    dip_status status = trim(path, step);
    if (status) return status;
    dip_history *history = dip_calloc(1, sizeof *history);
    if (!history) return DIP_ENOMEM;
    history->path = dip_strdup(path);
    if (!history->path) status = DIP_ENOMEM;
    if (!status && !(history->stream = fopen(path, "abe"))) status = dip_fail_errno("open", path);
    if (status) {
        dip_history_close(history);
        return status;
    }
    *out = history;
    return DIP_OK;
}

static json_t *number(double value)
{
    if (!isfinite(value)) return json_null();
    bool whole = fabs(value) < 0x1p53 && value == floor(value);
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

dip_status dip_history_write(dip_history *history, const dip_history_line *line)
{
    json_t *object = json_pack("{s:s, s:I}", "kind", line->kind, "step", (json_int_t)line->step);
    for (size_t i = 0; i < line->mark_count; i++)
        json_object_set_new(object, line->marks[i].name, json_string(line->marks[i].text));
    for (size_t i = 0; i < line->field_count; i++)
        json_object_set_new(object, line->fields[i].name, number(line->fields[i].value));
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text) return dip_fail(DIP_ENOMEM, "out of memory: a line of '%s'", history->path);
    bool failed = fprintf(history->stream, "%s\n", text) < 0 || fflush(history->stream);
    free(text);
    return failed ? dip_fail_errno("write", history->path) : DIP_OK;
}

void dip_history_close(dip_history *history)
{
    if (!history) return;
    if (history->stream) fclose(history->stream);
    dip_free(history->path);
    dip_free(history);
}

/* ---- reading ---- */

enum { MOST_FIELDS = 64 };

static dip_status visit_object(const json_t *object,
                               dip_status (*visit)(void *payload, const dip_history_line *line),
                               void *payload)
{
    dip_mark marks[MOST_FIELDS];
    dip_field fields[MOST_FIELDS];
    dip_history_line line = {.marks = marks, .fields = fields};
    const char *name;
    const json_t *value, *kind = json_object_get(object, "kind"),
                         *step = json_object_get(object, "step");
    if (!json_is_string(kind) || !json_is_integer(step)) return DIP_OK;
    line.kind = json_string_value(kind);
    line.step = (uint64_t)json_integer_value(step);
    json_object_foreach((json_t *)object, name, value)
    {
        if (value == kind || value == step) continue;
        if (json_is_string(value) && line.mark_count < MOST_FIELDS)
            marks[line.mark_count++] = (dip_mark){name, json_string_value(value)};
        else if ((json_is_number(value) || json_is_null(value)) && line.field_count < MOST_FIELDS)
            fields[line.field_count++] =
                (dip_field){name, json_is_null(value) ? NAN : json_number_value(value)};
    }
    return visit(payload, &line);
}

dip_status dip_history_read(const char *path,
                            dip_status (*visit)(void *payload, const dip_history_line *line),
                            void *payload)
{
    char *text = NULL;
    size_t length = 0;
    dip_status status = dip_file_read(&text, &length, path, LARGEST);
    for (size_t at = 0; !status && at < length;) {
        char *end = memchr(text + at, '\n', length - at);
        if (!end) break;
        json_t *object = json_loadb(text + at, (size_t)(end - text) - at, 0, NULL);
        status = visit_object(object, visit, payload);
        json_decref(object);
        at = (size_t)(end - text) + 1;
    }
    dip_free(text);
    return status;
}

double dip_history_value(const dip_history_line *line, const char *name)
{
    for (size_t i = 0; i < line->field_count; i++)
        if (!strcmp(line->fields[i].name, name)) return line->fields[i].value;
    return NAN;
}

const char *dip_history_text(const dip_history_line *line, const char *name)
{
    for (size_t i = 0; i < line->mark_count; i++)
        if (!strcmp(line->marks[i].name, name)) return line->marks[i].text;
    return "";
}
