/** Hits that keep their distance: one a place, and none nearer to another than some kilometres. */
#ifndef SEARCH_SPREAD_H
#define SEARCH_SPREAD_H

#include "search/columns.h"

typedef struct dip_spread dip_spread;

/** `km` 0: no matter how near; `per_place`: one a place. */
dip_status dip_spread_create(dip_spread **out, const dip_columns *columns, double km,
                             bool per_place);
void dip_spread_destroy(dip_spread *spread);

/**
 * *taken: whether a row (SIZE_MAX: a tile without one) stands with all that were taken before; then it counts too. A row
 * without a footprint is near to nothing. The time does not grow with the rows taken.
 */
dip_status dip_spread_take(dip_spread *spread, size_t row, bool *taken);

#endif
