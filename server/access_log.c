/* Lines of the access log; see access_log.h. Each goes out by one write, so that lines of several processes do not mix. */
#define _GNU_SOURCE
#include "server/access_log.h"

#include "core/log.h"
#include "core/mem.h"
#include "front/json.h"
#include "server/metrics.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

struct dip_access_log {
    pthread_mutex_t lock;
    FILE *out;
    bool failed; /* the last line could not be written */
    char path[];
};

static FILE *open_file(const char *path)
{
    if (!strcmp(path, "-")) return stderr;
    FILE *out = fopen(path, "ae");
    if (!out)
        dip_fail_errno("append to", path);
    else
        setvbuf(out, NULL, _IOFBF, 1 << 16);
    return out;
}

static void close_file(FILE *out)
{
    if (out && out != stderr) fclose(out);
}

dip_status dip_access_log_open(dip_access_log **out, const char *path)
{
    dip_access_log *log = dip_calloc(1, sizeof *log + strlen(path) + 1);
    if (!log) return DIP_ENOMEM;
    memcpy(log->path, path, strlen(path) + 1);
    if (!(log->out = open_file(path))) {
        dip_free(log);
        return DIP_EIO;
    }
    pthread_mutex_init(&log->lock, NULL);
    *out = log;
    return DIP_OK;
}

dip_status dip_access_log_reopen(dip_access_log *log)
{
    if (!log) return DIP_OK;
    FILE *out = open_file(log->path);
    if (!out) return DIP_EIO;
    pthread_mutex_lock(&log->lock);
    close_file(log->out);
    log->out = out;
    log->failed = false;
    pthread_mutex_unlock(&log->lock);
    return DIP_OK;
}

void dip_access_log_close(dip_access_log *log)
{
    if (!log) return;
    close_file(log->out);
    pthread_mutex_destroy(&log->lock);
    dip_free(log);
}

/* RFC 3339, UTC, milliseconds. */
static void format_now(char *out, size_t capacity)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t n = strftime(out, capacity, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, capacity - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void write_line(FILE *out, const dip_access *a)
{
    dip_json j;
    char now[48];
    format_now(now, sizeof now);
    dip_json_start(&j, out);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "time", now);
    dip_json_text(&j, "client", a->client);
    dip_json_text(&j, "method", a->method);
    dip_json_text(&j, "path", a->path);
    if (*a->query) dip_json_text(&j, "query", a->query);
    dip_json_text(&j, "route", a->route);
    dip_json_whole(&j, "status", a->status);
    dip_json_count(&j, "received", a->received);
    dip_json_count(&j, "bytes", a->sent);
    dip_json_real(&j, "seconds", a->seconds, 6);
    dip_json_object(&j, "stages");
    for (int i = 0; i < DIP_STAGE_COUNT; i++)
        if (a->stages[i] > 0) dip_json_real(&j, dip_stage_name((dip_stage)i), a->stages[i], 6);
    dip_json_end(&j);
    dip_json_text(&j, "id", a->id);
    dip_json_end(&j);
}

void dip_access_log_write(dip_access_log *log, const dip_access *access)
{
    if (!log) return;
    pthread_mutex_lock(&log->lock);
    write_line(log->out, access);
    bool failed = fflush(log->out) != 0, first = failed && !log->failed;
    log->failed = failed;
    if (failed) clearerr(log->out);
    pthread_mutex_unlock(&log->lock);
    if (first)
        dip_log(DIP_LOG_WARN, "server", "the access log '%s' cannot be written; serving goes on",
                log->path);
}
