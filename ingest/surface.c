/*
 * Simulated surfaces; see surface.h.
 *
 * A reflectance is a mixture of a few materials (leaves, needles, straw, soils, roofs, asphalt, water) whose shares
 * follow the season and the patch's chance. Backscatter is the typical C-band level of a kind at about 38 degrees, moved
 * by growth, moisture and roughness. The numbers are rounded typical values: the aim is images that behave like real
 * ones, not a radiative transfer model.
 */
#include "ingest/surface.h"

#include "ingest/noise.h"

#include <stdbool.h>
#include <string.h>

typedef enum material {
    LEAF,
    NEEDLE,
    STRAW,
    BLOSSOM,
    LOAM,
    DARK_EARTH,
    RED_EARTH,
    TILE,
    SLATE,
    METAL,
    ASPHALT,
    CLEAR_WATER,
    TURBID_WATER,
    MATERIAL_COUNT
} material;

/* B02, B03, B04, B05, B06, B07, B08, B8A, B11, B12 */
static const float spectra[MATERIAL_COUNT][DIP_OPTICAL_BANDS] = {
    [LEAF] = {.024f, .056f, .028f, .092f, .285f, .375f, .395f, .410f, .190f, .088f},
    [NEEDLE] = {.017f, .032f, .020f, .049f, .135f, .168f, .178f, .186f, .086f, .039f},
    [STRAW] = {.072f, .104f, .136f, .168f, .195f, .212f, .238f, .252f, .315f, .235f},
    [BLOSSOM] = {.048f, .175f, .145f, .205f, .340f, .390f, .410f, .420f, .205f, .100f},
    [LOAM] = {.082f, .115f, .152f, .178f, .198f, .212f, .226f, .240f, .312f, .280f},
    [DARK_EARTH] = {.043f, .058f, .076f, .092f, .104f, .114f, .126f, .136f, .190f, .178f},
    [RED_EARTH] = {.052f, .088f, .168f, .196f, .212f, .224f, .240f, .252f, .330f, .290f},
    [TILE] = {.072f, .098f, .172f, .196f, .214f, .226f, .242f, .252f, .285f, .246f},
    [SLATE] = {.118f, .126f, .136f, .142f, .148f, .153f, .160f, .165f, .182f, .172f},
    [METAL] = {.330f, .345f, .360f, .368f, .374f, .380f, .386f, .390f, .395f, .350f},
    [ASPHALT] = {.080f, .090f, .100f, .106f, .111f, .116f, .122f, .127f, .146f, .136f},
    [CLEAR_WATER] = {.030f, .027f, .018f, .014f, .011f, .010f, .009f, .008f, .004f, .003f},
    [TURBID_WATER] = {.062f, .092f, .086f, .074f, .050f, .046f, .040f, .034f, .009f, .006f},
};

/* Independent draws of one patch. */
typedef struct chance {
    uint64_t hash;
    uint64_t count;
} chance;

static float draw(chance *c, float low, float high)
{
    return low + (high - low) * dip_unit(dip_mix(c->hash, ++c->count));
}

static void mix(dip_surface *s, material m, float share)
{
    for (int b = 0; b < DIP_OPTICAL_BANDS; b++) s->reflectance[b] += share * spectra[m][b];
}

