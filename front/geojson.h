/** Footprints as GeoJSON (RFC 7946). */
#ifndef FRONT_GEOJSON_H
#define FRONT_GEOJSON_H

#include <diptych/tile.h>

#include "front/json.h"

/** "bbox" and "geometry" of a tile; one that crosses the antimeridian is cut in two; null if not known. */
void dip_geojson_footprint(dip_json *json, const dip_meta *meta);

#endif
