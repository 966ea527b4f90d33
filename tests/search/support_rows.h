/** Random rows of metadata, as plain structs and as columns, for tests that compare the two. */
#ifndef TESTS_SEARCH_SUPPORT_ROWS_H
#define TESTS_SEARCH_SUPPORT_ROWS_H

#include "search/properties.h"

/** One row in the open: NAN, "" and DIP_NO_TIME are not known. */
typedef struct plain_row {
    int modality; /* of "s1", "s2" */
    int64_t time;
    double west, south, east, north; /* multiples of 1/1024, so exact in columns */
    char labels[64], split[8];
    double cloud;      /* property eo:cloud_cover */
    char platform[16]; /* property platform */
    double mixed;      /* property mixed: a number or a text */
    char mixed_text[16];
    char tags[32]; /* property tags, a list */
} plain_row;

typedef struct plain_table {
    size_t count;
    plain_row *rows;
    dip_columns columns;
    dip_properties properties;
} plain_table;

/** Every tenth or so of each thing is not known; every eighth footprint crosses the antimeridian. */
void support_rows_make(plain_table *table, size_t count, uint64_t seed);
void support_rows_free(plain_table *table);

#endif
