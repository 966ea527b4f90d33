/**
 * The options table: every knob that a user can turn is one row (name, type, range, default, help) of one
 * table, and command-line flags, config files, --help and docs/cli.md all come from it.
 *
 * A table describes a plain struct. Field types: FLAG bool, INT int64_t, REAL double, TEXT const char *,
 * CHOICE int (position of the word in `choices`). A TEXT value is borrowed from argv, the
 * caller or the row; nothing is copied. A HEADING row has no field; help sets the rows behind it under its title.
 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum dip_option_type {
    DIP_OPTION_FLAG,
    DIP_OPTION_INT,
    DIP_OPTION_REAL,
    DIP_OPTION_TEXT,
    DIP_OPTION_CHOICE,
    DIP_OPTION_HEADING, /* no option: `name` is a title for the rows that follow */
} dip_option_type;

typedef struct dip_option {
    const char *name; /* "batch": --batch, key `batch` in a config file; NULL ends the table */
    char letter;      /* short flag, or 0 */
    dip_option_type type;
    size_t offset;        /* of the field in the struct */
    double low, high;     /* allowed range, both ends included; equal: unlimited */
    const char *fallback; /* default as text; NULL: NULL, 0 or false */
    const char
        *choices; /* CHOICE: "word|word"; other types: the word that stands for the value, "N" */
    const char *help; /* one line, lower case, no full stop */
} dip_option;

/** Fills the struct with the table's defaults. A default that does not parse is a programmer's error. */
void dip_options_defaults(const dip_option *table, void *values);

/**
 * Sets one value by name; text NULL turns a FLAG on. A FLAG takes also yes/no, true/false, 1/0.
 * Expected failure: DIP_EINVAL (unknown name: the nearest one is suggested; not a number; out of range).
 */
dip_status dip_options_set(const dip_option *table, void *values, const char *name,
                           const char *text);

/**
 * Parses argv[1..argc): --name value, --name=value, --flag, --no-flag, -k 5, -k5; "--" ends the options.
 * What is no option stays, in order, at the front of argv (from argv[1]); *rest is their number.
 */
dip_status dip_options_parse(const dip_option *table, void *values, int argc, char **argv,
                             int *rest);

/** A value as text, as it would be typed; into `out`. */
void dip_options_get(const dip_option *row, const void *values, char *out, size_t capacity);

/**
 * "name = value" lines in the table's order, but for the names in `without` (NULL ends it; may be NULL). Free with
 * dip_free(); NULL when memory is short.
 */
char *dip_options_text(const dip_option *table, const void *values, const char *const *without);

/** How an option is typed, "-k, --count N", and the default that people are told, or NULL. */
void dip_options_usage(const dip_option *row, char *out, size_t capacity);
const char *dip_options_fallback(const dip_option *row);

/** Writes the table as aligned --help lines, or as rows of a Markdown table. */
void dip_options_help(const dip_option *table, FILE *out);
void dip_options_markdown(const dip_option *table, FILE *out);

/** The nearest of `count` words to `word` by edits, a beginning counting as near; NULL if none is. */
const char *dip_nearest_word(const char *word, const char *const *words, size_t count);

#endif
