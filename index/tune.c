/*
 * Tuning of operating points; see index.h.
 *
 * A walk from one list (or a few, if they are short) and depth 1 upwards takes, of one step more in lists (1, 2, 3, 4, 6, 8, 12, ...) and one step
 * more in depth, the one that gains more recall for its cost by the model below. Around the target, the way back down is
 * tried as well, so that neither fewer lists nor less depth would do. An engine that knows a gap is then asked for the same number
 * of lists on average, but for each query by its need. Of all that was measured on the choosing queries the points that no
 * cheaper one equals are thinned out, measured on the reporting queries, and timed. One more is put where the target is just
 * reached.
 */
#include "index/engine.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum {
    MAX_DEPTH = 32,
    MAX_TRIALS = 160, /* two steps for each of 2 log2(lists) + 10, and the way back */
    TIMED_QUERIES = 200,
    LOOK_BACK = 6, /* steps: a walk ends if so many gained too little */
    NEEDY = 2,     /* times the average of lists that a query may read */
    HALVINGS = 12,
};

static const double least_recall = 0.8;    /* of a point that is kept, if there are better ones */
static const double enough_recall = 0.998; /* where a walk ends, if the target is not above */
static const double least_gain = 0.0005;   /* of LOOK_BACK steps */
static const double near_target = 0.25;    /* of the misses at the target: kept, being near it */
static const double just = 0.0005;         /* above the target: no need to come nearer */
static const double fewer_misses = 0.75;   /* of what the point before misses: else thinned out */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

typedef struct trial {
    dip_index_params params;
    double recall, cost;
    double lists; /* that a query reads, on average of the choosing ones */
} trial;

typedef struct tuning {
    const dip_index *index;
    const dip_index_tuning *how;
    const float *queries; /* (how->nq, dim) */
    size_t dim;
    size_t k;       /* with the query itself */
    size_t fetched; /* likewise */
    size_t *hits;   /* nq: neighbours that count as found, k or, with ties, more */
    uint64_t *ids;  /* (nq, fetched) */
    float *scores;  /* (nq, fetched) */
    trial trials[MAX_TRIALS];
    size_t trial_count;
} tuning;

/* Hits among what was found for a query; *most: that there can be. */
static size_t count_hits(const tuning *t, size_t query, const uint64_t *ids, size_t *most)
{
    const size_t hits = t->hits[query];
    size_t found = 0;
    *most = hits < t->k ? hits : t->k;
    for (size_t j = 0; j < t->fetched && found < *most; j++)
        found += dip_truth_has(t->how->truth, t->how->first + query, hits, ids[j]);
    return found;
}

/* Recall of the queries first .. first + n - 1. */
static dip_status measure(const tuning *t, size_t first, size_t n, dip_index_params params,
                          double *recall)
{
    uint64_t hits = 0, wanted = 0;
    size_t own = t->how->stored, most;
    dip_status status = dip_index_search(t->index, t->queries + first * t->dim, n, t->fetched,
                                         &params, NULL, 0, t->ids, t->scores);
    for (size_t i = 0; i < n && !status; i++) {
        const size_t found = count_hits(t, first + i, t->ids + i * t->fetched, &most);
        wanted += most > own ? most - own : 0;
        hits += found > own ? found - own : 0;
    }
    *recall = wanted ? (double)hits / (double)wanted : 1;
    return status;
}

/*
 * Nanoseconds of one query that depend on the parameters, as measured, near enough to rank. Of the faiss engine: the
 * look-up table of each probed list (16 entries a code), the codes in it, and each candidate's refinement. Of the native
 * engine: the ranking of about twelve lists for each that may be read, of those that are (`lists`) the codes and a cache
 * miss, the refinement.
 */
static double cost(const tuning *t, dip_index_params params, double lists)
{
    const dip_layout *layout = &t->index->view.layout;
    double codes = (double)layout->code_count * (double)layout->count / layout->lists;
    double dim = layout->dim, candidates = (double)params.depth * (double)t->fetched;
    if (dip_index_engine(t->index) == DIP_ENGINE_NATIVE)
        return params.nprobe * (150 + 0.2 * dim) + lists * (150 + 0.2 * dim + 0.04 * codes) +
               candidates * (40 + 0.5 * dim);
    return lists * (35.0 * layout->code_count + 0.015 * codes) + candidates * (60 + 0.5 * dim);
}

/* ---- the walk ---- */

static size_t choosing(const tuning *t)
{
    return (t->how->nq + DIP_INDEX_CHOOSING - 1) / DIP_INDEX_CHOOSING;
}

