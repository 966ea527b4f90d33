/*
 * Exact search; see scan.h.
 *
 * All queries are rounded to bfloat16 once and packed into panels of 32. A task is a range of rows; it rounds them chunk by
 * chunk, each chunk small enough to stay in the L2 cache while all panels pass over it. What a block of 32 rows and
 * 32 queries scores is compared with one bar a query; only scores that reach it are made again by dip_dot, which alone
 * decides. Rows that a filter takes out are never rounded: chunks are filled with the others.
 *
 * Nothing is missed: a row whose rounded score is below the worst kept score by more than rounding may move it
 * (dip_reach_slack()) cannot get in. A query's hits are kept by worker, and a bar by worker too; both only say which rows
 * are looked at.
 *
 * Below a handful of queries dip_dot itself reads memory just as fast.
 */
#include "index/scan.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/dot.h"
#include "index/layout.h"
#include "index/reach.h"
#include "index/topk.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    FEW_QUERIES = 3,
    TASK_ROWS = 2048,
    CHUNK_BYTES = 128 << 10,
    CHUNK_ROWS = 512,       /* at most */
    SLAB_ENTRIES = 1 << 22, /* heap entries in one call: more queries are worked off in slabs */
};

/* Rows, rounded. */
typedef struct chunk {
    dip_bf16 *values; /* (rows, depth) */
    float *offsets;
    size_t *rows; /* their numbers in the scan */
    size_t count;
    dip_bounds bounds;
} chunk;

