/*
 * Measures of retrieval; see metrics.h.
 *
 * Every measure is one row of numbers a query (`sample`: one value, or prec and rec for f1_macro) and a rule that
 * makes one number of the averages. The bootstrap then works on the rows alone: it draws rows, or scenes with
 * their sums of rows.
 */
#include "train/metrics.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
    double a, b;  /* summed over what counts */
    double count; /* 1 a query; queries in a scene */
    uint32_t scene;
} sample;

typedef struct scorer {
    const dip_label_sets *sets;
    const dip_ranking *ranking;
    dip_metric_kind kind;
    size_t k;
    bool *relevant;         /* (k), scratch */
    size_t *gallery_of_set; /* how many gallery items have a set; (sets) */
} scorer;

const char *dip_metric_name(dip_metric_kind kind)
{
    static const char *const names[DIP_METRIC_KIND_COUNT] = {
        "pair_recall", "f1_item", "f1_macro", "map_any", "map_all", "p", "p_any"};
    return names[kind];
}

double dip_f1(double prec, double rec)
{
    return prec + rec > 0 ? 2 * prec * rec / (prec + rec) : 0;
}

double dip_average_precision(const bool *relevant, size_t k, size_t total)
{
    double sum = 0;
    size_t seen = 0;
    for (size_t i = 0; i < k; i++) {
        if (!relevant[i]) continue;
        seen++;
        sum += (double)seen / (double)(i + 1);
    }
    size_t best = total < k ? total : k;
    return best ? sum / (double)best : 0;
}

double dip_average_precision_chance(size_t k, size_t total, size_t n)
{
    if (!total || !n) return 0;
    size_t ranks = k < n ? k : n, best = total < k ? total : k;
    double share = (double)total / (double)n, sum = 0;
    double other = n > 1 ? (double)(total - 1) / (double)(n - 1) : 0;
    for (size_t i = 0; i < ranks; i++) sum += share * (1 + (double)i * other) / (double)(i + 1);
    return sum / (double)best;
}

static uint32_t set_of(const scorer *s, const dip_eval_item *item)
{
    return s->kind == DIP_METRIC_PRECISION ? item->primary : item->labels;
}

static const uint32_t *row_of(const scorer *s, size_t query)
{
    return s->ranking->hits + query * s->ranking->depth;
}

static size_t row_length(const scorer *s, const uint32_t *row)
{
    size_t n = 0, most = s->k < s->ranking->depth ? s->k : s->ranking->depth;
    while (n < most && row[n] != DIP_NO_HIT) n++;
    return n;
}

/* ---- two label sets ---- */

typedef struct overlap {
    double prec, rec;
    bool any, all;
} overlap;

static overlap overlap_of(const dip_label_sets *sets, uint32_t query, uint32_t hit)
{
    double shared = (double)dip_label_sets_shared(sets, query, hit);
    return (overlap){.prec = shared / (double)dip_label_sets_size(sets, hit),
                     .rec = shared / (double)dip_label_sets_size(sets, query),
                     .any = shared > 0,
                     .all = query == hit};
}

/* What one hit is worth to the measure. */
static void worth(const scorer *s, uint32_t query, uint32_t hit, double *a, double *b)
{
    overlap o = overlap_of(s->sets, query, hit);
    *b = 0;
    switch (s->kind) {
    case DIP_METRIC_F1_ITEM: *a = dip_f1(o.prec, o.rec); break;
    case DIP_METRIC_F1_MACRO:
        *a = o.prec;
        *b = o.rec;
        break;
    case DIP_METRIC_MAP_ANY:
    case DIP_METRIC_PRECISION_ANY: *a = o.any; break;
    default: *a = o.all; break;
    }
}

/* ---- one query ---- */

/* Sum of worth over the whole gallery but the query's own tile: what a random order is made of. */
static void gallery_worth(const scorer *s, uint32_t query, double *a, double *b, double *n)
{
    double x, y;
    *a = *b = 0;
    for (uint32_t set = 0; set < dip_label_sets_count(s->sets); set++) {
        if (!s->gallery_of_set[set]) continue;
        worth(s, query, set, &x, &y);
        *a += x * (double)s->gallery_of_set[set];
        *b += y * (double)s->gallery_of_set[set];
    }
    *n = (double)s->ranking->gallery_count;
    if (s->ranking->same_modality) {
        worth(s, query, query, &x, &y);
        *a -= x;
        *b -= y;
        *n -= 1;
    }
}

static bool score_average_precision(const scorer *s, size_t query, sample *value, sample *chance)
{
    uint32_t own = set_of(s, &s->ranking->queries[query]);
    const uint32_t *row = row_of(s, query);
    size_t length = row_length(s, row);
    double total, unused, n, a, b;
    gallery_worth(s, own, &total, &unused, &n);
    if (total < 0.5) return false;
    for (size_t i = 0; i < s->k; i++) {
        s->relevant[i] = false;
        if (i >= length) continue;
        worth(s, own, set_of(s, &s->ranking->gallery[row[i]]), &a, &b);
        s->relevant[i] = a > 0;
    }
    value->a = dip_average_precision(s->relevant, s->k, (size_t)(total + 0.5));
    chance->a = dip_average_precision_chance(s->k, (size_t)(total + 0.5), (size_t)(n + 0.5));
    return true;
}

