/*
 * The ground of a simulated place; see land.h.
 *
 * Every pixel asks a handful of noise fields in turn: is it lake, river, road, town, marsh, wood, else farmland. Farmland
 * and towns are cut into blocks (Voronoi cells of a jittered lattice), each with a direction of its own, and a block
 * into strips and parcels or into streets and lots. Whatever is uniform is one surface, found by a hash of its parcel.
 */
#include "ingest/land.h"

#include "core/mem.h"
#include "ingest/noise.h"
#include "ingest/surface.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Numbers of the noise fields; each has a seed of its own. */
enum {
    FIELD_RIVER,
    FIELD_TOWN,
    FIELD_INDUSTRY,
    FIELD_FOREST,
    FIELD_CONIFER,
    FIELD_WET,
    FIELD_BEND_X,
    FIELD_BEND_Y,
    FIELD_GRAIN,
    FIELD_COUNT,
    FIELD_HEIGHT /* on a larger window */
};

static const struct {
    double wavelength;
    unsigned octaves;
} field_shape[FIELD_COUNT] = {
    [FIELD_RIVER] = {300, 3},  [FIELD_TOWN] = {180, 4},   [FIELD_INDUSTRY] = {70, 2},
    [FIELD_FOREST] = {110, 5}, [FIELD_CONIFER] = {90, 3}, [FIELD_WET] = {60, 4},
    [FIELD_BEND_X] = {50, 2},  [FIELD_BEND_Y] = {50, 2},  [FIELD_GRAIN] = {4, 3},
};
static const double height_wavelength = 480;
enum { HEIGHT_OCTAVES = 7 };

/* A Voronoi cell. */
typedef struct block {
    float x, y;
    float cos_angle, sin_angle, angle;
    float strip, length;      /* of parcels, pixels */
    float street_u, street_v; /* spacing of streets */
    uint64_t hash;
} block;

typedef struct maker {
    const dip_region *region;
    dip_ground *ground;
    dip_window window; /* of the place in its scene */
    float *height;     /* (size + 2, size + 2), metres */
    float *field[FIELD_COUNT];
    float *memory;
    block *blocks;
    int32_t block_x, block_y; /* lattice position of blocks[0] */
    uint32_t block_columns, block_rows;
    /* surfaces by hash: open addressing, a cell holds a position + 1 */
    uint64_t *keys;
    uint32_t *cells;
    size_t mask;
    size_t surface_capacity;
    uint64_t last_key;
    uint32_t last_surface;
} maker;

/* What one pixel turned out to be. */
typedef struct spot {
    dip_kind kind;
    uint64_t key;
    float facing, across; /* across: position across the rows of a field, pixels */
} spot;

/* ---- fields ---- */

static dip_status fill_fields(maker *m)
{
    uint32_t size = m->ground->size;
    size_t pixels = (size_t)size * size, larger = (size_t)(size + 2) * (size + 2);
    m->memory = dip_alloc((FIELD_COUNT * pixels + larger) * sizeof *m->memory);
    if (!m->memory) return DIP_ENOMEM;
    m->height = m->memory + FIELD_COUNT * pixels;
    dip_window around = {m->window.x - 1, m->window.y - 1, size + 2, size + 2};
    dip_status status = dip_noise_fill(m->height, &around, height_wavelength, HEIGHT_OCTAVES,
                                       dip_mix(m->region->seed, FIELD_HEIGHT));
    for (unsigned f = 0; f < FIELD_COUNT && !status; f++) {
        m->field[f] = m->memory + f * pixels;
        status = dip_noise_fill(m->field[f], &m->window, field_shape[f].wavelength,
                                field_shape[f].octaves, dip_mix(m->region->seed, f));
    }
    return status;
}

/* ---- blocks ---- */

