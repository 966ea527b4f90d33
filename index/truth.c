/* Truth of queries; see truth.h. */
#include "index/truth.h"

#include "core/mem.h"
#include "index/scan.h"

#include <diptych/tile.h>

#include <string.h>

enum { WIDTH = DIP_TRUTH_WIDTH };

static const float tolerance = 1e-6F;

dip_status dip_truth_init(dip_truth *t, const float *queries, size_t nq, size_t dim)
{
    const size_t room = nq * WIDTH + 1;
    *t = (dip_truth){.queries = queries, .nq = nq, .dim = dim};
    t->ids = dip_alloc(room * sizeof *t->ids);
    t->least = dip_alloc((nq + 1) * sizeof *t->least);
    t->new_ids = dip_alloc(room * sizeof *t->new_ids);
    t->scores = dip_alloc(room * sizeof *t->scores);
    t->new_scores = dip_alloc(room * sizeof *t->new_scores);
    if (!t->least || !t->ids || !t->new_ids || !t->scores || !t->new_scores) return DIP_ENOMEM;
    for (size_t i = 0; i < nq * WIDTH; i++) {
        t->ids[i] = DIP_NO_ID;
        t->scores[i] = -2;
    }
    return DIP_OK;
}

void dip_truth_fini(dip_truth *t)
{
    dip_free(t->ids);
    dip_free(t->least);
    dip_free(t->new_ids);
    dip_free(t->scores);
    dip_free(t->new_scores);
    *t = (dip_truth){0};
}

/* The best of both; those that were there have the smaller ids. */
static void merge(uint64_t *ids, float *scores, const uint64_t *others, const float *other_scores)
{
    uint64_t best[WIDTH];
    float best_scores[WIDTH];
    for (size_t i = 0, a = 0, b = 0; i < WIDTH; i++) {
        const bool old = scores[a] >= other_scores[b];
        best[i] = old ? ids[a] : others[b];
        best_scores[i] = old ? scores[a++] : other_scores[b++];
    }
    memcpy(ids, best, sizeof best);
    memcpy(scores, best_scores, sizeof best_scores);
}

dip_status dip_truth_add(dip_truth *t, const float *vectors, const uint64_t *ids, size_t n)
{
    const dip_scan scan = {
        .vectors = vectors, .ids = ids, .n = n, .dim = t->dim, .least = t->least};
    if (!n || !t->nq) return DIP_OK;
    for (size_t q = 0; q < t->nq; q++) t->least[q] = t->scores[q * WIDTH + WIDTH - 1];
    dip_status status = dip_scan_run(&scan, t->queries, t->nq, WIDTH, t->new_ids, t->new_scores);
    for (size_t q = 0; q < t->nq && !status; q++)
        merge(t->ids + q * WIDTH, t->scores + q * WIDTH, t->new_ids + q * WIDTH,
              t->new_scores + q * WIDTH);
    t->n += n;
    return status;
}

size_t dip_truth_hits(const dip_truth *t, size_t query, size_t k)
{
    const uint64_t *ids = t->ids + query * WIDTH;
    const float *scores = t->scores + query * WIDTH;
    size_t there = 0, hits;
    while (there < WIDTH && ids[there] != DIP_NO_ID) there++;
    hits = k < there ? k : there;
    if (!hits) return 0;
    const float bar = scores[hits - 1] - tolerance;
    while (hits < there && scores[hits] >= bar) hits++;
    return hits == WIDTH && t->n > WIDTH ? 0 : hits;
}

bool dip_truth_has(const dip_truth *t, size_t query, size_t hits, uint64_t id)
{
    const uint64_t *ids = t->ids + query * WIDTH;
    for (size_t i = 0; i < hits; i++)
        if (ids[i] == id) return true;
    return false;
}
