/**
 * The record of a block of embeddings ('E', version 1), in the frame of wire.h:
 *
 *   u8 encoding, u8 0, u32 dim, 16 bytes: a bit an id of the block, lowest first, then the vectors of the ids that are
 *   set, ascending, as float16:
 *   encoding 0   one vector after the other
 *   encoding 1   u32 n, a zstd frame of n bytes with all high bytes, a zstd frame with all low bytes
 *
 * Block b holds ids b * 124 ... b * 124 + 123. 124: with two modalities taking turns it holds 62 vectors, which fill
 * LMDB's 4 KiB pages almost without rest for any dimension that is a power of two (264 bytes a vector of 128, with 128
 * ids 320), and the first read of a block still checks 16 KB only (1.9 us).
 * Encoding 1 is taken when it saves a quarter: dense unit vectors save 15 % and would pay with six times the time of a
 * random read; sparse ones (after a ReLU) save half.
 */
#ifndef STORAGE_BLOCK_H
#define STORAGE_BLOCK_H

#include "storage/codec.h"
#include "storage/wire.h"

#include <stdbool.h>

enum { DIP_BLOCK_IDS = 124, DIP_BLOCK_BITMAP = 16, DIP_DIM_MAX = 16384 };

typedef struct dip_block {
    uint32_t dim, count; /* vectors present */
    uint8_t present[DIP_BLOCK_BITMAP];
    uint8_t encoding;
    const uint8_t *payload;
    size_t payload_bytes;
} dip_block;

static inline bool dip_block_has(const dip_block *block, unsigned slot)
{
    return block->present[slot >> 3] >> (slot & 7) & 1;
}

/** Rank of a present slot among the block's vectors. */
unsigned dip_block_rank(const dip_block *block, unsigned slot);

/** Checks all but compressed bytes. The line says only what is wrong. */
dip_status dip_block_open(dip_block *block, const void *bytes, size_t size, uint64_t number);
/** The same without computing the checksum. */
dip_status dip_block_peek(dip_block *block, const void *bytes, size_t size);

/**
 * The block's vectors as float16 of count * dim: either in place (*halves points into the record, perhaps unaligned)
 * or unfolded into `scratch`, which has room for them.
 */
dip_status dip_block_halves(const dip_block *block, const void **halves, void *scratch,
                            dip_codec *codec);

/** halves: (count, dim) for the set bits of block->present; dim, count and present are the caller's. */
dip_status dip_block_encode(dip_out *out, uint64_t number, const dip_block *block,
                            const uint16_t *halves, dip_codec *codec);

#endif
