/*
 * Parameters of a search; see ask.h. Adapter to jansson.
 *
 * One table says what each parameter is. The query string and the body both go through it: texts of GET are read here,
 * values of POST come from jansson, and the same setters check both.
 */
#include "server/ask.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/options.h"
#include "core/status.h"
#include "core/when.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { NAMES, TEXT, SHAPE, FILTER, TIME, COUNT, NUMBER, FLAG, BOX, VECTOR } kind;

typedef struct parameter {
    const char *name; /* in the body */
    const char *get;  /* in the query string; NULL: the same */
    kind kind;
    size_t offset, count; /* in dip_ask; count: of what goes with it */
    double low, high;     /* NUMBER */
} parameter;

#define AT(member) offsetof(dip_ask, member)

static const parameter general[] = {
    {"ids", NULL, NAMES, AT(ids), AT(id_count), 0, 0},
    {"collections", NULL, NAMES, AT(collections), AT(collection_count), 0, 0},
    {"aggregations", NULL, NAMES, AT(aggregations), AT(aggregation_count), 0, 0},
    {"bbox", NULL, BOX, AT(bbox), AT(has_bbox), 0, 0},
    {"intersects", NULL, SHAPE, AT(intersects), 0, 0, 0},
    {"datetime", NULL, TIME, AT(datetime), 0, 0, 0},
    {"filter", NULL, FILTER, AT(filter), 0, 0, 0},
    {"limit", NULL, COUNT, AT(limit), 0, 0, 0},
    {"token", NULL, TEXT, AT(token), 0, 0, 0},
};

static const parameter similarity[] = {
    {"item", "similar_to", TEXT, AT(item), 0, 0, 0},
    {"positive", NULL, NAMES, AT(positive), AT(positive_count), 0, 0},
    {"negative", NULL, NAMES, AT(negative), AT(negative_count), 0, 0},
    {"vector", NULL, VECTOR, AT(vector), AT(vector_length), 0, 0},
    {"k", NULL, COUNT, AT(k), 0, 0, 0},
    {"min_score", NULL, NUMBER, AT(min_score), 0, -1, 1},
    {"recall", NULL, NUMBER, AT(recall), 0, 0, 1},
    {"max_ms", NULL, NUMBER, AT(max_ms), 0, 0, 1e9},
    {"diversify_km", NULL, NUMBER, AT(diversify_km), 0, 0, 40000},
    {"exact", NULL, FLAG, AT(exact), 0, 0, 0},
    {"one_per_place", NULL, FLAG, AT(one_per_place), 0, 0, 0},
};

enum {
    GENERAL = sizeof general / sizeof *general,
    SIMILARITY = sizeof similarity / sizeof *similarity
};

static void *member(dip_ask *ask, size_t offset) { return (char *)ask + offset; }

/* ---- values that are known to be of the right type ---- */

static dip_status set_text(dip_ask *ask, const parameter *p, const char *text)
{
    char **to = member(ask, p->offset);
    if (!*text) return dip_fail(DIP_EINVAL, "%s: it is empty", p->name);
    dip_free(*to);
    *to = dip_strdup(text);
    return *to ? DIP_OK : DIP_ENOMEM;
}

static dip_status set_time(dip_ask *ask, const parameter *p, const char *text)
{
    int64_t from, to;
    dip_status status = dip_when_interval(text, &from, &to);
    return status ? dip_fail_prefix(status, "%s", p->name) : set_text(ask, p, text);
}

static dip_status set_number(dip_ask *ask, const parameter *p, double number)
{
    if (!(number >= p->low && number <= p->high))
        return dip_fail(DIP_EINVAL, "%s: %.10g is not from %g to %g", p->name, number, p->low,
                        p->high);
    *(double *)member(ask, p->offset) = number;
    return DIP_OK;
}

static dip_status set_count(dip_ask *ask, const parameter *p, double number)
{
    if (!(number >= 1) || number != floor(number))
        return dip_fail(DIP_EINVAL, "%s: %.10g is no whole number from 1", p->name, number);
    *(size_t *)member(ask, p->offset) = number < 1e9 ? (size_t)number : (size_t)1e9;
    return DIP_OK;
}

