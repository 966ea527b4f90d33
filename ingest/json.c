/* JSON of imports; see json.h. Adapter to jansson. */
#include "ingest/json.h"

#include "core/mem.h"
#include "core/acquired.h"
#include "ingest/manifest.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GEOMETRY_DEPTH = 8, TEXT_FLAGS = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) };

static dip_status load(json_t **out, const char *bytes, size_t length)
{
    json_error_t error;
    *out = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    if (*out) return DIP_OK;
    return dip_fail(DIP_EFORMAT, "not JSON: line %d: %s", error.line, error.text);
}

/* JSON text in our own heap. */
static dip_status dump(char **out, const json_t *value)
{
    char *text = json_dumps(value, TEXT_FLAGS);
    if (!text) return dip_fail(DIP_ENOMEM, "out of memory while writing JSON");
    *out = dip_strdup(text);
    free(text);
    return *out ? DIP_OK : DIP_ENOMEM;
}

/* ["a","b"] as "a|b". */
static dip_status join_list(char **out, const json_t *list)
{
    size_t need = 1, i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item)) return dip_fail(DIP_EFORMAT, "a label is not a text");
        const char *label = json_string_value(item);
        if (!*label || strpbrk(label, "|\n\r"))
            return dip_fail(DIP_EFORMAT, "label '%.100s' is empty or has a '|' or a line end",
                            label);
        need += strlen(label) + 1;
    }
    char *text = dip_alloc(need), *end = text;
    if (!text) return DIP_ENOMEM;
    json_array_foreach(list, i, item)
    {
        if (end > text) *end++ = '|';
        size_t length = strlen(json_string_value(item));
        memcpy(end, json_string_value(item), length);
        end += length;
    }
    *end = '\0';
    *out = text;
    return DIP_OK;
}

/* ---- labels of a BigEarthNet patch ---- */

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The code of the whole system stands last in its WKT. */
static int32_t epsg_of_wkt(const char *wkt)
{
    static const char mark[] = "AUTHORITY[\"EPSG\",\"";
    const char *last = NULL;
    for (const char *at = strstr(wkt, mark); at; at = strstr(at + 1, mark)) last = at;
    long code = last ? strtol(last + sizeof mark - 1, NULL, 10) : 0;
    return code > 0 && code < 1000000 ? (int32_t)code : 0;
}

static dip_status fill_patch(dip_patch_labels *out, const json_t *root)
{
    const json_t *labels = json_object_get(root, "labels");
    const json_t *corners = json_object_get(root, "coordinates");
    if (!json_is_object(root) || !json_is_array(labels))
        return dip_fail(DIP_EFORMAT, "there is no list 'labels'");
    dip_status status = join_list(&out->labels, labels);
    if (status) return status;
    const char *source = text_of(root, "tile_source");
    if (!*source) source = text_of(root, "scene_source");
    out->source = dip_strdup(source);
    out->partner = dip_strdup(text_of(root, "corresponding_s2_patch"));
    if (!out->source || !out->partner) return DIP_ENOMEM;
    out->ulx = number_of(corners, "ulx");
    out->uly = number_of(corners, "uly");
    out->lrx = number_of(corners, "lrx");
    out->lry = number_of(corners, "lry");
    if (isnan(out->lry)) out->lry = number_of(corners, "lly");
    out->epsg = epsg_of_wkt(text_of(root, "projection"));
    const char *when = text_of(root, "acquisition_date");
    if (!*when) when = text_of(root, "acquisition_time");
    dip_acquired_parse(when, &out->time);
    return DIP_OK;
}

dip_status dip_patch_labels_parse(dip_patch_labels *out, const char *bytes, size_t length)
{
    json_t *root;
    dip_patch_labels found = {.time = DIP_NO_TIME};
    dip_status status = load(&root, bytes, length);
    if (status) return status;
    status = fill_patch(&found, root);
    json_decref(root);
    if (status)
        dip_patch_labels_fini(&found);
    else
        *out = found;
    return status;
}

void dip_patch_labels_fini(dip_patch_labels *labels)
{
    dip_free(labels->labels);
    dip_free(labels->source);
    dip_free(labels->partner);
    memset(labels, 0, sizeof *labels);
}

/* ---- GeoJSON ---- */

typedef struct bounds {
    double low[2], high[2];
} bounds;

/* Positions lie at the bottom of nested arrays. */
static bool widen(bounds *b, const json_t *coordinates, int depth)
{
    if (!json_is_array(coordinates) || depth > GEOMETRY_DEPTH) return false;
    if (json_is_number(json_array_get(coordinates, 0))) {
        for (size_t i = 0; i < 2; i++) {
            const json_t *value = json_array_get(coordinates, i);
            if (!json_is_number(value)) return false;
            b->low[i] = fmin(b->low[i], json_number_value(value));
            b->high[i] = fmax(b->high[i], json_number_value(value));
        }
        return true;
    }
    size_t i;
    json_t *item;
    json_array_foreach(coordinates, i, item) if (!widen(b, item, depth + 1)) return false;
    return true;
}

static bool widen_geometry(bounds *b, const json_t *geometry, int depth)
{
    const json_t *parts = json_object_get(geometry, "geometries");
    if (!parts) return widen(b, json_object_get(geometry, "coordinates"), 0);
    if (!json_is_array(parts) || depth > GEOMETRY_DEPTH) return false;
    size_t i;
    json_t *item;
    json_array_foreach(parts, i, item) if (!widen_geometry(b, item, depth + 1)) return false;
    return true;
}

