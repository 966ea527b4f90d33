/*
 * GET /explain?a=collection/id&b=collection/id: why two items score what they score, as JSON or (format=png) as a picture; see
 * docs/explain.md. Items of collection "queries" are what POST /encode keeps. The encoder is taken in slices, so an encoding
 * that came later does not wait for all of it. One is made at a time, and the others are asked to come again: the encoder
 * serves one anyway, and threads that waited for it would be missing for searches.
 */
#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"
#include "front/explain.h"
#include "server/encode.h"
#include "server/item.h"

#include <string.h>

typedef struct work {
    dip_service *service;
    const dip_archive *archive;
    const dip_view *view;
    const dip_request *request;
    dip_upload *held[2]; /* what was sent; or NULL */
    bool png;
} work;

static dip_status take_item(work *w, int side, const char *name, dip_probe *out)
{
    char collection[DIP_WORD_CAPACITY];
    const char *id;
    if (!name) return dip_fail(DIP_EINVAL, "it is missing; name an item as collection/id");
    dip_status status = dip_item_split(name, collection, &id);
    if (status) return status;
    if (strcmp(collection, DIP_SENT) != 0) {
        *out = (dip_probe){.kind = DIP_PROBE_TILE};
        return dip_item_find(w->archive, collection, id, &out->id);
    }
    status = dip_upload_hold(w->service, id, &w->held[side]);
    if (status) return status;
    const dip_upload *sent = w->held[side]; /* by its pixels, so that there is a map */
    *out = (dip_probe){
        .kind = DIP_PROBE_PIXELS, .tile = &sent->source.tile, .modality = sent->modality.name};
    return DIP_OK;
}

static dip_status take_items(work *w, dip_probe probe[2])
{
    static const char *const names[2] = {"a", "b"};
    for (int side = 0; side < 2; side++) {
        dip_status status =
            take_item(w, side, dip_request_query(w->request, names[side]), &probe[side]);
        if (status) return dip_fail_prefix(status, "%s", names[side]);
    }
    return DIP_OK;
}

static dip_status choose_format(work *w)
{
    const char *format = dip_request_query(w->request, "format");
    w->png = format && !strcmp(format, "png");
    if (!format || w->png || !strcmp(format, "json")) return DIP_OK;
    return dip_fail(DIP_EINVAL, "format: '%.40s' is neither json nor png", format);
}

static dip_status answer(const work *w, const dip_explanation *e, dip_response *response)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_writer writer;
    if (w->png) {
        dip_status status = dip_explanation_png(w->archive, e, &bytes, &length);
        if (!status) dip_response_bytes(response, 200, "image/png", bytes, length);
        return status;
    }
    dip_status status = dip_writer_begin(&writer);
    if (status) return status;
    dip_explanation_json(&writer.json, NULL, e);
    dip_writer_end(&writer, response, 200, "application/json");
    return DIP_OK;
}

static dip_status explain(work *w, dip_response *response)
{
    dip_probe probe[2];
    dip_explanation e;
    double begin = dip_seconds();
    dip_status status = choose_format(w);
    if (!status) status = take_items(w, probe);
    begin = dip_request_stage(w->request, DIP_STAGE_PARSE, begin);
    if (status) return status;
    if (!dip_service_explain_begin(w->service)) {
        dip_response_fail(response, 503, "Busy", "another explanation is being made; ask again");
        dip_response_header(response, "Retry-After", "1");
        return DIP_OK;
    }
    status = dip_explain(w->view->search, &probe[0], &probe[1], &e);
    dip_service_explain_end(w->service);
    begin = dip_request_stage(w->request, DIP_STAGE_ENCODE, begin);
    if (status) return status;
    status = answer(w, &e, response);
    dip_request_stage(w->request, DIP_STAGE_RENDER, begin);
    dip_explanation_fini(&e);
    return status;
}

void dip_serve_explain(void *context, const dip_request *request, dip_response *response)
{
    dip_service *service = context;
    work w = {.service = service,
              .archive = dip_service_archive(service),
              .view = dip_service_view(service),
              .request = request};
    dip_status status = DIP_OK;
    if (*w.view->model)
        status = explain(&w, response);
    else
        dip_response_fail(response, 409, "NoModel",
                          "the archive has no model to explain with; run diptych train");
    for (int side = 0; side < 2; side++)
        dip_keep_release(dip_service_uploads(service), w.held[side]);
    dip_view_release(w.view);
    if (status)
        dip_response_fail_status(response, status);
    else
        dip_response_header(response, "Cache-Control", "no-cache");
}
