/*
 * Updates of the native engine; see native.h.
 *
 * A short change is a new delta beside the same segment, which the new folder gets by a hard link. A long one is
 * compacted: rows that stay keep their codes and refinement, the delta's and the new ones are coded with the lists
 * and the code book that are there.
 */
#include "index/native.h"

#include "core/mem.h"
#include "index/segment_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DELTA_ROWS =
        8192, /* every search compares them all: a third of a millisecond at 128 dimensions */
    DELTA_SHARE = 1000, /* and a thousandth of the segment */
    REMOVED_PERCENT = 20,
};

/* The rows of the new index, ascending by id, and where each comes from. */
typedef struct row {
    uint64_t id;
    uint32_t list, place; /* in the segment */
    const float *vector;  /* of a delta or of the change; NULL: it stands in that place */
} row;

typedef struct draft {
    const dip_index *base;
    const dip_native *native;
    const dip_change *change;
    row *fresh; /* rows of the new delta */
    size_t fresh_count;
    uint64_t *removed; /* rows of the segment that are gone */
    size_t gone;
} draft;

static bool leaves(const dip_change *c, uint64_t id)
{
    size_t at = dip_ids_lower_bound(c->remove, c->remove_count, id);
    return at < c->remove_count && c->remove[at] == id;
}

static int by_id(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static dip_status collect(draft *d)
{
    const dip_layout_view *delta = &d->native->delta;
    const dip_change *c = d->change;
    size_t base = d->native->segment.shape.count, dim = d->native->segment.shape.dim;
    size_t words = dip_bit_words(base);
    d->fresh = dip_alloc((delta->layout.count + c->n + 1) * sizeof *d->fresh);
    d->removed = dip_calloc(words + 1, sizeof *d->removed);
    if (!d->fresh || !d->removed) return DIP_ENOMEM;
    for (size_t i = 0; i < delta->layout.count; i++)
        if (!leaves(c, delta->ids[i]))
            d->fresh[d->fresh_count++] = (row){delta->ids[i], 0, 0, delta->vectors + i * dim};
    for (size_t i = 0; i < c->n; i++)
        d->fresh[d->fresh_count++] = (row){c->ids[i], 0, 0, c->vectors + i * dim};
    if (d->fresh_count) qsort(d->fresh, d->fresh_count, sizeof *d->fresh, by_id);
    if (d->native->removed) memcpy(d->removed, d->native->removed, words * sizeof *d->removed);
    for (size_t i = base; i < words * 64; i++) d->removed[i / 64] &= ~(UINT64_C(1) << i % 64);
    for (size_t i = 0; i < c->remove_count; i++) {
        uint32_t local = dip_id_table_find(&d->base->table, c->remove[i]);
        if (local < base) dip_bit_set(d->removed, local);
    }
    for (size_t i = 0; i < words; i++) d->gone += (size_t)__builtin_popcountll(d->removed[i]);
    return DIP_OK;
}

/* ---- a new delta ---- */

static dip_status write_delta(const draft *d, const char *path)
{
    const dip_segment *g = &d->native->segment;
    size_t dim = g->shape.dim, n = d->fresh_count;
    uint64_t *ids = dip_alloc((n + 1) * sizeof *ids);
    float *vectors = dip_alloc((n * dim + 1) * sizeof *vectors);
    dip_status status = ids && vectors ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) {
        ids[i] = d->fresh[i].id;
        memcpy(vectors + i * dim, d->fresh[i].vector, dim * sizeof *vectors);
    }
    dip_layout layout = {.kind = DIP_LAYOUT_DELTA,
                         .count = n,
                         .live = n + g->shape.count - d->gone,
                         .dim = g->shape.dim,
                         .faiss_bytes = g->map.length,
                         .faiss_hash = g->header_hash,
                         .base = g->shape.count,
                         .seed = g->shape.seed};
    if (!status) status = dip_layout_write(path, &layout, ids, d->removed, vectors);
    dip_free(ids);
    dip_free(vectors);
    return status;
}

