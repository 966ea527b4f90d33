/*
 * Encoding an archive; see encode.h.
 *
 * Three stages: threads read and decompress tiles ahead, this one takes them in chunks through the model, which uses
 * the pool, and a thread stores a transaction's worth of vectors while the next are made. A tile that cannot be read or
 * encoded is left out by name; to find it, the tiles of a chunk that fails are encoded one by one.
 */
#include "train/encode.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/project.h"
#include "train/tile_reader.h"
#include "train/vector_writer.h"

#include <stdio.h>
#include <string.h>

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
    dip_tile_reader *reader;
    dip_vector_writer *writer;
    /* a chunk */
    const dip_read_tile *read[CHUNK];
    uint64_t good_ids[CHUNK];
    const dip_tile *good[CHUNK];
    /* the writer's buffer */
    uint64_t *ids;
    float *vectors;
    size_t waiting, room;
} job;

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

static dip_status encode_singly(job *j, size_t n)
{
    size_t dim = dip_model_dim(j->model);
    for (size_t i = 0; i < n; i++) {
        dip_status status =
            dip_model_encode(j->model, j->position, &j->good[i], 1, j->vectors + j->waiting * dim);
        if (status && !is_tiles_fault(status)) return status;
        if (status)
            refuse(j, j->good_ids[i], dip_last_error());
        else
            j->ids[j->waiting++] = j->good_ids[i];
    }
    dip_error_clear();
    return DIP_OK;
}

/* What could be read of the next n tiles. */
static dip_status take_chunk(job *j, size_t n, size_t *good)
{
    *good = 0;
    dip_tile_reader_next(j->reader, n, j->read);
    for (size_t i = 0; i < n; i++) {
        const dip_read_tile *read = j->read[i];
        const char *why = read->line ? read->line : "out of memory";
        if (read->status && !is_tiles_fault(read->status)) return dip_fail(read->status, "%s", why);
        if (read->status) {
            refuse(j, read->id, why);
            continue;
        }
        j->good_ids[*good] = read->id;
        j->good[(*good)++] = read->tile;
    }
    return DIP_OK;
}

static dip_status encode_chunk(job *j, size_t n)
{
    size_t good, dim = dip_model_dim(j->model);
    dip_status status = take_chunk(j, n, &good);
    if (status) return status;
    const double began = dip_seconds();
    status = dip_model_encode(j->model, j->position, j->good, good, j->vectors + j->waiting * dim);
    if (is_tiles_fault(status)) {
        status = encode_singly(j, good);
    } else if (!status) {
        memcpy(j->ids + j->waiting, j->good_ids, good * sizeof *j->ids);
        j->waiting += good;
    }
    j->report->encode_seconds += dip_seconds() - began;
    return status;
}

static dip_status store(job *j)
{
    dip_status status = dip_vector_writer_store(j->writer, j->waiting);
    dip_vector_writer_buffer(j->writer, &j->ids, &j->vectors);
    j->waiting = 0;
    return status;
}

/* ---- int8 ---- */

/* The next n tiles; those that cannot be read or used are passed over. */
static dip_status watch_chunk(job *j, size_t n)
{
    size_t good = 0;
    dip_tile_reader_next(j->reader, n, j->read);
    for (size_t i = 0; i < n; i++)
        if (j->read[i]->tile) j->good[good++] = j->read[i]->tile;
    dip_status status = dip_model_watch(j->model, j->position, j->good, good);
    if (!is_tiles_fault(status)) return status;
    for (size_t i = 0; i < good; i++) {
        status = dip_model_watch(j->model, j->position, &j->good[i], 1);
        if (status && !is_tiles_fault(status)) return status;
    }
    return DIP_OK;
}

/* `ids` of n tiles become those of DIP_RANGE_TILES, spread evenly over them. */
static size_t spread_ids(uint64_t *ids, size_t n)
{
    if (n <= DIP_RANGE_TILES) return n;
    for (size_t i = 0; i < DIP_RANGE_TILES; i++) ids[i] = ids[i * n / DIP_RANGE_TILES];
    return DIP_RANGE_TILES;
}