static block make_block(const dip_region *r, int32_t column, int32_t row)
{
    block b;
    b.hash = dip_mix(dip_mix(r->seed ^ 0xb10cu, (uint32_t)column), (uint32_t)row);
    float u[8];
    for (int i = 0; i < 8; i++) u[i] = dip_unit(dip_mix(b.hash, (uint64_t)i));
    b.x = ((float)column + 0.15f + 0.7f * u[0]) * r->block_px;
    b.y = ((float)row + 0.15f + 0.7f * u[1]) * r->block_px;
    b.angle = r->block_angle + r->angle_spread * (u[2] - 0.5f);
    b.cos_angle = cosf(b.angle);
    b.sin_angle = sinf(b.angle);
    b.strip = r->strip_px * (0.5f + 1.2f * u[3] * u[3]) + 2;
    b.length = r->length_px * (0.5f + u[4]) + 4;
    b.street_u = 9 + 12 * u[5];
    b.street_v = 6 + 5 * u[6];
    return b;
}

/* Bends shift a pixel by some pixels, so blocks of two cells around the window are enough. */
static dip_status fill_blocks(maker *m)
{
    float cell = m->region->block_px;
    int32_t size = (int32_t)m->ground->size;
    m->block_x = (int32_t)floorf((float)m->window.x / cell) - 2;
    m->block_y = (int32_t)floorf((float)m->window.y / cell) - 2;
    m->block_columns =
        (uint32_t)((int32_t)floorf((float)(m->window.x + size) / cell) + 3 - m->block_x);
    m->block_rows =
        (uint32_t)((int32_t)floorf((float)(m->window.y + size) / cell) + 3 - m->block_y);
    m->blocks = dip_alloc((size_t)m->block_columns * m->block_rows * sizeof *m->blocks);
    if (!m->blocks) return DIP_ENOMEM;
    for (uint32_t row = 0; row < m->block_rows; row++)
        for (uint32_t column = 0; column < m->block_columns; column++)
            m->blocks[row * m->block_columns + column] =
                make_block(m->region, m->block_x + (int32_t)column, m->block_y + (int32_t)row);
    return DIP_OK;
}

/* The nearest block, and how far the border to the next one is. */
static const block *find_block(const maker *m, float x, float y, float *border)
{
    int32_t column = (int32_t)floorf(x / m->region->block_px) - m->block_x;
    int32_t row = (int32_t)floorf(y / m->region->block_px) - m->block_y;
    const block *nearest = NULL;
    float first = INFINITY, second = INFINITY;
    for (int32_t r = row - 1; r <= row + 1; r++)
        for (int32_t c = column - 1; c <= column + 1; c++) {
            if (r < 0 || c < 0 || r >= (int32_t)m->block_rows || c >= (int32_t)m->block_columns)
                continue;
            const block *b = &m->blocks[(uint32_t)r * m->block_columns + (uint32_t)c];
            float dx = x - b->x, dy = y - b->y, distance = dx * dx + dy * dy;
            if (distance < first) {
                second = first;
                first = distance;
                nearest = b;
            } else if (distance < second) {
                second = distance;
            }
        }
    *border = (sqrtf(second) - sqrtf(first)) / 2;
    return nearest;
}

/* ---- what a pixel is ---- */

static float rest(float x) { return x - floorf(x); }

static uint64_t parcel_key(const block *b, float u, float v, uint64_t sort)
{
    uint64_t key = dip_mix(b->hash, sort);
    key = dip_mix(key, (uint64_t)(int64_t)floorf(u));
    return dip_mix(key, (uint64_t)(int64_t)floorf(v));
}

static float facing_of(const dip_region *r, const block *b)
{
    float c = fabsf(cosf(2 * (b->angle - r->look_angle)));
    return c * c * c;
}

static dip_kind crop_of(const dip_region *r, uint64_t key)
{
    static const dip_kind crops[] = {DIP_KIND_CEREAL, DIP_KIND_RAPESEED, DIP_KIND_MAIZE,
                                     DIP_KIND_BEET, DIP_KIND_FALLOW};
    float pick = dip_unit(dip_mix(key, 0xc0u));
    int i = 0;
    for (; i < 4 && pick >= r->crop_share[i]; i++) pick -= r->crop_share[i];
    return crops[i];
}

