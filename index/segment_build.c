/*
 * From coded vectors to a segment file; see segment_build.h.
 *
 * Places and slots are given out list after list, rows in their order within a list. Lists and codes of all rows are in
 * memory; the refinement, which is most of the file, comes from shelves.
 */
#include "index/segment_build.h"

#include "core/half.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/layout.h"

#include <math.h>
#include <string.h>

enum { BUFFER = 1 << 28, TASK = 4096, NUMBERS = 1 << 16 };

#define EMPTY UINT32_MAX /* row of a slot without a vector */

typedef struct builder {
    const dip_segment_input *in;
    const dip_coded *coded;
    dip_segment_shape shape;
    dip_segment_writer *writer;
    dip_segment_list *lists; /* (lists + 1) */
    uint32_t *rows;          /* a slot */
    uint32_t *slots;         /* a row */
    uint8_t *buffer;
    size_t first, end; /* slots of the buffer, or places */
} builder;

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* ---- places ---- */

/* Where each list begins, from its length. */
static dip_status place_lists(builder *b, const uint32_t *lengths)
{
    const size_t lists = b->coded->lists.lists;
    uint64_t blocks = 0, places = 0;
    for (size_t l = 0; l < lists; l++) {
        blocks += (lengths[l] + (uint64_t)DIP_NATIVE_BLOCK - 1) / DIP_NATIVE_BLOCK;
        places += lengths[l];
        if (blocks > DIP_LAYOUT_MAX_COUNT / DIP_NATIVE_BLOCK)
            return dip_fail(DIP_EINVAL, "%zu vectors in %zu lists are too many for index '%s'",
                            b->coded->n, lists, b->in->name);
        b->lists[l + 1] = (dip_segment_list){(uint32_t)blocks, (uint32_t)places};
    }
    b->shape.blocks = (uint32_t)blocks;
    return DIP_OK;
}

static dip_status give_slots(builder *b)
{
    const dip_coded *c = b->coded;
    size_t lists = c->lists.lists;
    uint32_t *next = dip_calloc(lists, sizeof *next);
    b->lists = dip_calloc(lists + 1, sizeof *b->lists);
    b->slots = dip_alloc((c->n + 1) * sizeof *b->slots);
    dip_status status = next && b->lists && b->slots ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < c->n && !status; i++) next[c->list[i]]++;
    if (!status) status = place_lists(b, next);
    for (size_t l = 0; l < lists && !status; l++) next[l] = b->lists[l].block * DIP_NATIVE_BLOCK;
    for (size_t i = 0; i < c->n && !status; i++) b->slots[i] = next[c->list[i]]++;
    dip_free(next);
    if (status) return status;
    size_t slots = (size_t)b->shape.blocks * DIP_NATIVE_BLOCK;
    b->rows = dip_alloc((slots + 1) * sizeof *b->rows);
    if (!b->rows) return DIP_ENOMEM;
    for (size_t slot = 0; slot < slots; slot++) b->rows[slot] = EMPTY;
    for (size_t i = 0; i < c->n; i++) b->rows[b->slots[i]] = (uint32_t)i;
    return DIP_OK;
}

static size_t place_of(const builder *b, uint32_t row)
{
    const dip_segment_list *list = &b->lists[b->coded->list[row]];
    return b->slots[row] - (size_t)list->block * DIP_NATIVE_BLOCK + list->place;
}

/* ---- centroids as bytes ---- */

static void pack_centroid(const float *centroid, size_t dim, size_t at, uint8_t *bytes,
                          float *scale, float *bias)
{
    float square = 0;
    for (size_t j = 0; j < dim; j++) square += centroid[j] * centroid[j];
    *scale = dip_lists_scale(centroid, dim);
    *bias = -square / 2;
    uint8_t *block = bytes + at / DIP_NATIVE_ROWS * DIP_NATIVE_ROWS * rounded(dim, 4);
    for (size_t j = 0; j < dim; j++)
        block[(j / 4 * DIP_NATIVE_ROWS + at % DIP_NATIVE_ROWS) * 4 + j % 4] =
            (uint8_t)(128 + lrintf(centroid[j] / *scale));
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
    dip_status status = write_coarse(b, DIP_SEGMENT_COARSE_BYTES, l->centroids, l->lists);
    if (!status) status = write_coarse(b, DIP_SEGMENT_GROUP_BYTES, l->group_centroids, l->groups);
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_GROUP_FIRST, l->group_first,
                                   (l->groups + 1) * sizeof(uint32_t));
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_CODEBOOK, b->coded->codebook,
                                   l->dim * 16 * sizeof(float));
    if (!status)
        status = dip_segment_write(b->writer, DIP_SEGMENT_LISTS, b->lists,
                                   (l->lists + 1) * sizeof *b->lists);
    return status;
}

