/*
 * Compiling a filter; see filter.h.
 *
 * A predicate becomes a leaf over one column, NOT is carried down to it: the opposite of a leaf passes rows whose
 * column is known and that the leaf does not pass.
 */
#include "search/filter_leaf.h"

#include "core/mem.h"
#include "core/status.h"
#include "core/when.h"
#include "search/json.h"

#include <math.h>
#include <string.h>

typedef struct compiler {
    const dip_columns *columns;
    dip_properties *properties;
    dip_filter *filter;
} compiler;

/* ---- columns by name ---- */

typedef enum column_kind { TIME, PLACE, OWN_TEXT, PROPERTY } column_kind;

typedef struct column {
    column_kind kind;
    dip_text_column text;         /* OWN_TEXT, PROPERTY */
    const dip_property *property; /* PROPERTY */
} column;

static dip_text_column words_column(const uint32_t *numbers, const dip_words *words, bool list)
{
    return (dip_text_column){numbers, (const char *const *)words->texts, words->count, list};
}

static bool own_column(const dip_columns *c, const char *name, column *out)
{
    *out = (column){.kind = OWN_TEXT};
    if (!strcmp(name, "datetime"))
        out->kind = TIME;
    else if (!strcmp(name, "geometry"))
        out->kind = PLACE;
    else if (!strcmp(name, "labels"))
        out->text = words_column(c->labels, &c->label_lists, true);
    else if (!strcmp(name, "split"))
        out->text = words_column(c->splits, &c->split_names, false);
    else if (!strcmp(name, "modality"))
        out->text = (dip_text_column){c->modalities, c->modality_names, DIP_MAX_MODALITIES, false};
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
    dip_status status = dip_leaf_range(&known, values, -INFINITY, INFINITY);
    return status ? status : dip_leaf_oppose(leaf, known);
}

static dip_status compile_number(dip_node **out, const column *c, dip_op op, const dip_term *value,
                                 bool negate)
{
    const double *values = c->property->numbers, v = value->number;
    double low = -INFINITY, high = INFINITY;
    if (!values) return dip_node_make(out, DIP_NODE_ANY);
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
    dip_status status = dip_leaf_range(out, values, low, high);
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
    status = dip_leaf_time(out, empty ? 1 : first, empty ? 0 : last);
    if (status || !negate) return status;
    dip_node *known;
    status = dip_leaf_time(&known, INT64_MIN, INT64_MAX);
    return status ? status : dip_leaf_oppose(out, known);
}

/* Keeps what is to be told of the first text that no tile has. */
static dip_status look_for(const compiler *k, const dip_text_column *c, const char *what,
                           const char *wanted)
{
    char *line = k->filter->missing;
    return *line ? DIP_OK : dip_leaf_missing(c, what, wanted, line, DIP_MISSING_CAPACITY);
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
    if (!status && op == DIP_OP_EQ) status = look_for(k, &c.text, property->text, value->text);
    return status ? status : dip_leaf_texts(out, &c.text, op, &one, negate);
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
    if (!status) status = dip_node_make(out, negate ? DIP_NODE_ALL : DIP_NODE_ANY);
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
    for (const dip_term *value = list->args; value && !status; value = value->next)
        status = look_for(k, &c.text, property->text, value->text);
    return status ? status : dip_leaf_texts(out, &c.text, term->op, list->args, negate);
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
        status = dip_leaf_box(out, shape->box, within);
    else if (shape->kind == DIP_TERM_WKT || shape->kind == DIP_TERM_GEOJSON)
        status = dip_leaf_region(out, shape->text, shape->kind == DIP_TERM_GEOJSON, within);
    else
        return dip_cql_fail(shape->at, "expected a geometry, such as BBOX(12, 48, 13, 49) or "
                                       "POLYGON((12 48, 13 48, 13 49, 12 48))");
    if (status && shape->at) return dip_fail_prefix(status, "filter, character %zu", shape->at);
    if (status || negate == (term->op == DIP_OP_S_DISJOINT)) return status;
    dip_node *known;
    status = dip_leaf_known_place(&known);
    return status ? status : dip_leaf_oppose(out, known);
}

/* Rows where the column is known. */
static dip_status compile_known(dip_node **out, const column *c)
{
    if (c->kind == TIME) return dip_leaf_time(out, INT64_MIN, INT64_MAX);
    if (c->kind == PLACE) return dip_leaf_known_place(out);
    dip_node *text, *number = NULL;
    dip_status status = dip_leaf_texts(&text, &c->text, DIP_OP_IS_NULL, NULL, false);
    if (status || c->kind == OWN_TEXT || !c->property->numbers) {
        *out = text;
        return status;
    }
    status = dip_leaf_range(&number, c->property->numbers, -INFINITY, INFINITY);
    if (status) {
        dip_node_free(text);
        return status;
    }
    return dip_node_join(out, DIP_NODE_ANY, text, number);
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
    return dip_node_join(out, DIP_NODE_BUT, known, NULL);
}

static dip_status compile(const compiler *k, dip_node **out, const dip_term *term, bool negate);

static dip_status compile_logic(const compiler *k, dip_node **out, const dip_term *term,
                                bool negate)
{
    bool all = (term->op == DIP_OP_AND) != negate;
    dip_status status = dip_node_make(out, all ? DIP_NODE_ALL : DIP_NODE_ANY);
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
    dip_status status = dip_leaf_region(out, text, true, false);
    return status ? dip_fail_prefix(status, "intersects") : DIP_OK;
}

static dip_status compile_datetime(dip_node **out, const char *text)
{
    int64_t from, to;
    dip_status status = dip_when_interval(text, &from, &to);
    return status ? status : dip_leaf_time(out, from, to == DIP_NO_TIME ? INT64_MAX : to);
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
    dip_text_column labels = words_column(c->labels, &c->label_lists, true),
                    splits = words_column(c->splits, &c->split_names, false);
    dip_node *node = NULL;
    dip_status status = q->bbox ? dip_leaf_box(&node, q->bbox, false) : DIP_OK;
    keep(filter, &node);
    if (!status && q->intersects) status = compile_intersects(&node, q->intersects);
    keep(filter, &node);
    if (!status && q->datetime) status = compile_datetime(&node, q->datetime);
    keep(filter, &node);
    if (!status && q->label) status = look_for(k, &labels, "label", q->label);
    if (!status && q->split) status = look_for(k, &splits, "split", q->split);
    if (!status && q->label) status = dip_leaf_words(&node, &labels, q->label);
    keep(filter, &node);
    if (!status && q->split) status = dip_leaf_words(&node, &splits, q->split);
    keep(filter, &node);
    if (!status && q->filter) status = compile_expression(k, &node, q->filter);
    keep(filter, &node);
    return status;
}

dip_status dip_filter_create(dip_filter **out, const dip_columns *columns,
                             dip_properties *properties, const dip_query *query)
{
    compiler k = {columns, properties, NULL};
    *out = NULL;
    if (!query->bbox && !query->intersects && !query->datetime && !query->label && !query->split &&
        !query->filter)
        return DIP_OK;
    dip_filter *filter = dip_calloc(1, sizeof *filter);
    if (!filter) return DIP_ENOMEM;
    filter->columns = columns;
    k.filter = filter;
    dip_status status = dip_node_make(&filter->root, DIP_NODE_ALL);
    if (!status) status = compile_query(filter, &k, query);
    if (status)
        dip_filter_destroy(filter);
    else
        *out = filter;
    return status;
}
