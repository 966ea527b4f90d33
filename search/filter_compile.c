/*
 * Compiling a filter; see filter.h.
 *
 * A predicate becomes a leaf over one column, NOT is carried down to it: the opposite of a leaf passes rows whose
 * column is known and that the leaf does not pass. Texts are compared once a different text, not once a row: the leaf
 * holds a yes or no for each text number, and the opposite is another such table.
 */
#include "search/filter_node.h"

#include "core/mem.h"
#include "core/status.h"
#include "core/when.h"
#include "search/cql.h"
#include "search/json.h"

#include <math.h>
#include <string.h>

typedef struct compiler {
    const dip_columns *columns;
    dip_properties *properties;
} compiler;

/* ---- leaves ---- */

static dip_status make(dip_node **out, dip_node_kind kind)
{
    *out = dip_node_create(kind);
    return *out ? DIP_OK : DIP_ENOMEM;
}

/* kind(children); takes them over. Children that are NULL are left out. */
static dip_status join(dip_node **out, dip_node_kind kind, dip_node *a, dip_node *b)
{
    dip_status status = make(out, kind);
    if (status) {
        dip_node_free(a);
        dip_node_free(b);
        return status;
    }
    if (a) dip_node_add(*out, a);
    if (b) dip_node_add(*out, b);
    return DIP_OK;
}

/* The opposite of a leaf: rows that `known` passes and the leaf does not. Takes both over. */
static dip_status oppose(dip_node **leaf, dip_node *known)
{
    dip_node *but;
    dip_status status = join(&but, DIP_NODE_BUT, *leaf, NULL);
    *leaf = NULL;
    if (status) {
        dip_node_free(known);
        return status;
    }
    return join(leaf, DIP_NODE_ALL, known, but);
}

static dip_status make_time(dip_node **out, int64_t first, int64_t last)
{
    dip_status status = make(out, DIP_NODE_TIME);
    if (status) return status;
    (*out)->first = first == DIP_NO_TIME ? DIP_NO_TIME + 1 : first;
    (*out)->last = last;
    return DIP_OK;
}

static dip_status make_range(dip_node **out, const double *values, double low, double high)
{
    dip_status status = make(out, DIP_NODE_RANGE);
    if (status) return status;
    (*out)->values = values;
    (*out)->low = low;
    (*out)->high = high;
    return DIP_OK;
}

static dip_status check_box(const double *box)
{
    for (int i = 0; i < 4; i++)
        if (!isfinite(box[i])) return dip_fail(DIP_EINVAL, "bbox: a bound is not a number");
    if (fabs(box[0]) > 180 || fabs(box[2]) > 180)
        return dip_fail(DIP_EINVAL, "bbox: longitudes %.10g, %.10g must lie in -180..180", box[0],
                        box[2]);
    if (fabs(box[1]) > 90 || fabs(box[3]) > 90)
        return dip_fail(DIP_EINVAL, "bbox: latitudes %.10g, %.10g must lie in -90..90", box[1],
                        box[3]);
    if (box[1] > box[3])
        return dip_fail(DIP_EINVAL, "bbox: south %.10g is north of north %.10g", box[1], box[3]);
    return DIP_OK;
}

static dip_status make_box(dip_node **out, const double *box, bool within)
{
    dip_status status = check_box(box);
    if (!status) status = make(out, DIP_NODE_BOX);
    if (status) return status;
    /* To the grid of the footprints, so that a border that touches one does. */
    (*out)->west = (int32_t)lround(box[0] * DIP_DEGREE);
    (*out)->south = (int32_t)lround(box[1] * DIP_DEGREE);
    (*out)->east = (int32_t)lround(box[2] * DIP_DEGREE);
    (*out)->north = (int32_t)lround(box[3] * DIP_DEGREE);
    (*out)->within = within;
    return DIP_OK;
}

static dip_status make_known_place(dip_node **out)
{
    static const double world[4] = {-180, -90, 180, 90};
    return make_box(out, world, false);
}

/* A box around a shape, on the grid of the footprints, for the many rows that are nowhere near. */
static dip_status make_bounds(dip_node **out, dip_rect b)
{
    dip_status status = make(out, DIP_NODE_BOX);
    if (status) return status;
    /* A little wider, for rounding, and because a shape that ends at 180 touches what begins at -180. */
    const double margin = 2 / DIP_DEGREE;
    bool round_earth = b.east - b.west >= 360 - 3 * margin;
    double west = round_earth ? -180 : remainder(b.west - margin, 360),
           east = round_earth ? 180 : remainder(b.east + margin, 360);
    (*out)->west = (int32_t)floor(west * DIP_DEGREE);
    (*out)->south = (int32_t)floor(b.south * DIP_DEGREE);
    (*out)->east = (int32_t)ceil(east * DIP_DEGREE);
    (*out)->north = (int32_t)ceil(b.north * DIP_DEGREE);
    return DIP_OK;
}

