/*
 * The archive and its live view; see service.h.
 *
 * A view is opened by the thread that opens the service, later ones by the watcher. Every `watch_seconds` the watcher
 * reads a stamp of the archive: the name of the live generation (of the newest model, if there is none), the number of tiles and
 * the id of the next one, which together change whenever tiles come, go or are replaced. With another stamp than the live view's it opens the next view
 * beside it, asks it a few searches so that its pages are in memory, and puts it in place. Whoever holds the old view
 * keeps it; the watcher closes it once nobody does. If the next view cannot be opened, the old one stays.
 *
 * One lock guards the pointer to the live view and the counts of users; it is never held while something is opened,
 * closed or searched.
 */
#define _GNU_SOURCE
#include "server/service.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/status.h"
#include "ingest/raster.h"
#include "search/browse.h"
#include "search/engine.h"
#include "search/models.h"
#include "server/encode.h"
#include "server/saved.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    WARMING = 16, /* searches of each modality before a view goes live */
    PATIENCE =
        10, /* while tiles come, this many times what opening takes passes between two openings */
    MOST_ITEMS = 10000
};

/* What tells one state of the archive from another. */
typedef struct stamp {
    char generation[64]; /* "": there is no index */
    char model[128];     /* without an index: the newest */
    uint64_t tiles, next_tile;
} stamp;

typedef struct live_view {
    dip_view view; /* first: what users hold */
    dip_service *service;
    stamp stamp;
    dip_extent *extents;
    size_t extent_count;
    unsigned users;
    struct live_view *next; /* of those that are retired */
} live_view;

struct dip_service {
    dip_service_options options; /* with what it is by default */
    char *path, *license;
    dip_archive *archive;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a view has lost its last user, or the service closes */
    live_view *live, *retired;
    dip_service_counts counts;
    dip_keep *uploads, *saved;
    bool closing, watching;
    atomic_flag explaining;
    pthread_t watcher;
    /* of the watcher alone */
    stamp tried;
    double patient_until;
    char complaint[512]; /* logged last */
};

/* ---- views ---- */

static dip_status read_stamp(const dip_archive *archive, stamp *out)
{
    char *current = NULL, *model = NULL;
    dip_archive_counts counts;
    *out = (stamp){.generation = ""};
    const char *path = dip_archive_path(archive);
    dip_status status = dip_generation_current(&current, path);
    if (!status) snprintf(out->generation, sizeof out->generation, "%s", current);
    if (status == DIP_ENOENT) status = dip_models_choose(path, NULL, &model);
    if (model) snprintf(out->model, sizeof out->model, "%s", model);
    if (status == DIP_ENOENT) {
        dip_error_clear();
        status = DIP_OK;
    }
    dip_free(current);
    dip_free(model);
    if (!status) status = dip_archive_count(archive, &counts);
    if (status) return status;
    out->tiles = counts.tiles;
    out->next_tile = counts.next_tile;
    return DIP_OK;
}

static bool same(const stamp *a, const stamp *b)
{
    return !strcmp(a->generation, b->generation) && !strcmp(a->model, b->model) &&
           a->tiles == b->tiles && a->next_tile == b->next_tile;
}

/* Asks what brings index, columns and stored embeddings into memory. That a tile cannot be asked with is no matter. */
static void warm(dip_search *search)
{
    const dip_columns *c = &search->columns;
    size_t step = c->count / WARMING + 1;
    dip_query query = DIP_QUERY_INIT;
    query.to = "all";
    if (dip_search_check_index(search)) return;
    dip_search_model(search);
    for (size_t row = 0; row < c->count; row += step) {
        dip_probe probe = {.kind = DIP_PROBE_TILE, .id = c->ids[row]};
        dip_result result;
        if (!dip_search_run(search, &probe, &query, &result)) dip_result_fini(&result);
    }
}

static void close_view(live_view *view)
{
    for (size_t i = 0; i < view->extent_count; i++) dip_extent_fini(&view->extents[i]);
    dip_free(view->extents);
    dip_search_close(view->view.search);
    dip_free(view);
}

/* Each is a walk over all rows: too much for every request that wants one. */
static dip_status measure_extents(live_view *view, size_t modalities)
{
    dip_status status = DIP_OK;
    view->extents = dip_calloc(modalities + 1, sizeof *view->extents);
    if (!view->extents) return DIP_ENOMEM;
    for (uint32_t m = 0; m < modalities && !status; m++) {
        status = dip_extent_measure(view->view.search, m, &view->extents[m]);
        view->extent_count += !status;
    }
    view->view.extents = view->extents;
    return status;
}