static spot farmland(const dip_region *r, const block *b, float x, float y, float border,
                     float slope)
{
    float dx = x - b->x, dy = y - b->y;
    float u = b->cos_angle * dx + b->sin_angle * dy, v = b->cos_angle * dy - b->sin_angle * dx;
    float strip = v / b->strip;
    float shift = dip_unit(dip_mix(b->hash, (uint64_t)(int64_t)floorf(strip) + 77));
    spot s = {.key = parcel_key(b, u / b->length + shift, strip, 1), .across = v};
    float edge = dip_unit(dip_mix(b->hash, 9));
    if (border < 0.7f && edge < 0.75f) {
        s.kind = edge < 0.35f ? DIP_KIND_HEDGE : DIP_KIND_TRACK;
        s.key = dip_mix(b->hash, 11);
        return s;
    }
    bool grass = slope > 0.22f || dip_unit(dip_mix(s.key, 3)) < r->pasture_share;
    s.kind = grass ? DIP_KIND_PASTURE : crop_of(r, s.key);
    return s;
}

static spot town(const dip_region *r, const block *b, float x, float y, float density)
{
    float dx = x - b->x, dy = y - b->y;
    float u = b->cos_angle * dx + b->sin_angle * dy, v = b->cos_angle * dy - b->sin_angle * dx;
    spot s = {.facing = facing_of(r, b)};
    float along = rest(u / b->street_u) * b->street_u, aside = rest(v / b->street_v) * b->street_v;
    if (along < 1.1f || aside < 1.1f) {
        s.kind = DIP_KIND_STREET;
        s.key = dip_mix(b->hash, 21);
        return s;
    }
    s.kind = density > 0.8f ? DIP_KIND_CENTRE : DIP_KIND_LOT;
    s.key = parcel_key(b, u / 2.6f, v / (b->street_v / 2), 2);
    return s;
}

static spot industry(const dip_region *r, const block *b, float x, float y)
{
    float dx = x - b->x, dy = y - b->y, side = b->street_u + 4;
    float u = (b->cos_angle * dx + b->sin_angle * dy) / side;
    float v = (b->cos_angle * dy - b->sin_angle * dx) / side;
    spot s = {.key = parcel_key(b, u, v, 3), .facing = facing_of(r, b)};
    float width = 0.45f + 0.4f * dip_unit(dip_mix(s.key, 4));
    float depth = 0.45f + 0.4f * dip_unit(dip_mix(s.key, 5));
    bool hall = rest(u) < width && rest(v) < depth;
    s.kind = hall ? DIP_KIND_HALL : DIP_KIND_YARD;
    if (!hall) s.key = dip_mix(b->hash, 23);
    return s;
}

static bool on_highway(const maker *m, float x, float y)
{
    const dip_region *r = m->region;
    float half = DIP_SCENE_SIDE * (float)m->ground->size / 2;
    for (unsigned i = 0; i < r->highways; i++) {
        float distance = r->highway[i][0] * (x - half) + r->highway[i][1] * (y - half);
        if (fabsf(distance - r->highway[i][2] * half) < 1.1f) return true;
    }
    return false;
}

