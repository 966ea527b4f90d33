/*
 * Batches: adding tiles, and beginning and ending.
 *
 * Names, places and metadata of a tile go into the write transaction at once, so that the next tile of the batch sees
 * them. The pixels are copied and wait: every so many tiles are compressed together on all threads, then put in order.
 */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "storage/handle.h"
#include "storage/pixels.h"

#include <time.h>

enum { PENDING_TILES = 256, PENDING_BYTES = 32 << 20 };

struct dip_pending {
    uint64_t id;
    uint32_t plane_count;
    size_t raw_bytes;
    dip_out record;
    dip_plane planes[]; /* then the pixels */
};

/* ---- begin and end ---- */

/* Waits for its turn; the thread is noted, because waiting for itself would last for ever. */
static dip_status enter(dip_archive *archive)
{
    dip_status status = DIP_OK;
    pthread_mutex_lock(&archive->batch_lock);
    if (archive->batch_open && pthread_equal(archive->batch_thread, pthread_self())) {
        status = dip_fail(DIP_EINVAL, "archive '%s': this thread has a batch open already",
                          archive->path);
    } else {
        while (archive->batch_open) pthread_cond_wait(&archive->batch_over, &archive->batch_lock);
        archive->batch_open = true;
        archive->batch_thread = pthread_self();
    }
    pthread_mutex_unlock(&archive->batch_lock);
    return status;
}

static void leave(dip_archive *archive)
{
    pthread_mutex_lock(&archive->batch_lock);
    archive->batch_open = false;
    pthread_cond_signal(&archive->batch_over);
    pthread_mutex_unlock(&archive->batch_lock);
}

static void free_pending(dip_batch *batch)
{
    for (size_t i = 0; i < batch->pending_count; i++) {
        dip_out_fini(&batch->pending[i]->record);
        dip_free_aligned(batch->pending[i]);
    }
    batch->pending_count = 0;
    batch->pending_bytes = 0;
}

static void destroy(dip_batch *batch)
{
    dip_archive *archive = batch->archive;
    free_pending(batch);
    dip_free(batch->pending);
    dip_names_free(batch->set_names, batch->set_count);
    dip_free(batch->sets);
    dip_out_fini(&batch->record);
    dip_free(batch);
    leave(archive);
}

dip_status dip_batch_begin(dip_batch **out, dip_archive *archive)
{
    dip_status status = dip_archive_check_writable(archive);
    if (!status) status = dip_env_check_writable_here(archive->env);
    if (!status) status = enter(archive);
    if (status) return status;
    dip_batch *batch = dip_calloc(1, sizeof *batch);
    if (!batch) {
        leave(archive);
        return DIP_ENOMEM;
    }
    batch->archive = archive;
    status = dip_env_list_dbs(archive->env, &batch->set_names, &batch->sets, &batch->set_count);
    if (!status) status = dip_write_begin(&batch->write, archive->env);
    if (!status)
        status = dip_totals_read(dip_write_txn(batch->write), &batch->totals, &batch->number);
    batch->number++;
    if (status)
        dip_batch_abort(batch);
    else
        *out = batch;
    return status;
}

void dip_batch_abort(dip_batch *batch)
{
    if (!batch) return;
    dip_write_abort(batch->write);
    destroy(batch);
}

static dip_status write_entry(dip_batch *batch)
{
    const dip_txn *txn = dip_write_txn(batch->write);
    dip_status status = DIP_OK;
    if (batch->recount_tiles) status = dip_totals_count_tiles(txn, &batch->totals);
    if (!status && batch->recount_sets)
        status = dip_totals_count_sets(txn, batch->sets, batch->set_count, &batch->totals);
    batch->totals.time = (int64_t)time(NULL);
    if (!status) status = dip_totals_encode(&batch->record, batch->number, &batch->totals);
    if (status) return status;
    dip_id_key key = dip_key_of(batch->number);
    return dip_batch_put(batch, DIP_DB_JOURNAL, dip_key_bytes(&key), &batch->record);
}

dip_status dip_batch_commit(dip_batch *batch)
{
    dip_archive *archive = batch->archive;
    dip_status status = dip_env_check_writable_here(archive->env);
    if (!status && batch->failed)
        status = dip_fail(DIP_EINVAL,
                          "archive '%s': a call of this batch failed, so nothing of it is stored",
                          archive->path);
    if (!status) status = dip_batch_flush(batch);
    if (!status && batch->changed) status = write_entry(batch);
    if (!status && batch->changed) {
        status = dip_write_commit(batch->write);
        batch->write = NULL;
    }
    dip_batch_abort(batch);
    return status;
}