static dip_status set_box(dip_ask *ask, const parameter *p, const double *numbers, size_t n)
{
    if (n != 4 && n != 6)
        return dip_fail(DIP_EINVAL,
                        "%s: %zu numbers; a box has four (west, south, east, north), or six with "
                        "heights",
                        p->name, n);
    const double box[4] = {numbers[0], numbers[1], numbers[n / 2], numbers[n / 2 + 1]};
    if (!(fabs(box[0]) <= 180 && fabs(box[2]) <= 180))
        return dip_fail(DIP_EINVAL, "%s: longitudes %.10g, %.10g must lie in -180..180", p->name,
                        box[0], box[2]);
    if (!(fabs(box[1]) <= 90 && fabs(box[3]) <= 90))
        return dip_fail(DIP_EINVAL, "%s: latitudes %.10g, %.10g must lie in -90..90", p->name,
                        box[1], box[3]);
    if (box[1] > box[3])
        return dip_fail(DIP_EINVAL, "%s: south %.10g is north of north %.10g", p->name, box[1],
                        box[3]);
    memcpy(ask->bbox, box, sizeof box);
    ask->has_bbox = true;
    return DIP_OK;
}

static dip_status set_vector(dip_ask *ask, const parameter *p, const double *numbers, size_t n)
{
    if (!n) return dip_fail(DIP_EINVAL, "%s: it has no numbers", p->name);
    float *vector = dip_alloc(n * sizeof *vector);
    if (!vector) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) vector[i] = (float)numbers[i];
    dip_free(ask->vector);
    ask->vector = vector;
    ask->vector_length = n;
    return DIP_OK;
}

/* Finite also as float. */
static dip_status check_element(const parameter *p, double number, size_t at)
{
    if (fabs(number) <= 3e38) return DIP_OK;
    return dip_fail(DIP_EINVAL, "%s: number %zu is too large, or none", p->name, at + 1);
}

static dip_status set_numbers(dip_ask *ask, const parameter *p, const double *numbers, size_t n)
{
    return p->kind == BOX ? set_box(ask, p, numbers, n) : set_vector(ask, p, numbers, n);
}

static dip_status wrong_type(const parameter *p, const char *wanted)
{
    return dip_fail(DIP_EINVAL, "%s: it must be %s", p->name, wanted);
}

static dip_status too_many(const parameter *p)
{
    return dip_fail(DIP_EINVAL, "%s: more than %d values", p->name, DIP_ASK_MOST_VALUES);
}

/* Adds a name to a list. */
static dip_status add_name(dip_ask *ask, const parameter *p, const char *name, size_t length)
{
    char ***list = member(ask, p->offset);
    size_t *count = member(ask, p->count);
    if (!length) return dip_fail(DIP_EINVAL, "%s: a name is empty", p->name);
    if (*count == DIP_ASK_MOST_VALUES) return too_many(p);
    char **longer = dip_realloc(*list, (*count + 1) * sizeof *longer);
    if (!longer) return DIP_ENOMEM;
    *list = longer;
    longer[*count] = dip_strndup(name, length);
    if (!longer[*count]) return DIP_ENOMEM;
    ++*count;
    return DIP_OK;
}

/* ---- the query string ---- */

static dip_status read_names(dip_ask *ask, const parameter *p, const char *text)
{
    dip_status status = DIP_OK;
    for (const char *at = text; !status; at++) {
        size_t length = strcspn(at, ",");
        status = add_name(ask, p, at, length);
        at += length;
        if (!*at) break;
    }
    return status;
}

static dip_status read_number(const parameter *p, const char **text, double *number)
{
    char *end;
    const char *digits = *text + strspn(*text, "+-");
    if (!strchr("0123456789.", *digits) || !*digits || digits[strcspn(digits, "xX,")] == 'x' ||
        digits[strcspn(digits, "xX,")] == 'X')
        return dip_fail(DIP_EINVAL, "%s: '%.40s' is no number", p->name, *text);
    *number = strtod(*text, &end);
    if (end == *text || (*end && *end != ',') || isnan(*number))
        return dip_fail(DIP_EINVAL, "%s: '%.40s' is no number", p->name, *text);
    *text = end;
    return DIP_OK;
}

static dip_status read_numbers(dip_ask *ask, const parameter *p, const char *text)
{
    double *numbers = dip_alloc(DIP_ASK_MOST_VALUES * sizeof *numbers);
    dip_status status = numbers ? DIP_OK : DIP_ENOMEM;
    size_t n = 0;
    while (!status) {
        if (n == DIP_ASK_MOST_VALUES) {
            status = too_many(p);
            break;
        }
        status = read_number(p, &text, &numbers[n]);
        if (!status) status = check_element(p, numbers[n], n);
        n++;
        if (!*text) break;
        text++;
    }
    if (!status) status = set_numbers(ask, p, numbers, n);
    dip_free(numbers);
    return status;
}