/* Measures parameters without a gap, unless that was done. */
static dip_status attempt(tuning *t, dip_index_params params, trial *out)
{
    for (size_t i = 0; i < t->trial_count; i++) {
        *out = t->trials[i];
        if (out->params.nprobe == params.nprobe && out->params.depth == params.depth) return DIP_OK;
    }
    *out = (trial){params, 0, cost(t, params, params.nprobe), params.nprobe};
    dip_status status = measure(t, 0, choosing(t), params, &out->recall);
    if (!status && t->trial_count < MAX_TRIALS) t->trials[t->trial_count++] = *out;
    return status;
}

/* The next of 1, 2, 3, 4, 6, 8, 12, ... */
static uint32_t step_up(uint32_t x, uint32_t most)
{
    uint32_t power = 1;
    while (power <= x / 2) power *= 2;
    uint32_t next = x < 2 ? x + 1 : x < power + power / 2 ? power + power / 2 : 2 * power;
    return next < most ? next : most;
}

static uint32_t step_down(uint32_t x, uint32_t least)
{
    uint32_t last = least;
    for (uint32_t at = least; at < x; at = step_up(at, UINT32_MAX)) last = at;
    return last;
}

/* Recall for its cost; -1: no step at all, at the end of its scale. That more finds less is chance. */
static double worth(const trial *from, const trial *to)
{
    if (to->cost <= from->cost) return -1;
    return to->recall > from->recall ? (to->recall - from->recall) / (to->cost - from->cost) : 0;
}

/* One step; *ended if there is none. */
static dip_status advance(tuning *t, trial *at, bool *ended)
{
    uint32_t lists = t->index->view.layout.lists;
    dip_index_params wide = {step_up(at->params.nprobe, lists), at->params.depth, 0};
    dip_index_params deep = {at->params.nprobe, step_up(at->params.depth, MAX_DEPTH), 0};
    trial wider, deeper;
    dip_status status = attempt(t, wide, &wider);
    if (!status) status = attempt(t, deep, &deeper);
    if (status) return status;
    double more_lists = worth(at, &wider), more_depth = worth(at, &deeper);
    *ended = more_lists < 0 && more_depth < 0;
    *at = more_lists >= more_depth ? wider : deeper;
    return DIP_OK;
}

/* So few that they hold the hits wanted twice; a search of fewer would begin again with more. */
static uint32_t least_lists(const tuning *t)
{
    const dip_layout *layout = &t->index->view.layout;
    double lists = ceil(2.0 * (double)t->fetched * layout->lists / (double)layout->count);
    return lists < layout->lists ? (uint32_t)lists : layout->lists;
}

/* From a point that reaches the target down to where less of either would not. */
static dip_status descend(tuning *t, trial at)
{
    for (bool lower = true; lower;) {
        dip_index_params less[] = {
            {step_down(at.params.nprobe, least_lists(t)), at.params.depth, 0},
            {at.params.nprobe, step_down(at.params.depth, 1), 0}};
        lower = false;
        for (size_t i = 0; i < 2 && !lower; i++) {
            trial other;
            dip_status status = attempt(t, less[i], &other);
            if (status) return status;
            lower = other.cost < at.cost && other.recall >= t->how->target;
            if (lower) at = other;
        }
    }
    return DIP_OK;
}

static dip_status walk(tuning *t)
{
    trial at;
    double earlier[LOOK_BACK] = {0};
    bool ended = false, reached = false;
    dip_status status = attempt(t, (dip_index_params){least_lists(t), 1, 0}, &at);
    for (size_t step = 0; !status && !ended; step++) {
        if (!reached && at.recall >= t->how->target) {
            status = descend(t, at);
            reached = true;
        }
        double *before = &earlier[step % LOOK_BACK];
        bool flat =
            step >= LOOK_BACK && at.recall >= least_recall && at.recall - *before < least_gain;
        *before = at.recall;
        if (at.recall >= fmin(1, fmax(enough_recall, t->how->target)) || flat ||
            t->trial_count + 4 > MAX_TRIALS)
            break;
        if (!status) status = advance(t, &at, &ended);
    }
    return status;
}

/* ---- lists by need ---- */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* How far the `nprobe` nearest lists of the choosing queries are behind, ascending; free with dip_free(). */
static dip_status all_gaps(const tuning *t, uint32_t nprobe, float **gaps, size_t *count)
{
    *count = choosing(t) * nprobe;
    *gaps = dip_alloc(*count * sizeof **gaps);
    if (!*gaps) return DIP_ENOMEM;
    dip_status status = t->index->ops->behind(t->index, t->queries, choosing(t), nprobe, *gaps);
    qsort(*gaps, *count, sizeof **gaps, by_size);
    return status;
}

