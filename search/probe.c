/*
 * Probe -> vector.
 *
 * A stored tile brings its stored embedding; a tile that has none yet is encoded. Encoding holds the search's
 * lock: a model serves one thread at a time. Tiles that wait for it are encoded together.
 */
#include "search/engine.h"

#include "core/mem.h"
#include "core/status.h"
#include "index/dot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *model_id(const dip_search *search) { return search->manifest->model; }

static dip_status check_unit(const dip_search *search, const float *vector)
{
    size_t dim = search->manifest->dim;
    float square = dip_dot_get()(vector, vector, dim);
    if (fabsf(square - 1) < 0.01F) return DIP_OK;
    if (!isfinite(square) || square == 0)
        return dip_fail(DIP_EINVAL, "the probe's vector %s; it has no direction",
                        square == 0 ? "is 0 everywhere" : "holds a NaN or an infinite value");
    return dip_fail(DIP_EINVAL, "the probe's vector has length %g, not 1; divide it by its length",
                    sqrt((double)square));
}

/* Which encoder fits a stored tile's modality. */
static dip_status encoder_of(const dip_model *model, const dip_modality *modality, size_t *position)
{
    int found = dip_model_find_modality(model, modality->name);
    if (found < 0)
        return dip_fail(DIP_EMISMATCH, "model %s has no encoder for modality '%s'",
                        dip_model_id(model), modality->name);
    *position = (size_t)found;
    return dip_model_check(model, modality);
}

/* A tile to encode; those of one modality go through the encoder together. */
typedef struct tile_job {
    dip_search *search;
    size_t position; /* of the encoder */
    const dip_tile *tile;
    float *vector;
} tile_job;

static bool same_encoder(const void *a, const void *b)
{
    return ((const tile_job *)a)->position == ((const tile_job *)b)->position;
}

static dip_status encode_all(const void *const *jobs, size_t n)
{
    const tile_job *first = jobs[0];
    dip_search *search = first->search;
    const dip_tile *tiles[DIP_COMBINE_MOST];
    size_t dim = search->manifest->dim;
    float *vectors = dip_alloc_aligned(n * dim * sizeof *vectors);
    if (!vectors) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) tiles[i] = ((const tile_job *)jobs[i])->tile;
    pthread_mutex_lock(&search->lock);
    dip_status status = dip_model_encode(search->model, first->position, tiles, n, vectors);
    pthread_mutex_unlock(&search->lock);
    for (size_t i = 0; i < n && !status; i++)
        memcpy(((const tile_job *)jobs[i])->vector, vectors + i * dim, dim * sizeof *vectors);
    dip_free_aligned(vectors);
    return status;
}

static dip_status encode(dip_search *search, const dip_modality *modality, const char *name,
                         const dip_tile *tile, float *vector)
{
    static const dip_combine_how how = {same_encoder, encode_all};
    dip_model *model = NULL;
    size_t position = 0;
    pthread_mutex_lock(&search->lock);
    dip_status status = dip_search_need_model(search, &model);
    pthread_mutex_unlock(&search->lock);
    if (!status && modality)
        status = encoder_of(model, modality, &position);
    else if (!status) {
        int found = dip_model_find_modality(model, name);
        if (found < 0)
            status = dip_fail(DIP_EINVAL, "model %s has no encoder for modality '%s'",
                              dip_model_id(model), name);
        position = (size_t)found;
    }
    if (status) return status;
    const tile_job job = {search, position, tile, vector};
    return dip_combine(&search->encoding, &how, &job);
}

static dip_status encode_stored(dip_search *search, const dip_modality *modality, uint64_t id,
                                float *vector)
{
    dip_tile *tile;
    dip_status status = dip_archive_tile(search->archive, id, &tile);
    if (status) return status;
    status = encode(search, modality, modality->name, tile, vector);
    dip_tile_free(tile);
    return status;
}

static dip_status resolve_stored(dip_search *search, size_t row, dip_probed *out)
{
    const dip_columns *c = &search->columns;
    uint32_t position = c->modalities[row];
    const dip_modality *modality = dip_archive_modality(search->archive, position);
    if (!modality)
        return dip_fail(DIP_ECORRUPT, "tile %llu is of a modality that the archive does not know",
                        (unsigned long long)c->ids[row]);
    bool found = false;
    out->id = c->ids[row];
    out->modality = (int)position;
    snprintf(out->from, sizeof out->from, "%s", modality->name);
    dip_status status =
        dip_archive_embeddings_of(search->archive, model_id(search), position, &out->id, 1,
                                  search->manifest->dim, out->vector, &found);
    if (status || found) return status;
    return encode_stored(search, modality, out->id, out->vector);
}

static dip_status resolve_tile(dip_search *search, const dip_probe *probe, dip_probed *out)
{
    size_t row = dip_columns_find(&search->columns, probe->id);
    if (row == SIZE_MAX)
        return dip_fail(DIP_ENOENT, "the archive has no tile #%llu", (unsigned long long)probe->id);
    return resolve_stored(search, row, out);
}

dip_status dip_modality_unknown(const dip_archive *archive, const char *name)
{
    char known[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < dip_archive_modality_count(archive); i++) {
        const char *other = dip_archive_modality(archive, i)->name;
        int n = snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", other);
        if (n < 0 || (size_t)n >= sizeof known - used) break;
        used += (size_t)n;
    }
    return dip_fail(DIP_EINVAL, "there is no modality '%s'; the archive has %s", name,
                    *known ? known : "none");
}

