/* Vectors of tiles; see vectors.h. All values are looked at once, by all threads: for NaN, and for the fingerprint. */
#include "train/vectors.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/sorted.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/project.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

void dip_vectors_read(const dip_vectors *v, size_t first, size_t count, float *out)
{
    if (v->npy.values)
        dip_npy_read(&v->npy, first, count, out);
    else
        memcpy(out, v->stored.vectors + first * v->input.dim, count * v->input.dim * sizeof *out);
}

size_t dip_vectors_find(const dip_vectors *v, uint64_t id)
{
    size_t low = dip_ids_lower_bound(v->ids, v->rows, id);
    if (low == v->rows || v->ids[low] != id) return SIZE_MAX;
    return v->row_of ? v->row_of[low] : low;
}

/* ---- looking at all values ---- */

enum { TASK_ROWS = 1024, GROUP = 64, PIECE = 32 };

typedef struct scan_job {
    const dip_vectors *vectors;
    size_t first; /* task of the group */
    uint64_t *hashes;
} scan_job;

static dip_status check_row(const dip_vectors *v, size_t row, const float *values)
{
    for (size_t i = 0; i < v->input.dim; i++)
        if (!isfinite(values[i]))
            return dip_fail(DIP_EFORMAT,
                            "vectors of %s, '%s': row %zu (counted from 0) has a value that is "
                            "not finite, at position %zu",
                            v->modality, v->input.origin, row, i);
    return DIP_OK;
}

static dip_status scan_task(void *context, size_t task, unsigned worker)
{
    const scan_job *job = context;
    const dip_vectors *v = job->vectors;
    size_t dim = v->input.dim, first = (job->first + task) * TASK_ROWS, end = first + TASK_ROWS;
    uint64_t hash = 0;
    dip_status status = DIP_OK;
    (void)worker;
    if (end > v->rows) end = v->rows;
    float *values = dip_alloc(PIECE * dim * sizeof *values);
    if (!values) return DIP_ENOMEM;
    for (size_t at = first; !status && at < end; at += PIECE) {
        size_t count = end - at < PIECE ? end - at : PIECE;
        dip_vectors_read(v, at, count, values);
        hash = dip_hash64_seed(values, count * dim * sizeof *values, hash);
        for (size_t i = 0; !status && i < count; i++)
            status = check_row(v, at + i, values + i * dim);
    }
    job->hashes[task] = hash;
    dip_free(values);
    return status;
}

static dip_status scan(const dip_vectors *v, const dip_progress *progress, uint64_t *hash)
{
    uint64_t hashes[GROUP];
    size_t tasks = (v->rows + TASK_ROWS - 1) / TASK_ROWS;
    const uint64_t shape[2] = {v->rows, v->input.dim};
    *hash = dip_hash64(shape, sizeof shape);
    for (size_t at = 0; at < tasks; at += GROUP) {
        size_t count = tasks - at < GROUP ? tasks - at : GROUP;
        scan_job job = {v, at, hashes};
        dip_status status = dip_parallel_for(count, scan_task, &job);
        if (status) return status;
        *hash = dip_hash64_seed(hashes, count * sizeof *hashes, *hash);
        const size_t done = at + count < tasks ? (at + count) * TASK_ROWS : v->rows;
        if (dip_progress_tick(progress, "reading vectors", done, v->rows))
            return dip_fail(DIP_ECANCEL, "stopped while reading the vectors of %s", v->modality);
    }
    return DIP_OK;
}

static dip_status scan_outside(dip_vectors *v, const dip_progress *progress)
{
    uint64_t hash;
    dip_status status = scan(v, progress, &hash);
    if (!status)
        snprintf(v->input.fingerprint, sizeof v->input.fingerprint, "%016llx",
                 (unsigned long long)hash);
    return status;
}

/* Plain characters alone: the name goes into a model's metadata. */
static void set_origin(dip_heads_input *input, const char *name)
{
    snprintf(input->origin, sizeof input->origin, "%s", name);
    for (char *p = input->origin; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) *p = '?';
}

/* ---- which tile a row belongs to ---- */

typedef struct named_row {
    uint64_t id;
    uint32_t row;
} named_row;

