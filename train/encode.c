/*
 * Encoding an archive; see encode.h.
 *
 * Tiles go in chunks: the pool reads and decompresses a chunk (one task a tile), the model encodes it, and when a
 * transaction's worth of vectors is there, it is stored. A tile that cannot be read or encoded is left out by name; to
 * find it, the tiles of a chunk that fails are encoded one by one.
 */
#define _GNU_SOURCE
#include "train/encode.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/project.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 64 };

typedef struct job {
    dip_archive *archive;
    dip_model *model;
    const dip_encode_options *options;
    dip_encode_report *report;
    uint32_t source; /* position of the modality in the archive */
    size_t position; /* and in the model */
    const uint64_t *todo;
    size_t todo_count, done;
    /* a chunk */
    dip_tile *tiles[CHUNK];
    char *lines[CHUNK]; /* why a tile could not be read */
    uint64_t chunk_ids[CHUNK];
    const dip_tile *good[CHUNK];
    /* what waits to be stored */
    uint64_t *ids;
    float *vectors;
    size_t waiting, room;
} job;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void refuse(job *j, uint64_t id, const char *why)
{
    char line[1024];
    dip_meta *meta = NULL;
    j->report->refused++;
    if (!j->options->refused) return;
    char kept[512];
    snprintf(kept, sizeof kept, "%s", why); /* the next call may overwrite the failure line */
    bool named = !dip_archive_meta(j->archive, id, &meta);
    snprintf(line, sizeof line, "tile '%s' (%llu) left out: %s", named ? meta->name : "",
             (unsigned long long)id, kept);
    if (named) dip_meta_free(meta);
    j->options->refused(j->options->payload, line);
}

/* A failure of this tile alone, and not of the machine. */
static bool is_tiles_fault(dip_status status)
{
    return status == DIP_EINVAL || status == DIP_ECORRUPT || status == DIP_EMISMATCH ||
           status == DIP_EFORMAT || status == DIP_ENOENT;
}

/* ---- one chunk ---- */

static dip_status read_task(void *context, size_t task, unsigned worker)
{
    job *j = context;
    (void)worker;
    j->lines[task] = NULL;
    dip_status status = dip_archive_tile(j->archive, j->todo[j->done + task], &j->tiles[task]);
    if (!status) return DIP_OK;
    j->tiles[task] = NULL;
    if (!is_tiles_fault(status)) return status;
    j->lines[task] = dip_strdup(dip_last_error());
    return j->lines[task] ? DIP_OK : DIP_ENOMEM;
}

static dip_status read_chunk(job *j, size_t n)
{
    double began = seconds();
    memset(j->tiles, 0, sizeof j->tiles);
    memset(j->lines, 0, sizeof j->lines);
    dip_status status = dip_parallel_for(n, read_task, j);
    j->report->read_seconds += seconds() - began;
    return status;
}

static void free_chunk(job *j, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dip_tile_free(j->tiles[i]);
        dip_free(j->lines[i]);
    }
}

static dip_status encode_singly(job *j, size_t n)
{
    size_t dim = dip_model_dim(j->model);
    for (size_t i = 0; i < n; i++) {
        dip_status status =
            dip_model_encode(j->model, j->position, &j->good[i], 1, j->vectors + j->waiting * dim);
        if (status && !is_tiles_fault(status)) return status;
        if (status)
            refuse(j, j->chunk_ids[i], dip_last_error());
        else
            j->ids[j->waiting++] = j->chunk_ids[i];
    }
    dip_error_clear();
    return DIP_OK;
}

static dip_status encode_chunk(job *j, size_t n)
{
    size_t good = 0, dim = dip_model_dim(j->model);
    for (size_t i = 0; i < n; i++) {
        uint64_t id = j->todo[j->done + i];
        if (j->lines[i]) refuse(j, id, j->lines[i]);
        if (!j->tiles[i]) continue;
        j->chunk_ids[good] = id;
        j->good[good++] = j->tiles[i];
    }
    dip_status status =
        dip_model_encode(j->model, j->position, j->good, good, j->vectors + j->waiting * dim);
    if (is_tiles_fault(status)) return encode_singly(j, good);
    if (status) return status;
    memcpy(j->ids + j->waiting, j->chunk_ids, good * sizeof *j->ids);
    j->waiting += good;
    return DIP_OK;
}

/* ---- storing ---- */

