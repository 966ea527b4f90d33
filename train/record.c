/* The history of a run as JSON lines; see record.h. The only file of this folder that sees jansson.h. */
#define _GNU_SOURCE
#include "train/record.h"

#include "core/file.h"
#include "core/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 30 };

struct dip_record {
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

dip_status dip_record_open(dip_record **out, const char *path, uint64_t step)
{
    dip_status status = trim(path, step);
    if (status) return status;
    dip_record *record = dip_calloc(1, sizeof *record);
    if (!record) return DIP_ENOMEM;
    record->path = dip_strdup(path);
    if (!record->path) status = DIP_ENOMEM;
    if (!status && !(record->stream = fopen(path, "abe"))) status = dip_fail_errno("open", path);
    if (status) {
        dip_record_close(record);
        return status;
    }
    *out = record;
    return DIP_OK;
}

dip_status dip_record_write(dip_record *record, const char *kind, uint64_t step,
                            const dip_field *fields, size_t count)
{
    json_t *object = json_pack("{s:s, s:I}", "kind", kind, "step", (json_int_t)step);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, fields[i].name,
                            isfinite(fields[i].value) ? json_real(fields[i].value) : json_null());
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!line) return dip_fail(DIP_ENOMEM, "out of memory: a line of '%s'", record->path);
    bool failed = fprintf(record->stream, "%s\n", line) < 0 || fflush(record->stream);
    free(line);
    return failed ? dip_fail_errno("write", record->path) : DIP_OK;
}

void dip_record_close(dip_record *record)
{
    if (!record) return;
    if (record->stream) fclose(record->stream);
    dip_free(record->path);
    dip_free(record);
}
