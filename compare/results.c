/*
 * The results file; see results.h. The only file of this folder that sees jansson.h. One table of fields serves reading
 * and writing.
 */
#define _GNU_SOURCE
#include "compare/results.h"

#include "core/file.h"
#include "core/mem.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 1 << 30 };

typedef struct field {
    const char *name;
    size_t offset, capacity; /* capacity of a text; 0: a number */
} field;

#define TEXT(member)                                                             \
    {                                                                            \
#member, offsetof(dip_result, member), sizeof(((dip_result *)0)->member) \
    }
#define REAL(member)                             \
    {                                            \
#member, offsetof(dip_result, member), 0 \
    }

static const field fields[] = {
    TEXT(set),      TEXT(hash),           TEXT(distance),  REAL(n),           REAL(dim),
    REAL(queries),  REAL(changed),        REAL(agreement), TEXT(engine),      TEXT(version),
    TEXT(describe), TEXT(build),          TEXT(search),    REAL(k),           REAL(batch),
    REAL(threads),  REAL(search_threads), REAL(repeats),   REAL(epsilon),     REAL(recall),
    REAL(qps),      REAL(qps_low),        REAL(qps_high),  REAL(cpu_us),      REAL(p50_us),
    REAL(p95_us),   REAL(p99_us),         REAL(build_s),   REAL(build_cpu_s), REAL(open_s),
    REAL(bytes),    REAL(memory),         TEXT(machine),   TEXT(time),        REAL(load),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static double *real_of(dip_result *r, const field *f)
{
    return (double *)(void *)((char *)r + f->offset);
}

/* ---- a line ---- */

/* Whole numbers as such, what is not finite as null. */
static json_t *json_of(double value)
{
    if (!isfinite(value)) return json_null();
    bool whole = fabs(value) < 1e15 && floor(value) == value;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

char *dip_result_line(const dip_result *result)
{
    json_t *object = json_object();
    dip_result r = *result;
    for (size_t i = 0; i < FIELDS; i++) {
        const field *f = &fields[i];
        json_object_set_new(object, f->name,
                            f->capacity ? json_string((const char *)&r + f->offset)
                                        : json_of(*real_of(&r, f)));
    }
    char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    char *copy = text ? dip_strdup(text) : NULL;
    if (!text) dip_fail(DIP_ENOMEM, "out of memory: a line of results");
    free(text);
    json_decref(object);
    return copy;
}

static dip_status take_line(dip_results *results, const char *line, size_t length, size_t number)
{
    json_error_t error;
    json_t *object = json_loadb(line, length, 0, &error);
    dip_result r;
    dip_status status = DIP_OK;
    memset(&r, 0, sizeof r);
    for (size_t i = 0; i < FIELDS && !status; i++) {
        const field *f = &fields[i];
        const json_t *value = json_object_get(object, f->name);
        bool fine =
            f->capacity ? json_is_string(value) : json_is_number(value) || json_is_null(value);
        if (!fine)
            status = dip_fail(
                DIP_EFORMAT,
                "'%s': line %zu is no measurement (%s); remove the line, or name another --out",
                results->path, number, f->name);
        else if (f->capacity)
            snprintf((char *)&r + f->offset, f->capacity, "%s", json_string_value(value));
        else
            *real_of(&r, f) = json_is_null(value) ? NAN : json_number_value(value);
    }
    json_decref(object);
    if (status) return status;
    if (dip_array_reserve((void **)&results->rows, &results->capacity, results->count + 1,
                          sizeof *results->rows))
        return DIP_ENOMEM;
    results->rows[results->count++] = r;
    return DIP_OK;
}

/* ---- the file ---- */

dip_status dip_results_open(dip_results *out, const char *path)
{
    dip_results results = {.path = dip_strdup(path)};
    char *text = NULL;
    size_t length = 0, number = 1;
    dip_status status = results.path ? DIP_OK : DIP_ENOMEM;
    if (!status && dip_file_exists(path)) status = dip_file_read(&text, &length, path, LARGEST);
    for (char *line = text, *end; line && !status; line = end + 1) {
        end = strchr(line, '\n');
        if (!end) {
            if (*line && truncate(path, line - text)) status = dip_fail_errno("mend", path);
            break;
        }
        if (end > line) status = take_line(&results, line, (size_t)(end - line), number++);
    }
    dip_free(text);
    if (status)
        dip_results_close(&results);
    else
        *out = results;
    return status;
}

void dip_results_close(dip_results *results)
{
    dip_free(results->rows);
    dip_free(results->path);
    *results = (dip_results){.count = 0};
}

static bool same(const dip_result *a, const dip_result *b)
{
    return !strcmp(a->hash, b->hash) && !strcmp(a->engine, b->engine) &&
           !strcmp(a->build, b->build) && !strcmp(a->search, b->search) && a->k == b->k &&
           a->batch == b->batch && a->threads == b->threads &&
           a->search_threads == b->search_threads && a->epsilon == b->epsilon;
}

const dip_result *dip_results_find(const dip_results *results, const dip_result *like)
{
    for (size_t i = results->count; i-- > 0;)
        if (same(&results->rows[i], like)) return &results->rows[i];
    return NULL;
}

static dip_status append(const char *path, const char *line)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    size_t length = strlen(line);
    if (file < 0) return dip_fail_errno("write", path);
    bool fine = write(file, line, length) == (ssize_t)length && !fsync(file);
    dip_status status = fine ? DIP_OK : dip_fail_errno("write", path);
    close(file);
    return status;
}

dip_status dip_results_add(dip_results *results, const dip_result *result)
{
    if (dip_array_reserve((void **)&results->rows, &results->capacity, results->count + 1,
                          sizeof *results->rows))
        return DIP_ENOMEM;
    char *line = dip_result_line(result);
    char *whole = line ? dip_sprintf("%s\n", line) : NULL;
    dip_status status = whole ? append(results->path, whole) : DIP_ENOMEM;
    dip_free(line);
    dip_free(whole);
    if (!status) results->rows[results->count++] = *result;
    return status;
}
