/*
 * The data that engines are compared on; see set.h. In the cache folder:
 *
 *   <key>.fbin  <key>.txt              a table of unit vectors, and "hash changed zeros" of it; the key is of the source
 *   truth-<key>.ibin  truth-<key>.fbin    ids and cosines; the key is of the vectors' own bytes and k
 *
 * Each is written aside and renamed, the one that tells that the other is complete last.
 */
#include "compare/set.h"

#include "compare/hdf5.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/dot.h"
#include "index/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_VALUES = 1 << 20, /* that are normalised at a time */
    QUERY_BLOCK = 1024,     /* queries of one exact search */
    HEAD = 8,               /* of an .fbin file */
    VERSION = 1,            /* of what is in the cache */
};

/* A squared norm that differs from 1 by no more than this is left alone: float32 rounding of a vector of unit norm. */
static const double FINE = 1e-5;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static dip_status stopped(void) { return dip_fail(DIP_ECANCEL, "stopped"); }

/* ---- unit vectors ---- */

/* Divides a row by its norm; false if a value is not finite. */
static bool make_unit(float *row, size_t dim, dip_unit_table *t)
{
    double square = 0;
    for (size_t i = 0; i < dim; i++) square += (double)row[i] * (double)row[i];
    if (!isfinite(square)) return false;
    if (fabs(square - 1) <= FINE) return true;
    t->changed++;
    if (square == 0) {
        t->zeros++;
        for (size_t i = 0; i < dim; i++) row[i] = (float)(1 / sqrt((double)dim));
    } else {
        double scale = 1 / sqrt(square);
        for (size_t i = 0; i < dim; i++) row[i] = (float)(row[i] * scale);
    }
    return true;
}

/* Reads all rows once, makes them unit vectors and hashes them; writes them to `out` unless it is NULL. */
static dip_status pass(dip_unit_table *t, const dip_points *points, FILE *out,
                       const dip_progress *progress)
{
    size_t block = BLOCK_VALUES / t->dim + 1;
    float *rows = dip_alloc(block * t->dim * sizeof *rows);
    dip_status status = rows ? DIP_OK : DIP_ENOMEM;
    t->hash = VERSION;
    t->changed = t->zeros = 0;
    for (size_t first = 0; first < t->rows && !status; first += block) {
        size_t n = smaller(block, t->rows - first);
        if (dip_progress_tick(progress, "reading vectors", first, t->rows)) status = stopped();
        if (!status) status = dip_points_read(points, first, n, rows);
        for (size_t i = 0; i < n && !status; i++)
            if (!make_unit(rows + i * t->dim, t->dim, t))
                status =
                    dip_fail(DIP_EFORMAT,
                             "'%s': row %zu holds a value that is not finite, or one too large "
                             "to square; mend or drop it",
                             points->name, first + i);
        if (status) break;
        t->hash = dip_hash64_seed(rows, n * t->dim * sizeof *rows, t->hash);
        if (out) fwrite(rows, t->dim * sizeof *rows, n, out);
    }
    dip_free(rows);
    return status;
}

static dip_status write_note(const dip_unit_table *t, const char *path)
{
    char text[96];
    int n = snprintf(text, sizeof text, "%016llx %zu %zu\n", (unsigned long long)t->hash,
                     t->changed, t->zeros);
    return dip_file_write(path, text, (size_t)n);
}

static bool read_note(dip_unit_table *t, const char *path)
{
    char *text;
    size_t length;
    unsigned long long hash;
    if (!dip_file_exists(path) || dip_file_read(&text, &length, path, 4096)) return false;
    bool fine = sscanf(text, "%llx %zu %zu", &hash, &t->changed, &t->zeros) == 3;
    dip_free(text);
    t->hash = hash;
    return fine;
}

static dip_status write_table(dip_unit_table *t, const dip_points *points, const char *path,
                              const dip_progress *progress)
{
    const uint32_t head[2] = {(uint32_t)t->rows, (uint32_t)t->dim};
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    fwrite(head, sizeof head, 1, file.stream);
    status = pass(t, points, file.stream, progress);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}

/* An .fbin file of unit vectors serves as it is. */
static dip_status use_source(dip_unit_table *t, const dip_points *points,
                             const dip_progress *progress, bool *fine)
{
    dip_status status = pass(t, points, NULL, progress);
    *fine = !status && t->changed == 0;
    return status;
}

static dip_status map_table(dip_unit_table *t)
{
    dip_status status = dip_file_map(&t->map, t->path);
    if (status) return status;
    if (t->map.length != HEAD + t->rows * t->dim * sizeof(float))
        return dip_fail(DIP_ECORRUPT, "'%s' has changed its length; remove it and run again",
                        t->path);
    t->vectors = (const float *)(const void *)(t->map.bytes + HEAD);
    return DIP_OK;
}

