/*
 * Index and model against store; see fit.h. A vector asked for among itself alone scores 1, less what float16 loses; after
 * training the same tile's vector points elsewhere.
 */
#include "search/fit.h"

#include "core/mem.h"
#include "index/dot.h"

enum { SAMPLES = 16 };

static const float LEAST = 0.995F;
static const float LEAST_ENCODED = 0.98F; /* instruction sets round differently */

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
    size_t count = dip_index_count(index), n, dim = dip_index_dim(index);
    uint64_t ids[SAMPLES];
    bool found[SAMPLES];
    *fits = true;
    for (n = 0; n < SAMPLES && n < count; n++)
        dip_index_ids(index, count < SAMPLES ? n : n * (count - 1) / (SAMPLES - 1), 1, &ids[n]);
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

static dip_status encode_and_compare(const dip_archive *archive, dip_model *model, size_t position,
                                     uint64_t id, const float *stored, float *vector, bool *fits)
{
    dip_tile *tile;
    dip_status status = dip_archive_tile(archive, id, &tile);
    if (status) return status;
    const dip_tile *list[1] = {tile};
    status = dip_model_encode(model, position, list, 1, vector);
    dip_tile_free(tile);
    if (!status) *fits = dip_dot_get()(stored, vector, dip_model_dim(model)) >= LEAST_ENCODED;
    return status;
}

dip_status dip_model_fits(const dip_archive *archive, dip_model *model, uint32_t modality,
                          size_t position, bool *fits)
{
    size_t n, dim = dip_model_dim(model);
    uint64_t *ids;
    *fits = true;
    dip_status status = dip_archive_embedded_ids(archive, dip_model_id(model), modality, &ids, &n);
    if (status || !n) return status;
    float *vectors = dip_alloc_aligned(2 * dim * sizeof *vectors);
    if (!vectors) status = DIP_ENOMEM;
    if (!status)
        status = dip_archive_embeddings_of(archive, dip_model_id(model), modality, ids, 1, dim,
                                           vectors, NULL);
    if (!status)
        status = encode_and_compare(archive, model, position, ids[0], vectors, vectors + dim, fits);
    dip_free_aligned(vectors);
    dip_ids_free(ids);
    return status;
}
