/*
 * Items: one by its name, those of a collection, and the search over all, as pages of a GeoJSON FeatureCollection.
 *
 * Without similarity the order is that of the tiles' ids, and the token of a page is the last id of the page before
 * (search/browse.h). A search with similarity is answered by similar.c, and the items of a saved query by virtual.c.
 */
#define _GNU_SOURCE
#include "server/item.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/when.h"
#include "search/browse.h"
#include "server/ask.h"
#include "server/similar.h"
#include "server/virtual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- tokens ---- */

void dip_token_print(char token[DIP_TOKEN_CAPACITY], uint64_t last)
{
    snprintf(token, DIP_TOKEN_CAPACITY, "after-%llx", (unsigned long long)last);
}

dip_status dip_token_parse(const char *token, uint64_t *after)
{
    char *end = NULL, again[DIP_TOKEN_CAPACITY] = "";
    *after = DIP_NO_ID;
    if (!token) return DIP_OK;
    if (!strncmp(token, "after-", 6)) {
        *after = strtoull(token + 6, &end, 16);
        dip_token_print(again, *after);
    }
    if (!end || strcmp(again, token) || *after == DIP_NO_ID)
        return dip_fail(DIP_EINVAL,
                        "token: '%.60s' is none of this service; take it from a link 'next'",
                        token);
    return DIP_OK;
}

/* ---- what is asked for ---- */

dip_status dip_items_modalities(const dip_archive *archive, char *const *which, size_t n,
                                uint32_t *modalities)
{
    size_t count = dip_archive_modality_count(archive);
    *modalities = which ? 0 : (uint32_t)((1u << count) - 1);
    for (size_t i = 0; which && i < n; i++) {
        uint32_t modality;
        if (dip_collection_find(archive, which[i], &modality))
            return dip_fail_prefix(DIP_EINVAL, "collections");
        *modalities |= 1u << modality;
    }
    return DIP_OK;
}

dip_status dip_items_selected(const dip_archive *archive, const dip_ask *ask, uint32_t modalities,
                              dip_query *filters, uint64_t **only, dip_browse_options *out)
{
    *filters = (dip_query)DIP_QUERY_INIT;
    *only = NULL;
    dip_ask_query(ask, filters);
    *out = (dip_browse_options){.filters = filters, .modalities = modalities, .limit = ask->limit};
    dip_status status = dip_token_parse(ask->token, &out->after);
    if (status || !ask->ids) return status;
    status = dip_items_named(archive, ask->ids, ask->id_count, modalities, only, &out->only_count);
    out->only = *only;
    return status;
}

static dip_status list(const dip_archive *archive, const dip_view *view, const dip_ask *ask,
                       uint32_t modalities, dip_listing *out)
{
    dip_query filters;
    dip_browse_options options;
    uint64_t *only;
    *out = (dip_listing){0};
    dip_status status = dip_items_selected(archive, ask, modalities, &filters, &only, &options);
    if (!status) status = dip_browse(view->search, &options, out);
    dip_free(only);
    return status;
}

/* ---- a page ---- */

/* The query string without its token, and a '&' behind each parameter: the last may have had none. */
static char *without_token(const char *query)
{
    char *out = dip_alloc(strlen(query) + 2), *to = out;
    if (!out) return NULL;
    while (*query) {
        size_t length = strcspn(query, "&");
        if (length && strncmp(query, "token=", 6)) {
            memcpy(to, query, length);
            to += length;
            *to++ = '&';
        }
        query += length + (query[length] == '&');
    }
    *to = '\0';
    return out;
}

static void write_next_post(dip_json *j, const dip_request *request, const dip_ask *ask,
                            const char *token)
{
    size_t length = strlen(ask->text);
    char *body = dip_sprintf("%.*s%s\"token\":\"%s\"}", (int)(length - 1), ask->text,
                             length > 2 ? "," : "", token);
    char *href = dip_sprintf("%s%s", request->base, request->path);
    if (body && href) {
        dip_json_object(j, NULL);
        dip_json_text(j, "rel", "next");
        dip_json_text(j, "type", DIP_TYPE_GEOJSON);
        dip_json_text(j, "href", href);
        dip_json_text(j, "method", "POST");
        dip_json_embed(j, "body", body);
        dip_json_flag(j, "merge", false);
        dip_json_end(j);
    }
    dip_free(href);
    dip_free(body);
}

void dip_page_next(dip_json *j, const dip_request *request, const dip_ask *ask, const char *token)
{
    if (ask->text) {
        write_next_post(j, request, ask, token);
        return;
    }
    char *query = without_token(request->query_string);
    if (query)
        dip_item_link(j, "next", DIP_TYPE_GEOJSON, NULL, "%s%s?%stoken=%s", request->base,
                      request->path, query, token);
    dip_free(query);
}

void dip_page_links(dip_json *j, const dip_request *request, const char *collection)
{
    bool query = *request->query_string != '\0';
    dip_item_link(j, "self", DIP_TYPE_GEOJSON, NULL, "%s%s%s%s", request->base, request->path,
                  query ? "?" : "", request->query_string);
    dip_item_link(j, "root", DIP_TYPE_JSON, NULL, "%s/", request->base);
    if (collection)
        dip_item_link(j, "collection", DIP_TYPE_JSON, NULL, "%s/collections/%s", request->base,
                      collection);
}

static void write_links(dip_json *j, const dip_request *request, const dip_ask *ask,
                        const char *collection, const dip_listing *listing)
{
    dip_json_array(j, "links");
    dip_page_links(j, request, collection);
    if (listing->more && listing->count) {
        char token[DIP_TOKEN_CAPACITY];
        dip_token_print(token, listing->ids[listing->count - 1]);
        dip_page_next(j, request, ask, token);
    }
    dip_json_end(j);
}