static int by_id(const void *a, const void *b)
{
    const named_row *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Calls `visit` for each line, without its line break; a line break at the end begins no further line. */
static dip_status each_line(const dip_map *map,
                            dip_status (*visit)(void *context, const char *line, size_t length,
                                                size_t number),
                            void *context)
{
    const char *at = (const char *)map->bytes, *end = at + map->length;
    for (size_t number = 0; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        dip_status status =
            visit(context, at, length && at[length - 1] == '\r' ? length - 1 : length, number);
        if (status) return status;
        at += length + 1;
    }
    return DIP_OK;
}

typedef struct namer {
    const dip_archive *archive;
    const char *path, *modality;
    uint32_t position;
    named_row *names;
    size_t count, capacity;
} namer;

static dip_status name_row(void *context, const char *line, size_t length, size_t number)
{
    namer *n = context;
    if (number >= UINT32_MAX) return dip_fail(DIP_ENOTSUP, "'%s' has too many lines", n->path);
    if (dip_array_reserve((void **)&n->names, &n->capacity, n->count + 1, sizeof *n->names))
        return DIP_ENOMEM;
    char *name = dip_strndup(line, length);
    if (!name) return DIP_ENOMEM;
    named_row *to = &n->names[n->count++];
    to->row = (uint32_t)number;
    dip_status status = dip_archive_find_tile(n->archive, n->position, name, &to->id);
    if (status == DIP_ENOENT)
        status = dip_fail(DIP_ENOENT, "'%s', line %zu: the archive has no tile '%.200s' of %s",
                          n->path, number + 1, name, n->modality);
    dip_free(name);
    return status;
}

static dip_status take_names(dip_vectors *v, const char *path, named_row *names, size_t count)
{
    if (count != v->rows)
        return dip_fail(DIP_EMISMATCH,
                        "'%s' has %zu rows, '%s' names %zu tiles; it needs a line a row",
                        v->input.origin, v->rows, path, count);
    qsort(names, count, sizeof *names, by_id);
    v->ids = dip_alloc(count * sizeof *v->ids);
    v->row_of = dip_alloc(count * sizeof *v->row_of);
    if (!v->ids || !v->row_of) return DIP_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i && names[i].id == names[i - 1].id)
            return dip_fail(DIP_EFORMAT, "'%s': lines %u and %u name the same tile", path,
                            names[i - 1].row + 1, names[i].row + 1);
        v->ids[i] = names[i].id;
        v->row_of[i] = names[i].row;
    }
    return DIP_OK;
}

static dip_status read_names(dip_vectors *v, const dip_archive *archive, uint32_t position,
                             const char *path)
{
    namer n = {.archive = archive, .path = path, .modality = v->modality, .position = position};
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    status = each_line(&map, name_row, &n);
    if (!status) status = take_names(v, path, n.names, n.count);
    dip_free(n.names);
    dip_file_unmap(&map);
    return status;
}

/* Row i belongs to the modality's i-th tile. */
static dip_status take_all(dip_vectors *v, const dip_archive *archive, uint32_t position)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    dip_status status = dip_archive_ids(archive, (int)position, &ids, &n);
    if (!status && n != v->rows)
        status = dip_fail(DIP_EMISMATCH,
                          "'%s' has %zu rows, the archive has %zu tiles of %s; name the rows' "
                          "tiles with --ids %s=FILE, one a line",
                          v->input.origin, v->rows, n, v->modality, v->modality);
    if (!status && !(v->ids = dip_alloc(n * sizeof *v->ids))) status = DIP_ENOMEM;
    if (!status) memcpy(v->ids, ids, n * sizeof *ids);
    dip_ids_free(ids);
    return status;
}

static dip_status open_file(dip_vectors *v, const dip_archive *archive, uint32_t position,
                            const char *path, const char *ids_path, const dip_progress *progress)
{
    dip_status status = dip_npy_open(&v->npy, path);
    if (status) return status;
    if (v->npy.dim > DIP_HEADS_MAX_DIM || v->npy.rows > UINT32_MAX)
        return dip_fail(DIP_ENOTSUP,
                        "'%s' has %zu rows of %zu values; at most %u of %d can be used", path,
                        v->npy.rows, v->npy.dim, UINT32_MAX, DIP_HEADS_MAX_DIM);
    v->rows = v->npy.rows;
    v->input.dim = (uint32_t)v->npy.dim;
    set_origin(&v->input, dip_path_base(path));
    status = ids_path ? read_names(v, archive, position, ids_path) : take_all(v, archive, position);
    return status ? status : scan_outside(v, progress);
}

