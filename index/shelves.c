/*
 * Records on shelves; see shelves.h. A shelf holds lists that follow each other, about SHELF_BYTES of records if lists are of
 * equal length.
 */
#include "index/shelves.h"

#include "core/file.h"
#include "core/half.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/segment.h"

#include <math.h>
#include <string.h>

enum {
    SHELF_BYTES = 1 << 28,
    MOST_SHELVES = 1 << 9, /* files that are open at once */
    TASK = 512,            /* rows of one task */
    MEASURED = 4096,       /* rows that tell how far codes err */
    PIECE = 4096,          /* records that are read at once */
};

/* ---- shelves ---- */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

dip_status dip_shelves_init(dip_shelves *s, const char *folder, dip_refinement refinement, size_t n,
                            size_t lists, size_t dim)
{
    const dip_segment_shape shape = {.dim = (uint32_t)dim, .refinement = refinement};
    *s = (dip_shelves){.refinement = refinement, .dim = dim, .lists = lists};
    s->stride = dip_segment_refine_bytes(&shape);
    s->every = (n + MEASURED - 1) / MEASURED;
    s->count = smaller(smaller(n * s->stride / SHELF_BYTES + 1, lists), MOST_SHELVES);
    s->folder = dip_strdup(folder);
    s->shelves = dip_calloc(s->count, sizeof *s->shelves);
    dip_status status = s->shelves && s->folder ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < s->count && !status; i++)
        status = dip_file_nameless(&s->shelves[i].file, folder);
    if (status) dip_shelves_fini(s);
    return status;
}

static void remove_shelf(dip_shelf *shelf)
{
    if (shelf->file) fclose(shelf->file);
    shelf->file = NULL;
}

void dip_shelves_fini(dip_shelves *s)
{
    for (size_t i = 0; s->shelves && i < s->count; i++) remove_shelf(&s->shelves[i]);
    dip_free(s->shelves);
    dip_free(s->folder);
    *s = (dip_shelves){.count = 0};
}

size_t dip_shelves_first_list(const dip_shelves *s, size_t shelf)
{
    return (shelf * s->lists + s->count - 1) / s->count;
}

dip_status dip_shelves_put(dip_shelves *s, uint32_t list, uint32_t row, const void *record)
{
    dip_shelf *shelf = &s->shelves[(size_t)list * s->count / s->lists];
    shelf->count++;
    if (fwrite(&row, sizeof row, 1, shelf->file) == 1 &&
        fwrite(record, s->stride, 1, shelf->file) == 1)
        return DIP_OK;
    return dip_fail_errno("write a file in", s->folder);
}

dip_status dip_shelves_empty(dip_shelves *s, size_t at,
                             void (*place)(void *context, uint32_t row, const uint8_t *record),
                             void *context)
{
    dip_shelf *shelf = &s->shelves[at];
    const size_t stride = sizeof(uint32_t) + s->stride;
    uint8_t *piece = dip_alloc(PIECE * stride);
    dip_status status = piece ? DIP_OK : DIP_ENOMEM;
    if (!status && (fflush(shelf->file) || fseek(shelf->file, 0, SEEK_SET)))
        status = dip_fail_errno("write a file in", s->folder);
    for (size_t left = shelf->count, n; left && !status; left -= n) {
        n = smaller(left, PIECE);
        if (fread(piece, stride, n, shelf->file) != n)
            status = dip_fail_errno("read a file in", s->folder);
        for (size_t i = 0; i < n && !status; i++) {
            uint32_t row;
            memcpy(&row, piece + i * stride, sizeof row);
            place(context, row, piece + i * stride + sizeof row);
        }
    }
    remove_shelf(shelf);
    dip_free(piece);
    return status;
}

/* ---- records ---- */

/* Bytes of what `approximation` leaves of x, with a scale. */
static void pack_bytes(const float *x, const float *approximation, size_t dim, uint8_t *out)
{
    float largest = 0;
    for (size_t j = 0; j < dim; j++) largest = fmaxf(largest, fabsf(x[j] - approximation[j]));
    const uint8_t packed = dip_scale_above(largest / 127);
    const float scale = dip_scale_value(packed);
    for (size_t j = 0; j < dim; j++) {
        float value = fminf(fmaxf((x[j] - approximation[j]) / scale, -127), 127);
        ((int8_t *)out)[j] = (int8_t)lrintf(value);
    }
    out[dim] = packed;
}

static void approximate(const dip_coded *c, size_t row, float *out)
{
    const size_t dim = c->lists.dim, sub = dim / c->code_count;
    memcpy(out, c->lists.centroids + c->list[row] * dim, dim * sizeof *out);
    for (size_t m = 0; m < c->code_count; m++) {
        const float *entries = c->codebook + m * sub * 16 + dip_coded_code(c, row, m);
        for (size_t t = 0; t < sub; t++) out[m * sub + t] += entries[t * 16];
    }
}

typedef struct adding {
    const dip_shelves *shelves;
    const dip_coded *coded;
    const float *vectors;
    size_t first, n;
    uint8_t *records;
    double *errors; /* a task */
} adding;

static dip_status fill(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const adding *a = context;
    const dip_shelves *s = a->shelves;
    float *approximation = dip_alloc(s->dim * sizeof *approximation);
    if (!approximation) return DIP_ENOMEM;
    for (size_t i = task * TASK; i < smaller((task + 1) * TASK, a->n); i++) {
        const float *x = a->vectors + i * s->dim;
        const size_t row = a->first + i;
        uint8_t *record = a->records + i * s->stride;
        approximate(a->coded, row, approximation);
        if (s->refinement == DIP_REFINE_HALF)
            dip_half_pack((uint16_t *)(void *)record, x, s->dim);
        else
            pack_bytes(x, approximation, s->dim, record);
        for (size_t j = 0; j < s->dim && row % s->every == 0; j++) {
            double e = (double)(x[j] - approximation[j]);
            a->errors[task] += e * e;
        }
    }
    dip_free(approximation);
    return DIP_OK;
}

dip_status dip_shelves_add(dip_shelves *s, const dip_coded *coded, const float *vectors,
                           size_t first, size_t n)
{
    const size_t tasks = (n + TASK - 1) / TASK;
    adding a = {.shelves = s, .coded = coded, .vectors = vectors, .first = first, .n = n};
    a.records = dip_alloc(n * s->stride + 1);
    a.errors = dip_calloc(tasks, sizeof *a.errors);
    dip_status status = a.records && a.errors ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_parallel_for(tasks, fill, &a);
    for (size_t i = 0; i < tasks && !status; i++) s->error += a.errors[i];
    for (size_t i = 0; i < n && !status; i++) {
        s->measured += (first + i) % s->every ? 0 : s->dim;
        status = dip_shelves_put(s, coded->list[first + i], (uint32_t)(first + i),
                                 a.records + i * s->stride);
    }
    dip_free(a.records);
    dip_free(a.errors);
    return status;
}

float dip_shelves_spread(const dip_shelves *s)
{
    return s->measured ? (float)sqrt(s->error / (double)s->measured) : 0;
}
