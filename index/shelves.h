/**
 * Refinement records on their way from the order of the rows to that of the lists, in which a segment has them. A record goes
 * to the shelf of its list, a file without a name; when all are there, each shelf fits in memory. So all is written and read once
 * more, in large pieces, and memory need not hold it.
 *
 * A record is what refines a candidate (segment.h, `refinement`): bytes of what the codes leave with their scale, or halves of
 * the vector.
 */
#ifndef INDEX_SHELVES_H
#define INDEX_SHELVES_H

#include "index/coded.h"
#include "index/index.h"

#include <stdio.h>

typedef struct dip_shelf {
    FILE *file;
    size_t count; /* records */
} dip_shelf;

typedef struct dip_shelves {
    dip_refinement refinement;
    size_t dim, lists, count;
    size_t stride;   /* bytes of a record; in a file, its uint32 row stands before it */
    size_t every;    /* of so many rows one tells how far codes err */
    double error;    /* sum of its squares */
    size_t measured; /* values in it */
    dip_shelf *shelves;
    char *folder;
} dip_shelves;

/** For n records of vectors in so many lists, in files of `folder`. */
dip_status dip_shelves_init(dip_shelves *shelves, const char *folder, dip_refinement refinement,
                            size_t n, size_t lists, size_t dim);
void dip_shelves_fini(dip_shelves *shelves);

/** The records of rows first .. first + n - 1, which have lists and codes; vectors (n, dim). On all threads. */
dip_status dip_shelves_add(dip_shelves *shelves, const dip_coded *coded, const float *vectors,
                           size_t first, size_t n);
/** One record that is there. */
dip_status dip_shelves_put(dip_shelves *shelves, uint32_t list, uint32_t row, const void *record);

/** The first list of a shelf; that of the next one is its end. */
size_t dip_shelves_first_list(const dip_shelves *shelves, size_t shelf);
/**
 * Calls `place` for all records of a shelf, in the order in which they came, and gives its file back to the system; once a
 * shelf.
 */
dip_status dip_shelves_empty(dip_shelves *shelves, size_t shelf,
                             void (*place)(void *context, uint32_t row, const uint8_t *record),
                             void *context);

/** Root mean square of what codes leave of a value; 0 if no vector came through dip_shelves_add(). */
float dip_shelves_spread(const dip_shelves *shelves);

#endif