/* 0 before `begin`, 1 after `end`, smooth between. */
static float ramp(float day, float begin, float end)
{
    float t = (day - begin) / (end - begin);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

static void mix_soil(dip_surface *s, const dip_region *r, float share, chance *c)
{
    float dark = r->soil_dark * draw(c, 0.7f, 1.3f), red = r->soil_red * draw(c, 0.7f, 1.3f);
    dark = dark > 1 ? 1 : dark;
    red = red > 1 ? 1 : red;
    float wet = 1 - 0.35f * r->moisture;
    mix(s, DARK_EARTH, share * wet * dark);
    mix(s, RED_EARTH, share * wet * (1 - dark) * red);
    mix(s, LOAM, share * wet * (1 - dark) * (1 - red));
}

static void echo(dip_surface *s, float vv, float vh)
{
    s->backscatter[0] = vv;
    s->backscatter[1] = vh;
}

/* Open soil: rough or wet ground sends more back, ploughing more in VV than in VH. */
static void soil_echo(const dip_region *r, chance *c, float *vv, float *vh)
{
    float rough = draw(c, -2.5f, 2.5f), wet = 5 * (r->moisture - 0.5f);
    *vv = -12.5f + rough + wet;
    *vh = -21.0f + 0.6f * rough + 0.7f * wet;
}

/* ---- kinds ---- */

static void make_water(dip_surface *s, const dip_region *r, chance *c, bool river)
{
    float turbid = river ? draw(c, 0.25f, 0.9f) : draw(c, 0.0f, 0.45f);
    s->cover = DIP_COVER_WATER;
    mix(s, CLEAR_WATER, 1 - turbid);
    mix(s, TURBID_WATER, turbid);
    float wind = river ? 0.5f * r->wind : r->wind;
    echo(s, -23 + 9 * wind, -29.5f + 4 * wind);
    s->grain = 0.02f;
    s->roughness_db = 0.3f;
}

static void make_broadleaved(dip_surface *s, const dip_region *r, chance *c)
{
    float shift = draw(c, -6, 6);
    float leaves = ramp(r->day, 98 + shift, 132 + shift) * (1 - ramp(r->day, 272 + shift, 312));
    float autumn = ramp(r->day, 255 + shift, 285 + shift) * (1 - ramp(r->day, 300, 325));
    float lush = draw(c, 0.72f, 0.98f);
    s->cover = DIP_COVER_BROADLEAVED;
    mix(s, LEAF, 0.82f * leaves * lush);
    mix(s, STRAW, 0.30f * (1 - leaves) + 0.25f * autumn);
    mix_soil(s, r, 0.22f * (1 - leaves), c);
    float stand = draw(c, -0.8f, 0.8f);
    echo(s, -9.6f + stand + 0.6f * (1 - leaves), -14.8f + stand - 0.8f * (1 - leaves));
    s->grain = draw(c, 0.12f, 0.20f);
    s->roughness_db = 0.9f;
}

static void make_coniferous(dip_surface *s, const dip_region *r, chance *c)
{
    (void)r;
    float dense = draw(c, 0.75f, 1.1f), broad = draw(c, 0.0f, 0.15f), stand = draw(c, -0.8f, 0.8f);
    s->cover = DIP_COVER_CONIFEROUS;
    mix(s, NEEDLE, dense);
    mix(s, LEAF, broad);
    echo(s, -9.0f + stand, -14.2f + stand);
    s->grain = draw(c, 0.14f, 0.24f);
    s->roughness_db = 1.0f;
}

/* How a crop stands: leaves, straw, blossom cover soil; height sends VH back. */
typedef struct stand {
    float green, straw, blossom, height;
} stand;

static stand stand_of(dip_kind kind, float day, chance *c)
{
    float d = day + draw(c, -9, 9); /* sowing dates differ */
    stand k = {0, 0, 0, 0};
    if (kind == DIP_KIND_CEREAL) {
        k.green = (0.25f + 0.65f * ramp(d, 75, 130)) * (1 - ramp(d, 165, 195));
        k.straw = ramp(d, 168, 198) * (0.95f - 0.55f * ramp(d, 205, 245));
        k.height = ramp(d, 100, 140) * (1 - ramp(d, 200, 212));
    } else if (kind == DIP_KIND_RAPESEED) {
        k.green = (0.35f + 0.6f * ramp(d, 70, 110)) * (1 - ramp(d, 170, 195));
        k.blossom = ramp(d, 108, 118) * (1 - ramp(d, 138, 150));
        k.straw = ramp(d, 175, 200) * (0.9f - 0.6f * ramp(d, 205, 240));
        k.height = 1.3f * ramp(d, 95, 125) * (1 - ramp(d, 200, 210));
    } else if (kind == DIP_KIND_MAIZE) {
        k.green = 0.95f * ramp(d, 140, 190) * (1 - ramp(d, 245, 275));
        k.straw = ramp(d, 248, 275) * (1 - 0.6f * ramp(d, 280, 300));
        k.height = 1.6f * ramp(d, 150, 205) * (1 - ramp(d, 268, 285));
    } else if (kind == DIP_KIND_BEET) {
        k.green = 0.95f * ramp(d, 125, 170) * (1 - ramp(d, 280, 310));
        k.height = 1.2f * ramp(d, 135, 180) * (1 - ramp(d, 285, 305));
    } else { /* fallow: a thin cover all year */
        k.green = draw(c, 0.1f, 0.5f);
        k.straw = draw(c, 0.1f, 0.4f);
        k.height = 0.3f;
    }
    return k;
}

static void make_crop(dip_surface *s, dip_kind kind, const dip_region *r, chance *c)
{
    stand k = stand_of(kind, r->day, c);
    float vigour = draw(c, 0.75f, 1.1f), green = k.green * vigour, straw = k.straw * vigour;
    green = green > 0.97f ? 0.97f : green;
    float dry = straw * (1 - green), soil = 1 - green - dry;
    mix(s, LEAF, green * (1 - 0.75f * k.blossom));
    mix(s, BLOSSOM, green * 0.75f * k.blossom);
    mix(s, STRAW, dry);
    mix_soil(s, r, soil < 0 ? 0 : soil, c);
    s->cover = green + dry < 0.22f ? DIP_COVER_BARE : DIP_COVER_ARABLE;
    float vv, vh, plant = draw(c, -0.8f, 0.8f);
    soil_echo(r, c, &vv, &vh);
    /* Upright stalks swallow VV; broad leaves and height send both back, VH more. */
    bool stalks = kind == DIP_KIND_CEREAL;
    float cover = k.height > 1 ? 1 : k.height;
    float canopy_vv = stalks ? -15.5f : -10.5f + 0.8f * k.height;
    float canopy_vh = stalks ? -20.5f : -17.0f + 1.2f * k.height;
    echo(s, vv + cover * (canopy_vv + plant - vv), vh + cover * (canopy_vh + plant - vh));
    s->grain = draw(c, 0.02f, 0.05f);
    s->rows = draw(c, 0.0f, 0.05f);
    s->roughness_db = 0.4f;
}

static void make_pasture(dip_surface *s, const dip_region *r, chance *c)
{
    float mown = draw(c, 0, 1) < 0.3f ? draw(c, 0.3f, 0.7f) : 0;
    float dry = 0.35f * ramp(r->day, 180, 225) * (1 - r->moisture) + draw(c, 0.02f, 0.2f);
    float green = (0.62f + 0.28f * ramp(r->day, 85, 120)) * (1 - 0.6f * mown) * (1 - dry);
    s->cover = DIP_COVER_PASTURE;
    mix(s, LEAF, green * draw(c, 0.85f, 1.05f));
    mix(s, STRAW, 0.75f * (1 - green));
    mix_soil(s, r, 0.25f * (1 - green), c);
    float field = draw(c, -1, 1);
    echo(s, -12.8f + field + 3 * (r->moisture - 0.5f),
         -19.2f + field + 1.5f * (r->moisture - 0.5f));
    s->grain = draw(c, 0.04f, 0.08f);
    s->roughness_db = 0.5f;
}

static void make_marsh(dip_surface *s, const dip_region *r, chance *c)
{
    float open = draw(c, 0.05f, 0.45f), green = 0.35f + 0.45f * ramp(r->day, 115, 160);
    s->cover = DIP_COVER_WETLAND;
    mix(s, CLEAR_WATER, open);
    mix(s, LEAF, 0.7f * (1 - open) * green);
    mix(s, STRAW, 0.8f * (1 - open) * (1 - green));
    mix(s, DARK_EARTH, 0.25f * (1 - open));
    /* Stems that stand in water: a double bounce in VV. */
    echo(s, -9.5f - 7 * open * open + draw(c, -1, 1), -17.5f - 5 * open + draw(c, -1, 1));
    s->grain = 0.14f;
    s->roughness_db = 1.2f;
}

static void make_hedge(dip_surface *s, const dip_region *r, chance *c)
{
    make_broadleaved(s, r, c);
    mix_soil(s, r, 0.15f, c);
    echo(s, -10.5f, -16);
}

static void make_track(dip_surface *s, const dip_region *r, chance *c)
{
    s->cover = DIP_COVER_ARABLE;
    mix_soil(s, r, 0.75f, c);
    mix(s, LEAF, 0.25f);
    echo(s, -13, -20.5f);
    s->grain = 0.03f;
    s->roughness_db = 0.3f;
}

static void make_paved(dip_surface *s, const dip_region *r, chance *c, bool street)
{
    float shade = draw(c, 0.85f, 1.2f);
    s->cover = DIP_COVER_URBAN;
    mix(s, ASPHALT, shade * (street ? 0.8f : 1));
    if (street) mix(s, LEAF, 0.15f * ramp(r->day, 98, 132));
    echo(s, street ? -11 : -17, street ? -18 : -25);
    s->grain = 0.05f;
    s->roughness_db = 0.8f;
}

static void mix_roof(dip_surface *s, float share, float red, chance *c)
{
    float pick = draw(c, 0, 1), shade = share * draw(c, 0.7f, 1.25f);
    mix(s, pick < red ? TILE : pick < red + 0.06f ? METAL : SLATE, shade);
}

/* Houses: walls and ground are corner reflectors, strongest where they face the radar. */
static void make_built(dip_surface *s, const dip_region *r, chance *c, bool centre, float facing)
{
    float roof = centre ? draw(c, 0.5f, 0.75f) : draw(c, 0.15f, 0.45f);
    float garden = centre ? draw(c, 0.02f, 0.12f) : draw(c, 0.25f, 0.6f);
    float paved = 1 - roof - garden;
    float leaves = 0.35f + 0.5f * ramp(r->day, 98, 132) * (1 - ramp(r->day, 280, 312));
    s->cover = DIP_COVER_URBAN;
    mix_roof(s, roof, centre ? 0.45f : 0.6f, c);
    mix(s, LEAF, garden * leaves);
    mix_soil(s, r, garden * (1 - leaves), c);
    mix(s, ASPHALT, paved > 0 ? paved : 0);
    float level = centre ? -6.5f : -9.5f;
    echo(s, level + 4 * facing + draw(c, -1, 1), level - 7 + 2 * facing + draw(c, -1, 1));
    s->grain = centre ? 0.12f : 0.16f;
    s->roughness_db = 1.8f;
    s->corners = (centre ? 0.10f : 0.05f) + 0.10f * facing;
    s->corner_db = 5 + 7 * facing;
}

static void make_hall(dip_surface *s, chance *c, float facing)
{
    float pick = draw(c, 0, 1);
    s->cover = DIP_COVER_INDUSTRIAL;
    mix(s, pick < 0.45f ? METAL : SLATE, draw(c, 0.6f, 1.15f));
    if (pick > 0.85f) mix(s, TILE, 0.3f);
    echo(s, -7 + 4 * facing + draw(c, -1.5f, 1.5f), -15 + 2 * facing + draw(c, -1.5f, 1.5f));
    s->grain = 0.04f;
    s->roughness_db = 1.5f;
    s->corners = 0.06f + 0.12f * facing;
    s->corner_db = 9 + 8 * facing;
}

static void make_yard(dip_surface *s, chance *c)
{
    s->cover = DIP_COVER_INDUSTRIAL;
    mix(s, ASPHALT, draw(c, 0.9f, 1.4f));
    mix(s, STRAW, 0.1f);
    echo(s, -12, -19.5f);
    s->grain = 0.07f;
    s->roughness_db = 1.2f;
    s->corners = 0.03f;
    s->corner_db = 8;
}

dip_surface dip_surface_make(dip_kind kind, const dip_region *region, uint64_t hash, float facing)
{
    dip_surface s;
    chance c = {dip_mix(hash, 0x5u), 0};
    memset(&s, 0, sizeof s);
    switch (kind) {
    case DIP_KIND_LAKE: make_water(&s, region, &c, false); break;
    case DIP_KIND_RIVER: make_water(&s, region, &c, true); break;
    case DIP_KIND_BROADLEAVED: make_broadleaved(&s, region, &c); break;
    case DIP_KIND_CONIFEROUS: make_coniferous(&s, region, &c); break;
    case DIP_KIND_PASTURE: make_pasture(&s, region, &c); break;
    case DIP_KIND_HEDGE: make_hedge(&s, region, &c); break;
    case DIP_KIND_TRACK: make_track(&s, region, &c); break;
    case DIP_KIND_ROAD: make_paved(&s, region, &c, false); break;
    case DIP_KIND_STREET: make_paved(&s, region, &c, true); break;
    case DIP_KIND_LOT: make_built(&s, region, &c, false, facing); break;
    case DIP_KIND_CENTRE: make_built(&s, region, &c, true, facing); break;
    case DIP_KIND_HALL: make_hall(&s, &c, facing); break;
    case DIP_KIND_YARD: make_yard(&s, &c); break;
    case DIP_KIND_MARSH: make_marsh(&s, region, &c); break;
    case DIP_KIND_CEREAL:
    case DIP_KIND_RAPESEED:
    case DIP_KIND_MAIZE:
    case DIP_KIND_BEET:
    case DIP_KIND_FALLOW: make_crop(&s, kind, region, &c); break;
    }
    return s;
}