/* A trial with twice the lists at most, and so many on average. */
static dip_status by_need(tuning *t, const trial *even)
{
    const size_t wanted = choosing(t) * even->params.nprobe;
    trial one = *even;
    float *gaps = NULL;
    size_t count;
    one.params.nprobe *= NEEDY;
    dip_status status = all_gaps(t, one.params.nprobe, &gaps, &count);
    if (!status) {
        one.params.gap = gaps[wanted - 1];
        one.cost = cost(t, one.params, one.lists);
        status = measure(t, 0, choosing(t), one.params, &one.recall);
    }
    if (!status && one.params.gap > 0) t->trials[t->trial_count++] = one;
    dip_free(gaps);
    return status;
}

/* Of each point worth having. */
static dip_status all_by_need(tuning *t)
{
    const uint32_t lists = t->index->view.layout.lists;
    const size_t n = t->trial_count;
    dip_status status = DIP_OK;
    if (!t->index->ops->behind) return DIP_OK;
    for (size_t i = 0; i < n && !status && t->trial_count < MAX_TRIALS; i++) {
        const trial *even = &t->trials[i];
        if (even->recall >= least_recall && even->params.nprobe > 1 &&
            even->params.nprobe <= lists / NEEDY)
            status = by_need(t, even);
    }
    return status;
}

/* ---- the points ---- */

static int by_cost(const void *a, const void *b)
{
    const trial *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    return (x->recall < y->recall) - (x->recall > y->recall);
}

/* Drops what a cheaper trial equals. */
static void keep_best(tuning *t)
{
    size_t kept = 0;
    qsort(t->trials, t->trial_count, sizeof *t->trials, by_cost);
    for (size_t i = 0; i < t->trial_count; i++)
        if (!kept || t->trials[i].recall > t->trials[kept - 1].recall)
            t->trials[kept++] = t->trials[i];
    t->trial_count = kept;
}

/*
 * A short list: steps worth taking, the cheapest that reaches the target with its neighbours (the reporting queries may
 * see it a little differently), and the best.
 */
static void thin_out(tuning *t)
{
    size_t kept = 0, last = t->trial_count - 1;
    double target = t->how->target, before = 0;
    bool reached = false;
    for (size_t i = 0; i <= last; i++) {
        trial one = t->trials[i];
        bool first = !reached && one.recall >= target;
        bool worth_it = one.recall >= least_recall && 1 - one.recall <= fewer_misses * (1 - before);
        bool near = fabs(one.recall - target) < near_target * (1 - target) + least_gain;
        reached |= first;
        if (i < last && !first && ((!worth_it && !near) || kept + 4 > DIP_INDEX_MAX_POINTS))
            continue;
        before = one.recall;
        t->trials[kept++] = one;
    }
    t->trial_count = kept;
}

/* What the reporting queries say. */
static dip_status report(tuning *t)
{
    size_t first = choosing(t), n = t->how->nq - first;
    if (!n) return DIP_OK; /* one query alone has chosen and reports */
    dip_status status = DIP_OK;
    for (size_t i = 0; i < t->trial_count && !status; i++)
        status = measure(t, first, n, t->trials[i].params, &t->trials[i].recall);
    if (!status) keep_best(t);
    return status;
}

/* Lists of a trial whose gap was changed. */
static dip_status count_lists(const tuning *t, trial *one)
{
    float *gaps;
    size_t count, n = 0;
    dip_status status = all_gaps(t, one->params.nprobe, &gaps, &count);
    while (!status && n < count && gaps[n] <= one->params.gap) n++;
    dip_free(gaps);
    one->lists = (double)n / (double)choosing(t);
    return status;
}

/* The widest gap that leaves anything out: with it as good as all lists are read. */
static dip_status widest_gap(const tuning *t, uint32_t nprobe, float *gap)
{
    float *gaps;
    size_t count;
    dip_status status = all_gaps(t, nprobe, &gaps, &count);
    while (!status && count && !isfinite(gaps[count - 1])) count--;
    *gap = !status && count ? gaps[count - 1] : 0;
    dip_free(gaps);
    return status;
}

/*
 * From a point above the target to where it is just reached, by halving: the gap, or for want of one the lists. The reporting queries
 * decide: that one number is set by thousands of them bends it towards none.
 */
