/* Walking over the held-out pairs; see held_pairs.h. */
#include "train/held_pairs.h"

#include "core/mem.h"

#include <string.h>

enum { MOST_PAIRS = 1000 };

/* Up to MOST_PAIRS held-out pairs of a combination, spread evenly; tiles[0] and tiles[1] get theirs. */
static size_t choose_pairs(const dip_dataset *d, const uint32_t modality[2], uint32_t *tiles[2])
{
    size_t n = 0, taken = 0, seen = 0;
    for (size_t i = 0; i < d->held_count; i++)
        n += !memcmp(d->held[i].modality, modality, 2 * sizeof *modality);
    size_t wanted = n < MOST_PAIRS ? n : MOST_PAIRS;
    for (size_t i = 0; i < d->held_count && taken < wanted; i++) {
        if (memcmp(d->held[i].modality, modality, 2 * sizeof *modality) != 0) continue;
        if (seen++ * wanted / n != taken) continue;
        tiles[0][taken] = d->held[i].first[0];
        tiles[1][taken++] = d->held[i].first[1];
    }
    return taken;
}

static dip_status visit_combination(const dip_held_source *source, dip_held *held,
                                    uint32_t *tiles[2], float *vectors[2], dip_held_fn fn,
                                    void *context)
{
    dip_status status = DIP_OK;
    held->n = choose_pairs(source->dataset, held->modality, tiles);
    if (!held->n) return DIP_OK;
    for (int side = 0; side < 2 && !status; side++) {
        status = source->encode(source->context, held->modality[side], tiles[side], held->n,
                                vectors[side]);
        held->tiles[side] = tiles[side];
        held->vectors[side] = vectors[side];
    }
    return status ? status : fn(context, held);
}

dip_status dip_held_each(const dip_held_source *source, dip_held_fn fn, void *context)
{
    dip_held held = {.dataset = source->dataset, .dim = source->dim};
    uint32_t *tiles[2], modalities = source->dataset->modality_count;
    float *vectors[2];
    dip_status status = DIP_OK;
    for (int i = 0; i < 2; i++) {
        tiles[i] = dip_alloc(MOST_PAIRS * sizeof *tiles[i]);
        vectors[i] = dip_alloc_aligned(MOST_PAIRS * held.dim * sizeof *vectors[i]);
        if (!tiles[i] || !vectors[i]) status = DIP_ENOMEM;
    }
    for (uint32_t c = 0; !status && c < modalities * modalities; c++) {
        held.modality[0] = c / modalities;
        held.modality[1] = c % modalities;
        if (held.modality[0] < held.modality[1])
            status = visit_combination(source, &held, tiles, vectors, fn, context);
    }
    for (int i = 0; i < 2; i++) {
        dip_free(tiles[i]);
        dip_free_aligned(vectors[i]);
    }
    return status;
}
