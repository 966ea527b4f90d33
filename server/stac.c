/*
 * The landing page, what the service conforms to, and its collections: one a modality, and one a saved query.
 *
 * A modality's extent and its labels are those of the view, which measures them when it opens.
 */
#include "server/item.h"

#include "core/mem.h"
#include "core/when.h"
#include "front/picture.h"
#include "search/browse.h"
#include "server/virtual.h"

#include <math.h>
#include <string.h>

enum { DECIMALS = 7, SAMPLED_ITEMS = 16 };

static const char *const conformance[] = {
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter",
    "https://api.stacspec.org/v0.3.0/aggregation",
    "https://api.stacspec.org/v0.3.0/aggregation#filter",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "urn:diptych:conformance:similarity:1",
};

static void write_conformance(dip_json *j)
{
    dip_json_array(j, "conformsTo");
    for (size_t i = 0; i < sizeof conformance / sizeof *conformance; i++)
        dip_json_text(j, NULL, conformance[i]);
    dip_json_end(j);
}

/* An answer whose members `write` adds; `type` of the content. */
typedef dip_status write_fn(dip_json *j, dip_service *service, const dip_request *request,
                            const dip_view *view);

static void answer(dip_service *service, const dip_request *request, dip_response *response,
                   const char *type, write_fn *write)
{
    const dip_view *view = dip_service_view(service);
    dip_writer writer;
    dip_status status = dip_writer_begin(&writer);
    if (!status) {
        dip_json_object(&writer.json, NULL);
        status = write(&writer.json, service, request, view);
        if (!status) dip_json_end(&writer.json);
        dip_writer_end(&writer, response, 200, type);
    }
    if (status) dip_response_fail_status(response, status);
    dip_view_release(view);
}

/* ---- landing page ---- */

static void write_search_link(dip_json *j, const dip_request *request, const char *method)
{
    char *href = dip_sprintf("%s/search", request->base);
    dip_json_object(j, NULL);
    dip_json_text(j, "rel", "search");
    dip_json_text(j, "type", DIP_TYPE_GEOJSON);
    dip_json_text(j, "title", "search, also by similarity");
    dip_json_text(j, "method", method);
    dip_json_text(j, "href", href ? href : "");
    dip_json_end(j);
    dip_free(href);
}

static dip_status write_landing(dip_json *j, dip_service *service, const dip_request *request,
                                const dip_view *view)
{
    const dip_archive *archive = dip_service_archive(service);
    const char *base = request->base, *title = dip_archive_title(archive);
    (void)view;
    dip_json_text(j, "type", "Catalog");
    dip_json_text(j, "stac_version", DIP_STAC_VERSION);
    dip_json_text(j, "id", "diptych");
    dip_json_text(j, "title", *title ? title : "Diptych");
    dip_json_text(j, "description",
                  "Satellite tiles of one archive, searched by place, time, property and by "
                  "similarity across sensors.");
    write_conformance(j);
    dip_json_array(j, "links");
    dip_item_link(j, "self", DIP_TYPE_JSON, NULL, "%s/", base);
    dip_item_link(j, "root", DIP_TYPE_JSON, NULL, "%s/", base);
    dip_item_link(j, "service-desc", DIP_TYPE_OPENAPI, "the API, for programs", "%s/api", base);
    dip_item_link(j, "service-doc", DIP_TYPE_HTML, "the API, for people", "%s/api.html", base);
    dip_item_link(j, "conformance", DIP_TYPE_JSON, NULL, "%s/conformance", base);
    dip_item_link(j, "data", DIP_TYPE_JSON, "collections", "%s/collections", base);
    dip_item_link(j, DIP_REL_QUERYABLES, DIP_TYPE_SCHEMA, "what filters may name", "%s/queryables",
                  base);
    write_search_link(j, request, "GET");
    write_search_link(j, request, "POST");
    dip_item_link(j, "aggregate", DIP_TYPE_JSON, "counts of what filters leave", "%s/aggregate",
                  base);
    dip_item_link(j, "aggregations", DIP_TYPE_JSON, "what is counted", "%s/aggregations", base);
    for (size_t i = 0; i < dip_archive_modality_count(archive); i++) {
        const char *name = dip_archive_modality(archive, i)->name;
        dip_item_link(j, "child", DIP_TYPE_JSON, name, "%s/collections/%s", base, name);
    }
    char(*saved)[DIP_KEEP_ID] = NULL;
    size_t saved_count = 0;
    dip_status status = dip_saved_list(service, &saved, &saved_count);
    for (size_t i = 0; i < saved_count && !status; i++)
        dip_item_link(j, "child", DIP_TYPE_JSON, "saved query", "%s/collections/%s", base,
                      saved[i]);
    dip_free(saved);
    dip_item_link(j, "preview", DIP_TYPE_HTML, "search in a browser", "%s/ui/", base);
    dip_json_end(j);
    return status;
}

