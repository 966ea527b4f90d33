/**
 * Filter expressions: the part of CQL2 (OGC 21-065r2) that choosing tiles needs, as text or as JSON, into one tree.
 *
 *   expression := expression AND expression | expression OR expression | NOT expression | ( expression ) | predicate
 *   predicate  := operand = <> < <= > >= operand | property [NOT] BETWEEN low AND high | property [NOT] IN (value, ...)
 *               | property IS [NOT] NULL
 *               | S_INTERSECTS S_DISJOINT S_WITHIN (property, geometry)
 *               | T_AFTER T_BEFORE T_DURING T_EQUALS T_INTERSECTS T_DISJOINT (property, time)
 *               | A_CONTAINS A_OVERLAPS A_CONTAINEDBY A_EQUALS (property, ('text', ...))
 *   value      := 12.5 | 'text', a quote in it doubled | TRUE | FALSE | time
 *   time       := DATE('2020-11-07') | TIMESTAMP('2020-11-07T13:52:41Z') | INTERVAL('2020-11-07', '..')
 *   geometry   := WKT (POINT, LINESTRING, POLYGON, their MULTI forms) | BBOX(west, south, east, north)
 *   property   := eo:cloud_cover | "any name"
 *
 * NOT binds closer than AND, AND closer than OR; words may be in either case. In JSON each of these is
 * {"op": ..., "args": [...]}, {"property": ...}, {"date": ...}, {"timestamp": ...}, {"interval": [..., ...]}, {"bbox": [...]},
 * a GeoJSON geometry, or a plain value. What the operators mean is said in docs/filters.md and compiled in search/filter.h.
 */
#ifndef SEARCH_CQL_H
#define SEARCH_CQL_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dip_op {
    DIP_OP_AND,
    DIP_OP_OR,
    DIP_OP_NOT,
    DIP_OP_EQ,
    DIP_OP_NE,
    DIP_OP_LT,
    DIP_OP_LE,
    DIP_OP_GT,
    DIP_OP_GE,
    DIP_OP_BETWEEN,
    DIP_OP_IN,
    DIP_OP_IS_NULL,
    DIP_OP_S_INTERSECTS,
    DIP_OP_S_DISJOINT,
    DIP_OP_S_WITHIN,
    DIP_OP_T_AFTER,
    DIP_OP_T_BEFORE,
    DIP_OP_T_DURING,
    DIP_OP_T_EQUALS,
    DIP_OP_T_INTERSECTS,
    DIP_OP_T_DISJOINT,
    DIP_OP_A_CONTAINS,
    DIP_OP_A_OVERLAPS,
    DIP_OP_A_CONTAINEDBY,
    DIP_OP_A_EQUALS,
    DIP_OP_COUNT
} dip_op;

/** As CQL2's JSON writes it: "and", "<=", "isNull", "s_intersects". */
const char *dip_op_name(dip_op op);
/** By that name, in any case; DIP_OP_COUNT if there is none. */
dip_op dip_op_find(const char *name, size_t length);

typedef enum dip_term_kind {
    DIP_TERM_OP,       /* op, args */
    DIP_TERM_PROPERTY, /* text: its name */
    DIP_TERM_NUMBER,   /* number, finite */
    DIP_TERM_TEXT,     /* text; TRUE and FALSE are "true" and "false" */
    DIP_TERM_TIME,     /* first..last second, both included; INT64_MIN, INT64_MAX: open */
    DIP_TERM_LIST,     /* args */
    DIP_TERM_WKT,      /* text */
    DIP_TERM_GEOJSON,  /* text */
    DIP_TERM_BOX       /* box: west, south, east, north; as written */
} dip_term_kind;

enum { DIP_CQL_DEPTH = 100 }; /* of nested operators */

typedef struct dip_term {
    dip_term_kind kind;
    dip_op op;
    char *text;
    double number, box[4];
    int64_t first, last;
    struct dip_term *args, *next; /* first argument; the next one of the same parent */
    size_t at;                    /* where it begins in a text, counted from 1; 0: not known */
} dip_term;

/**
 * Parses an expression; one that begins with '{' is JSON. An operator has the number of arguments that it takes, which
 * are not yet checked against each other. *out is the caller's (dip_term_free).
 * Expected failure: DIP_EINVAL ("filter, character 17: expected ..., found ...").
 */
dip_status dip_cql_parse(dip_term **out, const char *text);
void dip_term_free(dip_term *term);

/* ---- for the two parsers: this text's, in cql_text.c, and JSON's, in json.h ---- */

dip_status dip_cql_parse_text(dip_term **out, const char *text);

/** NULL when memory is short. text[0..length) is copied; text may be NULL. */
dip_term *dip_term_create(dip_term_kind kind, size_t at, const char *text, size_t length);
/** DIP_EINVAL with a line unless the operator has as many arguments as it takes. */
dip_status dip_term_check_count(const dip_term *term);
/** Fills first and last of a TIME from texts as dip_when_span() takes them; ".." is open. `end` NULL: one time. */
dip_status dip_term_set_time(dip_term *term, const char *begin, const char *end);
/** "filter, character 17: " in front of the line, or "filter: " if `at` is 0. */
dip_status dip_cql_fail(size_t at, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
