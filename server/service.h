/**
 * What all handlers share: the archive, what is live of it, saved queries, counts. One a process.
 *
 * The archive stays open; what is read of it when a search opens (columns of the metadata, the live generation, the
 * model) is a `view`, immutable, counted by its users. When CURRENT names another generation, or tiles came or went, a
 * thread opens the next view beside the old one, warms it, and switches; requests that hold the old one finish with it.
 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <diptych/search.h>

#include "server/http.h"

typedef struct dip_service dip_service;

typedef struct dip_service_options {
    const char *archive;         /* path */
    const char *license;         /* of the collections: an SPDX word; NULL: "other" */
    size_t most_items;           /* a page of items, at most; 0: 10000 (k: see ask.h) */
    double saved_hours;          /* how long a saved query lives without being read; 0: 24 */
    double watch_seconds;        /* how often CURRENT is looked at; 0: 1 */
    struct dip_metrics *metrics; /* what /metrics tells (borrowed); NULL: nothing */
} dip_service_options;

/**
 * The options' texts are copied. An archive without an index serves all but similarity; a modality that is declared later
 * is served after the next opening. Expected failures: those of dip_archive_open() and dip_search_open().
 */
dip_status dip_service_open(dip_service **out, const dip_service_options *options);
/** Waits until all views are released. NULL is fine. */
void dip_service_close(dip_service *service);

const dip_archive *dip_service_archive(const dip_service *service);
/** With the defaults in place of zeros; borrowed. */
const dip_service_options *dip_service_settings(const dip_service *service);

/** A state of the archive; its parts live until dip_view_release(). */
typedef struct dip_view {
    dip_search *search; /* never NULL; without an index it browses, and a search says what to run */
    const char *generation; /* "" without an index */
    const char *model; /* id of the generation's; without an index the newest; "": there is none */
    uint64_t number;   /* counts views of this process, from 1 */
    const struct dip_extent *extents; /* one a modality (search/browse.h) */
} dip_view;

/** The live one. Any number of threads; never waits for a switch. */
/** Can it search? If not, the response says what to run (409). */
bool dip_view_searchable(const dip_view *view, dip_response *response);

const dip_view *dip_service_view(dip_service *service);
void dip_view_release(const dip_view *view);

/** May an explanation be made now? One is at a time; what began ends by dip_service_explain_end(). Any thread. */
bool dip_service_explain_begin(dip_service *service);
void dip_service_explain_end(dip_service *service);

/** How views came and went: what /metrics tells. */
typedef struct dip_service_counts {
    uint64_t views; /* that went live, the first included */
    uint64_t
        failures;   /* looks at a changed archive that could not be opened; the view before stays */
    size_t retired; /* old views that requests still hold */
} dip_service_counts;

void dip_service_count(dip_service *service, dip_service_counts *out);

/** What clients left: tiles that were sent (dip_upload of encode.h), and saved queries (saved.h). */
struct dip_keep *dip_service_uploads(const dip_service *service);
struct dip_keep *dip_service_saved(const dip_service *service);

/** All routes of the server, for dip_http_start() with the service as context. */
const dip_route *dip_service_routes(size_t *count);

/* The handlers, by file; `context` is the dip_service. */

/* stac.c: landing page, conformance, collections; items.c: items and search; api.c: the description. */
dip_handler dip_serve_landing, dip_serve_conformance, dip_serve_collections, dip_serve_collection,
    dip_serve_items, dip_serve_item, dip_serve_search, dip_serve_queryables, dip_serve_api,
    dip_serve_api_page, dip_serve_aggregate, dip_serve_aggregations;
/* assets.c: a tile as files. */
dip_handler dip_serve_thumbnail, dip_serve_visual, dip_serve_band, dip_serve_embedding;
/* encode.c, saved.c, explain.c */
dip_handler dip_serve_encode, dip_serve_sent_thumbnail, dip_serve_save_query,
    dip_serve_saved_queries, dip_serve_drop_query, dip_serve_explain;
/* page.c: files of the web page; runs.c: trainings as they go. */
dip_handler dip_serve_page, dip_serve_runs, dip_serve_run;
/* health.c */
dip_handler dip_serve_health, dip_serve_ready, dip_serve_metrics;

#endif
