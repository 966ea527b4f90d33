/*
 * POST /encode: a GeoTIFF becomes a vector and an item "queries/<id>" that searches can name.
 *
 * The body is read in memory by GDAL's GeoTIFF driver alone, matched to the model's bands as `diptych query FILE` does, and
 * encoded by the live view's model.
 */
#define _GNU_SOURCE
#include "server/encode.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"
#include "core/when.h"
#include "front/geojson.h"
#include "front/picture.h"
#include "search/engine.h"
#include "server/item.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void dip_upload_free(void *thing)
{
    dip_upload *upload = thing;
    if (!upload) return;
    dip_typed_probe_fini(&upload->source);
    dip_free_aligned(upload->vector);
    dip_free(upload);
}

dip_status dip_upload_hold(const dip_service *service, const char *id, dip_upload **out)
{
    *out = dip_keep_hold(dip_service_uploads(service), id);
    if (*out) return DIP_OK;
    return dip_fail(DIP_ENOENT,
                    "there is no item '" DIP_SENT "/%.60s', or its time is over; send it again by "
                    "POST /encode",
                    id);
}

static size_t bytes_of(const dip_upload *upload)
{
    size_t sum = sizeof *upload + upload->dim * sizeof(float);
    for (uint32_t b = 0; b < upload->source.draft.band_count; b++) {
        const dip_plane *plane = &upload->source.draft.planes[b];
        sum += (size_t)plane->width * plane->height * dip_dtype_size(plane->dtype);
    }
    return sum;
}

static dip_status encode(dip_service *service, const dip_view *view, const dip_request *request,
                         dip_upload **out)
{
    const char *from = dip_request_query(request, "collection"),
               *bands = dip_request_query(request, "bands");
    dip_probe_options options = {.from = from, .bands = bands};
    dip_probed probed;
    double begin = dip_seconds();
    dip_upload *upload = dip_calloc(1, sizeof *upload);
    if (!upload) return DIP_ENOMEM;
    dip_status status = dip_typed_probe_init_sent(
        &upload->source, dip_service_archive(service), view->search, "upload", request->body,
        request->body_length, DIP_UPLOAD_PIXELS, &options);
    begin = dip_request_stage(request, DIP_STAGE_PARSE, begin);
    const bool read = !status;
    if (read) status = dip_probe_resolve(view->search, &upload->source.probe, -1, &probed);
    dip_request_stage(request, DIP_STAGE_ENCODE, begin);
    if (status == DIP_EFORMAT && read)
        status = DIP_EINVAL; /* a GeoTIFF it is: its pixels are no numbers */
    if (status) {
        dip_upload_free(upload); /* with the pixels, if it is the encoder that failed */
        return status;
    }
    upload->vector = probed.vector;
    probed.vector = NULL;
    dip_probed_fini(&probed);
    upload->dim = view->search->manifest->dim;
    upload->modality = upload->source.modality;
    snprintf(upload->model, sizeof upload->model, "%s", view->model);
    *out = upload;
    return DIP_OK;
}

/* The remedies as this request has them: what probes ask of a command line comes as options. */
static void name_parameters(char *line, size_t capacity)
{
    static const char *const words[][2] = {{"--bands ", "bands="}, {"--from", "collection=..."}};
    char rest[1024];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *at = strstr(line, words[i][0]);
        if (!at) continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(words[i][0]));
        snprintf(at, capacity - (size_t)(at - line), "%s%s", words[i][1], rest);
    }
}

/* "B04,B03,B02" that did not come through is the client's matter: of wrong bands 422, of what is no GeoTIFF 415. */
static void fail(dip_response *response, dip_status status)
{
    char line[1024];
    snprintf(line, sizeof line, "%s", dip_last_error());
    name_parameters(line, sizeof line);
    if (status == DIP_EFORMAT && !strstr(line, "damaged"))
        dip_response_fail(response, 415, "UnsupportedMediaType", "%s", line);
    else if (status == DIP_ENOSPC)
        dip_response_fail(response, 413, "ContentTooLarge", "%s", line);
    else if (status == DIP_EMISMATCH)
        dip_response_fail(response, 422, "Mismatch", "%s", line);
    else
        dip_response_fail_status(response, dip_fail(status, "%s", line));
}

