/*
 * Measuring a model on an archive; see evaluate.h.
 *
 * Each side (modality) holds its embeddings, in the form asked for, and what the measures know of each tile. A direction is ranked over three
 * galleries, all tiles, those with labels, those with a primary label, once by exact search and once by the
 * same calls that a query makes; every measure is then computed from the ranking over the gallery it is defined on.
 */
#include "tools/evaluate.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/sorted.h"
#include "core/words.h"
#include "index/scan.h"
#include "search/calibrate.h"
#include "search/engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RECALL_K = 10, RECALL_QUERIES = 1000, GALLERIES = 3, MOST_LEARNED = 16384 };

typedef enum gallery_kind { EVERY_TILE, LABELLED, PRIMARY } gallery_kind;

const double dip_evaluate_percentile[DIP_EVALUATE_PERCENTILES] = {90, 99, 99.9};

typedef struct side {
    dip_embeddings e;
    const float *vectors; /* (e.n, dim): what is compared; e.vectors, or their compact form */
    dip_eval_item *items; /* (e.n) */
    bool *chosen;         /* (e.n): of the split */
    bool *learned;        /* (e.n): of split 'train' */
} side;

/* Some rows of a side, as arrays of their own. */
typedef struct subset {
    size_t n;
    float *vectors;
    uint64_t *ids;
    dip_eval_item *items;
} subset;

typedef struct evaluator {
    const dip_archive *archive;
    dip_search *search;
    const dip_evaluate_options *options;
    dip_label_sets *sets;
    dip_words scenes;
    side sides[DIP_MAX_MODALITIES];
    size_t side_count, dim, depth;
} evaluator;

/* ---- reading ---- */

static dip_status describe_row(evaluator *v, side *s, size_t row)
{
    dip_meta *meta;
    dip_status status = dip_archive_meta(v->archive, s->e.ids[row], &meta);
    if (status) return status;
    dip_eval_item *item = &s->items[row];
    item->place = meta->place;
    status = dip_label_sets_add(v->sets, meta->labels, &item->labels);
    if (!status) status = dip_label_sets_add(v->sets, meta->primary_label, &item->primary);
    if (!status) status = dip_words_add(&v->scenes, meta->scene, strlen(meta->scene), &item->scene);
    s->chosen[row] = !v->options->split || !strcmp(meta->split, v->options->split);
    s->learned[row] = !strcmp(meta->split, "train");
    dip_meta_free(meta);
    return status;
}

static dip_status read_side(evaluator *v, size_t position)
{
    side *s = &v->sides[position];
    dip_status status =
        dip_archive_embeddings(v->archive, v->options->model, (uint32_t)position, &s->e);
    if (status || !s->e.n) return status;
    s->items = dip_calloc(s->e.n, sizeof *s->items);
    s->chosen = dip_calloc(s->e.n, sizeof *s->chosen);
    s->learned = dip_calloc(s->e.n, sizeof *s->learned);
    if (!s->items || !s->chosen || !s->learned) return DIP_ENOMEM;
    v->dim = s->e.dim;
    s->vectors = s->e.vectors;
    for (size_t row = 0; row < s->e.n && !status; row++) status = describe_row(v, s, row);
    return status;
}

/* ---- compact forms ---- */

typedef struct sample {
    float *vectors;                  /* (n, dim) */
    size_t n;                        /* of all sides */
    float *mean[DIP_MAX_MODALITIES]; /* (dim) of each side's */
} sample;

static void sample_fini(sample *s)
{
    dip_free(s->vectors);
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) dip_free(s->mean[i]);
}

/* Every `step`-th of the tiles to learn from, and their mean. */
static dip_status sample_side(const evaluator *v, size_t position, bool all, size_t step,
                              sample *out)
{
    const side *s = &v->sides[position];
    size_t seen = 0, first = out->n;
    float *mean = out->mean[position] = dip_calloc(v->dim, sizeof *mean);
    if (!mean) return DIP_ENOMEM;
    for (size_t row = 0; row < s->e.n; row++) {
        const float *vector = s->e.vectors + row * v->dim;
        if (!(all || s->learned[row]) || seen++ % step) continue;
        memcpy(out->vectors + out->n++ * v->dim, vector, v->dim * sizeof *vector);
        for (size_t i = 0; i < v->dim; i++) mean[i] += vector[i];
    }
    for (size_t i = 0; i < v->dim && out->n > first; i++) mean[i] /= (float)(out->n - first);
    return DIP_OK;
}

