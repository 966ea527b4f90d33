/*
 * Vector -> the best tiles of one modality.
 *
 * The index answers with the ids that the filters allow. What an approximate engine proposes is scored again with
 * the stored embeddings, some more than k of it, so that scores are exact and the order is theirs. Tiles that the
 * archive lost since the index was built never come back: then the allowed ids are those that still exist.
 */
#include "search/engine.h"

#include "core/mem.h"
#include "core/status.h"
#include "index/dot.h"
#include "index/ids.h"
#include "index/layout.h"
#include "index/scan.h"

#include <stdlib.h>
#include <string.h>

enum { RERANK_MORE = 16 }; /* candidates beyond k, besides half of k */

typedef struct allowed {
    const uint64_t *ids; /* ascending; NULL: all */
    size_t count;
} allowed;

/* ---- all of them ---- */

static dip_status need_embeddings(dip_search *search, int target, dip_side *side)
{
    dip_status status = DIP_OK;
    pthread_mutex_lock(&search->lock);
    if (!side->has_all) {
        status = dip_archive_embeddings(search->archive, search->manifest->model, (uint32_t)target,
                                        &side->all);
        if (!status && side->all.n && side->all.dim != search->manifest->dim) {
            status =
                dip_fail(DIP_EMISMATCH, "embeddings of model %s have %zu dimensions, the index %u",
                         search->manifest->model, side->all.dim, search->manifest->dim);
            dip_embeddings_fini(&side->all);
        }
        side->has_all = !status;
    }
    pthread_mutex_unlock(&search->lock);
    return status;
}

/* A query that is compared with all of a modality; those that wait are compared in one pass over the vectors. */
typedef struct scan_job {
    const dip_scan *scan;   /* of stored embeddings, or NULL, and */
    const dip_index *index; /* one that compares all */
    size_t dim;
    const float *vector;
    size_t k;
    uint64_t *ids;
    float *scores;
} scan_job;

static bool same_scan(const void *a, const void *b)
{
    const scan_job *x = a, *y = b;
    if (x->k != y->k || !x->scan != !y->scan) return false;
    return x->scan ? x->scan->vectors == y->scan->vectors : x->index == y->index;
}

/* n queries, as the job says. */
static dip_status compare(const scan_job *job, const float *vectors, size_t n, uint64_t *ids,
                          float *scores)
{
    if (job->scan) return dip_scan_run(job->scan, vectors, n, job->k, ids, scores);
    return dip_index_search(job->index, vectors, n, job->k, NULL, NULL, 0, ids, scores);
}

/* What a query finds does not depend on the others of its pass: scan.h, index.h. */
static dip_status compare_all(const void *const *jobs, size_t n)
{
    const scan_job *first = jobs[0];
    size_t dim = first->dim, k = first->k;
    if (n == 1) return compare(first, first->vector, 1, first->ids, first->scores);
    float *vectors = dip_alloc_aligned(n * dim * sizeof *vectors);
    uint64_t *ids = dip_alloc((n * k + 1) * sizeof *ids);
    float *scores = dip_alloc((n * k + 1) * sizeof *scores);
    dip_status status = vectors && ids && scores ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++)
        memcpy(vectors + i * dim, ((const scan_job *)jobs[i])->vector, dim * sizeof *vectors);
    if (!status) status = compare(first, vectors, n, ids, scores);
    for (size_t i = 0; i < n && !status; i++) {
        const scan_job *job = jobs[i];
        memcpy(job->ids, ids + i * k, k * sizeof *ids);
        memcpy(job->scores, scores + i * k, k * sizeof *scores);
    }
    dip_free_aligned(vectors);
    dip_free(ids);
    dip_free(scores);
    return status;
}

static dip_status combine(dip_search *search, const scan_job *job)
{
    static const dip_combine_how how = {same_scan, compare_all};
    return dip_combine(&search->comparing, &how, job);
}

static dip_status scan_all(dip_search *search, int target, const float *vector,
                           const allowed *allow, size_t k, uint64_t *ids, float *scores)
{
    dip_side *side = &search->sides[target];
    dip_status status = need_embeddings(search, target, side);
    if (status) return status;
    dip_scan scan = {.vectors = side->all.vectors,
                     .ids = side->all.ids,
                     .n = side->all.n,
                     .dim = search->manifest->dim};
    const scan_job job = {&scan, NULL, scan.dim, vector, k, ids, scores};
    if (!allow->ids) return combine(search, &job);
    uint64_t *bits = dip_calloc(dip_bit_words(scan.n) + 1, sizeof *bits);
    if (!bits) return DIP_ENOMEM;
    for (size_t i = 0; i < allow->count; i++) {
        size_t row = dip_ids_lower_bound(scan.ids, scan.n, allow->ids[i]);
        if (row < scan.n && scan.ids[row] == allow->ids[i]) dip_bit_set(bits, row);
    }
    scan.allowed = bits;
    status = dip_scan_run(&scan, vector, 1, k, ids, scores);
    dip_free(bits);
    return status;
}