static dip_status open_view(dip_service *service, const stamp *of, live_view **out)
{
    dip_search_options browse = {.browse = true};
    live_view *view = dip_calloc(1, sizeof *view);
    if (!view) return DIP_ENOMEM;
    view->service = service;
    view->stamp = *of;
    dip_status status = dip_search_open(&view->view.search, service->archive, &browse);
    if (!status) status = measure_extents(view, dip_archive_modality_count(service->archive));
    if (status) {
        close_view(view);
        return status;
    }
    const dip_manifest *manifest = view->view.search->manifest;
    view->view.generation = manifest->generation;
    view->view.model = manifest->model;
    warm(view->view.search);
    dip_error_clear();
    *out = view;
    return DIP_OK;
}

/* Makes a view the live one; the one before retires. */
static void put_live(dip_service *service, live_view *view)
{
    pthread_mutex_lock(&service->lock);
    live_view *before = service->live;
    view->view.number = ++service->counts.views;
    service->live = view;
    if (before) {
        before->next = service->retired;
        service->retired = before;
    }
    pthread_mutex_unlock(&service->lock);
}

const dip_view *dip_service_view(dip_service *service)
{
    pthread_mutex_lock(&service->lock);
    live_view *view = service->live;
    view->users++;
    pthread_mutex_unlock(&service->lock);
    return &view->view;
}

