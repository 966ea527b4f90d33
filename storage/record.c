/* Records of metadata, places, names and the journal; see record.h for their layouts. */
#define _GNU_SOURCE
#include "storage/record.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stddef.h>
#include <stdio.h>

enum { META_VERSION = 1, PLACE_VERSION = 1, NAME_VERSION = 1, JOURNAL_VERSION = 1 };

/* ---- keys ---- */

dip_id_key dip_key_of(uint64_t id)
{
    dip_id_key key;
    for (int i = 0; i < 8; i++) key.bytes[i] = (uint8_t)(id >> (56 - 8 * i));
    return key;
}

bool dip_key_id(dip_bytes key, uint64_t *id)
{
    const uint8_t *at = key.data;
    if (key.size != 8) return false;
    *id = 0;
    for (int i = 0; i < 8; i++) *id = *id << 8 | at[i];
    return true;
}

void dip_name_key_make(dip_name_key *key, int modality, const char *name)
{
    size_t length = strlen(name);
    int head = modality == DIP_NAME_OF_PLACE ? snprintf(key->bytes, 16, "p/")
                                             : snprintf(key->bytes, 16, "%d/", modality);
    key->size = (size_t)head + length;
    if (key->size <= DIP_NAME_KEY_MAX) {
        memcpy(key->bytes + head, name, length);
        return;
    }
    key->size = (size_t)head + 32;
    snprintf(key->bytes + head - 1, 34, "#%016llx%016llx",
             (unsigned long long)dip_hash64_seed(name, length, 1),
             (unsigned long long)dip_hash64_seed(name, length, 2));
}

/* ---- meta ---- */

static const size_t meta_texts[] = {
    offsetof(dip_meta, name),          offsetof(dip_meta, place_name),   offsetof(dip_meta, labels),
    offsetof(dip_meta, primary_label), offsetof(dip_meta, label_source), offsetof(dip_meta, split),
    offsetof(dip_meta, scene),         offsetof(dip_meta, source),       offsetof(dip_meta, extra),
};
enum { META_TEXTS = sizeof meta_texts / sizeof *meta_texts };

static const char **text_of(dip_meta *meta, size_t i)
{
    return (const char **)(void *)((char *)meta + meta_texts[i]);
}

dip_status dip_meta_encode(dip_out *out, const dip_meta *meta)
{
    dip_meta copy = *meta;
    dip_record_begin(out, 'M', META_VERSION);
    dip_out_u32(out, meta->modality);
    dip_out_u64(out, meta->place);
    dip_out_i64(out, meta->time);
    dip_out_f64(out, meta->west);
    dip_out_f64(out, meta->south);
    dip_out_f64(out, meta->east);
    dip_out_f64(out, meta->north);
    dip_out_i32(out, meta->epsg);
    for (int i = 0; i < 6; i++) dip_out_f64(out, meta->transform[i]);
    for (size_t i = 0; i < META_TEXTS; i++) {
        const char *text = *text_of(&copy, i);
        size_t length = text ? strlen(text) : 0;
        if (length > DIP_TEXT_MAX)
            return dip_fail(DIP_EINVAL,
                            "tile '%.80s': a text of its metadata has %zu bytes, more than %d",
                            meta->name, length, DIP_TEXT_MAX);
        dip_out_u32(out, (uint32_t)length);
        dip_out_bytes(out, text ? text : "", length + 1);
    }
    return dip_record_seal(out, meta->id);
}

static const char *take_text(dip_in *in)
{
    size_t length = dip_in_u32(in);
    const char *text = (const char *)dip_in_take(in, length + 1);
    if (text && strnlen(text, length + 1) != length) in->failed = true;
    return text;
}

static dip_status decode_meta(dip_meta *meta, dip_bytes bytes, uint64_t id)
{
    dip_in in;
    dip_status status = dip_record_open(&in, bytes.data, bytes.size, 'M', META_VERSION, id);
    if (status) return status;
    *meta = (dip_meta){.id = id};
    meta->modality = dip_in_u32(&in);
    meta->place = dip_in_u64(&in);
    meta->time = dip_in_i64(&in);
    meta->west = dip_in_f64(&in);
    meta->south = dip_in_f64(&in);
    meta->east = dip_in_f64(&in);
    meta->north = dip_in_f64(&in);
    meta->epsg = dip_in_i32(&in);
    for (int i = 0; i < 6; i++) meta->transform[i] = dip_in_f64(&in);
    for (size_t i = 0; i < META_TEXTS; i++) *text_of(meta, i) = take_text(&in);
    if (!dip_in_done(&in) || meta->modality >= DIP_MAX_MODALITIES)
        return dip_fail(DIP_ECORRUPT, "its record is not laid out as it should be");
    return DIP_OK;
}

dip_status dip_meta_decode(dip_meta *meta, dip_bytes bytes, uint64_t id)
{
    dip_status status = decode_meta(meta, bytes, id);
    return status ? dip_fail_prefix(status, "metadata of tile %llu", (unsigned long long)id)
                  : DIP_OK;
}

/* ---- place ---- */