void dip_serve_landing(void *context, const dip_request *request, dip_response *response)
{
    answer(context, request, response, DIP_TYPE_JSON, write_landing);
}

static dip_status write_conformance_page(dip_json *j, dip_service *service,
                                         const dip_request *request, const dip_view *view)
{
    (void)service;
    (void)request;
    (void)view;
    write_conformance(j);
    return DIP_OK;
}

void dip_serve_conformance(void *context, const dip_request *request, dip_response *response)
{
    answer(context, request, response, DIP_TYPE_JSON, write_conformance_page);
}

/* ---- collections ---- */

void dip_extent_write(dip_json *j, const dip_extent *extent)
{
    bool known = !isnan(extent->west);
    const double box[4] = {known ? extent->west : -180, known ? extent->south : -90,
                           known ? extent->east : 180, known ? extent->north : 90};
    char first[DIP_WHEN_CAPACITY], last[DIP_WHEN_CAPACITY];
    dip_when_format(extent->first, first, sizeof first);
    dip_when_format(extent->last, last, sizeof last);
    dip_json_object(j, "extent");
    dip_json_object(j, "spatial");
    dip_json_array(j, "bbox");
    dip_json_array(j, NULL);
    for (int i = 0; i < 4; i++) dip_json_real(j, NULL, box[i], DECIMALS);
    dip_json_end(j);
    dip_json_end(j);
    dip_json_end(j);
    dip_json_object(j, "temporal");
    dip_json_array(j, "interval");
    dip_json_array(j, NULL);
    dip_json_text(j, NULL, *first ? first : DIP_ITEM_EARLIEST);
    dip_json_text(j, NULL, *last ? last : DIP_ITEM_LATEST);
    dip_json_end(j);
    dip_json_end(j);
    dip_json_end(j);
    dip_json_end(j);
}

static void write_names(dip_json *j, const char *key, const dip_tally *list, size_t n)
{
    if (!n) return; /* a summary has one value at least */
    dip_json_array(j, key);
    for (size_t i = 0; i < n; i++) dip_json_text(j, NULL, list[i].name);
    dip_json_end(j);
}

static void write_tally(dip_json *j, const char *key, const dip_tally *list, size_t n)
{
    dip_json_object(j, key);
    for (size_t i = 0; i < n; i++) dip_json_count(j, list[i].name, list[i].count);
    dip_json_end(j);
}

static bool first_of_its_gsd(const dip_modality *modality, uint32_t position)
{
    double gsd = modality->bands[position].gsd_m;
    for (uint32_t b = 0; b < position; b++)
        if (modality->bands[b].gsd_m >= gsd && modality->bands[b].gsd_m <= gsd) return false;
    return gsd > 0;
}

static void write_bands(dip_json *j, const dip_modality *modality)
{
    dip_json_array(j, "bands");
    for (uint32_t b = 0; b < modality->band_count; b++) {
        const dip_band *band = &modality->bands[b];
        dip_json_object(j, NULL);
        dip_json_text(j, "name", band->name);
        if (*band->unit) dip_json_text(j, "unit", band->unit);
        if (band->gsd_m > 0) dip_json_real(j, "gsd", band->gsd_m, 3);
        if (band->stddev > 0) {
            dip_json_real(j, "mean", band->mean, 6);
            dip_json_real(j, "stddev", band->stddev, 6);
        }
        dip_json_end(j);
    }
    dip_json_end(j);
}

