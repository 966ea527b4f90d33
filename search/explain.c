/*
 * Why two tiles score what they score: the score and its parts from the embeddings, the map from encodings of the tiles
 * (heat.h), what the archive's records say of both. Without pixels of both there is no map, and the rest stands.
 */
#include "search/calibrate.h"
#include "search/engine.h"
#include "search/heat.h"

#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "index/dot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DAY_SECONDS = 86400 };

typedef struct work {
    dip_search *search;
    const dip_probe *probe[2];
    dip_probed probed[2];
    dip_model *model;
    float *input[2]; /* prepared; owned */
    dip_heat_side seen[2];
    dip_explanation *out;
} work;

/* ---- the two ---- */

static dip_status resolve(work *w, int s)
{
    dip_explained *side = &w->out->side[s];
    dip_status status = dip_probe_resolve(w->search, w->probe[s], -1, &w->probed[s]);
    if (status) return status;
    side->id = w->probed[s].id;
    snprintf(side->modality, sizeof side->modality, "%s", w->probed[s].from);
    if (side->id != DIP_NO_ID)
        status = dip_archive_tile(w->search->archive, side->id, &side->stored);
    side->tile = side->stored;
    if (w->probe[s]->kind == DIP_PROBE_PIXELS) side->tile = w->probe[s]->tile;
    return status;
}

/* ---- numbers ---- */

static void split_score(work *w)
{
    const float *a = w->probed[0].vector, *b = w->probed[1].vector;
    dip_model_part parts[DIP_MODEL_PARTS];
    dip_dot_fn dot = dip_dot_get();
    dip_explanation *out = w->out;
    out->score = dot(a, b, w->search->manifest->dim);
    out->part_count = dip_model_parts(w->model, parts);
    for (size_t p = 0; p < out->part_count; p++) {
        const float *x = a + parts[p].offset, *y = b + parts[p].offset;
        const float share = dot(x, y, parts[p].dim);
        const float weight = sqrtf(dot(x, x, parts[p].dim) * dot(y, y, parts[p].dim));
        out->part[p] =
            (dip_explained_part){parts[p].name, weight, weight > 0 ? share / weight : 0, share};
    }
}

static float quantile(const dip_calibration *c, int permille)
{
    return c ? c->quantile[permille * (DIP_CALIBRATION_STEPS - 1) / 1000] : NAN;
}

static void compare_with_random(work *w)
{
    dip_explanation *out = w->out;
    const dip_calibration *c =
        dip_calibration_find(w->search->manifest, out->side[0].modality, out->side[1].modality);
    out->percentile = dip_calibration_percentile(c, out->score);
    out->p50 = quantile(c, 500);
    out->p95 = quantile(c, 950);
    out->p99 = quantile(c, 990);
}

/* ---- records ---- */

static bool list_has(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t n = strcspn(list, "|");
        if (n == length && !memcmp(list, word, n)) return true;
        list += n + (list[n] == '|');
    }
    return false;
}

/* The words of `list` that are in `other`, or (`in` false) are not. NULL: memory is short. */
static char *choose_words(const char *list, const char *other, bool in)
{
    char *out = dip_alloc(strlen(list) + 1), *end = out;
    while (out && *list) {
        size_t n = strcspn(list, "|");
        if (n && list_has(other, list, n) == in) {
            if (end > out) *end++ = '|';
            memcpy(end, list, n);
            end += n;
        }
        list += n + (list[n] == '|');
    }
    if (out) *end = '\0';
    return out;
}

static dip_status compare_records(work *w)
{
    dip_explanation *out = w->out;
    const dip_tile *a = out->side[0].tile, *b = out->side[1].tile;
    const char *labels[2] = {a && a->meta.labels ? a->meta.labels : "",
                             b && b->meta.labels ? b->meta.labels : ""};
    double lon[2], lat[2];
    out->labels_both = choose_words(labels[0], labels[1], true);
    out->labels_a = choose_words(labels[0], labels[1], false);
    out->labels_b = choose_words(labels[1], labels[0], false);
    if (!out->labels_both || !out->labels_a || !out->labels_b) return DIP_ENOMEM;
    out->distance_km = out->days_apart = NAN;
    if (!a || !b) return DIP_OK;
    if (dip_meta_centre(&a->meta, &lon[0], &lat[0]) && dip_meta_centre(&b->meta, &lon[1], &lat[1]))
        out->distance_km = dip_distance_km(lon[0], lat[0], lon[1], lat[1]);
    if (a->meta.time != DIP_NO_TIME && b->meta.time != DIP_NO_TIME)
        out->days_apart = fabs((double)a->meta.time - (double)b->meta.time) / DAY_SECONDS;
    return DIP_OK;
}

