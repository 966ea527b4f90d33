/*
 * HTTP over libmicrohttpd: the one file that knows it.
 *
 * One thread of the library (epoll) reads and writes all connections. An exchange is one request with its answer; it is made when
 * the request line is there and goes through
 *
 *   ARRIVING   headers and body come in; what can be refused by its headers is answered at once
 *   WAITING    whole: its connection is suspended and it stands in the queue, or a worker runs its handler
 *   ANSWERED   the worker is done and resumes the connection, and the library's thread sends the answer
 *
 * and is freed when the library says that the request is completed. Open routes are run by the library's thread itself. Only one
 * thread touches an exchange at a time: the hand-over is the queue's lock one way and MHD_resume_connection() the other way.
 */
#define _GNU_SOURCE
#include "server/http.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "server/access_log.h"
#include "server/guard.h"
#include "server/jobs.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/pace.h"
#include "server/route.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTION_MEMORY = 32 * 1024, /* request line and headers, more is 414 or 431 */
    FIRST_BODY = 64 * 1024,
    BODIES_AT_A_TIME = 8, /* of the largest size; smaller than FIRST_BODY do not count */
    BASE_CAPACITY = 1024,
    NO_ANSWER = 0
};

struct dip_http {
    struct MHD_Daemon *daemon;
    dip_listener listener;
    const dip_route *routes;
    size_t route_count;
    void *context;
    dip_metrics *metrics;
    dip_access_log *log;
    dip_jobs *jobs;
    dip_pace *pace;
    pthread_rwlock_t token_lock;
    dip_tokens *tokens;
    char *token_file, *cors;
    size_t largest_body;
    bool behind_proxy;
    size_t body_bytes; /* of all large ones; the library's thread alone */
    uint64_t id_seed;
    atomic_ullong id_count;
    atomic_uint in_flight;
    atomic_bool stopping;
    pthread_t keeper; /* ends slow connections */
    bool keeping;
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    bool keeper_end;
};

typedef enum exchange_state { ARRIVING, WAITING, ANSWERED } exchange_state;

typedef struct exchange {
    dip_job job;
    dip_http *http;
    struct MHD_Connection *connection;
    dip_paced *paced;
    exchange_state state;
    bool head, begun;
    const dip_route *route;
    dip_request request;
    dip_response response;
    uint8_t *body;
    size_t received, capacity, dropped;
    size_t sent; /* bytes of the answer's body */
    int status;  /* of the answer that was queued, or NO_ANSWER */
    double whole, seconds, stages[DIP_STAGE_COUNT];
    char method[16], content_type[96], id[72], base[BASE_CAPACITY], client[64];
    dip_path path;
    dip_query_fields fields;
    char target[]; /* path, 0 byte, query string */
} exchange;

static const char *header_of(exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* An exchange's life */

/* What a buffer takes of the room for bodies; small ones take none, so that large ones cannot keep them out. */
static size_t share_of_room(size_t capacity) { return capacity > FIRST_BODY ? capacity : 0; }

static void *begin_exchange(void *cls, const char *uri, struct MHD_Connection *connection)
{
    dip_http *http = cls;
    size_t length = strlen(uri);
    exchange *x = dip_alloc(sizeof *x + length + 2);
    if (!x) return NULL;
    memset(x, 0, offsetof(exchange, path)); /* what stands behind is filled when it is needed */
    x->fields.text = NULL;
    x->http = http;
    x->connection = connection;
    memcpy(x->target, uri, length + 1);
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
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info) x->paced = info->socket_context;
    atomic_fetch_add(&http->in_flight, 1);
    dip_metrics_add(http->metrics, DIP_GAUGE_IN_FLIGHT, 1);
    return x;
}

static void log_exchange(exchange *x)
{
    dip_http *http = x->http;
    if (x->status != NO_ANSWER)
        dip_metrics_request(http->metrics, x->route, x->method, x->status, x->seconds, x->stages);
    if (!http->log) return;
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
    dip_access_log_write(http->log, &access);
}

