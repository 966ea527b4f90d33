/**
 * Simulated land: a region's character, and the ground of one place in it.
 *
 * A region is a scene of 4 x 4 neighbouring places that share relief, soils, season, weather and viewing geometry. All
 * fields are functions of scene coordinates, so the land goes on from one place to the next.
 */
#ifndef INGEST_LAND_H
#define INGEST_LAND_H

#include "core/status.h"

#include <stdint.h>

enum { DIP_SCENE_SIDE = 4, DIP_OPTICAL_BANDS = 10, DIP_HIGHWAYS = 4 };

/** What a label can be. */
typedef enum dip_cover {
    DIP_COVER_WATER,
    DIP_COVER_BROADLEAVED,
    DIP_COVER_CONIFEROUS,
    DIP_COVER_ARABLE,
    DIP_COVER_PASTURE,
    DIP_COVER_BARE,
    DIP_COVER_URBAN,
    DIP_COVER_INDUSTRIAL,
    DIP_COVER_WETLAND,
    DIP_COVER_COUNT
} dip_cover;

const char *dip_cover_name(dip_cover cover);

typedef struct dip_region {
    uint64_t seed; /* of this scene */
    /* shape of the land */
    float relief_m, water_level, river_width, wetness;
    float forest_level, conifer_level, town_level, industry_level;
    float block_px, strip_px, length_px, block_angle, angle_spread;
    float highway[DIP_HIGHWAYS][3]; /* normal and distance, pixels */
    unsigned highways;
    /* soils and farming */
    float soil_dark, soil_red, moisture, pasture_share, crop_share[5];
    /* season, light and weather */
    float day; /* of the year */
    float sun_x, sun_y,
        sun_slant; /* direction of the light on the map, tangent of the zenith angle */
    float haze, gain[DIP_OPTICAL_BANDS];
    float wind;
    /* radar */
    float look_x, look_y, incidence_slant; /* direction to the sensor, cotangent of the incidence */
    float look_angle;
} dip_region;

/** Scene `scene` of a simulation. */
void dip_region_init(dip_region *region, uint64_t seed, uint64_t scene);

/** One uniform patch of the ground: a field, a stand of trees, a lot. */
typedef struct dip_surface {
    dip_cover cover;
    float reflectance[DIP_OPTICAL_BANDS]; /* of level ground, 0..1 */
    float backscatter[2];                 /* VV, VH, dB */
    float grain;                          /* strength of the fine texture in the optical image */
    float roughness_db;                   /* and in the radar image */
    float rows;                           /* strength of the rows of a field */
    float corners;                        /* share of 2 x 2 pixel cells with a corner reflector */
    float corner_db;                      /* of a typical one above the surface */
} dip_surface;

/** The ground of one place; fields are (size, size), row-major, north up. */
typedef struct dip_ground {
    uint32_t size;
    float *light;    /* factor on reflectance by slope and sun */
    float *tilt;     /* factor on backscatter by slope and look direction */
    float *grain;    /* fine texture, about unit variance */
    float *rows;     /* -1..1 across the rows of a field */
    float *corner;   /* backscatter that corner reflectors add (linear), 0 nearly everywhere */
    uint32_t *patch; /* position in `surfaces` */
    dip_surface *surfaces;
    uint32_t surface_count;
    uint32_t cover_pixels[DIP_COVER_COUNT];
} dip_ground;

/** The place at (column, row) of the scene, `size` pixels of 10 m a side. Free with dip_ground_destroy(). */
dip_status dip_ground_create(dip_ground **out, const dip_region *region, uint32_t column,
                             uint32_t row, uint32_t size);
void dip_ground_destroy(dip_ground *ground);

#endif