static dip_status make_region(dip_node **out, const char *text, bool json, bool within)
{
    dip_geometry *shape;
    dip_node *bounds = NULL, *region = NULL;
    dip_status status = dip_geometry_parse(&shape, text, json);
    if (status) return status;
    status = make_bounds(&bounds, dip_geometry_bounds(shape));
    if (!status) status = make(&region, DIP_NODE_REGION);
    if (status) {
        dip_geometry_destroy(shape);
        dip_node_free(bounds);
        return status;
    }
    region->within = within;
    status = dip_region_create(&region->region, shape);
    dip_status joined = join(out, DIP_NODE_ALL, bounds, region);
    return status ? status : joined;
}

/* ---- texts ---- */

/* A column of text numbers. */
typedef struct text_column {
    const uint32_t *numbers;
    const char *const *texts;
    size_t count;
    bool list;
} text_column;

/* A word of a '|'-separated list; moves on; false at its end. */
static bool next_word(const char **list, const char **word, size_t *length)
{
    while (**list == '|') (*list)++;
    *word = *list;
    *length = strcspn(*list, "|");
    *list += *length;
    return *length > 0;
}

static bool list_has(const char *list, const char *wanted, size_t length)
{
    const char *word;
    size_t n;
    while (next_word(&list, &word, &n))
        if (n == length && !strncmp(word, wanted, n)) return true;
    return false;
}

static bool lists_meet(const char *list, const char *wanted)
{
    const char *word;
    size_t n;
    while (next_word(&wanted, &word, &n))
        if (list_has(list, word, n)) return true;
    return false;
}

static bool has_term(const dip_term *terms, const char *text, size_t length)
{
    for (; terms; terms = terms->next)
        if (strlen(terms->text) == length && !strncmp(terms->text, text, length)) return true;
    return false;
}

static bool list_has_any(const char *list, const dip_term *terms)
{
    for (; terms; terms = terms->next)
        if (list_has(list, terms->text, strlen(terms->text))) return true;
    return false;
}

static bool list_has_all(const char *list, const dip_term *terms)
{
    for (; terms; terms = terms->next)
        if (!list_has(list, terms->text, strlen(terms->text))) return false;
    return true;
}

static bool list_has_no_other(const char *list, const dip_term *terms)
{
    const char *word;
    size_t n;
    while (next_word(&list, &word, &n))
        if (!has_term(terms, word, n)) return false;
    return true;
}

/* `text` op values; A_...: values are the list's, BETWEEN has two. */
static bool text_passes(const char *text, dip_op op, const dip_term *values)
{
    switch (op) {
    case DIP_OP_EQ: return strcmp(text, values->text) == 0;
    case DIP_OP_NE: return strcmp(text, values->text) != 0;
    case DIP_OP_LT: return strcmp(text, values->text) < 0;
    case DIP_OP_LE: return strcmp(text, values->text) <= 0;
    case DIP_OP_GT: return strcmp(text, values->text) > 0;
    case DIP_OP_GE: return strcmp(text, values->text) >= 0;
    case DIP_OP_BETWEEN:
        return strcmp(text, values->text) >= 0 && strcmp(text, values->next->text) <= 0;
    case DIP_OP_A_CONTAINS: return list_has_all(text, values);
    case DIP_OP_A_OVERLAPS: return list_has_any(text, values);
    case DIP_OP_A_CONTAINEDBY: return list_has_no_other(text, values);
    case DIP_OP_A_EQUALS: return list_has_all(text, values) && list_has_no_other(text, values);
    default: return true; /* IS NULL: is there one? */
    }
}

/* A table of nothing but noes. */
static dip_status make_table(dip_node **out, const text_column *c)
{
    dip_status status = make(out, DIP_NODE_TABLE);
    if (status) return status;
    (*out)->numbers = c->numbers;
    (*out)->keep = dip_calloc(c->count + 1, 1);
    return (*out)->keep ? DIP_OK : DIP_ENOMEM;
}

