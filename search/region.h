/**
 * A shape asked about very many small rectangles: a quadtree, filled in where it is asked, remembers which cells lie
 * inside and which outside, so that only rectangles on the border need the shape itself.
 *
 * Longitudes are circular: a shape that reaches past 180 degrees, in either direction, means the same places as one
 * that is cut there.
 */
#ifndef SEARCH_REGION_H
#define SEARCH_REGION_H

#include "search/geometry.h"

typedef struct dip_region dip_region;

/** Takes the shape over, also on failure. */
dip_status dip_region_create(dip_region **out, dip_geometry *shape);
void dip_region_destroy(dip_region *region);

/**
 * Does the shape share a point with the footprint (`within`: hold all of it)? west > east crosses the antimeridian.
 * `worker` < dip_threads(): any number of workers at once, one thread as each.
 */
dip_status dip_region_test(dip_region *region, unsigned worker, double west, double south,
                           double east, double north, bool within, bool *yes);

#endif