/* i: the pixel in the fields; level: its height in units of the relief. */
static spot look_at(const maker *m, size_t i, float x, float y, float level, float slope)
{
    const dip_region *r = m->region;
    float river = fabsf(m->field[FIELD_RIVER][i]),
          density = m->field[FIELD_TOWN][i] - r->town_level;
    if (level < r->water_level) return (spot){.kind = DIP_KIND_LAKE, .key = 31};
    if (river < r->river_width) return (spot){.kind = DIP_KIND_RIVER, .key = 32};
    float bend_x = x + 4 * m->field[FIELD_BEND_X][i], bend_y = y + 4 * m->field[FIELD_BEND_Y][i];
    if (on_highway(m, bend_x, bend_y)) return (spot){.kind = DIP_KIND_ROAD, .key = 33};
    float border;
    const block *b = find_block(m, bend_x, bend_y, &border);
    if (density > 0 && slope < 0.3f) {
        bool works = m->field[FIELD_INDUSTRY][i] > r->industry_level && density > 0.1f;
        return works ? industry(r, b, bend_x, bend_y) : town(r, b, bend_x, bend_y, density);
    }
    bool shore = level < r->water_level + 0.35f || river < 3.5f * r->river_width;
    if (m->field[FIELD_WET][i] + (shore ? 1.2f : -2.2f) + 1.5f * (r->wetness - 0.7f) > 0.5f)
        return (spot){.kind = DIP_KIND_MARSH, .key = dip_mix(b->hash, 41)};
    float owned = 1.1f * (dip_unit(dip_mix(b->hash, 6)) - 0.5f);
    if (m->field[FIELD_FOREST][i] + owned + 1.5f * slope > r->forest_level) {
        bool needles = m->field[FIELD_CONIFER][i] + 0.4f * level > r->conifer_level;
        return (spot){.kind = needles ? DIP_KIND_CONIFEROUS : DIP_KIND_BROADLEAVED,
                      .key = dip_mix(b->hash, needles ? 42 : 43)};
    }
    return farmland(r, b, bend_x, bend_y, border, slope);
}

/* ---- surfaces ---- */

static dip_status grow_table(maker *m)
{
    size_t size = m->cells ? 2 * (m->mask + 1) : 1024;
    uint64_t *keys = dip_calloc(size, sizeof *keys);
    uint32_t *cells = dip_calloc(size, sizeof *cells);
    if (!keys || !cells) {
        dip_free(keys);
        dip_free(cells);
        return DIP_ENOMEM;
    }
    for (size_t i = 0; m->cells && i <= m->mask; i++) {
        if (!m->cells[i]) continue;
        size_t at = m->keys[i] & (size - 1);
        while (cells[at]) at = (at + 1) & (size - 1);
        keys[at] = m->keys[i];
        cells[at] = m->cells[i];
    }
    dip_free(m->keys);
    dip_free(m->cells);
    m->keys = keys;
    m->cells = cells;
    m->mask = size - 1;
    return DIP_OK;
}

static dip_status find_surface(maker *m, const spot *s, uint32_t *position)
{
    dip_ground *g = m->ground;
    uint64_t key = dip_mix(s->key, (uint64_t)s->kind);
    if (key == m->last_key && g->surface_count) {
        *position = m->last_surface;
        return DIP_OK;
    }
    if ((!m->cells || g->surface_count * 2 > m->mask) && grow_table(m)) return DIP_ENOMEM;
    size_t at = key & m->mask;
    while (m->cells[at] && m->keys[at] != key) at = (at + 1) & m->mask;
    if (!m->cells[at]) {
        if (dip_array_reserve((void **)&g->surfaces, &m->surface_capacity, g->surface_count + 1,
                              sizeof *g->surfaces))
            return DIP_ENOMEM;
        uint64_t hash = dip_mix(m->region->seed, key);
        g->surfaces[g->surface_count++] = dip_surface_make(s->kind, m->region, hash, s->facing);
        m->keys[at] = key;
        m->cells[at] = g->surface_count;
    }
    m->last_key = key;
    m->last_surface = *position = m->cells[at] - 1;
    return DIP_OK;
}

/* Corner reflectors fill two by two pixels: a resolution cell of the radar. */
static float corner_at(const maker *m, const dip_surface *s, int32_t x, int32_t y)
{
    if (s->corners <= 0) return 0;
    uint64_t hash =
        dip_mix(dip_mix(m->region->seed ^ 0xc0de, (uint32_t)(x >> 1)), (uint32_t)(y >> 1));
    if (dip_unit(hash) >= s->corners) return 0;
    float strength = s->corner_db * (0.4f + 1.2f * dip_unit(dip_mix(hash, 1)));
    return powf(10, (s->backscatter[0] + strength) / 10);
}