static void write_summaries(dip_json *j, const dip_modality *modality, const dip_extent *extent)
{
    bool open = false;
    dip_json_object(j, "summaries");
    for (uint32_t b = 0; b < modality->band_count; b++) {
        if (!first_of_its_gsd(modality, b)) continue;
        if (!open) dip_json_array(j, "gsd");
        open = true;
        dip_json_real(j, NULL, modality->bands[b].gsd_m, 3);
    }
    if (open) dip_json_end(j);
    write_names(j, "labels", extent->labels, extent->label_count);
    write_names(j, "split", extent->splits, extent->split_count);
    if (modality->band_count) write_bands(j, modality);
    dip_json_end(j);
}

static void write_asset(dip_json *j, const char *key, const char *type, const char *title,
                        const char *role)
{
    dip_json_object(j, key);
    dip_json_text(j, "type", type);
    dip_json_text(j, "title", title);
    dip_json_array(j, "roles");
    dip_json_text(j, NULL, role);
    dip_json_end(j);
    dip_json_end(j);
}

static void write_item_assets(dip_json *j, const dip_modality *modality, size_t dim)
{
    char caption[3 * DIP_WORD_CAPACITY + 8], key[DIP_ITEM_KEY_CAPACITY];
    dip_json_object(j, "item_assets");
    if (modality->band_count) {
        dip_picture_caption(modality, caption, sizeof caption);
        write_asset(j, "visual", DIP_TYPE_COG, caption, "visual");
        write_asset(j, "thumbnail", DIP_TYPE_PNG, caption, "thumbnail");
    }
    for (uint32_t b = 0; b < modality->band_count; b++) {
        dip_item_band_key(key, modality->bands[b].name);
        write_asset(j, key, DIP_TYPE_GEOTIFF, modality->bands[b].name, "data");
    }
    if (dim) write_asset(j, "embeddings", DIP_TYPE_NPY, "embedding", "embedding");
    dip_json_end(j);
}

void dip_collection_links(dip_json *j, const char *base, const char *name)
{
    dip_json_array(j, "links");
    dip_item_link(j, "self", DIP_TYPE_JSON, NULL, "%s/collections/%s", base, name);
    dip_item_link(j, "root", DIP_TYPE_JSON, NULL, "%s/", base);
    dip_item_link(j, "parent", DIP_TYPE_JSON, NULL, "%s/", base);
    dip_item_link(j, "items", DIP_TYPE_GEOJSON, NULL, "%s/collections/%s/items", base, name);
    dip_item_link(j, DIP_REL_QUERYABLES, DIP_TYPE_SCHEMA, NULL, "%s/collections/%s/queryables",
                  base, name);
    if (!dip_virtual_is(name)) {
        dip_item_link(j, "aggregate", DIP_TYPE_JSON, NULL, "%s/collections/%s/aggregate", base,
                      name);
        dip_item_link(j, "aggregations", DIP_TYPE_JSON, NULL, "%s/collections/%s/aggregations",
                      base, name);
    }
    dip_json_end(j);
}

