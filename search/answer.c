/*
 * Running a search: probe -> vector (probe.c), filters -> the allowed tiles of each target modality (filter.c), vector ->
 * candidates of each (candidates.c), merged by score; the best that keep their distance (spread.c) are the hits, with
 * metadata and percentile.
 *
 * With a distance to keep, candidates fall out, so more are fetched, four times as many each time, until k stand or
 * there are no more.
 */
#include "search/engine.h"

#include "core/mem.h"
#include "core/status.h"
#include "search/calibrate.h"
#include "search/filter.h"
#include "search/spread.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One modality that is searched. */
typedef struct target {
    int modality;
    uint64_t *allow; /* ascending ids, owned; NULL: all */
    size_t allow_count;
    uint64_t matching;
    bool exhausted; /* there are no more than were found */
    bool exactly;
    const dip_operating_point *point; /* that the index was asked at; or NULL */
} target;

typedef struct run {
    dip_search *search;
    const dip_query *query;
    dip_effort effort; /* of each index */
    char missing[DIP_MISSING_CAPACITY];
    dip_probed probed;
    target targets[DIP_MAX_MODALITIES];
    size_t target_count;
    dip_candidate *found; /* of all targets, best first */
    size_t found_count;
    size_t *picked; /* positions in `found` */
    size_t picked_count;
} run;

/* ---- what to search ---- */

static dip_status check_query(const dip_query *q)
{
    if (isnan(q->min_score)) return dip_fail(DIP_EINVAL, "min_score is not a number");
    if (!(q->diversify_km >= 0) || isinf(q->diversify_km))
        return dip_fail(DIP_EINVAL, "diversify_km %g is no distance", q->diversify_km);
    if (!(q->recall >= 0 && q->recall <= 1))
        return dip_fail(DIP_EINVAL, "recall %g is no share from 0 to 1", q->recall);
    if (!(q->budget_ms >= 0) || isinf(q->budget_ms))
        return dip_fail(DIP_EINVAL, "budget_ms %g is no time", q->budget_ms);
    return DIP_OK;
}

/* "s1|s2"; a modality that is named twice is searched once. */
static dip_status choose_named(run *r, const char *to)
{
    while (*to) {
        char name[DIP_WORD_CAPACITY];
        int length = (int)strcspn(to, "|"), modality;
        snprintf(name, sizeof name, "%.*s", length, to);
        modality = dip_archive_find_modality(r->search->archive, name);
        if (modality < 0) return dip_modality_unknown(r->search->archive, name);
        size_t i = 0;
        while (i < r->target_count && r->targets[i].modality != modality) i++;
        if (i == r->target_count) r->targets[r->target_count++].modality = modality;
        to += length + (to[length] == '|');
    }
    return r->target_count ? DIP_OK : dip_modality_unknown(r->search->archive, "");
}

static dip_status choose_targets(run *r)
{
    const dip_search *search = r->search;
    const char *to = r->query->to;
    size_t all = dip_archive_modality_count(search->archive);
    if (to && strcmp(to, "all") != 0) return choose_named(r, to);
    for (size_t i = 0; i < all; i++) {
        bool own = (int)i == r->probed.modality && all > 1 && !to;
        if (!own && search->sides[i].index) r->targets[r->target_count++].modality = (int)i;
    }
    if (r->target_count) return DIP_OK;
    return dip_fail(DIP_ENOENT,
                    "generation %s has no index of a modality to search; run diptych index",
                    search->manifest->generation);
}

/* Tiles that an index names but the archive lost must not come back: then those that are there are the allowed. */
static dip_status list_allowed(run *r, const uint64_t *rows)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < r->target_count && !status; i++) {
        target *t = &r->targets[i];
        t->matching = r->search->columns.modality_rows[t->modality];
        if (!rows && !r->search->sides[t->modality].has_stale) continue;
        status = dip_filter_ids(&r->search->columns, rows, t->modality, &t->allow, &t->allow_count);
        t->matching = t->allow_count;
    }
    return status;
}

