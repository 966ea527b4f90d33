/*
 * Leaves; see filter_leaf.h. Texts are compared once a different text, not once a row: the leaf holds a yes or no for
 * each text number, and the opposite is another such table.
 */
#include "search/filter_leaf.h"

#include "core/mem.h"
#include "core/options.h"
#include "core/status.h"
#include "core/words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

dip_status dip_node_make(dip_node **out, dip_node_kind kind)
{
    *out = dip_node_create(kind);
    return *out ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_node_join(dip_node **out, dip_node_kind kind, dip_node *a, dip_node *b)
{
    dip_status status = dip_node_make(out, kind);
    if (status) {
        dip_node_free(a);
        dip_node_free(b);
        return status;
    }
    if (a) dip_node_add(*out, a);
    if (b) dip_node_add(*out, b);
    return DIP_OK;
}

dip_status dip_leaf_oppose(dip_node **leaf, dip_node *known)
{
    dip_node *but;
    dip_status status = dip_node_join(&but, DIP_NODE_BUT, *leaf, NULL);
    *leaf = NULL;
    if (status) {
        dip_node_free(known);
        return status;
    }
    return dip_node_join(leaf, DIP_NODE_ALL, known, but);
}

dip_status dip_leaf_time(dip_node **out, int64_t first, int64_t last)
{
    dip_status status = dip_node_make(out, DIP_NODE_TIME);
    if (status) return status;
    (*out)->first = first == DIP_NO_TIME ? DIP_NO_TIME + 1 : first;
    (*out)->last = last;
    return DIP_OK;
}

dip_status dip_leaf_range(dip_node **out, const double *values, double low, double high)
{
    dip_status status = dip_node_make(out, DIP_NODE_RANGE);
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

dip_status dip_leaf_box(dip_node **out, const double *box, bool within)
{
    dip_status status = check_box(box);
    if (!status) status = dip_node_make(out, DIP_NODE_BOX);
    if (status) return status;
    /* To the grid of the footprints, so that a border that touches one does. */
    (*out)->west = (int32_t)lround(box[0] * DIP_DEGREE);
    (*out)->south = (int32_t)lround(box[1] * DIP_DEGREE);
    (*out)->east = (int32_t)lround(box[2] * DIP_DEGREE);
    (*out)->north = (int32_t)lround(box[3] * DIP_DEGREE);
    (*out)->within = within;
    return DIP_OK;
}

dip_status dip_leaf_known_place(dip_node **out)
{
    static const double world[4] = {-180, -90, 180, 90};
    return dip_leaf_box(out, world, false);
}

/* A box around a shape, on the grid of the footprints, for the many rows that are nowhere near. */
static dip_status make_bounds(dip_node **out, dip_rect b)
{
    dip_status status = dip_node_make(out, DIP_NODE_BOX);
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

dip_status dip_leaf_region(dip_node **out, const char *text, bool json, bool within)
{
    dip_geometry *shape;
    dip_node *bounds = NULL, *region = NULL;
    dip_status status = dip_geometry_parse(&shape, text, json);
    if (status) return status;
    status = make_bounds(&bounds, dip_geometry_bounds(shape));
    if (!status) status = dip_node_make(&region, DIP_NODE_REGION);
    if (status) {
        dip_geometry_destroy(shape);
        dip_node_free(bounds);
        return status;
    }
    region->within = within;
    status = dip_region_create(&region->region, shape);
    dip_status joined = dip_node_join(out, DIP_NODE_ALL, bounds, region);
    return status ? status : joined;
}

/* ---- texts ---- */

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
static dip_status make_table(dip_node **out, const dip_text_column *c)
{
    dip_status status = dip_node_make(out, DIP_NODE_TABLE);
    if (status) return status;
    (*out)->numbers = c->numbers;
    (*out)->keep = dip_calloc(c->count + 1, 1);
    return (*out)->keep ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_leaf_texts(dip_node **out, const dip_text_column *c, dip_op op,
                          const dip_term *values, bool negate)
{
    if (!c->numbers) return dip_node_make(out, DIP_NODE_ANY);
    dip_status status = make_table(out, c);
    for (size_t i = 0; i < c->count && !status; i++)
        (*out)->keep[i] = *c->texts[i] && text_passes(c->texts[i], op, values) != negate;
    return status;
}

dip_status dip_leaf_words(dip_node **out, const dip_text_column *c, const char *wanted)
{
    dip_status status = make_table(out, c);
    for (size_t i = 0; i < c->count && !status; i++)
        (*out)->keep[i] = lists_meet(c->texts[i], wanted);
    return status;
}

/* ---- texts that no tile has ---- */

enum { NEAR_MOST = 10000 }; /* texts that are compared with a word that is missing */

static bool is_there(const dip_text_column *c, const char *word, size_t length)
{
    for (size_t i = 0; i < c->count; i++) {
        const char *text = c->texts[i];
        bool same = strlen(text) == length && !strncmp(text, word, length);
        if (same || (c->list && list_has(text, word, length))) return true;
    }
    return false;
}

/* The different words of a column's first texts. */
static dip_status collect_words(dip_words *words, const dip_text_column *c)
{
    uint32_t number;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < c->count && words->count < NEAR_MOST && !status; i++) {
        const char *text = c->texts[i], *word;
        size_t n;
        if (!c->list) status = dip_words_add(words, text, strlen(text), &number);
        while (c->list && !status && next_word(&text, &word, &n))
            status = dip_words_add(words, word, n, &number);
    }
    return status;
}

dip_status dip_leaf_missing(const dip_text_column *c, const char *what, const char *wanted,
                            char *line, size_t capacity)
{
    const char *at = wanted, *word;
    size_t length;
    do {
        if (!next_word(&at, &word, &length)) return DIP_OK;
    } while (is_there(c, word, length));
    char shown[64];
    snprintf(shown, sizeof shown, "%.*s", (int)length, word);
    dip_words there = {0};
    dip_status status = collect_words(&there, c);
    const char *near = dip_nearest_word(shown, (const char *const *)there.texts, there.count);
    bool likely = !status && near && *near;
    snprintf(line, capacity, "no tile has %.40s '%s'%s%.60s%s", what, shown,
             likely ? "; did you mean '" : "", likely ? near : "", likely ? "'?" : "");
    dip_words_fini(&there);
    return status;
}
