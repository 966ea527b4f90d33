/*
 * From coded vectors to a segment file; see segment_build.h.
 *
 * Slots are given out list after list, rows in their order within a list. Lists and codes of all rows are in memory; the
 * refinement, which is most of the file, comes from shelves.
 */
#include "index/segment_build.h"

#include "core/half.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/layout.h"

#include <math.h>
#include <string.h>

enum { BUFFER = 1 << 28, TASK = 4096 };

typedef struct builder {
    const dip_segment_input *in;
    const dip_coded *coded;
    dip_segment_shape shape;
    dip_segment_writer *writer;
    uint32_t *first_block; /* (lists + 1) */
    uint32_t *rows;        /* a slot */
    uint32_t *slots;       /* a row */
    uint8_t *buffer;
    size_t first, end; /* slots of the buffer */
} builder;

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* ---- places ---- */

static dip_status give_slots(builder *b)
{
    const dip_coded *c = b->coded;
    size_t lists = c->lists.lists;
    uint32_t *next = dip_calloc(lists, sizeof *next);
    b->first_block = dip_calloc(lists + 1, sizeof *b->first_block);
    b->slots = dip_alloc((c->n + 1) * sizeof *b->slots);
    if (!next || !b->first_block || !b->slots) {
        dip_free(next);
        return DIP_ENOMEM;
    }
    for (size_t i = 0; i < c->n; i++) next[c->list[i]]++;
    size_t blocks = 0;
    for (size_t l = 0; l < lists; l++) {
        uint32_t first = (uint32_t)blocks;
        blocks += (next[l] + (size_t)DIP_NATIVE_BLOCK - 1) / DIP_NATIVE_BLOCK;
        if (blocks > DIP_LAYOUT_MAX_COUNT / DIP_NATIVE_BLOCK) break;
        b->first_block[l + 1] = (uint32_t)blocks;
        next[l] = first * DIP_NATIVE_BLOCK;
    }
    if (blocks > DIP_LAYOUT_MAX_COUNT / DIP_NATIVE_BLOCK) {
        dip_free(next);
        return dip_fail(DIP_EINVAL, "%zu vectors in %zu lists are too many for index '%s'", c->n,
                        lists, b->in->name);
    }
    b->shape.blocks = (uint32_t)blocks;
    for (size_t i = 0; i < c->n; i++) b->slots[i] = next[c->list[i]]++;
    dip_free(next);
    size_t slots = (size_t)b->shape.blocks * DIP_NATIVE_BLOCK;
    b->rows = dip_alloc((slots + 1) * sizeof *b->rows);
    if (!b->rows) return DIP_ENOMEM;
    memset(b->rows, 0xff, slots * sizeof *b->rows);
    for (size_t i = 0; i < c->n; i++) b->rows[b->slots[i]] = (uint32_t)i;
    return DIP_OK;
}

/* ---- centroids as bytes ---- */

static void pack_centroid(const float *centroid, size_t dim, size_t at, uint8_t *bytes,
                          float *scale, float *bias)
{
    float largest = 1e-30F, square = 0; /* a group without lists has zeros for a centroid */
    for (size_t j = 0; j < dim; j++) {
        largest = fmaxf(largest, fabsf(centroid[j]));
        square += centroid[j] * centroid[j];
    }
    *scale = largest / 127;
    *bias = -square / 2;
    uint8_t *block = bytes + at / DIP_NATIVE_ROWS * DIP_NATIVE_ROWS * rounded(dim, 4);
    for (size_t j = 0; j < dim; j++)
        block[(j / 4 * DIP_NATIVE_ROWS + at % DIP_NATIVE_ROWS) * 4 + j % 4] =
            (uint8_t)(128 + lrintf(centroid[j] * (127 / largest)));
}

