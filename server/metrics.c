/*
 * Counters and histograms; see metrics.h. Series are (route, method, status) in one growing list that is searched: a server
 * has some dozens. The route behind the last stands for paths that no route has.
 */
#define _GNU_SOURCE
#include "server/metrics.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
enum { BOUNDS = sizeof bounds / sizeof *bounds, METHOD_CAPACITY = 8 };

typedef struct histogram {
    uint64_t buckets[BOUNDS + 1];
    double sum;
} histogram;

typedef struct series {
    size_t route;
    char method[METHOD_CAPACITY];
    int status;
    uint64_t count;
} series;

struct dip_metrics {
    pthread_mutex_t lock;
    const dip_route *routes;
    size_t route_count;
    histogram *by_route; /* (route_count + 1) */
    histogram by_stage[DIP_STAGE_COUNT];
    series *all;
    size_t count, capacity;
    uint64_t refused[DIP_REFUSED_COUNT];
    atomic_int gauges[DIP_GAUGE_COUNT];
    double started;
    int64_t started_at; /* seconds since 1970 */
};

dip_status dip_metrics_create(dip_metrics **out, const dip_route *routes, size_t route_count)
{
    dip_metrics *m = dip_calloc(1, sizeof *m);
    if (!m) return DIP_ENOMEM;
    if (!(m->by_route = dip_calloc(route_count + 1, sizeof *m->by_route))) {
        dip_free(m);
        return DIP_ENOMEM;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->routes = routes;
    m->route_count = route_count;
    m->started = dip_seconds();
    m->started_at = (int64_t)time(NULL);
    *out = m;
    return DIP_OK;
}

void dip_metrics_destroy(dip_metrics *m)
{
    if (!m) return;
    pthread_mutex_destroy(&m->lock);
    dip_free(m->by_route);
    dip_free(m->all);
    dip_free(m);
}

const char *dip_stage_name(dip_stage stage)
{
    static const char *const names[] = {"queue", "parse", "encode", "search", "render"};
    return names[stage];
}

static void observe(histogram *h, double seconds)
{
    size_t i = 0;
    while (i < BOUNDS && seconds > bounds[i]) i++;
    h->buckets[i]++;
    h->sum += seconds;
}

/* Methods come from outside: those that nobody has are one. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(method, known[i])) return known[i];
    return "other";
}

static series *find_series(dip_metrics *m, size_t route, const char *method, int status)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->all[i].route == route && m->all[i].status == status &&
            !strcmp(m->all[i].method, method))
            return &m->all[i];
    if (dip_array_reserve((void **)&m->all, &m->capacity, m->count + 1, sizeof *m->all))
        return NULL;
    series *s = &m->all[m->count++];
    *s = (series){.route = route, .status = status};
    snprintf(s->method, sizeof s->method, "%s", method);
    return s;
}

void dip_metrics_request(dip_metrics *m, const dip_route *route, const char *method, int status,
                         double seconds, const double *stages)
{
    if (!m) return;
    size_t number = route ? (size_t)(route - m->routes) : m->route_count;
    pthread_mutex_lock(&m->lock);
    series *s = find_series(m, number, known_method(method), status);
    if (s) s->count++;
    observe(&m->by_route[number], seconds);
    for (int i = 0; i < DIP_STAGE_COUNT; i++)
        if (stages[i] > 0) observe(&m->by_stage[i], stages[i]);
    pthread_mutex_unlock(&m->lock);
}

void dip_metrics_refuse(dip_metrics *m, dip_refusal refusal)
{
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->refused[refusal]++;
    pthread_mutex_unlock(&m->lock);
}

void dip_metrics_add(dip_metrics *m, dip_gauge gauge, int step)
{
    if (m) atomic_fetch_add(&m->gauges[gauge], step);
}

int dip_metrics_gauge(const dip_metrics *m, dip_gauge gauge)
{
    return m ? atomic_load(&((dip_metrics *)(uintptr_t)m)->gauges[gauge]) : 0;
}

void dip_metrics_label(FILE *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else {
            if (*value == '"' || *value == '\\') fputc('\\', out);
            fputc(*value, out);
        }
    }
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_histogram(FILE *out, const char *name, const char *label, const char *value,
                            const histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        char bound[32] = "+Inf";
        if (i < BOUNDS) snprintf(bound, sizeof bound, "%g", bounds[i]);
        count += h->buckets[i];
        fprintf(out, "%s_bucket{%s=\"", name, label);
        dip_metrics_label(out, value);
        fprintf(out, "\",le=\"%s\"} %llu\n", bound, (unsigned long long)count);
    }
    fprintf(out, "%s_sum{%s=\"", name, label);
    dip_metrics_label(out, value);
    fprintf(out, "\"} %.9g\n%s_count{%s=\"", h->sum, name, label);
    dip_metrics_label(out, value);
    fprintf(out, "\"} %llu\n", (unsigned long long)count);
}

static bool filled(const histogram *h)
{
    for (size_t i = 0; i <= BOUNDS; i++)
        if (h->buckets[i]) return true;
    return false;
}

static const char *pattern(const dip_metrics *m, size_t route)
{
    return route < m->route_count ? m->routes[route].pattern : "none";
}

/* A pattern with GET and POST is two routes; a series of a histogram is one: they are added. */
static void write_routes(const dip_metrics *m, FILE *out)
{
    for (size_t i = 0; i <= m->route_count; i++) {
        bool earlier = false;
        histogram sum = m->by_route[i];
        for (size_t j = 0; j <= m->route_count; j++) {
            if (j == i || strcmp(pattern(m, i), pattern(m, j)) != 0) continue;
            earlier |= j < i;
            for (size_t b = 0; b <= BOUNDS; b++) sum.buckets[b] += m->by_route[j].buckets[b];
            sum.sum += m->by_route[j].sum;
        }
        if (!earlier && filled(&sum))
            write_histogram(out, "dip_http_request_seconds", "route", pattern(m, i), &sum);
    }
}

static void write_counters(const dip_metrics *m, FILE *out)
{
    static const char *const reasons[] = {"queue", "token", "size", "slow", "broken", "stopping"};
    head(out, "dip_http_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i < m->count; i++) {
        const series *s = &m->all[i];
        fputs("dip_http_requests_total{route=\"", out);
        dip_metrics_label(out, pattern(m, s->route));
        fprintf(out, "\",method=\"%s\",status=\"%d\"} %llu\n", s->method, s->status,
                (unsigned long long)s->count);
    }
    head(out, "dip_http_refused_total", "counter", "Requests and connections turned away.");
    for (int i = 0; i < DIP_REFUSED_COUNT; i++)
        fprintf(out, "dip_http_refused_total{reason=\"%s\"} %llu\n", reasons[i],
                (unsigned long long)m->refused[i]);
}

static void write_gauges(dip_metrics *m, FILE *out)
{
    static const struct {
        const char *name, *help;
    } gauges[DIP_GAUGE_COUNT] = {
        {"dip_http_connections", "Open connections."},
        {"dip_http_in_flight", "Requests whose answer is not sent yet."},
        {"dip_http_waiting", "Requests that wait for a thread."},
        {"dip_http_stopping", "1 while the server stops."},
    };
    for (int i = 0; i < DIP_GAUGE_COUNT; i++) {
        head(out, gauges[i].name, "gauge", gauges[i].help);
        fprintf(out, "%s %d\n", gauges[i].name, dip_metrics_gauge(m, (dip_gauge)i));
    }
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    while (readdir(folder)) n++;
    closedir(folder);
    return n > 3 ? n - 3 : 0; /* without ".", ".." and the folder itself */
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(const dip_metrics *m, FILE *out)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    head(out, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
    fprintf(out, "process_cpu_seconds_total %.3f\n", cpu);
    head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    fprintf(out, "process_resident_memory_bytes %llu\n", (unsigned long long)resident_bytes());
    head(out, "process_open_fds", "gauge", "Open files and sockets.");
    fprintf(out, "process_open_fds %u\n", count_files());
    head(out, "process_start_time_seconds", "gauge", "When the server started, since 1970.");
    fprintf(out, "process_start_time_seconds %lld\n", (long long)m->started_at);
    head(out, "dip_uptime_seconds", "gauge", "How long the server runs.");
    fprintf(out, "dip_uptime_seconds %.3f\n", dip_seconds() - m->started);
}

void dip_metrics_write(dip_metrics *m, FILE *out)
{
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    write_counters(m, out);
    head(out, "dip_http_request_seconds", "histogram",
         "From a request's last byte to its answer, by route.");
    write_routes(m, out);
    head(out, "dip_stage_seconds", "histogram", "What requests' time went into.");
    for (int i = 0; i < DIP_STAGE_COUNT; i++)
        write_histogram(out, "dip_stage_seconds", "stage", dip_stage_name((dip_stage)i),
                        &m->by_stage[i]);
    pthread_mutex_unlock(&m->lock);
    write_gauges(m, out);
    write_process(m, out);
}
