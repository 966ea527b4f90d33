/*
 * diptych serve: an archive as a web service, until it is told to stop.
 *
 * Signals come to the main thread alone, which sleeps: the others have them blocked. SIGHUP opens the log anew and reads the
 * tokens again; the first SIGINT or SIGTERM stops in peace, the second at once. What systemd wants to hear goes to the socket
 * that NOTIFY_SOCKET names (sd_notify(3): one datagram, "READY=1").
 */
#define _GNU_SOURCE
#include "tools/cmd.h"

#include "core/format.h"
#include "server/metrics.h"
#include "server/service.h"
#include "tools/report.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct options {
    const char *listen, *token_file, *cors, *max_body, *access_log, *license;
    int64_t queue, connections, timeout, grace;
    double saved_hours;
    bool behind_proxy;
} options;

#define OPTIONS options
#include "core/options_rows.h"

static const dip_option table[] = {
    HEADING("Where"),
    NAMED("listen", listen, "ADDRESS", "127.0.0.1:8080",
          "host:port, :port for all addresses; port 0: any free one"),
    FLAG("behind-proxy", behind_proxy, NULL,
         "believe X-Forwarded-Proto, -Host, -Prefix and -For: links begin with what they say"),
    HEADING("Who"),
    NAMED("token-file", token_file, "FILE", NULL,
          "bearer tokens, one a line; read again at SIGHUP; default: all may ask"),
    NAMED("cors", cors, "LIST", NULL,
          "origins whose pages may read, ','-separated, or *; default: none"),
    HEADING("How much"),
    NAMED("max-body", max_body, "SIZE", "64M", "largest body of a request"),
    INT("queue", queue, 0, 100000, "128",
        "requests that may wait for a thread; more are told to come again"),
    INT("connections", connections, 1, 100000, "1000",
        "open connections; more wait until one is closed"),
    INT("timeout", timeout, 1, 3600, "15",
        "seconds after which a connection that neither sends nor takes is closed"),
    INT("grace", grace, 0, 86400, "30", "seconds that requests in flight may take when it stops"),
    HEADING("What it says"),
    NAMED("access-log", access_log, "FILE", NULL,
          "one JSON line a request; - is standard error; opened anew at SIGHUP"),
    NAMED("license", license, "SPDX", "other", "licence of the tiles, for the collections"),
    REAL("saved-hours", saved_hours, 0.01, 1e6, "24",
         "how long a saved query lives without being read"),
    {.name = NULL},
};

static void tell_systemd(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = name ? strlen(name) : 0;
    if (!length || length >= sizeof address.sun_path) return;
    memcpy(address.sun_path, name, length);
    if (*name == '@') address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

static volatile sig_atomic_t hangups;

static void on_hangup(int number)
{
    (void)number;
    hangups = 1;
}

static dip_status print_start(const dip_http *http, dip_service *service)
{
    const dip_archive *archive = dip_service_archive(service);
    const dip_view *view = dip_service_view(service);
    const char *url = dip_http_url(http);
    dip_archive_counts counts;
    char tiles[40];
    dip_status status = dip_archive_count(archive, &counts);
    if (!status) {
        dip_format_things(counts.tiles, "tile", tiles, sizeof tiles);
        printf("archive   %s, %s\n", dip_archive_path(archive), tiles);
        if (view && *view->generation)
            printf("index     generation %s, model %s\n", view->generation, view->model);
        else
            printf("index     none: no search by similarity; run diptych index\n");
        printf("page      %s/ui/\nSTAC API  %s/\nmetrics   %s/metrics\n", url, url, url);
        fflush(stdout);
    }
    dip_view_release(view);
    return status;
}

static void warn(dip_tool *tool, const dip_http *http, const options *o)
{
    if (dip_http_elsewhere(http) && !o->token_file)
        dip_tool_note(tool, "whoever reaches this machine may ask: there is no --token-file");
    if (o->cors && !strcmp(o->cors, "*") && !o->token_file)
        dip_tool_note(tool, "--cors '*' without --token-file: any web page may read the archive");
}

/* Until SIGINT or SIGTERM. `open` is the signal mask that lets them in. */
static void serve(dip_tool *tool, dip_http *http, const sigset_t *open)
{
    while (!dip_tool_cancelled()) {
        sigsuspend(open);
        if (!hangups) continue;
        hangups = 0;
        if (dip_http_reload(http))
            dip_tool_note(tool, "%s; what was before stays", dip_last_error());
        else
            dip_tool_note(tool, "access log opened anew, tokens read again");
    }
}

static dip_status run_service(dip_tool *tool, const options *o, dip_http_options *http_options,
                              dip_service *service, const sigset_t *open)
{
    dip_http *http;
    size_t route_count;
    const dip_route *routes = dip_service_routes(&route_count);
    dip_status status = dip_http_start(&http, http_options, routes, route_count, service);
    if (status) return status;
    status = print_start(http, service);
    warn(tool, http, o);
    tell_systemd("READY=1");
    if (!status) serve(tool, http, open);
    tell_systemd("STOPPING=1");
    pthread_sigmask(SIG_SETMASK, open, NULL); /* a second signal ends the process */
    dip_http_stop(http, (double)o->grace);
    if (!status) dip_tool_note(tool, "stopped");
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    dip_service *service = NULL;
    dip_metrics *metrics = NULL;
    sigset_t mine, open;
    size_t route_count;
    (void)argc;
    dip_http_options http = {.listen = o->listen,
                             .token_file = o->token_file,
                             .cors = o->cors,
                             .largest_body = (size_t)dip_bytes_parse(o->max_body),
                             .idle_seconds = (unsigned)o->timeout,
                             .connections = (unsigned)o->connections,
                             .waiting = (unsigned)o->queue,
                             .access_log = o->access_log,
                             .behind_proxy = o->behind_proxy};
    if (!http.largest_body)
        return dip_fail(DIP_EINVAL, "--max-body '%s' is no size; write it as 500k or 64M",
                        o->max_body);
    sigemptyset(&mine);
    sigaddset(&mine, SIGINT);
    sigaddset(&mine, SIGTERM);
    sigaddset(&mine, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &mine, &open); /* before any thread starts */
    struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);

    const dip_route *routes = dip_service_routes(&route_count);
    dip_status status = dip_metrics_create(&metrics, routes, route_count);
    dip_service_options service_options = {.archive = argv[0],
                                           .license = o->license,
                                           .saved_hours = o->saved_hours,
                                           .metrics = metrics};
    if (!status) status = dip_service_open(&service, &service_options);
    http.metrics = metrics;
    if (!status) status = run_service(tool, o, &http, service, &open);
    dip_service_close(service);
    dip_metrics_destroy(metrics);
    return status;
}

const dip_command dip_cmd_serve = {
    .name = "serve",
    .summary = "answer over HTTP: a STAC API with search by similarity, and a page to use it",
    .usage = "ARCHIVE",
    .text =
        "Serves the archive until SIGTERM or Ctrl-C, then finishes what it has begun. New tiles "
        "and\n"
        "new generations of the index are served as they come. docs/serve.md has all of it.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .run = run,
};
