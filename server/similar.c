/* Searches by similarity; see similar.h. Names become probes, the ask a dip_query, the hits items. */
#define _GNU_SOURCE
#include "server/similar.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"
#include "server/encode.h"
#include "server/item.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* An ask as the library takes it; owns what is in it. */
typedef struct search {
    dip_query query;
    dip_probe probe;
    dip_probe *examples; /* positive ones, then negative ones */
    float *vector;
    char *to;
    uint64_t *only;
    const dip_service *service; /* whose uploads are held */
    void **held;                /* of uploads */
    size_t held_count;
} search;

static void search_fini(search *s)
{
    for (size_t i = 0; i < s->held_count; i++)
        dip_keep_release(dip_service_uploads(s->service), s->held[i]);
    dip_free(s->held);
    dip_free(s->examples);
    dip_free_aligned(s->vector);
    dip_free(s->to);
    dip_free(s->only);
}

/* ---- names ---- */

static dip_status take_upload(search *s, const dip_view *view, const char *id, dip_probe *out)
{
    void **held = dip_realloc(s->held, (s->held_count + 1) * sizeof *held);
    if (!held) return DIP_ENOMEM;
    s->held = held;
    dip_upload *upload;
    dip_status status = dip_upload_hold(s->service, id, &upload);
    if (status) return status;
    held[s->held_count++] = upload;
    if (strcmp(upload->model, view->model) != 0)
        return dip_fail(DIP_ENOENT,
                        "item '" DIP_SENT
                        "/%.60s' was encoded by model %s, which is not the live one; "
                        "send it again by POST /encode",
                        id, upload->model);
    *out = (dip_probe){
        .kind = DIP_PROBE_VECTOR, .vector = upload->vector, .modality = upload->modality.name};
    return DIP_OK;
}

static dip_status take_item(search *s, const dip_archive *archive, const dip_view *view,
                            const char *name, dip_probe *out)
{
    char collection[DIP_WORD_CAPACITY];
    const char *id;
    dip_status status = dip_item_split(name, collection, &id);
    if (status) return dip_fail_prefix(status, "similarity");
    if (!strcmp(collection, DIP_SENT)) return take_upload(s, view, id, out);
    *out = (dip_probe){.kind = DIP_PROBE_TILE};
    return dip_item_find(archive, collection, id, &out->id);
}

static dip_status take_items(search *s, const dip_archive *archive, const dip_view *view,
                             const dip_ask *ask)
{
    size_t positive = ask->positive_count, n = positive + ask->negative_count;
    s->examples = dip_calloc(n + 1, sizeof *s->examples);
    dip_status status = s->examples ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++)
        status = take_item(s, archive, view,
                           i < positive ? ask->positive[i] : ask->negative[i - positive],
                           &s->examples[i]);
    s->query.positive = s->examples;
    s->query.positive_count = positive;
    s->query.negative = s->examples + positive;
    s->query.negative_count = ask->negative_count;
    return status;
}

static dip_status take_vector(search *s, const dip_view *view, const dip_ask *ask)
{
    dip_model *model = dip_search_model(view->search);
    double square = 0;
    if (!model) return DIP_ENOENT;
    if (ask->vector_length != dip_model_dim(model))
        return dip_fail(DIP_EINVAL, "vector: it has %zu numbers, embeddings of model %s have %zu",
                        ask->vector_length, dip_model_id(model), dip_model_dim(model));
    for (size_t i = 0; i < ask->vector_length; i++)
        square += (double)ask->vector[i] * (double)ask->vector[i];
    if (!(square > 0))
        return dip_fail(DIP_EINVAL, "vector: it is 0 everywhere; it has no direction");
    s->vector = dip_alloc_aligned(ask->vector_length * sizeof *s->vector);
    if (!s->vector) return DIP_ENOMEM;
    for (size_t i = 0; i < ask->vector_length; i++)
        s->vector[i] = (float)((double)ask->vector[i] / sqrt(square));
    s->probe = (dip_probe){.kind = DIP_PROBE_VECTOR, .vector = s->vector};
    return DIP_OK;
}

/* What the others are examples beside: item or vector; without either the first positive one, which weighs the same. */
static dip_status take_probe(search *s, const dip_archive *archive, const dip_view *view,
                             const dip_ask *ask)
{
    if (ask->item) return take_item(s, archive, view, ask->item, &s->probe);
    if (ask->vector) return take_vector(s, view, ask);
    s->probe = s->examples[0];
    s->query.positive++;
    s->query.positive_count--;
    return DIP_OK;
}