/* "" is a text that is not known: it passes neither the test nor its opposite. */
static dip_status compile_texts(dip_node **out, const text_column *c, dip_op op,
                                const dip_term *values, bool negate)
{
    if (!c->numbers) return make(out, DIP_NODE_ANY);
    dip_status status = make_table(out, c);
    for (size_t i = 0; i < c->count && !status; i++)
        (*out)->keep[i] = *c->texts[i] && text_passes(c->texts[i], op, values) != negate;
    return status;
}

/* ---- columns by name ---- */

typedef enum column_kind { TIME, PLACE, OWN_TEXT, PROPERTY } column_kind;

typedef struct column {
    column_kind kind;
    text_column text;             /* OWN_TEXT, PROPERTY */
    const dip_property *property; /* PROPERTY */
} column;

static text_column words_column(const uint32_t *numbers, const dip_words *words, bool list)
{
    return (text_column){numbers, (const char *const *)words->texts, words->count, list};
}

static bool own_column(const dip_columns *c, const char *name, column *out)
{
    *out = (column){.kind = OWN_TEXT};
    if (!strcmp(name, "datetime"))
        out->kind = TIME;
    else if (!strcmp(name, "geometry"))
        out->kind = PLACE;
    else if (!strcmp(name, "labels"))
        out->text = words_column(c->labels, &c->texts, true);
    else if (!strcmp(name, "split"))
        out->text = words_column(c->splits, &c->texts, false);
    else if (!strcmp(name, "modality"))
        out->text = (text_column){c->modalities, c->modality_names, DIP_MAX_MODALITIES, false};
    else
        return false;
    return true;
}

static dip_status find_column(const compiler *k, const dip_term *term, column *out)
{
    if (term->kind != DIP_TERM_PROPERTY)
        return dip_cql_fail(term->at, "expected a property, such as datetime or labels");
    if (own_column(k->columns, term->text, out)) return DIP_OK;
    const dip_property *p = k->properties ? dip_properties_find(k->properties, term->text) : NULL;
    if (!p) return dip_cql_fail(term->at, "there is no property '%.60s'", term->text);
    *out = (column){PROPERTY, words_column(p->texts, &p->words, p->list), p};
    return DIP_OK;
}

/* ---- predicates ---- */

/* The other way round: `5 < a` is `a > 5`. */
static dip_op mirrored(dip_op op)
{
    switch (op) {
    case DIP_OP_LT: return DIP_OP_GT;
    case DIP_OP_LE: return DIP_OP_GE;
    case DIP_OP_GT: return DIP_OP_LT;
    case DIP_OP_GE: return DIP_OP_LE;
    default: return op;
    }
}

static dip_status negate_range(dip_node **leaf, const double *values)
{
    dip_node *known;
    dip_status status = make_range(&known, values, -INFINITY, INFINITY);
    return status ? status : oppose(leaf, known);
}

static dip_status compile_number(dip_node **out, const column *c, dip_op op, const dip_term *value,
                                 bool negate)
{
    const double *values = c->property->numbers, v = value->number;
    double low = -INFINITY, high = INFINITY;
    if (!values) return make(out, DIP_NODE_ANY);
    switch (op) {
    case DIP_OP_LT: high = nextafter(v, -INFINITY); break;
    case DIP_OP_LE: high = v; break;
    case DIP_OP_GT: low = nextafter(v, INFINITY); break;
    case DIP_OP_GE: low = v; break;
    case DIP_OP_BETWEEN:
        low = v;
        high = value->next->number;
        break;
    default: low = high = v; break;
    }
    dip_status status = make_range(out, values, low, high);
    return status || negate == (op == DIP_OP_NE) ? status : negate_range(out, values);
}

/* A time, or a text that is one. */
static dip_status take_time(const dip_term *term, int64_t *first, int64_t *last)
{
    *first = term->first;
    *last = term->last;
    if (term->kind == DIP_TERM_TIME) return DIP_OK;
    if (term->kind == DIP_TERM_TEXT && dip_when_span(term->text, first, last)) return DIP_OK;
    return dip_cql_fail(term->at, "expected a time, such as DATE('2020-11-07') or "
                                  "TIMESTAMP('2020-11-07T13:52:41Z')");
}