/* ---- the whole place ---- */

static float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static void shade(const maker *m, size_t i, float east, float south)
{
    const dip_region *r = m->region;
    float to_sun = -(east * r->sun_x + south * r->sun_y);
    float to_radar = -(east * r->look_x + south * r->look_y);
    m->ground->light[i] = clamp(1 + 0.6f * r->sun_slant * to_sun, 0.35f, 1.6f);
    m->ground->tilt[i] = 1 / clamp(1 - r->incidence_slant * to_radar, 0.25f, 3);
}

static dip_status make_pixel(maker *m, uint32_t x, uint32_t y)
{
    dip_ground *g = m->ground;
    const uint32_t stride = g->size + 2;
    const size_t i = (size_t)y * g->size + x;
    const float *h = m->height + (size_t)(y + 1) * stride + x + 1;
    const float metres = m->region->relief_m / 20; /* of unit height, over two pixels */
    float east = (h[1] - h[-1]) * metres, south = (h[stride] - h[-(int32_t)stride]) * metres;
    float slope = sqrtf(east * east + south * south);
    int32_t sx = m->window.x + (int32_t)x, sy = m->window.y + (int32_t)y;
    spot s = look_at(m, i, (float)sx, (float)sy, h[0], slope);
    dip_status status = find_surface(m, &s, &g->patch[i]);
    if (status) return status;
    const dip_surface *surface = &g->surfaces[g->patch[i]];
    bool level = surface->cover == DIP_COVER_WATER;
    shade(m, i, level ? 0 : east, level ? 0 : south);
    g->rows[i] = surface->rows > 0 ? 4 * fabsf(rest(s.across / 3.1f) - 0.5f) - 1 : 0;
    g->grain[i] = m->field[FIELD_GRAIN][i];
    g->corner[i] = corner_at(m, surface, sx, sy);
    g->cover_pixels[surface->cover]++;
    return DIP_OK;
}

static dip_status allocate(dip_ground **out, uint32_t size)
{
    size_t pixels = (size_t)size * size;
    dip_ground *g = dip_calloc(1, sizeof *g);
    if (!g) return DIP_ENOMEM;
    g->size = size;
    g->light = dip_alloc(5 * pixels * sizeof *g->light);
    g->patch = dip_alloc(pixels * sizeof *g->patch);
    *out = g;
    if (!g->light || !g->patch) return DIP_ENOMEM;
    g->tilt = g->light + pixels;
    g->grain = g->light + 2 * pixels;
    g->rows = g->light + 3 * pixels;
    g->corner = g->light + 4 * pixels;
    return DIP_OK;
}

dip_status dip_ground_create(dip_ground **out, const dip_region *region, uint32_t column,
                             uint32_t row, uint32_t size)
{
    maker m = {.region = region};
    m.window = (dip_window){(int32_t)(column * size), (int32_t)(row * size), size, size};
    dip_status status = allocate(&m.ground, size);
    if (!status) status = fill_fields(&m);
    if (!status) status = fill_blocks(&m);
    for (uint32_t y = 0; y < size && !status; y++)
        for (uint32_t x = 0; x < size && !status; x++) status = make_pixel(&m, x, y);
    dip_free(m.memory);
    dip_free(m.blocks);
    dip_free(m.keys);
    dip_free(m.cells);
    if (status)
        dip_ground_destroy(m.ground);
    else
        *out = m.ground;
    return status;
}

void dip_ground_destroy(dip_ground *ground)
{
    if (!ground) return;
    dip_free(ground->light);
    dip_free(ground->patch);
    dip_free(ground->surfaces);
    dip_free(ground);
}