/* The same file under another name; where there are no hard links, a copy. */
static dip_status link_segment(const dip_segment *g, const char *from, const char *to)
{
    struct stat a, b;
    if (!stat(from, &a) && !stat(to, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return DIP_OK;
    dip_status status = dip_file_remove(to);
    if (status || !link(from, to)) return status;
    return dip_file_write(to, g->map.bytes, g->map.length);
}

/* ---- a new segment ---- */

/* All rows that stay, in the order of their ids; *count is their number. */
static dip_status merge_rows(const draft *d, row **out, size_t *count)
{
    enum { BLOCK = 1024 };
    const dip_segment *g = &d->native->segment;
    const size_t base = g->shape.count;
    uint64_t ids[BLOCK];
    size_t at = 0, n = 0;
    dip_status status = DIP_OK;
    row *rows = *out = dip_alloc((base - d->gone + d->fresh_count + 1) * sizeof *rows);
    if (!rows) return DIP_ENOMEM;
    for (size_t i = 0; i < base && !status; i++) {
        if (i % BLOCK == 0) dip_segment_ids(g, i, base - i < BLOCK ? base - i : BLOCK, ids);
        if (dip_bit(d->removed, i)) continue;
        while (at < d->fresh_count && d->fresh[at].id < ids[i % BLOCK]) rows[n++] = d->fresh[at++];
        row *stays = &rows[n++];
        *stays = (row){.id = ids[i % BLOCK]};
        status = dip_segment_find(g, (uint32_t)i, &stays->list, &stays->place);
    }
    while (at < d->fresh_count && !status) rows[n++] = d->fresh[at++];
    *count = n;
    return status;
}

static dip_status copy_lists(const dip_segment *g, dip_coded *c)
{
    const size_t dim = g->shape.dim, book = dim * 16 * sizeof(float);
    float *centroids = dip_alloc((size_t)g->shape.lists * dim * sizeof *centroids);
    int8_t *bytes = dip_alloc(g->coarse.steps * 4);
    c->code_count = g->shape.code_count;
    c->codebook = dip_alloc_aligned(book);
    dip_status status = centroids && bytes && c->codebook ? DIP_OK : DIP_ENOMEM;
    for (uint32_t l = 0; l < g->shape.lists && !status; l++) {
        const float scale = dip_segment_centroid(g, l, bytes);
        for (size_t j = 0; j < dim; j++) centroids[l * dim + j] = scale * (float)bytes[j];
    }
    if (!status) memcpy(c->codebook, g->codebook, book);
    if (!status)
        status = dip_lists_copy(&c->lists, centroids, g->shape.lists, dim, g->group_first,
                                g->shape.groups);
    dip_free(centroids);
    dip_free(bytes);
    return status;
}

/* Codes of a row into a row of codes. */
static void unpack_codes(const dip_segment *g, const row *from, uint8_t *out, size_t code_bytes)
{
    const size_t slot = dip_segment_slot(g, from->list, from->place);
    const uint8_t *codes = g->codes + slot / DIP_NATIVE_BLOCK * dip_segment_block_bytes(&g->shape) +
                           slot % DIP_NATIVE_BLOCK;
    for (size_t i = 0; i < code_bytes; i++) out[i] = codes[i * DIP_NATIVE_BLOCK];
}

/* Lists and codes of all rows: `c` comes with those of the fresh vectors in their order. */
static dip_status join_codes(const dip_segment *g, dip_coded *c, const row *rows, size_t n)
{
    size_t fresh = 0;
    uint32_t *list = dip_alloc((n + 1) * sizeof *list);
    uint8_t *codes = dip_calloc(n + 1, c->code_bytes);
    if (!list || !codes) {
        dip_free(list);
        dip_free(codes);
        return DIP_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t *out = codes + i * c->code_bytes;
        list[i] = rows[i].vector ? c->list[fresh] : rows[i].list;
        if (rows[i].vector)
            memcpy(out, c->codes + fresh++ * c->code_bytes, c->code_bytes);
        else
            unpack_codes(g, &rows[i], out, c->code_bytes);
    }
    dip_free(c->list);
    dip_free(c->codes);
    c->list = list;
    c->codes = codes;
    c->n = n;
    return DIP_OK;
}

/* Rows that stay keep their records. */
static dip_status fill_shelves(const dip_segment *g, const dip_coded *c, const row *rows,
                               dip_shelves *shelves)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < c->n && !status; i++)
        status = rows[i].vector ? dip_shelves_add(shelves, c, rows[i].vector, i, 1)
                                : dip_shelves_put(shelves, c->list[i], (uint32_t)i,
                                                  g->refinement + rows[i].place * shelves->stride);
    return status;
}

