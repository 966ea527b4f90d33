/*
 * Tuning of the operating point; see index.h.
 *
 * For nprobe = 1, 2, 4, ... the smallest depth of 1, 2, 4, ... 32 that reaches the target is found by bisection, since
 * recall only grows with depth; the cheapest pair by the cost model below wins. The walk ends where one more
 * doubling of nprobe could not be cheaper even at depth 1.
 */
#include "index/engine.h"

#include "core/mem.h"
#include "index/dot.h"
#include "index/scan.h"

enum { DEPTHS = 6 }; /* 1, 2, 4, 8, 16, 32 */

static const float tolerance = 1e-6F;

typedef struct trial {
    const dip_index *index;
    const dip_scan *base;
    const float *queries;
    size_t nq, k;
    float *bars;    /* nq: the k-th true score */
    size_t *wanted; /* nq: true hits, k or fewer */
    uint64_t *ids;  /* (nq, k) */
    float *scores;  /* (nq, k) */
} trial;

static dip_status find_truth(trial *t)
{
    dip_status status = dip_scan_run(t->base, t->queries, t->nq, t->k, t->ids, t->scores);
    if (status) return status;
    for (size_t i = 0; i < t->nq; i++) {
        size_t n = t->k;
        while (n && t->ids[i * t->k + n - 1] == DIP_NO_ID) n--;
        t->wanted[i] = n;
        t->bars[i] = n ? t->scores[i * t->k + n - 1] - tolerance : 0;
    }
    return DIP_OK;
}

static bool is_hit(const trial *t, dip_dot_fn dot, size_t query, uint64_t id)
{
    const dip_scan *base = t->base;
    size_t row = dip_ids_lower_bound(base->ids, base->n, id);
    if (row == base->n || base->ids[row] != id) return false;
    const float *q = t->queries + query * base->dim;
    return dot(q, base->vectors + row * base->dim, base->dim) >= t->bars[query];
}

static dip_status measure(const trial *t, dip_index_params params, double *recall)
{
    dip_dot_fn dot = dip_dot_get();
    uint64_t hits = 0, wanted = 0;
    dip_status status =
        dip_index_search(t->index, t->queries, t->nq, t->k, &params, NULL, 0, t->ids, t->scores);
    if (status) return status;
    for (size_t i = 0; i < t->nq; i++) {
        wanted += t->wanted[i];
        for (size_t j = 0; j < t->wanted[i]; j++) hits += is_hit(t, dot, i, t->ids[i * t->k + j]);
    }
    *recall = wanted ? (double)hits / (double)wanted : 1;
    return DIP_OK;
}

/*
 * Nanoseconds of one query that depend on the parameters, as measured, near enough to rank: the look-up table of each
 * probed list (16 entries a code), the codes in it, and the refinement of each candidate.
 */
static double cost(const trial *t, dip_index_params params)
{
    const dip_layout *layout = &t->index->view.layout;
    double probe = 16 * 2.2 * layout->code_count;
    double codes = 0.015 * layout->code_count * (double)layout->count / layout->lists;
    double candidate = 60 + 0.5 * layout->dim;
    return params.nprobe * (probe + codes) + (double)params.depth * (double)t->k * candidate;
}

typedef struct choice {
    dip_index_params params;
    double recall, cost;
    bool reached;
} choice;

static void consider(const trial *t, choice *best, dip_index_params params, double recall,
                     double target)
{
    choice c = {params, recall, cost(t, params), recall >= target};
    bool better = c.reached != best->reached ? c.reached
                  : c.reached                ? c.cost < best->cost
                                             : c.recall > best->recall;
    if (better || best->params.nprobe == 0) *best = c;
}

/* The smallest depth that reaches the target with this nprobe. */
static dip_status try_nprobe(const trial *t, uint32_t nprobe, double target, choice *best)
{
    double recall = 0;
    dip_index_params params = {nprobe, 1U << (DEPTHS - 1)};
    dip_status status = measure(t, params, &recall);
    if (status) return status;
    consider(t, best, params, recall, target);
    if (recall < target) return DIP_OK;
    int low = 0, high = DEPTHS - 1; /* 1 << high is enough */
    while (low < high) {
        int middle = (low + high) / 2;
        params.depth = 1U << middle;
        status = measure(t, params, &recall);
        if (status) return status;
        consider(t, best, params, recall, target);
        if (recall >= target)
            high = middle;
        else
            low = middle + 1;
    }
    return DIP_OK;
}

static dip_status walk(const trial *t, double target, choice *best)
{
    uint32_t lists = t->index->view.layout.lists;
    for (uint32_t nprobe = 1;; nprobe = nprobe <= lists / 2 ? nprobe * 2 : lists) {
        dip_index_params least = {nprobe, 1};
        if (best->reached && cost(t, least) >= best->cost) return DIP_OK;
        dip_status status = try_nprobe(t, nprobe, target, best);
        if (status || nprobe >= lists) return status;
    }
}

dip_status dip_index_tune(const dip_index *index, const float *vectors, const uint64_t *ids,
                          size_t n, const float *queries, size_t nq, size_t k, double target,
                          dip_index_params *out, double *recall)
{
    if (dip_index_engine(index) == DIP_ENGINE_EXACT || nq == 0 || k == 0 || n == 0) {
        *out = (dip_index_params){index->view.layout.nprobe, index->view.layout.depth};
        *recall = 1;
        return DIP_OK;
    }
    const dip_scan base = {.vectors = vectors, .ids = ids, .n = n, .dim = dip_index_dim(index)};
    trial t = {.index = index, .base = &base, .queries = queries, .nq = nq, .k = k};
    choice best = {{0, 0}, 0, 0, false};
    t.bars = dip_alloc(nq * sizeof *t.bars);
    t.wanted = dip_alloc(nq * sizeof *t.wanted);
    t.ids = dip_alloc(nq * k * sizeof *t.ids);
    t.scores = dip_alloc(nq * k * sizeof *t.scores);
    dip_status status = t.bars && t.wanted && t.ids && t.scores ? DIP_OK : DIP_ENOMEM;
    if (!status) status = find_truth(&t);
    if (!status) status = walk(&t, target, &best);
    if (!status) {
        *out = best.params;
        *recall = best.recall;
    }
    dip_free(t.bars);
    dip_free(t.wanted);
    dip_free(t.ids);
    dip_free(t.scores);
    return status;
}
