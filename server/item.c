/*
 * Items; see item.h. Written field by field into the answer's stream; the texts that an item repeats (its address, the shape
 * of its grids) are made once an item.
 *
 * Extensions are declared only if the item's fields satisfy their schemas: projection if there is a reference system, eo, sat
 * and sar if what came with the tile is complete. Version 1.2 of projection is the one that has both proj:epsg, which
 * GDAL's STACIT driver reads, and proj:code, which newer readers want.
 */
#define _GNU_SOURCE
#include "server/item.h"

#include "core/mem.h"
#include "core/when.h"
#include "front/geojson.h"
#include "front/picture.h"
#include "search/engine.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSIONS "https://stac-extensions.github.io/"

enum { DECIMALS = 9 };

/* ---- addresses and links ---- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '~' || c == '.';
}

char *dip_path_encode(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    bool dots = !strcmp(text, ".") || !strcmp(text, "..");
    char *out = dip_alloc(3 * strlen(text) + 1), *to = out;
    if (!out) return NULL;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (is_unreserved(*p) && !dots) {
            *to++ = (char)*p;
            continue;
        }
        *to++ = '%';
        *to++ = digits[*p >> 4];
        *to++ = digits[*p & 15];
    }
    *to = '\0';
    return out;
}

void dip_item_link(dip_json *json, const char *rel, const char *type, const char *title,
                   const char *format, ...)
{
    va_list args;
    dip_json_object(json, NULL);
    dip_json_text(json, "rel", rel);
    if (type) dip_json_text(json, "type", type);
    if (title) dip_json_text(json, "title", title);
    va_start(args, format);
    dip_json_print_list(json, "href", format, args);
    va_end(args);
    dip_json_end(json);
}

/* ---- by name ---- */

dip_status dip_collection_find(const dip_archive *archive, const char *collection,
                               uint32_t *modality)
{
    char known[DIP_MAX_MODALITIES * (DIP_WORD_CAPACITY + 2) + 1];
    size_t n = dip_archive_modality_count(archive), length = 0;
    int position = dip_archive_find_modality(archive, collection);
    if (position >= 0) {
        *modality = (uint32_t)position;
        return DIP_OK;
    }
    known[0] = '\0';
    for (size_t i = 0; i < n; i++)
        length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", i ? ", " : "",
                                   dip_archive_modality(archive, i)->name);
    return dip_fail(DIP_ENOENT, "no collection '%.80s'; there are: %s", collection, known);
}

dip_status dip_item_find(const dip_archive *archive, const char *collection, const char *name,
                         uint64_t *id)
{
    uint32_t modality;
    dip_status status = dip_collection_find(archive, collection, &modality);
    if (!status && dip_archive_find_tile(archive, modality, name, id))
        status = dip_fail(DIP_ENOENT, "collection '%s' has no item '%.200s'", collection, name);
    return status;
}

dip_status dip_item_split(const char *name, char collection[DIP_WORD_CAPACITY], const char **id)
{
    const char *slash = strchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) : 0;
    if (!length || !slash[1])
        return dip_fail(DIP_EINVAL, "'%.80s' names no item; write collection/id", name);
    if (length >= DIP_WORD_CAPACITY)
        return dip_fail(DIP_ENOENT, "no collection '%.*s'", (int)(length < 80 ? length : 80), name);
    memcpy(collection, name, length);
    collection[length] = '\0';
    *id = slash + 1;
    return DIP_OK;
}

dip_status dip_items_named(const dip_archive *archive, char *const *names, size_t count,
                           uint32_t modalities, uint64_t **ids, size_t *n)
{
    size_t most = dip_archive_modality_count(archive);
    *n = 0;
    *ids = dip_alloc((count * most + 1) * sizeof **ids);
    if (!*ids) return DIP_ENOMEM;
    for (size_t i = 0; i < count; i++)
        for (uint32_t m = 0; m < most; m++) {
            if (!(modalities >> m & 1)) continue;
            dip_status status = dip_archive_find_tile(archive, m, names[i], &(*ids)[*n]);
            if (status && status != DIP_ENOENT) return status;
            *n += !status;
        }
    return DIP_OK;
}

/* ---- what the items of an answer share ---- */

dip_status dip_item_context_init(dip_item_context *out, const dip_service *service,
                                 const dip_view *view, const dip_request *request)
{
    *out = (dip_item_context){
        .archive = dip_service_archive(service), .base = request->base, .model = view->model};
    /* The manifest knows, at once; to count the stored embeddings is to read them all. */
    const dip_manifest *manifest = view->search->manifest;
    for (uint32_t i = 0; i < manifest->modality_count; i++) {
        int modality = dip_archive_find_modality(out->archive, manifest->modality[i].name);
        if (modality >= 0 && manifest->modality[i].count) out->dim[modality] = manifest->dim;
    }
    return DIP_OK;
}

