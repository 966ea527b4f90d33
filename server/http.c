/*
 * HTTP over libmicrohttpd: the one file that knows it.
 *
 * The library runs without a thread of its own: a crew (crew.h) waits at its epoll instance, and whichever thread is woken gives
 * it a turn under the crew's lock, in which it reads, writes and calls back. An exchange (exchange.h) is made when a request line
 * is there, and goes through
 *
 *   arriving   headers and body come in; what can be refused by its headers is answered at once
 *   waiting    whole: its connection is suspended, and it is posted to the crew as a job, which runs its handler
 *   handled    the job is done: the connection is resumed, and the turn that follows sends the answer
 *
 * and is closed when the library says that the request is completed. Open routes are run in the turn itself. So all but handlers
 * happens under the one lock: no call into the library needs another, and nothing has to be woken to be told of a resumption.
 */
#define _GNU_SOURCE
#include "server/http.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "server/exchange.h"
#include "server/listen.h"
#include "server/pace.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Of a connection. More than DIP_HEAD_MOST, so that what is too long is refused by us and not by the library. */
    CONNECTION_MEMORY = 3 * DIP_HEAD_MOST,
    RUNS = 8 /* of the library in a turn, at most */
};

struct dip_http {
    dip_desk desk;
    struct MHD_Daemon *daemon;
    dip_crew *crew;
    dip_pace *pace;
    dip_listener listener;
    char *token_file;
    double sweep_at; /* when slow connections are looked for next */
};

/* Connections */

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    dip_http *http = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? dip_pace_begin(http->pace, info->connect_fd) : NULL;
        dip_metrics_add(http->desk.metrics, DIP_GAUGE_CONNECTIONS, 1);
    } else {
        dip_pace_end(http->pace, *context);
        *context = NULL;
        dip_metrics_add(http->desk.metrics, DIP_GAUGE_CONNECTIONS, -1);
    }
}

static void print_client(struct MHD_Connection *connection, char client[DIP_CLIENT_CAPACITY])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)info->client_addr)->sin_addr, client,
                  DIP_CLIENT_CAPACITY);
    else if (info && info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)info->client_addr)->sin6_addr, client,
                  DIP_CLIENT_CAPACITY);
}

/* Requests */

static void *open_exchange(void *cls, const char *uri, struct MHD_Connection *connection)
{
    dip_http *http = cls;
    dip_exchange *x = dip_exchange_open(&http->desk, uri);
    if (!x) return NULL;
    x->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info) x->paced = info->socket_context;
    return x;
}

static void close_exchange(void *cls, struct MHD_Connection *connection, void **con_cls,
                           enum MHD_RequestTerminationCode code)
{
    dip_http *http = cls;
    dip_exchange *x = *con_cls;
    (void)connection, (void)code;
    if (!x) return;
    *con_cls = NULL;
    dip_pace_sends(http->pace, x->paced);
    dip_exchange_close(x);
}

static void add_header(void *context, const char *name, const char *value)
{
    MHD_add_response_header(context, name, value);
}

static struct MHD_Response *wrap_body(dip_response *r)
{
    if (!r->owned)
        return MHD_create_response_from_buffer(r->length, (void *)(uintptr_t)r->lasting,
                                               MHD_RESPMEM_PERSISTENT);
    uint8_t *bytes = r->owned;
    r->owned = NULL; /* the library's now */
    return MHD_create_response_from_buffer_with_free_callback(r->length, bytes, dip_free);
}

static enum MHD_Result answer(dip_http *http, dip_exchange *x)
{
    dip_exchange_seal(x);
    size_t length = x->response.length;
    struct MHD_Response *made = wrap_body(&x->response);
    if (!made) return MHD_NO;
    dip_exchange_headers(x, add_header, made);
    dip_pace_takes(http->pace, x->paced, length);
    enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->response.status, made);
    MHD_destroy_response(made);
    if (result == MHD_YES) {
        x->status = x->response.status;
        x->sent = x->head ? 0 : length;
    }
    return result;
}

