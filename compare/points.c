/*
 * Tables of vectors; see points.h. The formats with a fixed row length are one reader: where the first row begins, how far
 * it is to the next, and how a value is widened.
 */
#define _GNU_SOURCE
#include "compare/points.h"

#include "compare/hdf5.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "storage/npy.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MOST_DIM = 1 << 16 };

typedef enum value_type { FLOAT32, UINT8, INT8, INT32 } value_type;

typedef struct format {
    const char *ending;
    value_type type;
    bool
        row_heads; /* each row begins with its dimension; else the file begins with rows and dimension */
} format;

static const format formats[] = {
    {".fvecs", FLOAT32, true}, {".bvecs", UINT8, true},  {".ivecs", INT32, true},
    {".fbin", FLOAT32, false}, {".u8bin", UINT8, false}, {".i8bin", INT8, false},
    {".ibin", INT32, false},
};

typedef struct file_state {
    dip_map map;
    const format *format;
    const uint8_t *values; /* of the first row */
    size_t stride;         /* bytes from row to row */
} file_state;

static size_t value_size(value_type type) { return type == UINT8 || type == INT8 ? 1 : 4; }

static uint32_t word_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const char *ending_of(const char *path)
{
    const char *dot = strrchr(dip_path_base(path), '.');
    return dot ? dot : "";
}

static void set_name(dip_points *p, const char *path)
{
    const char *base = dip_path_base(path);
    snprintf(p->name, sizeof p->name, "%.*s", (int)(strlen(base) - strlen(ending_of(path))), base);
}

/* ---- rows of fixed length ---- */

static void widen(value_type type, const uint8_t *in, size_t n, float *out)
{
    int32_t whole;
    switch (type) {
    case FLOAT32: memcpy(out, in, n * sizeof *out); break;
    case UINT8:
        for (size_t i = 0; i < n; i++) out[i] = (float)in[i];
        break;
    case INT8:
        for (size_t i = 0; i < n; i++) out[i] = (float)(int8_t)in[i];
        break;
    case INT32:
        for (size_t i = 0; i < n; i++) {
            memcpy(&whole, in + 4 * i, sizeof whole);
            out[i] = (float)whole;
        }
    }
}

/* A file of rows that each tell their dimension may tell a different one in the middle. */
static dip_status check_head(const dip_points *p, const file_state *s, size_t row)
{
    uint32_t dim = word_at(s->values + row * s->stride - 4);
    if (dim == p->dim) return DIP_OK;
    return dip_fail(DIP_ECORRUPT,
                    "'%s': row %zu says it has %u values, the first one %zu; write the file again",
                    p->name, row, dim, p->dim);
}

static dip_status file_read(const dip_points *p, size_t first, size_t count, float *out)
{
    const file_state *s = p->state;
    for (size_t i = 0; i < count; i++) {
        dip_status status = s->format->row_heads ? check_head(p, s, first + i) : DIP_OK;
        if (status) return status;
        widen(s->format->type, s->values + (first + i) * s->stride, p->dim, out + i * p->dim);
    }
    return DIP_OK;
}

static void file_close(dip_points *p)
{
    file_state *s = p->state;
    dip_file_unmap(&s->map);
    dip_free(s);
}

static dip_status bad_length(const dip_points *p, const char *path, size_t length, size_t needed)
{
    return dip_fail(DIP_ECORRUPT,
                    "'%s' has %zu bytes; %zu rows of %zu values would be %zu: it was cut off or is "
                    "not of the format "
                    "that its name says",
                    path, length, p->rows, p->dim, needed);
}

static dip_status find_rows(dip_points *p, file_state *s, const char *path)
{
    size_t head = s->format->row_heads ? 4 : 8, size = value_size(s->format->type);
    size_t length = s->map.length;
    if (length < head + 1)
        return dip_fail(DIP_EFORMAT, "'%s' holds no vectors: it has %zu bytes", path, length);
    p->dim = word_at(s->map.bytes + head - 4);
    if (p->dim == 0 || p->dim > MOST_DIM)
        return dip_fail(DIP_EFORMAT, "'%s' would have %zu values a row; is it a %s file?", path,
                        p->dim, s->format->ending);
    s->values = s->map.bytes + head;
    s->stride = p->dim * size + (s->format->row_heads ? head : 0);
    p->rows = s->format->row_heads ? length / s->stride : word_at(s->map.bytes);
    size_t needed = p->rows * s->stride + (s->format->row_heads ? 0 : head);
    if (p->rows == 0 || needed != length) return bad_length(p, path, length, needed);
    if (s->format->type == FLOAT32 && !s->format->row_heads)
        p->plain = (const float *)(const void *)s->values;
    return DIP_OK;
}

static dip_status open_rows(dip_points *p, const format *f, const char *path)
{
    file_state *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->format = f;
    dip_status status = dip_file_map(&s->map, path);
    if (!status) status = find_rows(p, s, path);
    p->state = s;
    p->read = file_read;
    p->close = file_close;
    if (status) file_close(p);
    return status;
}

/* ---- NumPy ---- */

static dip_status npy_read(const dip_points *p, size_t first, size_t count, float *out)
{
    dip_npy_read(p->state, first, count, out);
    return DIP_OK;
}

static void npy_close(dip_points *p)
{
    dip_npy_close(p->state);
    dip_free(p->state);
}

static dip_status open_npy(dip_points *p, const char *path)
{
    dip_npy *npy = dip_calloc(1, sizeof *npy);
    if (!npy) return DIP_ENOMEM;
    dip_status status = dip_npy_open(npy, path);
    if (status) {
        dip_free(npy);
        return status;
    }
    p->rows = npy->rows;
    p->dim = npy->dim;
    p->state = npy;
    p->read = npy_read;
    p->close = npy_close;
    return DIP_OK;
}

