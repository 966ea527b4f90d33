/** JSON that a search reads: filters as CQL2-JSON, and a tile's further properties. The only file here that sees jansson.h. */
#ifndef SEARCH_JSON_H
#define SEARCH_JSON_H

#include "search/cql.h"

/** The JSON way of dip_cql_parse(). */
dip_status dip_cql_parse_json(dip_term **out, const char *text);

/**
 * The geometry of a GeoJSON text, checked and without the heights of its positions: of a Feature what it shows, of a
 * collection a GeometryCollection. *out is the caller's (dip_free). Expected failure: DIP_EINVAL (no JSON: the line says
 * where; no geometry: what it lacks).
 */
dip_status dip_json_geometry(char **out, const char *text);

/** One property: a text (`list`: '|'-separated), or a number if `text` is NULL. Only valid during the call. */
typedef dip_status (*dip_property_fn)(void *context, const char *name, const char *text, bool list,
                                      double number);

/**
 * Calls `visit` with the members of a JSON object that are texts, numbers, true or false ("true", "false") or arrays of
 * texts; nested objects and nulls are passed over, and so is what is no object at all.
 */
dip_status dip_json_properties(const char *object, dip_property_fn visit, void *context);

#endif
