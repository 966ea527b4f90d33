/* Saved queries; see saved.h. A query holds its ask as JSON and the hits of one view, under a lock of its own. */
#define _GNU_SOURCE
#include "server/saved.h"

#include "core/mem.h"
#include "core/status.h"
#include "core/when.h"
#include "server/item.h"
#include "server/similar.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

typedef struct saved {
    pthread_mutex_t lock;
    char *text;    /* the ask */
    uint64_t view; /* number of the one that the hits are of */
    dip_saved_hits hits;
} saved;

void dip_saved_hits_fini(dip_saved_hits *hits)
{
    dip_free(hits->ids);
    dip_free(hits->scores);
    dip_free(hits->percentiles);
    *hits = (dip_saved_hits){0};
}

void dip_saved_free(void *thing)
{
    saved *s = thing;
    if (!s) return;
    pthread_mutex_destroy(&s->lock);
    dip_free(s->text);
    dip_saved_hits_fini(&s->hits);
    dip_free(s);
}

/* ---- hits ---- */

static dip_status hits_alloc(dip_saved_hits *out, size_t count)
{
    *out = (dip_saved_hits){.count = count,
                            .ids = dip_alloc((count + 1) * sizeof *out->ids),
                            .scores = dip_alloc((count + 1) * sizeof *out->scores),
                            .percentiles = dip_alloc((count + 1) * sizeof *out->percentiles),
                            .west = NAN,
                            .south = NAN,
                            .east = NAN,
                            .north = NAN,
                            .first = DIP_NO_TIME,
                            .last = DIP_NO_TIME};
    if (out->ids && out->scores && out->percentiles) return DIP_OK;
    dip_saved_hits_fini(out);
    return DIP_ENOMEM;
}

static void widen(dip_saved_hits *hits, const dip_meta *meta)
{
    if (isfinite(meta->west) && meta->west <= meta->east) {
        hits->west = fmin(hits->west, meta->west); /* fmin() passes a NAN over */
        hits->east = fmax(hits->east, meta->east);
    } else if (isfinite(meta->west)) { /* across the antimeridian */
        hits->west = -180;
        hits->east = 180;
    }
    hits->south = fmin(hits->south, meta->south);
    hits->north = fmax(hits->north, meta->north);
    if (meta->time == DIP_NO_TIME) return;
    if (hits->first == DIP_NO_TIME || meta->time < hits->first) hits->first = meta->time;
    if (hits->last == DIP_NO_TIME || meta->time > hits->last) hits->last = meta->time;
}

static dip_status hits_of(dip_saved_hits *out, const dip_result *result)
{
    dip_status status = hits_alloc(out, result->count);
    for (size_t i = 0; i < result->count && !status; i++) {
        out->ids[i] = result->hits[i].id;
        out->scores[i] = result->hits[i].score;
        out->percentiles[i] = result->hits[i].percentile;
        widen(out, result->hits[i].meta);
    }
    return status;
}

static dip_status hits_copy(dip_saved_hits *out, const dip_saved_hits *from)
{
    dip_status status = hits_alloc(out, from->count);
    if (status) return status;
    dip_saved_hits copy = *from;
    memcpy(out->ids, from->ids, from->count * sizeof *out->ids);
    memcpy(out->scores, from->scores, from->count * sizeof *out->scores);
    memcpy(out->percentiles, from->percentiles, from->count * sizeof *out->percentiles);
    copy.ids = out->ids;
    copy.scores = out->scores;
    copy.percentiles = out->percentiles;
    *out = copy;
    return DIP_OK;
}

static dip_status run(dip_service *service, const dip_view *view, const dip_request *request,
                      const dip_ask *ask, dip_saved_hits *out)
{
    dip_result result;
    dip_status status = dip_similar_run(service, view, request, ask, &result);
    if (status) return status;
    status = hits_of(out, &result);
    dip_result_fini(&result);
    return status;
}

/* ---- reading ---- */

/* With the query's lock held. Failing is no matter: the hits stay, and the next view is another chance. */
static void refresh(dip_service *service, const dip_view *view, saved *s)
{
    const dip_request nobody = {0};
    dip_ask ask;
    dip_saved_hits hits;
    if (s->view >= view->number) return;
    s->view = view->number;
    if (dip_ask_parse_json(&ask, s->text, DIP_ASK_LIMIT, DIP_ASK_MOST_HITS)) return;
    if (!run(service, view, &nobody, &ask, &hits)) {
        dip_saved_hits_fini(&s->hits);
        s->hits = hits;
    }
    dip_ask_fini(&ask);
}

static dip_status not_there(const char *id)
{
    return dip_fail(DIP_ENOENT,
                    "there is no saved query '%.60s', or its time is over; save it "
                    "again by POST /queries",
                    id);
}