static dip_status make(dip_unit_table *t, const dip_points *points, const char *source,
                       const char *table, const char *note, const dip_progress *progress)
{
    const bool whole = points->plain && t->rows == points->rows;
    bool own = dip_file_exists(table), fine = false;
    if (!read_note(t, note) || (!own && (!whole || t->changed))) {
        dip_status status = whole ? use_source(t, points, progress, &fine) : DIP_OK;
        if (!status && !fine) status = write_table(t, points, table, progress);
        if (!status) status = write_note(t, note);
        if (status) return status;
        own = !fine;
    }
    t->path = dip_strdup(own ? table : source);
    return t->path ? map_table(t) : DIP_ENOMEM;
}

dip_status dip_unit_table_make(dip_unit_table *out, const dip_points *points, const char *folder,
                               size_t most, const dip_progress *progress)
{
    const size_t rows = most && most < points->rows ? most : points->rows;
    const uint64_t key[4] = {VERSION, points->identity, rows, points->dim};
    unsigned long long name = dip_hash64(key, sizeof key);
    dip_unit_table t = {.rows = rows, .dim = points->dim};
    char *table = dip_sprintf("%s/%016llx.fbin", folder, name);
    char *note = dip_sprintf("%s/%016llx.txt", folder, name);
    dip_status status = table && note ? DIP_OK : DIP_ENOMEM;
    if (!status) status = make(&t, points, points->path, table, note, progress);
    dip_free(table);
    dip_free(note);
    if (status)
        dip_unit_table_close(&t);
    else
        *out = t;
    return status;
}

void dip_unit_table_close(dip_unit_table *table)
{
    dip_file_unmap(&table->map);
    dip_free(table->path);
    *table = (dip_unit_table){.rows = 0};
}

/* ---- truth ---- */

static dip_status search(dip_set *set, const dip_progress *progress)
{
    const dip_unit_table *base = &set->base, *queries = &set->queries;
    uint64_t *ids = dip_alloc(base->rows * sizeof *ids);
    uint64_t *found = dip_alloc(QUERY_BLOCK * set->k * sizeof *found);
    dip_scan scan = {.vectors = base->vectors, .ids = ids, .n = base->rows, .dim = base->dim};
    dip_status status = ids && found ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < base->rows && !status; i++) ids[i] = i;
    for (size_t q = 0; q < queries->rows && !status; q += QUERY_BLOCK) {
        size_t n = smaller(QUERY_BLOCK, queries->rows - q);
        if (dip_progress_tick(progress, "finding true neighbours", q, queries->rows))
            status = stopped();
        if (!status)
            status = dip_scan_run(&scan, queries->vectors + q * base->dim, n, set->k, found,
                                  set->scores + q * set->k);
        for (size_t i = 0; i < n * set->k && !status; i++)
            set->ids[q * set->k + i] = (uint32_t)found[i];
    }
    dip_free(ids);
    dip_free(found);
    return status;
}

static bool read_truth(dip_set *set, const char *ids_path, const char *scores_path)
{
    dip_points scores;
    size_t n = set->queries.rows, rows = 0, dim = 0;
    int32_t *ids = NULL;
    if (!dip_file_exists(ids_path) || dip_points_open(&scores, scores_path, NULL)) return false;
    bool fine = scores.rows == n && scores.dim == set->k &&
                !dip_points_whole(ids_path, &ids, &rows, &dim) && rows == n && dim == set->k &&
                !dip_points_read(&scores, 0, n, set->scores);
    for (size_t i = 0; i < n * set->k && fine; i++) {
        set->ids[i] = (uint32_t)ids[i];
        fine = set->ids[i] < set->base.rows;
    }
    dip_points_close(&scores);
    dip_free(ids);
    return fine;
}

static dip_status find_or_read(dip_set *set, const char *ids_path, const char *scores_path,
                               const dip_progress *progress)
{
    size_t n = set->queries.rows * set->k;
    set->ids = dip_alloc(n * sizeof *set->ids);
    set->scores = dip_alloc(n * sizeof *set->scores);
    if (!set->ids || !set->scores) return DIP_ENOMEM;
    if (read_truth(set, ids_path, scores_path)) return DIP_OK;
    dip_status status = search(set, progress);
    if (!status) status = dip_points_write(scores_path, set->scores, set->queries.rows, set->k);
    if (!status) status = dip_points_write(ids_path, set->ids, set->queries.rows, set->k);
    return status;
}