/* Lists and codes of all rows. */
static dip_status code_rows(const draft *d, dip_coded *coded, const row *rows, size_t n)
{
    const dip_segment *g = &d->native->segment;
    size_t dim = g->shape.dim;
    float *vectors = dip_alloc((d->fresh_count * dim + 1) * sizeof *vectors);
    const dip_supply fresh = {.n = d->fresh_count, .dim = dim, .values = vectors};
    dip_status status = vectors ? copy_lists(g, coded) : DIP_ENOMEM;
    for (size_t i = 0; i < d->fresh_count && !status; i++)
        memcpy(vectors + i * dim, d->fresh[i].vector, dim * sizeof *vectors);
    if (!status) status = dip_coded_add(coded, &fresh, NULL, NULL, d->change->name);
    if (!status) status = join_codes(g, coded, rows, n);
    dip_free(vectors);
    return status;
}

static dip_status compact(const draft *d, const char *path)
{
    const dip_segment *g = &d->native->segment;
    size_t n = 0;
    dip_coded coded = {.code_count = 0};
    dip_shelves shelves = {.count = 0};
    row *rows = NULL;
    dip_status status = merge_rows(d, &rows, &n);
    uint64_t *ids = dip_alloc((n + 1) * sizeof *ids);
    if (!status) status = ids ? code_rows(d, &coded, rows, n) : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) ids[i] = rows[i].id;
    if (!status)
        status = dip_shelves_init(&shelves, d->change->folder, g->shape.refinement, n,
                                  g->shape.lists, g->shape.dim);
    if (!status) status = fill_shelves(g, &coded, rows, &shelves);
    if (!status) {
        dip_segment_input input = {.coded = &coded,
                                   .ids = ids,
                                   .shelves = &shelves,
                                   .spread = g->shape.spread,
                                   .nprobe = g->shape.nprobe,
                                   .depth = g->shape.depth,
                                   .seed = g->shape.seed,
                                   .name = d->change->name};
        status = dip_segment_build(path, &input);
    }
    dip_coded_fini(&coded);
    dip_shelves_fini(&shelves);
    dip_free(rows);
    dip_free(ids);
    return status;
}

/* ---- both ---- */

static bool too_long(const draft *d)
{
    size_t base = d->native->segment.shape.count;
    return d->fresh_count > DELTA_ROWS + base / DELTA_SHARE ||
           d->gone * 100 > base * REMOVED_PERCENT;
}

/* The segment is there before its delta, and a compacted one replaces a segment whose delta no longer fits it. */
static dip_status write_files(const draft *d, const char *segment, const char *delta)
{
    dip_status status;
    if (too_long(d)) {
        status = compact(d, segment);
        return status ? status : dip_file_remove(delta);
    }
    status = link_segment(&d->native->segment, d->native->path, segment);
    return status ? status : write_delta(d, delta);
}

dip_status dip_native_update(const dip_index *base, const dip_change *change)
{
    draft d = {.base = base, .native = base->state, .change = change};
    char *segment = dip_index_path(change->folder, change->name, dip_engine_native.suffix);
    char *delta = dip_index_path(change->folder, change->name, DIP_NATIVE_DELTA);
    dip_status status = segment && delta ? collect(&d) : DIP_ENOMEM;
    if (!status) status = write_files(&d, segment, delta);
    dip_free(d.fresh);
    dip_free(d.removed);
    dip_free(segment);
    dip_free(delta);
    return status;
}