/* ---- by the index ---- */

int dip_candidate_order(const void *a, const void *b)
{
    const dip_candidate *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Replaces the engine's scores by exact ones; drops what has no embedding any more. */
static dip_status rerank(dip_search *search, int target, const float *vector, dip_candidates *found)
{
    size_t dim = search->manifest->dim, n = found->count, kept = 0;
    uint64_t *ids = dip_alloc((n + 1) * sizeof *ids);
    bool *there = dip_alloc((n + 1) * sizeof *there);
    float *vectors = dip_alloc_aligned((n + 1) * dim * sizeof *vectors);
    dip_status status = ids && there && vectors ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) ids[i] = found->list[i].id;
    if (!status)
        status = dip_archive_embeddings_of(search->archive, search->manifest->model,
                                           (uint32_t)target, ids, n, dim, vectors, there);
    for (size_t i = 0; i < n && !status; i++) {
        if (!there[i]) continue;
        float score = dip_dot_get()(vector, vectors + i * dim, dim);
        found->list[kept++] = (dip_candidate){ids[i], score};
    }
    if (!status) {
        found->count = kept;
        if (kept) qsort(found->list, kept, sizeof *found->list, dip_candidate_order);
    }
    dip_free(ids);
    dip_free(there);
    dip_free_aligned(vectors);
    return status;
}

static dip_status ask_index(dip_search *search, const dip_probed *probe, int target,
                            const allowed *allow, size_t k, const dip_operating_point *point,
                            uint64_t *ids, float *scores)
{
    const dip_index *index = search->sides[target].index;
    const scan_job job = {NULL, index, search->manifest->dim, probe->vector, k, ids, scores};
    if (!allow->ids && dip_index_engine(index) == DIP_ENGINE_EXACT) return combine(search, &job);
    return dip_index_search(index, probe->vector, 1, k, point ? &point->params : NULL, allow->ids,
                            allow->count, ids, scores);
}

static dip_status check_index(const dip_search *search, int target)
{
    if (search->sides[target].index) return DIP_OK;
    return dip_fail(DIP_ENOENT, "generation %s has no index of modality '%s'; run diptych index",
                    search->manifest->generation,
                    dip_archive_modality(search->archive, (size_t)target)->name);
}

static dip_status collect(dip_search *search, const dip_probed *probe, int target,
                          const dip_effort *effort, const allowed *allow, size_t k,
                          dip_candidates *out)
{
    uint64_t *ids = dip_alloc((k + 1) * sizeof *ids);
    float *scores = dip_alloc((k + 1) * sizeof *scores);
    out->list = dip_alloc((k + 1) * sizeof *out->list);
    dip_status status = ids && scores && out->list ? DIP_OK : DIP_ENOMEM;
    if (!status && !effort)
        status = scan_all(search, target, probe->vector, allow, k, ids, scores);
    else if (!status)
        status = ask_index(search, probe, target, allow, k, out->point, ids, scores);
    for (size_t i = 0; i < k && !status && ids[i] != DIP_NO_ID; i++)
        out->list[out->count++] = (dip_candidate){ids[i], scores[i]};
    dip_free(ids);
    dip_free(scores);
    return status;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t dip_candidates_fetched(size_t k) { return k + k / 2 + RERANK_MORE; }

dip_status dip_candidates_rank(dip_search *search, const dip_probed *probe, int target,
                               const uint64_t *allow, size_t allow_count, size_t k,
                               const dip_effort *effort, dip_candidates *out)
{
    allowed ids = {allow, allow_count};
    const dip_index *index = search->sides[target].index;
    *out = (dip_candidates){0};
    dip_status status = effort ? check_index(search, target) : DIP_OK;
    if (status) return status;
    bool exact = !effort || dip_index_engine(index) == DIP_ENGINE_EXACT;
    size_t wanted = exact ? k : dip_candidates_fetched(k);
    if (allow) wanted = smaller(wanted, allow_count);
    if (!exact) {
        const char *to = dip_archive_modality(search->archive, (size_t)target)->name;
        out->point = dip_manifest_point(search->manifest, probe->from, to, effort);
    }
    status = collect(search, probe, target, effort, &ids, wanted, out);
    if (!status && !exact) status = rerank(search, target, probe->vector, out);
    if (status) {
        dip_free(out->list);
        *out = (dip_candidates){0};
        return status;
    }
    out->count = smaller(out->count, k);
    const dip_index_params *params = out->point ? &out->point->params : NULL;
    out->exactly = exact || (allow && dip_index_compares_all(index, params, allow_count));
    return DIP_OK;
}
