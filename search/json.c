/*
 * CQL2-JSON into terms, and properties; see json.h. Adapter to jansson.
 *
 * A JSON term has no position: what is wrong is named by the operator that it stands in.
 */
#include "search/json.h"

#include "core/mem.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- filters ---- */

static dip_status parse_value(dip_term **out, json_t *value, unsigned depth);

static dip_status make(dip_term **out, dip_term_kind kind, const char *text)
{
    *out = dip_term_create(kind, 0, text, text ? strlen(text) : 0);
    return *out ? DIP_OK : DIP_ENOMEM;
}

static dip_status parse_items(dip_term **first, const json_t *array, unsigned depth)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        dip_status status = parse_value(first, item, depth);
        if (status) return status;
        first = &(*first)->next;
    }
    return DIP_OK;
}

static dip_status parse_op(dip_term **out, const json_t *object, unsigned depth)
{
    const char *name = json_string_value(json_object_get(object, "op"));
    const json_t *args = json_object_get(object, "args");
    if (!name) return dip_cql_fail(0, "an \"op\" must be a text");
    dip_op op = dip_op_find(name, strlen(name));
    if (op == DIP_OP_COUNT) return dip_cql_fail(0, "there is no operator '%.40s' here", name);
    if (!json_is_array(args)) return dip_cql_fail(0, "'%s' has no array of \"args\"", name);
    if (depth > DIP_CQL_DEPTH)
        return dip_cql_fail(0, "more than %d levels of nesting", DIP_CQL_DEPTH);
    dip_status status = make(out, DIP_TERM_OP, NULL);
    if (status) return status;
    (*out)->op = op;
    status = parse_items(&(*out)->args, args, depth + 1);
    return status ? status : dip_term_check_count(*out);
}

static dip_status parse_time(dip_term **out, const json_t *begin, const json_t *end)
{
    if (!json_is_string(begin) || (end && !json_is_string(end)))
        return dip_cql_fail(0, "a time must be a text, an interval an array of two");
    dip_status status = make(out, DIP_TERM_TIME, NULL);
    if (status) return status;
    return dip_term_set_time(*out, json_string_value(begin), end ? json_string_value(end) : NULL);
}

static dip_status parse_box(dip_term **out, const json_t *numbers)
{
    if (json_array_size(numbers) != 4)
        return dip_cql_fail(0, "a \"bbox\" is four numbers: west, south, east, north");
    dip_status status = make(out, DIP_TERM_BOX, NULL);
    for (size_t i = 0; i < 4 && !status; i++) {
        const json_t *number = json_array_get(numbers, i);
        if (!json_is_number(number))
            return dip_cql_fail(0, "a \"bbox\" is four numbers: west, south, east, north");
        (*out)->box[i] = json_number_value(number);
    }
    return status;
}

static dip_status parse_geometry(dip_term **out, const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    dip_status status =
        text ? make(out, DIP_TERM_GEOJSON, text) : dip_cql_fail(0, "the geometry cannot be read");
    free(text); /* by jansson, of the C library */
    return status;
}

static dip_status parse_object(dip_term **out, json_t *object, unsigned depth)
{
    const json_t *property = json_object_get(object, "property"),
                 *interval = json_object_get(object, "interval"),
                 *date = json_object_get(object, "date"),
                 *moment = json_object_get(object, "timestamp"),
                 *box = json_object_get(object, "bbox");
    if (json_object_get(object, "op")) return parse_op(out, object, depth);
    if (json_is_string(property)) return make(out, DIP_TERM_PROPERTY, json_string_value(property));
    if (interval) {
        if (json_array_size(interval) != 2)
            return dip_cql_fail(0, "an interval is an array of two times");
        return parse_time(out, json_array_get(interval, 0), json_array_get(interval, 1));
    }
    if (date || moment) return parse_time(out, date ? date : moment, NULL);
    if (json_object_get(object, "type")) return parse_geometry(out, object);
    if (box) return parse_box(out, box);
    return dip_cql_fail(0, "expected an object with op, property, date, timestamp, interval, bbox "
                           "or type (a geometry)");
}

static dip_status parse_value(dip_term **out, json_t *value, unsigned depth)
{
    dip_status status;
    switch (json_typeof(value)) {
    case JSON_OBJECT: return parse_object(out, value, depth);
    case JSON_STRING: return make(out, DIP_TERM_TEXT, json_string_value(value));
    case JSON_TRUE: return make(out, DIP_TERM_TEXT, "true");
    case JSON_FALSE: return make(out, DIP_TERM_TEXT, "false");
    case JSON_INTEGER:
    case JSON_REAL:
        status = make(out, DIP_TERM_NUMBER, NULL);
        if (!status) (*out)->number = json_number_value(value);
        return status;
    case JSON_ARRAY:
        if (depth > DIP_CQL_DEPTH)
            return dip_cql_fail(0, "more than %d levels of nesting", DIP_CQL_DEPTH);
        status = make(out, DIP_TERM_LIST, NULL);
        return status ? status : parse_items(&(*out)->args, value, depth + 1);
    default: return dip_cql_fail(0, "null is no value; use isNull");
    }
}

dip_status dip_cql_parse_json(dip_term **out, const char *text)
{
    json_error_t error;
    dip_term *term = NULL;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return dip_cql_fail(error.position > 0 ? (size_t)error.position : 0, "no JSON: %s",
                            error.text);
    dip_status status = parse_value(&term, root, 0);
    json_decref(root);
    if (status)
        dip_term_free(term);
    else
        *out = term;
    return status;
}

/* ---- geometries ---- */

