/*
 * Engine `exact`: all vectors in one file of ours, searched where they are mapped; see layout.h for the bytes and
 * scan.h for the search. An update writes the merged rows anew.
 */
#include "index/engine.h"

#include "core/mem.h"
#include "index/dot.h"
#include "index/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dip_status write_rows(const char *folder, const char *name, const dip_layout *layout,
                             const uint64_t *ids, const float *vectors)
{
    char *path = dip_index_path(folder, name, dip_engine_exact.suffix);
    dip_status status = path ? dip_layout_write(path, layout, ids, NULL, vectors) : DIP_ENOMEM;
    dip_free(path);
    return status;
}

static dip_status build(const dip_build *b)
{
    const dip_supply *s = b->supply;
    dip_layout layout = {.kind = DIP_LAYOUT_VECTORS,
                         .count = s->n,
                         .live = s->n,
                         .dim = (uint32_t)s->dim,
                         .seed = b->recipe.seed};
    if (dip_progress_tick(b->progress, "writing vectors", 0, s->n))
        return dip_fail(DIP_ECANCEL, "building index '%s' was stopped", b->name);
    const float *vectors;
    float *room = dip_supply_room(s, s->n);
    dip_status status = room ? dip_supply_read(s, 0, s->n, room, &vectors) : DIP_ENOMEM;
    if (!status) status = write_rows(b->folder, b->name, &layout, s->ids, vectors);
    dip_free_aligned(room);
    return status;
}

static dip_status open_exact(dip_index *index, const char *folder, const char *name)
{
    (void)folder, (void)name;
    snprintf(index->describe, sizeof index->describe, "Flat");
    return DIP_OK;
}

static void close_exact(dip_index *index) { (void)index; }

static dip_status scores(const dip_index *index, const float *query, const uint32_t *rows, size_t n,
                         float *out)
{
    size_t dim = index->view.layout.dim;
    dip_dot_fn dot = dip_dot_get();
    for (size_t i = 0; i < n; i++) out[i] = dot(query, index->view.vectors + rows[i] * dim, dim);
    return DIP_OK;
}

static dip_status search(const dip_index *index, const dip_request *r)
{
    const dip_layout_view *view = &index->view;
    const dip_scan scan = {.vectors = view->vectors,
                           .ids = view->ids,
                           .n = (size_t)view->layout.count,
                           .dim = view->layout.dim,
                           .allowed = r->rows.bits};
    return dip_scan_run(&scan, r->queries, r->nq, r->k, r->ids, r->scores);
}

/* A row of the new file: from the base or from the change. */
typedef struct source {
    uint64_t id;
    const float *vector;
} source;

static int by_id(const void *a, const void *b)
{
    const source *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* The base's rows that stay and the new ones, ascending; `out` has room for all. Returns their number. */
static size_t collect(const dip_index *base, const dip_change *change, source *out)
{
    const dip_layout_view *view = &base->view;
    size_t dim = view->layout.dim, n = 0;
    for (size_t row = 0; row < view->layout.count; row++) {
        size_t at = dip_ids_lower_bound(change->remove, change->remove_count, view->ids[row]);
        if (at < change->remove_count && change->remove[at] == view->ids[row]) continue;
        out[n++] = (source){view->ids[row], view->vectors + row * dim};
    }
    for (size_t i = 0; i < change->n; i++)
        out[n++] = (source){change->ids[i], change->vectors + i * dim};
    if (n) qsort(out, n, sizeof *out, by_id);
    return n;
}

static dip_status update(const dip_index *base, const dip_change *change)
{
    dip_layout layout = base->view.layout;
    size_t room = (size_t)layout.count + change->n, dim = layout.dim;
    source *rows = dip_alloc(room * sizeof *rows);
    uint64_t *ids = dip_alloc(room * sizeof *ids);
    float *vectors = dip_alloc(room * dim * sizeof *vectors);
    dip_status status = DIP_ENOMEM;
    if (rows && ids && vectors) {
        layout.count = layout.live = collect(base, change, rows);
        for (size_t i = 0; i < layout.count; i++) {
            ids[i] = rows[i].id;
            memcpy(vectors + i * dim, rows[i].vector, dim * sizeof *vectors);
        }
        status = write_rows(change->folder, change->name, &layout, ids, vectors);
    }
    dip_free(rows);
    dip_free(ids);
    dip_free(vectors);
    return status;
}

const dip_engine_ops dip_engine_exact = {
    .engine = DIP_ENGINE_EXACT,
    .name = "exact",
    .kind = DIP_LAYOUT_VECTORS,
    .suffix = ".exact",
    .build = build,
    .open = open_exact,
    .close = close_exact,
    .scores = scores,
    .search = search,
    .update = update,
};
