/*
 * Reading tiles, metadata, places and lists of ids. Each call reads one snapshot.
 *
 * Records are decoded straight from LMDB's map. A tile and a metadata object are one block each: the struct, its
 * texts, its pixels.
 */
#define _GNU_SOURCE
#include "core/mem.h"
#include "storage/handle.h"
#include "storage/pixels.h"

#include <stdio.h>
#include <stdlib.h>

static dip_status no_tile(const dip_archive *archive, uint64_t id)
{
    return dip_fail(DIP_ENOENT, "archive '%s' has no tile %llu", archive->path,
                    (unsigned long long)id);
}

static dip_status get(const dip_txn *txn, dip_db db, uint64_t id, dip_bytes *value)
{
    dip_id_key key = dip_key_of(id);
    return dip_txn_get(txn, db, dip_key_bytes(&key), value);
}

/* ---- names, places, lists ---- */

dip_status dip_archive_find_tile(const dip_archive *archive, uint32_t modality, const char *name,
                                 uint64_t *id)
{
    dip_txn txn;
    dip_name_key key;
    dip_bytes value;
    dip_status status = dip_archive_check_modality(archive, modality);
    if (!status) status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    dip_name_key_make(&key, (int)modality, name);
    status = dip_txn_get(&txn, DIP_DB_NAME, dip_name_key_bytes(&key), &value);
    if (!status && !value.data)
        status = dip_fail(DIP_ENOENT, "archive '%s' has no tile '%.80s' of modality '%s'",
                          archive->path, name, dip_archive_modality(archive, modality)->name);
    if (!status) status = dip_name_decode(id, value, dip_name_key_bytes(&key));
    dip_txn_end(&txn);
    return status;
}

dip_status dip_archive_place(const dip_archive *archive, uint64_t place, uint64_t **ids, size_t *n)
{
    dip_txn txn;
    dip_bytes value;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = get(&txn, DIP_DB_PLACE, place, &value);
    if (!status && !value.data)
        status = dip_fail(DIP_ENOENT, "archive '%s' has no place %llu", archive->path,
                          (unsigned long long)place);
    if (!status) status = dip_place_decode(ids, n, value, place);
    dip_txn_end(&txn);
    return status;
}

void dip_ids_free(uint64_t *ids) { dip_free(ids); }

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

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

/* All: the keys of `meta` are in order. */
static dip_status list_all(const dip_txn *txn, id_list *list)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, DIP_DB_META, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t id;
        status = dip_key_id(cursor.key, &id)
                     ? add_id(list, id)
                     : dip_fail(DIP_ECORRUPT, "a key of tile metadata is damaged; run verify");
    }
    dip_cursor_close(&cursor);
    return status;
}

/* Names that begin with `prefix`: they are far fewer bytes to read than the metadata. */
static dip_status list_named(const dip_txn *txn, const char *prefix, id_list *list)
{
    dip_cursor cursor;
    dip_bytes from = {prefix, strlen(prefix)};
    dip_status status = dip_cursor_open(&cursor, txn, DIP_DB_NAME, &from);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t id;
        if (cursor.key.size < from.size || memcmp(cursor.key.data, prefix, from.size) != 0) break;
        status = dip_name_decode(&id, cursor.value, cursor.key);
        if (!status) status = add_id(list, id);
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status list_modality(const dip_txn *txn, unsigned modality, id_list *list)
{
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%u#", modality);
    dip_status status = list_named(txn, prefix, list);
    snprintf(prefix, sizeof prefix, "%u/", modality);
    if (!status) status = list_named(txn, prefix, list);
    if (!status && list->n) qsort(list->ids, list->n, sizeof *list->ids, by_number);
    return status;
}

dip_status dip_archive_ids(const dip_archive *archive, int modality, uint64_t **ids, size_t *n)
{
    dip_txn txn;
    id_list list = {.ids = NULL};
    dip_status status = DIP_OK;
    if (modality != -1) status = dip_archive_check_modality(archive, (uint32_t)modality);
    if (!status) status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = modality < 0 ? list_all(&txn, &list) : list_modality(&txn, (unsigned)modality, &list);
    dip_txn_end(&txn);
    if (status) {
        dip_free(list.ids);
        return status;
    }
    *ids = list.ids;
    *n = list.n;
    return DIP_OK;
}

/* ---- metadata ---- */

/* The texts of a metadata object, for copying. */
enum { TEXTS = 9 };
static void list_texts(dip_meta *meta, const char **texts[TEXTS])
{
    const char **all[TEXTS] = {&meta->name,          &meta->place_name,   &meta->labels,
                               &meta->primary_label, &meta->label_source, &meta->split,
                               &meta->scene,         &meta->source,       &meta->extra};
    memcpy(texts, all, sizeof all);
}

static size_t text_bytes(const dip_meta *meta)
{
    const char **texts[TEXTS];
    size_t bytes = 0;
    dip_meta copy = *meta;
    list_texts(&copy, texts);
    for (int i = 0; i < TEXTS; i++) bytes += strlen(*texts[i]) + 1;
    return bytes;
}

/* Moves the texts to `at`, which has room for text_bytes(). */
static void move_texts(dip_meta *meta, char *at)
{
    const char **texts[TEXTS];
    list_texts(meta, texts);
    for (int i = 0; i < TEXTS; i++) {
        size_t size = strlen(*texts[i]) + 1;
        *texts[i] = memcpy(at, *texts[i], size);
        at += size;
    }
}

static dip_status get_meta(const dip_archive *archive, const dip_txn *txn, uint64_t id,
                           dip_meta *meta)
{
    dip_bytes value;
    dip_status status = get(txn, DIP_DB_META, id, &value);
    if (!status && !value.data) status = no_tile(archive, id);
    return status ? status : dip_meta_decode(meta, value, id);
}

dip_status dip_archive_meta(const dip_archive *archive, uint64_t id, dip_meta **out)
{
    dip_txn txn;
    dip_meta meta;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = get_meta(archive, &txn, id, &meta);
    if (!status) {
        dip_meta *copy = dip_alloc(sizeof *copy + text_bytes(&meta));
        if (copy) {
            *copy = meta;
            move_texts(copy, (char *)(copy + 1));
            *out = copy;
        } else {
            status = DIP_ENOMEM;
        }
    }
    dip_txn_end(&txn);
    return status;
}

void dip_meta_free(dip_meta *meta) { dip_free(meta); }

dip_status dip_archive_each(const dip_archive *archive,
                            dip_status (*visit)(void *context, const dip_meta *meta), void *context)
{
    dip_txn txn;
    dip_cursor cursor = {.cursor = NULL};
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = dip_cursor_open(&cursor, &txn, DIP_DB_META, NULL);
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t id;
        dip_meta meta;
        if (!dip_key_id(cursor.key, &id))
            status = dip_fail(DIP_ECORRUPT, "a key of tile metadata is damaged; run verify");
        if (!status) status = dip_meta_decode(&meta, cursor.value, id);
        if (!status) status = visit(context, &meta);
    }
    dip_cursor_close(&cursor);
    dip_txn_end(&txn);
    return status;
}