static size_t count_learned(const evaluator *v, bool all)
{
    size_t n = 0;
    for (size_t i = 0; i < v->side_count; i++)
        for (size_t row = 0; row < v->sides[i].e.n; row++) n += all || v->sides[i].learned[row];
    return n;
}

static dip_status take_sample(const evaluator *v, sample *out)
{
    bool all = !count_learned(v, false);
    size_t n = count_learned(v, all), step = (n + MOST_LEARNED - 1) / MOST_LEARNED;
    dip_status status = DIP_OK;
    out->vectors = dip_alloc((n / step + v->side_count) * v->dim * sizeof *out->vectors);
    if (!out->vectors) return DIP_ENOMEM;
    for (size_t i = 0; i < v->side_count && !status; i++)
        status = sample_side(v, i, all, step, out);
    return status;
}

static dip_status pack_side(side *s, const dip_compact *compact, const float *mean)
{
    float *packed = dip_alloc((s->e.n * dip_compact_dims(compact) + 1) * sizeof *packed);
    if (!packed) return DIP_ENOMEM;
    s->vectors = packed;
    return dip_compact_apply(compact, mean, s->e.vectors, s->e.n, packed);
}

/* Brings all sides into the form that was asked for. */
static dip_status pack(evaluator *v, dip_evaluation *out)
{
    const dip_evaluate_options *o = v->options;
    dip_compact *compact = NULL;
    sample learned = {.n = 0};
    out->dims = v->dim;
    out->bytes = 2 * v->dim;
    if (o->form == DIP_COMPACT_FLOAT && !o->dims) return DIP_OK;
    dip_status status = take_sample(v, &learned);
    if (!status)
        status = dip_compact_create(&compact, o->form, learned.vectors, learned.n, v->dim, o->dims);
    for (size_t i = 0; i < v->side_count && !status; i++)
        status = pack_side(&v->sides[i], compact, learned.mean[i]);
    if (!status) {
        v->dim = out->dims = dip_compact_dims(compact);
        out->bytes = dip_compact_bytes(compact);
    }
    dip_compact_destroy(compact);
    sample_fini(&learned);
    return status;
}

/* ---- subsets ---- */

static void subset_fini(subset *s)
{
    dip_free_aligned(s->vectors);
    dip_free(s->ids);
    dip_free(s->items);
}

static bool belongs(const dip_eval_item *item, gallery_kind kind)
{
    return kind == EVERY_TILE || (kind == LABELLED ? item->labels : item->primary) != DIP_NO_SET;
}

static dip_status take(const evaluator *v, const side *s, bool all, gallery_kind kind, subset *out)
{
    size_t n = s->e.n, dim = v->dim;
    *out = (subset){0};
    out->vectors = dip_alloc_aligned((n * dim + 1) * sizeof *out->vectors);
    out->ids = dip_alloc((n + 1) * sizeof *out->ids);
    out->items = dip_alloc((n + 1) * sizeof *out->items);
    if (!out->vectors || !out->ids || !out->items) {
        subset_fini(out);
        return DIP_ENOMEM;
    }
    for (size_t row = 0; row < n; row++) {
        if (!(all || s->chosen[row]) || !belongs(&s->items[row], kind)) continue;
        memcpy(out->vectors + out->n * dim, s->vectors + row * dim, dim * sizeof(float));
        out->ids[out->n] = s->e.ids[row];
        out->items[out->n++] = s->items[row];
    }
    return DIP_OK;
}

/* ---- ranking ---- */

/* Adds a hit to a row, as a gallery position, unless it is the query's own tile or the row is full. */
static void add_hit(const evaluator *v, const subset *gallery, uint64_t id, uint64_t own,
                    uint32_t *row, size_t *filled)
{
    if (id != own && *filled < v->depth)
        row[(*filled)++] = (uint32_t)dip_ids_lower_bound(gallery->ids, gallery->n, id);
}

static dip_status rank_exactly(const evaluator *v, const subset *queries, const subset *gallery,
                               uint32_t *hits)
{
    size_t k = v->depth + 1;
    uint64_t *ids = dip_alloc((queries->n * k + 1) * sizeof *ids);
    float *scores = dip_alloc((queries->n * k + 1) * sizeof *scores);
    const dip_scan scan = {
        .vectors = gallery->vectors, .ids = gallery->ids, .n = gallery->n, .dim = v->dim};
    dip_status status = ids && scores ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_scan_run(&scan, queries->vectors, queries->n, k, ids, scores);
    for (size_t i = 0; i < queries->n * v->depth; i++) hits[i] = DIP_NO_HIT;
    for (size_t q = 0; q < queries->n && !status; q++) {
        size_t filled = 0;
        for (size_t i = q * k; i < (q + 1) * k && ids[i] != DIP_NO_ID; i++)
            add_hit(v, gallery, ids[i], queries->ids[q], hits + q * v->depth, &filled);
    }
    dip_free(ids);
    dip_free(scores);
    return status;
}