dip_status dip_place_encode(dip_out *out, uint64_t place, const uint64_t *ids, size_t n)
{
    dip_record_begin(out, 'P', PLACE_VERSION);
    dip_out_u32(out, (uint32_t)n);
    dip_out_bytes(out, ids, n * sizeof *ids);
    return dip_record_seal(out, place);
}

dip_status dip_place_decode(uint64_t **ids, size_t *n, dip_bytes bytes, uint64_t place)
{
    dip_in in;
    uint64_t *list = NULL;
    dip_status status = dip_record_open(&in, bytes.data, bytes.size, 'P', PLACE_VERSION, place);
    if (!status) {
        size_t count = dip_in_u32(&in);
        const uint8_t *at = dip_in_take(&in, count * sizeof *list);
        if (!at || !dip_in_done(&in)) {
            status = dip_fail(DIP_ECORRUPT, "its record is not laid out as it should be");
        } else if (!(list = dip_alloc(count * sizeof *list))) {
            return DIP_ENOMEM;
        } else {
            if (count) memcpy(list, at, count * sizeof *list);
            *ids = list;
            *n = count;
        }
    }
    return status ? dip_fail_prefix(status, "place %llu", (unsigned long long)place) : DIP_OK;
}

dip_status dip_place_add(dip_out *out, uint64_t place, dip_bytes old, uint64_t id)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    dip_status status = old.data ? dip_place_decode(&ids, &n, old, place) : DIP_OK;
    if (status) return status;
    dip_record_begin(out, 'P', PLACE_VERSION);
    dip_out_u32(out, (uint32_t)(n + 1));
    dip_out_bytes(out, ids, n * sizeof *ids);
    dip_out_u64(out, id);
    dip_free(ids);
    return dip_record_seal(out, place);
}

/* ---- name ---- */

static uint64_t name_seed(dip_bytes key) { return dip_hash64(key.data, key.size); }

dip_status dip_name_encode(dip_out *out, dip_bytes key, uint64_t id)
{
    dip_record_begin(out, 'N', NAME_VERSION);
    dip_out_u64(out, id);
    return dip_record_seal(out, name_seed(key));
}

dip_status dip_name_decode(uint64_t *id, dip_bytes bytes, dip_bytes key)
{
    dip_in in;
    dip_status status =
        dip_record_open(&in, bytes.data, bytes.size, 'N', NAME_VERSION, name_seed(key));
    if (!status) {
        *id = dip_in_u64(&in);
        if (!dip_in_done(&in))
            status = dip_fail(DIP_ECORRUPT, "its record is not laid out as it should be");
    }
    int shown = key.size > 80 ? 80 : (int)key.size;
    return status ? dip_fail_prefix(status, "name '%.*s'", shown, (const char *)key.data) : DIP_OK;
}

/* ---- journal ---- */

dip_status dip_totals_encode(dip_out *out, uint64_t batch, const dip_totals *totals)
{
    dip_record_begin(out, 'J', JOURNAL_VERSION);
    dip_out_i64(out, totals->time);
    dip_out_u64(out, totals->next_tile);
    dip_out_u64(out, totals->next_place);
    dip_out_u64(out, totals->tiles);
    dip_out_u64(out, totals->places);
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) dip_out_u64(out, totals->tiles_of[i]);
    dip_out_u64(out, totals->tile_bytes);
    dip_out_u64(out, totals->raw_bytes);
    dip_out_u64(out, totals->embeddings);
    dip_out_u64(out, totals->embedding_bytes);
    return dip_record_seal(out, batch);
}

dip_status dip_totals_decode(dip_totals *totals, dip_bytes bytes, uint64_t batch)
{
    dip_in in;
    dip_status status = dip_record_open(&in, bytes.data, bytes.size, 'J', JOURNAL_VERSION, batch);
    if (!status) {
        totals->time = dip_in_i64(&in);
        totals->next_tile = dip_in_u64(&in);
        totals->next_place = dip_in_u64(&in);
        totals->tiles = dip_in_u64(&in);
        totals->places = dip_in_u64(&in);
        for (int i = 0; i < DIP_MAX_MODALITIES; i++) totals->tiles_of[i] = dip_in_u64(&in);
        totals->tile_bytes = dip_in_u64(&in);
        totals->raw_bytes = dip_in_u64(&in);
        totals->embeddings = dip_in_u64(&in);
        totals->embedding_bytes = dip_in_u64(&in);
        if (!dip_in_done(&in))
            status = dip_fail(DIP_ECORRUPT, "its record is not laid out as it should be");
    }
    return status ? dip_fail_prefix(status, "journal entry %llu", (unsigned long long)batch)
                  : DIP_OK;
}

dip_status dip_totals_read(const dip_txn *txn, dip_totals *totals, uint64_t *batch)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, DIP_DB_JOURNAL, NULL);
    if (status) return status;
    status = dip_cursor_last(&cursor);
    if (!status && (!cursor.key.data || !dip_key_id(cursor.key, batch)))
        status = dip_fail(DIP_ECORRUPT, "the store's journal has no last entry; restore the store "
                                        "from a copy");
    if (!status) status = dip_totals_decode(totals, cursor.value, *batch);
    dip_cursor_close(&cursor);
    return status;
}
