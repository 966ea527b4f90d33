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

enum { HASHED_HEADER = 464, PAGE = 4096, CHUNK = 1 << 20 };

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
    uint64_t seed, first_id, last_id;
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
    return shape->refinement == DIP_REFINE_HALF ? 2 * (size_t)shape->dim : (size_t)shape->dim + 1;
}

unsigned dip_segment_row_width(const dip_segment_shape *s)
{
    return dip_packed_width(s->count - 1);
}

unsigned dip_segment_list_width(const dip_segment_shape *s)
{
    return dip_packed_width(s->lists - 1);
}

size_t dip_segment_id_words(const dip_segment_shape *s)
{
    if (!s->count || s->last_id < s->first_id) return 0;
    const uint64_t words = dip_id_bits_words(s->first_id, s->last_id);
    if (words > s->count) return 0;
    const uint64_t bytes = words * 8 + dip_id_bits_blocks(words) * 4;
    return bytes < s->count * 8 ? words : 0;
}

uint64_t dip_segment_layout(const dip_segment_shape *s, uint64_t offsets[DIP_SEGMENT_SECTIONS],
                            uint64_t bytes[DIP_SEGMENT_SECTIONS])
{
    uint64_t rows = rounded(s->lists, DIP_NATIVE_ROWS), dim4 = rounded(s->dim, 4);
    uint64_t groups = rounded(s->groups, DIP_NATIVE_ROWS);
    uint64_t slots = (uint64_t)s->blocks * DIP_NATIVE_BLOCK, words = dip_segment_id_words(s),
             at = PAGE;
    bytes[DIP_SEGMENT_COARSE_BYTES] = rows * dim4;
    bytes[DIP_SEGMENT_COARSE_SCALES] = bytes[DIP_SEGMENT_COARSE_BIASES] = rows * 4;
    bytes[DIP_SEGMENT_GROUP_BYTES] = groups * dim4;
    bytes[DIP_SEGMENT_GROUP_SCALES] = bytes[DIP_SEGMENT_GROUP_BIASES] = groups * 4;
    bytes[DIP_SEGMENT_GROUP_FIRST] = ((uint64_t)s->groups + 1) * 4;
    bytes[DIP_SEGMENT_CODEBOOK] = (uint64_t)s->dim * 16 * 4;
    bytes[DIP_SEGMENT_LISTS] = ((uint64_t)s->lists + 1) * sizeof(dip_segment_list);
    bytes[DIP_SEGMENT_CODES] = s->blocks * dip_segment_block_bytes(s);
    bytes[DIP_SEGMENT_TERMS] = slots * 2;
    bytes[DIP_SEGMENT_REFINEMENT] = s->count * dip_segment_refine_bytes(s);
    bytes[DIP_SEGMENT_ROWS] = s->count * dip_segment_row_width(s);
    bytes[DIP_SEGMENT_ROW_LISTS] = s->count * dip_segment_list_width(s);
    bytes[DIP_SEGMENT_ID_COUNTS] = dip_id_bits_blocks(words) * 4;
    bytes[DIP_SEGMENT_IDS] = (words ? words : s->count) * 8;
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
    if (raw->version != DIP_SEGMENT_VERSION)
        return dip_fail(DIP_EFORMAT,
                        "'%s' is a segment of version %u, this program reads %d; run diptych "
                        "index again",
                        path, raw->version, DIP_SEGMENT_VERSION);
    if (dip_hash64(raw, HASHED_HEADER) != raw->header_hash)
        return damaged(path, "the checksum of its header is wrong");
    bool fine = raw->dim && raw->dim <= DIP_LAYOUT_MAX_DIM && raw->count <= DIP_LAYOUT_MAX_COUNT &&
                raw->lists && raw->groups && raw->groups <= raw->lists && raw->code_count &&
                raw->code_count <= DIP_MOST_CODES && raw->dim % raw->code_count == 0 &&
                (raw->refinement == DIP_REFINE_INT8 || raw->refinement == DIP_REFINE_HALF) &&
                raw->nprobe && raw->depth && raw->spread >= 0 && raw->spread <= 1 &&
                raw->blocks <= DIP_LAYOUT_MAX_COUNT / DIP_NATIVE_BLOCK &&
                (uint64_t)raw->blocks * DIP_NATIVE_BLOCK >= raw->count &&
                raw->first_id <= raw->last_id && raw->last_id != DIP_NO_ID;
    return fine ? DIP_OK : damaged(path, "its counts are impossible");
}

