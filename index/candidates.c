/*
 * Search of the faiss engine: the 4-bit scan proposes candidates, rows that cannot be hits (removed, not allowed) are
 * dropped, the rest is scored by the fp16 refinement vectors.
 *
 * Fetch depth and, under a filter, the number of lists grow with the share of rows that can be hits. A query
 * that still has fewer hits than there could be asks again with four times of both, and in the end scores every row
 * that can be a hit: k are found if there are k.
 */
#include "index/faiss.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/topk.h"

#include <math.h>

enum {
    QUERY_BLOCK =
        16, /* below 20 FAISS ranks lists query by query: no answer depends on its block */
    SCRATCH_ROWS = 1 << 18, /* candidates that one block of queries may have */
    GROWTH = 4,
    WHOLE_FRACTION = 8, /* a query that fetches an eighth of all rows is better off with all */
};

typedef struct work {
    const dip_index *index;
    const dip_request *request;
    const dip_faiss *faiss;
    size_t nprobe, fetch, block, room;
} work;

typedef struct scratch {
    int64_t *locals;  /* (block, fetch) */
    float *distances; /* (block, fetch) */
    uint32_t *rows;   /* fetch */
    float *scores;    /* fetch */
    dip_topk_entry *entries;
} scratch;

static void scratch_fini(scratch *s)
{
    dip_free(s->locals);
    dip_free(s->distances);
    dip_free(s->rows);
    dip_free(s->scores);
    dip_free(s->entries);
}

static dip_status scratch_init(scratch *s, size_t block, size_t fetch, size_t room)
{
    *s = (scratch){0};
    s->locals = dip_alloc(block * fetch * sizeof *s->locals);
    s->distances = dip_alloc(block * fetch * sizeof *s->distances);
    s->rows = dip_alloc(fetch * sizeof *s->rows);
    s->scores = dip_alloc(fetch * sizeof *s->scores);
    s->entries = dip_alloc(room * sizeof *s->entries);
    if (s->locals && s->distances && s->rows && s->scores && s->entries) return DIP_OK;
    scratch_fini(s);
    return DIP_ENOMEM;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

dip_status dip_faiss_row_scores(const dip_index *index, const float *query, const uint32_t *rows,
                                size_t n, float *scores)
{
    const dip_faiss *f = index->state;
    dip_faiss_error error;
    int code = dip_faiss_scores(f->index, query, rows, n, scores, &error);
    return code ? dip_faiss_fail(code, &error, "score candidates", index->describe) : DIP_OK;
}

/* A query's candidates to hits; *found is their number. */
static dip_status refine(const work *w, size_t query, const int64_t *locals, size_t fetch,
                         scratch *s, size_t *found)
{
    const dip_id_table *table = &w->index->table;
    const dip_request *r = w->request;
    size_t n = 0;
    for (size_t i = 0; i < fetch && locals[i] >= 0; i++) {
        size_t row = (size_t)locals[i];
        if (row >= table->count)
            return dip_fail(DIP_ECORRUPT, "index %s names row %zu of %zu; run diptych index again",
                            w->index->describe, row, table->count);
        if (r->rows.bits ? !dip_bit(r->rows.bits, row)
                         : table->removed && dip_bit(table->removed, row))
            continue;
        s->rows[n++] = (uint32_t)row;
    }
    const float *vector = r->queries + query * w->faiss->shape.dim;
    dip_status status = dip_faiss_row_scores(w->index, vector, s->rows, n, s->scores);
    if (status) return status;
    dip_topk top = {.k = w->room, .entries = s->entries};
    for (size_t i = 0; i < n; i++) dip_topk_push(&top, s->scores[i], table->ids[s->rows[i]]);
    *found = top.size;
    dip_topk_finish(&top, r->k, r->ids + query * r->k, r->scores + query * r->k);
    return DIP_OK;
}

static dip_status propose(const work *w, size_t first, size_t n, size_t nprobe, size_t fetch,
                          scratch *s)
{
    dip_faiss_error error;
    const float *queries = w->request->queries + first * w->faiss->shape.dim;
    int code = dip_faiss_candidates(w->faiss->index, queries, n, nprobe, fetch, s->locals,
                                    s->distances, &error);
    return code ? dip_faiss_fail(code, &error, "search", w->index->describe) : DIP_OK;
}

/* A query that found too little asks for more and more. */
static dip_status insist(const work *w, size_t query)
{
    size_t count = w->index->table.count, lists = w->faiss->shape.lists, found = 0;
    size_t nprobe = w->nprobe, fetch = w->fetch;
    for (;;) {
        if (nprobe >= lists && fetch >= count) break;
        nprobe = smaller(lists, nprobe * GROWTH);
        fetch = smaller(count, fetch * GROWTH);
        if (fetch > count / WHOLE_FRACTION) break;
        scratch s;
        dip_status status = scratch_init(&s, 1, fetch, w->room);
        if (status) return status;
        status = propose(w, query, 1, nprobe, fetch, &s);
        if (!status) status = refine(w, query, s.locals, fetch, &s, &found);
        scratch_fini(&s);
        if (status || found == w->room) return status;
    }
    return dip_search_rows(w->index, w->request, query, 1);
}

static dip_status run_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const work *w = context;
    size_t first = task * w->block, n = smaller(w->block, w->request->nq - first);
    scratch s;
    dip_status status = scratch_init(&s, n, w->fetch, w->room);
    if (status) return status;
    status = propose(w, first, n, w->nprobe, w->fetch, &s);
    for (size_t i = 0; i < n && !status; i++) {
        size_t found = 0;
        status = refine(w, first + i, s.locals + i * w->fetch, w->fetch, &s, &found);
        if (!status && found < w->room) status = insist(w, first + i);
    }
    scratch_fini(&s);
    return status;
}

dip_status dip_faiss_search(const dip_index *index, const dip_request *request)
{
    const dip_rows *rows = &request->rows;
    size_t count = index->table.count;
    work w = {.index = index, .request = request, .faiss = index->state};
    w.room = smaller(request->k, rows->count);
    if (w.room == 0) return dip_search_rows(index, request, 0, request->nq);
    double scale = (double)count / (double)rows->count;
    double fetch = ceil((double)request->params.depth * (double)w.room * scale);
    double nprobe = rows->bits ? ceil(request->params.nprobe * scale) : request->params.nprobe;
    w.fetch = fetch < (double)count ? (size_t)fetch : count;
    w.nprobe = smaller(w.faiss->shape.lists, nprobe < UINT32_MAX ? (size_t)nprobe : UINT32_MAX);
    w.block = SCRATCH_ROWS / w.fetch;
    if (w.block > QUERY_BLOCK) w.block = QUERY_BLOCK;
    if (w.block == 0) w.block = 1;
    return dip_parallel_for((request->nq + w.block - 1) / w.block, run_block, &w);
}