/* Writes the bytes, scales and biases of n centroids into three sections from `section` on. */
static dip_status write_coarse(builder *b, dip_segment_section section, const float *centroids,
                               size_t n)
{
    size_t dim = b->shape.dim, rows = rounded(n, DIP_NATIVE_ROWS), length = rows * rounded(dim, 4);
    uint8_t *bytes = dip_alloc(length);
    float *scales = dip_calloc(rows, sizeof *scales), *biases = dip_alloc(rows * sizeof *biases);
    dip_status status = bytes && scales && biases ? DIP_OK : DIP_ENOMEM;
    if (!status) {
        memset(bytes, 128, length);
        for (size_t i = 0; i < rows; i++) biases[i] = -3e38F;
        for (size_t i = 0; i < n; i++)
            pack_centroid(centroids + i * dim, dim, i, bytes, &scales[i], &biases[i]);
        status = dip_segment_write(b->writer, section, bytes, length);
    }
    if (!status) status = dip_segment_write(b->writer, section + 1, scales, rows * sizeof *scales);
    if (!status) status = dip_segment_write(b->writer, section + 2, biases, rows * sizeof *biases);
    dip_free(bytes);
    dip_free(scales);
    dip_free(biases);
    return status;
}

static dip_status write_lists(builder *b)
{
    const dip_lists *l = &b->coded->lists;
    dip_status status = dip_segment_write(b->writer, DIP_SEGMENT_CENTROIDS, l->centroids,
                                          l->lists * l->dim * sizeof(float));
    if (!status) status = write_coarse(b, DIP_SEGMENT_COARSE_BYTES, l->centroids, l->lists);
    if (!status) status = write_coarse(b, DIP_SEGMENT_GROUP_BYTES, l->group_centroids, l->groups);
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_GROUP_FIRST, l->group_first,
                                   (l->groups + 1) * sizeof(uint32_t));
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_CODEBOOK, b->coded->codebook,
                                   l->dim * 16 * sizeof(float));
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_FIRST_BLOCK, b->first_block,
                                   (l->lists + 1) * sizeof(uint32_t));
    return status;
}

/* ---- a value a slot ---- */

static void code_slot(const builder *b, size_t slot, uint8_t *block)
{
    uint32_t row = b->rows[slot];
    if (row == DIP_SEGMENT_EMPTY) return;
    for (size_t m = 0; m < b->shape.code_count; m++)
        block[m / 2 * DIP_NATIVE_BLOCK + slot % DIP_NATIVE_BLOCK] |=
            (uint8_t)(dip_coded_code(b->coded, row, m) << (m % 2 * 4));
}

static float term_of(const builder *b, size_t row)
{
    double sum = 0;
    for (size_t j = 0; j < b->shape.dim; j++) {
        double x = (double)dip_coded_value(b->coded, row, j);
        sum += x * x;
    }
    return (float)((sum - 1) / 2);
}

static void term_slot(const builder *b, size_t slot, uint8_t *out)
{
    uint32_t row = b->rows[slot];
    uint16_t half = 0x7c00;
    if (row != DIP_SEGMENT_EMPTY) half = dip_half_of(term_of(b, row));
    memcpy(out, &half, sizeof half);
}

typedef struct column {
    builder *b;
    dip_segment_section section;
    size_t stride, span; /* bytes of `span` slots, which stand together */
    void (*put)(const builder *b, size_t slot, uint8_t *out);
} column;

static dip_status fill_slots(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const column *c = context;
    size_t first = c->b->first + task * TASK;
    size_t end = first + TASK < c->b->end ? first + TASK : c->b->end;
    for (size_t slot = first; slot < end; slot++)
        c->put(c->b, slot, c->b->buffer + (slot - c->b->first) / c->span * c->stride);
    return DIP_OK;
}

static dip_status stopped(const builder *b)
{
    return dip_fail(DIP_ECANCEL, "building index '%s' was stopped", b->in->name);
}

