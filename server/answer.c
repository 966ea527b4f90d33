/* What goes out; see exchange.h. */
#define _GNU_SOURCE
#include "server/exchange.h"

#include "core/clock.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

typedef struct sink {
    void (*add)(void *context, const char *name, const char *value);
    void *context;
} sink;

static void add(const sink *to, const char *name, const char *value)
{
    to->add(to->context, name, value);
}

static void add_origin(const dip_exchange *x, const sink *to)
{
    const char *cors = x->desk->cors, *origin = x->header[DIP_HEADER_ORIGIN];
    if (!cors) return;
    if (strcmp(cors, "*") != 0) add(to, "Vary", "Origin");
    if (!origin || !dip_origin_listed(cors, origin)) return;
    add(to, "Access-Control-Allow-Origin", strcmp(cors, "*") ? origin : "*");
    add(to, "Access-Control-Expose-Headers", "X-Request-Id, Server-Timing, Link, Retry-After");
}

static void add_timing(const dip_exchange *x, const sink *to)
{
    char text[256];
    int n = 0;
    for (int i = 0; i < DIP_STAGE_COUNT; i++)
        if (x->stages[i] > 0)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s;dur=%.3f, ",
                          dip_stage_name((dip_stage)i), 1e3 * x->stages[i]);
    snprintf(text + n, sizeof text - (size_t)n, "total;dur=%.3f", 1e3 * x->seconds);
    add(to, "Server-Timing", text);
}

static const char *says(const dip_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (!strcmp(response->headers[i].name, name)) return response->headers[i].value;
    return NULL;
}

void dip_exchange_headers(const dip_exchange *x,
                          void (*add_header)(void *context, const char *name, const char *value),
                          void *context)
{
    const dip_response *r = &x->response;
    const sink to = {add_header, context};
    if (r->content_type) add(&to, "Content-Type", r->content_type);
    for (size_t i = 0; i < r->header_count; i++) add(&to, r->headers[i].name, r->headers[i].value);
    if (!says(r, "X-Content-Type-Options")) add(&to, "X-Content-Type-Options", "nosniff");
    if (!says(r, "Referrer-Policy")) add(&to, "Referrer-Policy", "no-referrer");
    add(&to, "X-Request-Id", x->id);
    add_timing(x, &to);
    add_origin(x, &to);
    if (x->desk->stopping) add(&to, "Connection", "close");
}

/* RFC 9110, 13.1.2: does the client have what the answer's ETag names? */
static bool client_has(const dip_exchange *x)
{
    const char *have = x->request.if_none_match, *tag = says(&x->response, "ETag");
    return have && tag && x->response.status == 200 && (!strcmp(have, "*") || strstr(have, tag));
}

void dip_exchange_seal(dip_exchange *x)
{
    if (client_has(x)) dip_response_bytes(&x->response, 304, NULL, NULL, 0);
    dip_response_range(&x->response, x->header[DIP_HEADER_RANGE]);
    x->seconds = x->whole_at > 0 ? dip_seconds() - x->whole_at : 0;
}

void dip_exchange_refuse(dip_exchange *x, dip_refusal refusal)
{
    if (refusal == DIP_REFUSED_STOP)
        dip_response_fail(&x->response, 503, "Stopping", "the server stops; ask its successor");
    else
        dip_response_fail(&x->response, 503, "Busy",
                          "more requests wait than the server takes on; try again in a second");
    dip_response_header(&x->response, "Retry-After", "1");
    dip_metrics_refuse(x->desk->metrics, refusal);
}

void dip_exchange_close(dip_exchange *x)
{
    dip_desk *desk = x->desk;
    dip_access access = {.client = x->client,
                         .method = x->method,
                         .path = x->target,
                         .query = x->request.query_string,
                         .route = x->route ? x->route->pattern : "",
                         .id = x->id,
                         .status = x->status,
                         .received = x->received,
                         .sent = x->sent,
                         .seconds = x->seconds,
                         .stages = x->stages};
    if (x->status)
        dip_metrics_request(desk->metrics, x->route, x->method, x->status, x->seconds, x->stages);
    else
        dip_metrics_refuse(desk->metrics, DIP_REFUSED_BROKEN);
    dip_access_log_write(desk->log, &access);
    desk->body_bytes -= dip_body_room(x->capacity);
    dip_free(x->body);
    dip_free(x->fields.text);
    dip_response_fini(&x->response);
    dip_free(x);
    dip_metrics_add(desk->metrics, DIP_GAUGE_IN_FLIGHT, -1);
    atomic_fetch_sub(&desk->in_flight, 1);
}