static bool score_mean(const scorer *s, size_t query, sample *value, sample *chance)
{
    uint32_t own = set_of(s, &s->ranking->queries[query]);
    const uint32_t *row = row_of(s, query);
    size_t length = row_length(s, row);
    double a, b, n;
    if (!length) return false;
    for (size_t i = 0; i < length; i++) {
        worth(s, own, set_of(s, &s->ranking->gallery[row[i]]), &a, &b);
        value->a += a / (double)length;
        value->b += b / (double)length;
    }
    gallery_worth(s, own, &a, &b, &n);
    chance->a = a / n;
    chance->b = b / n;
    return true;
}

typedef struct place_list {
    uint64_t *places; /* of the gallery, ascending */
    size_t count;
} place_list;

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool score_pair(const scorer *s, const place_list *list, size_t query, sample *value,
                       sample *chance)
{
    uint64_t place = s->ranking->queries[query].place;
    if (!bsearch(&place, list->places, list->count, sizeof place, by_place)) return false;
    const uint32_t *row = row_of(s, query);
    size_t length = row_length(s, row);
    for (size_t i = 0; i < length; i++)
        if (s->ranking->gallery[row[i]].place == place) value->a = 1;
    chance->a = s->k < list->count ? (double)s->k / (double)list->count : 1;
    return true;
}

/* ---- all queries ---- */

static double combine(dip_metric_kind kind, double a, double b, double count)
{
    if (!(count > 0)) return NAN;
    return kind == DIP_METRIC_F1_MACRO ? dip_f1(a / count, b / count) : a / count;
}

static double combine_all(dip_metric_kind kind, const sample *rows, size_t n)
{
    double a = 0, b = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        a += rows[i].a;
        b += rows[i].b;
        count += rows[i].count;
    }
    return combine(kind, a, b, count);
}

static dip_status list_places(const dip_ranking *ranking, place_list *list)
{
    list->count = ranking->gallery_count;
    list->places = dip_alloc((list->count + 1) * sizeof *list->places);
    if (!list->places) return DIP_ENOMEM;
    for (size_t i = 0; i < list->count; i++) list->places[i] = ranking->gallery[i].place;
    if (list->count) qsort(list->places, list->count, sizeof *list->places, by_place);
    return DIP_OK;
}

static dip_status count_sets(scorer *s)
{
    size_t n = dip_label_sets_count(s->sets);
    s->relevant = dip_calloc(s->k, sizeof *s->relevant);
    s->gallery_of_set = dip_calloc(n + 1, sizeof *s->gallery_of_set);
    if (!s->relevant || !s->gallery_of_set) return DIP_ENOMEM;
    for (size_t i = 0; i < s->ranking->gallery_count; i++) {
        uint32_t set = set_of(s, &s->ranking->gallery[i]);
        if (set == DIP_NO_SET)
            return dip_fail(DIP_EINVAL, "gallery item %zu has no labels to measure with", i);
        s->gallery_of_set[set]++;
    }
    return DIP_OK;
}

static bool score_query(const scorer *s, const place_list *list, size_t query, sample *value,
                        sample *chance)
{
    if (s->kind == DIP_METRIC_PAIR_RECALL) return score_pair(s, list, query, value, chance);
    if (set_of(s, &s->ranking->queries[query]) == DIP_NO_SET) return false;
    if (s->kind == DIP_METRIC_MAP_ANY || s->kind == DIP_METRIC_MAP_ALL)
        return score_average_precision(s, query, value, chance);
    return score_mean(s, query, value, chance);
}

/* Fills values and chances with a row for each query that counts; returns their number. */
static size_t score_all(const scorer *s, const place_list *list, sample *values, sample *chances)
{
    size_t n = 0;
    for (size_t q = 0; q < s->ranking->query_count; q++) {
        uint32_t scene = s->ranking->queries[q].scene;
        values[n] = chances[n] = (sample){.count = 1, .scene = scene};
        n += score_query(s, list, q, &values[n], &chances[n]);
    }
    return n;
}

/* ---- bootstrap ---- */

static int by_scene(const void *a, const void *b)
{
    uint32_t x = ((const sample *)a)->scene, y = ((const sample *)b)->scene;
    return (x > y) - (x < y);
}

/* Adds up the rows of each scene in place; returns the number of scenes. */
static size_t merge_scenes(sample *rows, size_t n)
{
    size_t scenes = 0;
    if (n) qsort(rows, n, sizeof *rows, by_scene);
    for (size_t i = 0; i < n; i++) {
        if (!scenes || rows[scenes - 1].scene != rows[i].scene) {
            rows[scenes++] = rows[i];
            continue;
        }
        rows[scenes - 1].a += rows[i].a;
        rows[scenes - 1].b += rows[i].b;
        rows[scenes - 1].count += rows[i].count;
    }
    return scenes;
}

