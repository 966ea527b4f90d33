/* Requests and responses as plain structs: everything of http.h that needs no connection. */
#define _GNU_SOURCE
#include "core/clock.h"
#include "core/mem.h"
#include "server/route.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *dip_request_query(const dip_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (!strcmp(request->query[i].name, name)) return request->query[i].value;
    return NULL;
}

double dip_request_stage(const dip_request *request, dip_stage stage, double begin)
{
    double now = dip_seconds();
    if (request->stages) request->stages[stage] += now - begin;
    return now;
}

void dip_response_fini(dip_response *response)
{
    dip_free(response->owned);
    for (size_t i = 0; i < response->header_count; i++) dip_free(response->headers[i].value);
    *response = (dip_response){0};
}

void dip_response_bytes(dip_response *response, int status, const char *content_type,
                        uint8_t *bytes, size_t length)
{
    dip_free(response->owned);
    response->status = status;
    response->content_type = content_type;
    response->owned = bytes;
    response->lasting = NULL;
    response->length = length;
}

void dip_response_lasting(dip_response *response, int status, const char *content_type,
                          const uint8_t *bytes, size_t length)
{
    dip_response_bytes(response, status, content_type, NULL, length);
    response->lasting = bytes;
}

void dip_response_header(dip_response *response, const char *name, const char *value)
{
    if (response->header_count == DIP_HTTP_HEADERS) return;
    char *copy = dip_strdup(value);
    if (!copy) return;
    response->headers[response->header_count].name = name;
    response->headers[response->header_count++].value = copy;
}

/* What is said when there is no memory to say more. */
static const char short_of_memory[] =
    "{\"code\":\"OutOfMemory\",\"description\":\"out of memory; ask for less or later\"}\n";

void dip_response_fail(dip_response *response, int status, const char *code, const char *format,
                       ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    dip_response_fini(response);
    dip_writer writer;
    if (dip_writer_begin(&writer)) {
        dip_response_lasting(response, 503, "application/json", (const uint8_t *)short_of_memory,
                             sizeof short_of_memory - 1);
        return;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "code", code);
    dip_json_text(&writer.json, "description", line);
    dip_json_end(&writer.json);
    dip_writer_end(&writer, response, status, "application/json");
}

void dip_response_fail_status(dip_response *response, dip_status status)
{
    static const struct {
        int http;
        const char *code;
    } meaning[DIP_STATUS_COUNT] = {
        [DIP_OK] = {500, "InternalError"},
        [DIP_EINVAL] = {400, "InvalidParameterValue"},
        [DIP_ENOENT] = {404, "NotFound"},
        [DIP_EEXIST] = {409, "Conflict"},
        [DIP_EIO] = {500, "InternalError"},
        [DIP_ENOSPC] = {507, "InsufficientStorage"},
        [DIP_ENOMEM] = {503, "OutOfMemory"},
        [DIP_ECORRUPT] = {500, "DamagedArchive"},
        [DIP_EFORMAT] = {400, "InvalidFormat"},
        [DIP_EMISMATCH] = {400, "Mismatch"},
        [DIP_EBUSY] = {503, "Busy"},
        [DIP_ECANCEL] = {503, "Stopping"},
        [DIP_ENOTSUP] = {501, "NotSupported"},
    };
    char line[1024];
    snprintf(line, sizeof line, "%s", dip_last_error());
    dip_response_fail(response, meaning[status].http, meaning[status].code, "%s", line);
    if (meaning[status].http == 503) dip_response_header(response, "Retry-After", "1");
}

dip_status dip_writer_begin(dip_writer *writer)
{
    writer->bytes = NULL;
    writer->length = 0;
    FILE *out = open_memstream(&writer->bytes, &writer->length);
    if (!out) return dip_fail(DIP_ENOMEM, "out of memory: no stream for an answer");
    dip_json_start(&writer->json, out);
    return DIP_OK;
}

void dip_writer_end(dip_writer *writer, dip_response *response, int status,
                    const char *content_type)
{
    bool failed = ferror(writer->json.out) != 0;
    failed |= fclose(writer->json.out) != 0;
    if (!failed) {
        dip_response_bytes(response, status, content_type, (uint8_t *)writer->bytes,
                           writer->length);
        return;
    }
    free(writer->bytes);
    dip_response_lasting(response, 500, "application/json", (const uint8_t *)short_of_memory,
                         sizeof short_of_memory - 1);
}

/* Members that a test need not set. */
static void complete(dip_request *request)
{
    if (!request->base) request->base = "";
    if (!request->content_type) request->content_type = "";
    if (!request->query_string) request->query_string = "";
    if (!request->body) request->body = (const uint8_t *)"";
}

void dip_http_dispatch(const dip_route *routes, size_t route_count, void *context,
                       dip_request *request, dip_response *response)
{
    dip_path path;
    dip_query_fields fields = {.text = NULL};
    complete(request);
    const dip_route *route = dip_route_find(routes, route_count, &path, request, response);
    if (route && dip_query_parse(&fields, request, response))
        route->handler(context, request, response);
    dip_free(fields.text);
}