/* ---- a value a slot ---- */

static void code_slot(const builder *b, size_t slot, uint8_t *block)
{
    uint32_t row = b->rows[slot];
    if (row == EMPTY) return;
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
    if (row != EMPTY) half = dip_half_of(term_of(b, row));
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
    memcpy(b->buffer + (place_of(b, row) - b->first) * stride, record, stride);
}

/* Shelf after shelf: a shelf's lists stand together. */
static dip_status write_refinement(builder *b)
{
    dip_shelves *s = b->in->shelves;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < s->count && !status; i++) {
        b->first = b->lists[dip_shelves_first_list(s, i)].place;
        b->end = b->lists[dip_shelves_first_list(s, i + 1)].place;
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

/* ---- a value a row ---- */

/* The numbers that are not EMPTY, `width` bytes each. */
static dip_status write_numbers(builder *b, dip_segment_section section, const uint32_t *numbers,
                                size_t n, unsigned width)
{
    uint8_t *bytes = dip_alloc((size_t)NUMBERS * width);
    dip_status status = bytes ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status;) {
        size_t held = 0;
        for (; i < n && held < NUMBERS; i++)
            if (numbers[i] != EMPTY) dip_packed_put(bytes, width, held++, numbers[i]);
        status = dip_segment_write(b->writer, section, bytes, held * width);
    }
    dip_free(bytes);
    return status;
}

static dip_status write_id_bits(builder *b, size_t words)
{
    const uint64_t *ids = b->in->ids;
    const size_t n = b->coded->n, blocks = dip_id_bits_blocks(words);
    uint64_t *bits = dip_calloc(words, sizeof *bits);
    uint32_t *counts = dip_alloc(blocks * sizeof *counts);
    dip_status status = bits && counts ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) dip_bit_set(bits, (size_t)(ids[i] - ids[0]));
    if (!status) {
        dip_id_bits_count(bits, words, counts);
        status =
            dip_segment_write(b->writer, DIP_SEGMENT_ID_COUNTS, counts, blocks * sizeof *counts);
    }
    if (!status) status = dip_segment_write(b->writer, DIP_SEGMENT_IDS, bits, words * sizeof *bits);
    dip_free(bits);
    dip_free(counts);
    return status;
}

static dip_status write_ids(builder *b)
{
    const size_t words = dip_segment_id_words(&b->shape);
    if (words) return write_id_bits(b, words);
    return dip_segment_write(b->writer, DIP_SEGMENT_IDS, b->in->ids,
                             b->coded->n * sizeof *b->in->ids);
}

static dip_status write_vectors(builder *b)
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
        status =
            write_numbers(b, DIP_SEGMENT_ROWS, b->rows, slots, dip_segment_row_width(&b->shape));
    if (!status)
        status = write_numbers(b, DIP_SEGMENT_ROW_LISTS, b->coded->list, n,
                               dip_segment_list_width(&b->shape));
    if (!status) status = write_ids(b);
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
                                  .first_id = c->n ? in->ids[0] : 0,
                                  .last_id = c->n ? in->ids[c->n - 1] : 0,
                                  .spread = in->spread};
    dip_status status = give_slots(&b);
    if (!status) status = dip_segment_begin(&writer, path, &b.shape);
    if (!status) {
        status = write_lists(&b);
        if (!status) status = write_vectors(&b);
        if (!status)
            status = dip_segment_commit(&writer);
        else
            dip_segment_abandon(&writer);
    }
    dip_free(b.lists);
    dip_free(b.rows);
    dip_free(b.slots);
    return status;
}