/* ---- embeddings of a model ---- */

static dip_status unknown_model(const dip_archive *archive, const char *word, bool has_file)
{
    char known[400] = "";
    dip_embedding_set *sets = NULL;
    size_t n = 0, used = 0;
    if (has_file)
        return dip_fail(DIP_ENOENT,
                        "model '%s' has encoded no such tiles; run diptych encode -m %s", word,
                        word);
    dip_status status = dip_archive_embedding_sets(archive, &sets, &n);
    if (status) return status;
    for (size_t i = 0; i < n && used < sizeof known; i++)
        if (!i || strcmp(sets[i].model, sets[i - 1].model) != 0)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                                     sets[i].model);
    dip_embedding_sets_free(sets);
    return dip_fail(DIP_ENOENT,
                    "'%s' is neither a file nor a model with embeddings in the archive; %s%s", word,
                    *known ? "there are those of " : "it has none", known);
}

/* The model's own view of the modality, which pixels will go through. */
static dip_status take_model(dip_vectors *v, const char *folder, const char *path, const char *word)
{
    dip_model *model = NULL;
    dip_status status = dip_model_fingerprint(path, v->input.fingerprint);
    if (!status) status = dip_stamp_check(folder, word, v->input.fingerprint);
    if (!status) status = dip_model_open(&model, path);
    if (status) return status;
    int position = dip_model_find_modality(model, v->modality);
    if (position >= 0) v->bands = *dip_model_modality(model, (size_t)position);
    dip_model_close(model);
    snprintf(v->input.model, sizeof v->input.model, "%s", word);
    return DIP_OK;
}

static dip_status open_model(dip_vectors *v, const dip_archive *archive, uint32_t position,
                             const char *word, const dip_progress *progress)
{
    char *path = dip_sprintf("%s/models/%s.safetensors", dip_archive_path(archive), word);
    bool plain = strlen(word) < DIP_HEADS_TEXT && !strchr(word, '/');
    bool has_file = path && plain && dip_file_exists(path);
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    if (!status && plain) status = dip_archive_embeddings(archive, word, position, &v->stored);
    if (!status && !v->stored.n) status = unknown_model(archive, word, has_file);
    if (!status) {
        v->rows = v->stored.n;
        v->input.dim = (uint32_t)v->stored.dim;
        set_origin(&v->input, word);
        v->ids = dip_alloc(v->rows * sizeof *v->ids);
        if (!v->ids) status = DIP_ENOMEM;
    }
    if (!status) memcpy(v->ids, v->stored.ids, v->rows * sizeof *v->ids);
    if (!status)
        status = has_file ? take_model(v, dip_archive_path(archive), path, word)
                          : scan_outside(v, progress);
    dip_free(path);
    return status;
}

/* ---- life ---- */

dip_status dip_vectors_open(dip_vectors *out, const dip_archive *archive, const char *modality,
                            const char *word, const char *ids_path, const dip_progress *progress)
{
    *out = (dip_vectors){.rows = 0};
    int position = dip_archive_find_modality(archive, modality);
    if (position < 0) return dip_fail(DIP_ENOENT, "the archive has no modality '%.40s'", modality);
    snprintf(out->modality, sizeof out->modality, "%s", modality);
    out->bands = *dip_archive_modality(archive, (size_t)position);
    bool is_file = dip_file_exists(word) || strstr(word, ".npy");
    dip_status status;
    if (!is_file && ids_path)
        status = dip_fail(DIP_EINVAL, "--ids is for rows of a .npy file; '%s' is a model", word);
    else
        status = is_file ? open_file(out, archive, (uint32_t)position, word, ids_path, progress)
                         : open_model(out, archive, (uint32_t)position, word, progress);
    if (status) dip_vectors_close(out);
    return status;
}

void dip_vectors_close(dip_vectors *v)
{
    dip_npy_close(&v->npy);
    dip_embeddings_fini(&v->stored);
    dip_free(v->ids);
    dip_free(v->row_of);
    *v = (dip_vectors){.rows = 0};
}