/* The members of a modality's collection. */
static void write_members(dip_json *j, const dip_item_context *items, dip_service *service,
                          const dip_view *view, uint32_t position)
{
    const dip_modality *modality = dip_archive_modality(items->archive, position);
    const char *title = dip_archive_title(items->archive);
    const dip_extent *extent = &view->extents[position];
    char *description =
        dip_sprintf("Tiles of modality %s%s%s", modality->name, *title ? " in " : "", title);
    dip_json_text(j, "type", "Collection");
    dip_json_text(j, "stac_version", DIP_STAC_VERSION);
    dip_json_array(j, "stac_extensions");
    dip_json_text(j, NULL, "https://stac-extensions.github.io/item-assets/v1.0.0/schema.json");
    dip_json_end(j);
    dip_json_text(j, "id", modality->name);
    dip_json_text(j, "title", modality->name);
    dip_json_text(j, "description", description ? description : modality->name);
    dip_json_text(j, "license", dip_service_settings(service)->license);
    dip_json_text(j, "itemType", "feature");
    dip_extent_write(j, extent);
    write_summaries(j, modality, extent);
    dip_json_count(j, "dip:tiles", extent->tiles);
    write_tally(j, "dip:labels", extent->labels, extent->label_count);
    write_tally(j, "dip:splits", extent->splits, extent->split_count);
    if (items->dim[position]) {
        dip_json_text(j, "emb:type", "chip");
        dip_json_count(j, "emb:dimensions", items->dim[position]);
        dip_json_text(j, "emb:model", view->model);
        dip_json_text(j, "data_type", "float32");
    }
    write_item_assets(j, modality, items->dim[position]);
    dip_collection_links(j, items->base, modality->name);
    dip_free(description);
}

/* One that went away meanwhile is passed over. */
static dip_status write_saved(dip_json *j, dip_service *service, const dip_item_context *items)
{
    char(*ids)[DIP_KEEP_ID] = NULL;
    size_t count = 0;
    dip_status status = dip_saved_list(service, &ids, &count);
    for (size_t i = 0; i < count && !status; i++) {
        dip_saved_hits hits;
        status = dip_saved_look(service, ids[i], &hits);
        if (status == DIP_ENOENT) {
            status = DIP_OK;
            continue;
        }
        if (status) break;
        dip_json_object(j, NULL);
        dip_virtual_describe(j, service, items->base, ids[i], &hits);
        dip_json_end(j);
        dip_saved_hits_fini(&hits);
    }
    dip_free(ids);
    return status;
}

static dip_status write_collections(dip_json *j, dip_service *service, const dip_request *request,
                                    const dip_view *view)
{
    dip_item_context items;
    dip_status status = dip_item_context_init(&items, service, view, request);
    if (status) return status;
    dip_json_array(j, "collections");
    for (uint32_t m = 0; m < dip_archive_modality_count(items.archive); m++) {
        dip_json_object(j, NULL);
        write_members(j, &items, service, view, m);
        dip_json_end(j);
    }
    status = write_saved(j, service, &items);
    if (status) return status;
    dip_json_end(j);
    dip_json_array(j, "links");
    dip_item_link(j, "self", DIP_TYPE_JSON, NULL, "%s/collections", request->base);
    dip_item_link(j, "root", DIP_TYPE_JSON, NULL, "%s/", request->base);
    dip_json_end(j);
    return DIP_OK;
}

void dip_serve_collections(void *context, const dip_request *request, dip_response *response)
{
    answer(context, request, response, DIP_TYPE_JSON, write_collections);
}

static dip_status write_collection(dip_json *j, dip_service *service, const dip_request *request,
                                   const dip_view *view)
{
    dip_item_context items;
    uint32_t modality;
    dip_status status = dip_item_context_init(&items, service, view, request);
    if (!status && dip_virtual_is(request->part[0])) {
        dip_saved_hits hits;
        status = dip_saved_read(service, view, request->part[0], &hits);
        if (status) return status;
        dip_virtual_describe(j, service, items.base, request->part[0], &hits);
        dip_saved_hits_fini(&hits);
        return DIP_OK;
    }
    if (!status) status = dip_collection_find(items.archive, request->part[0], &modality);
    if (!status) write_members(j, &items, service, view, modality);
    return status;
}

void dip_serve_collection(void *context, const dip_request *request, dip_response *response)
{
    answer(context, request, response, DIP_TYPE_JSON, write_collection);
}

/* ---- queryables ---- */

/* JSON Schema's word for what a value is. */
static const char *type_of(const char *value)
{
    switch (*value) {
    case '"': return "string";
    case '[': return "array";
    case 't':
    case 'f': return "boolean";
    default: return "number";
    }
}

typedef struct seen {
    dip_json *json;
    char **names; /* owned */
    size_t count, capacity;
    bool failed;
} seen;

