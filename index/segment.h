/**
 * The file of the native engine, `<name>.segment`: a trained IVF-PQ index laid out to be scanned where it is mapped.
 * Little-endian, never changed once written.
 *
 * Lists stand one after the other in groups whose centroids are near each other. A *row* is the rank of a vector's id, as
 * everywhere in index/. Where a vector stands among all, list after list and within a list by rows, is its *place*. What
 * is scanned has *slots* instead: lists are whole numbers of blocks of 32, so the last slots of a list may be empty.
 *
 *   offset size
 *        0    8  "DIPSEGMT"
 *        8    4  version, 2
 *       12    4  dim
 *       16    8  count: vectors
 *       24    4  lists
 *       28    4  groups
 *       32    4  code_count: 4-bit codes a vector
 *       36    4  refinement: 1 int8, 2 float16
 *       40    4  blocks
 *       44    4  nprobe           the operating point until somebody tunes
 *       48    4  depth
 *       52    4  float32 spread: root mean square of a component of x - c - r
 *       56    8  seed
 *       64    8  the first id     0 if there is none
 *       72    8  the last id      likewise
 *       80   16 x 24  sections, in the order of dip_segment_section: offset, bytes, XXH3
 *      464    8  XXH3 of bytes 0..463
 *     4096       the sections, each at a multiple of 4096, zeros between
 *
 *   section          type                     content
 *   coarse_bytes     uint8                    the centroids (native_kernel.h), rounded up to blocks of 16
 *   coarse_scales    float32 a centroid       of the bytes; 0 behind the last list
 *   coarse_biases    float32 a centroid       -|c|^2 / 2; -3e38 behind the last list
 *   group_bytes, group_scales, group_biases   the same of the groups' centroids
 *   group_first      uint32 (groups + 1)      first list of each group
 *   codebook         float32 (code_count, dim / code_count, 16)
 *   lists            uint32 (lists + 1, 2)    first block of each list, and first place
 *   codes            uint8 (blocks, code_count rounded up to 4, / 2, 32)
 *   terms            float16 (blocks, 32)     (|c + r|^2 - 1) / 2 of the decoded residual r; infinity in an empty slot
 *   refinement       int8: dim bytes of what codes leave, x - c - r, and their scale (packed.h); float16: dim halves of x; a place
 *   rows             1 to 4 bytes (count)     row of a place
 *   row_lists        1 to 4 bytes (count)     list of a row
 *   id_counts        uint32 a block           ids as bits (id_bits.h), if these are shorter than the ids; else empty
 *   ids              uint64                   the bits, or (count): tile id of a row, ascending
 */
#ifndef INDEX_SEGMENT_H
#define INDEX_SEGMENT_H

#include "core/file.h"
#include "index/id_bits.h"
#include "index/index.h"
#include "index/native_kernel.h"
#include "index/packed.h"

enum { DIP_SEGMENT_VERSION = 2 };

typedef enum dip_segment_section {
    DIP_SEGMENT_COARSE_BYTES,
    DIP_SEGMENT_COARSE_SCALES,
    DIP_SEGMENT_COARSE_BIASES,
    DIP_SEGMENT_GROUP_BYTES,
    DIP_SEGMENT_GROUP_SCALES,
    DIP_SEGMENT_GROUP_BIASES,
    DIP_SEGMENT_GROUP_FIRST,
    DIP_SEGMENT_CODEBOOK,
    DIP_SEGMENT_LISTS,
    DIP_SEGMENT_CODES,
    DIP_SEGMENT_TERMS,
    DIP_SEGMENT_REFINEMENT,
    DIP_SEGMENT_ROWS,
    DIP_SEGMENT_ROW_LISTS,
    DIP_SEGMENT_ID_COUNTS,
    DIP_SEGMENT_IDS,
    DIP_SEGMENT_SECTIONS
} dip_segment_section;

typedef struct dip_segment_shape {
    uint32_t dim, lists, groups, code_count, refinement, blocks, nprobe, depth;
    uint64_t count, seed, first_id, last_id;
    float spread;
} dip_segment_shape;

/** Where a list begins. */
typedef struct dip_segment_list {
    uint32_t block, place;
} dip_segment_list;

