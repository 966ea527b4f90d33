/**
 * From the path of a request to its route: split at '/', then percent-decoded part by part, so that an encoded slash never makes
 * a new part. A part that is "", "." or ".." fits no route, so no path leads upwards.
 */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include "server/http.h"

enum { DIP_PATH_CAPACITY = 2048, DIP_PATH_PARTS = 24, DIP_QUERY_FIELDS = 64 };

/** A path taken apart; `part` points into it. */
typedef struct dip_path {
    char text[DIP_PATH_CAPACITY]; /* the parts, decoded, each with a 0 byte */
    char rest[DIP_PATH_CAPACITY]; /* what {*} stands for */
    const char *part[DIP_PATH_PARTS];
    size_t count;
} dip_path;

/** A query string taken apart; the fields point into `text`. */
typedef struct dip_query_fields {
    dip_field fields[DIP_QUERY_FIELDS];
    size_t count;
    char *text; /* dip_free */
} dip_query_fields;

/**
 * The route of the request's method and path, and request->part. NULL if there is none: then the response says why (400 for an
 * escape that is none, 404, 405 with Allow, 414). `path` must live as long as the parts are used.
 */
const dip_route *dip_route_find(const dip_route *routes, size_t route_count, dip_path *path,
                                dip_request *request, dip_response *response);
/** "GET, HEAD, POST": the methods of the path's routes and OPTIONS; "" if no route has it. */
void dip_route_methods(const dip_route *routes, size_t route_count, const dip_path *path, char *out,
                       size_t capacity);
/** Splits and decodes; false: the response says why. */
bool dip_path_parse(dip_path *path, const char *text, dip_response *response);
/** Sets request->query from request->query_string; '+' is a space. False: the response says why. */
bool dip_query_parse(dip_query_fields *fields, dip_request *request, dip_response *response);

/** Decodes %XX in place, and '+' if wanted. False, and `text` spoilt, for a broken escape or %00. */
bool dip_percent_decode(char *text, bool plus);

#endif
