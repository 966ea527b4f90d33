/*
 * The file of the native engine; see segment.h.
 *
 * A section's checksum is that of its chunks of a mebibyte, each continued from the one before, so that it can be
 * written in a stream and compared in a map.
 */
#include "index/segment.h"

#include "core/hash.h"
#include "core/mem.h"
#include "index/coded.h"
#include "index/layout.h"

#include <string.h>

enum { VERSION = 1, HASHED_HEADER = 448, PAGE = 4096, CHUNK = 1 << 20 };

static const char magic[8] = {'D', 'I', 'P', 'S', 'E', 'G', 'M', 'T'};

typedef struct raw_section {
    uint64_t offset, bytes, hash;
} raw_section;

typedef struct raw_header {
    char magic[8];
    uint32_t version, dim;
    uint64_t count;
    uint32_t lists, groups, code_count, refinement, blocks, nprobe, depth;
    float spread;
    uint64_t seed;
    raw_section section[DIP_SEGMENT_SECTIONS];
    uint64_t header_hash;
} raw_header;

_Static_assert(sizeof(raw_header) == HASHED_HEADER + 8, "the header has no holes");

static uint64_t rounded(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

size_t dip_segment_block_bytes(const dip_segment_shape *shape)
{
    return rounded(shape->code_count, DIP_NATIVE_GROUP) / 2 * DIP_NATIVE_BLOCK;
}

size_t dip_segment_refine_bytes(const dip_segment_shape *shape)
{
    return shape->refinement == DIP_REFINE_HALF ? 2 * (size_t)shape->dim
                                                : rounded(shape->dim, 2) + 2;
}

uint64_t dip_segment_layout(const dip_segment_shape *s, uint64_t offsets[DIP_SEGMENT_SECTIONS],
                            uint64_t bytes[DIP_SEGMENT_SECTIONS])
{
    uint64_t rows = rounded(s->lists, DIP_NATIVE_ROWS), dim4 = rounded(s->dim, 4);
    uint64_t groups = rounded(s->groups, DIP_NATIVE_ROWS);
    uint64_t slots = (uint64_t)s->blocks * DIP_NATIVE_BLOCK, at = PAGE;
    bytes[DIP_SEGMENT_CENTROIDS] = (uint64_t)s->lists * s->dim * 4;
    bytes[DIP_SEGMENT_COARSE_BYTES] = rows * dim4;
    bytes[DIP_SEGMENT_COARSE_SCALES] = bytes[DIP_SEGMENT_COARSE_BIASES] = rows * 4;
    bytes[DIP_SEGMENT_GROUP_BYTES] = groups * dim4;
    bytes[DIP_SEGMENT_GROUP_SCALES] = bytes[DIP_SEGMENT_GROUP_BIASES] = groups * 4;
    bytes[DIP_SEGMENT_GROUP_FIRST] = ((uint64_t)s->groups + 1) * 4;
    bytes[DIP_SEGMENT_CODEBOOK] = (uint64_t)s->dim * 16 * 4;
    bytes[DIP_SEGMENT_FIRST_BLOCK] = ((uint64_t)s->lists + 1) * 4;
    bytes[DIP_SEGMENT_CODES] = s->blocks * dip_segment_block_bytes(s);
    bytes[DIP_SEGMENT_TERMS] = slots * 2;
    bytes[DIP_SEGMENT_REFINEMENT] = slots * dip_segment_refine_bytes(s);
    bytes[DIP_SEGMENT_ROWS] = slots * 4;
    bytes[DIP_SEGMENT_SLOTS] = s->count * 4;
    bytes[DIP_SEGMENT_IDS] = s->count * 8;
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++) {
        offsets[i] = at;
        at = rounded(at + bytes[i], PAGE);
    }
    return at;
}

static uint64_t hash_bytes(const uint8_t *bytes, uint64_t length)
{
    uint64_t hash = 0;
    for (uint64_t at = 0; at < length; at += CHUNK) {
        uint64_t left = length - at;
        hash = dip_hash64_seed(bytes + at, left < CHUNK ? (size_t)left : CHUNK, hash);
    }
    return hash;
}

/* --- Reading --- */

static dip_status damaged(const char *path, const char *what)
{
    return dip_fail(DIP_ECORRUPT, "'%s' is damaged: %s; run diptych index again", path, what);
}

static dip_status check_header(const raw_header *raw, const char *path)
{
    if (memcmp(raw->magic, magic, sizeof magic)) return damaged(path, "it is no segment");
    if (dip_hash64(raw, HASHED_HEADER) != raw->header_hash)
        return damaged(path, "the checksum of its header is wrong");
    if (raw->version != VERSION)
        return dip_fail(DIP_EFORMAT,
                        "'%s' is a segment of version %u, this program reads %d; run diptych "
                        "index again",
                        path, raw->version, VERSION);
    bool fine = raw->dim && raw->dim <= DIP_LAYOUT_MAX_DIM && raw->count <= DIP_LAYOUT_MAX_COUNT &&
                raw->lists && raw->groups && raw->groups <= raw->lists && raw->code_count &&
                raw->code_count <= DIP_MOST_CODES && raw->dim % raw->code_count == 0 &&
                (raw->refinement == DIP_REFINE_INT8 || raw->refinement == DIP_REFINE_HALF) &&
                raw->nprobe && raw->depth && raw->spread >= 0 && raw->spread <= 1 &&
                raw->blocks <= DIP_LAYOUT_MAX_COUNT / DIP_NATIVE_BLOCK &&
                (uint64_t)raw->blocks * DIP_NATIVE_BLOCK >= raw->count;
    return fine ? DIP_OK : damaged(path, "its counts are impossible");
}