/* From 0 to the number of lists, none backwards. */
static bool groups_climb(const dip_segment *s)
{
    const uint32_t *first = s->group_first, groups = s->shape.groups;
    for (size_t i = 0; i < groups; i++)
        if (first[i] > first[i + 1]) return false;
    return first[0] == 0 && first[groups] == s->shape.lists;
}

/* The same of the lists, each with as many blocks as its vectors take. */
static bool lists_climb(const dip_segment *s)
{
    const dip_segment_list *at = s->lists, *end = at + s->shape.lists;
    if (at->block != 0 || at->place != 0) return false;
    for (; at < end; at++) {
        if (at[1].place < at->place) return false;
        const uint64_t blocks = rounded(at[1].place - at->place, DIP_NATIVE_BLOCK);
        if (at[1].block != at->block + blocks / DIP_NATIVE_BLOCK) return false;
    }
    return end->block == s->shape.blocks && end->place == s->shape.count;
}

/* The sections that every search reads, and which say where all others are. */
static bool small(unsigned section) { return section <= DIP_SEGMENT_LISTS; }

static const char wrong_sum[] = "the checksum of its content is wrong";

static dip_status check_sections(const raw_header *raw, const dip_map *map,
                                 const dip_segment_shape *shape, const char *path)
{
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS];
    if (dip_segment_layout(shape, offsets, bytes) != map->length)
        return damaged(path, "its length does not fit its header");
    dip_file_expect(map->bytes, offsets[DIP_SEGMENT_CODES]);
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
    s->codebook = part(s, raw, DIP_SEGMENT_CODEBOOK);
    s->coarse = (dip_native_coarse){part(s, raw, DIP_SEGMENT_COARSE_BYTES),
                                    part(s, raw, DIP_SEGMENT_COARSE_SCALES),
                                    part(s, raw, DIP_SEGMENT_COARSE_BIASES), steps};
    s->group = (dip_native_coarse){part(s, raw, DIP_SEGMENT_GROUP_BYTES),
                                   part(s, raw, DIP_SEGMENT_GROUP_SCALES),
                                   part(s, raw, DIP_SEGMENT_GROUP_BIASES), steps};
    s->group_first = part(s, raw, DIP_SEGMENT_GROUP_FIRST);
    s->lists = part(s, raw, DIP_SEGMENT_LISTS);
    s->codes = part(s, raw, DIP_SEGMENT_CODES);
    s->terms = part(s, raw, DIP_SEGMENT_TERMS);
    s->refinement = part(s, raw, DIP_SEGMENT_REFINEMENT);
    s->rows = part(s, raw, DIP_SEGMENT_ROWS);
    s->row_width = dip_segment_row_width(&s->shape);
    s->row_lists = part(s, raw, DIP_SEGMENT_ROW_LISTS);
    s->list_width = dip_segment_list_width(&s->shape);
    const uint64_t *ids = part(s, raw, DIP_SEGMENT_IDS);
    const size_t words = dip_segment_id_words(&s->shape);
    if (words)
        s->id_bits = (dip_id_bits){s->shape.first_id, s->shape.count, words, ids,
                                   part(s, raw, DIP_SEGMENT_ID_COUNTS)};
    else
        s->ids = ids;
}

