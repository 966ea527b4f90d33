/*
 * Saved queries as collections; see virtual.h. A page is asked for by the rank of the last item of the page before. Filters are
 * run over the hits as over any list of tiles (search/browse.h); their order is that of the scores.
 */
#include "server/virtual.h"

#include "core/mem.h"
#include "core/sorted.h"
#include "core/when.h"
#include "search/browse.h"

#include <math.h>
#include <string.h>

/* No modality has so long a name. */
bool dip_virtual_is(const char *collection)
{
    return !strncmp(collection, "q-", 2) && strlen(collection) >= DIP_WORD_CAPACITY;
}

/* ---- the collection ---- */

void dip_virtual_describe(dip_json *j, dip_service *service, const char *base,
                          const char *collection, const dip_saved_hits *hits)
{
    const dip_extent extent = {.west = hits->west,
                               .south = hits->south,
                               .east = hits->east,
                               .north = hits->north,
                               .first = hits->first,
                               .last = hits->last};
    dip_json_text(j, "type", "Collection");
    dip_json_text(j, "stac_version", DIP_STAC_VERSION);
    dip_json_array(j, "stac_extensions");
    dip_json_end(j);
    dip_json_text(j, "id", collection);
    dip_json_text(j, "title", "saved query");
    dip_json_text(j, "description", "The hits of a saved query, best first");
    dip_json_text(j, "license", dip_service_settings(service)->license);
    dip_json_text(j, "itemType", "feature");
    dip_extent_write(j, &extent);
    dip_json_count(j, "dip:tiles", hits->count);
    dip_collection_links(j, base, collection);
}

/* ---- items ---- */

static dip_status write_hit(dip_json *j, const dip_item_context *items, const dip_saved_hits *hits,
                            size_t rank, const char *collection)
{
    dip_meta *meta;
    dip_status status = dip_archive_meta(items->archive, hits->ids[rank], &meta);
    if (status) return status;
    const dip_modality *modality = dip_archive_modality(items->archive, meta->modality);
    char *id = dip_sprintf("%s:%s", modality ? modality->name : "", meta->name);
    dip_item_note note = {.collection = collection,
                          .id = id,
                          .scored = true,
                          .score = (double)hits->scores[rank],
                          .percentile = (double)hits->percentiles[rank],
                          .rank = rank + 1};
    status = id ? dip_item_write(j, NULL, items, meta, &note) : DIP_ENOMEM;
    dip_free(id);
    dip_meta_free(meta);
    return status;
}

static bool holds(const dip_listing *listing, uint64_t id)
{
    size_t at = dip_ids_lower_bound(listing->ids, listing->count, id);
    return at < listing->count && listing->ids[at] == id;
}

typedef struct page {
    const dip_item_context *items;
    const dip_saved_hits *hits;
    const dip_listing *passing; /* the hits that the filters leave */
    const char *collection;
    size_t written;
    uint64_t last; /* rank of the last one, from 1 */
    bool more;
} page;

static dip_status write_features(dip_json *j, page *p, uint64_t after, size_t limit)
{
    dip_status status = DIP_OK;
    dip_json_array(j, "features");
    for (size_t rank = after == DIP_NO_ID ? 0 : (size_t)after; rank < p->hits->count && !status;
         rank++) {
        if (!holds(p->passing, p->hits->ids[rank])) continue;
        p->more = p->written == limit;
        if (p->more) break;
        status = write_hit(j, p->items, p->hits, rank, p->collection);
        p->written += !status;
        p->last = rank + 1;
        if (status == DIP_ENOENT) status = DIP_OK; /* the archive has lost it since */
    }
    if (!status) dip_json_end(j);
    return status;
}

static void write_links(dip_json *j, const dip_request *request, const dip_ask *ask, const page *p)
{
    char token[DIP_TOKEN_CAPACITY];
    dip_json_array(j, "links");
    dip_page_links(j, request, p->collection);
    if (p->more) {
        dip_token_print(token, p->last);
        dip_page_next(j, request, ask, token);
    }
    dip_json_end(j);
}

static dip_status answer_page(const dip_request *request, const dip_ask *ask, page *p,
                              uint64_t after, dip_response *response)
{
    dip_writer writer;
    dip_status status = dip_writer_begin(&writer);
    if (status) return status;
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "type", "FeatureCollection");
    status = write_features(&writer.json, p, after, ask->limit);
    if (!status) {
        dip_page_counts(&writer.json, p->passing->matched, p->written);
        write_links(&writer.json, request, ask, p);
        dip_json_end(&writer.json);
    }
    dip_writer_end(&writer, response, 200, DIP_TYPE_GEOJSON);
    return status;
}

void dip_virtual_items(dip_service *service, const dip_request *request, const dip_ask *ask,
                       const char *collection, dip_response *response)
{
    const dip_view *view = dip_service_view(service);
    dip_item_context items;
    dip_saved_hits hits = {0};
    dip_listing passing = {0};
    dip_query filters = DIP_QUERY_INIT;
    uint64_t after;
    dip_ask_query(ask, &filters);
    dip_status status = dip_token_parse(ask->token, &after);
    if (!status) status = dip_item_context_init(&items, service, view, request);
    if (!status) status = dip_saved_read(service, view, collection, &hits);
    if (!status) {
        const uint64_t none = 0;
        dip_browse_options options = {.filters = &filters,
                                      .only = hits.count ? hits.ids : &none,
                                      .only_count = hits.count,
                                      .modalities = UINT32_MAX,
                                      .after = DIP_NO_ID,
                                      .limit = hits.count};
        status = dip_browse(view->search, &options, &passing);
    }
    if (!status) {
        page p = {.items = &items, .hits = &hits, .passing = &passing, .collection = collection};
        status = answer_page(request, ask, &p, after, response);
    }
    if (status) dip_response_fail_status(response, status);
    dip_listing_fini(&passing);
    dip_saved_hits_fini(&hits);
    dip_view_release(view);
}

/* Position of the hit that is called "modality:name". */
static dip_status find_hit(const dip_archive *archive, const dip_saved_hits *hits,
                           const char *collection, const char *id, size_t *rank)
{
    char modality[DIP_WORD_CAPACITY] = "";
    uint64_t tile = DIP_NO_ID;
    size_t length = strcspn(id, ":");
    if (id[length] && length < sizeof modality) memcpy(modality, id, length);
    if (*modality && !dip_item_find(archive, modality, id + length + 1, &tile))
        for (*rank = 0; *rank < hits->count; ++*rank)
            if (hits->ids[*rank] == tile) return DIP_OK;
    return dip_fail(DIP_ENOENT, "collection '%s' has no item '%.200s'", collection, id);
}

void dip_virtual_item(dip_service *service, const dip_request *request, const char *collection,
                      const char *id, dip_response *response)
{
    const dip_view *view = dip_service_view(service);
    dip_item_context items;
    dip_saved_hits hits = {0};
    dip_writer writer;
    size_t rank = 0;
    dip_status status = dip_item_context_init(&items, service, view, request);
    if (!status) status = dip_saved_read(service, view, collection, &hits);
    if (!status) status = find_hit(items.archive, &hits, collection, id, &rank);
    if (!status) status = dip_writer_begin(&writer);
    if (!status) {
        status = write_hit(&writer.json, &items, &hits, rank, collection);
        dip_writer_end(&writer, response, 200, DIP_TYPE_GEOJSON);
    }
    if (status) dip_response_fail_status(response, status);
    dip_saved_hits_fini(&hits);
    dip_view_release(view);
}