static dip_status read_flag(dip_ask *ask, const parameter *p, const char *text)
{
    bool yes = !strcmp(text, "true") || !strcmp(text, "1") || !*text,
         no = !strcmp(text, "false") || !strcmp(text, "0");
    *(bool *)member(ask, p->offset) = yes;
    return yes || no ? DIP_OK
                     : dip_fail(DIP_EINVAL, "%s: '%.40s' is neither true nor false", p->name, text);
}

static dip_status read_single(dip_ask *ask, const parameter *p, const char *text)
{
    double number;
    dip_status status = read_number(p, &text, &number);
    if (status) return status;
    if (*text) return dip_fail(DIP_EINVAL, "%s: it is more than one number", p->name);
    return p->kind == COUNT ? set_count(ask, p, number) : set_number(ask, p, number);
}

static dip_status read_shape(dip_ask *ask, const parameter *p, const char *text)
{
    json_error_t error;
    json_t *shape = json_loads(text, 0, &error);
    bool read = shape != NULL, object = json_is_object(shape);
    json_decref(shape);
    if (!read) return dip_fail(DIP_EINVAL, "%s: no GeoJSON: %s", p->name, error.text);
    if (!object) return wrong_type(p, "a GeoJSON geometry");
    return set_text(ask, p, text);
}

static dip_status read_field(dip_ask *ask, const parameter *p, const char *text)
{
    switch (p->kind) {
    case NAMES: return read_names(ask, p, text);
    case BOX:
    case VECTOR: return read_numbers(ask, p, text);
    case FLAG: return read_flag(ask, p, text);
    case COUNT:
    case NUMBER: return read_single(ask, p, text);
    case TIME: return set_time(ask, p, text);
    case SHAPE: return read_shape(ask, p, text);
    default: return set_text(ask, p, text);
    }
}

static const parameter *find_get(const parameter *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(table[i].get ? table[i].get : table[i].name, name)) return &table[i];
    return NULL;
}

/* Lines about a parameter that GET calls otherwise begin with the name that the client used. */
static dip_status read_query(dip_ask *ask, const dip_request *request, const char **first)
{
    for (size_t i = 0; i < request->query_count; i++) {
        const dip_field *field = &request->query[i];
        const parameter *p = find_get(general, GENERAL, field->name),
                        *own = find_get(similarity, SIMILARITY, field->name);
        if (!p && !own) continue;
        if (own && !*first) *first = own->get ? own->get : own->name;
        parameter named = p ? *p : *own;
        named.name = field->name;
        dip_status status = read_field(ask, &named, field->value);
        if (status) return status;
    }
    return DIP_OK;
}

static const char *query_value(const dip_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (!strcmp(request->query[i].name, name)) return request->query[i].value;
    return NULL;
}

/* ---- the body ---- */