/** A mapped segment; pointers go into the map. */
typedef struct dip_segment {
    dip_segment_shape shape;
    dip_map map;
    const float *codebook;
    dip_native_coarse coarse, group;
    const uint32_t *group_first;
    const dip_segment_list *lists; /* (lists + 1) */
    const uint8_t *codes;
    const uint16_t *terms;
    const uint8_t *refinement, *rows, *row_lists;
    unsigned row_width, list_width; /* bytes of a number in `rows` and in `row_lists` */
    const uint64_t *ids;            /* of the rows; NULL: */
    dip_id_bits id_bits;
    uint64_t header_hash; /* what a delta names it by */
} dip_segment;

/** The row at a place; out of range if it is damaged. */
static inline uint32_t dip_segment_row(const dip_segment *s, size_t place)
{
    return dip_packed_get(s->rows, s->row_width, place);
}

/** Slot of a place of a list. */
static inline size_t dip_segment_slot(const dip_segment *s, uint32_t list, uint32_t place)
{
    return (size_t)s->lists[list].block * DIP_NATIVE_BLOCK + (place - s->lists[list].place);
}

/** List and place of a row below the count. Expected failure: DIP_ECORRUPT. */
dip_status dip_segment_find(const dip_segment *segment, uint32_t row, uint32_t *list,
                            uint32_t *place);

/** A list's centroid: bytes (dim rounded up to 4), times what is returned. */
float dip_segment_centroid(const dip_segment *segment, uint32_t list, int8_t *bytes);

/** The id of a row, and a word to the system that it will be asked for. */
static inline uint64_t dip_segment_id(const dip_segment *s, size_t row)
{
    return s->ids ? s->ids[row] : dip_id_bits_at(&s->id_bits, row);
}
void dip_segment_expect_id(const dip_segment *segment, size_t row);
/** The ids of n rows from `row` on. */
void dip_segment_ids(const dip_segment *segment, size_t row, size_t n, uint64_t *out);

/** Bytes of a vector's refinement, and of a block's codes. */
size_t dip_segment_refine_bytes(const dip_segment_shape *shape);
size_t dip_segment_block_bytes(const dip_segment_shape *shape);
/** Bytes of a row and of a list where these are many. */
unsigned dip_segment_row_width(const dip_segment_shape *shape);
unsigned dip_segment_list_width(const dip_segment_shape *shape);
/** Words of bits that the ids take; 0 if they stand there as they are, because that is shorter. */
size_t dip_segment_id_words(const dip_segment_shape *shape);

/**
 * Maps a file. Checked are the header, the lengths, and the small sections that say where things are (their checksums
 * too); the sections a value a vector are only mapped, so that opening does not read them: whoever uses a row, a list or a
 * place from them checks its range. dip_segment_verify() reads all. Expected failures: DIP_ENOENT, DIP_ECORRUPT,
 * DIP_EFORMAT (another version).
 */
dip_status dip_segment_open(dip_segment *out, const char *path);
void dip_segment_close(dip_segment *segment);

/** Compares every checksum, and that places, lists, rows and ids fit each other. Expected failure: DIP_ECORRUPT. */
dip_status dip_segment_verify(const dip_segment *segment, const char *path);

/** Bytes of every section of a shape; returns those of the file. */
uint64_t dip_segment_layout(const dip_segment_shape *shape, uint64_t offsets[DIP_SEGMENT_SECTIONS],
                            uint64_t bytes[DIP_SEGMENT_SECTIONS]);

/** A file being written: sections in their order, each in pieces. */
typedef struct dip_segment_writer {
    dip_aside file;
    dip_segment_shape shape;
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS],
        hashes[DIP_SEGMENT_SECTIONS];
    unsigned section; /* at work */
    uint64_t written; /* of it */
    uint8_t *chunk;   /* not yet hashed and written */
    size_t held;
} dip_segment_writer;

dip_status dip_segment_begin(dip_segment_writer *writer, const char *path,
                             const dip_segment_shape *shape);
/** The next bytes of a section; a section begins where the one before has all its bytes. */
dip_status dip_segment_write(dip_segment_writer *writer, dip_segment_section section,
                             const void *bytes, size_t length);
/** Header, fsync, rename; frees the writer, also when it fails. */
dip_status dip_segment_commit(dip_segment_writer *writer);
void dip_segment_abandon(dip_segment_writer *writer);

#endif