static enum MHD_Result take_head(dip_http *http, dip_exchange *x, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    for (int i = 0; i < DIP_HEADER_COUNT; i++)
        x->header[i] =
            MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, dip_header_names[i]);
    print_client(x->connection, x->client);
    dip_exchange_head(x, method, info ? info->header_size : 0);
    return x->response.status ? answer(http, x) : MHD_YES;
}

static enum MHD_Result take_whole(dip_http *http, dip_exchange *x)
{
    dip_exchange_whole(x);
    if (x->response.status) return answer(http, x);
    if (x->route->open) {
        dip_exchange_run(x);
        return answer(http, x);
    }
    if (!dip_crew_post(http->crew, &x->job)) {
        dip_exchange_refuse(x, DIP_REFUSED_QUEUE);
        return answer(http, x);
    }
    dip_pace_rest(http->pace, x->paced);
    dip_metrics_add(http->desk.metrics, DIP_GAUGE_WAITING, 1);
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

/* The library calls: with the headers, then with each part of the body, then without any, then after a resumption. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_length, void **con_cls)
{
    dip_http *http = cls;
    dip_exchange *x = *con_cls;
    (void)connection, (void)url, (void)version;
    if (!x) return MHD_NO; /* no memory */
    if (x->handled) return answer(http, x);
    if (!x->begun) return take_head(http, x, method);
    if (!*upload_length) return take_whole(http, x);
    dip_pace_more(http->pace, x->paced, *upload_length);
    bool going = dip_exchange_body(x, upload, *upload_length);
    *upload_length = 0;
    return going ? MHD_YES : MHD_NO;
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

/* The crew's work */

/*
 * To send an answer takes the library four runs: the connection is resumed, the answer sent, the next request looked for, and the
 * connection watched again, of which the last one says nothing beforehand. So it is run until nothing was at hand twice, but not
 * for ever, so that a fast sender does not keep others from the lock. True: there is more at hand.
 */
static bool turn(void *context)
{
    dip_http *http = context;
    MHD_UNSIGNED_LONG_LONG wait;
    bool more = false;
    for (int runs = 0, calm = 0; runs < RUNS && calm < 2; runs++) {
        MHD_run(http->daemon);
        calm = MHD_get_timeout(http->daemon, &wait) == MHD_YES && wait == 0 ? 0 : calm + 1;
        more = !calm;
    }
    double now = dip_seconds();
    if (now >= http->sweep_at) {
        http->sweep_at = now + 1;
        for (unsigned n = dip_pace_sweep(http->pace); n; n--)
            dip_metrics_refuse(http->desk.metrics, DIP_REFUSED_SLOW);
    }
    return more;
}

static void run(void *context, dip_job *job)
{
    dip_exchange *x = (dip_exchange *)job;
    (void)context;
    dip_metrics_add(x->desk->metrics, DIP_GAUGE_WAITING, -1);
    dip_request_stage(&x->request, DIP_STAGE_QUEUE, x->whole_at);
    dip_exchange_run(x);
}

static void done(void *context, dip_job *job, bool dropped)
{
    dip_exchange *x = (dip_exchange *)job;
    (void)context;
    if (dropped) {
        dip_metrics_add(x->desk->metrics, DIP_GAUGE_WAITING, -1);
        dip_exchange_refuse(x, DIP_REFUSED_STOP);
    }
    x->handled = true;
    MHD_resume_connection(x->connection);
}

/* Beginning and end */

static dip_status copy_text(char **out, const char *text)
{
    if (text && !(*out = dip_strdup(text))) return DIP_ENOMEM;
    return DIP_OK;
}

static dip_status start_daemon(dip_http *http, const dip_http_options *options)
{
    /* Suspension brings a channel of the library's own for waking it, MHD_USE_ITC, which one lock makes needless. */
    const unsigned flags =
        MHD_USE_EPOLL | (MHD_ALLOW_SUSPEND_RESUME & ~MHD_USE_ITC) | MHD_USE_ERROR_LOG;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_library_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, http->listener.fd, MHD_OPTION_NOTIFY_COMPLETED, close_exchange,
        http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_URI_LOG_CALLBACK,
        open_exchange, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        options->connections, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds, MHD_OPTION_END);
    if (!http->daemon)
        return dip_fail(DIP_EIO,
                        "cannot start the HTTP server on %s; the limit on open files may "
                        "be too low for so many connections",
                        http->listener.url);
    return DIP_OK;
}