typedef struct index_work {
    const evaluator *v;
    const subset *queries, *gallery;
    int from, to;
    uint32_t *hits;
} index_work;

static dip_status rank_by_index(void *context, size_t task, unsigned worker)
{
    const index_work *w = context;
    const evaluator *v = w->v;
    dip_probed probe = {.modality = w->from, .id = w->queries->ids[task]};
    dip_candidates found;
    (void)worker;
    snprintf(probe.from, sizeof probe.from, "%s",
             dip_archive_modality(v->archive, (size_t)w->from)->name);
    probe.vector = w->queries->vectors + task * v->dim;
    const dip_side *target = &v->search->sides[w->to];
    bool all = !target->has_stale && w->gallery->n == dip_index_count(target->index);
    dip_status status =
        dip_candidates_rank(v->search, &probe, w->to, all ? NULL : w->gallery->ids,
                            all ? 0 : w->gallery->n, v->depth + 1, &v->options->effort, &found);
    if (status) return status;
    uint32_t *row = w->hits + task * v->depth;
    size_t filled = 0;
    for (size_t i = 0; i < v->depth; i++) row[i] = DIP_NO_HIT;
    for (size_t i = 0; i < found.count; i++)
        add_hit(v, w->gallery, found.list[i].id, probe.id, row, &filled);
    dip_free(found.list);
    return DIP_OK;
}

/* ---- the index against exact search, over all tiles ---- */

static dip_status count_found(const evaluator *v, const dip_probed *probe, int to, double *found,
                              double *wanted, double *expected)
{
    dip_candidates exact, index;
    bool same = probe->modality == to;
    size_t k = RECALL_K + same;
    dip_status status = dip_candidates_rank(v->search, probe, to, NULL, 0, k, NULL, &exact);
    if (status) return status;
    status = dip_candidates_rank(v->search, probe, to, NULL, 0, k, &v->options->effort, &index);
    *expected = index.exactly ? 1 : index.point ? index.point->recall : NAN;
    /* By score: of equally near tiles either is right. */
    float last = exact.count ? exact.list[exact.count - 1].score - 1e-6F : 0;
    for (size_t i = 0; i < exact.count && !status; i++) *wanted += exact.list[i].id != probe->id;
    for (size_t i = 0; i < index.count && !status; i++)
        *found += index.list[i].score >= last && index.list[i].id != probe->id;
    dip_free(exact.list);
    dip_free(index.list);
    return status;
}

static dip_status measure_recall(const evaluator *v, const subset *queries, int from, int to,
                                 dip_evaluated_direction *out)
{
    double found = 0, wanted = 0;
    size_t n = queries->n < RECALL_QUERIES ? queries->n : RECALL_QUERIES;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < n && !status; i++) {
        size_t at = i * queries->n / n;
        dip_probed probe = {.modality = from, .id = queries->ids[at]};
        snprintf(probe.from, sizeof probe.from, "%s", out->from);
        probe.vector = queries->vectors + at * v->dim;
        status = count_found(v, &probe, to, &found, &wanted, &out->expected_recall);
    }
    out->index_recall = wanted > 0 ? (found < wanted ? found / wanted : 1) : NAN;
    out->recall_queries = n;
    return status;
}

/* ---- one direction ---- */

static gallery_kind gallery_of(dip_metric_kind kind)
{
    return kind == DIP_METRIC_PAIR_RECALL ? EVERY_TILE
           : kind == DIP_METRIC_PRECISION ? PRIMARY
                                          : LABELLED;
}

typedef struct rankings {
    subset queries, gallery;
    uint32_t *exact, *index;
} rankings;

static void rankings_fini(rankings *r)
{
    subset_fini(&r->queries);
    subset_fini(&r->gallery);
    dip_free(r->exact);
    dip_free(r->index);
}

