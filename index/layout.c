/*
 * Index files of ours; see layout.h for the bytes.
 *
 * Nothing of a file is used before its length has been checked against the counts in its header, the header
 * against its own checksum and the rest against the header's: what comes out of dip_layout_parse() can be
 * indexed without a further look.
 */
#include "index/layout.h"

#include "core/hash.h"

#include <string.h>

enum { VERSION = 1, HASHED_HEADER = 120 };

static const char magic[8] = {'D', 'I', 'P', 'I', 'N', 'D', 'E', 'X'};
static const uint8_t zeros[64];

typedef struct raw_header {
    char magic[8];
    uint32_t version, kind;
    uint64_t count, live;
    uint32_t dim, lists, code_count, nprobe, depth, zero;
    uint64_t seed, faiss_bytes, faiss_hash, body_hash, base;
    uint8_t zero_too[24];
    uint64_t header_hash;
} raw_header;

_Static_assert(sizeof(raw_header) == DIP_LAYOUT_HEADER, "the header has no holes");

/* Bytes of the parts of a file, which follow each other; the 64-bit ones come first, so that all are aligned. */
typedef struct parts {
    uint64_t ids, removed, padding, vectors;
} parts;

static uint64_t length_of(const parts *p)
{
    return DIP_LAYOUT_HEADER + p->ids + p->removed + p->padding + p->vectors;
}

static parts find_parts(uint32_t kind, uint64_t count, uint64_t base, uint32_t dim)
{
    parts p = {.ids = count * sizeof(uint64_t)};
    if (kind != DIP_LAYOUT_VECTORS)
        p.removed = dip_bit_words((size_t)(kind == DIP_LAYOUT_IDS ? count : base)) * 8;
    if (kind != DIP_LAYOUT_IDS) {
        p.padding = (64 - (DIP_LAYOUT_HEADER + p.ids + p.removed) % 64) % 64;
        p.vectors = count * dim * sizeof(float);
    }
    return p;
}

static uint64_t hash_body(const parts *p, const void *ids, const void *removed, const void *padding,
                          const void *vectors)
{
    uint64_t hash = dip_hash64(ids, (size_t)p->ids);
    if (removed) hash = dip_hash64_seed(removed, (size_t)p->removed, hash);
    if (p->padding) hash = dip_hash64_seed(padding, (size_t)p->padding, hash);
    return vectors ? dip_hash64_seed(vectors, (size_t)p->vectors, hash) : hash;
}

static dip_status damaged(const char *path, const char *what)
{
    return dip_fail(DIP_ECORRUPT, "'%s' is damaged: %s; run diptych index again", path, what);
}

static dip_status check_header(const raw_header *raw, const char *path)
{
    if (memcmp(raw->magic, magic, sizeof magic)) return damaged(path, "it is no index file");
    if (dip_hash64(raw, HASHED_HEADER) != raw->header_hash)
        return damaged(path, "the checksum of its header is wrong");
    if (raw->version != VERSION)
        return dip_fail(DIP_EFORMAT,
                        "'%s' is an index file of version %u, this program reads %d; "
                        "run diptych index again",
                        path, raw->version, VERSION);
    if (raw->kind < DIP_LAYOUT_VECTORS || raw->kind > DIP_LAYOUT_DELTA)
        return damaged(path, "its kind is not known");
    if (raw->dim == 0 || raw->dim > DIP_LAYOUT_MAX_DIM || raw->count > DIP_LAYOUT_MAX_COUNT ||
        raw->base > DIP_LAYOUT_MAX_COUNT - raw->count || raw->live > raw->count + raw->base)
        return damaged(path, "its counts are impossible");
    return DIP_OK;
}

static bool ascending(const uint64_t *ids, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++)
        if (ids[i - 1] >= ids[i]) return false;
    return count == 0 || ids[count - 1] != UINT64_MAX;
}

/* Rows not removed; also that no bit stands for a row that is not there. */
static bool count_live(const uint64_t *removed, uint64_t count, uint64_t live)
{
    uint64_t gone = 0, words = dip_bit_words((size_t)count);
    for (uint64_t i = 0; i < words; i++) gone += (uint64_t)__builtin_popcountll(removed[i]);
    if (count % 64 && removed[words - 1] >> (count % 64)) return false;
    return gone + live == count;
}