/* ---- tiles ---- */

static size_t rounded(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* The tile, its texts, its planes on 64-byte boundaries. */
static dip_tile *make_tile(const dip_meta *meta, const dip_pixels_shape *shape)
{
    size_t texts = text_bytes(meta), head = rounded(sizeof(dip_tile) + texts), size = head;
    for (uint32_t i = 0; i < shape->plane_count; i++)
        size += rounded(dip_plane_bytes(&shape->planes[i]));
    dip_tile *tile = dip_alloc_aligned(size);
    if (!tile) return NULL;
    tile->meta = *meta;
    move_texts(&tile->meta, (char *)(tile + 1));
    tile->plane_count = shape->plane_count;
    memset(tile->planes, 0, sizeof tile->planes);
    char *at = (char *)tile + head;
    for (uint32_t i = 0; i < shape->plane_count; i++) {
        tile->planes[i] = shape->planes[i];
        tile->planes[i].pixels = at;
        at += rounded(dip_plane_bytes(&shape->planes[i]));
    }
    return tile;
}

static dip_status read_tile(const dip_archive *archive, const dip_txn *txn, uint64_t id,
                            dip_tile **out)
{
    dip_meta meta;
    dip_bytes value;
    dip_pixels_shape shape;
    dip_status status = get_meta(archive, txn, id, &meta);
    if (!status) status = get(txn, DIP_DB_TILE, id, &value);
    if (status) return status;
    if (!value.data)
        return dip_fail(DIP_ECORRUPT,
                        "tile %llu has lost its pixels; remove the tile and import it again",
                        (unsigned long long)id);
    status = dip_pixels_open(&shape, value.data, value.size, id);
    if (status) return status;
    dip_tile *tile = make_tile(&meta, &shape);
    if (!tile) return DIP_ENOMEM;
    memcpy(shape.planes, tile->planes, sizeof shape.planes);
    status = dip_pixels_decode(&shape, id, archive->codec);
    if (status)
        dip_tile_free(tile);
    else
        *out = tile;
    return status;
}

dip_status dip_archive_tile(const dip_archive *archive, uint64_t id, dip_tile **out)
{
    dip_txn txn;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = read_tile(archive, &txn, id, out);
    dip_txn_end(&txn);
    return status;
}

void dip_tile_free(dip_tile *tile) { dip_free_aligned(tile); }

dip_status dip_archive_shape(const dip_archive *archive, uint64_t id, dip_tile *out)
{
    dip_txn txn;
    dip_bytes value;
    dip_pixels_shape shape;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = get(&txn, DIP_DB_TILE, id, &value);
    if (!status && !value.data) status = no_tile(archive, id);
    if (!status) status = dip_pixels_peek(&shape, value.data, value.size, id);
    dip_txn_end(&txn);
    if (status) return status;
    out->plane_count = shape.plane_count;
    memcpy(out->planes, shape.planes, sizeof out->planes);
    return DIP_OK;
}

/* ---- counts ---- */

dip_status dip_archive_count(const dip_archive *archive, dip_archive_counts *counts)
{
    dip_txn txn;
    dip_totals totals;
    uint64_t batch, size = 0;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = dip_totals_read(&txn, &totals, &batch);
    dip_txn_end(&txn);
    if (!status) status = dip_env_size(archive->env, &size);
    if (status) return status;
    *counts = (dip_archive_counts){.tiles = totals.tiles,
                                   .places = totals.places,
                                   .tile_bytes = totals.tile_bytes,
                                   .raw_bytes = totals.raw_bytes,
                                   .embeddings = totals.embeddings,
                                   .embedding_bytes = totals.embedding_bytes,
                                   .store_bytes = size,
                                   .next_tile = totals.next_tile};
    memcpy(counts->tiles_of, totals.tiles_of, sizeof counts->tiles_of);
    return DIP_OK;
}
