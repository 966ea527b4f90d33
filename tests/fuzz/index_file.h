/** Makes the checksums of a damaged index file (index/layout.h) right, so that what stands behind them is reached. */
#ifndef TESTS_FUZZ_INDEX_FILE_H
#define TESTS_FUZZ_INDEX_FILE_H

#include "core/hash.h"
#include "index/layout.h"

#include <string.h>

enum { FILE_KIND = 12, FILE_COUNT = 16, FILE_BODY_HASH = 80, FILE_BASE = 88, FILE_HASH = 120 };

/* The hash of the content, if the header's counts point into it. */
static inline bool index_file_body_hash(const uint8_t *bytes, size_t size, uint64_t *hash)
{
    uint32_t kind;
    uint64_t count, base, room = size - DIP_LAYOUT_HEADER;
    memcpy(&kind, bytes + FILE_KIND, sizeof kind);
    memcpy(&count, bytes + FILE_COUNT, sizeof count);
    memcpy(&base, bytes + FILE_BASE, sizeof base);
    uint64_t rows = kind == DIP_LAYOUT_IDS ? count : base;
    if (count > room / 8 || rows / 8 > room) return false;
    uint64_t ids = count * 8, removed = kind == DIP_LAYOUT_VECTORS ? 0 : (rows + 63) / 64 * 8;
    uint64_t end = DIP_LAYOUT_HEADER + ids + removed;
    uint64_t padding = kind == DIP_LAYOUT_IDS ? 0 : (64 - end % 64) % 64;
    if (ids + removed + padding > room) return false;
    *hash = dip_hash64(bytes + DIP_LAYOUT_HEADER, ids);
    if (kind != DIP_LAYOUT_VECTORS) *hash = dip_hash64_seed(bytes + end - removed, removed, *hash);
    if (padding) *hash = dip_hash64_seed(bytes + end, padding, *hash);
    if (kind != DIP_LAYOUT_IDS)
        *hash = dip_hash64_seed(bytes + end + padding, size - end - padding, *hash);
    return true;
}

/** `size` is at least DIP_LAYOUT_HEADER. */
static inline void index_file_make_right(uint8_t *bytes, size_t size)
{
    uint64_t hash;
    if (index_file_body_hash(bytes, size, &hash))
        memcpy(bytes + FILE_BODY_HASH, &hash, sizeof hash);
    hash = dip_hash64(bytes, FILE_HASH);
    memcpy(bytes + FILE_HASH, &hash, sizeof hash);
}

#endif
