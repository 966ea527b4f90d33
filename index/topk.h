/**
 * The k best hits of one query: higher score first, of equal scores the smaller id. That is a total order, so the
 * result depends neither on the order of arrival nor on how the work was cut.
 */
#ifndef INDEX_TOPK_H
#define INDEX_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_topk_entry {
    float score;
    uint64_t id;
} dip_topk_entry;

typedef struct dip_topk {
    size_t k, size;
    dip_topk_entry *entries; /* room for k, the caller's; a heap, the worst on top */
} dip_topk;

static inline bool dip_topk_full(const dip_topk *top) { return top->size == top->k; }

/** True if (score, id) would get in. */
static inline bool dip_topk_wants(const dip_topk *top, float score, uint64_t id)
{
    if (top->size < top->k) return true;
    if (top->k == 0) return false;
    const dip_topk_entry *worst = &top->entries[0];
    return score > worst->score || (score == worst->score && id < worst->id);
}

void dip_topk_push(dip_topk *top, float score, uint64_t id);

/**
 * Empties the heap into a row of `length` (at least top->k) ids and scores, best first; a short row ends in DIP_NO_ID
 * with score -2 (below any cosine).
 */
void dip_topk_finish(dip_topk *top, size_t length, uint64_t *ids, float *scores);

#endif