/* From `first` to `last` in `count` steps, none backwards. */
static bool climbs(const uint32_t *steps, size_t count, uint32_t last)
{
    if (steps[0] != 0 || steps[count] != last) return false;
    for (size_t i = 0; i < count; i++)
        if (steps[i] > steps[i + 1]) return false;
    return true;
}

/* The sections that every search reads, and which say where all others are. */
static bool small(unsigned section) { return section <= DIP_SEGMENT_FIRST_BLOCK; }

static const char wrong_sum[] = "the checksum of its content is wrong";

static dip_status check_sections(const raw_header *raw, const dip_map *map,
                                 const dip_segment_shape *shape, const char *path)
{
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS];
    if (dip_segment_layout(shape, offsets, bytes) != map->length)
        return damaged(path, "its length does not fit its header");
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++) {
        if (raw->section[i].offset != offsets[i] || raw->section[i].bytes != bytes[i])
            return damaged(path, "its sections do not fit its header");
        if (small(i) && hash_bytes(map->bytes + offsets[i], bytes[i]) != raw->section[i].hash)
            return damaged(path, wrong_sum);
    }
    return DIP_OK;
}

static const void *part(const dip_segment *s, const raw_header *raw, dip_segment_section section)
{
    return s->map.bytes + raw->section[section].offset;
}

static void point(dip_segment *s, const raw_header *raw)
{
    size_t steps = (s->shape.dim + 3) / 4;
    s->centroids = part(s, raw, DIP_SEGMENT_CENTROIDS);
    s->codebook = part(s, raw, DIP_SEGMENT_CODEBOOK);
    s->coarse = (dip_native_coarse){part(s, raw, DIP_SEGMENT_COARSE_BYTES),
                                    part(s, raw, DIP_SEGMENT_COARSE_SCALES),
                                    part(s, raw, DIP_SEGMENT_COARSE_BIASES), steps};
    s->group = (dip_native_coarse){part(s, raw, DIP_SEGMENT_GROUP_BYTES),
                                   part(s, raw, DIP_SEGMENT_GROUP_SCALES),
                                   part(s, raw, DIP_SEGMENT_GROUP_BIASES), steps};
    s->group_first = part(s, raw, DIP_SEGMENT_GROUP_FIRST);
    s->first_block = part(s, raw, DIP_SEGMENT_FIRST_BLOCK);
    s->codes = part(s, raw, DIP_SEGMENT_CODES);
    s->terms = part(s, raw, DIP_SEGMENT_TERMS);
    s->refinement = part(s, raw, DIP_SEGMENT_REFINEMENT);
    s->rows = part(s, raw, DIP_SEGMENT_ROWS);
    s->slots = part(s, raw, DIP_SEGMENT_SLOTS);
    s->ids = part(s, raw, DIP_SEGMENT_IDS);
}

static dip_status read_map(dip_segment *s, const char *path)
{
    raw_header raw;
    if (s->map.length < PAGE) return damaged(path, "it is shorter than its header");
    memcpy(&raw, s->map.bytes, sizeof raw);
    dip_status status = check_header(&raw, path);
    if (status) return status;
    s->shape = (dip_segment_shape){raw.dim,        raw.lists,  raw.groups, raw.code_count,
                                   raw.refinement, raw.blocks, raw.nprobe, raw.depth,
                                   raw.count,      raw.seed,   raw.spread};
    status = check_sections(&raw, &s->map, &s->shape, path);
    if (status) return status;
    point(s, &raw);
    s->header_hash = raw.header_hash;
    if (!climbs(s->group_first, s->shape.groups, s->shape.lists) ||
        !climbs(s->first_block, s->shape.lists, s->shape.blocks))
        return damaged(path, "its lists are out of order");
    return DIP_OK;
}

dip_status dip_segment_open(dip_segment *out, const char *path)
{
    dip_segment s = {.map = {NULL, 0}};
    dip_status status = dip_file_map(&s.map, path);
    if (status) return status;
    status = read_map(&s, path);
    if (status)
        dip_file_unmap(&s.map);
    else
        *out = s;
    return status;
}

void dip_segment_close(dip_segment *segment) { dip_file_unmap(&segment->map); }

