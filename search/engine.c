/*
 * A search: opening and closing; answer.c runs it.
 *
 * Opening reads the metadata columns and the generation's manifest; indexes are mapped, the model is opened when the
 * first probe of pixels comes.
 */
#include "search/engine.h"

#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "search/fit.h"
#include "search/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dip_status check_model(const dip_search *search, const dip_search_options *options)
{
    const char *wanted = options ? options->model : NULL, *has = search->manifest->model;
    if (!wanted || !strcmp(wanted, has)) return DIP_OK;
    return dip_fail(DIP_EMISMATCH,
                    "generation %s was built with model %s, not %s; run diptych index --model %s",
                    search->manifest->generation, has, wanted, wanted);
}

/* Does the index name a tile that the archive no longer has? Both lists ascend. */
static bool has_stale(const dip_columns *columns, const dip_index *index)
{
    enum { BLOCK = 1024 };
    uint64_t ids[BLOCK];
    size_t row = 0, at = 0;
    for (size_t n; (n = dip_index_ids(index, at, BLOCK, ids)) > 0; at += n)
        for (size_t i = 0; i < n; i++) {
            while (row < columns->count && columns->ids[row] < ids[i]) row++;
            if (row == columns->count || columns->ids[row] != ids[i]) return true;
        }
    return false;
}

/* What there is to work with before the first index: a model, if one was trained. */
static dip_status open_without(dip_search *search, const dip_search_options *options)
{
    char *id = NULL;
    search->manifest = &search->without;
    dip_status status = dip_models_choose(dip_archive_path(search->archive), options->model, &id);
    if (!status) snprintf(search->without.model, sizeof search->without.model, "%s", id);
    dip_free(id);
    if (status != DIP_ENOENT || options->model) return status;
    dip_error_clear();
    return DIP_OK;
}

static dip_status open_generation(dip_search *search, const dip_search_options *options)
{
    const char *name = options ? options->generation : NULL;
    char *current = NULL;
    if (options && options->browse && !name) {
        const char *path = dip_archive_path(search->archive);
        dip_status status = dip_generation_current(&current, path);
        dip_free(current);
        if (status == DIP_ENOENT) {
            dip_error_clear();
            return open_without(search, options);
        }
    }
    dip_status status =
        dip_generation_open(&search->generation, dip_archive_path(search->archive), name);
    if (status) return status;
    search->manifest = dip_generation_read_manifest(search->generation);
    return check_model(search, options);
}

dip_status dip_search_check_index(const dip_search *search)
{
    if (search->generation) return DIP_OK;
    return dip_fail(DIP_ENOENT, "archive '%s' has no index; run diptych index",
                    dip_archive_path(search->archive));
}

static dip_status open_side(dip_search *search, size_t position)
{
    dip_side *side = &search->sides[position];
    const dip_manifest *m = search->manifest;
    const char *name = dip_archive_modality(search->archive, position)->name;
    bool fits;
    dip_status status = dip_generation_index(search->generation, name, &side->index);
    if (status || !side->index) return status;
    side->has_stale = has_stale(&search->columns, side->index);
    status = dip_index_fits(search->archive, m->model, (uint32_t)position, side->index, &fits);
    if (status || fits) return status;
    return dip_fail(
        DIP_EMISMATCH,
        "model %s has encoded the tiles again since generation %s was built; run diptych "
        "index",
        m->model, m->generation);
}

static dip_status open_sides(dip_search *search)
{
    dip_status status = DIP_OK;
    size_t count = search->generation ? dip_archive_modality_count(search->archive) : 0;
    for (size_t i = 0; i < count && !status; i++) status = open_side(search, i);
    return status;
}

dip_status dip_search_open(dip_search **out, const dip_archive *archive,
                           const dip_search_options *options)
{
    dip_search *search = dip_calloc(1, sizeof *search);
    if (!search) return DIP_ENOMEM;
    search->archive = archive;
    pthread_mutex_init(&search->lock, NULL);
    dip_combiner_init(&search->encoding);
    dip_combiner_init(&search->comparing);
    dip_status status = open_generation(search, options);
    dip_properties_init(&search->properties, archive, &search->columns);
    if (!status) status = dip_columns_load(&search->columns, archive);
    if (!status) status = open_sides(search);
    if (status)
        dip_search_close(search);
    else
        *out = search;
    return status;
}

void dip_search_close(dip_search *search)
{
    if (!search) return;
    for (size_t i = 0; i < DIP_MAX_MODALITIES; i++) dip_embeddings_fini(&search->sides[i].all);
    dip_properties_fini(&search->properties);
    dip_columns_fini(&search->columns);
    dip_model_close(search->model);
    dip_generation_close(search->generation);
    dip_combiner_fini(&search->encoding);
    dip_combiner_fini(&search->comparing);
    pthread_mutex_destroy(&search->lock);
    dip_free(search);
}

static dip_status check_opened(const dip_search *search, dip_model *model)
{
    const dip_manifest *m = search->manifest;
    if (search->generation && dip_model_dim(model) != m->dim)
        return dip_fail(DIP_EMISMATCH, "model %s gives %zu dimensions, generation %s has %u",
                        m->model, dip_model_dim(model), m->generation, m->dim);
    for (size_t i = 0; i < dip_archive_modality_count(search->archive); i++) {
        const dip_modality *modality = dip_archive_modality(search->archive, i);
        int position = dip_model_find_modality(model, modality->name);
        bool fits = true;
        if (position < 0) continue;
        dip_status status = dip_model_takes_pixels(model, (size_t)position);
        if (status == DIP_ENOTSUP) { /* it takes vectors alone: nothing that could be compared */
            dip_error_clear();
            continue;
        }
        if (!status) status = dip_model_check(model, modality);
        if (!status)
            status = dip_model_fits(search->archive, model, (uint32_t)i, (size_t)position, &fits);
        if (status) return status;
        if (!fits)
            return dip_fail(DIP_EMISMATCH,
                            "model %s was trained again since the tiles of %s were encoded; run "
                            "diptych encode, then diptych index",
                            m->model, modality->name);
    }
    return DIP_OK;
}

dip_status dip_search_need_model(dip_search *search, dip_model **out)
{
    *out = search->model;
    if (search->model) return DIP_OK;
    dip_model *model = NULL;
    if (!*search->manifest->model)
        return dip_fail(DIP_ENOENT, "archive '%s' has no model; run diptych train",
                        dip_archive_path(search->archive));
    char *path = dip_models_path(dip_archive_path(search->archive), search->manifest->model);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_model_open(&model, path);
    dip_free(path);
    if (status == DIP_ENOENT && search->generation)
        status = dip_fail(DIP_ENOENT,
                          "generation %s needs model %s, whose file is not there any more; put "
                          "models/%s.safetensors back, or run diptych index with another model",
                          search->manifest->generation, search->manifest->model,
                          search->manifest->model);
    if (!status) status = check_opened(search, model);
    if (status) {
        dip_model_close(model);
        return status;
    }
    if (!search->generation) search->without.dim = (uint32_t)dip_model_dim(model);
    *out = search->model = model;
    return DIP_OK;
}

dip_model *dip_search_model(dip_search *search)
{
    dip_model *model = NULL;
    pthread_mutex_lock(&search->lock);
    dip_status status = dip_search_need_model(search, &model);
    pthread_mutex_unlock(&search->lock);
    return status ? NULL : model;
}