static dip_status compile_time(dip_node **out, dip_op op, const dip_term *value, bool negate)
{
    int64_t first, last, unused;
    dip_status status = take_time(value, &first, &last);
    if (!status && op == DIP_OP_BETWEEN) status = take_time(value->next, &unused, &last);
    if (status) return status;
    bool empty = false;
    switch (op) {
    case DIP_OP_LT:
    case DIP_OP_T_BEFORE:
        empty = first == INT64_MIN;
        last = empty ? INT64_MIN : first - 1;
        first = INT64_MIN;
        break;
    case DIP_OP_GT:
    case DIP_OP_T_AFTER:
        empty = last == INT64_MAX;
        first = empty ? INT64_MAX : last + 1;
        last = INT64_MAX;
        break;
    case DIP_OP_LE: first = INT64_MIN; break;
    case DIP_OP_GE: last = INT64_MAX; break;
    default: break;
    }
    if (op == DIP_OP_NE || op == DIP_OP_T_DISJOINT) negate = !negate;
    /* A first behind the last passes nothing. */
    status = make_time(out, empty ? 1 : first, empty ? 0 : last);
    if (status || !negate) return status;
    dip_node *known;
    status = make_time(&known, INT64_MIN, INT64_MAX);
    return status ? status : oppose(out, known);
}

static dip_status check_texts(const dip_term *property, const column *c, const dip_term *values)
{
    for (; values; values = values->next)
        if (values->kind != DIP_TERM_TEXT)
            return dip_cql_fail(values->at, "expected a text in single quotes; '%.60s' is one",
                                property->text);
    if (c->text.list)
        return dip_cql_fail(property->at, "'%.60s' is a list; write A_CONTAINS(%.60s, ('...'))",
                            property->text, property->text);
    return DIP_OK;
}

/* property op value; BETWEEN: and the value behind it. */
static dip_status compile_comparison(const compiler *k, dip_node **out, dip_op op,
                                     const dip_term *property, const dip_term *value, bool negate)
{
    column c = {0};
    dip_status status = find_column(k, property, &c);
    if (status) return status;
    if (c.kind == TIME) return compile_time(out, op, value, negate);
    if (c.kind == PLACE)
        return dip_cql_fail(property->at, "'geometry' is asked by S_INTERSECTS(geometry, ...)");
    if (c.kind == PROPERTY && value->kind == DIP_TERM_NUMBER) {
        if (op == DIP_OP_BETWEEN && value->next->kind != DIP_TERM_NUMBER)
            return dip_cql_fail(value->next->at, "expected a number");
        return compile_number(out, &c, op, value, negate);
    }
    if (c.kind == PROPERTY && value->kind != DIP_TERM_TEXT)
        return dip_cql_fail(value->at, "expected a number or a text in single quotes");
    /* Only BETWEEN has more than one value of its own. */
    dip_term one = *value;
    if (op != DIP_OP_BETWEEN) one.next = NULL;
    status = check_texts(property, &c, &one);
    return status ? status : compile_texts(out, &c.text, op, &one, negate);
}

/* `a < 5` or `5 < a` */
static dip_status compile_binary(const compiler *k, dip_node **out, const dip_term *term,
                                 bool negate)
{
    const dip_term *a = term->args, *b = a->next;
    if (a->kind == DIP_TERM_PROPERTY && b->kind == DIP_TERM_PROPERTY)
        return dip_cql_fail(b->at, "expected a value; two properties cannot be compared");
    if (a->kind == DIP_TERM_PROPERTY) return compile_comparison(k, out, term->op, a, b, negate);
    return compile_comparison(k, out, mirrored(term->op), b, a, negate);
}

static dip_status check_list(const dip_term *list)
{
    return list->kind == DIP_TERM_LIST ? DIP_OK
                                       : dip_cql_fail(list->at, "expected a list: ('a', 'b')");
}

/* property IN (values): equal to one. */
static dip_status compile_in(const compiler *k, dip_node **out, const dip_term *term, bool negate)
{
    const dip_term *list = term->args->next;
    dip_status status = check_list(list);
    if (!status) status = make(out, negate ? DIP_NODE_ALL : DIP_NODE_ANY);
    for (const dip_term *value = status ? NULL : list->args; value && !status;
         value = value->next) {
        dip_node *leaf = NULL;
        status = compile_comparison(k, &leaf, DIP_OP_EQ, term->args, value, negate);
        if (leaf) dip_node_add(*out, leaf);
    }
    return status;
}