static dip_status find_modality(const dip_search *search, const char *name, int *position)
{
    *position = dip_archive_find_modality(search->archive, name);
    return *position < 0 ? dip_modality_unknown(search->archive, name) : DIP_OK;
}

static dip_status resolve_lonlat(dip_search *search, const dip_probe *probe, int target,
                                 dip_probed *out)
{
    int modality = -1;
    if (!(fabs(probe->lon) <= 360) || !(fabs(probe->lat) <= 90))
        return dip_fail(DIP_EINVAL, "%.10g,%.10g is no longitude and latitude, in this order",
                        probe->lon, probe->lat);
    if (probe->modality) {
        dip_status status = find_modality(search, probe->modality, &modality);
        if (status) return status;
    }
    size_t row = dip_columns_nearest(&search->columns, probe->lon, probe->lat, modality, target);
    if (row == SIZE_MAX)
        return dip_fail(DIP_ENOENT, "no tile%s%s has a known footprint, so none is near %.6g,%.6g",
                        probe->modality ? " of modality " : "",
                        probe->modality ? probe->modality : "", probe->lon, probe->lat);
    return resolve_stored(search, row, out);
}

static dip_status resolve_outside(dip_search *search, const dip_probe *probe, dip_probed *out)
{
    if (probe->modality) {
        snprintf(out->from, sizeof out->from, "%s", probe->modality);
        out->modality = dip_archive_find_modality(search->archive, probe->modality);
    }
    if (probe->kind == DIP_PROBE_VECTOR) {
        dip_status status = check_unit(search, probe->vector);
        if (!status) memcpy(out->vector, probe->vector, search->manifest->dim * sizeof(float));
        return status;
    }
    if (!probe->modality) return dip_fail(DIP_EINVAL, "a probe of pixels must say its modality");
    return encode(search, NULL, probe->modality, probe->tile, out->vector);
}

static dip_status add_own(dip_probed *probed, uint64_t id)
{
    if (id == DIP_NO_ID) return DIP_OK;
    uint64_t *ids = dip_realloc(probed->own, (probed->own_count + 1) * sizeof *ids);
    if (!ids) return DIP_ENOMEM;
    ids[probed->own_count++] = id;
    probed->own = ids;
    return DIP_OK;
}

dip_status dip_probe_resolve(dip_search *search, const dip_probe *probe, int target,
                             dip_probed *out)
{
    *out = (dip_probed){.modality = -1, .id = DIP_NO_ID};
    out->vector = dip_alloc_aligned(search->manifest->dim * sizeof *out->vector);
    if (!out->vector) return DIP_ENOMEM;
    dip_status status;
    switch (probe->kind) {
    case DIP_PROBE_TILE: status = resolve_tile(search, probe, out); break;
    case DIP_PROBE_LONLAT: status = resolve_lonlat(search, probe, target, out); break;
    default: status = resolve_outside(search, probe, out); break;
    }
    if (!status) status = add_own(out, out->id);
    if (status) dip_probed_fini(out);
    return status;
}

void dip_probed_fini(dip_probed *probed)
{
    dip_free_aligned(probed->vector);
    dip_free(probed->own);
    probed->vector = NULL;
    probed->own = NULL;
}

/* ---- examples ---- */

/* sum += weight * the mean of the examples' vectors. */
static dip_status add_examples(dip_search *search, const dip_probe *examples, size_t n, int target,
                               double weight, dip_probed *out, double *sum)
{
    for (size_t i = 0; i < n; i++) {
        dip_probed example;
        dip_status status = dip_probe_resolve(search, &examples[i], target, &example);
        if (status) return status;
        for (size_t d = 0; d < search->manifest->dim; d++)
            sum[d] += weight * (double)example.vector[d];
        status = add_own(out, example.id);
        dip_probed_fini(&example);
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status normalise(const double *sum, size_t dim, float *vector)
{
    double square = 0;
    for (size_t d = 0; d < dim; d++) square += sum[d] * sum[d];
    if (square < 1e-6)
        return dip_fail(DIP_EINVAL, "the probe and its examples cancel each other out; leave some "
                                    "of the negative ones out");
    for (size_t d = 0; d < dim; d++) vector[d] = (float)(sum[d] / sqrt(square));
    return DIP_OK;
}

dip_status dip_probe_resolve_examples(dip_search *search, const dip_probe *probe,
                                      const dip_query *query, int target, dip_probed *out)
{
    size_t dim = search->manifest->dim;
    double each = 1.0 / (double)(1 + query->positive_count);
    dip_status status = dip_probe_resolve(search, probe, target, out);
    if (status || !(query->positive_count + query->negative_count)) return status;
    double *sum = dip_calloc(dim, sizeof *sum);
    status = sum ? DIP_OK : DIP_ENOMEM;
    for (size_t d = 0; d < dim && sum; d++) sum[d] = each * (double)out->vector[d];
    if (!status)
        status =
            add_examples(search, query->positive, query->positive_count, target, each, out, sum);
    if (!status && query->negative_count)
        status = add_examples(search, query->negative, query->negative_count, target,
                              -DIP_NEGATIVE_WEIGHT / (double)query->negative_count, out, sum);
    if (!status) status = normalise(sum, dim, out->vector);
    out->mixed = true;
    dip_free(sum);
    if (status) dip_probed_fini(out);
    return status;
}