dip_status dip_set_find_truth(dip_set *set, const char *folder, size_t k,
                              const dip_progress *progress)
{
    if (set->base.dim != set->queries.dim)
        return dip_fail(DIP_EMISMATCH, "the base has vectors of %zu values, the queries of %zu",
                        set->base.dim, set->queries.dim);
    if (k == 0 || k > set->base.rows)
        return dip_fail(DIP_EINVAL, "%zu neighbours of %zu vectors cannot be found; lower -k", k,
                        set->base.rows);
    const uint64_t parts[3] = {VERSION, set->base.hash, set->queries.hash};
    set->hash = dip_hash64(parts, sizeof parts);
    set->k = k;
    set->agreement = NAN;
    char *ids_path =
        dip_sprintf("%s/truth-%016llx-%zu.ibin", folder, (unsigned long long)set->hash, k);
    char *scores_path =
        dip_sprintf("%s/truth-%016llx-%zu.fbin", folder, (unsigned long long)set->hash, k);
    dip_status status = ids_path && scores_path ? DIP_OK : DIP_ENOMEM;
    if (!status) status = find_or_read(set, ids_path, scores_path, progress);
    dip_free(ids_path);
    dip_free(scores_path);
    return status;
}

void dip_set_close(dip_set *set)
{
    dip_unit_table_close(&set->base);
    dip_unit_table_close(&set->queries);
    dip_free(set->ids);
    dip_free(set->scores);
    *set = (dip_set){.k = 0};
}

/* ---- recall ---- */

typedef struct recall_work {
    const dip_set *set;
    const int32_t *ids;
    size_t k;
    double epsilon;
    dip_dot_fn dot;
    uint32_t *hits; /* a query */
    float *scores;
} recall_work;

static bool seen(const int32_t *ids, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static dip_status count_hits(void *context, size_t query, unsigned worker)
{
    (void)worker;
    const recall_work *w = context;
    const dip_set *set = w->set;
    const int32_t *ids = w->ids + query * w->k;
    const float *q = set->queries.vectors + query * set->base.dim;
    double bar = set->scores[query * set->k + w->k - 1] - w->epsilon;
    for (size_t i = 0; i < w->k; i++) {
        float *score = &w->scores[query * w->k + i];
        *score = -2;
        if (ids[i] < 0) continue;
        if ((size_t)ids[i] >= set->base.rows)
            return dip_fail(DIP_EFORMAT, "the answer to query %zu names row %d of %zu", query,
                            ids[i], set->base.rows);
        *score = w->dot(q, set->base.vectors + (size_t)ids[i] * set->base.dim, set->base.dim);
        w->hits[query] += *score >= bar && !seen(ids, i, ids[i]);
    }
    return DIP_OK;
}

dip_status dip_set_recall(const dip_set *set, const int32_t *ids, size_t k, double epsilon,
                          double *recall, float *scores)
{
    size_t n = set->queries.rows, hits = 0;
    recall_work w = {set, ids, k, epsilon, dip_dot_get(), NULL, scores};
    w.hits = dip_calloc(n, sizeof *w.hits);
    if (!w.hits) return DIP_ENOMEM;
    dip_status status = dip_parallel_for(n, count_hits, &w);
    for (size_t i = 0; i < n; i++) hits += w.hits[i];
    *recall = (double)hits / (double)(n * k);
    dip_free(w.hits);
    return status;
}

/* ---- the file's own neighbours ---- */

static size_t shared(const dip_set *set, const int32_t *given, size_t dim, size_t query, size_t k)
{
    size_t found = 0;
    const uint32_t *ids = set->ids + query * set->k;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) found += given[query * dim + i] == (int32_t)ids[j];
    return found;
}

dip_status dip_set_compare_with(dip_set *set, const char *hdf5_path)
{
    dip_hdf5_table *table;
    size_t rows, dim, found = 0, n = set->queries.rows;
    dip_status status = dip_hdf5_open(&table, hdf5_path, "neighbors", &rows, &dim);
    if (status == DIP_ENOENT) return DIP_OK;
    if (status) return status;
    size_t k = smaller(set->k, dim);
    int32_t *given = dip_alloc(n * dim * sizeof *given);
    if (!given) status = DIP_ENOMEM;
    if (!status && rows < n)
        status = dip_fail(DIP_EFORMAT, "'%s' has neighbours of %zu queries, but %zu queries",
                          hdf5_path, rows, n);
    if (!status) status = dip_hdf5_read_whole(table, 0, n, given);
    for (size_t q = 0; q < n && !status; q++) found += shared(set, given, dim, q, k);
    if (!status) set->agreement = (double)found / (double)(n * k);
    dip_hdf5_close(table);
    dip_free(given);
    return status;
}
