/* The character of a simulated region; see land.h. Shares become thresholds of fields of unit variance. */
#include "ingest/land.h"

#include "core/rng.h"
#include "ingest/noise.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

const char *dip_cover_name(dip_cover cover)
{
    static const char *const names[DIP_COVER_COUNT] = {
        "water", "broad-leaved forest", "coniferous forest", "arable land", "pasture", "bare soil",
        "urban", "industrial",          "wetland",
    };
    return names[cover];
}

static float draw(dip_rng *rng, double low, double high)
{
    return (float)dip_rng_range(rng, low, high);
}

static bool chance(dip_rng *rng, double share) { return dip_rng_uniform(rng) < share; }

/* The level that a normal variable exceeds with a given probability (logistic approximation). */
static float level_of(double share) { return (float)(log((1 - share) / share) / 1.702); }

/* A level that nothing reaches. */
static const float never = 99;

static void draw_shape(dip_region *r, dip_rng *rng)
{
    r->relief_m = 15 * expf(draw(rng, 0, 3.4));
    bool hilly = r->relief_m > 120;
    r->water_level = chance(rng, hilly ? 0.2 : 0.45) ? -level_of(draw(rng, 0.03, 0.30)) : -never;
    r->river_width = chance(rng, 0.5) ? draw(rng, 0.010, 0.060) : 0;
    r->wetness = hilly ? 0 : draw(rng, -0.3, 1);
    double forest = chance(rng, hilly ? 0.6 : 0.2) ? draw(rng, 0.45, 0.9)
                    : chance(rng, 0.6)             ? draw(rng, 0.15, 0.45)
                                                   : draw(rng, 0.02, 0.15);
    r->forest_level = level_of(forest);
    r->conifer_level = level_of(draw(rng, hilly ? 0.2 : 0.05, hilly ? 0.95 : 0.7));
    double town = chance(rng, 0.6)   ? draw(rng, 0.005, 0.06)
                  : chance(rng, 0.6) ? draw(rng, 0.08, 0.30)
                                     : draw(rng, 0.40, 0.85);
    r->town_level = level_of(town);
    r->industry_level = level_of(draw(rng, 0.08, 0.55));
}

static void draw_fields(dip_region *r, dip_rng *rng)
{
    r->block_px = draw(rng, 32, 90);
    r->strip_px = draw(rng, 4, 20);
    r->length_px = draw(rng, 16, 70);
    r->block_angle = draw(rng, 0, pi);
    r->angle_spread = chance(rng, 0.5) ? draw(rng, 0.05, 0.3) : (float)pi;
    r->highways = dip_rng_below(rng, DIP_HIGHWAYS);
    for (unsigned i = 0; i < r->highways; i++) {
        float angle = draw(rng, 0, pi);
        r->highway[i][0] = cosf(angle);
        r->highway[i][1] = sinf(angle);
        r->highway[i][2] = draw(rng, -0.8, 0.8); /* of the half diagonal; scaled with the scene */
    }
    r->soil_dark = draw(rng, 0, 1);
    r->soil_red = chance(rng, 0.3) ? draw(rng, 0.3, 1) : draw(rng, 0, 0.2);
    r->moisture = draw(rng, 0, 1);
    r->pasture_share = r->relief_m > 120 ? draw(rng, 0.3, 0.95) : draw(rng, 0.03, 0.5);
    float sum = 0;
    for (int i = 0; i < 5; i++) sum += r->crop_share[i] = draw(rng, 0.02, 1) * draw(rng, 0.1, 1);
    for (int i = 0; i < 5; i++) r->crop_share[i] /= sum;
}

/* The sun at 48 degrees north, an hour and a half before noon. */
static void draw_season(dip_region *r, dip_rng *rng)
{
    r->day = floorf(draw(rng, 62, 318));
    double latitude = 48 * pi / 180, hour = -22 * pi / 180;
    double declination = 23.45 * pi / 180 * sin(2 * pi * (284 + r->day) / 365);
    double height = sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour);
    double azimuth = 150 * pi / 180;
    r->sun_slant = (float)(sqrt(1 - height * height) / height);
    r->sun_x = (float)sin(azimuth);
    r->sun_y = (float)-cos(azimuth);
    r->haze = draw(rng, 0, 0.022);
    float tone = draw(rng, 0.93, 1.07);
    for (int b = 0; b < DIP_OPTICAL_BANDS; b++) r->gain[b] = tone * draw(rng, 0.97, 1.03);
    float breeze = draw(rng, 0, 1);
    r->wind = breeze * breeze;
}

/* Right-looking from a polar orbit: the sensor stands in the west (ascending) or in the east. */
static void draw_radar(dip_region *r, dip_rng *rng)
{
    double azimuth = (chance(rng, 0.5) ? 258 : 102) * pi / 180;
    double incidence = draw(rng, 31, 45) * pi / 180;
    r->look_x = (float)sin(azimuth);
    r->look_y = (float)-cos(azimuth);
    r->look_angle = (float)atan2(r->look_y, r->look_x);
    r->incidence_slant = (float)(1 / tan(incidence));
}

void dip_region_init(dip_region *region, uint64_t seed, uint64_t scene)
{
    dip_rng rng;
    memset(region, 0, sizeof *region);
    region->seed = dip_mix(dip_mix(seed, 0x726567696f6eu), scene);
    dip_rng_init(&rng, region->seed, 0);
    draw_shape(region, &rng);
    draw_fields(region, &rng);
    draw_season(region, &rng);
    draw_radar(region, &rng);
}