/* ---- HDF5 ---- */

static dip_status hdf5_read(const dip_points *p, size_t first, size_t count, float *out)
{
    return dip_hdf5_read(p->state, first, count, out);
}

static void hdf5_close(dip_points *p) { dip_hdf5_close(p->state); }

static dip_status open_hdf5(dip_points *p, const char *path, const char *part)
{
    dip_hdf5_table *table;
    dip_status status = dip_hdf5_open(&table, path, part, &p->rows, &p->dim);
    if (status) return status;
    p->state = table;
    p->read = hdf5_read;
    p->close = hdf5_close;
    return DIP_OK;
}

/* ---- archives ---- */

static dip_status memory_read(const dip_points *p, size_t first, size_t count, float *out)
{
    const dip_embeddings *e = p->state;
    memcpy(out, e->vectors + first * e->dim, count * e->dim * sizeof *out);
    return DIP_OK;
}

static void memory_close(dip_points *p)
{
    dip_embeddings_fini(p->state);
    dip_free(p->state);
}

/* Keeps the first of each `every` rows, or the others. */
static void keep_some(dip_embeddings *e, size_t every, bool held)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->n; i++) {
        if ((i % every == 0) != held) continue;
        memmove(e->vectors + kept * e->dim, e->vectors + i * e->dim, e->dim * sizeof *e->vectors);
        kept++;
    }
    e->n = kept;
}

dip_status dip_points_embedded(dip_points *out, const dip_archive *archive, const char *model,
                               uint32_t modality, size_t every, bool held)
{
    dip_embeddings *e = dip_calloc(1, sizeof *e);
    if (!e) return DIP_ENOMEM;
    const char *name = dip_archive_modality(archive, modality)->name;
    dip_status status = dip_archive_embeddings(archive, model, modality, e);
    if (!status && every) keep_some(e, every, held);
    if (!status && e->n == 0)
        status =
            dip_fail(DIP_ENOENT, "modality '%s' has no embeddings of model %s; run diptych encode",
                     name, model);
    *out = (dip_points){
        .rows = e->n, .dim = e->dim, .state = e, .read = memory_read, .close = memory_close};
    snprintf(out->name, sizeof out->name, "%s", name);
    if (status)
        memory_close(out);
    else
        out->identity = dip_hash64(e->vectors, e->n * e->dim * sizeof *e->vectors);
    return status;
}

/* ---- all ---- */

/* Of path, size and time of change: as make does, without reading gigabytes. */
static uint64_t identify(const char *path, const char *part)
{
    struct stat s;
    char whole[PATH_MAX], text[PATH_MAX + 256];
    if (!realpath(path, whole)) snprintf(whole, sizeof whole, "%s", path);
    if (stat(path, &s)) s = (struct stat){.st_size = 0};
    snprintf(text, sizeof text, "%s\n%s\n%lld %lld.%09ld", whole, part ? part : "",
             (long long)s.st_size, (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    return dip_hash64(text, strlen(text));
}

static dip_status open_by_ending(dip_points *p, const char *path, const char *part)
{
    const char *ending = ending_of(path);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcasecmp(ending, formats[i].ending)) return open_rows(p, &formats[i], path);
    if (!strcasecmp(ending, ".npy")) return open_npy(p, path);
    if (!strcasecmp(ending, ".hdf5") || !strcasecmp(ending, ".h5")) return open_hdf5(p, path, part);
    if (!dip_file_exists(path)) return dip_fail(DIP_ENOENT, "there is no '%s'", path);
    return dip_fail(DIP_ENOTSUP,
                    "the ending of '%s' names no known format: .hdf5, .fvecs, .bvecs, .ivecs, "
                    ".fbin, .u8bin, .i8bin, "
                    ".ibin and .npy are read",
                    path);
}

dip_status dip_points_open(dip_points *out, const char *path, const char *part)
{
    dip_points p = {.identity = identify(path, part)};
    set_name(&p, path);
    p.path = dip_strdup(path);
    dip_status status = p.path ? open_by_ending(&p, path, part) : DIP_ENOMEM;
    if (status)
        dip_free(p.path);
    else
        *out = p;
    return status;
}

void dip_points_close(dip_points *points)
{
    if (points->close) points->close(points);
    dip_free(points->path);
    *points = (dip_points){.rows = 0};
}

dip_status dip_points_read(const dip_points *points, size_t first, size_t count, float *out)
{
    return points->read(points, first, count, out);
}

dip_status dip_points_whole(const char *path, int32_t **out, size_t *rows, size_t *dim)
{
    dip_points p;
    dip_status status = dip_points_open(&p, path, NULL);
    if (status) return status;
    const file_state *s = p.state;
    if (p.read != file_read || s->format->type != INT32)
        status = dip_fail(DIP_ENOTSUP, "'%s' holds no whole numbers; .ivecs and .ibin do", path);
    int32_t *values = status ? NULL : dip_alloc(p.rows * p.dim * sizeof *values);
    if (!status && !values) status = DIP_ENOMEM;
    for (size_t i = 0; i < p.rows && !status; i++) {
        if (s->format->row_heads) status = check_head(&p, s, i);
        memcpy(values + i * p.dim, s->values + i * s->stride, p.dim * sizeof *values);
    }
    *rows = p.rows;
    *dim = p.dim;
    dip_points_close(&p);
    if (status)
        dip_free(values);
    else
        *out = values;
    return status;
}

dip_status dip_points_write(const char *path, const void *values, size_t rows, size_t dim)
{
    const uint32_t head[2] = {(uint32_t)rows, (uint32_t)dim};
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    fwrite(head, sizeof head, 1, file.stream);
    fwrite(values, 4 * dim, rows, file.stream);
    status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}