void dip_view_release(const dip_view *view)
{
    if (!view) return;
    live_view *held = (live_view *)view; /* its first member */
    dip_service *service = held->service;
    pthread_mutex_lock(&service->lock);
    if (!--held->users && held != service->live) pthread_cond_signal(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

bool dip_view_searchable(const dip_view *view, dip_response *response)
{
    if (*view->generation) return true;
    dip_response_fail(
        response, 409, "NoIndex",
        "the archive has no index, and so no model to search with; run diptych index");
    return false;
}

/* Takes a retired view that nobody uses off the list; NULL if there is none. With the lock held. */
static live_view *take_unused(dip_service *service)
{
    for (live_view **at = &service->retired; *at; at = &(*at)->next) {
        live_view *view = *at;
        if (view->users) continue;
        *at = view->next;
        return view;
    }
    return NULL;
}

/* ---- watching ---- */

/* Says what is wrong once, however often it is met. */
static void complain(dip_service *service)
{
    pthread_mutex_lock(&service->lock);
    service->counts.failures++;
    pthread_mutex_unlock(&service->lock);
    if (!strcmp(service->complaint, dip_last_error())) return;
    snprintf(service->complaint, sizeof service->complaint, "%s", dip_last_error());
    dip_log(DIP_LOG_WARN, "serve", "the archive has changed, but cannot be opened as it is now: %s",
            service->complaint);
}

static void look(dip_service *service)
{
    stamp now;
    live_view *next;
    double begin = dip_seconds();
    if (read_stamp(service->archive, &now)) {
        complain(service);
        return;
    }
    /* Only this thread changes what is live. */
    if (same(&now, &service->live->stamp)) return;
    bool other_index = strcmp(now.generation, service->tried.generation) != 0;
    if (!other_index && begin < service->patient_until) return;
    service->tried = now;
    dip_status status = open_view(service, &now, &next);
    service->patient_until = dip_seconds() + PATIENCE * (dip_seconds() - begin);
    if (status) {
        complain(service);
        return;
    }
    service->complaint[0] = '\0';
    put_live(service, next);
    dip_log(DIP_LOG_INFO, "serve", "generation=%s tiles=%llu view=%llu",
            *now.generation ? now.generation : "none", (unsigned long long)now.tiles,
            (unsigned long long)next->view.number);
}

static struct timespec after(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double whole = (double)t.tv_sec + (double)t.tv_nsec * 1e-9 + seconds;
    t.tv_sec = (time_t)whole;
    t.tv_nsec = (long)((whole - (double)t.tv_sec) * 1e9);
    return t;
}

static void *watch(void *argument)
{
    dip_service *service = argument;
    struct timespec until = after(service->options.watch_seconds);
    pthread_mutex_lock(&service->lock);
    while (!service->closing) {
        live_view *unused = take_unused(service);
        if (!unused && !pthread_cond_timedwait(&service->changed, &service->lock, &until)) continue;
        if (service->closing && !unused) break;
        pthread_mutex_unlock(&service->lock);
        if (unused) {
            close_view(unused);
        } else {
            look(service);
            until = after(service->options.watch_seconds);
        }
        pthread_mutex_lock(&service->lock);
    }
    pthread_mutex_unlock(&service->lock);
    return NULL;
}

/* ---- the service ---- */

static dip_status settle(dip_service *service, const dip_service_options *options)
{
    dip_service_options *o = &service->options;
    *o = *options;
    o->archive = service->path = dip_strdup(options->archive);
    o->license = service->license = dip_strdup(options->license ? options->license : "other");
    if (!o->most_items) o->most_items = MOST_ITEMS;
    if (!(o->saved_hours > 0)) o->saved_hours = 24;
    if (!(o->watch_seconds > 0)) o->watch_seconds = 1;
    return service->path && service->license ? DIP_OK : DIP_ENOMEM;
}

static dip_status create_keeps(dip_service *service)
{
    double seconds = service->options.saved_hours * 3600;
    dip_keep_options uploads = {.prefix = "t-",
                                .most = DIP_UPLOAD_MOST,
                                .most_bytes = DIP_UPLOAD_BYTES,
                                .seconds = seconds,
                                .free_thing = dip_upload_free};
    dip_keep_options saved = {.prefix = "q-",
                              .most = DIP_SAVED_MOST,
                              .most_bytes = DIP_SAVED_BYTES,
                              .seconds = seconds,
                              .free_thing = dip_saved_free};
    dip_status status = dip_keep_create(&service->uploads, &uploads);
    return status ? status : dip_keep_create(&service->saved, &saved);
}

static dip_status open_first(dip_service *service)
{
    live_view *view;
    dip_status status = read_stamp(service->archive, &service->tried);
    if (!status) status = open_view(service, &service->tried, &view);
    if (status) return status;
    put_live(service, view);
    if (pthread_create(&service->watcher, NULL, watch, service))
        return dip_fail(DIP_ENOMEM, "cannot start a thread that watches the archive");
    service->watching = true;
    return DIP_OK;
}

dip_status dip_service_open(dip_service **out, const dip_service_options *options)
{
    pthread_condattr_t monotonic;
    dip_service *service = dip_calloc(1, sizeof *service);
    if (!service) return DIP_ENOMEM;
    pthread_mutex_init(&service->lock, NULL);
    atomic_flag_clear(&service->explaining);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&service->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    dip_raster_init(); /* takes long once; not of the first request that wants a picture */
    dip_status status = settle(service, options);
    if (!status) status = create_keeps(service);
    if (!status) status = dip_archive_open(&service->archive, service->path, DIP_ARCHIVE_READ);
    if (!status) status = open_first(service);
    if (status)
        dip_service_close(service);
    else
        *out = service;
    return status;
}

/* Waits until nobody holds a view, and closes them all. */
static void close_views(dip_service *service)
{
    pthread_mutex_lock(&service->lock);
    if (service->live) service->live->next = service->retired;
    if (service->live) service->retired = service->live;
    service->live = NULL;
    while (service->retired) {
        live_view *unused = take_unused(service);
        if (!unused) {
            pthread_cond_wait(&service->changed, &service->lock);
            continue;
        }
        pthread_mutex_unlock(&service->lock);
        close_view(unused);
        pthread_mutex_lock(&service->lock);
    }
    pthread_mutex_unlock(&service->lock);
}

void dip_service_close(dip_service *service)
{
    if (!service) return;
    pthread_mutex_lock(&service->lock);
    service->closing = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    if (service->watching) pthread_join(service->watcher, NULL);
    close_views(service);
    dip_keep_destroy(service->uploads);
    dip_keep_destroy(service->saved);
    dip_archive_close(service->archive);
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->lock);
    dip_free(service->path);
    dip_free(service->license);
    dip_free(service);
}

const dip_archive *dip_service_archive(const dip_service *service) { return service->archive; }

const dip_service_options *dip_service_settings(const dip_service *service)
{
    return &service->options;
}

void dip_service_count(dip_service *service, dip_service_counts *out)
{
    pthread_mutex_lock(&service->lock);
    *out = service->counts;
    out->retired = 0;
    for (const live_view *view = service->retired; view; view = view->next) out->retired++;
    pthread_mutex_unlock(&service->lock);
}

bool dip_service_explain_begin(dip_service *service)
{
    return !atomic_flag_test_and_set(&service->explaining);
}

void dip_service_explain_end(dip_service *service) { atomic_flag_clear(&service->explaining); }

dip_keep *dip_service_uploads(const dip_service *service) { return service->uploads; }

dip_keep *dip_service_saved(const dip_service *service) { return service->saved; }
