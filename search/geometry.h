/** Shapes on the map, in degrees of longitude and latitude: the only file of this folder that sees geos_c.h. */
#ifndef SEARCH_GEOMETRY_H
#define SEARCH_GEOMETRY_H

#include "core/status.h"

#include <stdbool.h>

typedef struct dip_rect {
    double west, south, east, north; /* west <= east */
} dip_rect;

/** A valid, prepared shape. One thread at a time. */
typedef struct dip_geometry dip_geometry;

/**
 * From WKT, or from GeoJSON with two numbers a position: a geometry, a Feature, or a FeatureCollection, whose shapes
 * count together. Edges are straight lines in degrees. Expected failure: DIP_EINVAL (not to be read; empty; a polygon that crosses itself, a hole
 * outside its polygon: the line says where; coordinates beyond 360 degrees of longitude or 90 of latitude).
 */
dip_status dip_geometry_parse(dip_geometry **out, const char *text, bool json);
dip_status dip_geometry_copy(dip_geometry **out, const dip_geometry *from);
void dip_geometry_destroy(dip_geometry *geometry);

dip_rect dip_geometry_bounds(const dip_geometry *geometry);

/** Do they share a point, borders included? */
dip_status dip_geometry_meets(const dip_geometry *geometry, const dip_rect *rect, bool *yes);
/** Does every point of the rectangle belong to the shape, borders included? */
dip_status dip_geometry_covers(const dip_geometry *geometry, const dip_rect *rect, bool *yes);

#endif