static dip_status rank(const evaluator *v, int from, int to, gallery_kind kind, bool indexed,
                       rankings *r)
{
    *r = (rankings){0};
    dip_status status = take(v, &v->sides[from], false, kind, &r->queries);
    if (!status) status = take(v, &v->sides[to], v->options->whole_gallery, kind, &r->gallery);
    size_t room = (r->queries.n * v->depth + 1) * sizeof *r->exact;
    if (!status) {
        r->exact = dip_alloc(room);
        r->index = dip_alloc(room);
        if (!r->exact || !r->index) status = DIP_ENOMEM;
    }
    if (!status) status = rank_exactly(v, &r->queries, &r->gallery, r->exact);
    index_work w = {v, &r->queries, &r->gallery, from, to, r->index};
    if (!status && indexed) status = dip_parallel_for(r->queries.n, rank_by_index, &w);
    return status;
}

static dip_status measure(const evaluator *v, const rankings *r, bool same, dip_metric_kind kind,
                          dip_evaluated_direction *out)
{
    dip_ranking ranking = {r->queries.n,     r->gallery.n, v->depth, r->queries.items,
                           r->gallery.items, r->exact,     same};
    for (size_t i = 0; i < v->options->k_count; i++) {
        dip_evaluated_metric *m = &out->metrics[out->metric_count];
        ranking.hits = r->exact;
        dip_status status = dip_metric_compute(v->sets, &ranking, kind, v->options->k[i],
                                               &v->options->bootstrap, &m->exact);
        if (status) return status;
        if (!m->exact.queries) continue;
        ranking.hits = r->index;
        if (out->indexed)
            status = dip_metric_compute(v->sets, &ranking, kind, v->options->k[i],
                                        &v->options->bootstrap, &m->index);
        if (status) return status;
        out->metric_count++;
    }
    return DIP_OK;
}

static dip_status measure_gallery(const evaluator *v, int from, int to, gallery_kind kind,
                                  dip_evaluated_direction *out)
{
    rankings r;
    dip_status status = rank(v, from, to, kind, out->indexed, &r);
    if (!status && kind == EVERY_TILE) {
        out->queries = r.queries.n;
        out->gallery = r.gallery.n;
        if (out->indexed) status = measure_recall(v, &r.queries, from, to, out);
    }
    bool nothing = !r.queries.n || r.gallery.n <= (size_t)(from == to);
    for (int m = 0; m < DIP_METRIC_KIND_COUNT && !status && !nothing; m++) {
        dip_metric_kind metric = (dip_metric_kind)m;
        if (gallery_of(metric) != kind || (metric == DIP_METRIC_PAIR_RECALL && from == to))
            continue;
        status = measure(v, &r, from == to, metric, out);
    }
    rankings_fini(&r);
    return status;
}

static dip_status evaluate_direction(const evaluator *v, int from, int to,
                                     dip_evaluated_direction *out)
{
    const dip_index *index = v->search ? v->search->sides[to].index : NULL;
    snprintf(out->from, sizeof out->from, "%s",
             dip_archive_modality(v->archive, (size_t)from)->name);
    snprintf(out->to, sizeof out->to, "%s", dip_archive_modality(v->archive, (size_t)to)->name);
    out->indexed = index != NULL;
    out->index_is_exact = index && dip_index_engine(index) == DIP_ENGINE_EXACT;
    out->index_recall = out->expected_recall = NAN;
    for (int i = 0; i < DIP_EVALUATE_PERCENTILES; i++) out->above[i] = NAN;
    size_t room = DIP_METRIC_KIND_COUNT * v->options->k_count;
    out->metrics = dip_calloc(room, sizeof *out->metrics);
    if (!out->metrics) return DIP_ENOMEM;
    for (int kind = 0; kind < GALLERIES; kind++) {
        dip_status status = measure_gallery(v, from, to, (gallery_kind)kind, out);
        if (status) return status;
    }
    return DIP_OK;
}

/* ---- calibration ---- */

/* The rows of a side inside the split, or outside of it. */
static dip_status take_calibration(const evaluator *v, const side *s, bool inside, float **vectors,
                                   uint64_t **places, size_t *n)
{
    *vectors = dip_alloc((s->e.n * v->dim + 1) * sizeof **vectors);
    *places = dip_alloc((s->e.n + 1) * sizeof **places);
    if (!*vectors || !*places) return DIP_ENOMEM;
    for (size_t row = 0; row < s->e.n; row++) {
        if (s->chosen[row] != inside) continue;
        memcpy(*vectors + *n * v->dim, s->vectors + row * v->dim, v->dim * sizeof(float));
        (*places)[(*n)++] = s->items[row].place;
    }
    return DIP_OK;
}