static dip_status come_down(const tuning *t, trial *at)
{
    const size_t first = choosing(t), n = t->how->nq - first;
    const bool gaps = t->index->ops->behind != NULL;
    dip_index_params low = {1, at->params.depth, 0}, high = at->params;
    dip_status status = DIP_OK;
    if (gaps && !(high.gap > 0)) status = widest_gap(t, high.nprobe, &high.gap);
    for (int i = 0; i < HALVINGS && !status && at->recall - t->how->target >= just; i++) {
        trial middle = {.params = high};
        if (gaps)
            middle.params.gap = (low.gap + high.gap) / 2;
        else
            middle.params.nprobe = (low.nprobe + high.nprobe) / 2;
        if (!gaps && middle.params.nprobe == low.nprobe) break;
        status = measure(t, first, n, middle.params, &middle.recall);
        if (!status && middle.recall >= t->how->target) {
            high = middle.params;
            *at = middle;
        } else {
            low = middle.params;
        }
    }
    at->lists = at->params.nprobe;
    if (!status && at->params.gap > 0) status = count_lists(t, at);
    at->cost = cost(t, at->params, at->lists);
    return status;
}

/* One more point, that just reaches the target, before the first that is above it. */
static dip_status meet_target(tuning *t)
{
    size_t i = 0;
    while (i < t->trial_count && t->trials[i].recall < t->how->target) i++;
    if (i == t->trial_count || t->trial_count == DIP_INDEX_MAX_POINTS || t->how->nq == choosing(t))
        return DIP_OK;
    trial one = t->trials[i];
    dip_status status = come_down(t, &one);
    if (status || one.cost >= t->trials[i].cost || one.recall >= t->trials[i].recall) return status;
    t->trials[t->trial_count++] = one;
    keep_best(t);
    return DIP_OK;
}

static double now_us(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static dip_status clock_point(const dip_index *index, const dip_index_tuning *how,
                              dip_index_point *point)
{
    const size_t dim = dip_index_dim(index), n = smaller(how->nq, TIMED_QUERIES);
    const float *queries = how->truth->queries + how->first * dim;
    size_t fetched = how->fetched + how->stored;
    uint64_t *ids = dip_alloc(fetched * sizeof *ids);
    float *scores = dip_alloc(fetched * sizeof *scores);
    double *times = dip_alloc((n + 1) * sizeof *times);
    dip_status status = ids && scores && times ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) {
        const float *query = queries + (how->nq - 1 - i) * dim;
        double start = now_us();
        status = dip_index_search(index, query, 1, fetched, &point->params, NULL, 0, ids, scores);
        times[i] = now_us() - start;
    }
    if (!status && n) {
        qsort(times, n, sizeof *times, by_value);
        point->us = times[n / 2];
    }
    dip_free(ids);
    dip_free(scores);
    dip_free(times);
    return status;
}

static dip_status find_points(tuning *t, dip_index_point *points, size_t *count)
{
    size_t nq = t->how->nq;
    t->hits = dip_alloc(nq * sizeof *t->hits);
    t->ids = dip_alloc(nq * t->fetched * sizeof *t->ids);
    t->scores = dip_alloc(nq * t->fetched * sizeof *t->scores);
    dip_status status = t->hits && t->ids && t->scores ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < nq && !status; i++)
        t->hits[i] = dip_truth_hits(t->how->truth, t->how->first + i, t->k);
    if (!status) status = walk(t);
    if (!status) {
        keep_best(t);
        status = all_by_need(t);
    }
    if (!status) {
        keep_best(t);
        thin_out(t);
        status = report(t);
    }
    if (!status) status = meet_target(t);
    for (size_t i = 0; i < t->trial_count && !status; i++)
        points[i] = (dip_index_point){t->trials[i].params, t->trials[i].recall, 0};
    *count = t->trial_count;
    dip_free(t->hits);
    dip_free(t->ids);
    dip_free(t->scores);
    return status;
}

dip_status dip_index_tune(const dip_index *index, const dip_index_tuning *how,
                          dip_index_point points[DIP_INDEX_MAX_POINTS], size_t *count)
{
    dip_status status = DIP_OK;
    *count = 1;
    points[0] = (dip_index_point){{0}, 1, 0};
    if (how->k > DIP_INDEX_MOST_TUNED)
        return dip_fail(DIP_EINVAL, "recall of %zu hits cannot be tuned, of %d at most", how->k,
                        DIP_INDEX_MOST_TUNED);
    if (dip_index_engine(index) != DIP_ENGINE_EXACT && how->nq && how->k && how->truth->n) {
        const size_t dim = dip_index_dim(index);
        tuning t = {.index = index,
                    .how = how,
                    .queries = how->truth->queries + how->first * dim,
                    .dim = dim,
                    .k = how->k + how->stored,
                    .fetched = how->fetched + how->stored};
        status = find_points(&t, points, count);
    }
    for (size_t i = 0; i < *count && !status; i++) status = clock_point(index, how, &points[i]);
    return status;
}
