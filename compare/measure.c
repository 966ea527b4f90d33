/*
 * One point of the comparison; see measure.h. All times are the program's own; what is done here, between its answers,
 * costs it nothing. Of the repeats the one of median time is reported, with the spread of all.
 */
#define _GNU_SOURCE
#include "compare/measure.h"

#include "compare/hdf5.h"
#include "core/file.h"
#include "core/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct repeat {
    double seconds, cpu;
    size_t number;
} repeat;

typedef struct answers {
    size_t calls;
    int32_t *ids;     /* (queries, k) */
    float *scores;    /* (queries, k) */
    float *latencies; /* (calls), ascending once they have been looked at */
    float *times;     /* (queries) */
} answers;

/* ---- asking ---- */

static char *found_path(const dip_point *p, size_t number, const char *ending)
{
    return dip_sprintf("%s/found-%zu%s", p->folder, number, ending);
}

static dip_status ask(dip_program *program, const dip_point *p, const dip_result *row, repeat *out)
{
    size_t batch = row->batch > 0 ? (size_t)row->batch : p->set->queries.rows;
    dip_message answer = {.count = 0};
    char phase[288];
    char *found = found_path(p, out->number, "");
    char *line =
        found ? dip_sprintf("search\tqueries=%s\tk=%.0f\tbatch=%zu\tthreads=%.0f\tout=%s%s%s\n",
                            p->set->queries.path, row->k, batch, row->search_threads, found,
                            *p->search_fields ? "\t" : "", p->search_fields)
              : NULL;
    snprintf(phase, sizeof phase, "searching with %s %s", row->engine, row->search);
    dip_status status = line ? dip_program_ask(program, line, phase, &answer) : DIP_ENOMEM;
    if (!status && strcmp(answer.word, "searched") != 0)
        status = dip_fail(DIP_EFORMAT, "%s answers '%.40s' to 'search'", row->engine, answer.word);
    if (!status) status = dip_message_number(&answer, "seconds", &out->seconds);
    if (!status) status = dip_message_number(&answer, "cpu", &out->cpu);
    if (!status && !(out->seconds > 0))
        status = dip_fail(DIP_EFORMAT, "%s says that it searched in no time", row->engine);
    dip_message_fini(&answer);
    dip_free(found);
    dip_free(line);
    return status;
}

/* ---- what it answered ---- */

static dip_status wrong_shape(const dip_result *row, const char *path, size_t rows, size_t dim,
                              size_t want_rows, size_t want_dim)
{
    return dip_fail(DIP_EFORMAT, "%s wrote %zu x %zu values to '%s'; %zu x %zu were due",
                    row->engine, rows, dim, path, want_rows, want_dim);
}

static dip_status read_ids(const dip_point *p, const dip_result *row, size_t number, answers *a)
{
    size_t rows = 0, dim = 0, n = p->set->queries.rows;
    char *path = found_path(p, number, ".ibin");
    dip_status status = path ? dip_points_whole(path, &a->ids, &rows, &dim) : DIP_ENOMEM;
    if (!status && (rows != n || dim != (size_t)row->k))
        status = wrong_shape(row, path, rows, dim, n, (size_t)row->k);
    dip_free(path);
    return status;
}

static dip_status read_latencies(const dip_point *p, const dip_result *row, size_t number,
                                 answers *a)
{
    dip_points table = {.rows = 0};
    size_t n = p->set->queries.rows, batch = row->batch > 0 ? (size_t)row->batch : n;
    char *path = found_path(p, number, ".fbin");
    a->calls = (n + batch - 1) / batch;
    a->latencies = dip_alloc(a->calls * sizeof *a->latencies);
    a->times = dip_alloc(n * sizeof *a->times);
    dip_status status = path && a->latencies && a->times ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_points_open(&table, path, NULL);
    if (!status && (table.rows != a->calls || table.dim != 1))
        status = wrong_shape(row, path, table.rows, table.dim, a->calls, 1);
    if (!status) status = dip_points_read(&table, 0, a->calls, a->latencies);
    for (size_t i = 0; i < a->calls && !status; i++)
        if (!isfinite(a->latencies[i]) || a->latencies[i] < 0)
            status = dip_fail(DIP_EFORMAT, "%s says that a call took %g s", row->engine,
                              (double)a->latencies[i]);
    for (size_t q = 0; q < n && !status; q++) {
        size_t first = q / batch * batch, size = n - first < batch ? n - first : batch;
        a->times[q] = a->latencies[q / batch] / (float)size;
    }
    dip_points_close(&table);
    dip_free(path);
    return status;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const repeat *)a)->seconds, y = ((const repeat *)b)->seconds;
    return (x > y) - (x < y);
}

/* Nearest rank, in microseconds. */
static double percentile(const answers *a, double share)
{
    size_t rank = (size_t)ceil(share * (double)a->calls);
    return 1e6 * (double)a->latencies[rank ? rank - 1 : 0];
}