static dip_status calibrate(const evaluator *v, size_t from, size_t to, bool inside,
                            dip_calibration *out, size_t *pairs)
{
    const size_t position[2] = {from, to};
    float *vectors[2] = {NULL, NULL};
    uint64_t *places[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    dip_status status = DIP_OK;
    for (int i = 0; i < 2 && !status; i++)
        status =
            take_calibration(v, &v->sides[position[i]], inside, &vectors[i], &places[i], &n[i]);
    const dip_supply supplies[2] = {{.n = n[0], .dim = v->dim, .values = vectors[0]},
                                    {.n = n[1], .dim = v->dim, .values = vectors[1]}};
    const dip_calibration_side sides[2] = {{&supplies[0], places[0]}, {&supplies[1], places[1]}};
    if (!status)
        status = dip_calibrate(&sides[0], &sides[1], v->options->bootstrap.seed, out, pairs);
    for (int i = 0; i < 2; i++) {
        dip_free(vectors[i]);
        dip_free(places[i]);
    }
    return status;
}

static dip_status try_calibration(const evaluator *v, size_t from, size_t to,
                                  dip_evaluated_direction *out)
{
    dip_calibration *c = dip_calloc(2, sizeof *c); /* outside of the split, inside */
    size_t pairs[2] = {0, 0};
    if (!c) return DIP_ENOMEM;
    dip_status status = calibrate(v, from, to, false, &c[0], &pairs[0]);
    if (!status) status = calibrate(v, from, to, true, &c[1], &pairs[1]);
    for (int i = 0; i < DIP_EVALUATE_PERCENTILES && !status && pairs[0] && pairs[1]; i++) {
        double step = dip_evaluate_percentile[i] / 100 * (DIP_CALIBRATION_STEPS - 1);
        float score = c[0].quantile[lround(step)];
        out->above[i] = 1 - (double)dip_calibration_percentile(&c[1], score) / 100;
    }
    dip_free(c);
    return status;
}

/* ---- all ---- */

static dip_status evaluate_all(evaluator *v, dip_evaluation *out)
{
    size_t n = v->side_count, done = 0;
    out->directions = dip_calloc(n * n + 1, sizeof *out->directions);
    if (!out->directions) return DIP_ENOMEM;
    for (size_t from = 0; from < n; from++) {
        for (size_t to = 0; to < n; to++) {
            if (dip_progress_tick(v->options->progress, "evaluate", done++, n * n))
                return dip_fail(DIP_ECANCEL, "stopped");
            if (!v->sides[from].e.n || !v->sides[to].e.n) continue;
            dip_evaluated_direction *d = &out->directions[out->count++];
            dip_status status = evaluate_direction(v, (int)from, (int)to, d);
            if (!status) status = try_calibration(v, from, to, d);
            if (status) return status;
        }
    }
    return DIP_OK;
}

static void fini(evaluator *v)
{
    for (size_t i = 0; i < v->side_count; i++) {
        side *s = &v->sides[i];
        if (s->vectors != s->e.vectors) dip_free((float *)s->vectors);
        dip_embeddings_fini(&s->e);
        dip_free(s->items);
        dip_free(s->chosen);
        dip_free(s->learned);
    }
    dip_label_sets_destroy(v->sets);
    dip_words_fini(&v->scenes);
}

dip_status dip_evaluate(const dip_archive *archive, dip_search *search,
                        const dip_evaluate_options *options, dip_evaluation *out)
{
    evaluator v = {.archive = archive, .search = search, .options = options};
    dip_evaluation result = {0};
    for (size_t i = 0; i < options->k_count; i++)
        if (options->k[i] > v.depth) v.depth = options->k[i];
    dip_status status = dip_label_sets_create(&v.sets);
    v.side_count = dip_archive_modality_count(archive);
    for (size_t i = 0; i < v.side_count && !status; i++) status = read_side(&v, i);
    if (!status && !v.dim)
        status = dip_fail(DIP_ENOENT, "no tile has an embedding of model %s; run diptych encode",
                          options->model);
    if (!status) status = pack(&v, &result);
    if (!status) status = evaluate_all(&v, &result);
    fini(&v);
    if (status)
        dip_evaluation_fini(&result);
    else
        *out = result;
    return status;
}

void dip_evaluation_fini(dip_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->count; i++) dip_free(evaluation->directions[i].metrics);
    dip_free(evaluation->directions);
    *evaluation = (dip_evaluation){0};
}
