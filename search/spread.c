/*
 * Keeping distance; see spread.h.
 *
 * Centres are points of the unit sphere, cut into cubes whose edge is the chord of the distance, so that whatever is too near
 * lies in one of the 27 cubes around. Cubes and places are keys of one hash table of chains.
 */
#include "search/spread.h"

#include "core/mem.h"

#include <math.h>
#include <string.h>

typedef struct entry {
    size_t row;
    size_t next; /* position + 1 in the list, 0 = end */
} entry;

struct dip_spread {
    const dip_columns *columns;
    double km, edge;
    bool per_place;
    entry *list;
    size_t count, capacity;
    size_t *heads;     /* position + 1 */
    size_t head_count; /* a power of two */
};

enum { FIRST_HEADS = 64 };

dip_status dip_spread_create(dip_spread **out, const dip_columns *columns, double km,
                             bool per_place)
{
    const double radius_km = 6371.0088;
    dip_spread *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->columns = columns;
    s->km = km;
    s->per_place = per_place;
    /* A little more than the chord, for rounding; beyond half the earth all is one cube. */
    s->edge = km < 3 * radius_km ? 2.001 * sin(km / (2 * radius_km)) + 1e-9 : 2.1;
    s->head_count = FIRST_HEADS;
    s->heads = dip_calloc(s->head_count, sizeof *s->heads);
    if (!s->heads) {
        dip_spread_destroy(s);
        return DIP_ENOMEM;
    }
    *out = s;
    return DIP_OK;
}

void dip_spread_destroy(dip_spread *s)
{
    if (!s) return;
    dip_free(s->list);
    dip_free(s->heads);
    dip_free(s);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

typedef struct cube {
    int64_t at[3];
} cube;

static uint64_t cube_key(const cube *c)
{
    uint64_t key = 1;
    for (int i = 0; i < 3; i++) key = mix(key ^ (uint64_t)c->at[i]);
    return key;
}

static cube cube_of(const dip_spread *s, double lon, double lat)
{
    const double radian = 0.017453292519943295;
    double point[3] = {cos(lat * radian) * cos(lon * radian), cos(lat * radian) * sin(lon * radian),
                       sin(lat * radian)};
    cube c;
    for (int i = 0; i < 3; i++) c.at[i] = (int64_t)floor(point[i] / s->edge);
    return c;
}

static uint64_t place_key(uint64_t place) { return mix(place ^ UINT64_C(0x5bd1e995)); }

static dip_status enter(dip_spread *s, uint64_t key, size_t row)
{
    if (dip_array_reserve((void **)&s->list, &s->capacity, s->count + 1, sizeof *s->list))
        return DIP_ENOMEM;
    size_t *head = &s->heads[key & (s->head_count - 1)];
    s->list[s->count] = (entry){row, *head};
    *head = ++s->count;
    return DIP_OK;
}

static bool has_place(const dip_spread *s, uint64_t place)
{
    size_t at = s->heads[place_key(place) & (s->head_count - 1)];
    for (; at; at = s->list[at - 1].next)
        if (s->columns->places[s->list[at - 1].row] == place) return true;
    return false;
}

static bool has_near(const dip_spread *s, const cube *middle, double lon, double lat)
{
    for (int i = 0; i < 27; i++) {
        cube c = {
            {middle->at[0] + i % 3 - 1, middle->at[1] + i / 3 % 3 - 1, middle->at[2] + i / 9 - 1}};
        size_t at = s->heads[cube_key(&c) & (s->head_count - 1)];
        for (; at; at = s->list[at - 1].next) {
            double x, y;
            if (dip_columns_centre(s->columns, s->list[at - 1].row, &x, &y) &&
                dip_distance_km(lon, lat, x, y) < s->km)
                return true;
        }
    }
    return false;
}

/* Both kinds of key of a row. */
static dip_status enter_row(dip_spread *s, size_t row)
{
    double lon, lat;
    dip_status status = DIP_OK;
    if (s->per_place) status = enter(s, place_key(s->columns->places[row]), row);
    if (!status && s->km > 0 && dip_columns_centre(s->columns, row, &lon, &lat)) {
        cube c = cube_of(s, lon, lat);
        status = enter(s, cube_key(&c), row);
    }
    return status;
}

/* Twice the heads; all rows enter again. A row that has two entries has them one behind the other. */
static dip_status widen(dip_spread *s)
{
    size_t count = s->count, *heads = dip_calloc(2 * s->head_count, sizeof *heads);
    entry *old = s->list;
    dip_status status = DIP_OK;
    if (!heads) return DIP_ENOMEM;
    dip_free(s->heads);
    s->heads = heads;
    s->head_count *= 2;
    s->list = NULL;
    s->count = s->capacity = 0;
    for (size_t i = 0; i < count && !status; i++)
        if (!i || old[i].row != old[i - 1].row) status = enter_row(s, old[i].row);
    dip_free(old);
    return status;
}

dip_status dip_spread_take(dip_spread *s, size_t row, bool *taken)
{
    double lon, lat;
    *taken = true;
    if (row == SIZE_MAX) return DIP_OK;
    *taken = !s->per_place || !has_place(s, s->columns->places[row]);
    if (*taken && s->km > 0 && dip_columns_centre(s->columns, row, &lon, &lat)) {
        cube c = cube_of(s, lon, lat);
        *taken = !has_near(s, &c, lon, lat);
    }
    if (!*taken) return DIP_OK;
    dip_status status = s->count >= s->head_count ? widen(s) : DIP_OK;
    return status ? status : enter_row(s, row);
}
