/* Batches and their order; see plan.h. */
#include "train/plan.h"

#include "core/mem.h"
#include "core/rng.h"
#include "core/status.h"

static const uint64_t order_tag = 0x6f72646572; /* a stream of its own */

static uint32_t combination(const dip_dataset *d, const dip_pair *pair)
{
    return pair->modality[0] * d->modality_count + pair->modality[1];
}

/* Puts the pairs of one combination at order[at...]; returns where the next one begins. */
static uint32_t list_combination(dip_plan *p, const dip_dataset *d, uint32_t wanted, uint32_t at)
{
    for (uint32_t i = 0; i < d->train_count; i++)
        if (combination(d, &d->train[i]) == wanted) p->order[at++] = i;
    return at;
}

static void cut_batches(dip_plan *p, uint32_t first, uint32_t end, size_t batch)
{
    size_t n = end - first, size = n < batch ? n : batch;
    for (size_t k = 0; size >= 2 && k < n / size; k++) {
        p->start[p->steps] = first + (uint32_t)(k * size);
        p->length[p->steps++] = (uint32_t)size;
    }
}

dip_status dip_plan_make(dip_plan *p, const dip_dataset *d, size_t batch)
{
    uint32_t first = 0, combinations = d->modality_count * d->modality_count;
    *p = (dip_plan){.steps = 0};
    p->order = dip_alloc((d->train_count + 1) * sizeof *p->order);
    p->start = dip_alloc((d->train_count + 1) * sizeof *p->start);
    p->length = dip_alloc((d->train_count + 1) * sizeof *p->length);
    p->turn = dip_alloc((d->train_count + 1) * sizeof *p->turn);
    if (!p->order || !p->start || !p->length || !p->turn) return DIP_ENOMEM;
    for (uint32_t c = 0, end; c < combinations; c++, first = end) {
        end = list_combination(p, d, c, first);
        cut_batches(p, first, end, batch);
    }
    if (!p->steps)
        return dip_fail(DIP_ENOENT,
                        "no two training places have tiles of the same two modalities, as a batch "
                        "needs; import more places");
    return DIP_OK;
}

void dip_plan_fini(dip_plan *p)
{
    dip_free(p->order);
    dip_free(p->start);
    dip_free(p->length);
    dip_free(p->turn);
    *p = (dip_plan){.steps = 0};
}

/* Shuffles the pairs of each combination among themselves, then the batches. */
void dip_plan_shuffle(dip_plan *p, const dip_dataset *d, uint64_t seed, uint64_t epoch)
{
    dip_rng rng;
    dip_rng_init(&rng, seed ^ order_tag, epoch);
    uint32_t first = 0, combinations = d->modality_count * d->modality_count;
    for (uint32_t c = 0, end; c < combinations; c++, first = end) {
        end = list_combination(p, d, c, first);
        dip_rng_shuffle(&rng, p->order + first, end - first);
    }
    for (uint32_t i = 0; i < p->steps; i++) p->turn[i] = i;
    dip_rng_shuffle(&rng, p->turn, p->steps);
}