dip_status dip_segment_verify(const dip_segment *s, const char *path)
{
    raw_header raw;
    memcpy(&raw, s->map.bytes, sizeof raw);
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++) {
        const raw_section *section = &raw.section[i];
        if (hash_bytes(s->map.bytes + section->offset, section->bytes) != section->hash)
            return damaged(path, wrong_sum);
    }
    size_t slots = (size_t)s->shape.blocks * DIP_NATIVE_BLOCK, full = 0;
    for (size_t slot = 0; slot < slots; slot++) {
        uint32_t row = s->rows[slot];
        if (row == DIP_SEGMENT_EMPTY) continue;
        if (row >= s->shape.count || s->slots[row] != slot)
            return damaged(path, "its slots and rows do not fit");
        full++;
    }
    if (full != s->shape.count) return damaged(path, "its slots and rows do not fit");
    for (size_t i = 1; i < s->shape.count; i++)
        if (s->ids[i - 1] >= s->ids[i]) return damaged(path, "its ids are out of order");
    return DIP_OK;
}

/* --- Writing --- */

static dip_status put(dip_segment_writer *w, const void *bytes, size_t length)
{
    if (fwrite(bytes, 1, length, w->file.stream) == length) return DIP_OK;
    return dip_fail_errno("write", w->file.partial);
}

static dip_status pad_to(dip_segment_writer *w, uint64_t offset, uint64_t at)
{
    static const uint8_t zeros[PAGE];
    dip_status status = DIP_OK;
    while (!status && at < offset) {
        size_t n = offset - at < PAGE ? (size_t)(offset - at) : PAGE;
        status = put(w, zeros, n);
        at += n;
    }
    return status;
}

dip_status dip_segment_begin(dip_segment_writer *w, const char *path,
                             const dip_segment_shape *shape)
{
    *w = (dip_segment_writer){.shape = *shape};
    dip_segment_layout(shape, w->offsets, w->bytes);
    w->chunk = dip_alloc(CHUNK);
    if (!w->chunk) return DIP_ENOMEM;
    dip_status status = dip_file_begin(&w->file, path);
    if (!status) {
        status = pad_to(w, PAGE, 0);
        if (status) dip_file_abandon(&w->file);
    }
    if (status) dip_free(w->chunk);
    return status;
}

static dip_status flush(dip_segment_writer *w)
{
    if (!w->held) return DIP_OK;
    w->hashes[w->section] = dip_hash64_seed(w->chunk, w->held, w->hashes[w->section]);
    dip_status status = put(w, w->chunk, w->held);
    w->held = 0;
    return status;
}

/* Sections that have all their bytes are closed. */
static dip_status advance(dip_segment_writer *w)
{
    dip_status status = DIP_OK;
    while (!status && w->section < DIP_SEGMENT_SECTIONS && w->written == w->bytes[w->section]) {
        uint64_t end = w->offsets[w->section] + w->bytes[w->section];
        status = flush(w);
        if (!status) status = pad_to(w, rounded(end, PAGE), end);
        w->section++;
        w->written = 0;
    }
    return status;
}

dip_status dip_segment_write(dip_segment_writer *w, dip_segment_section section, const void *bytes,
                             size_t length)
{
    const uint8_t *from = bytes;
    if (!length) return DIP_OK; /* of a segment without vectors, most sections are empty */
    dip_status status = advance(w);
    if (!status && (w->section != section || length > w->bytes[section] - w->written))
        return dip_fail(DIP_EINVAL, "section %d of '%s' is written out of turn", (int)section,
                        w->file.path);
    w->written += length;
    while (!status && length) {
        size_t n = CHUNK - w->held < length ? CHUNK - w->held : length;
        memcpy(w->chunk + w->held, from, n);
        w->held += n;
        from += n;
        length -= n;
        if (w->held == CHUNK) status = flush(w);
    }
    return status;
}

static dip_status write_header(dip_segment_writer *w)
{
    const dip_segment_shape *s = &w->shape;
    raw_header raw = {.version = VERSION,
                      .dim = s->dim,
                      .count = s->count,
                      .lists = s->lists,
                      .groups = s->groups,
                      .code_count = s->code_count,
                      .refinement = s->refinement,
                      .blocks = s->blocks,
                      .nprobe = s->nprobe,
                      .depth = s->depth,
                      .spread = s->spread,
                      .seed = s->seed};
    memcpy(raw.magic, magic, sizeof magic);
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++)
        raw.section[i] = (raw_section){w->offsets[i], w->bytes[i], w->hashes[i]};
    raw.header_hash = dip_hash64(&raw, HASHED_HEADER);
    if (fseek(w->file.stream, 0, SEEK_SET)) return dip_fail_errno("write", w->file.partial);
    return put(w, &raw, sizeof raw);
}

dip_status dip_segment_commit(dip_segment_writer *w)
{
    dip_status status = advance(w);
    if (!status && w->section != DIP_SEGMENT_SECTIONS)
        status =
            dip_fail(DIP_EINVAL, "section %u of '%s' is not written", w->section, w->file.path);
    if (!status) status = write_header(w);
    if (status) {
        dip_segment_abandon(w);
        return status;
    }
    dip_free(w->chunk);
    return dip_file_commit(&w->file);
}

void dip_segment_abandon(dip_segment_writer *w)
{
    dip_file_abandon(&w->file);
    dip_free(w->chunk);
}
