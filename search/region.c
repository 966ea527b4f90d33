/*
 * Regions; see region.h.
 *
 * A worker has its own copy of the shape and its own tree, made when it first asks. A cell is classified when a
 * rectangle first touches it: outside, inside, or on the border; one on the border is split when VISITS rectangles
 * have come, down to DEPTH levels or to the size of the rectangle. A rectangle whose cells are all outside is outside; what
 * inside and outside leave open is asked of the shape. So the answers are the shape's, whoever has asked before.
 */
#include "search/region.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <stdint.h>

enum { DEPTH = 9, VISITS = 4 };

typedef enum cell_state { UNKNOWN, OUTSIDE, INSIDE, BORDER } cell_state;

typedef struct cell {
    uint16_t state, visits; /* visits: of rectangles, until it is split */
    uint32_t children;      /* position of the first of four; 0: not split */
} cell;

typedef struct tree {
    dip_geometry *shape;
    cell *cells;
    size_t count, capacity;
} tree;

struct dip_region {
    dip_geometry *shape; /* what the workers copy */
    dip_rect bounds;
    unsigned workers;
    tree trees[];
};

dip_status dip_region_create(dip_region **out, dip_geometry *shape)
{
    unsigned workers = dip_threads();
    dip_region *region = dip_calloc(1, sizeof *region + workers * sizeof *region->trees);
    if (!region) {
        dip_geometry_destroy(shape);
        return DIP_ENOMEM;
    }
    region->shape = shape;
    region->bounds = dip_geometry_bounds(shape);
    region->workers = workers;
    *out = region;
    return DIP_OK;
}

void dip_region_destroy(dip_region *region)
{
    if (!region) return;
    for (unsigned i = 0; i < region->workers; i++) {
        dip_geometry_destroy(region->trees[i].shape);
        dip_free(region->trees[i].cells);
    }
    dip_geometry_destroy(region->shape);
    dip_free(region);
}

static dip_status grow(tree *t, size_t more)
{
    if (dip_array_reserve((void **)&t->cells, &t->capacity, t->count + more, sizeof *t->cells))
        return DIP_ENOMEM;
    for (size_t i = 0; i < more; i++) t->cells[t->count++] = (cell){UNKNOWN, 0, 0};
    return DIP_OK;
}

static dip_status need_tree(dip_region *region, tree *t)
{
    dip_status status = DIP_OK;
    if (!t->shape) status = dip_geometry_copy(&t->shape, region->shape);
    if (!status && !t->count) status = grow(t, 1);
    return status;
}

static dip_status classify(tree *t, size_t at, const dip_rect *rect)
{
    bool yes;
    if (t->cells[at].state != UNKNOWN) return DIP_OK;
    dip_status status = dip_geometry_covers(t->shape, rect, &yes);
    if (status) return status;
    cell_state state = INSIDE;
    if (!yes) {
        status = dip_geometry_meets(t->shape, rect, &yes);
        state = yes ? BORDER : OUTSIDE;
    }
    if (!status) t->cells[at].state = state;
    return status;
}

static bool meet(const dip_rect *a, const dip_rect *b)
{
    return a->west <= b->east && b->west <= a->east && a->south <= b->north && b->south <= a->north;
}

static bool holds(const dip_rect *outer, const dip_rect *inner)
{
    return outer->west <= inner->west && inner->east <= outer->east &&
           outer->south <= inner->south && inner->north <= outer->north;
}

/* The four children of a cell are west and east (1) of its middle, south and north (2). */
static dip_rect quarter(const dip_rect *r, double lon, double lat, unsigned which)
{
    return (dip_rect){which & 1 ? lon : r->west, which & 2 ? lat : r->south,
                      which & 1 ? r->east : lon, which & 2 ? r->north : lat};
}

static dip_status split(tree *t, size_t at)
{
    size_t first = t->count;
    if (t->cells[at].children) return DIP_OK;
    dip_status status = grow(t, 4);
    if (!status) t->cells[at].children = (uint32_t)first;
    return status;
}

/* What the cells tell about a rectangle. */
typedef struct finding {
    bool inside, outside, open; /* it touches a cell of that kind; open: one that is neither */
} finding;

static dip_status look(tree *t, size_t at, const dip_rect *bounds, const dip_rect *rect,
                       unsigned depth, finding *found)
{
    dip_status status = classify(t, at, bounds);
    if (status) return status;
    found->inside |= t->cells[at].state == INSIDE;
    found->outside |= t->cells[at].state == OUTSIDE;
    if (t->cells[at].state != BORDER) return DIP_OK;
    bool small = bounds->east - bounds->west <= rect->east - rect->west &&
                 bounds->north - bounds->south <= rect->north - rect->south;
    if (small || depth == DEPTH || (!t->cells[at].children && t->cells[at].visits++ < VISITS)) {
        found->open = true;
        return DIP_OK;
    }
    double lon = bounds->west + (bounds->east - bounds->west) / 2,
           lat = bounds->south + (bounds->north - bounds->south) / 2;
    unsigned x0 = rect->west > lon, x1 = rect->east >= lon, y0 = rect->south > lat,
             y1 = rect->north >= lat;
    status = split(t, at);
    for (unsigned y = y0; y <= y1 && !status; y++) {
        for (unsigned x = x0; x <= x1 && !status; x++) {
            dip_rect part = quarter(bounds, lon, lat, x + 2 * y);
            status = look(t, t->cells[at].children + x + 2 * y, &part, rect, depth + 1, found);
        }
    }
    return status;
}

/* A rectangle in the shape's own degrees. */
static dip_status test_rect(dip_region *region, tree *t, const dip_rect *rect, bool within,
                            bool *yes)
{
    finding found = {0};
    *yes = false;
    if (!meet(&region->bounds, rect) || (within && !holds(&region->bounds, rect))) return DIP_OK;
    dip_status status = need_tree(region, t);
    if (!status) status = look(t, 0, &region->bounds, rect, 0, &found);
    if (status) return status;
    *yes = found.inside;
    if (within ? found.outside : found.inside) {
        *yes = !within;
        return DIP_OK;
    }
    if (!found.open) return DIP_OK;
    return within ? dip_geometry_covers(t->shape, rect, yes)
                  : dip_geometry_meets(t->shape, rect, yes);
}

/* The same places, written a turn further east or west. */
static dip_status test_turns(dip_region *region, tree *t, dip_rect rect, bool within, bool *yes)
{
    dip_status status = DIP_OK;
    *yes = false;
    for (int turn = -1; turn <= 1 && !status && !*yes; turn++) {
        dip_rect turned = {rect.west + 360 * turn, rect.south, rect.east + 360 * turn, rect.north};
        status = test_rect(region, t, &turned, within, yes);
    }
    return status;
}

dip_status dip_region_test(dip_region *region, unsigned worker, double west, double south,
                           double east, double north, bool within, bool *yes)
{
    tree *t = &region->trees[worker];
    bool crosses = west > east;
    dip_rect whole = {west, south, crosses ? east + 360 : east, north};
    dip_status status = test_turns(region, t, whole, within, yes);
    if (status || *yes || !within || !crosses) return status;
    /* A shape that is cut at the antimeridian holds the two halves in two parts. */
    status = test_turns(region, t, (dip_rect){west, south, 180, north}, true, yes);
    if (status || !*yes) return status;
    return test_turns(region, t, (dip_rect){-180, south, east, north}, true, yes);
}
