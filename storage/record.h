/**
 * Layouts of the records in the store, all in the frame of wire.h (u8 kind, u8 version, ..., u64 checksum).
 *
 *   db       key                            value between the frame's ends
 *   tile     u64 id, big-endian             'T' 1: pixels.h
 *   meta     u64 id, big-endian             'M' 1: u32 modality, u64 place, i64 time, f64 west, south, east, north,
 *                                           i32 epsg, 6 f64 transform, 9 strings in the order of dip_meta
 *                                           (u32 length, bytes, a 0 byte)
 *   place    u64 place, big-endian          'P' 1: u32 n, n u64 tile ids, ascending
 *   name     "<modality>/<name>" or         'N' 1: u64 id of the tile or of the place
 *            "p/<place name>"; longer than 511 bytes: "<modality>#" or "p#" and 32 hex digits of two XXH3 of the name
 *   journal  u64 batch, big-endian, from 0  'J' 1: i64 time, and the totals after the batch, in the order of dip_totals
 *   embedding.<model>.<modality>            'E' 1: block.h
 *            u64 block, big-endian
 * The seed of a checksum is the key as a number, for names the XXH3 of the key: a record in the wrong place is damage.
 */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include "storage/env.h"
#include "storage/wire.h"

#include <diptych/tile.h>

enum { DIP_STORE_FORMAT = 1, DIP_NAME_KEY_MAX = 511, DIP_TEXT_MAX = 1 << 20 };

/** A key of eight bytes. */
typedef struct dip_id_key {
    uint8_t bytes[8];
} dip_id_key;

dip_id_key dip_key_of(uint64_t id);
/** false if the key has another length. */
bool dip_key_id(dip_bytes key, uint64_t *id);
static inline dip_bytes dip_key_bytes(const dip_id_key *key)
{
    return (dip_bytes){key->bytes, sizeof key->bytes};
}

typedef struct dip_name_key {
    char bytes[DIP_NAME_KEY_MAX + 1]; /* no 0 byte at the end */
    size_t size;
} dip_name_key;

enum { DIP_NAME_OF_PLACE = -1 };
/** Key of a tile's name in a modality, or of a place's name. */
void dip_name_key_make(dip_name_key *key, int modality, const char *name);
static inline dip_bytes dip_name_key_bytes(const dip_name_key *key)
{
    return (dip_bytes){key->bytes, key->size};
}

dip_status dip_meta_encode(dip_out *out, const dip_meta *meta);
/** The strings stay in `bytes`. */
dip_status dip_meta_decode(dip_meta *meta, dip_bytes bytes, uint64_t id);

dip_status dip_place_encode(dip_out *out, uint64_t place, const uint64_t *ids, size_t n);
/** Adds `id`, which is larger than those there, to a place's record (none yet: data NULL). */
dip_status dip_place_add(dip_out *out, uint64_t place, dip_bytes old, uint64_t id);
/** *ids is from dip_alloc(). */
dip_status dip_place_decode(uint64_t **ids, size_t *n, dip_bytes bytes, uint64_t place);

dip_status dip_name_encode(dip_out *out, dip_bytes key, uint64_t id);
dip_status dip_name_decode(uint64_t *id, dip_bytes bytes, dip_bytes key);

/** What the store holds after a batch. */
typedef struct dip_totals {
    int64_t time; /* of the commit, seconds since 1970 UTC */
    uint64_t next_tile, next_place;
    uint64_t tiles, places, tiles_of[DIP_MAX_MODALITIES];
    uint64_t tile_bytes, raw_bytes; /* stored values of `tile`; pixels */
    uint64_t embeddings, embedding_bytes;
} dip_totals;

dip_status dip_totals_encode(dip_out *out, uint64_t batch, const dip_totals *totals);
dip_status dip_totals_decode(dip_totals *totals, dip_bytes bytes, uint64_t batch);

/** The newest entry of the journal. DIP_ECORRUPT if there is none. */
dip_status dip_totals_read(const dip_txn *txn, dip_totals *totals, uint64_t *batch);

#endif