dip_status dip_batch_broken(dip_batch *batch, dip_status status)
{
    if (status) batch->failed = true;
    return status;
}

dip_status dip_batch_put(dip_batch *batch, dip_db db, dip_bytes key, const dip_out *record)
{
    dip_bytes value = {record->bytes, record->size};
    batch->changed = true;
    return dip_batch_broken(batch, dip_write_put(batch->write, db, key, value));
}

dip_status dip_batch_delete(dip_batch *batch, dip_db db, dip_bytes key)
{
    batch->changed = true;
    return dip_batch_broken(batch, dip_write_remove(batch->write, db, key));
}

/* ---- pixels ---- */

static dip_status compress_one(void *context, size_t task, unsigned worker)
{
    (void)worker;
    dip_batch *batch = context;
    dip_pending *p = batch->pending[task];
    return dip_pixels_encode(&p->record, p->id, p->planes, p->plane_count, batch->archive->codec);
}

dip_status dip_batch_flush(dip_batch *batch)
{
    dip_status status = dip_parallel_for(batch->pending_count, compress_one, batch);
    for (size_t i = 0; !status && i < batch->pending_count; i++) {
        const dip_pending *p = batch->pending[i];
        dip_id_key key = dip_key_of(p->id);
        status = dip_batch_put(batch, DIP_DB_TILE, dip_key_bytes(&key), &p->record);
        batch->totals.tile_bytes += p->record.size;
        batch->totals.raw_bytes += p->raw_bytes;
    }
    free_pending(batch);
    return dip_batch_broken(batch, status);
}

/* A copy of the planes, in one block, each plane on a 64-byte boundary. */
static dip_pending *copy_pixels(const dip_tile *tile)
{
    size_t head = sizeof(dip_pending) + tile->plane_count * sizeof(dip_plane);
    size_t size = head = (head + 63) & ~(size_t)63, raw = 0;
    for (uint32_t i = 0; i < tile->plane_count; i++) {
        size_t bytes = dip_plane_bytes(&tile->planes[i]);
        size += (bytes + 63) & ~(size_t)63;
        raw += bytes;
    }
    dip_pending *p = dip_alloc_aligned(size);
    if (!p) return NULL;
    *p = (dip_pending){.plane_count = tile->plane_count, .raw_bytes = raw};
    char *at = (char *)p + head;
    for (uint32_t i = 0; i < tile->plane_count; i++) {
        size_t bytes = dip_plane_bytes(&tile->planes[i]);
        p->planes[i] = tile->planes[i];
        p->planes[i].pixels = memcpy(at, tile->planes[i].pixels, bytes);
        at += (bytes + 63) & ~(size_t)63;
    }
    return p;
}

/* ---- adding a tile ---- */

static dip_status check_planes(const dip_tile *tile, const dip_modality *modality)
{
    const char *name = tile->meta.name;
    size_t total = 0;
    if (tile->plane_count != modality->band_count)
        return dip_fail(DIP_EMISMATCH, "tile '%.80s' has %u planes, modality '%s' has %u bands",
                        name, tile->plane_count, modality->name, modality->band_count);
    for (uint32_t i = 0; i < tile->plane_count; i++) {
        size_t bytes = dip_plane_bytes(&tile->planes[i]);
        if (!bytes || !tile->planes[i].pixels)
            return dip_fail(DIP_EINVAL,
                            "tile '%.80s', band %s: no pixels, or of no type or size that can be "
                            "stored",
                            name, modality->bands[i].name);
        total += bytes;
        if (total > DIP_TILE_MAX_BYTES)
            return dip_fail(DIP_EINVAL, "tile '%.80s' has more than %d bytes of pixels; cut it up",
                            name, DIP_TILE_MAX_BYTES);
    }
    return DIP_OK;
}

static dip_status check_tile(const dip_batch *batch, const dip_tile *tile)
{
    const dip_archive *archive = batch->archive;
    dip_status status = dip_env_check_writable_here(archive->env);
    if (!status) status = dip_archive_check_modality(archive, tile->meta.modality);
    if (status) return status;
    if (!tile->meta.name || !tile->meta.name[0])
        return dip_fail(DIP_EINVAL, "a tile needs a name of its own in its modality");
    return check_planes(tile, dip_archive_modality(archive, tile->meta.modality));
}

