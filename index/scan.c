/*
 * Exact search; see scan.h.
 *
 * Queries are cut into blocks of 32, rows into chunks of whole blocks of 512; a task is one (query block, chunk) and
 * keeps its own k best, which are merged at the end. A block's products come from sgemm (from dip_dot itself
 * for a few queries). sgemm rounds differently from one block shape to the next, so its product only says which rows
 * may get in: those within `slack` of the worst hit kept so far are scored again by dip_dot. Calls with many queries
 * are worked off in slabs to bound the memory of the heaps.
 */
#include "index/scan.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/blas.h"
#include "index/dot.h"
#include "index/layout.h"
#include "index/topk.h"

#include <float.h>
#include <string.h>

enum {
    QUERY_BLOCK = 32,
    ROW_BLOCK = 512,
    FEW_QUERIES = 3,        /* below this a dot loop reads memory just as fast */
    CHUNK_ROWS = 4096,      /* at least, when rows are split over threads */
    SLAB_ENTRIES = 1 << 20, /* heap entries in one slab */
};

typedef struct work {
    const dip_scan *scan;
    dip_dot_fn dot;
    float slack;
    const float *queries;
    size_t nq, k;
    size_t chunks, chunk_rows;
    dip_topk_entry *entries; /* (chunks, nq, k) */
    size_t *sizes;           /* (chunks, nq) */
    float *tiles;            /* (threads, QUERY_BLOCK, ROW_BLOCK) */
} work;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* One query against one block of rows whose approximate products are known. */
static void take(const work *w, dip_topk *top, const float *query, size_t first, size_t rows,
                 const float *products)
{
    const dip_scan *s = w->scan;
    float bar = dip_topk_full(top) ? top->entries[0].score - w->slack : -FLT_MAX;
    for (size_t j = 0; j < rows; j++) {
        if (products[j] < bar) continue;
        size_t row = first + j;
        if (s->allowed && !dip_bit(s->allowed, row)) continue;
        dip_topk_push(top, w->dot(query, s->vectors + row * s->dim, s->dim), s->ids[row]);
        if (dip_topk_full(top)) bar = top->entries[0].score - w->slack;
    }
}

static void take_alone(const work *w, dip_topk *top, const float *query, size_t first, size_t rows)
{
    const dip_scan *s = w->scan;
    for (size_t row = first; row < first + rows; row++) {
        if (s->allowed && !dip_bit(s->allowed, row)) continue;
        dip_topk_push(top, w->dot(query, s->vectors + row * s->dim, s->dim), s->ids[row]);
    }
}

static dip_status run_task(void *context, size_t task, unsigned worker)
{
    const work *w = context;
    const dip_scan *s = w->scan;
    size_t chunk = task % w->chunks, q0 = task / w->chunks * QUERY_BLOCK;
    size_t queries = smaller(QUERY_BLOCK, w->nq - q0);
    size_t row = chunk * w->chunk_rows, end = smaller(row + w->chunk_rows, s->n);
    float *tile = w->tiles + (size_t)worker * QUERY_BLOCK * ROW_BLOCK;
    dip_topk tops[QUERY_BLOCK];
    for (size_t i = 0; i < queries; i++)
        tops[i] = (dip_topk){.k = w->k, .entries = w->entries + (chunk * w->nq + q0 + i) * w->k};
    for (; row < end; row += ROW_BLOCK) {
        size_t rows = smaller(ROW_BLOCK, end - row);
        const float *query = w->queries + q0 * s->dim;
        if (queries > FEW_QUERIES)
            dip_blas_products(query, queries, s->vectors + row * s->dim, rows, s->dim, tile,
                              ROW_BLOCK);
        for (size_t i = 0; i < queries; i++, query += s->dim) {
            if (queries > FEW_QUERIES)
                take(w, &tops[i], query, row, rows, tile + i * ROW_BLOCK);
            else
                take_alone(w, &tops[i], query, row, rows);
        }
    }
    for (size_t i = 0; i < queries; i++) w->sizes[chunk * w->nq + q0 + i] = tops[i].size;
    return DIP_OK;
}

static void merge(const work *w, size_t query, size_t k, uint64_t *ids, float *scores)
{
    dip_topk top = {.k = w->k, .size = w->sizes[query], .entries = w->entries + query * w->k};
    for (size_t chunk = 1; chunk < w->chunks; chunk++) {
        size_t at = chunk * w->nq + query;
        const dip_topk_entry *entry = w->entries + at * w->k;
        for (size_t i = 0; i < w->sizes[at]; i++) dip_topk_push(&top, entry[i].score, entry[i].id);
    }
    dip_topk_finish(&top, k, ids, scores);
}

/* Rows are split only when there are too few queries to keep all threads busy. */
static void cut_rows(work *w, size_t nq)
{
    size_t blocks = (nq + QUERY_BLOCK - 1) / QUERY_BLOCK, threads = dip_threads();
    size_t wanted = blocks >= 2 * threads ? 1 : (2 * threads + blocks - 1) / blocks;
    size_t rows = (w->scan->n + wanted - 1) / wanted;
    if (rows < CHUNK_ROWS) rows = CHUNK_ROWS;
    w->chunk_rows = (rows + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK;
    w->chunks = (w->scan->n + w->chunk_rows - 1) / w->chunk_rows;
    if (w->chunks == 0) w->chunks = 1;
}

dip_status dip_scan_run(const dip_scan *scan, const float *queries, size_t nq, size_t k,
                        uint64_t *ids, float *scores)
{
    if (nq == 0 || k == 0) return DIP_OK;
    /* Twice the bound of a sum of dim rounded products of unit vectors: nothing that belongs in is missed. */
    work w = {.scan = scan,
              .dot = dip_dot_get(),
              .slack = 2 * FLT_EPSILON * (float)(scan->dim + 1),
              .k = smaller(k, scan->n)};
    dip_status status = DIP_ENOMEM;
    cut_rows(&w, nq);
    size_t slab = SLAB_ENTRIES / (w.k * w.chunks + 1) / QUERY_BLOCK * QUERY_BLOCK;
    if (slab == 0) slab = QUERY_BLOCK;
    slab = smaller(slab, nq);
    w.entries = dip_alloc(w.chunks * slab * w.k * sizeof *w.entries);
    w.sizes = dip_alloc(w.chunks * slab * sizeof *w.sizes);
    w.tiles = dip_alloc(dip_threads() * sizeof(float) * QUERY_BLOCK * ROW_BLOCK);
    if (!w.entries || !w.sizes || !w.tiles) goto out;
    for (size_t q = 0; q < nq; q += slab) {
        w.queries = queries + q * scan->dim;
        w.nq = smaller(slab, nq - q);
        size_t blocks = (w.nq + QUERY_BLOCK - 1) / QUERY_BLOCK;
        status = dip_parallel_for(blocks * w.chunks, run_task, &w);
        if (status) goto out;
        for (size_t i = 0; i < w.nq; i++) merge(&w, i, k, ids + (q + i) * k, scores + (q + i) * k);
    }
out:
    dip_free(w.entries);
    dip_free(w.sizes);
    dip_free(w.tiles);
    return status;
}
