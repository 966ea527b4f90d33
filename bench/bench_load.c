/*
 * Overload: more clients than the server takes. wrk's percentiles mix answers with refusals, and it asks again at once; here
 * accepted requests are timed alone, and who is refused comes again when the answer says so, as a client does.
 *
 * One thread and one epoll instance; each connection asks, reads the answer, and asks the next.
 */
#define _GNU_SOURCE
#include "bench/support.h"

#include "core/clock.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_load PORT CONNECTIONS SECONDS IDS\n"
    "\n"
    "POST /search by stored tile to 127.0.0.1, 10 hits, from CONNECTIONS connections at a time, each with one request under way.\n"
    "IDS: a file of \"modality/name\", one a line. A connection that gets 503 asks again after its Retry-After. Prints one JSON\n"
    "object: accepted requests a second and their latencies, and how many were refused and broken.\n";
/* clang-format on */

enum { ROOM = 1 << 16, NAME = 200, EVENTS = 256 };

typedef struct client {
    int fd;
    double asked, again; /* when it asked; when it asks again, 0: an answer is awaited */
    size_t got;
    char answer[ROOM];
} client;

typedef struct load {
    int epoll;
    uint16_t port;
    char (*ids)[NAME];
    size_t id_count, next_id;
    client *clients;
    size_t client_count;
    double *took; /* of accepted requests */
    size_t accepted, capacity, refused, broken;
} load;

static void must(bool fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_ids(load *l, const char *path)
{
    FILE *in = fopen(path, "r");
    size_t capacity = 0;
    must(in, path);
    for (;;) {
        must(!dip_array_reserve((void **)&l->ids, &capacity, l->id_count + 1, sizeof *l->ids),
             "ids");
        if (!fgets(l->ids[l->id_count], NAME, in)) break;
        l->ids[l->id_count][strcspn(l->ids[l->id_count], "\n")] = 0;
        l->id_count++;
    }
    fclose(in);
    must(l->id_count, "no ids");
}

static void open_connection(load *l, client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(l->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(c->fd >= 0 && !connect(c->fd, (struct sockaddr *)&to, sizeof to), "connect");
    must(!fcntl(c->fd, F_SETFL, O_NONBLOCK), "fcntl");
    must(!epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event), "epoll");
}

static void ask(load *l, client *c)
{
    char body[NAME + 64], text[NAME + 256];
    int length = snprintf(body, sizeof body, "{\"similarity\":{\"item\":\"%s\",\"k\":10}}",
                          l->ids[l->next_id++ % l->id_count]);
    int size =
        snprintf(text, sizeof text,
                 "POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 length, body);
    c->got = 0;
    c->again = 0;
    c->asked = dip_seconds();
    if (send(c->fd, text, (size_t)size, MSG_NOSIGNAL) == size) return;
    l->broken++;
    close(c->fd);
    open_connection(l, c);
    c->again = c->asked; /* at the next look */
}

/* Of a header, its number; 0 if it is not there. */
static size_t number_of(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static void take_answer(load *l, client *c, double now)
{
    int status = atoi(c->answer + strlen("HTTP/1.1 "));
    if (status == 503) {
        l->refused++;
        c->again = now + (double)number_of(c->answer, "\r\nRetry-After: ");
        return;
    }
    if (status != 200)
        l->broken++;
    else if (l->accepted < l->capacity)
        l->took[l->accepted++] = now - c->asked;
    ask(l, c);
}

static void on_bytes(load *l, client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, ROOM - 1 - c->got, 0);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        l->broken += !c->again;
        close(c->fd);
        open_connection(l, c);
        ask(l, c);
        return;
    }
    c->got += (size_t)n;
    c->answer[c->got] = 0;
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (end &&
        c->got >= (size_t)(end + 4 - c->answer) + number_of(c->answer, "\r\nContent-Length: "))
        take_answer(l, c, dip_seconds());
}

static void ask_again(load *l, double now)
{
    for (size_t i = 0; i < l->client_count; i++)
        if (l->clients[i].again > 0 && l->clients[i].again <= now) ask(l, &l->clients[i]);
}

static void run(load *l, double seconds)
{
    struct epoll_event events[EVENTS];
    double begin = dip_seconds(), look = begin;
    for (size_t i = 0; i < l->client_count; i++) {
        open_connection(l, &l->clients[i]);
        ask(l, &l->clients[i]);
    }
    for (double now = begin; now < begin + seconds; now = dip_seconds()) {
        int n = epoll_wait(l->epoll, events, EVENTS, 10);
        for (int i = 0; i < n; i++) on_bytes(l, events[i].data.ptr);
        if (now < look) continue;
        ask_again(l, now);
        look = now + 0.01;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    bench_help(argc, argv, usage);
    if (argc != 5) return bench_wrong_words(usage);
    double seconds = atof(argv[3]);
    load l = {.epoll = epoll_create1(EPOLL_CLOEXEC),
              .port = (uint16_t)atoi(argv[1]),
              .client_count = strtoul(argv[2], NULL, 10),
              .capacity = (size_t)(seconds * 100000) + 1};
    l.clients = dip_calloc(l.client_count, sizeof *l.clients);
    l.took = dip_alloc(l.capacity * sizeof *l.took);
    must(l.epoll >= 0 && l.clients && l.took && l.client_count, "start");
    read_ids(&l, argv[4]);
    run(&l, seconds);
    must(l.accepted, "nothing was accepted");
    qsort(l.took, l.accepted, sizeof *l.took, by_value);
    printf("{\"connections\": %zu, \"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f, "
           "\"refused\": %zu, \"broken\": %zu}\n",
           l.client_count, (double)l.accepted / seconds, 1e6 * l.took[l.accepted / 2],
           1e6 * l.took[l.accepted - 1 - l.accepted / 100], l.refused, l.broken);
    for (size_t i = 0; i < l.client_count; i++) close(l.clients[i].fd);
    close(l.epoll);
    dip_free(l.clients);
    dip_free(l.took);
    dip_free(l.ids);
    return 0;
}