static dip_status get_name(const dip_batch *batch, const dip_name_key *key, uint64_t *id,
                           bool *found)
{
    dip_bytes value;
    dip_status status =
        dip_txn_get(dip_write_txn(batch->write), DIP_DB_NAME, dip_name_key_bytes(key), &value);
    *found = value.data != NULL;
    if (status || !*found) return status;
    return dip_name_decode(id, value, dip_name_key_bytes(key));
}

static dip_status put_name(dip_batch *batch, const dip_name_key *key, uint64_t id)
{
    dip_status status = dip_name_encode(&batch->record, dip_name_key_bytes(key), id);
    if (status) return dip_batch_broken(batch, status);
    return dip_batch_put(batch, DIP_DB_NAME, dip_name_key_bytes(key), &batch->record);
}

/* Adds the tile to its place, which is new or not. */
static dip_status put_place(dip_batch *batch, const dip_meta *meta, const dip_name_key *name,
                            bool is_new)
{
    dip_bytes old = {NULL, 0};
    dip_id_key key = dip_key_of(meta->place);
    dip_status status = DIP_OK;
    if (is_new) {
        batch->totals.next_place++;
        batch->totals.places++;
        if (meta->place_name[0]) status = put_name(batch, name, meta->place);
    } else {
        status = dip_txn_get(dip_write_txn(batch->write), DIP_DB_PLACE, dip_key_bytes(&key), &old);
    }
    if (!status) status = dip_place_add(&batch->record, meta->place, old, meta->id);
    if (status) return dip_batch_broken(batch, status);
    return dip_batch_put(batch, DIP_DB_PLACE, dip_key_bytes(&key), &batch->record);
}

static dip_status put_tile(dip_batch *batch, const dip_meta *meta, const dip_name_key *name,
                           const dip_name_key *place_name, bool new_place)
{
    dip_id_key key = dip_key_of(meta->id);
    dip_status status = dip_batch_put(batch, DIP_DB_META, dip_key_bytes(&key), &batch->record);
    if (!status) status = put_name(batch, name, meta->id);
    if (!status) status = put_place(batch, meta, place_name, new_place);
    batch->totals.next_tile++;
    batch->totals.tiles++;
    batch->totals.tiles_of[meta->modality]++;
    return status;
}

/* The name is new; finds the place and lays out the metadata. Nothing is changed yet. */
static dip_status prepare(dip_batch *batch, dip_meta *meta, const dip_name_key *name,
                          dip_name_key *place_name, bool *new_place)
{
    uint64_t other = DIP_NO_ID;
    bool found = false;
    dip_status status = get_name(batch, name, &other, &found);
    if (status) return status;
    if (found)
        return dip_fail(DIP_EEXIST, "archive '%s' has a tile '%.80s' of modality '%s' already",
                        batch->archive->path, meta->name,
                        dip_archive_modality(batch->archive, meta->modality)->name);
    found = false;
    if (meta->place_name[0]) {
        dip_name_key_make(place_name, DIP_NAME_OF_PLACE, meta->place_name);
        status = get_name(batch, place_name, &meta->place, &found);
        if (status) return status;
    }
    if (!found) meta->place = batch->totals.next_place;
    *new_place = !found;
    meta->id = batch->totals.next_tile;
    return dip_meta_encode(&batch->record, meta);
}

dip_status dip_batch_add_tile(dip_batch *batch, dip_tile *tile)
{
    dip_status status = check_tile(batch, tile);
    if (status) return status;
    dip_meta meta = tile->meta;
    if (!meta.place_name) meta.place_name = "";
    dip_name_key name, place_name;
    bool new_place = false;
    dip_name_key_make(&name, (int)meta.modality, meta.name);
    status = prepare(batch, &meta, &name, &place_name, &new_place);
    if (status) return status;
    if (dip_array_reserve((void **)&batch->pending, &batch->pending_capacity,
                          batch->pending_count + 1, sizeof *batch->pending))
        return DIP_ENOMEM;
    dip_pending *pending = copy_pixels(tile);
    if (!pending) return DIP_ENOMEM;
    pending->id = meta.id;
    batch->pending[batch->pending_count++] = pending;
    batch->pending_bytes += pending->raw_bytes;
    status = put_tile(batch, &meta, &name, &place_name, new_place);
    if (!status && (batch->pending_count >= PENDING_TILES || batch->pending_bytes >= PENDING_BYTES))
        status = dip_batch_flush(batch);
    if (status) return status;
    tile->meta.id = meta.id;
    tile->meta.place = meta.place;
    return DIP_OK;
}