static dip_status take_names(dip_ask *ask, const parameter *p, const json_t *array)
{
    size_t i;
    const json_t *name;
    if (!json_is_array(array)) return wrong_type(p, "an array of texts");
    json_array_foreach(array, i, name)
    {
        if (!json_is_string(name)) return wrong_type(p, "an array of texts");
        dip_status status = add_name(ask, p, json_string_value(name), json_string_length(name));
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status take_numbers(dip_ask *ask, const parameter *p, const json_t *array)
{
    size_t i, n = json_array_size(array);
    const json_t *number;
    if (!json_is_array(array)) return wrong_type(p, "an array of numbers");
    if (n > DIP_ASK_MOST_VALUES) return too_many(p);
    double *numbers = dip_alloc((n + 1) * sizeof *numbers);
    dip_status status = numbers ? DIP_OK : DIP_ENOMEM;
    json_array_foreach(array, i, number)
    {
        if (status) break;
        if (!json_is_number(number)) {
            status = wrong_type(p, "an array of numbers");
            break;
        }
        numbers[i] = json_number_value(number);
        status = check_element(p, numbers[i], i);
    }
    if (!status) status = set_numbers(ask, p, numbers, n);
    dip_free(numbers);
    return status;
}

static dip_status take_object(dip_ask *ask, const parameter *p, const json_t *value)
{
    if (p->kind == FILTER && json_is_string(value))
        return set_text(ask, p, json_string_value(value));
    if (!json_is_object(value))
        return wrong_type(p,
                          p->kind == FILTER ? "CQL2: an object, or a text" : "a GeoJSON geometry");
    char *text = json_dumps(value, JSON_COMPACT);
    dip_status status = text ? set_text(ask, p, text)
                             : dip_fail(DIP_ENOMEM, "out of memory: %s of a search", p->name);
    free(text); /* by jansson, of the C library */
    return status;
}

static dip_status take_value(dip_ask *ask, const parameter *p, const json_t *value)
{
    switch (p->kind) {
    case NAMES: return take_names(ask, p, value);
    case BOX:
    case VECTOR: return take_numbers(ask, p, value);
    case SHAPE:
    case FILTER: return take_object(ask, p, value);
    case FLAG:
        if (!json_is_boolean(value)) return wrong_type(p, "true or false");
        *(bool *)member(ask, p->offset) = json_is_true(value);
        return DIP_OK;
    case COUNT:
        if (!json_is_number(value)) return wrong_type(p, "a number");
        return set_count(ask, p, json_number_value(value));
    case NUMBER:
        if (!json_is_number(value)) return wrong_type(p, "a number");
        return set_number(ask, p, json_number_value(value));
    default:
        if (!json_is_string(value)) return wrong_type(p, "a text");
        return p->kind == TIME ? set_time(ask, p, json_string_value(value))
                               : set_text(ask, p, json_string_value(value));
    }
}

static dip_status unknown_name(const char *name)
{
    const char *known[SIMILARITY];
    for (size_t i = 0; i < SIMILARITY; i++) known[i] = similarity[i].name;
    const char *nearest = dip_nearest_word(name, known, SIMILARITY);
    if (nearest)
        return dip_fail(DIP_EINVAL, "similarity: there is no '%.60s'; did you mean '%s'?", name,
                        nearest);
    return dip_fail(DIP_EINVAL,
                    "similarity: there is no '%.60s'; it has item, positive, negative, vector, k, "
                    "min_score, exact, recall, max_ms, diversify_km, one_per_place",
                    name);
}

static dip_status take_members(dip_ask *ask, const parameter *table, size_t count,
                               const json_t *object)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, table[i].name);
        if (!value || json_is_null(value)) continue;
        dip_status status = take_value(ask, &table[i], value);
        if (status) return status;
    }
    return DIP_OK;
}

static dip_status take_similarity(dip_ask *ask, json_t *object)
{
    const char *name;
    json_t *value;
    if (!object || json_is_null(object)) return DIP_OK;
    if (!json_is_object(object)) return dip_fail(DIP_EINVAL, "similarity: it must be an object");
    json_object_foreach(object, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < SIMILARITY; i++) known |= !strcmp(similarity[i].name, name);
        if (!known) return unknown_name(name);
    }
    ask->similar = true;
    return take_members(ask, similarity, SIMILARITY, object);
}

/* ---- both ---- */

static dip_status check_language(const dip_ask *ask, const char *language)
{
    if (!language) return DIP_OK;
    bool text = !strcmp(language, "cql2-text"), json = !strcmp(language, "cql2-json");
    if (!text && !json)
        return dip_fail(DIP_EINVAL, "filter-lang: there is no '%.40s'; cql2-text and cql2-json are",
                        language);
    if (!ask->filter) return DIP_OK;
    bool object = ask->filter[strspn(ask->filter, " \t\r\n")] == '{';
    if (object == json) return DIP_OK;
    return dip_fail(DIP_EINVAL, "filter: it is %s, but filter-lang says %s",
                    object ? "a JSON object" : "no JSON object", language);
}

static dip_status finish(dip_ask *ask, size_t default_limit, size_t most_items)
{
    if (ask->has_bbox && ask->intersects)
        return dip_fail(DIP_EINVAL, "bbox: not together with intersects; give one of them");
    bool limited = ask->limit != 0;
    if (!ask->k) ask->k = limited ? ask->limit : DIP_ASK_LIMIT;
    if (ask->k > DIP_ASK_MOST_HITS) ask->k = DIP_ASK_MOST_HITS;
    if (!ask->limit) ask->limit = default_limit;
    if (ask->limit > most_items) ask->limit = most_items;
    if (limited && ask->k > ask->limit) ask->k = ask->limit;
    if (!ask->similar) return DIP_OK;
    if (ask->item && ask->vector)
        return dip_fail(DIP_EINVAL, "similarity: item and vector; give one of them");
    if (ask->item || ask->vector || ask->positive_count) return DIP_OK;
    return dip_fail(DIP_EINVAL, "similarity: it names nothing to compare with; give item "
                                "(\"collection/id\"), vector or positive");
}