static dip_status read_map(dip_segment *s, const char *path)
{
    raw_header raw;
    if (s->map.length < PAGE) return damaged(path, "it is shorter than its header");
    memcpy(&raw, s->map.bytes, sizeof raw);
    dip_status status = check_header(&raw, path);
    if (status) return status;
    s->shape = (dip_segment_shape){
        raw.dim,   raw.lists, raw.groups, raw.code_count, raw.refinement, raw.blocks, raw.nprobe,
        raw.depth, raw.count, raw.seed,   raw.first_id,   raw.last_id,    raw.spread};
    status = check_sections(&raw, &s->map, &s->shape, path);
    if (status) return status;
    point(s, &raw);
    s->header_hash = raw.header_hash;
    if (!groups_climb(s) || !lists_climb(s)) return damaged(path, "its lists are out of order");
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

/* The first place of [low, end) whose row is not below `row`; without a branch that depends on the rows. */
static uint32_t lower_bound(const dip_segment *s, uint32_t low, uint32_t end, uint32_t row)
{
    uint32_t n = end - low;
    while (n > 1) {
        const uint32_t half = n / 2;
        low += dip_segment_row(s, low + half - 1) < row ? half : 0;
        n -= half;
    }
    return low;
}

dip_status dip_segment_find(const dip_segment *s, uint32_t row, uint32_t *list, uint32_t *place)
{
    *list = dip_packed_get(s->row_lists, s->list_width, row);
    if (*list < s->shape.lists) {
        const uint32_t first = s->lists[*list].place, end = s->lists[*list + 1].place;
        *place = lower_bound(s, first, end, row);
        if (*place < end && dip_segment_row(s, *place) == row) return DIP_OK;
    }
    return dip_fail(DIP_ECORRUPT,
                    "a segment does not hold row %u where it should be; run diptych "
                    "index again",
                    row);
}

float dip_segment_centroid(const dip_segment *s, uint32_t list, int8_t *bytes)
{
    const dip_native_coarse *c = &s->coarse;
    const size_t block = list / DIP_NATIVE_ROWS * c->steps;
    for (size_t i = 0; i < c->steps; i++) {
        uint32_t word;
        memcpy(&word, c->bytes + ((block + i) * DIP_NATIVE_ROWS + list % DIP_NATIVE_ROWS) * 4, 4);
        word ^= 0x80808080; /* less 128 */
        memcpy(bytes + i * 4, &word, 4);
    }
    return c->scales[list];
}

void dip_segment_expect_id(const dip_segment *s, size_t row)
{
    if (s->ids)
        dip_file_expect(s->ids + row, sizeof *s->ids);
    else
        dip_id_bits_expect(&s->id_bits, row);
}

void dip_segment_ids(const dip_segment *s, size_t row, size_t n, uint64_t *out)
{
    if (s->ids)
        memcpy(out, s->ids + row, n * sizeof *out);
    else
        dip_id_bits_copy(&s->id_bits, row, n, out);
}

static bool ids_fit(const dip_segment *s)
{
    const size_t n = s->shape.count;
    if (!s->ids) return dip_id_bits_fit(&s->id_bits, s->shape.last_id);
    for (size_t i = 1; i < n; i++)
        if (s->ids[i - 1] >= s->ids[i]) return false;
    return !n || (s->ids[0] == s->shape.first_id && s->ids[n - 1] == s->shape.last_id);
}

/* Rows ascend within a list, and each names it: so each stands somewhere, and once. */
static bool rows_fit(const dip_segment *s)
{
    for (uint32_t list = 0; list < s->shape.lists; list++) {
        const uint32_t first = s->lists[list].place, end = s->lists[list + 1].place;
        for (uint32_t place = first; place < end; place++) {
            const uint32_t row = dip_segment_row(s, place);
            if (row >= s->shape.count || dip_packed_get(s->row_lists, s->list_width, row) != list ||
                (place > first && row <= dip_segment_row(s, place - 1)))
                return false;
        }
    }
    return true;
}

dip_status dip_segment_verify(const dip_segment *s, const char *path)
{
    raw_header raw;
    memcpy(&raw, s->map.bytes, sizeof raw);
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++) {
        const raw_section *section = &raw.section[i];
        if (hash_bytes(s->map.bytes + section->offset, section->bytes) != section->hash)
            return damaged(path, wrong_sum);
    }
    if (!rows_fit(s)) return damaged(path, "its lists and rows do not fit");
    return ids_fit(s) ? DIP_OK : damaged(path, "its ids are out of order");
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
    raw_header raw = {.version = DIP_SEGMENT_VERSION,
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
                      .seed = s->seed,
                      .first_id = s->first_id,
                      .last_id = s->last_id};
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