/* ---- what came with the tile ---- */

/* Properties that are ours to write; the tile's own of the same name are left out. */
static bool is_ours(const char *key)
{
    static const char *const ours[] = {
        "datetime",      "start_datetime", "end_datetime", "gsd",   "labels",   "split",
        "primary_label", "label_source",   "scene",        "place", "modality", "source"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(key, ours[i])) return true;
    return !strncmp(key, "proj:", 5) || !strncmp(key, "sim:", 4) || !strncmp(key, "dip:", 4);
}

/* Which fields of the extensions the tile's own properties have, in the form that the schemas ask for. */
enum {
    HAS_CLOUDS = 1,
    HAS_ORBIT = 2,
    HAS_MODE = 4,
    HAS_FREQUENCY = 8,
    HAS_POLARIZATIONS = 16,
    HAS_PRODUCT = 32,
    HAS_ALL_SAR = HAS_MODE | HAS_FREQUENCY | HAS_POLARIZATIONS | HAS_PRODUCT
};

static unsigned field_of(const char *key, const char *value)
{
    if (!strcmp(key, "eo:cloud_cover")) {
        char *end;
        double share = strtod(value, &end);
        return !*end && share >= 0 && share <= 100 ? HAS_CLOUDS : 0;
    }
    if (!strcmp(key, "sat:orbit_state"))
        return !strcmp(value, "\"ascending\"") || !strcmp(value, "\"descending\"") ||
                       !strcmp(value, "\"geostationary\"")
                   ? HAS_ORBIT
                   : 0;
    bool text = *value == '"';
    if (!strcmp(key, "sar:instrument_mode")) return text ? HAS_MODE : 0;
    if (!strcmp(key, "sar:frequency_band")) return text ? HAS_FREQUENCY : 0;
    if (!strcmp(key, "sar:product_type")) return text ? HAS_PRODUCT : 0;
    if (!strcmp(key, "sar:polarizations")) return *value == '[' ? HAS_POLARIZATIONS : 0;
    return 0;
}

static bool take_own(void *context, const char *key, const char *value)
{
    unsigned *has = context;
    if (is_ours(key)) return false;
    *has |= field_of(key, value);
    return true;
}

/* ---- the item ---- */

typedef struct item {
    dip_json *json;
    const dip_item_context *context;
    const dip_meta *meta;
    const dip_modality *modality;
    dip_tile shape;
    char *encoded;          /* the name */
    uint32_t width, height; /* of the finest grid */
    bool located;           /* it has a reference system and a grid */
} item;

static void text_unless_empty(dip_json *j, const char *key, const char *text)
{
    if (*text) dip_json_text(j, key, text);
}

static void numbers(dip_json *j, const char *key, const double *values, size_t n)
{
    dip_json_array(j, key);
    for (size_t i = 0; i < n; i++) dip_json_real(j, NULL, values[i], DECIMALS);
    dip_json_end(j);
}

/* Shape and transform of a grid of so many pixels over the tile. */
static void write_grid(const item *it, uint32_t width, uint32_t height)
{
    const double *t = it->meta->transform;
    double across = (double)it->width / width, down = (double)it->height / height;
    const double affine[6] = {t[1] * across, t[2] * down, t[0], t[4] * across, t[5] * down, t[3]};
    dip_json_array(it->json, "proj:shape");
    dip_json_count(it->json, NULL, height);
    dip_json_count(it->json, NULL, width);
    dip_json_end(it->json);
    numbers(it->json, "proj:transform", affine, 6);
}

static void write_projection(const item *it)
{
    const double *t = it->meta->transform;
    double right = t[0] + t[1] * it->width, bottom = t[3] + t[5] * it->height;
    const double box[4] = {fmin(t[0], right), fmin(t[3], bottom), fmax(t[0], right),
                           fmax(t[3], bottom)};
    char code[24];
    if (!it->located) return;
    snprintf(code, sizeof code, "EPSG:%d", it->meta->epsg);
    dip_json_whole(it->json, "proj:epsg", it->meta->epsg);
    dip_json_text(it->json, "proj:code", code);
    write_grid(it, it->width, it->height);
    if (t[2] == 0 && t[4] == 0) numbers(it->json, "proj:bbox", box, 4);
}

static void write_time(dip_json *j, int64_t time)
{
    char when[DIP_WHEN_CAPACITY];
    dip_when_format(time, when, sizeof when);
    if (*when) {
        dip_json_text(j, "datetime", when);
        return;
    }
    dip_json_null(j, "datetime"); /* STAC wants a range then: any time */
    dip_json_text(j, "start_datetime", DIP_ITEM_EARLIEST);
    dip_json_text(j, "end_datetime", DIP_ITEM_LATEST);
}

