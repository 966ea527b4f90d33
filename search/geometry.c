/* Shapes; see geometry.h. Adapter to GEOS: a context a shape, so that no two threads share one. */
#include "search/geometry.h"

#include "core/mem.h"
#include "search/json.h"

#include <geos_c.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

struct dip_geometry {
    GEOSContextHandle_t context;
    GEOSGeometry *shape;
    const GEOSPreparedGeometry *prepared;
    dip_rect bounds;
    char message[300]; /* the last that GEOS had to say */
};

static void keep_message(const char *message, void *payload)
{
    dip_geometry *g = payload;
    snprintf(g->message, sizeof g->message, "%s", message);
}

static dip_status begin(dip_geometry **out)
{
    dip_geometry *g = dip_calloc(1, sizeof *g);
    if (!g) return DIP_ENOMEM;
    g->context = GEOS_init_r();
    if (!g->context) {
        dip_free(g);
        return dip_fail(DIP_ENOMEM, "out of memory: no context of GEOS");
    }
    GEOSContext_setErrorMessageHandler_r(g->context, keep_message, g);
    *out = g;
    return DIP_OK;
}

void dip_geometry_destroy(dip_geometry *g)
{
    if (!g) return;
    if (g->prepared) GEOSPreparedGeom_destroy_r(g->context, g->prepared);
    if (g->shape) GEOSGeom_destroy_r(g->context, g->shape);
    GEOS_finish_r(g->context);
    dip_free(g);
}

/* GEOS begins with the class of its exception; people need what comes behind. */
static dip_status failed(const dip_geometry *g)
{
    const char *class_end = strstr(g->message, "Exception: "),
               *message = class_end ? class_end + strlen("Exception: ") : g->message;
    return dip_fail(DIP_EINVAL, "geometry: %s", *message ? message : "GEOS gave up on it");
}

static dip_status read(dip_geometry *g, const char *text, bool json)
{
    if (json) {
        char *checked; /* GEOS trusts that no position is empty */
        dip_status status = dip_json_geometry(&checked, text);
        if (status) return status;
        GEOSGeoJSONReader *reader = GEOSGeoJSONReader_create_r(g->context);
        if (reader) g->shape = GEOSGeoJSONReader_readGeometry_r(g->context, reader, checked);
        if (reader) GEOSGeoJSONReader_destroy_r(g->context, reader);
        dip_free(checked);
    } else {
        GEOSWKTReader *reader = GEOSWKTReader_create_r(g->context);
        if (reader) g->shape = GEOSWKTReader_read_r(g->context, reader, text);
        if (reader) GEOSWKTReader_destroy_r(g->context, reader);
    }
    return g->shape ? DIP_OK : failed(g);
}

/* Each part by itself: that two parts of a MultiPolygon overlap does no harm here. */
static dip_status check_part(dip_geometry *g, const GEOSGeometry *part)
{
    char *reason = NULL;
    GEOSGeometry *where = NULL;
    double x = NAN, y = NAN;
    int parts = GEOSGetNumGeometries_r(g->context, part);
    if (parts > 1 || GEOSGeomTypeId_r(g->context, part) > GEOS_POLYGON) {
        for (int i = 0; i < parts; i++) {
            dip_status status = check_part(g, GEOSGetGeometryN_r(g->context, part, i));
            if (status) return status;
        }
        return DIP_OK;
    }
    char valid = GEOSisValidDetail_r(g->context, part, 0, &reason, &where);
    if (where && GEOSGeomGetX_r(g->context, where, &x) == 1) GEOSGeomGetY_r(g->context, where, &y);
    dip_status status = DIP_OK;
    if (valid == 2)
        status = failed(g);
    else if (!valid)
        status = dip_fail(DIP_EINVAL, "geometry: it is not valid: %s at %.7g %.7g",
                          reason ? reason : "?", x, y);
    if (where) GEOSGeom_destroy_r(g->context, where);
    if (reason) GEOSFree_r(g->context, reason);
    return status;
}