/* ---- where to search ---- */

static dip_status take_targets(search *s, const dip_archive *archive, const dip_ask *ask)
{
    size_t room = ask->collection_count * DIP_WORD_CAPACITY + 1, used = 0;
    if (!ask->collection_count) return DIP_OK;
    s->to = dip_alloc(room);
    if (!s->to) return DIP_ENOMEM;
    for (size_t i = 0; i < ask->collection_count; i++) {
        uint32_t modality;
        if (dip_collection_find(archive, ask->collections[i], &modality))
            return dip_fail_prefix(DIP_EINVAL, "collections");
        used +=
            (size_t)snprintf(s->to + used, room - used, "%s%s", i ? "|" : "", ask->collections[i]);
    }
    s->query.to = s->to;
    return DIP_OK;
}

static dip_status take_ids(search *s, const dip_archive *archive, const dip_ask *ask)
{
    if (!ask->id_count) return DIP_OK;
    dip_status status = dip_items_named(archive, ask->ids, ask->id_count, UINT32_MAX, &s->only,
                                        &s->query.only_count);
    s->query.only = s->only;
    return status;
}

dip_status dip_similar_run(dip_service *service, const dip_view *view, const dip_request *request,
                           const dip_ask *ask, dip_result *out)
{
    const dip_archive *archive = dip_service_archive(service);
    search s = {.query = DIP_QUERY_INIT, .service = service};
    double begin = dip_seconds();
    dip_ask_query(ask, &s.query);
    dip_status status = take_items(&s, archive, view, ask);
    if (!status) status = take_probe(&s, archive, view, ask);
    if (!status) status = take_targets(&s, archive, ask);
    if (!status) status = take_ids(&s, archive, ask);
    begin = dip_request_stage(request, DIP_STAGE_PARSE, begin);
    if (!status) status = dip_search_run(view->search, &s.probe, &s.query, out);
    dip_request_stage(request, DIP_STAGE_SEARCH, begin);
    search_fini(&s);
    return status;
}

/* ---- the answer ---- */

static dip_status write_hits(dip_json *j, const dip_item_context *items, const dip_result *result)
{
    dip_status status = DIP_OK;
    dip_json_array(j, "features");
    for (size_t i = 0; i < result->count && !status; i++) {
        const dip_hit *hit = &result->hits[i];
        dip_item_note note = {.scored = true,
                              .score = (double)hit->score,
                              .percentile = (double)hit->percentile,
                              .rank = i + 1};
        status = dip_item_write(j, NULL, items, hit->meta, &note);
    }
    if (!status) dip_json_end(j);
    return status;
}

static void write_rest(dip_json *j, const dip_view *view, const dip_request *request,
                       const dip_result *result)
{
    dip_page_counts(j, result->matching, result->count);
    if (*result->missing) dip_json_text(j, "sim:warning", result->missing);
    dip_json_text(j, "sim:plan", result->plan);
    dip_json_real(j, "sim:expected_recall", result->expected_recall, 4);
    dip_json_text(j, "sim:generation", view->generation);
    dip_json_text(j, "sim:model", view->model);
    dip_json_array(j, "links");
    dip_page_links(j, request, NULL);
    dip_json_end(j);
}

static void answer(dip_service *service, const dip_view *view, const dip_request *request,
                   const dip_result *result, dip_response *response)
{
    dip_item_context items;
    dip_writer writer;
    dip_status status = dip_item_context_init(&items, service, view, request);
    if (!status) status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "type", "FeatureCollection");
    status = write_hits(&writer.json, &items, result);
    if (!status) {
        write_rest(&writer.json, view, request, result);
        dip_json_end(&writer.json);
    }
    dip_writer_end(&writer, response, 200, DIP_TYPE_GEOJSON);
    if (status) dip_response_fail_status(response, status);
}

void dip_serve_similar(dip_service *service, const dip_view *view, const dip_request *request,
                       const dip_ask *ask, dip_response *response)
{
    dip_result result;
    if (!dip_view_searchable(view, response)) return;
    dip_status status = dip_similar_run(service, view, request, ask, &result);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    double begin = dip_seconds();
    answer(service, view, request, &result, response);
    dip_result_fini(&result);
    dip_request_stage(request, DIP_STAGE_RENDER, begin);
}
