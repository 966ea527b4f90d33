/* What comes in; see exchange.h. */
#define _GNU_SOURCE
#include "server/exchange.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODIES_AT_A_TIME = 8 /* of the largest size; smaller than DIP_BODY_FIRST do not count */
};

const char *const dip_header_names[DIP_HEADER_COUNT] = {
    [DIP_HEADER_AUTHORIZATION] = "Authorization",
    [DIP_HEADER_CONTENT_LENGTH] = "Content-Length",
    [DIP_HEADER_CONTENT_TYPE] = "Content-Type",
    [DIP_HEADER_FORWARDED_FOR] = "X-Forwarded-For",
    [DIP_HEADER_FORWARDED_HOST] = "X-Forwarded-Host",
    [DIP_HEADER_FORWARDED_PREFIX] = "X-Forwarded-Prefix",
    [DIP_HEADER_FORWARDED_PROTO] = "X-Forwarded-Proto",
    [DIP_HEADER_HOST] = "Host",
    [DIP_HEADER_IF_NONE_MATCH] = "If-None-Match",
    [DIP_HEADER_ORIGIN] = "Origin",
    [DIP_HEADER_RANGE] = "Range",
    [DIP_HEADER_REQUEST_ID] = "X-Request-Id",
    [DIP_HEADER_REQUEST_METHOD] = "Access-Control-Request-Method",
};

dip_exchange *dip_exchange_open(dip_desk *desk, const char *target)
{
    size_t length = strlen(target);
    dip_exchange *x = dip_alloc(sizeof *x + length + 2);
    if (!x) return NULL;
    memset(x, 0, offsetof(dip_exchange, base)); /* what stands behind is filled when it is needed */
    x->base[0] = '\0';
    x->fields.text = NULL;
    x->desk = desk;
    memcpy(x->target, target, length + 1);
    x->target[length + 1] = '\0';
    char *question = strchr(x->target, '?');
    if (question) *question = '\0';
    x->request = (dip_request){.path = x->target,
                               .query_string = question ? question + 1 : x->target + length,
                               .method = x->method,
                               .base = x->base,
                               .content_type = x->content_type,
                               .body = (const uint8_t *)"",
                               .stages = x->stages};
    atomic_fetch_add(&desk->in_flight, 1);
    dip_metrics_add(desk->metrics, DIP_GAUGE_IN_FLIGHT, 1);
    return x;
}

/* What the headers say */

/* Behind a proxy it is the last one that the proxy saw. */
static void note_client(dip_exchange *x)
{
    const char *forwarded = x->header[DIP_HEADER_FORWARDED_FOR];
    if (!x->desk->behind_proxy || !forwarded) return;
    const char *comma = strrchr(forwarded, ',');
    const char *last = comma ? comma + 1 + strspn(comma + 1, " ") : forwarded;
    snprintf(x->client, sizeof x->client, "%s", last);
}

/* The client's own id if it is harmless in a log, else a new one. */
static void note_id(dip_exchange *x)
{
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    const char *id = x->header[DIP_HEADER_REQUEST_ID];
    if (id && *id && strlen(id) <= 64 && !id[strspn(id, may)]) {
        snprintf(x->id, sizeof x->id, "%s", id);
        return;
    }
    uint64_t number = x->desk->id_count++;
    snprintf(x->id, sizeof x->id, "%016llx",
             (unsigned long long)dip_hash64_seed(&number, sizeof number, x->desk->id_seed));
}