static void end_exchange(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    exchange *x = *con_cls;
    (void)cls;
    (void)connection;
    if (!x) return;
    dip_http *http = x->http;
    *con_cls = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->status == NO_ANSWER)
        dip_metrics_refuse(http->metrics, DIP_REFUSED_BROKEN);
    dip_pace_sends(http->pace, x->paced);
    log_exchange(x);
    http->body_bytes -= share_of_room(x->capacity);
    dip_free(x->body);
    dip_free(x->fields.text);
    dip_response_fini(&x->response);
    dip_free(x);
    dip_metrics_add(http->metrics, DIP_GAUGE_IN_FLIGHT, -1);
    atomic_fetch_sub(&http->in_flight, 1);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    dip_http *http = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? dip_pace_begin(http->pace, info->connect_fd) : NULL;
        dip_metrics_add(http->metrics, DIP_GAUGE_CONNECTIONS, 1);
    } else {
        dip_pace_end(http->pace, *context);
        *context = NULL;
        dip_metrics_add(http->metrics, DIP_GAUGE_CONNECTIONS, -1);
    }
}

/* What the headers say */

static void note_client(exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const char *forwarded = x->http->behind_proxy ? header_of(x, "X-Forwarded-For") : NULL;
    if (forwarded) { /* the last one is what our proxy saw */
        const char *comma = strrchr(forwarded, ',');
        const char *last = comma ? comma + 1 + strspn(comma + 1, " ") : forwarded;
        snprintf(x->client, sizeof x->client, "%s", last);
    } else if (info && info->client_addr->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)info->client_addr)->sin_addr, x->client,
                  sizeof x->client);
    } else if (info && info->client_addr->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)info->client_addr)->sin6_addr, x->client,
                  sizeof x->client);
    }
}

/* The client's own id if it is harmless in a log, else a new one. */
static void note_id(exchange *x)
{
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    const char *id = header_of(x, "X-Request-Id");
    if (id && *id && strlen(id) <= 64 && !id[strspn(id, may)]) {
        snprintf(x->id, sizeof x->id, "%s", id);
        return;
    }
    unsigned long long number = atomic_fetch_add(&x->http->id_count, 1);
    snprintf(x->id, sizeof x->id, "%016llx",
             (unsigned long long)dip_hash64_seed(&number, sizeof number, x->http->id_seed));
}

