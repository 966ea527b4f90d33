/* Bounded heap; see topk.h. */
#include "index/topk.h"

#include <diptych/tile.h>

static bool worse(const dip_topk_entry *a, const dip_topk_entry *b)
{
    return a->score < b->score || (a->score == b->score && a->id > b->id);
}

static void sift_up(dip_topk_entry *heap, size_t at, dip_topk_entry entry)
{
    while (at) {
        size_t parent = (at - 1) / 2;
        if (!worse(&entry, &heap[parent])) break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = entry;
}

static void sift_down(dip_topk_entry *heap, size_t size, dip_topk_entry entry)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= size) break;
        if (child + 1 < size && worse(&heap[child + 1], &heap[child])) child++;
        if (!worse(&heap[child], &entry)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

void dip_topk_push(dip_topk *top, float score, uint64_t id)
{
    if (!dip_topk_wants(top, score, id)) return;
    dip_topk_entry entry = {score, id};
    if (top->size < top->k)
        sift_up(top->entries, top->size++, entry);
    else
        sift_down(top->entries, top->size, entry);
}

void dip_topk_finish(dip_topk *top, size_t length, uint64_t *ids, float *scores)
{
    for (size_t i = length; i > top->size; i--) {
        ids[i - 1] = DIP_NO_ID;
        scores[i - 1] = -2;
    }
    while (top->size) {
        size_t last = --top->size;
        ids[last] = top->entries[0].id;
        scores[last] = top->entries[0].score;
        if (last) sift_down(top->entries, last, top->entries[last]);
    }
}