typedef struct work {
    const dip_scan *scan;
    dip_dot_fn dot;
    const dip_product_body *body;
    const dip_reach *reach;
    size_t workers, tasks, k;
    size_t depth;      /* dim in whole blocks */
    size_t chunk_rows; /* whole blocks */
    chunk *chunks;     /* a worker */
    const float *queries, *least;
    size_t nq;
    dip_bf16 *panels;        /* a panel row of 32 queries: depth * 32 */
    dip_bounds *bounds;      /* of the queries */
    dip_topk *tops;          /* (workers, nq) */
    dip_topk_entry *entries; /* (workers, nq, k) */
} work;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t in_blocks(size_t n) { return (n + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK; }

static uint64_t id_of(const dip_scan *scan, size_t row) { return scan->ids ? scan->ids[row] : row; }

static float score_of(const work *w, size_t query, size_t row)
{
    const dip_scan *s = w->scan;
    const float dot = w->dot(w->queries + query * s->dim, s->vectors + row * s->dim, s->dim);
    return s->offsets ? dot - s->offsets[row] : dot;
}

/* ---- rounding ---- */

/* Fills a chunk with the rows from `row` on that count; returns the first row that did not fit. */
static size_t fill_chunk(const work *w, chunk *c, size_t row, size_t end)
{
    const dip_scan *s = w->scan;
    c->count = 0;
    c->bounds = (dip_bounds){0};
    for (; row < end && c->count < w->chunk_rows; row++) {
        if (s->allowed && !dip_bit(s->allowed, row)) continue;
        float norm, error, offset = s->offsets ? s->offsets[row] : 0;
        w->reach->round(s->vectors + row * s->dim, s->dim, c->values + c->count * w->depth, &norm,
                        &error);
        c->rows[c->count] = row;
        c->offsets[c->count++] = offset;
        if (norm > c->bounds.norm) c->bounds.norm = norm;
        if (error > c->bounds.error) c->bounds.error = error;
        if (fabsf(offset) > c->bounds.offset) c->bounds.offset = fabsf(offset);
    }
    /* A product reads whole halves. */
    memset(c->values + c->count * w->depth, 0,
           (in_blocks(c->count) - c->count) * w->depth * sizeof *c->values);
    return row;
}

static void pack_queries(const work *w)
{
    dip_bf16 *rows = w->chunks->values; /* before a task needs the memory */
    for (size_t first = 0; first < w->nq; first += DIP_BLOCK) {
        memset(rows, 0, DIP_BLOCK * w->depth * sizeof *rows);
        for (size_t q = first; q < smaller(first + DIP_BLOCK, w->nq); q++)
            w->reach->round(w->queries + q * w->scan->dim, w->scan->dim,
                            rows + (q - first) * w->depth, &w->bounds[q].norm, &w->bounds[q].error);
        dip_reach_panel(w->body, rows, w->depth, w->panels + first * w->depth);
    }
}

/* ---- search ---- */

/* Of a query whose hits so far are in `top`. */
static float bar_of(const work *w, size_t query, const dip_topk *top, float slack)
{
    float least = w->least ? w->least[query] : -INFINITY;
    if (dip_topk_full(top)) least = fmaxf(least, top->entries[0].score);
    return least > -INFINITY ? dip_reach_bar(least, slack) : least;
}

/* 32 queries against a chunk. */
typedef struct pass {
    size_t first; /* query */
    dip_topk *tops;
    float bars[DIP_BLOCK], slacks[DIP_BLOCK];
} pass;

static void take_block(const work *w, pass *p, const chunk *c, size_t at, size_t rows,
                       const float *block, const uint32_t *marks)
{
    for (size_t r = 0; r < rows; r++, block += DIP_BLOCK)
        for (uint32_t left = marks[r]; left; left &= left - 1) {
            const size_t q = (size_t)__builtin_ctz(left), row = c->rows[at + r];
            if (block[q] - c->offsets[at + r] < p->bars[q]) continue; /* it has risen since */
            dip_topk_push(&p->tops[q], score_of(w, p->first + q, row), id_of(w->scan, row));
            p->bars[q] = bar_of(w, p->first + q, &p->tops[q], p->slacks[q]);
        }
}

static void scan_chunk(const work *w, pass *p, const chunk *c)
{
    _Alignas(64) float block[DIP_BLOCK * DIP_BLOCK];
    uint32_t marks[DIP_BLOCK];
    const dip_bf16 *panel = w->panels + p->first * w->depth;
    for (size_t at = 0; at < c->count; at += DIP_BLOCK) {
        const size_t rows = smaller(DIP_BLOCK, c->count - at);
        dip_reach_block(w->body, c->values + at * w->depth, rows, w->depth, panel, block);
        if (w->reach->mark(block, rows, c->offsets + at, p->bars, marks))
            take_block(w, p, c, at, rows, block, marks);
    }
}

static void scan_rows(const work *w, size_t row, size_t end, unsigned worker)
{
    chunk *c = &w->chunks[worker];
    while (row < end) {
        row = fill_chunk(w, c, row, end);
        for (size_t first = 0; c->count && first < w->nq; first += DIP_BLOCK) {
            pass p;
            p.first = first;
            p.tops = w->tops + worker * w->nq + first;
            for (size_t q = 0; q < DIP_BLOCK; q++) {
                const bool there = first + q < w->nq;
                p.slacks[q] =
                    there ? dip_reach_slack(&c->bounds, &w->bounds[first + q], w->scan->dim) : 0;
                p.bars[q] = there ? bar_of(w, first + q, &p.tops[q], p.slacks[q]) : INFINITY;
            }
            scan_chunk(w, &p, c);
        }
    }
}

static void scan_alone(const work *w, size_t row, size_t end, unsigned worker)
{
    for (; row < end; row++) {
        if (w->scan->allowed && !dip_bit(w->scan->allowed, row)) continue;
        for (size_t q = 0; q < w->nq; q++)
            dip_topk_push(&w->tops[worker * w->nq + q], score_of(w, q, row), id_of(w->scan, row));
    }
}

static dip_status run_task(void *context, size_t task, unsigned worker)
{
    const work *w = context;
    const size_t row = task * TASK_ROWS, end = smaller(row + TASK_ROWS, w->scan->n);
    if (w->nq <= FEW_QUERIES) {
        scan_alone(w, row, end, worker);
    } else {
        w->body->enter();
        scan_rows(w, row, end, worker);
        w->body->leave();
    }
    return DIP_OK;
}

static void merge(const work *w, size_t query, size_t k, uint64_t *ids, float *scores)
{
    dip_topk *top = &w->tops[query];
    for (size_t worker = 1; worker < w->workers; worker++) {
        const dip_topk *other = &w->tops[worker * w->nq + query];
        for (size_t i = 0; i < other->size; i++)
            dip_topk_push(top, other->entries[i].score, other->entries[i].id);
    }
    dip_topk_finish(top, k, ids, scores);
}

static dip_status run_slab(work *w, size_t k, uint64_t *ids, float *scores)
{
    for (size_t i = 0; i < w->workers * w->nq; i++)
        w->tops[i] = (dip_topk){.k = w->k, .entries = w->entries + i * w->k};
    if (w->nq > FEW_QUERIES) pack_queries(w);
    dip_status status = dip_parallel_for(w->tasks, run_task, w);
    for (size_t q = 0; !status && q < w->nq; q++) merge(w, q, k, ids + q * k, scores + q * k);
    return status;
}

/* ---- memory ---- */

static dip_status make_chunks(work *w)
{
    w->chunks = dip_calloc(w->workers, sizeof *w->chunks);
    if (!w->chunks) return DIP_ENOMEM;
    for (size_t i = 0; i < w->workers; i++) {
        chunk *c = &w->chunks[i];
        c->values = dip_alloc_aligned(w->chunk_rows * w->depth * sizeof *c->values);
        c->offsets = dip_alloc(w->chunk_rows * sizeof *c->offsets);
        c->rows = dip_alloc(w->chunk_rows * sizeof *c->rows);
        if (!c->values || !c->offsets || !c->rows) return DIP_ENOMEM;
    }
    return DIP_OK;
}

static void drop(work *w)
{
    for (size_t i = 0; w->chunks && i < w->workers; i++) {
        dip_free_aligned(w->chunks[i].values);
        dip_free(w->chunks[i].offsets);
        dip_free(w->chunks[i].rows);
    }
    dip_free(w->chunks);
    dip_free_aligned(w->panels);
    dip_free(w->bounds);
    dip_free(w->tops);
    dip_free(w->entries);
}

/* For slabs of `nq` queries. */
static dip_status make(work *w, size_t nq)
{
    w->tops = dip_alloc(w->workers * nq * sizeof *w->tops);
    w->entries = dip_alloc(w->workers * nq * w->k * sizeof *w->entries);
    if (!w->tops || !w->entries) return DIP_ENOMEM;
    if (nq <= FEW_QUERIES) return DIP_OK;
    w->panels = dip_alloc_aligned(in_blocks(nq) * w->depth * sizeof *w->panels);
    w->bounds = dip_calloc(nq, sizeof *w->bounds);
    if (!w->panels || !w->bounds) return DIP_ENOMEM;
    return make_chunks(w);
}

dip_status dip_scan_run(const dip_scan *scan, const float *queries, size_t nq, size_t k,
                        uint64_t *ids, float *scores)
{
    if (nq == 0 || k == 0) return DIP_OK;
    const size_t tasks = (scan->n + TASK_ROWS - 1) / TASK_ROWS;
    work w = {.scan = scan,
              .dot = dip_dot_get(),
              .body = dip_product_get(),
              .reach = dip_reach_get(),
              .tasks = tasks,
              .workers = dip_threads(),
              .k = smaller(k, scan->n),
              .depth = in_blocks(scan->dim)};
    const size_t fitting = CHUNK_BYTES / (w.depth * sizeof(dip_bf16)) / DIP_BLOCK * DIP_BLOCK;
    w.chunk_rows = fitting ? smaller(fitting, CHUNK_ROWS) : DIP_BLOCK;
    size_t slab = SLAB_ENTRIES / (w.k * w.workers + 1) / DIP_BLOCK * DIP_BLOCK;
    slab = smaller(slab ? slab : DIP_BLOCK, nq);
    dip_status status = make(&w, slab);
    for (size_t q = 0; !status && q < nq; q += slab) {
        w.queries = queries + q * scan->dim;
        w.least = scan->least ? scan->least + q : NULL;
        w.nq = smaller(slab, nq - q);
        status = run_slab(&w, k, ids + q * k, scores + q * k);
    }
    drop(&w);
    return status;
}
