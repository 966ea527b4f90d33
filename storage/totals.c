/* Counting the store anew: for verify, and after damaged records were removed; see handle.h. */
#define _GNU_SOURCE
#include "storage/block.h"
#include "storage/handle.h"
#include "storage/pixels.h"

static dip_status count_pixels(const dip_txn *txn, dip_totals *totals)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, DIP_DB_TILE, NULL);
    if (status) return status;
    totals->tile_bytes = totals->raw_bytes = 0;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        dip_pixels_shape shape;
        uint64_t id;
        totals->tile_bytes += cursor.value.size;
        if (dip_key_id(cursor.key, &id) &&
            !dip_pixels_open(&shape, cursor.value.data, cursor.value.size, id))
            totals->raw_bytes += shape.raw_bytes;
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status count_modalities(const dip_txn *txn, dip_totals *totals)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, DIP_DB_META, NULL);
    if (status) return status;
    memset(totals->tiles_of, 0, sizeof totals->tiles_of);
    totals->tiles = 0;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        dip_meta meta;
        uint64_t id;
        totals->tiles++;
        if (dip_key_id(cursor.key, &id) && !dip_meta_decode(&meta, cursor.value, id))
            totals->tiles_of[meta.modality]++;
    }
    dip_cursor_close(&cursor);
    return status;
}

dip_status dip_totals_count_tiles(const dip_txn *txn, dip_totals *totals)
{
    dip_status status = count_pixels(txn, totals);
    if (!status) status = count_modalities(txn, totals);
    return status ? status : dip_txn_count(txn, DIP_DB_PLACE, &totals->places);
}

static dip_status count_set(const dip_txn *txn, dip_db set, dip_totals *totals)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, set, NULL);
    if (status) return status;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        dip_block block;
        uint64_t number;
        totals->embedding_bytes += cursor.value.size;
        if (dip_key_id(cursor.key, &number) &&
            !dip_block_open(&block, cursor.value.data, cursor.value.size, number))
            totals->embeddings += block.count;
    }
    dip_cursor_close(&cursor);
    return status;
}

dip_status dip_totals_count_sets(const dip_txn *txn, const dip_db *sets, size_t set_count,
                                 dip_totals *totals)
{
    dip_status status = DIP_OK;
    totals->embeddings = totals->embedding_bytes = 0;
    for (size_t i = 0; !status && i < set_count; i++) status = count_set(txn, sets[i], totals);
    return status;
}
