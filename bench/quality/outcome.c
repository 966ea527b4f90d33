/* The results file; see outcome.h. The only file of this folder that sees jansson.h. */
#define _GNU_SOURCE
#include "bench/quality/outcome.h"

#include "core/file.h"
#include "core/mem.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 1 << 30 };

/* ---- reading a line ---- */

static void take_text(const json_t *object, const char *name, char *out, size_t capacity)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, capacity, "%s", text ? text : "");
}

static double take_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static dip_status take_metrics(const json_t *list, dip_outcome_direction *out)
{
    size_t i;
    json_t *m;
    out->metrics = dip_calloc(json_array_size(list) + 1, sizeof *out->metrics);
    if (!out->metrics) return DIP_ENOMEM;
    json_array_foreach(list, i, m)
    {
        dip_outcome_metric *metric = &out->metrics[out->metric_count++];
        const char *name = json_string_value(json_object_get(m, "metric"));
        snprintf(metric->name, sizeof metric->name, "%.20s@%.0f", name ? name : "?",
                 take_number(m, "k"));
        metric->value = take_number(json_object_get(m, "exact"), "value");
        metric->chance = take_number(m, "chance");
    }
    return DIP_OK;
}

static void take_calibration(const json_t *list, dip_outcome_direction *out)
{
    for (size_t i = 0; i < DIP_OUTCOME_PERCENTILES; i++) {
        const json_t *point = json_array_get(list, i);
        out->percentile[i] = take_number(point, "percentile");
        out->above[i] = take_number(point, "share_above");
    }
}

static dip_status take_eval(const json_t *eval, dip_outcome *out)
{
    const json_t *list = json_object_get(eval, "directions");
    size_t i;
    json_t *d;
    out->dims = take_number(eval, "dims");
    out->bytes = take_number(eval, "bytes");
    out->directions = dip_calloc(json_array_size(list) + 1, sizeof *out->directions);
    if (!out->directions) return DIP_ENOMEM;
    json_array_foreach(list, i, d)
    {
        dip_outcome_direction *direction = &out->directions[out->direction_count++];
        take_text(d, "from", direction->from, sizeof direction->from);
        take_text(d, "to", direction->to, sizeof direction->to);
        direction->queries = take_number(d, "queries");
        take_calibration(json_object_get(d, "calibration"), direction);
        dip_status status = take_metrics(json_object_get(d, "metrics"), direction);
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status take(const json_t *object, dip_outcome *out)
{
    const json_t *training = json_object_get(object, "training");
    *out = (dip_outcome){.seed = (uint64_t)json_integer_value(json_object_get(object, "seed"))};
    take_text(object, "key", out->key, sizeof out->key);
    take_text(object, "data", out->data, sizeof out->data);
    take_text(object, "row", out->row, sizeof out->row);
    take_text(object, "form", out->form, sizeof out->form);
    take_text(object, "split", out->split, sizeof out->split);
    take_text(object, "hold_out", out->hold_out, sizeof out->hold_out);
    take_text(object, "program", out->program, sizeof out->program);
    out->cpu_s = take_number(object, "train_cpu_s");
    out->wall_s = take_number(object, "train_wall_s");
    out->steps = take_number(training, "steps");
    out->epochs = take_number(training, "epochs");
    out->pairs = take_number(training, "pairs");
    out->parameters = take_number(training, "parameters");
    return take_eval(json_object_get(object, "eval"), out);
}

static void outcome_fini(dip_outcome *outcome)
{
    for (size_t i = 0; i < outcome->direction_count; i++) dip_free(outcome->directions[i].metrics);
    dip_free(outcome->directions);
}

static dip_status add_line(dip_outcomes *out, const char *line, size_t length, const char *where)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    dip_outcome outcome = {.seed = 0};
    dip_status status = DIP_OK;
    if (!json_is_string(json_object_get(object, "key")) ||
        !json_is_array(json_object_get(json_object_get(object, "eval"), "directions")))
        status = dip_fail(DIP_EFORMAT, "%s is no outcome of a sweep: %.60s", where, line);
    if (!status) status = take(object, &outcome);
    if (!status)
        status = dip_array_reserve((void **)&out->list, &out->capacity, out->count + 1,
                                   sizeof *out->list)
                     ? DIP_ENOMEM
                     : DIP_OK;
    if (status)
        outcome_fini(&outcome);
    else
        out->list[out->count++] = outcome;
    json_decref(object);
    return status;
}

/* ---- the file ---- */

static dip_status add_lines(dip_outcomes *out, const char *path, const char *text, size_t length)
{
    size_t number = 1, begin = 0;
    for (; begin < length; number++) {
        const char *end = memchr(text + begin, '\n', length - begin);
        char where[512];
        if (!end) return dip_file_write(path, text, begin);
        snprintf(where, sizeof where, "'%.400s' line %zu", path, number);
        size_t line = (size_t)(end - text) - begin;
        dip_status status = add_line(out, text + begin, line, where);
        if (status) return status;
        begin += line + 1;
    }
    return DIP_OK;
}

dip_status dip_outcomes_read(dip_outcomes *out, const char *path)
{
    char *text = NULL;
    size_t length = 0;
    *out = (dip_outcomes){.list = NULL};
    if (!dip_file_exists(path)) return DIP_OK;
    dip_status status = dip_file_read(&text, &length, path, LARGEST);
    if (!status) status = add_lines(out, path, text, length);
    dip_free(text);
    if (status) dip_outcomes_fini(out);
    return status;
}

void dip_outcomes_fini(dip_outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->count; i++) outcome_fini(&outcomes->list[i]);
    dip_free(outcomes->list);
    *outcomes = (dip_outcomes){.list = NULL};
}

const dip_outcome *dip_outcomes_find(const dip_outcomes *outcomes, const char *key)
{
    for (size_t i = outcomes->count; i > 0; i--)
        if (!strcmp(outcomes->list[i - 1].key, key)) return &outcomes->list[i - 1];
    return NULL;
}

/* One write, so that sweeps that share a file do not mix their lines. */
dip_status dip_outcomes_add(dip_outcomes *outcomes, const char *path, const char *line)
{
    size_t length = strlen(line);
    dip_status status = add_line(outcomes, line, length, "what the program said");
    if (status) return status;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) return dip_fail_errno("open", path);
    if (write(file, line, length) != (ssize_t)length || fsync(file))
        status = dip_fail_errno("write", path);
    close(file);
    return status;
}

dip_status dip_json_member_text(const char *json, const char *name, char *out, size_t capacity)
{
    json_t *object = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(object, name));
    dip_status status = text && strlen(text) < capacity ? DIP_OK : DIP_EFORMAT;
    if (status)
        dip_fail(status, "the program's answer has no '%s': %.60s", name, json);
    else
        snprintf(out, capacity, "%s", text);
    json_decref(object);
    return status;
}
