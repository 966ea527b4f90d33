/**
 * Vectors to be indexed: an array, or something that hands them out in pieces (blocks of an archive, a maker), so that a set
 * need not fit in memory. A build reads them twice from front to back.
 */
#ifndef INDEX_SUPPLY_H
#define INDEX_SUPPLY_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_supply {
    size_t n, dim;
    const uint64_t *ids; /* n, ascending; NULL: the row numbers */
    const float *values; /* (n, dim), all in memory; or NULL, and */
    /** Rows first .. first + count - 1 into (count, dim). Called by one thread at a time, which may use all others. */
    dip_status (*read)(void *payload, size_t first, size_t count, float *out);
    /** Some rows, ascending, into (count, dim), likewise; NULL: they are read with what lies between them. */
    dip_status (*pick)(void *payload, const size_t *rows, size_t count, float *out);
    void *payload;
} dip_supply;

/**
 * *rows: (count, dim) from row `first` on, in `room` of that size if they are not in memory anyway. Expected failure:
 * DIP_EINVAL (not of unit norm: names the tile).
 */
dip_status dip_supply_read(const dip_supply *supply, size_t first, size_t count, float *room,
                           const float **rows);
/** Some rows, ascending, into `out` (count, dim); the same failure. */
dip_status dip_supply_pick(const dip_supply *supply, const size_t *rows, size_t count, float *out);
/** What `room` needs for `count` rows, or a little if they are in memory; free with dip_free_aligned(). */
float *dip_supply_room(const dip_supply *supply, size_t count);

/** Are vectors (n, dim) of unit norm? The failure of dip_supply_read(). */
dip_status dip_supply_check(const float *vectors, const uint64_t *ids, size_t n, size_t dim);

#endif