static bool is_new(seen *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->names[i], name)) return false;
    if (dip_array_reserve((void **)&s->names, &s->capacity, s->count + 1, sizeof *s->names) ||
        !(s->names[s->count] = dip_strdup(name))) {
        s->failed = true;
        return false;
    }
    s->count++;
    return true;
}

static void write_property(seen *s, const char *name, const char *type, const char *format)
{
    if (!is_new(s, name)) return;
    dip_json_object(s->json, name);
    dip_json_text(s->json, "type", type);
    if (format) dip_json_text(s->json, "format", format);
    dip_json_end(s->json);
}

/* Of what came with a tile each property is noted, and none copied. */
static bool note_property(void *context, const char *key, const char *value)
{
    if (*value != '{' && *value != 'n') write_property(context, key, type_of(value), NULL);
    return false;
}

/* The properties that the first tiles of a modality came with: tiles of one import have the same. */
static dip_status sample(seen *s, const dip_archive *archive, const dip_view *view,
                         uint32_t modalities)
{
    dip_browse_options first = {
        .modalities = modalities, .after = DIP_NO_ID, .limit = SAMPLED_ITEMS};
    dip_listing listing;
    dip_status status = dip_browse(view->search, &first, &listing);
    for (size_t i = 0; i < listing.count && !status; i++) {
        dip_meta *meta;
        if (dip_archive_meta(archive, listing.ids[i], &meta)) continue;
        dip_json_members(s->json, meta->extra, note_property, s);
        dip_meta_free(meta);
    }
    dip_listing_fini(&listing);
    return status;
}

static void write_fixed(seen *s)
{
    static const char *const texts[] = {"split",        "modality", "primary_label",
                                        "label_source", "scene",    "source"};
    dip_json *j = s->json;
    write_property(s, "datetime", "string", "date-time");
    dip_json_object(j, "geometry");
    dip_json_text(j, "$ref", "https://geojson.org/schema/Geometry.json");
    dip_json_end(j);
    dip_json_object(j, "labels");
    dip_json_text(j, "type", "array");
    dip_json_object(j, "items");
    dip_json_text(j, "type", "string");
    dip_json_end(j);
    dip_json_end(j);
    is_new(s, "geometry");
    is_new(s, "labels");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        write_property(s, texts[i], "string", NULL);
}

static dip_status write_queryables(dip_json *j, dip_service *service, const dip_request *request,
                                   const dip_view *view)
{
    const dip_archive *archive = dip_service_archive(service);
    size_t count = dip_archive_modality_count(archive);
    uint32_t from = 0, to = (uint32_t)count;
    dip_status status = DIP_OK;
    if (request->part[0] && dip_virtual_is(request->part[0])) {
        dip_saved_hits hits;
        status = dip_saved_look(service, request->part[0], &hits);
        if (!status) dip_saved_hits_fini(&hits);
    } else if (request->part[0]) {
        status = dip_collection_find(archive, request->part[0], &from);
        to = from + 1;
    }
    if (status) return status;
    char *id = dip_sprintf("%s%s", request->base, request->path);
    seen s = {.json = j};
    dip_json_text(j, "$schema", "https://json-schema.org/draft/2019-09/schema");
    dip_json_text(j, "$id", id ? id : "");
    dip_json_text(j, "type", "object");
    dip_json_text(j, "title", request->part[0] ? request->part[0] : "all collections");
    dip_json_object(j, "properties");
    write_fixed(&s);
    for (uint32_t m = from; m < to && !status; m++) status = sample(&s, archive, view, 1u << m);
    dip_json_end(j);
    dip_json_flag(j, "additionalProperties", true);
    for (size_t i = 0; i < s.count; i++) dip_free(s.names[i]);
    dip_free(s.names);
    dip_free(id);
    return s.failed ? DIP_ENOMEM : status;
}

void dip_serve_queryables(void *context, const dip_request *request, dip_response *response)
{
    answer(context, request, response, DIP_TYPE_SCHEMA, write_queryables);
}
