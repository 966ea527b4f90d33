/*
 * Removing a tile.
 *
 * The tile's own metadata tells where else it is known: its name, its place, the embeddings of its modality. If the
 * metadata or its place's record is damaged or missing, the store is searched instead, so that a damaged tile can
 * always be removed and imported again.
 */
#define _GNU_SOURCE
#include "core/mem.h"
#include "storage/handle.h"
#include "storage/pixels.h"

/* Ids of records to change, collected before anything is changed: a cursor does not outlive a write. */
typedef struct id_list {
    uint64_t *ids;
    size_t n, capacity;
} id_list;

static dip_status add_id(id_list *list, uint64_t id)
{
    if (dip_array_reserve((void **)&list->ids, &list->capacity, list->n + 1, sizeof *list->ids))
        return DIP_ENOMEM;
    list->ids[list->n++] = id;
    return DIP_OK;
}

static dip_status get(const dip_batch *batch, dip_db db, uint64_t id, dip_bytes *value)
{
    dip_id_key key = dip_key_of(id);
    return dip_txn_get(dip_write_txn(batch->write), db, dip_key_bytes(&key), value);
}

static dip_status delete_id(dip_batch *batch, dip_db db, uint64_t id)
{
    dip_id_key key = dip_key_of(id);
    return dip_batch_delete(batch, db, dip_key_bytes(&key));
}

/* ---- names ---- */

/* Deletes a name unless it is known to be another's. */
static dip_status delete_name(dip_batch *batch, int modality, const char *name, uint64_t id)
{
    dip_name_key key;
    dip_bytes value;
    uint64_t owner;
    dip_name_key_make(&key, modality, name);
    dip_bytes key_bytes = dip_name_key_bytes(&key);
    dip_status status = dip_txn_get(dip_write_txn(batch->write), DIP_DB_NAME, key_bytes, &value);
    if (status || !value.data) return status;
    if (dip_name_decode(&owner, value, key_bytes) == DIP_OK && owner != id) return DIP_OK;
    return dip_batch_delete(batch, DIP_DB_NAME, key_bytes);
}

/* Deletes the names of a tile, or of a place, that can only be found by their ids. */
static dip_status search_names(dip_batch *batch, bool of_place, uint64_t id, bool *found)
{
    dip_cursor cursor;
    dip_name_key key = {.size = 0};
    dip_status status = dip_cursor_open(&cursor, dip_write_txn(batch->write), DIP_DB_NAME, NULL);
    if (status) return status;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t owner;
        bool place = *(const char *)cursor.key.data == 'p';
        if (place != of_place || cursor.key.size > sizeof key.bytes ||
            dip_name_decode(&owner, cursor.value, cursor.key) || owner != id)
            continue;
        memcpy(key.bytes, cursor.key.data, cursor.key.size);
        key.size = cursor.key.size;
        break;
    }
    dip_cursor_close(&cursor);
    if (status || !key.size) return status;
    *found = true;
    return dip_batch_delete(batch, DIP_DB_NAME, dip_name_key_bytes(&key));
}

/* ---- places ---- */

/* Stores a place's tiles without `id`; the place goes with its last one. */
static dip_status put_rest(dip_batch *batch, uint64_t place, const char *place_name, uint64_t *ids,
                           size_t n, uint64_t id)
{
    size_t rest = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] != id) ids[rest++] = ids[i];
    if (rest == 0) {
        bool found;
        batch->totals.places--;
        dip_status status = delete_id(batch, DIP_DB_PLACE, place);
        if (status) return status;
        if (place_name && place_name[0])
            return delete_name(batch, DIP_NAME_OF_PLACE, place_name, place);
        return place_name ? DIP_OK : search_names(batch, true, place, &found);
    }
    dip_id_key key = dip_key_of(place);
    dip_status status = dip_place_encode(&batch->record, place, ids, rest);
    if (status) return dip_batch_broken(batch, status);
    return dip_batch_put(batch, DIP_DB_PLACE, dip_key_bytes(&key), &batch->record);
}

/* All tiles whose metadata name this place: for a place whose own record is lost. */
static dip_status search_members(const dip_batch *batch, uint64_t place, id_list *out)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, dip_write_txn(batch->write), DIP_DB_META, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t id;
        dip_meta meta;
        if (dip_key_id(cursor.key, &id) && !dip_meta_decode(&meta, cursor.value, id) &&
            meta.place == place)
            status = add_id(out, id);
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status leave_place(dip_batch *batch, const dip_meta *meta)
{
    id_list members = {.ids = NULL};
    dip_bytes value;
    dip_status status = get(batch, DIP_DB_PLACE, meta->place, &value);
    if (status) return status;
    if (!value.data || dip_place_decode(&members.ids, &members.n, value, meta->place)) {
        batch->recount_tiles = true;
        status = search_members(batch, meta->place, &members);
    }
    if (!status)
        status = put_rest(batch, meta->place, meta->place_name, members.ids, members.n, meta->id);
    dip_free(members.ids);
    return status;
}