static dip_status compile_array(const compiler *k, dip_node **out, const dip_term *term,
                                bool negate)
{
    column c = {0};
    const dip_term *property = term->args, *list = property->next;
    dip_status status = find_column(k, property, &c);
    if (!status) status = check_list(list);
    if (status) return status;
    if (!c.text.list)
        return dip_cql_fail(property->at, "'%.60s' is no list, as labels is", property->text);
    for (const dip_term *value = list->args; value; value = value->next)
        if (value->kind != DIP_TERM_TEXT)
            return dip_cql_fail(value->at, "expected a text in single quotes");
    return compile_texts(out, &c.text, term->op, list->args, negate);
}

static dip_status compile_temporal(const compiler *k, dip_node **out, const dip_term *term,
                                   bool negate)
{
    column c = {0};
    dip_status status = find_column(k, term->args, &c);
    if (status) return status;
    if (c.kind != TIME)
        return dip_cql_fail(term->args->at, "'%.60s' is no time; only datetime is",
                            term->args->text);
    return compile_time(out, term->op, term->args->next, negate);
}

static dip_status compile_spatial(const compiler *k, dip_node **out, const dip_term *term,
                                  bool negate)
{
    column c = {0};
    const dip_term *shape = term->args->next;
    bool within = term->op == DIP_OP_S_WITHIN;
    dip_status status = find_column(k, term->args, &c);
    if (status) return status;
    if (c.kind != PLACE)
        return dip_cql_fail(term->args->at, "'%.60s' is no shape; only geometry is",
                            term->args->text);
    if (shape->kind == DIP_TERM_BOX)
        status = make_box(out, shape->box, within);
    else if (shape->kind == DIP_TERM_WKT || shape->kind == DIP_TERM_GEOJSON)
        status = make_region(out, shape->text, shape->kind == DIP_TERM_GEOJSON, within);
    else
        return dip_cql_fail(shape->at, "expected a geometry, such as BBOX(12, 48, 13, 49) or "
                                       "POLYGON((12 48, 13 48, 13 49, 12 48))");
    if (status && shape->at) return dip_fail_prefix(status, "filter, character %zu", shape->at);
    if (status || negate == (term->op == DIP_OP_S_DISJOINT)) return status;
    dip_node *known;
    status = make_known_place(&known);
    return status ? status : oppose(out, known);
}

/* Rows where the column is known. */
static dip_status compile_known(dip_node **out, const column *c)
{
    if (c->kind == TIME) return make_time(out, INT64_MIN, INT64_MAX);
    if (c->kind == PLACE) return make_known_place(out);
    dip_node *text, *number = NULL;
    dip_status status = compile_texts(&text, &c->text, DIP_OP_IS_NULL, NULL, false);
    if (status || c->kind == OWN_TEXT || !c->property->numbers) {
        *out = text;
        return status;
    }
    status = make_range(&number, c->property->numbers, -INFINITY, INFINITY);
    if (status) {
        dip_node_free(text);
        return status;
    }
    return join(out, DIP_NODE_ANY, text, number);
}

static dip_status compile_null(const compiler *k, dip_node **out, const dip_term *term, bool negate)
{
    column c;
    dip_node *known = NULL;
    dip_status status = find_column(k, term->args, &c);
    if (!status) status = compile_known(&known, &c);
    if (status || negate) {
        *out = known;
        return status;
    }
    return join(out, DIP_NODE_BUT, known, NULL);
}

static dip_status compile(const compiler *k, dip_node **out, const dip_term *term, bool negate);

static dip_status compile_logic(const compiler *k, dip_node **out, const dip_term *term,
                                bool negate)
{
    bool all = (term->op == DIP_OP_AND) != negate;
    dip_status status = make(out, all ? DIP_NODE_ALL : DIP_NODE_ANY);
    for (const dip_term *arg = term->args; arg && !status; arg = arg->next) {
        dip_node *child = NULL;
        status = compile(k, &child, arg, negate);
        if (child) dip_node_add(*out, child);
    }
    return status;
}

static dip_status compile(const compiler *k, dip_node **out, const dip_term *term, bool negate)
{
    if (term->kind != DIP_TERM_OP)
        return dip_cql_fail(term->at, "expected a condition, such as %s",
                            "datetime > DATE('2020-01-01')");
    switch (term->op) {
    case DIP_OP_AND:
    case DIP_OP_OR: return compile_logic(k, out, term, negate);
    case DIP_OP_NOT: return compile(k, out, term->args, !negate);
    case DIP_OP_BETWEEN:
        return compile_comparison(k, out, term->op, term->args, term->args->next, negate);
    case DIP_OP_IN: return compile_in(k, out, term, negate);
    case DIP_OP_IS_NULL: return compile_null(k, out, term, negate);
    default: break;
    }
    if (term->op >= DIP_OP_A_CONTAINS) return compile_array(k, out, term, negate);
    if (term->op >= DIP_OP_T_AFTER) return compile_temporal(k, out, term, negate);
    if (term->op >= DIP_OP_S_INTERSECTS) return compile_spatial(k, out, term, negate);
    return compile_binary(k, out, term, negate);
}