static dip_status store(job *j)
{
    dip_batch *batch = NULL;
    double began = seconds();
    if (!j->waiting) return DIP_OK;
    dip_status status = dip_batch_begin(&batch, j->archive);
    if (status) return status;
    status = dip_batch_add_embeddings(batch, dip_model_id(j->model), j->source, j->ids, j->vectors,
                                      j->waiting, dip_model_dim(j->model));
    if (status)
        dip_batch_abort(batch);
    else
        status = dip_batch_commit(batch);
    if (!status) j->report->encoded += j->waiting;
    j->waiting = 0;
    j->report->write_seconds += seconds() - began;
    return status;
}

/* ---- one modality ---- */

/* Ids that are not in `have`; both ascending; in place. */
static size_t leave_out(uint64_t *ids, size_t n, const uint64_t *have, size_t have_count)
{
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < have_count && have[at] < ids[i]) at++;
        if (at == have_count || have[at] != ids[i]) ids[kept++] = ids[i];
    }
    return kept;
}

static const dip_vectors *given(const job *j)
{
    const char *name = dip_model_modality(j->model, j->position)->name;
    for (size_t i = 0; i < j->options->vector_count; i++)
        if (!strcmp(j->options->vectors[i].modality, name)) return &j->options->vectors[i];
    return NULL;
}

/* Tiles of the modality; those that were given vectors for, if any were. */
static dip_status list_tiles(const job *j, uint64_t **ids, size_t *n)
{
    const dip_vectors *vectors = given(j);
    if (!vectors) return dip_archive_ids(j->archive, (int)j->source, ids, n);
    *n = vectors->rows;
    *ids = dip_alloc(vectors->rows * sizeof **ids);
    if (!*ids) return DIP_ENOMEM;
    memcpy(*ids, vectors->ids, vectors->rows * sizeof **ids);
    return DIP_OK;
}

static dip_status list_todo(job *j, uint64_t **ids, size_t *n)
{
    uint64_t *have = NULL;
    size_t have_count = 0;
    dip_status status = list_tiles(j, ids, n);
    if (status || j->options->force) return status;
    status =
        dip_archive_embedded_ids(j->archive, dip_model_id(j->model), j->source, &have, &have_count);
    if (status) return status;
    size_t all = *n;
    *n = leave_out(*ids, all, have, have_count);
    j->report->present += all - *n;
    dip_ids_free(have);
    return DIP_OK;
}

static dip_status encode_todo(job *j)
{
    char phase[64];
    snprintf(phase, sizeof phase, "encoding %.32s",
             dip_model_modality(j->model, j->position)->name);
    for (j->done = 0; j->done < j->todo_count;) {
        size_t left = j->todo_count - j->done, n = left < CHUNK ? left : CHUNK;
        dip_status status = read_chunk(j, n);
        if (!status) status = encode_chunk(j, n);
        free_chunk(j, n);
        j->done += n;
        bool last = j->done == j->todo_count;
        if (!status && (last || j->waiting + CHUNK > j->options->batch)) status = store(j);
        if (status) return status;
        if (dip_progress_tick(j->options->progress, phase, j->done, j->todo_count)) {
            status = store(j);
            return status ? status : dip_fail(DIP_ECANCEL, "stopped; what was encoded is stored");
        }
    }
    return DIP_OK;
}

/* ---- heads on vectors ---- */

/* Projects what has a vector; the others stay in `todo`. */
static dip_status project_todo(job *j, dip_projector *p, uint64_t *todo)
{
    size_t left = 0, dim = dip_model_dim(j->model), all = j->todo_count;
    dip_status status = DIP_OK;
    for (size_t at = 0; !status && at < all; at += DIP_PROJECT_ROWS) {
        size_t n = all - at < DIP_PROJECT_ROWS ? all - at : DIP_PROJECT_ROWS, good = 0;
        if (j->waiting + n > j->room) status = store(j);
        if (!status)
            status = dip_projector_run(p, todo + at, n, j->ids + j->waiting,
                                       j->vectors + j->waiting * dim, &good);
        if (status) break;
        j->waiting += good;
        memmove(todo + left, todo + at, (n - good) * sizeof *todo);
        left += n - good;
        if (dip_progress_tick(j->options->progress, "projecting", at + n, all)) {
            status = store(j);
            return status ? status : dip_fail(DIP_ECANCEL, "stopped; what was done is stored");
        }
    }
    j->todo_count = left;
    return status ? status : store(j);
}

static dip_status project_modality(job *j, uint64_t *todo)
{
    dip_projector p = {.archive = j->archive,
                       .heads = dip_model_heads(j->model),
                       .position = j->position,
                       .source = j->source,
                       .given = given(j)};
    dip_status status = dip_projector_init(&p, dip_model_id(j->model));
    if (!status) status = project_todo(j, &p, todo);
    dip_projector_fini(&p);
    if (status || !j->todo_count) return status;
    status = dip_model_takes_pixels(j->model, j->position);
    return status ? dip_fail_prefix(status, "%zu tiles are left", j->todo_count) : DIP_OK;
}