/* A STAC item whose one asset is its picture: what was sent is not handed out again. */
static void write_item(dip_json *j, const dip_request *request, const dip_upload *upload,
                       const char *id)
{
    const dip_meta *meta = &upload->source.tile.meta;
    char when[DIP_WHEN_CAPACITY], sent[DIP_WHEN_CAPACITY];
    dip_when_format(meta->time, when, sizeof when);
    dip_when_format((int64_t)time(NULL), sent, sizeof sent);
    dip_json_object(j, "item");
    dip_json_text(j, "type", "Feature");
    dip_json_text(j, "stac_version", DIP_STAC_VERSION);
    dip_json_text(j, "id", id);
    dip_json_text(j, "collection", DIP_SENT);
    dip_geojson_footprint(j, meta);
    dip_json_object(j, "properties");
    dip_json_text(j, "datetime", *when ? when : sent);
    dip_json_text(j, "modality", upload->modality.name);
    dip_json_end(j);
    dip_json_array(j, "links");
    dip_item_link(j, "related", DIP_TYPE_GEOJSON, "similar items",
                  "%s/search?similar_to=" DIP_SENT "/%s", request->base, id);
    dip_json_end(j);
    dip_json_object(j, "assets");
    dip_json_object(j, "thumbnail");
    char *href = dip_sprintf("%s/encode/%s/thumbnail", request->base, id);
    if (href) dip_json_text(j, "href", href);
    dip_free(href);
    dip_json_text(j, "type", DIP_TYPE_PNG);
    dip_json_array(j, "roles");
    dip_json_text(j, NULL, "thumbnail");
    dip_json_end(j);
    dip_json_end(j);
    dip_json_end(j);
    dip_json_end(j);
}

static void answer(const dip_service *service, const dip_request *request, const dip_upload *upload,
                   const char *id, dip_response *response)
{
    char expires[DIP_WHEN_CAPACITY];
    dip_writer writer;
    dip_json *j = &writer.json;
    dip_status status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    dip_when_format((int64_t)time(NULL) + (int64_t)dip_keep_seconds(dip_service_uploads(service)),
                    expires, sizeof expires);
    dip_json_object(j, NULL);
    dip_json_text(j, "id", id);
    dip_json_text(j, "collection", DIP_SENT);
    dip_json_text(j, "modality", upload->modality.name);
    dip_json_text(j, "model", upload->model);
    dip_json_count(j, "dim", upload->dim);
    dip_json_array(j, "vector");
    for (size_t i = 0; i < upload->dim; i++) dip_json_real(j, NULL, (double)upload->vector[i], 7);
    dip_json_end(j);
    dip_json_text(j, "expires", expires);
    write_item(j, request, upload, id);
    dip_json_end(j);
    dip_writer_end(&writer, response, 200, DIP_TYPE_JSON);
}

void dip_serve_encode(void *context, const dip_request *request, dip_response *response)
{
    dip_service *service = context;
    const dip_view *view = dip_service_view(service);
    dip_keep *uploads = dip_service_uploads(service);
    dip_upload *upload = NULL;
    char id[DIP_KEEP_ID];
    if (!dip_view_searchable(view, response)) {
        dip_view_release(view);
        return;
    }
    dip_status status = encode(service, view, request, &upload);
    if (!status) status = dip_keep_add(uploads, upload, bytes_of(upload), id);
    upload = status ? NULL : dip_keep_hold(uploads, id);
    if (upload)
        answer(service, request, upload, id, response);
    else if (status)
        fail(response, status);
    else
        dip_response_fail(response, 503, "Busy", "other uploads took its place; send it again");
    dip_keep_release(uploads, upload);
    dip_view_release(view);
}

void dip_serve_sent_thumbnail(void *context, const dip_request *request, dip_response *response)
{
    dip_keep *uploads = dip_service_uploads(context);
    dip_upload *upload;
    uint8_t *bytes;
    size_t length;
    dip_status status = dip_upload_hold(context, request->part[0], &upload);
    if (!status) status = dip_picture_png(&upload->source.tile, &upload->modality, &bytes, &length);
    if (status)
        dip_response_fail_status(response, status);
    else
        dip_response_bytes(response, 200, DIP_TYPE_PNG, bytes, length);
    dip_keep_release(uploads, upload);
}