static dip_status apply_filters(run *r)
{
    dip_filter *filter;
    const dip_columns *columns = &r->search->columns;
    uint64_t *rows = NULL;
    dip_status status = dip_filter_create(&filter, columns, &r->search->properties, r->query);
    if (status) return status;
    if (filter) {
        snprintf(r->missing, sizeof r->missing, "%s", dip_filter_missing(filter));
        rows = dip_alloc((dip_filter_words(columns) + 1) * sizeof *rows);
        status = rows ? dip_filter_run(filter, rows) : DIP_ENOMEM;
    }
    if (!status && r->query->only)
        status =
            dip_filter_keep_ids(&r->search->columns, r->query->only, r->query->only_count, &rows);
    if (!status) status = list_allowed(r, rows);
    dip_filter_destroy(filter);
    dip_free(rows);
    return status;
}

/* ---- candidates ---- */

static bool is_own(const run *r, uint64_t id)
{
    for (size_t i = 0; i < r->probed.own_count && !r->query->include_self; i++)
        if (r->probed.own[i] == id) return true;
    return false;
}

/* Adds one target's best `wanted` to those found. */
static dip_status find_of(run *r, target *t, size_t wanted)
{
    dip_candidates found;
    size_t own = r->query->include_self ? 0 : r->probed.own_count, fetched = wanted + own;
    if (fetched > t->matching) fetched = t->matching;
    bool exact = r->query->exact || r->query->recall >= 1;
    dip_status status =
        dip_candidates_rank(r->search, &r->probed, t->modality, t->allow, t->allow_count, fetched,
                            exact ? NULL : &r->effort, &found);
    if (status) return status;
    t->exactly = found.exactly;
    t->point = found.point;
    t->exhausted = fetched == t->matching;
    size_t kept = 0;
    dip_candidate *list = dip_realloc(r->found, (r->found_count + found.count + 1) * sizeof *list);
    if (list) r->found = list;
    for (size_t i = 0; i < found.count && list && kept < wanted; i++)
        if (!is_own(r, found.list[i].id)) list[r->found_count + kept++] = found.list[i];
    r->found_count += kept;
    dip_free(found.list);
    return list ? DIP_OK : DIP_ENOMEM;
}

/* The best `wanted` of all targets. */
static dip_status find_all(run *r, size_t wanted)
{
    r->found_count = 0;
    for (size_t i = 0; i < r->target_count; i++) {
        dip_status status = find_of(r, &r->targets[i], wanted);
        if (status) return status;
    }
    if (r->target_count > 1 && r->found_count)
        qsort(r->found, r->found_count, sizeof *r->found, dip_candidate_order);
    if (r->found_count > wanted) r->found_count = wanted;
    return DIP_OK;
}

static bool too_low(const run *r, size_t at)
{
    return r->query->min_score > -1 && (double)r->found[at].score < r->query->min_score;
}

/* Those found that the query lets stand, at most k. */
static dip_status pick(run *r)
{
    const dip_query *q = r->query;
    const dip_columns *columns = &r->search->columns;
    dip_spread *spread;
    size_t *picked = dip_realloc(r->picked, (r->found_count + 1) * sizeof *picked);
    if (!picked) return DIP_ENOMEM;
    r->picked = picked;
    r->picked_count = 0;
    dip_status status = dip_spread_create(&spread, columns, q->diversify_km, q->one_per_place);
    if (status) return status;
    for (size_t i = 0; i < r->found_count && r->picked_count < q->k && !status; i++) {
        bool taken = true;
        if (too_low(r, i)) break;
        status = dip_spread_take(spread, dip_columns_find(columns, r->found[i].id), &taken);
        if (taken) picked[r->picked_count++] = i;
    }
    dip_spread_destroy(spread);
    return status;
}

static bool may_have_more(const run *r)
{
    if (r->picked_count >= r->query->k) return false;
    if (r->found_count && too_low(r, r->found_count - 1)) return false;
    for (size_t i = 0; i < r->target_count; i++)
        if (!r->targets[i].exhausted) return true;
    return false;
}

static dip_status find(run *r)
{
    bool spreads = r->query->one_per_place || r->query->diversify_km > 0;
    size_t wanted = r->query->k;
    dip_status status = find_all(r, wanted);
    if (!status) status = pick(r);
    while (!status && spreads && may_have_more(r)) {
        wanted = 4 * wanted + 16;
        status = find_all(r, wanted);
        if (!status) status = pick(r);
    }
    return status;
}

/* ---- hits ---- */