static dip_status encode_modality(job *j)
{
    uint64_t *todo = NULL;
    dip_status status = list_todo(j, &todo, &j->todo_count);
    if (status) return status;
    j->todo = todo;
    j->waiting = 0;
    j->room = j->options->batch + DIP_PROJECT_ROWS;
    j->ids = dip_alloc(j->room * sizeof *j->ids);
    j->vectors = dip_alloc_aligned(j->room * dip_model_dim(j->model) * sizeof *j->vectors);
    status = j->ids && j->vectors ? DIP_OK : DIP_ENOMEM;
    if (!status && dip_model_heads(j->model)) status = project_modality(j, todo);
    if (!status) status = encode_todo(j);
    dip_free(j->ids);
    dip_free_aligned(j->vectors);
    dip_ids_free(todo);
    return status;
}

static dip_status check_modality(job *j)
{
    return dip_model_check(j->model, dip_archive_modality(j->archive, j->source));
}

/* Calls `act` for each modality that is asked for and that model and archive have. */
static dip_status each_modality(job *j, dip_status (*act)(job *j))
{
    bool any = false;
    for (size_t m = 0; m < dip_model_modality_count(j->model); m++) {
        const char *name = dip_model_modality(j->model, m)->name;
        int source = dip_archive_find_modality(j->archive, name);
        if (source < 0 || (j->options->modality && strcmp(j->options->modality, name) != 0))
            continue;
        j->source = (uint32_t)source;
        j->position = m;
        if (j->options->vector_count && !given(j)) continue;
        any = true;
        dip_status status = act(j);
        if (status) return status;
    }
    if (any) return DIP_OK;
    if (j->options->modality)
        return dip_fail(DIP_ENOENT,
                        "modality '%s' is not one that both model '%s' and the archive have",
                        j->options->modality, dip_model_id(j->model));
    return dip_fail(DIP_ENOENT, "model '%s' and the archive have no modality in common",
                    dip_model_id(j->model));
}

/* ---- which file the stored embeddings come from ---- */

enum { STAMP_CAPACITY = 64 };

static dip_status make_stamp(const char *model_path, char *out)
{
    dip_status status = dip_model_fingerprint(model_path, out);
    if (!status) strcat(out, "\n");
    return status;
}

static char *stamp_path(const job *j)
{
    return dip_sprintf("%s/models/%s.encoded", dip_archive_path(j->archive),
                       dip_model_id(j->model));
}

static dip_status drop_embeddings(const job *j)
{
    dip_batch *batch = NULL;
    dip_status status = dip_batch_begin(&batch, j->archive);
    if (status) return status;
    status = dip_batch_drop_embeddings(batch, dip_model_id(j->model));
    if (!status) return dip_batch_commit(batch);
    dip_batch_abort(batch);
    return status;
}

/* Drops embeddings of another file, then stamps: killed in between, the next call does both again. */
static dip_status settle_stamp(const job *j, const char *path, const char *stamp)
{
    char *text = NULL;
    size_t length;
    dip_status status =
        dip_file_exists(path) ? dip_file_read(&text, &length, path, STAMP_CAPACITY) : DIP_OK;
    bool same = !status && text && !strcmp(text, stamp);
    dip_free(text);
    if (status || same) return status;
    status = drop_embeddings(j);
    return status ? status : dip_file_write(path, stamp, strlen(stamp));
}

static dip_status encode_stamped(job *j, const char *model_path)
{
    char stamp[STAMP_CAPACITY], *path = stamp_path(j);
    dip_status status = path ? make_stamp(model_path, stamp) : DIP_ENOMEM;
    if (!status) status = each_modality(j, check_modality);
    if (!status) status = settle_stamp(j, path, stamp);
    if (!status) status = each_modality(j, encode_modality);
    dip_free(path);
    return status;
}

dip_status dip_encode(dip_archive *archive, const char *model_path,
                      const dip_encode_options *options, dip_encode_report *report)
{
    double began = seconds();
    job *j = dip_calloc(1, sizeof *j);
    if (!j) return DIP_ENOMEM;
    *report = (dip_encode_report){.encoded = 0};
    j->archive = archive;
    j->options = options;
    j->report = report;
    dip_status status = dip_model_open(&j->model, model_path);
    if (!status) status = encode_stamped(j, model_path);
    dip_model_close(j->model);
    dip_free(j);
    report->seconds = seconds() - began;
    return status;
}
