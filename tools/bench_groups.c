/* Measurements in groups; see bench_groups.h. */
#include "tools/bench_groups.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_group(const dip_result *a, const dip_result *b)
{
    return !strcmp(a->hash, b->hash) && a->k == b->k && a->threads == b->threads &&
           a->search_threads == b->search_threads && a->epsilon == b->epsilon;
}

static int by_place(const void *x, const void *y)
{
    const dip_result *a = *(const dip_result *const *)x, *b = *(const dip_result *const *)y;
    int order = strcmp(a->engine, b->engine);
    if (order) return order;
    /* 0 stands for all queries in one call: behind the others. */
    double first = a->batch > 0 ? a->batch : INFINITY, second = b->batch > 0 ? b->batch : INFINITY;
    if (first < second || first > second) return first < second ? -1 : 1;
    return (a->recall > b->recall) - (a->recall < b->recall);
}

static dip_status add_engine(dip_bench_group *g, const char *engine)
{
    for (size_t i = 0; i < g->engine_count; i++)
        if (!strcmp(g->engines[i], engine)) return DIP_OK;
    const char **engines = dip_realloc(g->engines, (g->engine_count + 1) * sizeof *engines);
    if (!engines) return DIP_ENOMEM;
    g->engines = engines;
    engines[g->engine_count++] = engine;
    return DIP_OK;
}

static dip_status fill(dip_bench_group *g, const dip_results *results, const dip_result *first)
{
    dip_status status = DIP_OK;
    g->rows = dip_alloc(results->count * sizeof *g->rows);
    if (!g->rows) return DIP_ENOMEM;
    for (size_t i = 0; i < results->count && !status; i++) {
        const dip_result *row = &results->rows[i];
        if (!same_group(row, first) || dip_results_find(results, row) != row) continue;
        g->rows[g->count++] = row;
        status = add_engine(g, row->engine);
    }
    qsort(g->rows, g->count, sizeof *g->rows, by_place);
    return status;
}

static bool is_first(const dip_results *results, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (same_group(&results->rows[j], &results->rows[i])) return false;
    return true;
}

dip_status dip_bench_groups_make(dip_bench_group **out, size_t *count, const dip_results *results,
                                 const char *hash)
{
    dip_bench_group *groups = dip_calloc(results->count + 1, sizeof *groups);
    dip_status status = groups ? DIP_OK : DIP_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < results->count && !status; i++) {
        bool wanted = !hash || !strcmp(results->rows[i].hash, hash);
        if (wanted && is_first(results, i)) status = fill(&groups[n++], results, &results->rows[i]);
    }
    if (status) {
        dip_bench_groups_free(groups, n);
        return status;
    }
    *out = groups;
    *count = n;
    return DIP_OK;
}

void dip_bench_groups_free(dip_bench_group *groups, size_t count)
{
    for (size_t i = 0; i < count && groups; i++) {
        dip_free(groups[i].rows);
        dip_free(groups[i].engines);
    }
    dip_free(groups);
}

double dip_bench_speed(const dip_result *row) { return row->qps; }
double dip_bench_thrift(const dip_result *row) { return row->cpu_us > 0 ? 1e6 / row->cpu_us : NAN; }

bool dip_bench_leads(const dip_bench_group *group, const dip_result *row, dip_bench_merit merit,
                     bool of_any)
{
    const double own = merit(row);
    if (isnan(own)) return false;
    for (size_t i = 0; i < group->count; i++) {
        const dip_result *r = group->rows[i];
        double other = merit(r);
        if (r == row || r->batch != row->batch || (!of_any && strcmp(r->engine, row->engine) != 0))
            continue;
        bool ahead = r->recall > row->recall || other > own;
        /* Of two that are alike the first leads. */
        if (r->recall >= row->recall && other >= own && (ahead || r < row)) return false;
    }
    return true;
}

double dip_bench_merit_at(const dip_bench_group *group, const char *engine, double batch,
                          double recall, dip_bench_merit merit)
{
    const dip_result *below = NULL, *above = NULL;
    for (size_t i = 0; i < group->count; i++) {
        const dip_result *r = group->rows[i];
        if (strcmp(r->engine, engine) != 0 || r->batch != batch ||
            !dip_bench_leads(group, r, merit, false))
            continue;
        if (r->recall < recall && (!below || r->recall > below->recall)) below = r;
        if (r->recall >= recall && (!above || r->recall < above->recall)) above = r;
    }
    if (!above) return NAN;
    if (!below) return merit(above);
    double share = (recall - below->recall) / (above->recall - below->recall);
    return exp(log(merit(below)) + share * (log(merit(above)) - log(merit(below))));
}