static dip_status start_crew(dip_http *http, const dip_http_options *options)
{
    const dip_crew_work work = {.turn = turn, .run = run, .done = done, .context = http};
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info) return dip_fail(DIP_ENOTSUP, "this libmicrohttpd was built without epoll");
    return dip_crew_start(&http->crew, &work, info->epoll_fd,
                          options->workers ? options->workers : dip_threads(), options->waiting);
}

static dip_status start_parts(dip_http *http, const dip_http_options *options)
{
    dip_status status = copy_text(&http->token_file, options->token_file);
    if (!status) status = copy_text(&http->desk.cors, options->cors);
    if (!status && options->token_file)
        status = dip_tokens_read(&http->desk.tokens, options->token_file);
    if (!status && options->access_log)
        status = dip_access_log_open(&http->desk.log, options->access_log);
    if (!status) status = dip_pace_create(&http->pace, options->idle_seconds);
    if (!status) status = dip_listen(&http->listener, options->listen);
    if (!status) status = start_daemon(http, options);
    if (!status) status = start_crew(http, options);
    return status;
}

dip_status dip_http_start(dip_http **out, const dip_http_options *options, const dip_route *routes,
                          size_t route_count, void *context)
{
    dip_http *http = dip_calloc(1, sizeof *http);
    if (!http) return DIP_ENOMEM;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    http->listener.fd = -1;
    http->desk = (dip_desk){.routes = routes,
                            .route_count = route_count,
                            .context = context,
                            .metrics = options->metrics,
                            .url = http->listener.url,
                            .largest_body = options->largest_body,
                            .behind_proxy = options->behind_proxy,
                            .id_seed = dip_hash64_seed(&now, sizeof now, (uint64_t)getpid())};
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
    dip_status status = dip_access_log_reopen(http->desk.log);
    if (!http->token_file) return status;
    dip_status other = dip_tokens_read(&tokens, http->token_file);
    if (other) return other;
    dip_crew_enter(http->crew);
    dip_tokens *old = http->desk.tokens;
    http->desk.tokens = tokens;
    dip_crew_leave(http->crew);
    dip_tokens_free(old);
    return status;
}

/* Until no request is in flight for a moment, so that one whose bytes are under way is not missed. */
static void wait_for_quiet(dip_http *http, double seconds)
{
    static const struct timespec pause = {0, 5000000};
    double until = dip_seconds() + seconds;
    for (int quiet = 0; quiet < 10 && dip_seconds() < until; nanosleep(&pause, NULL))
        quiet = atomic_load(&http->desk.in_flight) ? 0 : quiet + 1;
}

static void stop_crew(dip_http *http, double seconds)
{
    dip_crew_enter(http->crew);
    http->desk.stopping = true;
    MHD_quiesce_daemon(http->daemon);
    dip_crew_leave(http->crew);
    dip_metrics_add(http->desk.metrics, DIP_GAUGE_STOPPING, 1);
    close(http->listener.fd);
    http->listener.fd = -1;
    wait_for_quiet(http, seconds);
    dip_crew_close(http->crew); /* from here on nothing is suspended, as the library wants it */
    wait_for_quiet(http, 0.2);
    dip_crew_destroy(http->crew);
    dip_metrics_add(http->desk.metrics, DIP_GAUGE_STOPPING, -1);
}

void dip_http_stop(dip_http *http, double seconds)
{
    if (!http) return;
    if (http->crew) stop_crew(http, seconds);
    if (http->daemon) MHD_stop_daemon(http->daemon);
    dip_pace_destroy(http->pace);
    dip_access_log_close(http->desk.log);
    dip_tokens_free(http->desk.tokens);
    if (http->listener.fd >= 0) close(http->listener.fd);
    dip_free(http->token_file);
    dip_free(http->desk.cors);
    dip_free(http);
}