/* Ranges of activations from the modality's tiles; they depend on the archive and the model alone. */
static dip_status use_int8(job *j)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    dip_status status = dip_archive_ids(j->archive, (int)j->source, &ids, &n);
    if (!status) n = spread_ids(ids, n);
    if (!status) status = dip_tile_reader_open(&j->reader, j->archive, ids, n);
    if (!status) {
        for (size_t at = 0; at < n && !status; at += CHUNK)
            status = watch_chunk(j, n - at < CHUNK ? n - at : CHUNK);
        dip_tile_reader_close(j->reader);
    }
    dip_ids_free(ids);
    if (status) return status;
    dip_error_clear();
    return dip_model_use_int8(j->model, j->position);
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
        dip_status status = encode_chunk(j, n);
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

/* ---- the stages ---- */

/* Waits for what is handed over, whatever became of the rest. */
static dip_status finish_writer(job *j, dip_status status)
{
    double work = 0, wait = 0;
    uint64_t stored = 0;
    char line[1024];
    snprintf(line, sizeof line, "%s", dip_last_error());
    dip_status last = dip_vector_writer_finish(j->writer, &stored, &work, &wait);
    j->report->encoded += stored;
    j->report->write_seconds += work;
    j->report->wait_write_seconds += wait;
    return status ? dip_fail(status, "%s", line) : last;
}

static dip_status read_and_encode(job *j)
{
    double work = 0, wait = 0;
    dip_status status = dip_tile_reader_open(&j->reader, j->archive, j->todo, j->todo_count);
    if (status) return status;
    status = encode_todo(j);
    dip_tile_reader_seconds(j->reader, &work, &wait);
    j->report->read_seconds += work;
    j->report->wait_read_seconds += wait;
    dip_tile_reader_close(j->reader);
    return status;
}

static dip_status run_stages(job *j, uint64_t *todo)
{
    j->room = j->options->batch + DIP_PROJECT_ROWS;
    dip_status status = dip_vector_writer_open(&j->writer, j->archive, dip_model_id(j->model),
                                               j->source, dip_model_dim(j->model), j->room);
    if (status) return status;
    dip_vector_writer_buffer(j->writer, &j->ids, &j->vectors);
    j->waiting = 0;
    if (dip_model_heads(j->model)) status = project_modality(j, todo);
    if (!status) status = read_and_encode(j);
    status = finish_writer(j, status);
    dip_vector_writer_close(j->writer);
    return status;
}

static dip_status encode_modality(job *j)
{
    uint64_t *todo = NULL;
    dip_status status = list_todo(j, &todo, &j->todo_count);
    j->todo = todo;
    if (j->todo_count && j->options->int8 && !status) status = use_int8(j);
    if (j->todo_count && !status) status = run_stages(j, todo);
    dip_ids_free(todo);
    return status;
}

static dip_status check_modality(job *j)
{
    dip_status status = dip_model_check(j->model, dip_archive_modality(j->archive, j->source));
    if (status || !j->options->int8) return status;
    return dip_model_watch(j->model, j->position, NULL, 0);
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

static dip_status make_stamp(const char *model_path, bool int8, char *out)
{
    dip_status status = dip_model_fingerprint(model_path, out);
    if (!status) strcat(out, int8 ? " int8\n" : "\n");
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
    dip_status status = path ? make_stamp(model_path, j->options->int8, stamp) : DIP_ENOMEM;
    if (!status) status = each_modality(j, check_modality);
    if (!status) status = settle_stamp(j, path, stamp);
    if (!status) status = each_modality(j, encode_modality);
    dip_free(path);
    return status;
}

dip_status dip_encode(dip_archive *archive, const char *model_path,
                      const dip_encode_options *options, dip_encode_report *report)
{
    double began = dip_seconds();
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
    report->seconds = dip_seconds() - began;
    return status;
}
