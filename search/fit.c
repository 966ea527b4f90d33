/*
 * Index against store; see fit.h. A vector asked for among itself alone scores 1, less what float16 loses; after
 * training the same tile's vector points elsewhere.
 */
#include "search/fit.h"

#include "core/mem.h"

enum { SAMPLES = 16 };

static const float LEAST = 0.995F;

static dip_status compare(const dip_index *index, uint64_t id, const float *vector, bool *fits)
{
    uint64_t hit;
    float score;
    dip_status status = dip_index_search(index, vector, 1, 1, NULL, &id, 1, &hit, &score);
    if (!status && hit == id && score < LEAST) *fits = false;
    return status;
}

dip_status dip_index_fits(const dip_archive *archive, const char *model, uint32_t modality,
                          const dip_index *index, bool *fits)
{
    size_t count, n, dim = dip_index_dim(index);
    const uint64_t *all = dip_index_ids(index, &count);
    uint64_t ids[SAMPLES];
    bool found[SAMPLES];
    *fits = true;
    for (n = 0; n < SAMPLES && n < count; n++)
        ids[n] = all[count < SAMPLES ? n : n * (count - 1) / (SAMPLES - 1)];
    if (!n) return DIP_OK;
    float *vectors = dip_alloc_aligned(n * dim * sizeof *vectors);
    if (!vectors) return DIP_ENOMEM;
    dip_status status =
        dip_archive_embeddings_of(archive, model, modality, ids, n, dim, vectors, found);
    for (size_t i = 0; i < n && !status; i++)
        if (found[i]) status = compare(index, ids[i], vectors + i * dim, fits);
    dip_free_aligned(vectors);
    return status;
}
