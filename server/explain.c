/*
 * GET /explain?a=collection/id&b=collection/id: why two items score what they score, as JSON or (format=png) as a picture; see
 * docs/explain.md. The encoder is taken in slices, so an encoding that came later does not wait for all of it.
 */
#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"
#include "front/explain.h"
#include "ingest/raster.h"
#include "server/service.h"

#include <string.h>

typedef struct work {
    const dip_archive *archive;
    const dip_view *view;
    const dip_request *request;
    bool png;
} work;

/* "collection/id": all behind the first slash is the id. */
static dip_status find_item(const work *w, const char *name, dip_probe *out)
{
    char collection[DIP_WORD_CAPACITY];
    const char *item = dip_request_query(w->request, name);
    const char *slash = item ? strchr(item, '/') : NULL;
    if (!slash || !slash[1])
        return dip_fail(DIP_EINVAL, "%s: %s; name an item as collection/id", name,
                        item ? "there is no slash with an id behind it" : "it is missing");
    const size_t length = (size_t)(slash - item);
    if (length < sizeof collection) {
        memcpy(collection, item, length);
        collection[length] = '\0';
    }
    int modality =
        length < sizeof collection ? dip_archive_find_modality(w->archive, collection) : -1;
    out->kind = DIP_PROBE_TILE;
    if (modality < 0 ||
        dip_archive_find_tile(w->archive, (uint32_t)modality, slash + 1, &out->id) == DIP_ENOENT)
        return dip_fail(DIP_ENOENT, "%s: there is no item '%.200s'", name, item);
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
    dip_probe probe[2] = {{.id = DIP_NO_ID}, {.id = DIP_NO_ID}};
    dip_explanation e;
    double begin = dip_seconds();
    dip_status status = choose_format(w);
    if (!status) status = find_item(w, "a", &probe[0]);
    if (!status) status = find_item(w, "b", &probe[1]);
    begin = dip_request_stage(w->request, DIP_STAGE_PARSE, begin);
    if (!status) status = dip_explain(w->view->search, &probe[0], &probe[1], &e);
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
    dip_raster_init();
    work w = {.archive = dip_service_archive(service),
              .view = dip_service_view(service),
              .request = request};
    dip_status status = explain(&w, response);
    dip_view_release(w.view);
    if (status)
        dip_response_fail_status(response, status);
    else
        dip_response_header(response, "Cache-Control", "no-cache");
}
