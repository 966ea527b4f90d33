/**
 * Leaves of a compiled filter: one question about one column.
 *
 * Each function sets *out, also to what a failure left, for dip_node_free(). Expected failures: DIP_ENOMEM, and
 * DIP_EINVAL where it is said.
 */
#ifndef SEARCH_FILTER_LEAF_H
#define SEARCH_FILTER_LEAF_H

#include "search/cql.h"
#include "search/filter_node.h"

dip_status dip_node_make(dip_node **out, dip_node_kind kind);
/** A node with one or two children (NULL: left out), which it takes over, also on failure. */
dip_status dip_node_join(dip_node **out, dip_node_kind kind, dip_node *a, dip_node *b);
/** The opposite of a leaf: rows that `known` passes and the leaf does not. Takes both over. */
dip_status dip_leaf_oppose(dip_node **leaf, dip_node *known);

/** Times in first..last; INT64_MIN, INT64_MAX: open. */
dip_status dip_leaf_time(dip_node **out, int64_t first, int64_t last);
dip_status dip_leaf_range(dip_node **out, const double *values, double low, double high);
/** Footprints that touch, or lie within, west, south, east, north. DIP_EINVAL: it is no box. */
dip_status dip_leaf_box(dip_node **out, const double *box, bool within);
dip_status dip_leaf_known_place(dip_node **out);
/** The same with a shape. DIP_EINVAL: it is none; see dip_geometry_parse(). */
dip_status dip_leaf_region(dip_node **out, const char *text, bool json, bool within);

/** A column of text numbers; NULL: no row has a text. */
typedef struct dip_text_column {
    const uint32_t *numbers;
    const char *const *texts;
    size_t count;
    bool list; /* texts are '|'-separated lists */
} dip_text_column;

/**
 * Texts for which `op` with the values is true (negate: false). A_...: values are the list's; BETWEEN has two; IS NULL: texts
 * that are known. "" is not known and passes neither the test nor its opposite.
 */
dip_status dip_leaf_texts(dip_node **out, const dip_text_column *column, dip_op op,
                          const dip_term *values, bool negate);
/** The text is, or as a list shares a word with, one of the '|'-separated words. */
dip_status dip_leaf_words(dip_node **out, const dip_text_column *column, const char *wanted);
/**
 * Writes a line about the first of the '|'-separated words that no text is, or as a list has; nothing if there is none.
 * `what`: the column's name for people.
 */
dip_status dip_leaf_missing(const dip_text_column *column, const char *what, const char *wanted,
                            char *line, size_t capacity);

#endif