static dip_status parse_get(dip_ask *ask, const dip_request *request)
{
    const char *first = NULL;
    dip_status status = read_query(ask, request, &first);
    if (!status) status = check_language(ask, query_value(request, "filter-lang"));
    if (status) return status;
    ask->similar = ask->item || ask->vector || ask->positive_count;
    if (!first || ask->similar) return DIP_OK;
    return dip_fail(DIP_EINVAL, "%s: it belongs to similar_to=collection/id, which is not there",
                    first);
}

static dip_status keep_text(dip_ask *ask, json_t *root)
{
    json_object_del(root, "token");
    char *text = json_dumps(root, JSON_COMPACT);
    ask->text = text ? dip_strdup(text) : NULL;
    free(text); /* by jansson, of the C library */
    return ask->text ? DIP_OK : dip_fail(DIP_ENOMEM, "out of memory: the body of a search");
}

static dip_status take_root(dip_ask *ask, json_t *root)
{
    if (!json_is_object(root)) return dip_fail(DIP_EINVAL, "body: it must be a JSON object");
    const json_t *language = json_object_get(root, "filter-lang");
    dip_status status = take_members(ask, general, GENERAL, root);
    if (!status && language && !json_is_string(language) && !json_is_null(language))
        status = dip_fail(DIP_EINVAL, "filter-lang: it must be a text");
    if (!status) status = check_language(ask, json_string_value(language));
    if (!status) status = take_similarity(ask, json_object_get(root, "similarity"));
    return status ? status : keep_text(ask, root);
}

static dip_status parse_body(dip_ask *ask, const char *text, size_t length)
{
    json_error_t error;
    if (length > DIP_ASK_MOST_BYTES)
        return dip_fail(DIP_EINVAL,
                        "body: %zu bytes; a search has %d at most, so simplify its geometry",
                        length, DIP_ASK_MOST_BYTES);
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return dip_fail(DIP_EINVAL, "body: no JSON: %s (line %d, column %d)", error.text,
                        error.line, error.column);
    dip_status status = take_root(ask, root);
    json_decref(root);
    return status;
}

static dip_status end(dip_ask *ask, dip_status status, size_t default_limit, size_t most_items,
                      dip_ask *out)
{
    if (!status) status = finish(ask, default_limit, most_items);
    if (status)
        dip_ask_fini(ask);
    else
        *out = *ask;
    return status;
}

dip_status dip_ask_parse(dip_ask *out, const dip_request *request, size_t default_limit,
                         size_t most_items)
{
    dip_ask ask = {.min_score = -1};
    dip_status status = strcmp(request->method, "POST") != 0
                            ? parse_get(&ask, request)
                            : parse_body(&ask, (const char *)request->body, request->body_length);
    return end(&ask, status, default_limit, most_items, out);
}

dip_status dip_ask_parse_json(dip_ask *out, const char *text, size_t default_limit,
                              size_t most_items)
{
    dip_ask ask = {.min_score = -1};
    return end(&ask, parse_body(&ask, text, strlen(text)), default_limit, most_items, out);
}

void dip_ask_fini(dip_ask *ask)
{
    dip_names_free(ask->ids, ask->id_count);
    dip_names_free(ask->collections, ask->collection_count);
    dip_names_free(ask->aggregations, ask->aggregation_count);
    dip_names_free(ask->positive, ask->positive_count);
    dip_names_free(ask->negative, ask->negative_count);
    dip_free(ask->intersects);
    dip_free(ask->datetime);
    dip_free(ask->filter);
    dip_free(ask->token);
    dip_free(ask->item);
    dip_free(ask->vector);
    dip_free(ask->text);
    *ask = (dip_ask){0};
}

void dip_ask_query(const dip_ask *ask, dip_query *query)
{
    query->bbox = ask->has_bbox ? ask->bbox : NULL;
    query->intersects = ask->intersects;
    query->datetime = ask->datetime;
    query->filter = ask->filter;
    query->k = ask->k;
    query->min_score = ask->min_score;
    query->exact = ask->exact;
    query->recall = ask->recall;
    query->budget_ms = ask->max_ms;
    query->one_per_place = ask->one_per_place;
    query->diversify_km = ask->diversify_km;
}
