/**
 * The index files that are ours: `<name>.exact`, `<name>.ids` and `<name>.delta`. Little-endian, opened by mmap, never changed.
 *
 *   offset size
 *        0    8  "DIPINDEX"
 *        8    4  version, 1
 *       12    4  kind: 1 vectors (.exact), 2 ids (.ids, beside FAISS's own file <name>.ivfpq), 3 delta (.delta, beside
 *                <name>.segment: vectors that came later, and which of its rows are gone)
 *       16    8  count: rows; a row's number is its local id
 *       24    8  live: rows that are not removed; .delta: those of the segment and the file's own
 *       32    4  dim
 *       36    4  lists            0 in .exact
 *       40    4  code_count       0 in .exact
 *       44    4  nprobe           the operating point chosen at build time; 0 in .exact
 *       48    4  depth            0 in .exact
 *       52    4  0
 *       56    8  seed
 *       64    8  length of the FAISS file, or of the segment; 0 in .exact
 *       72    8  its XXH3, or that of the segment's header; 0 in .exact
 *       80    8  XXH3 of what follows the header: of the ids, continued over the second part and the third
 *       88    8  .delta: rows of the segment; else 0
 *       96   24  0
 *      120    8  XXH3 of bytes 0..119
 *      128       ids: count x uint64, the tile id of each row; ascending in .exact and .delta
 *                .ids, .delta: removed rows (.delta: of the segment), one bit a row, in uint64, lowest bit first
 *                .exact, .delta: zeros up to a multiple of 64, then count x dim float32, rows one after the other
 */
#ifndef INDEX_LAYOUT_H
#define INDEX_LAYOUT_H

#include "core/file.h"

#include <stdbool.h>

enum {
    DIP_LAYOUT_VECTORS = 1,
    DIP_LAYOUT_IDS = 2,
    DIP_LAYOUT_DELTA = 3,
    DIP_LAYOUT_HEADER = 128,
    DIP_LAYOUT_MAX_DIM = 1 << 16
};

#define DIP_LAYOUT_MAX_COUNT UINT32_C(0xfffffff0) /* local ids fit 32 bits */

typedef struct dip_layout {
    uint32_t kind;
    uint64_t count, live;
    uint32_t dim, lists, code_count, nprobe, depth;
    uint64_t seed;
    uint64_t faiss_bytes, faiss_hash;
    uint64_t base; /* rows of the segment */
} dip_layout;

/** The parts of a file in memory; pointers go into it. */
typedef struct dip_layout_view {
    dip_layout layout;
    const uint64_t *ids;     /* count */
    const uint64_t *removed; /* kinds ids, delta; else NULL */
    const float *vectors;    /* kinds vectors, delta; else NULL */
} dip_layout_view;

/**
 * Looks at a file's bytes (8-byte aligned) and checks all that can be checked: lengths, checksums, order, counts.
 * `path` is for the message. Expected failures: DIP_ECORRUPT, DIP_EFORMAT (a later version).
 */
dip_status dip_layout_parse(dip_layout_view *out, const void *bytes, size_t length,
                            const char *path);

/** Maps a file and parses it. The view lives as long as the map. */
dip_status dip_layout_open(dip_layout_view *out, dip_map *map, const char *path);

/**
 * Writes a file (aside, then renamed). `vectors` is (count, dim), NULL for kind ids; `removed` NULL for kind vectors.
 * layout->live is taken as given.
 */
dip_status dip_layout_write(const char *path, const dip_layout *layout, const uint64_t *ids,
                            const uint64_t *removed, const float *vectors);

/** Bit `row` of a bitmap; of the words that `rows` bits need. */
static inline bool dip_bit(const uint64_t *bits, size_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}
static inline void dip_bit_set(uint64_t *bits, size_t row)
{
    bits[row / 64] |= UINT64_C(1) << (row % 64);
}
static inline size_t dip_bit_words(size_t rows) { return (rows + 63) / 64; }

#endif