static void note_content_type(exchange *x)
{
    const char *type = header_of(x, "Content-Type");
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (n >= sizeof x->content_type) n = 0;
    for (size_t i = 0; i < n; i++) {
        char c = type[i];
        x->content_type[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    x->content_type[n] = '\0';
}

static bool note_base(exchange *x)
{
    dip_forwarded forwarded = {NULL, NULL, NULL};
    if (x->http->behind_proxy)
        forwarded =
            (dip_forwarded){header_of(x, "X-Forwarded-Proto"), header_of(x, "X-Forwarded-Host"),
                            header_of(x, "X-Forwarded-Prefix")};
    if (dip_base_format(x->base, sizeof x->base, x->http->listener.url, header_of(x, "Host"),
                        &forwarded))
        return true;
    dip_response_fail(&x->response, 400, "InvalidHost",
                      "the header Host, or one of X-Forwarded-*, is no host name");
    return false;
}

static bool token_allows(exchange *x)
{
    pthread_rwlock_rdlock(&x->http->token_lock);
    bool allowed = dip_tokens_allow(x->http->tokens, header_of(x, "Authorization"));
    pthread_rwlock_unlock(&x->http->token_lock);
    if (allowed) return true;
    dip_response_fail(&x->response, 401, "Unauthorized",
                      "this server wants a token; send the header 'Authorization: Bearer TOKEN'");
    dip_response_header(&x->response, "WWW-Authenticate", "Bearer realm=\"diptych\"");
    dip_metrics_refuse(x->http->metrics, DIP_REFUSED_TOKEN);
    return false;
}

static void fail_size(exchange *x)
{
    dip_response_fail(&x->response, 413, "BodyTooLarge",
                      "the body is larger than %zu bytes; the server's --max-body allows no more",
                      x->http->largest_body);
    dip_metrics_refuse(x->http->metrics, DIP_REFUSED_SIZE);
}

static bool length_fits(exchange *x)
{
    const char *text = header_of(x, "Content-Length");
    if (!text || strtoull(text, NULL, 10) <= x->http->largest_body) return true;
    fail_size(x);
    return false;
}

/* OPTIONS: the methods of a path; a browser asks before it sends what is not simple (CORS preflight). */
static void answer_options(exchange *x)
{
    dip_http *http = x->http;
    char methods[128] = "GET, HEAD, POST, DELETE, OPTIONS";
    if (strcmp(x->target, "*") != 0) {
        if (!dip_path_parse(&x->path, x->target, &x->response)) return;
        dip_route_methods(http->routes, http->route_count, &x->path, methods, sizeof methods);
    }
    if (!*methods) {
        dip_response_fail(&x->response, 404, "NotFound", "there is no %s", x->target);
        return;
    }
    dip_response_lasting(&x->response, 204, NULL, (const uint8_t *)"", 0);
    dip_response_header(&x->response, "Allow", methods);
    if (!header_of(x, "Access-Control-Request-Method")) return;
    dip_response_header(&x->response, "Access-Control-Allow-Methods", methods);
    dip_response_header(&x->response, "Access-Control-Allow-Headers",
                        "Authorization, Content-Type, X-Request-Id");
    dip_response_header(&x->response, "Access-Control-Max-Age", "600");
}

/* With the headers there. A response that is set now ends the exchange. */
static void read_headers(exchange *x, const char *method)
{
    dip_http *http = x->http;
    x->begun = true;
    x->head = !strcmp(method, "HEAD");
    snprintf(x->method, sizeof x->method, "%s", method);
    note_client(x);
    note_id(x);
    note_content_type(x);
    x->request.if_none_match = header_of(x, "If-None-Match");
    if (!note_base(x)) return;
    if (!strcmp(method, "OPTIONS")) {
        answer_options(x);
        return;
    }
    if (x->head) x->request.method = "GET";
    x->route = dip_route_find(http->routes, http->route_count, &x->path, &x->request, &x->response);
    if (!x->route || (!x->route->open && !token_allows(x)) || !length_fits(x)) return;
}

/* Bodies */

/* Room for `more` bytes and a 0 byte; false: the response says why not. */
static bool reserve(exchange *x, size_t more)
{
    dip_http *http = x->http;
    size_t need = x->received + more + 1, capacity = x->capacity ? x->capacity : FIRST_BODY;
    if (need <= x->capacity) return true;
    if (need > http->largest_body + 1) {
        fail_size(x);
        return false;
    }
    while (capacity < need) capacity *= 2;
    size_t room = http->body_bytes - share_of_room(x->capacity) + share_of_room(capacity);
    if (room > BODIES_AT_A_TIME * (http->largest_body + FIRST_BODY)) {
        dip_response_fail(&x->response, 503, "Busy", "too many large bodies at a time; try again");
        dip_response_header(&x->response, "Retry-After", "1");
        dip_metrics_refuse(http->metrics, DIP_REFUSED_SIZE);
        return false;
    }
    uint8_t *grown = dip_realloc(x->body, capacity);
    if (!grown) {
        dip_response_fail_status(&x->response, DIP_ENOMEM);
        return false;
    }
    http->body_bytes = room;
    x->body = grown;
    x->capacity = capacity;
    return true;
}

/*
 * Part of a body. The library takes no answer while a body comes in, so the rest of a refused one is passed over, for as long as
 * that is cheaper than to be rude.
 */
static enum MHD_Result take_body(exchange *x, const char *bytes, size_t length)
{
    dip_pace_more(x->http->pace, x->paced, length);
    if (x->response.status || !reserve(x, length)) {
        x->dropped += length;
        return x->dropped > x->http->largest_body + FIRST_BODY ? MHD_NO : MHD_YES;
    }
    memcpy(x->body + x->received, bytes, length);
    x->received += length;
    return MHD_YES;
}

/* Answers */

static void add(struct MHD_Response *answer, const char *name, const char *value)
{
    MHD_add_response_header(answer, name, value);
}

static void add_origin(exchange *x, struct MHD_Response *answer)
{
    const char *cors = x->http->cors, *origin = header_of(x, "Origin");
    if (!cors) return;
    if (strcmp(cors, "*") != 0) add(answer, "Vary", "Origin");
    if (!origin || !dip_origin_listed(cors, origin)) return;
    add(answer, "Access-Control-Allow-Origin", strcmp(cors, "*") ? origin : "*");
    add(answer, "Access-Control-Expose-Headers", "X-Request-Id, Server-Timing, Link, Retry-After");
}

static void add_timing(exchange *x, struct MHD_Response *answer)
{
    char text[256];
    int n = 0;
    for (int i = 0; i < DIP_STAGE_COUNT; i++)
        if (x->stages[i] > 0)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s;dur=%.3f, ",
                          dip_stage_name((dip_stage)i), 1e3 * x->stages[i]);
    snprintf(text + n, sizeof text - (size_t)n, "total;dur=%.3f", 1e3 * x->seconds);
    add(answer, "Server-Timing", text);
}

static const char *says(const dip_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (!strcmp(response->headers[i].name, name)) return response->headers[i].value;
    return NULL;
}

static void add_headers(exchange *x, struct MHD_Response *answer)
{
    const dip_response *r = &x->response;
    if (r->content_type) add(answer, "Content-Type", r->content_type);
    for (size_t i = 0; i < r->header_count; i++)
        add(answer, r->headers[i].name, r->headers[i].value);
    if (!says(r, "X-Content-Type-Options")) add(answer, "X-Content-Type-Options", "nosniff");
    if (!says(r, "Referrer-Policy")) add(answer, "Referrer-Policy", "no-referrer");
    add(answer, "X-Request-Id", x->id);
    add_timing(x, answer);
    add_origin(x, answer);
    if (atomic_load(&x->http->stopping)) add(answer, "Connection", "close");
}

/* RFC 9110, 13.1.2: does the client have what the answer's ETag names? */
static bool client_has(const exchange *x)
{
    const char *have = x->request.if_none_match, *tag = says(&x->response, "ETag");
    return have && tag && x->response.status == 200 && (!strcmp(have, "*") || strstr(have, tag));
}

static enum MHD_Result answer(exchange *x)
{
    dip_response *r = &x->response;
    if (client_has(x)) dip_response_bytes(r, 304, NULL, NULL, 0);
    dip_response_range(r, header_of(x, "Range"));
    struct MHD_Response *made =
        r->owned ? MHD_create_response_from_buffer_with_free_callback(r->length, r->owned, dip_free)
                 : MHD_create_response_from_buffer(r->length, (void *)(uintptr_t)r->lasting,
                                                   MHD_RESPMEM_PERSISTENT);
    if (!made) return MHD_NO;
    r->owned = NULL; /* the answer's now */
    x->seconds = x->whole > 0 ? dip_seconds() - x->whole : 0;
    add_headers(x, made);
    dip_pace_takes(x->http->pace, x->paced, r->length);
    enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)r->status, made);
    MHD_destroy_response(made);
    if (result == MHD_YES) {
        x->status = r->status;
        x->sent = x->head ? 0 : r->length;
    }
    return result;
}