static dip_status write_column(column *c)
{
    builder *b = c->b;
    size_t slots = (size_t)b->shape.blocks * DIP_NATIVE_BLOCK;
    size_t room = BUFFER / c->stride * c->span / TASK * TASK;
    if (room > slots) room = slots;
    b->buffer = dip_alloc(room / c->span * c->stride + 1);
    dip_status status = b->buffer ? DIP_OK : DIP_ENOMEM;
    for (b->first = 0; b->first < slots && !status; b->first = b->end) {
        b->end = slots - b->first < room ? slots : b->first + room;
        size_t length = (b->end - b->first) / c->span * c->stride;
        memset(b->buffer, 0, length);
        if (dip_progress_tick(b->in->progress, "writing codes", b->first, slots))
            status = stopped(b);
        if (!status)
            status = dip_parallel_for((b->end - b->first + TASK - 1) / TASK, fill_slots, c);
        if (!status) status = dip_segment_write(b->writer, c->section, b->buffer, length);
    }
    dip_free(b->buffer);
    b->buffer = NULL;
    return status;
}

static void place_record(void *context, uint32_t row, const uint8_t *record)
{
    const builder *b = context;
    const size_t stride = b->in->shelves->stride;
    memcpy(b->buffer + (b->slots[row] - b->first) * stride, record, stride);
}

/* Shelf after shelf: a shelf's lists stand together. */
static dip_status write_refinement(builder *b)
{
    dip_shelves *s = b->in->shelves;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < s->count && !status; i++) {
        b->first = (size_t)b->first_block[dip_shelves_first_list(s, i)] * DIP_NATIVE_BLOCK;
        b->end = (size_t)b->first_block[dip_shelves_first_list(s, i + 1)] * DIP_NATIVE_BLOCK;
        const size_t length = (b->end - b->first) * s->stride;
        if (dip_progress_tick(b->in->progress, "writing refinement", i, s->count))
            return stopped(b);
        b->buffer = dip_calloc(length + 1, 1);
        status = b->buffer ? dip_shelves_empty(s, i, place_record, b) : DIP_ENOMEM;
        if (!status)
            status = dip_segment_write(b->writer, DIP_SEGMENT_REFINEMENT, b->buffer, length);
        dip_free(b->buffer);
        b->buffer = NULL;
    }
    return status;
}

static dip_status write_slots(builder *b)
{
    size_t slots = (size_t)b->shape.blocks * DIP_NATIVE_BLOCK, n = b->coded->n;
    column columns[] = {
        {b, DIP_SEGMENT_CODES, dip_segment_block_bytes(&b->shape), DIP_NATIVE_BLOCK, code_slot},
        {b, DIP_SEGMENT_TERMS, sizeof(uint16_t), 1, term_slot},
    };
    dip_status status = DIP_OK;
    for (size_t i = 0; i < sizeof columns / sizeof *columns && !status; i++)
        status = write_column(&columns[i]);
    if (!status) status = write_refinement(b);
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_ROWS, b->rows, slots * sizeof *b->rows);
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_SLOTS, b->slots, n * sizeof *b->slots);
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_IDS, b->in->ids, n * sizeof(uint64_t));
    return status;
}

dip_status dip_segment_build(const char *path, const dip_segment_input *in)
{
    dip_segment_writer writer;
    const dip_coded *c = in->coded;
    builder b = {.in = in, .coded = c, .writer = &writer};
    b.shape = (dip_segment_shape){.dim = (uint32_t)c->lists.dim,
                                  .lists = (uint32_t)c->lists.lists,
                                  .groups = (uint32_t)c->lists.groups,
                                  .code_count = (uint32_t)c->code_count,
                                  .refinement = in->shelves->refinement,
                                  .nprobe = in->nprobe,
                                  .depth = in->depth,
                                  .count = c->n,
                                  .seed = in->seed,
                                  .spread = in->spread};
    dip_status status = give_slots(&b);
    if (!status) status = dip_segment_begin(&writer, path, &b.shape);
    if (!status) {
        status = write_lists(&b);
        if (!status) status = write_slots(&b);
        if (!status)
            status = dip_segment_commit(&writer);
        else
            dip_segment_abandon(&writer);
    }
    dip_free(b.first_block);
    dip_free(b.rows);
    dip_free(b.slots);
    return status;
}
