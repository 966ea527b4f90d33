/**
 * The file of the native engine, `<name>.segment`: a trained IVF-PQ index laid out to be scanned where it is mapped.
 * Little-endian, never changed once written.
 *
 * Lists stand one after the other in groups whose centroids are near each other; a list is a whole number of blocks
 * of 32 *slots*, its last slots may be empty. A *row* is the rank of a vector's id, as everywhere in index/.
 *
 *   offset size
 *        0    8  "DIPSEGMT"
 *        8    4  version, 1
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
 *       64   16 x 24  sections, in the order of dip_segment_section: offset, bytes, XXH3
 *      448    8  XXH3 of bytes 0..447
 *     4096       the sections, each at a multiple of 4096, zeros between
 *
 *   section          type                     content
 *   centroids        float32 (lists, dim)
 *   coarse_bytes     uint8                    the centroids as bytes (native_kernel.h), rounded up to blocks of 16
 *   coarse_scales    float32 a centroid       of the bytes; 0 behind the last list
 *   coarse_biases    float32 a centroid       -|c|^2 / 2; -3e38 behind the last list
 *   group_bytes, group_scales, group_biases   the same of the groups' centroids
 *   group_first      uint32 (groups + 1)      first list of each group
 *   codebook         float32 (code_count, dim / code_count, 16)
 *   first_block      uint32 (lists + 1)
 *   codes            uint8 (blocks, code_count rounded up to 4, / 2, 32)
 *   terms            float16 (blocks, 32)     (|c + r|^2 - 1) / 2 of the decoded residual r; infinity in an empty slot
 *   refinement       int8: dim bytes and a float16 scale of what codes leave, x - c - r; float16: dim halves of x; a slot
 *   rows             uint32 (blocks, 32)      row of a slot; UINT32_MAX in an empty one
 *   slots            uint32 (count)           slot of a row
 *   ids              uint64 (count)           tile id of a row, ascending
 */
#ifndef INDEX_SEGMENT_H
#define INDEX_SEGMENT_H

#include "core/file.h"
#include "index/index.h"
#include "index/native_kernel.h"

#define DIP_SEGMENT_EMPTY UINT32_MAX

typedef enum dip_segment_section {
    DIP_SEGMENT_CENTROIDS,
    DIP_SEGMENT_COARSE_BYTES,
    DIP_SEGMENT_COARSE_SCALES,
    DIP_SEGMENT_COARSE_BIASES,
    DIP_SEGMENT_GROUP_BYTES,
    DIP_SEGMENT_GROUP_SCALES,
    DIP_SEGMENT_GROUP_BIASES,
    DIP_SEGMENT_GROUP_FIRST,
    DIP_SEGMENT_CODEBOOK,
    DIP_SEGMENT_FIRST_BLOCK,
    DIP_SEGMENT_CODES,
    DIP_SEGMENT_TERMS,
    DIP_SEGMENT_REFINEMENT,
    DIP_SEGMENT_ROWS,
    DIP_SEGMENT_SLOTS,
    DIP_SEGMENT_IDS,
    DIP_SEGMENT_SECTIONS
} dip_segment_section;

typedef struct dip_segment_shape {
    uint32_t dim, lists, groups, code_count, refinement, blocks, nprobe, depth;
    uint64_t count, seed;
    float spread;
} dip_segment_shape;

/** A mapped segment; pointers go into the map. */
typedef struct dip_segment {
    dip_segment_shape shape;
    dip_map map;
    const float *centroids, *codebook;
    dip_native_coarse coarse, group;
    const uint32_t *group_first, *first_block;
    const uint8_t *codes;
    const uint16_t *terms;
    const uint8_t *refinement;
    const uint32_t *rows, *slots;
    const uint64_t *ids;
    uint64_t header_hash; /* what a delta names it by */
} dip_segment;

/** Bytes of a slot's refinement, and of a block's codes. */
size_t dip_segment_refine_bytes(const dip_segment_shape *shape);
size_t dip_segment_block_bytes(const dip_segment_shape *shape);

/**
 * Maps a file. Checked are the header, the lengths, and the small sections that say where things are (their checksums
 * too); the sections a value a vector are only mapped, so that opening does not read them: whoever uses a row or a
 * slot from them checks its range. dip_segment_verify() reads all. Expected failures: DIP_ENOENT, DIP_ECORRUPT,
 * DIP_EFORMAT (a later version).
 */
dip_status dip_segment_open(dip_segment *out, const char *path);
void dip_segment_close(dip_segment *segment);

/** Compares every checksum, and that slots and rows name each other. Expected failure: DIP_ECORRUPT. */
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