/* ---- a query's filters ---- */

/* Names of properties that have no column yet. */
typedef struct names {
    const char **list;
    size_t count, capacity;
} names;

static dip_status collect_names(const compiler *k, const dip_term *term, names *n)
{
    column unused;
    for (; term; term = term->next) {
        dip_status status = collect_names(k, term->args, n);
        if (status) return status;
        if (term->kind != DIP_TERM_PROPERTY || own_column(k->columns, term->text, &unused))
            continue;
        if (dip_array_reserve((void **)&n->list, &n->capacity, n->count + 1, sizeof *n->list))
            return DIP_ENOMEM;
        n->list[n->count++] = term->text;
    }
    return DIP_OK;
}

static dip_status compile_expression(const compiler *k, dip_node **out, const char *text)
{
    dip_term *term;
    names n = {0};
    dip_status status = dip_cql_parse(&term, text);
    if (status) return status;
    status = collect_names(k, term, &n);
    if (!status && n.count && k->properties)
        status = dip_properties_need(k->properties, n.list, n.count);
    if (!status) status = compile(k, out, term, false);
    dip_free(n.list);
    dip_term_free(term);
    return status;
}

static dip_status compile_intersects(dip_node **out, const char *text)
{
    char *flat;
    dip_status status = dip_json_geometry(&flat, text);
    if (!status) {
        status = make_region(out, flat, true, false);
        dip_free(flat);
    }
    return status ? dip_fail_prefix(status, "intersects") : DIP_OK;
}

static dip_status compile_datetime(dip_node **out, const char *text)
{
    int64_t from, to;
    dip_status status = dip_when_interval(text, &from, &to);
    return status ? status : make_time(out, from, to == DIP_NO_TIME ? INT64_MAX : to);
}

/* The column's text is, or as a list shares a word with, one of the '|'-separated words. */
static dip_status compile_words(dip_node **out, const text_column *c, const char *wanted)
{
    dip_status status = make_table(out, c);
    for (size_t i = 0; i < c->count && !status; i++)
        (*out)->keep[i] = lists_meet(c->texts[i], wanted);
    return status;
}

/* Hangs a leaf into the filter, or what a failure left of one, so that it is freed with the rest. */
static void keep(dip_filter *filter, dip_node **node)
{
    if (*node) dip_node_add(filter->root, *node);
    *node = NULL;
}

static dip_status compile_query(dip_filter *filter, const compiler *k, const dip_query *q)
{
    const dip_columns *c = k->columns;
    text_column labels = words_column(c->labels, &c->texts, true),
                splits = words_column(c->splits, &c->texts, false);
    dip_node *node = NULL;
    dip_status status = q->bbox ? make_box(&node, q->bbox, false) : DIP_OK;
    keep(filter, &node);
    if (!status && q->intersects) status = compile_intersects(&node, q->intersects);
    keep(filter, &node);
    if (!status && q->datetime) status = compile_datetime(&node, q->datetime);
    keep(filter, &node);
    if (!status && q->label) status = compile_words(&node, &labels, q->label);
    keep(filter, &node);
    if (!status && q->split) status = compile_words(&node, &splits, q->split);
    keep(filter, &node);
    if (!status && q->filter) status = compile_expression(k, &node, q->filter);
    keep(filter, &node);
    return status;
}

dip_status dip_filter_create(dip_filter **out, const dip_columns *columns,
                             dip_properties *properties, const dip_query *query)
{
    compiler k = {columns, properties};
    *out = NULL;
    if (!query->bbox && !query->intersects && !query->datetime && !query->label && !query->split &&
        !query->filter)
        return DIP_OK;
    dip_filter *filter = dip_calloc(1, sizeof *filter);
    if (!filter) return DIP_ENOMEM;
    filter->columns = columns;
    dip_status status = make(&filter->root, DIP_NODE_ALL);
    if (!status) status = compile_query(filter, &k, query);
    if (status)
        dip_filter_destroy(filter);
    else
        *out = filter;
    return status;
}