static dip_status put_geometry(dip_table *table, uint32_t *cells, const json_t *geometry)
{
    if (!geometry || json_is_null(geometry)) return DIP_OK;
    bounds b = {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}};
    if (!widen_geometry(&b, geometry, 0) || b.low[0] > b.high[0])
        return dip_fail(DIP_EFORMAT, "its geometry has no coordinates");
    const double sides[4] = {b.low[0], b.low[1], b.high[0], b.high[1]};
    dip_status status = DIP_OK;
    for (int i = 0; i < 4 && !status; i++) {
        char text[40];
        int length = snprintf(text, sizeof text, "%.17g", sides[i]);
        status = dip_table_text(table, text, (size_t)length, &cells[DIP_COLUMN_WEST + i]);
    }
    return status;
}

static dip_status put_value(dip_table *table, uint32_t *cell, const json_t *value)
{
    char *text = NULL;
    dip_status status = DIP_OK;
    if (json_is_null(value)) return DIP_OK;
    if (json_is_string(value))
        return dip_table_text(table, json_string_value(value), json_string_length(value), cell);
    status = json_is_array(value)    ? join_list(&text, value)
             : json_is_object(value) ? dip_fail(DIP_EFORMAT, "an object stands for a value")
                                     : dump(&text, value);
    if (!status) status = dip_table_text(table, text, strlen(text), cell);
    dip_free(text);
    return status;
}

static dip_status put_properties(dip_table *table, uint32_t *cells, const json_t *properties)
{
    json_t *further = json_object(), *value;
    const char *key;
    dip_status status = further ? DIP_OK : dip_fail(DIP_ENOMEM, "out of memory while reading JSON");
    json_object_foreach((json_t *)properties, key, value)
    {
        int column = dip_table_find(table, key);
        if (status) break;
        if (column < 0 || column == DIP_COLUMN_EXTRA) {
            if (json_object_set(further, key, value))
                status = dip_fail(DIP_ENOMEM, "out of memory while reading JSON");
        } else if ((status = put_value(table, &cells[column], value))) {
            dip_fail_prefix(status, "property '%s'", key);
        }
    }
    if (!status && json_object_size(further)) {
        char *text = NULL;
        status = dump(&text, further);
        if (!status) status = dip_table_text(table, text, strlen(text), &cells[DIP_COLUMN_EXTRA]);
        dip_free(text);
    }
    json_decref(further);
    return status;
}

/* A feature's own id serves where the properties name no tile. */
static dip_status put_feature(dip_table *table, uint32_t number, const json_t *feature)
{
    const json_t *properties = json_object_get(feature, "properties");
    const json_t *id = json_object_get(feature, "id");
    uint32_t *cells;
    if (!json_is_object(properties)) return dip_fail(DIP_EFORMAT, "it has no properties");
    dip_status status = dip_table_add_row(table, number, &cells);
    if (!status) status = put_geometry(table, cells, json_object_get(feature, "geometry"));
    if (!status) status = put_properties(table, cells, properties);
    if (!status && id && !cells[DIP_COLUMN_TILE_ID])
        status = put_value(table, &cells[DIP_COLUMN_TILE_ID], id);
    return status;
}

static dip_status fill_features(dip_table *table, const json_t *root)
{
    const json_t *features = json_object_get(root, "features");
    if (!json_is_array(features))
        return dip_fail(DIP_EFORMAT, "it is no GeoJSON FeatureCollection");
    dip_status status = DIP_OK;
    for (int column = 0; column < DIP_COLUMN_COUNT && !status; column++)
        status = dip_table_add_column(table, dip_column_name((dip_column)column));
    for (size_t i = 0; i < json_array_size(features) && !status; i++) {
        status = put_feature(table, (uint32_t)i + 1, json_array_get(features, i));
        if (status) dip_fail_prefix(status, "feature %zu", i + 1);
    }
    return status;
}

dip_status dip_table_parse_geojson(dip_table *out, const char *bytes, size_t length)
{
    json_t *root;
    dip_table table;
    dip_status status = load(&root, bytes, length);
    if (status) return status;
    status = dip_table_begin(&table);
    if (!status) status = fill_features(&table, root);
    json_decref(root);
    if (status)
        dip_table_fini(&table);
    else
        *out = table;
    return status;
}

/* ---- writing ---- */

static json_t *value_of(const char *text)
{
    if (*text == '-' || (*text >= '0' && *text <= '9')) {
        json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
        if (json_is_number(number)) return number;
        json_decref(number);
    }
    return json_string(text);
}

dip_status dip_extra_object(char **out, const char *const *keys, const char *const *values,
                            size_t n)
{
    json_t *object = json_object();
    bool failed = !object;
    for (size_t i = 0; i < n && !failed; i++)
        if (*values[i]) failed = json_object_set_new(object, keys[i], value_of(values[i])) != 0;
    dip_status status = DIP_OK;
    if (failed)
        status = dip_fail(DIP_ENOMEM, "out of memory while writing JSON");
    else if (json_object_size(object))
        status = dump(out, object);
    else
        status = (*out = dip_strdup("")) ? DIP_OK : DIP_ENOMEM;
    json_decref(object);
    return status;
}

dip_status dip_extra_list(char **out, const char *key, const char *list)
{
    json_t *object = json_object(), *array = json_array();
    bool failed = !object || !array;
    for (const char *at = list; *at && !failed;) {
        size_t length = strcspn(at, "|");
        failed = json_array_append_new(array, json_stringn(at, length)) != 0;
        at += length + (at[length] == '|');
    }
    dip_status status = DIP_OK;
    if (failed || json_object_set(object, key, array))
        status = dip_fail(DIP_ENOMEM, "out of memory while writing JSON");
    else
        status = dump(out, object);
    json_decref(array);
    json_decref(object);
    return status;
}