/* A tile that was taken down since the view was opened is passed over. */
static dip_status write_features(dip_json *j, const dip_item_context *items,
                                 const dip_listing *listing, size_t *written)
{
    dip_status status = DIP_OK;
    dip_json_array(j, "features");
    for (size_t i = 0; i < listing->count && !status; i++) {
        dip_meta *meta;
        status = dip_archive_meta(items->archive, listing->ids[i], &meta);
        if (status == DIP_ENOENT) {
            status = DIP_OK;
            continue;
        }
        if (status) break;
        status = dip_item_write(j, NULL, items, meta, NULL);
        dip_meta_free(meta);
        *written += !status;
    }
    if (!status) dip_json_end(j);
    return status;
}

void dip_page_counts(dip_json *j, uint64_t matched, size_t returned)
{
    char now[DIP_WHEN_CAPACITY];
    dip_when_format(time(NULL), now, sizeof now);
    dip_json_text(j, "timeStamp", now);
    dip_json_count(j, "numberMatched", matched);
    dip_json_count(j, "numberReturned", returned);
}

static void answer_listing(dip_service *service, const dip_view *view, const dip_request *request,
                           const dip_ask *ask, const char *collection, const dip_listing *listing,
                           dip_response *response)
{
    dip_item_context items;
    dip_writer writer;
    size_t written = 0;
    dip_status status = dip_item_context_init(&items, service, view, request);
    if (!status) status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "type", "FeatureCollection");
    status = write_features(&writer.json, &items, listing, &written);
    if (!status) {
        dip_page_counts(&writer.json, listing->matched, written);
        write_links(&writer.json, request, ask, collection, listing);
        dip_json_end(&writer.json);
    }
    dip_writer_end(&writer, response, 200, DIP_TYPE_GEOJSON);
    if (status) dip_response_fail_status(response, status);
}

/* Lists what is asked for of the modalities; `collection` NULL: of a search. */
static void browse(dip_service *service, const dip_request *request, const dip_ask *ask,
                   uint32_t modalities, const char *collection, dip_response *response)
{
    const dip_view *view = dip_service_view(service);
    dip_listing listing;
    double begin = dip_seconds();
    dip_status status = list(dip_service_archive(service), view, ask, modalities, &listing);
    begin = dip_request_stage(request, DIP_STAGE_SEARCH, begin);
    if (status)
        dip_response_fail_status(response, status);
    else
        answer_listing(service, view, request, ask, collection, &listing, response);
    dip_request_stage(request, DIP_STAGE_RENDER, begin);
    dip_listing_fini(&listing);
    dip_view_release(view);
}

/* ---- handlers ---- */

void dip_serve_search(void *context, const dip_request *request, dip_response *response)
{
    const dip_service_options *settings = dip_service_settings(context);
    uint32_t modalities;
    dip_ask ask;
    double begin = dip_seconds();
    dip_status status = dip_ask_parse(&ask, request, DIP_ASK_LIMIT, settings->most_items);
    dip_request_stage(request, DIP_STAGE_PARSE, begin);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    status = dip_items_modalities(dip_service_archive(context), ask.collections,
                                  ask.collection_count, &modalities);
    if (status) {
        dip_response_fail_status(response, status);
    } else if (ask.similar) {
        const dip_view *view = dip_service_view(context);
        dip_serve_similar(context, view, request, &ask, response);
        dip_view_release(view);
    } else {
        browse(context, request, &ask, modalities, NULL, response);
    }
    dip_ask_fini(&ask);
}

void dip_serve_items(void *context, const dip_request *request, dip_response *response)
{
    const dip_service_options *settings = dip_service_settings(context);
    const char *collection = request->part[0];
    bool saved = dip_virtual_is(collection);
    uint32_t modality = 0;
    dip_ask ask;
    dip_status status =
        saved ? DIP_OK : dip_collection_find(dip_service_archive(context), collection, &modality);
    if (!status) status = dip_ask_parse(&ask, request, DIP_ASK_LIMIT, settings->most_items);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    if (ask.similar)
        dip_response_fail(response, 400, "InvalidParameterValue",
                          "similar_to: items of a collection are listed here; ask /search for "
                          "those that are alike");
    else if (saved)
        dip_virtual_items(context, request, &ask, collection, response);
    else
        browse(context, request, &ask, 1u << modality, collection, response);
    dip_ask_fini(&ask);
}

void dip_serve_item(void *context, const dip_request *request, dip_response *response)
{
    if (dip_virtual_is(request->part[0])) {
        dip_virtual_item(context, request, request->part[0], request->part[1], response);
        return;
    }
    const dip_archive *archive = dip_service_archive(context);
    const dip_view *view = dip_service_view(context);
    dip_item_context items;
    dip_writer writer;
    dip_meta *meta = NULL;
    uint64_t id;
    dip_status status = dip_item_find(archive, request->part[0], request->part[1], &id);
    if (!status) status = dip_archive_meta(archive, id, &meta);
    if (!status) status = dip_item_context_init(&items, context, view, request);
    if (!status) status = dip_writer_begin(&writer);
    if (!status) {
        status = dip_item_write(&writer.json, NULL, &items, meta, NULL);
        dip_writer_end(&writer, response, 200, DIP_TYPE_GEOJSON);
    }
    if (status) dip_response_fail_status(response, status);
    dip_meta_free(meta);
    dip_view_release(view);
}