dip_status dip_layout_parse(dip_layout_view *out, const void *bytes, size_t length,
                            const char *path)
{
    raw_header raw;
    if (length < sizeof raw) return damaged(path, "it is shorter than its header");
    memcpy(&raw, bytes, sizeof raw);
    dip_status status = check_header(&raw, path);
    if (status) return status;
    parts p = find_parts(raw.kind, raw.count, raw.base, raw.dim);
    if (length_of(&p) != length) return damaged(path, "its length does not fit its header");
    const uint8_t *ids = (const uint8_t *)bytes + DIP_LAYOUT_HEADER;
    const uint8_t *removed = ids + p.ids, *padding = removed + p.removed;
    const uint8_t *vectors = padding + p.padding;
    if (raw.kind == DIP_LAYOUT_IDS) vectors = NULL;
    if (raw.kind == DIP_LAYOUT_VECTORS) removed = NULL;
    if (hash_body(&p, ids, removed, padding, vectors) != raw.body_hash)
        return damaged(path, "the checksum of its content is wrong");

    dip_layout_view view = {
        .layout = {raw.kind, raw.count, raw.live, raw.dim, raw.lists, raw.code_count, raw.nprobe,
                   raw.depth, raw.seed, raw.faiss_bytes, raw.faiss_hash, raw.base},
        .ids = (const uint64_t *)(const void *)ids,
        .removed = (const uint64_t *)(const void *)removed,
        .vectors = (const float *)(const void *)vectors,
    };
    if (raw.kind == DIP_LAYOUT_VECTORS && raw.live != raw.count)
        return damaged(path, "its counts are impossible");
    if (raw.kind != DIP_LAYOUT_IDS && !ascending(view.ids, raw.count))
        return damaged(path, "its ids are out of order");
    bool delta = raw.kind == DIP_LAYOUT_DELTA;
    if (removed && !count_live(view.removed, delta ? raw.base : raw.count,
                               delta ? raw.live - raw.count : raw.live))
        return damaged(path, "its list of removed rows does not fit its header");
    *out = view;
    return DIP_OK;
}

dip_status dip_layout_open(dip_layout_view *out, dip_map *map, const char *path)
{
    dip_map opened;
    dip_status status = dip_file_map(&opened, path);
    if (status) return status;
    status = dip_layout_parse(out, opened.bytes, opened.length, path);
    if (status) {
        dip_file_unmap(&opened);
        return status;
    }
    *map = opened;
    return DIP_OK;
}

static raw_header make_header(const dip_layout *layout, uint64_t body_hash)
{
    raw_header raw = {
        .version = VERSION,
        .kind = layout->kind,
        .count = layout->count,
        .live = layout->live,
        .dim = layout->dim,
        .lists = layout->lists,
        .code_count = layout->code_count,
        .nprobe = layout->nprobe,
        .depth = layout->depth,
        .seed = layout->seed,
        .faiss_bytes = layout->faiss_bytes,
        .faiss_hash = layout->faiss_hash,
        .base = layout->base,
        .body_hash = body_hash,
    };
    memcpy(raw.magic, magic, sizeof magic);
    raw.header_hash = dip_hash64(&raw, HASHED_HEADER);
    return raw;
}

dip_status dip_layout_write(const char *path, const dip_layout *layout, const uint64_t *ids,
                            const uint64_t *removed, const float *vectors)
{
    parts p = find_parts(layout->kind, layout->count, layout->base, layout->dim);
    raw_header raw = make_header(layout, hash_body(&p, ids, removed, zeros, vectors));
    const struct {
        const void *bytes;
        size_t length;
    } pieces[] = {{&raw, sizeof raw},
                  {ids, (size_t)p.ids},
                  {removed, (size_t)p.removed},
                  {zeros, (size_t)p.padding},
                  {vectors, (size_t)p.vectors}};
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t length = pieces[i].length;
        if (length == 0 || fwrite(pieces[i].bytes, 1, length, file.stream) == length) continue;
        status = dip_fail_errno("write", file.partial);
        dip_file_abandon(&file);
        return status;
    }
    return dip_file_commit(&file);
}