/* ---- the map ---- */

/* What the encoder sees of a side; with the search's lock held. */
static dip_status look_at(work *w, int s)
{
    const dip_explained *side = &w->out->side[s];
    if (!side->tile || !side->tile->plane_count)
        return dip_fail(DIP_ENOTSUP, "the %s of the two has no pixels, so there is no map",
                        s ? "second" : "first");
    int position = dip_model_find_modality(w->model, side->modality);
    if (position < 0)
        return dip_fail(DIP_EMISMATCH, "model %s has no encoder for modality '%s'",
                        dip_model_id(w->model), side->modality);
    dip_heat_side *seen = &w->seen[s];
    dip_status status = dip_model_takes_pixels(w->model, (size_t)position);
    if (!status)
        status = dip_model_prepare(w->model, (size_t)position, side->tile, &w->input[s], &seen->px);
    seen->modality = (size_t)position;
    seen->input = w->input[s];
    seen->bands = dip_model_modality(w->model, (size_t)position)->band_count;
    return status;
}

static dip_status keep_reason(work *w)
{
    w->out->no_heat = dip_strdup(dip_last_error());
    dip_error_clear();
    return w->out->no_heat ? DIP_OK : DIP_ENOMEM;
}

static void keep_heat(work *w, const dip_heat *heat)
{
    dip_explanation *out = w->out;
    memcpy(out->heat, heat->map, sizeof out->heat);
    out->has_heat = true;
    out->best = out->weakest = heat->place[0];
    for (int i = 1; i < DIP_HEAT_PLACES; i++) {
        if (heat->place[i].score > out->best.score) out->best = heat->place[i];
        if (heat->place[i].score < out->weakest.score) out->weakest = heat->place[i];
    }
}

static dip_status map_heat(work *w)
{
    dip_heat heat;
    dip_status status = DIP_OK;
    pthread_mutex_lock(&w->search->lock);
    for (int s = 0; s < 2 && !status; s++) status = look_at(w, s);
    pthread_mutex_unlock(&w->search->lock);
    if (status == DIP_ENOTSUP) return keep_reason(w);
    if (!status) status = dip_heat_map(w->model, &w->search->lock, w->seen, &heat);
    if (!status) keep_heat(w, &heat);
    return status;
}

static dip_status explain(work *w)
{
    pthread_mutex_lock(&w->search->lock);
    dip_status status = dip_search_need_model(w->search, &w->model); /* it tells the dimensions */
    pthread_mutex_unlock(&w->search->lock);
    for (int s = 0; s < 2 && !status; s++) status = resolve(w, s);
    if (status) return status;
    split_score(w);
    compare_with_random(w);
    status = compare_records(w);
    return status ? status : map_heat(w);
}

dip_status dip_explain(dip_search *search, const dip_probe *a, const dip_probe *b,
                       dip_explanation *out)
{
    dip_explanation explanation = {.side = {{.id = DIP_NO_ID}, {.id = DIP_NO_ID}}};
    work w = {.search = search, .probe = {a, b}, .out = &explanation};
    dip_status status = explain(&w);
    for (int s = 0; s < 2; s++) {
        dip_probed_fini(&w.probed[s]);
        dip_free_aligned(w.input[s]);
    }
    if (status)
        dip_explanation_fini(&explanation);
    else
        *out = explanation;
    return status;
}

void dip_explanation_fini(dip_explanation *explanation)
{
    for (int s = 0; s < 2; s++) dip_tile_free(explanation->side[s].stored);
    dip_free(explanation->labels_both);
    dip_free(explanation->labels_a);
    dip_free(explanation->labels_b);
    dip_free(explanation->no_heat);
    *explanation = (dip_explanation){.part_count = 0};
}