/* Handlers */

static void handle(exchange *x)
{
    if (!dip_query_parse(&x->fields, &x->request, &x->response)) return;
    x->route->handler(x->http->context, &x->request, &x->response);
    if (!x->response.status)
        dip_response_fail(&x->response, 500, "InternalError", "%s gave no answer",
                          x->route->pattern);
}

/* In a worker. Once resumed, the exchange is the library's thread's. */
static void run_job(dip_job *job)
{
    exchange *x = (exchange *)job;
    dip_metrics_add(x->http->metrics, DIP_GAUGE_WAITING, -1);
    dip_request_stage(&x->request, DIP_STAGE_QUEUE, x->whole);
    handle(x);
    x->state = ANSWERED;
    MHD_resume_connection(x->connection);
}

static void refuse(exchange *x, dip_refusal refusal)
{
    if (refusal == DIP_REFUSED_STOP)
        dip_response_fail(&x->response, 503, "Stopping", "the server stops; ask its successor");
    else
        dip_response_fail(&x->response, 503, "Busy",
                          "more requests wait than the server takes on; try again in a second");
    dip_response_header(&x->response, "Retry-After", "1");
    dip_metrics_refuse(x->http->metrics, refusal);
}

static void drop_job(dip_job *job)
{
    exchange *x = (exchange *)job;
    dip_metrics_add(x->http->metrics, DIP_GAUGE_WAITING, -1);
    refuse(x, DIP_REFUSED_STOP);
    x->state = ANSWERED;
    MHD_resume_connection(x->connection);
}