static double finest_gsd(const dip_modality *modality)
{
    double finest = 0;
    for (uint32_t b = 0; b < modality->band_count; b++) {
        double gsd = modality->bands[b].gsd_m;
        if (gsd > 0 && (finest <= 0 || gsd < finest)) finest = gsd;
    }
    return finest;
}

static unsigned write_properties(const item *it, const dip_item_note *note)
{
    dip_json *j = it->json;
    const dip_meta *m = it->meta;
    double gsd = finest_gsd(it->modality);
    unsigned has = 0;
    dip_json_object(j, "properties");
    write_time(j, m->time);
    if (note && note->scored) {
        dip_json_real(j, "sim:score", note->score, 6);
        dip_json_count(j, "sim:rank", note->rank);
        dip_json_real(j, "sim:percentile", note->percentile, 3);
    }
    dip_json_text(j, "modality", it->modality->name);
    dip_json_list(j, "labels", m->labels);
    text_unless_empty(j, "primary_label", m->primary_label);
    text_unless_empty(j, "label_source", m->label_source);
    text_unless_empty(j, "split", m->split);
    text_unless_empty(j, "scene", m->scene);
    text_unless_empty(j, "source", m->source);
    text_unless_empty(j, "place", m->place_name);
    dip_json_count(j, "dip:id", m->id);
    dip_json_count(j, "dip:place", m->place);
    if (gsd > 0) dip_json_real(j, "gsd", gsd, 3);
    write_projection(it);
    dip_json_members(j, m->extra, take_own, &has);
    dip_json_end(j);
    return has;
}

static void write_extensions(const item *it, unsigned has)
{
    dip_json *j = it->json;
    dip_json_array(j, "stac_extensions");
    if (it->located) dip_json_text(j, NULL, EXTENSIONS "projection/v1.2.0/schema.json");
    if (has & HAS_CLOUDS) dip_json_text(j, NULL, EXTENSIONS "eo/v1.1.0/schema.json");
    if (has & HAS_ORBIT) dip_json_text(j, NULL, EXTENSIONS "sat/v1.0.0/schema.json");
    if ((has & HAS_ALL_SAR) == HAS_ALL_SAR)
        dip_json_text(j, NULL, EXTENSIONS "sar/v1.0.0/schema.json");
    dip_json_end(j);
}

/* ---- assets ---- */

/* The asset at `folder` and `name` below the item's address. */
static void begin_asset(const item *it, const char *key, const char *folder, const char *name,
                        const char *type, const char *title)
{
    dip_json_object(it->json, key);
    dip_json_print(it->json, "href", "%s/collections/%s/items/%s/%s%s", it->context->base,
                   it->modality->name, it->encoded, folder, name);
    dip_json_text(it->json, "type", type);
    dip_json_text(it->json, "title", title);
}

static void end_asset(const item *it, const char *role)
{
    dip_json_array(it->json, "roles");
    dip_json_text(it->json, NULL, role);
    dip_json_end(it->json);
    dip_json_end(it->json);
}

static void write_pictures(const item *it)
{
    uint32_t bands[3], width = 0, height = 0;
    uint32_t n = dip_picture_bands(it->modality, bands);
    char caption[3 * DIP_WORD_CAPACITY + 8];
    for (uint32_t i = 0; i < n && bands[i] < it->shape.plane_count; i++) {
        const dip_plane *plane = &it->shape.planes[bands[i]];
        if (plane->width > width) width = plane->width;
        if (plane->height > height) height = plane->height;
    }
    dip_picture_caption(it->modality, caption, sizeof caption);
    begin_asset(it, "visual", "", "visual", DIP_TYPE_COG, caption);
    if (it->located) write_grid(it, width, height);
    end_asset(it, "visual");
    begin_asset(it, "thumbnail", "", "thumbnail", DIP_TYPE_PNG, caption);
    end_asset(it, "thumbnail");
}

void dip_item_band_key(char key[DIP_ITEM_KEY_CAPACITY], const char *band)
{
    static const char *const taken[] = {"visual", "thumbnail", "embeddings"};
    bool clash = false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) clash |= !strcmp(band, taken[i]);
    snprintf(key, DIP_ITEM_KEY_CAPACITY, clash ? "band:%s" : "%s", band);
}