static dip_status find_bounds(dip_geometry *g)
{
    dip_rect *b = &g->bounds;
    if (GEOSisEmpty_r(g->context, g->shape) != 0)
        return dip_fail(DIP_EINVAL, "geometry: it is empty");
    if (GEOSGeom_getXMin_r(g->context, g->shape, &b->west) != 1 ||
        GEOSGeom_getYMin_r(g->context, g->shape, &b->south) != 1 ||
        GEOSGeom_getXMax_r(g->context, g->shape, &b->east) != 1 ||
        GEOSGeom_getYMax_r(g->context, g->shape, &b->north) != 1)
        return failed(g);
    if (!(b->west >= -360 && b->east <= 360 && b->south >= -90 && b->north <= 90))
        return dip_fail(DIP_EINVAL,
                        "geometry: it reaches from %.7g %.7g to %.7g %.7g; longitudes must lie in "
                        "-360..360, latitudes in -90..90",
                        b->west, b->south, b->east, b->north);
    return DIP_OK;
}

/* Parts that overlap become one, as prepared tests want it. */
static dip_status unite(dip_geometry *g)
{
    if (GEOSGetNumGeometries_r(g->context, g->shape) <= 1 &&
        GEOSGeomTypeId_r(g->context, g->shape) <= GEOS_POLYGON)
        return DIP_OK;
    GEOSGeometry *whole = GEOSUnaryUnion_r(g->context, g->shape);
    if (!whole) return failed(g);
    GEOSGeom_destroy_r(g->context, g->shape);
    g->shape = whole;
    return DIP_OK;
}

static dip_status prepare(dip_geometry *g)
{
    g->prepared = GEOSPrepare_r(g->context, g->shape);
    return g->prepared ? DIP_OK : failed(g);
}

static dip_status finish(dip_geometry **out, dip_geometry *g, dip_status status)
{
    if (!status) status = prepare(g);
    if (status)
        dip_geometry_destroy(g);
    else
        *out = g;
    return status;
}

dip_status dip_geometry_parse(dip_geometry **out, const char *text, bool json)
{
    dip_geometry *g = NULL;
    dip_status status = begin(&g);
    if (status) return status;
    status = read(g, text, json);
    if (!status) status = find_bounds(g);
    if (!status) status = check_part(g, g->shape);
    if (!status) status = unite(g);
    return finish(out, g, status);
}

dip_status dip_geometry_copy(dip_geometry **out, const dip_geometry *from)
{
    dip_geometry *g = NULL;
    dip_status status = begin(&g);
    if (status) return status;
    g->bounds = from->bounds;
    g->shape = GEOSGeom_clone_r(g->context, from->shape);
    return finish(out, g, g->shape ? DIP_OK : failed(g));
}

dip_rect dip_geometry_bounds(const dip_geometry *g) { return g->bounds; }

typedef char test(GEOSContextHandle_t, const GEOSPreparedGeometry *, const GEOSGeometry *);

static dip_status ask(const dip_geometry *g, const dip_rect *r, test *question, bool *yes)
{
    GEOSGeometry *rect =
        GEOSGeom_createRectangle_r(g->context, r->west, r->south, r->east, r->north);
    if (!rect) return failed(g);
    char answer = question(g->context, g->prepared, rect);
    GEOSGeom_destroy_r(g->context, rect);
    if (answer == 2) return failed(g);
    *yes = answer == 1;
    return DIP_OK;
}

dip_status dip_geometry_meets(const dip_geometry *g, const dip_rect *rect, bool *yes)
{
    return ask(g, rect, GEOSPreparedIntersects_r, yes);
}

dip_status dip_geometry_covers(const dip_geometry *g, const dip_rect *rect, bool *yes)
{
    return ask(g, rect, GEOSPreparedCovers_r, yes);
}