/* How deep a geometry nests its positions. */
static const struct {
    const char *type;
    unsigned levels;
} geometries[] = {
    {"Point", 0},   {"MultiPoint", 1},      {"LineString", 1},
    {"Polygon", 2}, {"MultiLineString", 2}, {"MultiPolygon", 3},
};

/* Checks positions and leaves longitude and latitude of each, whose third number would be a height. */
static dip_status flatten(json_t *value, unsigned levels)
{
    size_t n = json_array_size(value);
    if (!levels) {
        if (!json_is_number(json_array_get(value, 0)) || !json_is_number(json_array_get(value, 1)))
            return dip_fail(DIP_EINVAL, "geometry: a position is no array of two numbers");
        while (json_array_size(value) > 2) json_array_remove(value, 2);
        return DIP_OK;
    }
    if (!n) return dip_fail(DIP_EINVAL, "geometry: an array of its coordinates is empty or none");
    for (size_t i = 0; i < n; i++) {
        dip_status status = flatten(json_array_get(value, i), levels - 1);
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status copy_geometry(json_t **out, const json_t *from, unsigned depth);

/* What a collection holds, as a GeometryCollection. */
static dip_status copy_members(json_t **out, const json_t *members, unsigned depth)
{
    size_t i;
    const json_t *member;
    json_t *copies = json_array();
    if (!json_array_size(members)) {
        json_decref(copies);
        return dip_fail(DIP_EINVAL, "geometry: the collection is empty");
    }
    json_array_foreach(members, i, member)
    {
        json_t *copy = NULL;
        dip_status status = copy_geometry(&copy, member, depth + 1);
        if (status) {
            json_decref(copies);
            return status;
        }
        json_array_append_new(copies, copy);
    }
    *out = json_pack("{s:s, s:o}", "type", "GeometryCollection", "geometries", copies);
    return *out ? DIP_OK : dip_fail(DIP_ENOMEM, "out of memory: a geometry");
}

/* *out is the geometry alone, checked: of a Feature what it shows, of collections all that they hold. */
static dip_status copy_geometry(json_t **out, const json_t *from, unsigned depth)
{
    const char *type = json_string_value(json_object_get(from, "type"));
    if (!type) return dip_fail(DIP_EINVAL, "geometry: it has no \"type\"");
    if (depth > DIP_CQL_DEPTH)
        return dip_fail(DIP_EINVAL, "geometry: more than %d levels of nesting", DIP_CQL_DEPTH);
    if (strcmp(type, "Feature") == 0)
        return copy_geometry(out, json_object_get(from, "geometry"), depth + 1);
    if (strcmp(type, "FeatureCollection") == 0)
        return copy_members(out, json_object_get(from, "features"), depth);
    if (strcmp(type, "GeometryCollection") == 0)
        return copy_members(out, json_object_get(from, "geometries"), depth);
    for (size_t i = 0; i < sizeof geometries / sizeof *geometries; i++) {
        if (strcmp(type, geometries[i].type) != 0) continue;
        json_t *coordinates = json_deep_copy(json_object_get(from, "coordinates"));
        dip_status status = flatten(coordinates, geometries[i].levels);
        if (status) {
            json_decref(coordinates);
            return status;
        }
        *out = json_pack("{s:s, s:o}", "type", geometries[i].type, "coordinates", coordinates);
        return *out ? DIP_OK : dip_fail(DIP_ENOMEM, "out of memory: a geometry");
    }
    return dip_fail(DIP_EINVAL,
                    "geometry: there is no type '%.40s'; GeoJSON has Point, LineString, Polygon, "
                    "their Multi forms, collections and features",
                    type);
}

dip_status dip_json_geometry(char **out, const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    if (!root)
        return dip_fail(DIP_EINVAL, "no JSON: %s, line %d, column %d", error.text, error.line,
                        error.column);
    json_t *copy = NULL;
    dip_status status = copy_geometry(&copy, root, 0);
    json_decref(root);
    if (status) return status;
    char *checked = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    *out = checked ? dip_strdup(checked) : NULL;
    free(checked); /* by jansson, of the C library */
    return *out ? DIP_OK : DIP_ENOMEM;
}

/* ---- properties ---- */

/* "a|b" from ["a","b"]; *list is NULL if it is no array of texts. */
static dip_status join(char **list, const json_t *array)
{
    size_t i, length = 1;
    const json_t *item;
    *list = NULL;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item)) return DIP_OK;
        length += json_string_length(item) + 1;
    }
    char *text = dip_alloc(length), *end = text;
    if (!text) return DIP_ENOMEM;
    json_array_foreach(array, i, item)
    {
        if (i) *end++ = '|';
        memcpy(end, json_string_value(item), json_string_length(item));
        end += json_string_length(item);
    }
    *end = '\0';
    *list = text;
    return DIP_OK;
}

static dip_status visit_list(const char *name, const json_t *array, dip_property_fn visit,
                             void *context)
{
    char *list;
    dip_status status = join(&list, array);
    if (!status && list) status = visit(context, name, list, true, NAN);
    dip_free(list);
    return status;
}

dip_status dip_json_properties(const char *object, dip_property_fn visit, void *context)
{
    const char *name;
    json_t *value, *root = json_loads(object, 0, NULL);
    dip_status status = DIP_OK;
    json_object_foreach(root, name, value)
    {
        if (json_is_string(value))
            status = visit(context, name, json_string_value(value), false, NAN);
        else if (json_is_boolean(value))
            status = visit(context, name, json_is_true(value) ? "true" : "false", false, NAN);
        else if (json_is_number(value))
            status = visit(context, name, NULL, false, json_number_value(value));
        else if (json_is_array(value))
            status = visit_list(name, value, visit, context);
        if (status) break;
    }
    json_decref(root);
    return status;
}