/* The request is there to its last byte. */
static enum MHD_Result take_whole(exchange *x)
{
    dip_http *http = x->http;
    x->whole = dip_seconds();
    if (x->response.status) return answer(x);
    if (x->body) {
        x->body[x->received] = '\0';
        x->request.body = x->body;
        x->request.body_length = x->received;
    }
    if (x->route->open) {
        handle(x);
        return answer(x);
    }
    if (dip_jobs_full(http->jobs)) {
        refuse(x, DIP_REFUSED_QUEUE);
        return answer(x);
    }
    dip_pace_rest(http->pace, x->paced);
    x->state = WAITING;
    dip_metrics_add(http->metrics, DIP_GAUGE_WAITING, 1);
    MHD_suspend_connection(x->connection);
    if (!dip_jobs_post(http->jobs, &x->job)) drop_job(&x->job);
    return MHD_YES;
}

/* The library calls: with the headers, then with each part of the body, then without any, then after each resumption. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_length, void **con_cls)
{
    exchange *x = *con_cls;
    (void)cls, (void)connection, (void)url, (void)version;
    if (!x) return MHD_NO; /* no memory */
    if (x->state == ANSWERED) return answer(x);
    if (!x->begun) {
        read_headers(x, method);
        return x->response.status ? answer(x) : MHD_YES;
    }
    if (!*upload_length) return take_whole(x);
    enum MHD_Result result = take_body(x, upload, *upload_length);
    *upload_length = 0;
    return result;
}

/* Paths are decoded part by part in route.c. */
static size_t leave_escaped(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strlen(text);
}

static void on_library_line(void *cls, const char *format, va_list args)
{
    char line[512];
    (void)cls;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    dip_log(DIP_LOG_DEBUG, "server", "%s", line);
}

static void *keep_pace(void *argument)
{
    dip_http *http = argument;
    pthread_mutex_lock(&http->keeper_lock);
    while (!http->keeper_end) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&http->keeper_wake, &http->keeper_lock, &until);
        for (unsigned n = dip_pace_sweep(http->pace); n; n--)
            dip_metrics_refuse(http->metrics, DIP_REFUSED_SLOW);
    }
    pthread_mutex_unlock(&http->keeper_lock);
    return NULL;
}

/* Beginning and end */

static dip_status copy_text(char **out, const char *text)
{
    if (text && !(*out = dip_strdup(text))) return DIP_ENOMEM;
    return DIP_OK;
}

static dip_status start_daemon(dip_http *http, const dip_http_options *options)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_library_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, http->listener.fd, MHD_OPTION_NOTIFY_COMPLETED, end_exchange,
        http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_URI_LOG_CALLBACK,
        begin_exchange, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        options->connections, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds, MHD_OPTION_END);
    if (!http->daemon)
        return dip_fail(DIP_EIO,
                        "cannot start the HTTP server on %s; the limit on open files may "
                        "be too low for so many connections",
                        http->listener.url);
    return DIP_OK;
}

static dip_status start_keeper(dip_http *http)
{
    int error = pthread_create(&http->keeper, NULL, keep_pace, http);
    if (error) return dip_fail(DIP_ENOMEM, "cannot start a thread: %s", strerror(error));
    http->keeping = true;
    return DIP_OK;
}