/* `repeats` ascend by time. */
static void fill_times(dip_result *row, const repeat *repeats, size_t count, answers *a)
{
    const repeat *middle = &repeats[count / 2];
    qsort(a->latencies, a->calls, sizeof *a->latencies, by_size);
    row->qps = row->queries / middle->seconds;
    row->qps_low = row->queries / repeats[count - 1].seconds;
    row->qps_high = row->queries / repeats[0].seconds;
    row->cpu_us = 1e6 * middle->cpu / row->queries;
    row->p50_us = percentile(a, 0.50);
    row->p95_us = percentile(a, 0.95);
    row->p99_us = percentile(a, 0.99);
}

/* ---- for ann-benchmarks ---- */

/* Letters, digits and a few signs; all else becomes '_'. */
static void clean(char *name)
{
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("-_.=", *name)) *name = '_';
}

static dip_status write_result(const dip_point *p, const dip_result *row, const char *path,
                               const answers *a, double best)
{
    char name[512];
    snprintf(name, sizeof name, "%s(%s%s%s)", row->engine, row->build,
             *row->build && *row->search ? ", " : "", row->search);
    const dip_hdf5_result result = {.algorithm = row->engine,
                                    .name = name,
                                    .dataset = p->set->name,
                                    .distance = "angular",
                                    .queries = p->set->queries.rows,
                                    .count = (size_t)row->k,
                                    .times = a->times,
                                    .neighbors = a->ids,
                                    .distances = a->scores,
                                    .build_s = row->build_s,
                                    .best_search_s = best / row->queries,
                                    .index_kb = row->bytes / 1024,
                                    .candidates = row->k,
                                    .runs = (int64_t)row->repeats,
                                    .batch = row->batch != 1};
    return dip_hdf5_write(path, &result);
}

/* <set>/<k>/<engine>[-batch]/<parameters>.hdf5, as ann-benchmarks lays them out; scores become angular distances. */
static dip_status write_hdf5(const dip_point *p, const dip_result *row, answers *a, double best)
{
    char set[96], engine[112], file[420], batch[32] = "";
    snprintf(set, sizeof set, "%s", p->set->name);
    if (row->batch > 1) snprintf(batch, sizeof batch, "-batch%.0f", row->batch);
    snprintf(engine, sizeof engine, "%s%s", row->engine, row->batch > 0 ? batch : "-batch");
    snprintf(file, sizeof file, "%s%s%s", *row->build ? row->build : "built",
             *row->search ? "_" : "", row->search);
    clean(set);
    clean(engine);
    clean(file);
    char *folder = dip_sprintf("%s/%s/%.0f/%s", p->hdf5_folder, set, row->k, engine);
    char *path = folder ? dip_sprintf("%s/%s.hdf5", folder, file) : NULL;
    for (size_t i = 0; i < p->set->queries.rows * (size_t)row->k; i++)
        a->scores[i] = a->ids[i] < 0 ? INFINITY : 1 - a->scores[i];
    dip_status status = path ? dip_folder_create(folder) : DIP_ENOMEM;
    if (!status) status = write_result(p, row, path, a, best);
    dip_free(folder);
    dip_free(path);
    return status;
}

/* ---- all ---- */

static dip_status look_at(const dip_point *p, dip_result *row, const repeat *repeats, size_t count)
{
    answers a = {.calls = 0};
    const repeat *middle = &repeats[count / 2];
    a.scores = dip_alloc(p->set->queries.rows * (size_t)row->k * sizeof *a.scores);
    dip_status status = a.scores ? read_ids(p, row, middle->number, &a) : DIP_ENOMEM;
    if (!status) status = read_latencies(p, row, middle->number, &a);
    if (!status)
        status =
            dip_set_recall(p->set, a.ids, (size_t)row->k, row->epsilon, &row->recall, a.scores);
    if (!status) fill_times(row, repeats, count, &a);
    if (!status) status = write_hdf5(p, row, &a, repeats[0].seconds);
    dip_free(a.ids);
    dip_free(a.scores);
    dip_free(a.latencies);
    dip_free(a.times);
    return status;
}

static void remove_found(const dip_point *p, size_t count)
{
    static const char *const endings[] = {".ibin", ".fbin"};
    for (size_t i = 0; i < 2 * count; i++) {
        char *path = found_path(p, i / 2, endings[i % 2]);
        if (path) remove(path);
        dip_free(path);
    }
}

static void stamp(dip_result *row)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(row->time, sizeof row->time, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (getloadavg(&row->load, 1) != 1) row->load = NAN;
}

dip_status dip_measure(dip_program *program, const dip_point *point, dip_result *row)
{
    repeat repeats[1 + DIP_MEASURE_MOST_REPEATS];
    const size_t count = (size_t)row->repeats;
    dip_status status = DIP_OK;
    stamp(row);
    /* The first only warms up. */
    for (size_t i = 0; i <= count && !status; i++) {
        repeats[i].number = i;
        status = ask(program, point, row, &repeats[i]);
    }
    row->memory = (double)dip_program_memory(program);
    if (!status) qsort(repeats + 1, count, sizeof *repeats, by_seconds);
    if (!status) status = look_at(point, row, repeats + 1, count);
    remove_found(point, count + 1);
    return status;
}