typedef struct resampling {
    const sample *rows;
    size_t n;
    dip_metric_kind kind;
    uint64_t seed;
    double *statistics;
} resampling;

static dip_status resample(void *context, size_t task, unsigned worker)
{
    const resampling *r = context;
    dip_rng rng;
    double a = 0, b = 0, count = 0;
    (void)worker;
    dip_rng_init(&rng, r->seed, task);
    for (size_t i = 0; i < r->n; i++) {
        const sample *row = &r->rows[dip_rng_below(&rng, (uint32_t)r->n)];
        a += row->a;
        b += row->b;
        count += row->count;
    }
    r->statistics[task] = combine(r->kind, a, b, count);
    return DIP_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile of sorted values, linear between neighbours (numpy's default). */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static dip_status interval(sample *rows, size_t n, const dip_bootstrap *bootstrap, dip_metric *out)
{
    if (!n || !bootstrap || !bootstrap->resamples) return DIP_OK;
    if (bootstrap->by_scene) n = merge_scenes(rows, n);
    double *statistics = dip_alloc(bootstrap->resamples * sizeof *statistics);
    if (!statistics) return DIP_ENOMEM;
    resampling r = {rows, n, out->kind, bootstrap->seed, statistics};
    dip_status status = dip_parallel_for(bootstrap->resamples, resample, &r);
    if (!status) {
        qsort(statistics, bootstrap->resamples, sizeof *statistics, by_value);
        out->low = quantile(statistics, bootstrap->resamples, 0.025);
        out->high = quantile(statistics, bootstrap->resamples, 0.975);
    }
    dip_free(statistics);
    return status;
}

dip_status dip_metric_compute(const dip_label_sets *sets, const dip_ranking *ranking,
                              dip_metric_kind kind, size_t k, const dip_bootstrap *bootstrap,
                              dip_metric *out)
{
    scorer s = {.sets = sets, .ranking = ranking, .kind = kind, .k = k};
    place_list list = {0};
    dip_metric metric = {.kind = kind, .k = k, .low = NAN, .high = NAN};
    if (!k || (k > ranking->depth && ranking->depth < ranking->gallery_count))
        return dip_fail(DIP_EINVAL, "k = %zu does not fit a ranking of depth %zu", k,
                        ranking->depth);
    size_t room = ranking->query_count + 1;
    sample *values = dip_alloc(room * sizeof *values), *chances = dip_alloc(room * sizeof *chances);
    dip_status status = values && chances ? DIP_OK : DIP_ENOMEM;
    if (!status)
        status = kind == DIP_METRIC_PAIR_RECALL ? list_places(ranking, &list) : count_sets(&s);
    if (!status) {
        metric.queries = score_all(&s, &list, values, chances);
        metric.value = combine_all(kind, values, metric.queries);
        metric.chance = combine_all(kind, chances, metric.queries);
        status = interval(values, metric.queries, bootstrap, &metric);
    }
    if (!status) *out = metric;
    dip_free(values);
    dip_free(chances);
    dip_free(list.places);
    dip_free(s.relevant);
    dip_free(s.gallery_of_set);
    return status;
}

/* ---- pair recall of embeddings ---- */

typedef struct pair_job {
    const float *queries, *gallery;
    size_t n, dim;
    size_t *rank; /* (n), from 0 */
} pair_job;

/* Sixteen partial sums: the compiler keeps them in vector registers, and the order of additions is fixed. */
static float dot(const float *a, const float *b, size_t dim)
{
    float sums[16] = {0}, total = 0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        for (size_t j = 0; j < 16; j++) sums[j] += a[i + j] * b[i + j];
    for (; i < dim; i++) total += a[i] * b[i];
    for (size_t j = 0; j < 16; j++) total += sums[j];
    return total;
}

static dip_status rank_twin(void *context, size_t task, unsigned worker)
{
    const pair_job *job = context;
    const float *query = job->queries + task * job->dim;
    float own = dot(query, job->gallery + task * job->dim, job->dim);
    size_t better = 0;
    (void)worker;
    for (size_t j = 0; j < job->n; j++) {
        float score = dot(query, job->gallery + j * job->dim, job->dim);
        better += !(score <= own) || (j < task && score == own); /* NaN: never found */
    }
    job->rank[task] = better;
    return DIP_OK;
}

dip_status dip_pair_ranks(const float *queries, const float *gallery, size_t n, size_t dim,
                          size_t *rank)
{
    pair_job job = {queries, gallery, n, dim, rank};
    return dip_parallel_for(n, rank_twin, &job);
}

double dip_share_found(const size_t *rank, size_t n, size_t k)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) found += rank[i] < k;
    return n ? (double)found / (double)n : 0;
}

size_t dip_largest(const float *scores, size_t n, size_t skip, size_t k, uint32_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = count;
        if (i == skip) continue;
        while (at && scores[i] > scores[out[at - 1]]) at--;
        if (at == k) continue;
        if (count < k) count++;
        for (size_t j = count - 1; j > at; j--) out[j] = out[j - 1];
        out[at] = (uint32_t)i;
    }
    return count;
}