/* `view` NULL: as it is. Takes over what is held. */
static dip_status read_held(dip_service *service, const dip_view *view, saved *s,
                            dip_saved_hits *out)
{
    pthread_mutex_lock(&s->lock);
    if (view) refresh(service, view, s);
    dip_status status = hits_copy(out, &s->hits);
    pthread_mutex_unlock(&s->lock);
    dip_keep_release(dip_service_saved(service), s);
    return status;
}

dip_status dip_saved_read(dip_service *service, const dip_view *view, const char *id,
                          dip_saved_hits *out)
{
    saved *s = dip_keep_hold(dip_service_saved(service), id);
    return s ? read_held(service, view, s, out) : not_there(id);
}

dip_status dip_saved_look(dip_service *service, const char *id, dip_saved_hits *out)
{
    saved *s = dip_keep_look(dip_service_saved(service), id);
    return s ? read_held(service, NULL, s, out) : not_there(id);
}

dip_status dip_saved_list(dip_service *service, char (**ids)[DIP_KEEP_ID], size_t *count)
{
    return dip_keep_list(dip_service_saved(service), ids, count);
}

/* ---- handlers ---- */

static dip_status save(dip_service *service, const dip_view *view, const dip_request *request,
                       const dip_ask *ask, char id[DIP_KEEP_ID])
{
    saved *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    s->view = view->number;
    s->text = dip_strdup(ask->text);
    dip_status status = s->text ? run(service, view, request, ask, &s->hits) : DIP_ENOMEM;
    if (status) {
        dip_saved_free(s);
        return status;
    }
    size_t bytes = sizeof *s + strlen(s->text) + s->hits.count * 16;
    return dip_keep_add(dip_service_saved(service), s, bytes, id);
}

static void write_query(dip_json *j, const dip_service *service, const dip_request *request,
                        const char *id, bool now)
{
    char expires[DIP_WHEN_CAPACITY];
    dip_json_object(j, NULL);
    dip_json_text(j, "id", id);
    dip_json_text(j, "collection", id);
    if (now) {
        dip_when_format((int64_t)time(NULL) + (int64_t)dip_keep_seconds(dip_service_saved(service)),
                        expires, sizeof expires);
        dip_json_text(j, "expires", expires);
    }
    dip_json_array(j, "links");
    dip_item_link(j, "collection", DIP_TYPE_JSON, NULL, "%s/collections/%s", request->base, id);
    dip_item_link(j, "items", DIP_TYPE_GEOJSON, NULL, "%s/collections/%s/items", request->base, id);
    dip_json_end(j);
    dip_json_end(j);
}

static void answer(dip_service *service, const dip_request *request, const char *id,
                   dip_response *response)
{
    dip_writer writer;
    dip_status status = dip_writer_begin(&writer);
    char *place = dip_sprintf("%s/collections/%s", request->base, id);
    if (status || !place) {
        dip_response_fail_status(response, DIP_ENOMEM);
    } else {
        write_query(&writer.json, service, request, id, true);
        dip_writer_end(&writer, response, 201, DIP_TYPE_JSON);
        dip_response_header(response, "Location", place);
    }
    dip_free(place);
}

void dip_serve_save_query(void *context, const dip_request *request, dip_response *response)
{
    dip_service *service = context;
    const dip_view *view = dip_service_view(service);
    char id[DIP_KEEP_ID];
    dip_ask ask = {0};
    dip_status status = dip_ask_parse(&ask, request, DIP_ASK_LIMIT, DIP_ASK_MOST_HITS);
    if (!status && !ask.similar)
        status = dip_fail(DIP_EINVAL, "similarity: a saved query needs one; filters alone are a "
                                      "link to /search");
    if (!status && dip_view_searchable(view, response)) {
        status = save(service, view, request, &ask, id);
        if (!status) answer(service, request, id, response);
    }
    if (status) dip_response_fail_status(response, status);
    dip_ask_fini(&ask);
    dip_view_release(view);
}

void dip_serve_saved_queries(void *context, const dip_request *request, dip_response *response)
{
    char(*ids)[DIP_KEEP_ID] = NULL;
    size_t count = 0;
    dip_writer writer;
    dip_status status = dip_saved_list(context, &ids, &count);
    if (!status) status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
    } else {
        dip_json_object(&writer.json, NULL);
        dip_json_array(&writer.json, "queries");
        for (size_t i = 0; i < count; i++)
            write_query(&writer.json, context, request, ids[i], false);
        dip_json_end(&writer.json);
        dip_json_end(&writer.json);
        dip_writer_end(&writer, response, 200, DIP_TYPE_JSON);
    }
    dip_free(ids);
}

void dip_serve_drop_query(void *context, const dip_request *request, dip_response *response)
{
    if (dip_keep_drop(dip_service_saved(context), request->part[0]))
        dip_response_lasting(response, 204, DIP_TYPE_JSON, (const uint8_t *)"", 0);
    else
        dip_response_fail_status(response, not_there(request->part[0]));
}
