/* Footprints; see geojson.h. Rings go round counterclockwise. */
#include "front/geojson.h"

#include <math.h>

enum { DECIMALS = 7 };

static void point(dip_json *json, double lon, double lat)
{
    dip_json_array(json, NULL);
    dip_json_real(json, NULL, lon, DECIMALS);
    dip_json_real(json, NULL, lat, DECIMALS);
    dip_json_end(json);
}

static void polygon(dip_json *json, const char *key, double west, double south, double east,
                    double north)
{
    dip_json_array(json, key);
    dip_json_array(json, NULL);
    point(json, west, south);
    point(json, east, south);
    point(json, east, north);
    point(json, west, north);
    point(json, west, south);
    dip_json_end(json);
    dip_json_end(json);
}

void dip_geojson_footprint(dip_json *json, const dip_meta *meta)
{
    const double box[4] = {meta->west, meta->south, meta->east, meta->north};
    for (int i = 0; i < 4; i++) {
        if (!isnan(box[i])) continue;
        dip_json_null(json, "geometry");
        return;
    }
    dip_json_array(json, "bbox");
    for (int i = 0; i < 4; i++) dip_json_real(json, NULL, box[i], DECIMALS);
    dip_json_end(json);
    dip_json_object(json, "geometry");
    if (box[0] <= box[2]) {
        dip_json_text(json, "type", "Polygon");
        polygon(json, "coordinates", box[0], box[1], box[2], box[3]);
    } else {
        dip_json_text(json, "type", "MultiPolygon");
        dip_json_array(json, "coordinates");
        polygon(json, NULL, box[0], box[1], 180, box[3]);
        polygon(json, NULL, -180, box[1], box[2], box[3]);
        dip_json_end(json);
    }
    dip_json_end(json);
}