static dip_status add_hit(const run *r, const dip_candidate *candidate, dip_result *out)
{
    dip_hit hit = {.id = candidate->id, .score = candidate->score, .percentile = NAN};
    dip_status status = dip_archive_meta(r->search->archive, candidate->id, &hit.meta);
    if (status == DIP_ENOENT) return DIP_OK; /* removed since the search was opened */
    if (status) return status;
    const char *to = dip_archive_modality(r->search->archive, hit.meta->modality)->name;
    if (!r->probed.mixed)
        hit.percentile = dip_calibration_percentile(
            dip_calibration_find(r->search->manifest, r->probed.from, to), hit.score);
    out->hits[out->count++] = hit;
    return DIP_OK;
}

static void describe(const run *r, dip_result *out)
{
    size_t used = 0;
    for (size_t i = 0; i < r->target_count && used < sizeof out->plan; i++) {
        const target *t = &r->targets[i];
        const char *name = dip_archive_modality(r->search->archive, (size_t)t->modality)->name,
                   *between = i ? "; " : "";
        char *to = out->plan + used;
        size_t room = sizeof out->plan - used;
        char effort[96] = "";
        int n;
        if (t->point)
            snprintf(effort, sizeof effort,
                     ": %s%u lists, depth %u, recall %.4f in %.3g ms expected",
                     t->point->params.gap > 0 ? "up to " : "", t->point->params.nprobe,
                     t->point->params.depth, t->point->recall, t->point->us / 1000);
        if (t->exactly)
            n = snprintf(to, room, "%s%s: compared with all %llu tiles%s", between, name,
                         (unsigned long long)t->matching, t->allow ? " that match" : "");
        else
            n = snprintf(to, room, "%s%s: asked %s%s%s", between, name,
                         dip_index_describe(r->search->sides[t->modality].index),
                         t->allow ? " with the filter inside its scan" : "", effort);
        used += n > 0 ? (size_t)n : 0;
    }
}

static double lower(double recall, const dip_operating_point *point)
{
    if (!point) return NAN;
    return point->recall < recall ? point->recall : recall; /* a NAN stays */
}

static dip_status fill_result(const run *r, dip_result *out)
{
    out->probe_id = r->probed.id;
    out->searched_exactly = true;
    out->expected_recall = 1;
    for (size_t i = 0; i < r->target_count; i++) {
        out->matching += r->targets[i].matching;
        out->searched_exactly &= r->targets[i].exactly;
        if (!r->targets[i].exactly)
            out->expected_recall = lower(out->expected_recall, r->targets[i].point);
    }
    describe(r, out);
    memcpy(out->missing, r->missing, sizeof out->missing);
    out->hits = dip_calloc(r->picked_count + 1, sizeof *out->hits);
    if (!out->hits) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < r->picked_count && !status; i++)
        status = add_hit(r, &r->found[r->picked[i]], out);
    return status;
}

dip_status dip_search_run(dip_search *search, const dip_probe *probe, const dip_query *query,
                          dip_result *out)
{
    static const dip_query defaults = DIP_QUERY_INIT;
    run r = {.search = search, .query = query ? query : &defaults};
    dip_result result = {0};
    int wanted = r.query->to ? dip_archive_find_modality(search->archive, r.query->to) : -1;
    dip_status status = dip_search_check_index(search);
    if (!status) status = check_query(r.query);
    if (!status) status = dip_probe_resolve_examples(search, probe, r.query, wanted, &r.probed);
    if (!status) status = choose_targets(&r);
    r.effort.recall = r.query->recall;
    if (r.target_count) r.effort.us = r.query->budget_ms * 1000 / (double)r.target_count;
    if (!status) status = apply_filters(&r);
    if (!status) status = find(&r);
    if (!status) status = fill_result(&r, &result);
    if (status)
        dip_result_fini(&result);
    else
        *out = result;
    for (size_t i = 0; i < r.target_count; i++) dip_free(r.targets[i].allow);
    dip_free(r.found);
    dip_free(r.picked);
    dip_probed_fini(&r.probed);
    return status;
}

void dip_result_fini(dip_result *result)
{
    for (size_t i = 0; i < result->count; i++) dip_meta_free(result->hits[i].meta);
    dip_free(result->hits);
    *result = (dip_result){0};
}