static dip_status write_band(const item *it, uint32_t position)
{
    const dip_band *band = &it->modality->bands[position];
    const dip_plane *plane = &it->shape.planes[position];
    char key[DIP_ITEM_KEY_CAPACITY], *encoded = dip_path_encode(band->name);
    if (!encoded) return DIP_ENOMEM;
    dip_item_band_key(key, band->name);
    begin_asset(it, key, "bands/", encoded, DIP_TYPE_GEOTIFF, band->name);
    if (band->gsd_m > 0) dip_json_real(it->json, "gsd", band->gsd_m, 3);
    if (it->located && (plane->width != it->width || plane->height != it->height))
        write_grid(it, plane->width, plane->height);
    end_asset(it, "data");
    dip_free(encoded);
    return DIP_OK;
}

static dip_status write_assets(const item *it)
{
    dip_status status = DIP_OK;
    size_t dim = it->context->dim[it->meta->modality];
    dip_json_object(it->json, "assets");
    if (it->shape.plane_count) write_pictures(it);
    for (uint32_t b = 0; !status && b < it->shape.plane_count; b++) status = write_band(it, b);
    if (dim) {
        begin_asset(it, "embeddings", "", "embeddings", DIP_TYPE_NPY, "embedding");
        dip_json_text(it->json, "emb:type", "chip");
        dip_json_count(it->json, "emb:dimensions", dim);
        dip_json_text(it->json, "emb:model", it->context->model);
        dip_json_text(it->json, "data_type", "float32");
        end_asset(it, "embedding");
    }
    dip_json_end(it->json);
    return status;
}

static void write_links(const item *it, const char *collection, const char *id)
{
    dip_json *j = it->json;
    const char *base = it->context->base;
    bool elsewhere = strcmp(collection, it->modality->name) != 0;
    dip_json_array(j, "links");
    dip_item_link(j, "self", DIP_TYPE_GEOJSON, NULL, "%s/collections/%s/items/%s", base, collection,
                  id);
    if (elsewhere)
        dip_item_link(j, "canonical", DIP_TYPE_GEOJSON, NULL, "%s/collections/%s/items/%s", base,
                      it->modality->name, it->encoded);
    dip_item_link(j, "root", DIP_TYPE_JSON, NULL, "%s/", base);
    dip_item_link(j, "parent", DIP_TYPE_JSON, NULL, "%s/collections/%s", base, collection);
    dip_item_link(j, "collection", DIP_TYPE_JSON, NULL, "%s/collections/%s", base, collection);
    if (it->context->dim[it->meta->modality])
        dip_item_link(j, "related", DIP_TYPE_GEOJSON, "similar items", "%s/search?similar_to=%s/%s",
                      base, it->modality->name, it->encoded);
    dip_json_end(j);
}

static dip_status write_item(item *it, const char *key, const dip_item_note *note)
{
    const char *collection = note && note->collection ? note->collection : it->modality->name;
    const char *id = note && note->id ? note->id : it->meta->name;
    char *own = id == it->meta->name ? NULL : dip_path_encode(id);
    if (!own && id != it->meta->name) return DIP_ENOMEM;
    dip_json_object(it->json, key);
    dip_json_text(it->json, "type", "Feature");
    dip_json_text(it->json, "stac_version", DIP_STAC_VERSION);
    dip_json_text(it->json, "id", id);
    dip_json_text(it->json, "collection", collection);
    dip_geojson_footprint(it->json, it->meta);
    unsigned has = write_properties(it, note);
    write_extensions(it, has);
    write_links(it, collection, own ? own : it->encoded);
    dip_status status = write_assets(it);
    dip_json_end(it->json);
    dip_free(own);
    return status;
}

static void measure(item *it)
{
    for (uint32_t i = 0; i < it->shape.plane_count; i++) {
        const dip_plane *plane = &it->shape.planes[i];
        if (plane->width > it->width) it->width = plane->width;
        if (plane->height > it->height) it->height = plane->height;
    }
    const double *t = it->meta->transform;
    it->located = it->meta->epsg > 0 && it->width && it->height && t[1] != 0 && t[5] != 0;
}

dip_status dip_item_write(dip_json *json, const char *key, const dip_item_context *context,
                          const dip_meta *meta, const dip_item_note *note)
{
    item it = {.json = json, .context = context, .meta = meta};
    it.modality = dip_archive_modality(context->archive, meta->modality);
    if (!it.modality)
        return dip_fail(DIP_ECORRUPT, "tile %llu is of modality %u, which the archive lacks",
                        (unsigned long long)meta->id, meta->modality);
    dip_status status = dip_archive_shape(context->archive, meta->id, &it.shape);
    if (status) return status;
    if (it.shape.plane_count > it.modality->band_count)
        it.shape.plane_count = it.modality->band_count;
    measure(&it);
    it.encoded = dip_path_encode(meta->name);
    status = it.encoded ? write_item(&it, key, note) : DIP_ENOMEM;
    dip_free(it.encoded);
    return status;
}