static dip_status start_parts(dip_http *http, const dip_http_options *options)
{
    unsigned workers = options->workers ? options->workers : dip_threads();
    dip_status status = copy_text(&http->token_file, options->token_file);
    if (!status) status = copy_text(&http->cors, options->cors);
    if (!status && options->token_file)
        status = dip_tokens_read(&http->tokens, options->token_file);
    if (!status && options->access_log)
        status = dip_access_log_open(&http->log, options->access_log);
    if (!status) status = dip_pace_create(&http->pace, options->idle_seconds);
    if (!status) status = dip_listen(&http->listener, options->listen);
    if (!status) status = dip_jobs_start(&http->jobs, workers, options->waiting, run_job, drop_job);
    if (!status) status = start_daemon(http, options);
    if (!status) status = start_keeper(http);
    return status;
}

dip_status dip_http_start(dip_http **out, const dip_http_options *options, const dip_route *routes,
                          size_t route_count, void *context)
{
    dip_http *http = dip_calloc(1, sizeof *http);
    if (!http) return DIP_ENOMEM;
    http->routes = routes;
    http->route_count = route_count;
    http->context = context;
    http->metrics = options->metrics;
    http->largest_body = options->largest_body;
    http->behind_proxy = options->behind_proxy;
    http->listener.fd = -1;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    http->id_seed = dip_hash64_seed(&now, sizeof now, (uint64_t)getpid());
    pthread_rwlock_init(&http->token_lock, NULL);
    pthread_mutex_init(&http->keeper_lock, NULL);
    pthread_cond_init(&http->keeper_wake, NULL);
    dip_status status = start_parts(http, options);
    if (status) {
        dip_http_stop(http, 0);
        return status;
    }
    *out = http;
    return DIP_OK;
}

const char *dip_http_url(const dip_http *http) { return http->listener.url; }
bool dip_http_elsewhere(const dip_http *http) { return http->listener.elsewhere; }

dip_status dip_http_reload(dip_http *http)
{
    dip_tokens *tokens = NULL;
    dip_status status = dip_access_log_reopen(http->log);
    if (!http->token_file) return status;
    dip_status other = dip_tokens_read(&tokens, http->token_file);
    if (other) return other;
    pthread_rwlock_wrlock(&http->token_lock);
    dip_tokens *old = http->tokens;
    http->tokens = tokens;
    pthread_rwlock_unlock(&http->token_lock);
    dip_tokens_free(old);
    return status;
}

/* Until no request is in flight for a moment, so that one whose bytes are under way is not missed. */
static void wait_for_quiet(dip_http *http, double seconds)
{
    static const struct timespec pause = {0, 5000000};
    double until = dip_seconds() + seconds;
    for (int quiet = 0; quiet < 10 && dip_seconds() < until; nanosleep(&pause, NULL))
        quiet = atomic_load(&http->in_flight) ? 0 : quiet + 1;
}

static void stop_keeper(dip_http *http)
{
    if (!http->keeping) return;
    pthread_mutex_lock(&http->keeper_lock);
    http->keeper_end = true;
    pthread_cond_signal(&http->keeper_wake);
    pthread_mutex_unlock(&http->keeper_lock);
    pthread_join(http->keeper, NULL);
}

static void stop_daemon(dip_http *http, double seconds)
{
    atomic_store(&http->stopping, true);
    dip_metrics_add(http->metrics, DIP_GAUGE_STOPPING, 1);
    MHD_quiesce_daemon(http->daemon);
    close(http->listener.fd);
    http->listener.fd = -1;
    wait_for_quiet(http, seconds);
    dip_jobs_stop(http->jobs); /* from here on nothing is suspended, as the library wants it */
    wait_for_quiet(http, 0.2);
    MHD_stop_daemon(http->daemon);
    dip_metrics_add(http->metrics, DIP_GAUGE_STOPPING, -1);
}

void dip_http_stop(dip_http *http, double seconds)
{
    if (!http) return;
    if (http->daemon) stop_daemon(http, seconds);
    stop_keeper(http);
    dip_jobs_destroy(http->jobs);
    dip_pace_destroy(http->pace);
    dip_access_log_close(http->log);
    dip_tokens_free(http->tokens);
    if (http->listener.fd >= 0) close(http->listener.fd);
    pthread_cond_destroy(&http->keeper_wake);
    pthread_mutex_destroy(&http->keeper_lock);
    pthread_rwlock_destroy(&http->token_lock);
    dip_free(http->token_file);
    dip_free(http->cors);
    dip_free(http);
}