static void note_content_type(dip_exchange *x)
{
    const char *type = x->header[DIP_HEADER_CONTENT_TYPE];
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (n >= sizeof x->content_type) n = 0;
    for (size_t i = 0; i < n; i++) {
        char c = type[i];
        x->content_type[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    x->content_type[n] = '\0';
}

static bool note_base(dip_exchange *x)
{
    dip_forwarded forwarded = {NULL, NULL, NULL};
    if (x->desk->behind_proxy)
        forwarded = (dip_forwarded){x->header[DIP_HEADER_FORWARDED_PROTO],
                                    x->header[DIP_HEADER_FORWARDED_HOST],
                                    x->header[DIP_HEADER_FORWARDED_PREFIX]};
    if (dip_base_format(x->base, sizeof x->base, x->desk->url, x->header[DIP_HEADER_HOST],
                        &forwarded))
        return true;
    dip_response_fail(&x->response, 400, "InvalidHost",
                      "the header Host, or one of X-Forwarded-*, is no host name");
    return false;
}

static bool head_fits(dip_exchange *x, size_t size)
{
    if (size <= DIP_HEAD_MOST) return true;
    dip_response_fail(&x->response, 431, "HeadersTooLarge",
                      "request line and headers: %zu bytes; at most %d are read", size,
                      DIP_HEAD_MOST);
    return false;
}

static bool token_allows(dip_exchange *x)
{
    if (dip_tokens_allow(x->desk->tokens, x->header[DIP_HEADER_AUTHORIZATION])) return true;
    dip_response_fail(&x->response, 401, "Unauthorized",
                      "this server wants a token; send the header 'Authorization: Bearer TOKEN'");
    dip_response_header(&x->response, "WWW-Authenticate", "Bearer realm=\"diptych\"");
    dip_metrics_refuse(x->desk->metrics, DIP_REFUSED_TOKEN);
    return false;
}

static void fail_size(dip_exchange *x)
{
    dip_response_fail(&x->response, 413, "BodyTooLarge",
                      "the body is larger than %zu bytes; the server's --max-body allows no more",
                      x->desk->largest_body);
    dip_metrics_refuse(x->desk->metrics, DIP_REFUSED_SIZE);
}

static bool length_fits(dip_exchange *x)
{
    const char *text = x->header[DIP_HEADER_CONTENT_LENGTH];
    if (!text || strtoull(text, NULL, 10) <= x->desk->largest_body) return true;
    fail_size(x);
    return false;
}

/* OPTIONS: the methods of a path; a browser asks before it sends what is not simple (CORS preflight). */
static void answer_options(dip_exchange *x)
{
    const dip_desk *desk = x->desk;
    char methods[128] = "GET, HEAD, POST, DELETE, OPTIONS";
    if (strcmp(x->target, "*") != 0) {
        if (!dip_path_parse(&x->path, x->target, &x->response)) return;
        dip_route_methods(desk->routes, desk->route_count, &x->path, methods, sizeof methods);
    }
    if (!*methods) {
        dip_response_fail(&x->response, 404, "NotFound", "there is no %s", x->target);
        return;
    }
    dip_response_lasting(&x->response, 204, NULL, (const uint8_t *)"", 0);
    dip_response_header(&x->response, "Allow", methods);
    if (!x->header[DIP_HEADER_REQUEST_METHOD]) return;
    dip_response_header(&x->response, "Access-Control-Allow-Methods", methods);
    dip_response_header(&x->response, "Access-Control-Allow-Headers",
                        "Authorization, Content-Type, X-Request-Id");
    dip_response_header(&x->response, "Access-Control-Max-Age", "600");
}

void dip_exchange_head(dip_exchange *x, const char *method, size_t size)
{
    const dip_desk *desk = x->desk;
    x->begun = true;
    x->head = !strcmp(method, "HEAD");
    snprintf(x->method, sizeof x->method, "%s", method);
    note_client(x);
    note_id(x);
    note_content_type(x);
    x->request.if_none_match = x->header[DIP_HEADER_IF_NONE_MATCH];
    if (!head_fits(x, size) || !note_base(x)) return;
    if (!strcmp(method, "OPTIONS")) {
        answer_options(x);
        return;
    }
    if (x->head) x->request.method = "GET";
    x->route = dip_route_find(desk->routes, desk->route_count, &x->path, &x->request, &x->response);
    if (!x->route || (!x->route->open && !token_allows(x)) || !length_fits(x)) return;
}

/* Bodies */

size_t dip_body_room(size_t capacity) { return capacity > DIP_BODY_FIRST ? capacity : 0; }

/* Room for `more` bytes and a 0 byte; false: the response says why not. */
static bool reserve(dip_exchange *x, size_t more)
{
    dip_desk *desk = x->desk;
    size_t need = x->received + more + 1, capacity = x->capacity ? x->capacity : DIP_BODY_FIRST;
    if (need <= x->capacity) return true;
    if (need > desk->largest_body + 1) {
        fail_size(x);
        return false;
    }
    while (capacity < need) capacity *= 2;
    size_t room = desk->body_bytes - dip_body_room(x->capacity) + dip_body_room(capacity);
    if (room > BODIES_AT_A_TIME * (desk->largest_body + DIP_BODY_FIRST)) {
        dip_response_fail(&x->response, 503, "Busy", "too many large bodies at a time; try again");
        dip_response_header(&x->response, "Retry-After", "1");
        dip_metrics_refuse(desk->metrics, DIP_REFUSED_SIZE);
        return false;
    }
    uint8_t *grown = dip_realloc(x->body, capacity);
    if (!grown) {
        dip_response_fail_status(&x->response, DIP_ENOMEM);
        return false;
    }
    desk->body_bytes = room;
    x->body = grown;
    x->capacity = capacity;
    return true;
}

bool dip_exchange_body(dip_exchange *x, const void *bytes, size_t length)
{
    if (x->response.status || !reserve(x, length)) {
        x->dropped += length;
        return x->dropped <= x->desk->largest_body + DIP_BODY_FIRST;
    }
    memcpy(x->body + x->received, bytes, length);
    x->received += length;
    return true;
}

void dip_exchange_whole(dip_exchange *x)
{
    x->whole_at = dip_seconds();
    if (!x->body) return;
    x->body[x->received] = '\0';
    x->request.body = x->body;
    x->request.body_length = x->received;
}

void dip_exchange_run(dip_exchange *x)
{
    if (!dip_query_parse(&x->fields, &x->request, &x->response)) return;
    x->route->handler(x->desk->context, &x->request, &x->response);
    if (!x->response.status)
        dip_response_fail(&x->response, 500, "InternalError", "%s gave no answer",
                          x->route->pattern);
}