/* Takes the tile out of every place that lists it. */
static dip_status search_places(dip_batch *batch, uint64_t id, bool *found)
{
    id_list places = {.ids = NULL};
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, dip_write_txn(batch->write), DIP_DB_PLACE, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t place, *ids;
        size_t n;
        bool listed = false;
        if (!dip_key_id(cursor.key, &place) || dip_place_decode(&ids, &n, cursor.value, place))
            continue;
        for (size_t i = 0; i < n; i++) listed |= ids[i] == id;
        dip_free(ids);
        if (listed) status = add_id(&places, place);
    }
    dip_cursor_close(&cursor);
    for (size_t i = 0; !status && i < places.n; i++) {
        dip_bytes value;
        uint64_t *ids = NULL;
        size_t n = 0;
        status = get(batch, DIP_DB_PLACE, places.ids[i], &value);
        if (!status) status = dip_place_decode(&ids, &n, value, places.ids[i]);
        if (!status) status = put_rest(batch, places.ids[i], NULL, ids, n, id);
        dip_free(ids);
        *found = true;
    }
    dip_free(places.ids);
    return status;
}

/* ---- the tile ---- */

static dip_status delete_pixels(dip_batch *batch, uint64_t id, bool *found)
{
    dip_bytes value;
    dip_pixels_shape shape;
    dip_status status = get(batch, DIP_DB_TILE, id, &value);
    if (status || !value.data) return status;
    *found = true;
    if (dip_pixels_open(&shape, value.data, value.size, id)) {
        batch->recount_tiles = true;
    } else {
        batch->totals.raw_bytes -= shape.raw_bytes;
        batch->totals.tile_bytes -= value.size;
    }
    return delete_id(batch, DIP_DB_TILE, id);
}

/* From the sets of one modality, or of all (-1). */
static dip_status forget_embeddings(dip_batch *batch, int modality, uint64_t id, bool *found)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < batch->set_count; i++) {
        char model[DIP_MODEL_CAPACITY];
        uint32_t of;
        bool was = false;
        if (!dip_set_split(batch->archive, batch->set_names[i], model, &of) ||
            (modality >= 0 && of != (uint32_t)modality))
            continue;
        status = dip_set_forget(batch, batch->sets[i], id, &was);
        *found |= was;
    }
    return status;
}

static dip_status remove_known(dip_batch *batch, const dip_meta *meta)
{
    bool found = true;
    dip_status status = delete_name(batch, (int)meta->modality, meta->name, meta->id);
    if (!status) status = leave_place(batch, meta);
    if (!status) status = forget_embeddings(batch, (int)meta->modality, meta->id, &found);
    if (!status) status = delete_pixels(batch, meta->id, &found);
    if (!status) status = delete_id(batch, DIP_DB_META, meta->id);
    batch->totals.tiles--;
    batch->totals.tiles_of[meta->modality]--;
    return status;
}

/* Without usable metadata. */
static dip_status remove_by_search(dip_batch *batch, uint64_t id, bool found)
{
    dip_status status = search_names(batch, false, id, &found);
    if (!status) status = search_places(batch, id, &found);
    if (!status) status = forget_embeddings(batch, -1, id, &found);
    if (!status) status = delete_pixels(batch, id, &found);
    if (!status && !found)
        return dip_fail(DIP_ENOENT, "archive '%s' has no tile %llu", batch->archive->path,
                        (unsigned long long)id);
    batch->recount_tiles = true;
    return status ? status : delete_id(batch, DIP_DB_META, id);
}

/* The metadata's bytes and text, out of the reach of writes. */
static dip_status load_meta(dip_batch *batch, uint64_t id, char **bytes, dip_meta *meta,
                            bool *there, bool *good)
{
    dip_bytes value;
    dip_status status = get(batch, DIP_DB_META, id, &value);
    *there = value.data != NULL;
    *good = false;
    *bytes = NULL;
    if (status || !*there) return status;
    *bytes = dip_alloc(value.size);
    if (!*bytes) return DIP_ENOMEM;
    memcpy(*bytes, value.data, value.size);
    *good = !dip_meta_decode(meta, (dip_bytes){*bytes, value.size}, id);
    return DIP_OK;
}

dip_status dip_batch_remove_tile(dip_batch *batch, uint64_t id)
{
    char *bytes;
    dip_meta meta;
    bool there, good;
    dip_status status = dip_env_check_writable_here(batch->archive->env);
    if (!status) status = dip_batch_flush(batch);
    if (status) return status;
    status = load_meta(batch, id, &bytes, &meta, &there, &good);
    if (!status) status = good ? remove_known(batch, &meta) : remove_by_search(batch, id, there);
    dip_free(bytes);
    return status == DIP_ENOENT ? status : dip_batch_broken(batch, status);
}
