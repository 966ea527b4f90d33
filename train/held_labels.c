/* Label precision of held-out tiles; see held_labels.h. All by exact search over one BLAS product a query. */
#include "train/held_labels.h"

#include "core/mem.h"
#include "core/status.h"
#include "train/blas.h"

#include <stdint.h>
#include <string.h>

enum { K = 10 };

/* What is known of both sides' tiles: items[side] (n). */
typedef struct known {
    const dip_held *held;
    dip_label_sets *sets;
    dip_eval_item *items[2];
} known;

/* The rows of a side that have a label. */
typedef struct labelled {
    size_t n;
    dip_eval_item *items; /* (n) */
    float *vectors;       /* (n, dim) */
} labelled;

static dip_status read_side(known *k, int side)
{
    const dip_dataset *d = k->held->dataset;
    dip_status status = DIP_OK;
    k->items[side] = dip_calloc(k->held->n, sizeof *k->items[side]);
    if (!k->items[side]) return DIP_ENOMEM;
    for (size_t i = 0; i < k->held->n && !status; i++) {
        dip_meta *meta;
        dip_eval_item *item = &k->items[side][i];
        status = dip_archive_meta(d->archive, d->tiles[k->held->tiles[side][i]], &meta);
        if (status) break;
        item->place = meta->place;
        status = dip_label_sets_add(k->sets, meta->labels, &item->labels);
        if (!status) status = dip_label_sets_add(k->sets, meta->primary_label, &item->primary);
        dip_meta_free(meta);
    }
    return status;
}

static dip_status take(const known *k, int side, bool primary, labelled *out)
{
    const dip_held *h = k->held;
    *out = (labelled){.n = 0};
    out->items = dip_alloc(h->n * sizeof *out->items);
    out->vectors = dip_alloc(h->n * h->dim * sizeof *out->vectors);
    if (!out->items || !out->vectors) return DIP_ENOMEM;
    for (size_t i = 0; i < h->n; i++) {
        const dip_eval_item *item = &k->items[side][i];
        if ((primary ? item->primary : item->labels) == DIP_NO_SET) continue;
        memcpy(out->vectors + out->n * h->dim, h->vectors[side] + i * h->dim,
               h->dim * sizeof *out->vectors);
        out->items[out->n++] = *item;
    }
    return DIP_OK;
}

static void release(labelled *l)
{
    dip_free(l->items);
    dip_free(l->vectors);
}

/* hits: (queries, K). */
static dip_status rank(const labelled *queries, const labelled *gallery, size_t dim, bool same,
                       uint32_t *hits)
{
    float *scores = dip_alloc((gallery->n + 1) * sizeof *scores);
    if (!scores) return DIP_ENOMEM;
    for (size_t i = 0; i < queries->n; i++) {
        dip_blas_abt(1, gallery->n, dim, 1, queries->vectors + i * dim, gallery->vectors, 0,
                     scores);
        size_t n = dip_largest(scores, gallery->n, same ? i : SIZE_MAX, K, hits + i * K);
        for (; n < K; n++) hits[i * K + n] = DIP_NO_HIT;
    }
    dip_free(scores);
    return DIP_OK;
}

static dip_status measure(const known *k, int from, int to, bool primary, dip_metric *out)
{
    static const dip_bootstrap none = {.resamples = 0};
    labelled queries = {.n = 0}, gallery = {.n = 0};
    uint32_t *hits = NULL;
    *out = (dip_metric){.queries = 0};
    dip_status status = take(k, from, primary, &queries);
    if (!status) status = take(k, to, primary, &gallery);
    if (!status && !(hits = dip_alloc((queries.n * K + 1) * sizeof *hits))) status = DIP_ENOMEM;
    if (!status && queries.n && gallery.n > (size_t)(from == to)) {
        const dip_ranking ranking = {queries.n,     gallery.n, K,         queries.items,
                                     gallery.items, hits,      from == to};
        status = rank(&queries, &gallery, k->held->dim, from == to, hits);
        if (!status)
            status = dip_metric_compute(k->sets, &ranking,
                                        primary ? DIP_METRIC_PRECISION : DIP_METRIC_PRECISION_ANY,
                                        K, &none, out);
    }
    release(&queries);
    release(&gallery);
    dip_free(hits);
    return status;
}

static dip_status measure_directions(const known *k, dip_label_precision *out, size_t *count)
{
    static const int directions[DIP_LABEL_DIRECTIONS][2] = {{0, 1}, {1, 0}, {0, 0}, {1, 1}};
    *count = 0;
    for (int i = 0; i < DIP_LABEL_DIRECTIONS; i++) {
        int from = directions[i][0], to = directions[i][1];
        dip_label_precision *p = &out[*count];
        *p = (dip_label_precision){k->held->modality[from], k->held->modality[to], {0}, {0}};
        dip_status status = measure(k, from, to, true, &p->primary);
        if (!status) status = measure(k, from, to, false, &p->any);
        if (status) return status;
        *count += p->primary.queries || p->any.queries;
    }
    return DIP_OK;
}

dip_status dip_held_label_precision(const dip_held *held, dip_label_precision *out, size_t *count)
{
    known k = {.held = held};
    dip_status status = dip_label_sets_create(&k.sets);
    for (int side = 0; side < 2 && !status; side++) status = read_side(&k, side);
    if (!status) status = measure_directions(&k, out, count);
    for (int side = 0; side < 2; side++) dip_free(k.items[side]);
    dip_label_sets_destroy(k.sets);
    return status;
}
