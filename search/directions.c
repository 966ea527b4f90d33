/* Directions; see directions.h. */
#include "search/directions.h"

#include "core/mem.h"
#include "core/rng.h"
#include "search/calibrate.h"
#include "search/engine.h"

#include <stdlib.h>
#include <string.h>

enum { TUNING_QUERIES = 6000, ENOUGH_QUERIES = 1000, TUNING_K = 10, SEED = 1 };

/* ---- queries ---- */

/* Rows to ask with, (n): those that training left out, if they are enough. */
static size_t *askable(const dip_part *p, size_t *count)
{
    const size_t n = p->stored.supply.n;
    size_t *rows = dip_alloc((n + 1) * sizeof *rows);
    *count = 0;
    for (size_t i = 0; i < n && rows; i++)
        if (dip_index_holds_out(p->stored.ids[i])) rows[(*count)++] = i;
    if (*count >= ENOUGH_QUERIES || !rows) return rows;
    for (size_t i = 0; i < n; i++) rows[i] = i;
    *count = n;
    return rows;
}

/* Where the i-th of so many rows goes among the queries: one of each few to the front. */
static size_t order_of(size_t i, size_t count)
{
    const size_t each = DIP_INDEX_CHOOSING;
    return i % each ? (count + each - 1) / each + i - i / each - 1 : i / each;
}

/* The part's queries to out (p->queries, dim). */
static dip_status sample(const dip_part *p, size_t dim, float *out)
{
    dip_rng rng;
    size_t n, *rows = askable(p, &n);
    const size_t wanted = p->queries;
    float *picked = dip_alloc_aligned((wanted * dim + 1) * sizeof *picked);
    dip_status status = rows && picked ? DIP_OK : DIP_ENOMEM;
    dip_rng_init(&rng, SEED, 0);
    for (size_t i = 0; i < wanted && !status; i++) {
        /* One from each of `wanted` stretches of equal length: without repetition, over all. */
        const size_t first = i * n / wanted, end = (i + 1) * n / wanted;
        rows[i] = rows[first + dip_rng_below(&rng, (uint32_t)(end - first))];
    }
    if (!status) status = dip_supply_pick(&p->stored.supply, rows, wanted, picked);
    for (size_t i = 0; i < wanted && !status; i++)
        memcpy(out + order_of(i, wanted) * dim, picked + i * dim, dim * sizeof *out);
    dip_free(rows);
    dip_free_aligned(picked);
    return status;
}

dip_status dip_parts_ask(dip_part *parts, size_t count, size_t dim, float **queries, size_t *nq)
{
    dip_status status = DIP_OK;
    *nq = 0;
    for (size_t i = 0; i < count && !status; i++) {
        size_t n, *rows = askable(&parts[i], &n);
        if (!rows) status = DIP_ENOMEM;
        dip_free(rows);
        parts[i].first = *nq;
        parts[i].queries = n < TUNING_QUERIES ? n : TUNING_QUERIES;
        *nq += parts[i].queries;
    }
    *queries = status ? NULL : dip_alloc_aligned((*nq * dim + 1) * sizeof **queries);
    if (!status && !*queries) status = DIP_ENOMEM;
    for (size_t i = 0; i < count && !status; i++)
        status = sample(&parts[i], dim, *queries + parts[i].first * dim);
    return status;
}

/* ---- operating points ---- */

dip_status dip_direction_tune(const dip_part *from, const dip_part *to, double target,
                              dip_manifest *m)
{
    dip_index_point points[DIP_INDEX_MAX_POINTS];
    size_t count = 0;
    const dip_index_tuning how = {.truth = &to->truth,
                                  .first = from->first,
                                  .nq = from->queries,
                                  .stored = from == to,
                                  .k = TUNING_K,
                                  .fetched = dip_candidates_fetched(TUNING_K),
                                  .target = target};
    dip_status status = dip_index_tune(to->index, &how, points, &count);
    for (size_t i = 0; i < count && !status; i++) {
        dip_operating_point *point = &m->points[m->point_count++];
        *point = (dip_operating_point){.params = points[i].params,
                                       .target = target,
                                       .recall = points[i].recall,
                                       .us = points[i].us};
        memcpy(point->from, from->modality->name, sizeof point->from);
        memcpy(point->to, to->modality->name, sizeof point->to);
    }
    return status;
}

/* ---- calibration ---- */

dip_status dip_direction_calibrate(const dip_part *from, const dip_part *to, dip_manifest *m)
{
    const dip_calibration_side x = {&from->stored.supply, from->places},
                               y = {&to->stored.supply, to->places};
    dip_calibration *c = &m->calibrations[m->calibration_count];
    size_t pairs;
    dip_status status = dip_calibrate(&x, &y, SEED, c, &pairs);
    if (status || !pairs) return status;
    memcpy(c->from, from->modality->name, sizeof c->from);
    memcpy(c->to, to->modality->name, sizeof c->to);
    m->calibration_count++;
    return DIP_OK;
}
