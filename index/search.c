/*
 * The front of search: checks, filters as sets of rows, and the exact answer from a list of rows, which narrow
 * filters get and which engines fall back to when their candidates do not suffice.
 */
#include "index/engine.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/dot.h"
#include "index/topk.h"

#include <math.h>

enum {
    SCORE_BLOCK = 1024,
    NARROW = 20000,        /* rows that are scored one by one rather than searched for */
    NARROW_FRACTION = 100, /* so is one row in a hundred */
};

static bool can_be_hit(const dip_id_table *table, const dip_rows *rows, size_t row)
{
    if (rows->bits) return dip_bit(rows->bits, row);
    return !table->removed || !dip_bit(table->removed, row);
}

/* The rows from *at on that can be hits, a block of them; *at counts in the list, or in all rows. */
static size_t next_rows(const dip_index *index, const dip_rows *rows, size_t *at, uint32_t *block)
{
    size_t n = 0;
    if (rows->list) {
        for (; n < SCORE_BLOCK && *at < rows->count; ++*at) block[n++] = rows->list[*at];
        return n;
    }
    for (; n < SCORE_BLOCK && *at < index->table.count; ++*at)
        if (can_be_hit(&index->table, rows, *at)) block[n++] = (uint32_t)*at;
    return n;
}

static dip_status search_one(const dip_index *index, const dip_request *r, size_t query,
                             dip_topk top)
{
    uint32_t rows[SCORE_BLOCK];
    float scores[SCORE_BLOCK];
    size_t at = 0, n, dim = index->view.layout.dim;
    while ((n = next_rows(index, &r->rows, &at, rows)) > 0) {
        dip_status status = index->ops->scores(index, r->queries + query * dim, rows, n, scores);
        if (status) return status;
        for (size_t i = 0; i < n; i++) {
            if (dip_topk_full(&top) && scores[i] < top.entries[0].score) continue;
            dip_topk_push(&top, scores[i], dip_id_table_at(&index->table, rows[i]));
        }
    }
    dip_topk_finish(&top, r->k, r->ids + query * r->k, r->scores + query * r->k);
    return DIP_OK;
}

typedef struct work {
    const dip_index *index;
    const dip_request *request;
    size_t first, room;      /* room: hits that there can be */
    dip_topk_entry *entries; /* (threads, room) */
} work;

static dip_status run_query(void *context, size_t task, unsigned worker)
{
    const work *w = context;
    dip_topk top = {.k = w->room, .entries = w->entries + worker * w->room};
    return search_one(w->index, w->request, w->first + task, top);
}

dip_status dip_search_rows(const dip_index *index, const dip_request *request, size_t first,
                           size_t n)
{
    size_t room = request->k < request->rows.count ? request->k : request->rows.count;
    work w = {index, request, first, room, NULL};
    w.entries = dip_alloc(dip_threads() * room * sizeof *w.entries);
    if (!w.entries) return DIP_ENOMEM;
    dip_status status = dip_parallel_for(n, run_query, &w);
    dip_free(w.entries);
    return status;
}

static dip_status check_queries(const float *queries, size_t nq, size_t dim)
{
    dip_dot_fn dot = dip_dot_get();
    for (size_t i = 0; i < nq; i++) {
        float square = dot(queries + i * dim, queries + i * dim, dim);
        if (!(fabsf(square - 1) < 0.04F))
            return dip_fail(
                DIP_EINVAL,
                "query %zu is no unit vector (its length is %g); divide it by its length", i,
                sqrt((double)square));
    }
    return DIP_OK;
}

static bool narrow(const dip_index *index, const dip_index_params *params, size_t rows)
{
    if (index->ops->narrow) return index->ops->narrow(index, params, rows);
    return rows <= NARROW || rows <= index->table.count / NARROW_FRACTION;
}

/* Turns allowed ids into rows: few into a list, many into bits, which are the caller's to free. */
static dip_status make_rows(const dip_index *index, const dip_index_params *params,
                            const uint64_t *allow, size_t allow_count, dip_rows *out,
                            uint32_t **list, uint64_t **bits)
{
    const dip_id_table *table = &index->table;
    if (narrow(index, params, allow_count)) {
        *list = dip_alloc((allow_count + 1) * sizeof **list);
        if (!*list) return DIP_ENOMEM;
        *out = (dip_rows){dip_id_table_select(table, allow, allow_count, *list), *list, NULL};
    } else {
        *bits = dip_calloc(dip_bit_words(table->count) + 1, sizeof **bits);
        if (!*bits) return DIP_ENOMEM;
        *out = (dip_rows){dip_id_table_mark(table, allow, allow_count, *bits), NULL, *bits};
    }
    return DIP_OK;
}

/* What a caller leaves at zero is what the index was built with. */
static dip_index_params resolve(const dip_index *index, const dip_index_params *params)
{
    dip_index_params p = params ? *params : (dip_index_params){0};
    if (!p.nprobe) p.nprobe = index->view.layout.nprobe;
    if (!p.depth) p.depth = index->view.layout.depth;
    return p;
}

bool dip_index_compares_all(const dip_index *index, const dip_index_params *params,
                            size_t allow_count)
{
    dip_index_params p = resolve(index, params);
    return index->ops->engine == DIP_ENGINE_EXACT || narrow(index, &p, allow_count);
}

static dip_status run(const dip_index *index, const dip_request *r)
{
    if (r->rows.list) return dip_search_rows(index, r, 0, r->nq);
    return index->ops->search(index, r);
}

dip_status dip_index_search(const dip_index *index, const float *queries, size_t nq, size_t k,
                            const dip_index_params *params, const uint64_t *allow,
                            size_t allow_count, uint64_t *ids, float *scores)
{
    if (nq == 0 || k == 0) return DIP_OK;
    const dip_layout *layout = &index->view.layout;
    dip_status status = check_queries(queries, nq, layout->dim);
    if (status) return status;
    dip_request request = {.queries = queries, .nq = nq, .k = k, .ids = ids, .scores = scores};
    request.params = resolve(index, params);
    request.rows.count = index->table.live;
    uint32_t *list = NULL;
    uint64_t *bits = NULL;
    if (allow)
        status = make_rows(index, &request.params, allow, allow_count, &request.rows, &list, &bits);
    if (!status) status = run(index, &request);
    dip_free(list);
    dip_free(bits);
    return status;
}
