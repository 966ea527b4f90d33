/* Paths and query strings into routes, parts and fields; see route.h. */
#include "server/route.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool dip_percent_decode(char *text, bool plus)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '%') {
            int high = digit(in[1]), low = high < 0 ? -1 : digit(in[2]);
            if (low < 0 || (high == 0 && low == 0)) return false;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = plus && *in == '+' ? ' ' : *in;
        }
    }
    *out = '\0';
    return true;
}

bool dip_path_parse(dip_path *path, const char *text, dip_response *response)
{
    size_t length = strlen(text);
    path->count = 0;
    if (length >= sizeof path->text) {
        dip_response_fail(response, 414, "UriTooLong", "path: %zu bytes; at most %zu are read",
                          length, sizeof path->text - 1);
        return false;
    }
    memcpy(path->text, text, length + 1);
    char *p = path->text;
    if (*p == '/') p++;
    while (*p) {
        char *end = p + strcspn(p, "/");
        bool last = !*end;
        *end = '\0';
        if (!dip_percent_decode(p, false)) {
            dip_response_fail(response, 400, "InvalidPath",
                              "path: '%%' must be followed by two hexadecimal digits, not 00");
            return false;
        }
        /* More parts than any route has: they need only be counted to fit none. */
        if (path->count < DIP_PATH_PARTS) path->part[path->count] = p;
        path->count++;
        if (last) break;
        p = end + 1;
    }
    return true;
}

static bool part_fits(const char *part) { return *part && strcmp(part, ".") && strcmp(part, ".."); }

/* What {*} stands for: the parts from `first` on, joined; false if one of them would not be one part of a path. */
static bool join_rest(dip_path *path, size_t first)
{
    char *out = path->rest;
    for (size_t i = first; i < path->count; i++) {
        if (!part_fits(path->part[i]) || strchr(path->part[i], '/')) return false;
        if (i > first) *out++ = '/';
        size_t length = strlen(path->part[i]);
        memcpy(out, path->part[i], length);
        out += length;
    }
    *out = '\0';
    return true;
}

/* Does the pattern fit? `part` (may be NULL) gets what stands in its braces. */
static bool fits(const char *pattern, dip_path *path, const char **part)
{
    size_t at = 0, filled = 0;
    const char *p = pattern + 1;
    if (path->count > DIP_PATH_PARTS) return false;
    while (*p) {
        size_t length = strcspn(p, "/");
        if (length == 3 && !memcmp(p, "{*}", 3)) {
            if (at >= path->count || !join_rest(path, at)) return false;
            if (part && filled < DIP_HTTP_PARTS) part[filled] = path->rest;
            return true;
        }
        if (at >= path->count) return false;
        const char *have = path->part[at++];
        if (length == 2 && !memcmp(p, "{}", 2)) {
            if (!part_fits(have)) return false;
            if (part && filled < DIP_HTTP_PARTS) part[filled++] = have;
        } else if (strlen(have) != length || memcmp(have, p, length)) {
            return false;
        }
        p += length + (p[length] == '/');
    }
    return at == path->count;
}

static void add_method(char *out, size_t capacity, const char *method)
{
    size_t length = strlen(out);
    if (!strstr(out, method))
        snprintf(out + length, capacity - length, "%s%s", length ? ", " : "", method);
}

void dip_route_methods(const dip_route *routes, size_t route_count, const dip_path *path, char *out,
                       size_t capacity)
{
    dip_path copy = *path; /* joining a rest writes into it; the parts stay those of `path` */
    *out = '\0';
    for (size_t i = 0; i < route_count; i++) {
        if (!fits(routes[i].pattern, &copy, NULL)) continue;
        add_method(out, capacity, routes[i].method);
        if (!strcmp(routes[i].method, "GET")) add_method(out, capacity, "HEAD");
    }
    if (*out) add_method(out, capacity, "OPTIONS");
}

const dip_route *dip_route_find(const dip_route *routes, size_t route_count, dip_path *path,
                                dip_request *request, dip_response *response)
{
    char methods[128];
    if (!dip_path_parse(path, request->path, response)) return NULL;
    for (size_t i = 0; i < route_count; i++)
        if (!strcmp(routes[i].method, request->method) &&
            fits(routes[i].pattern, path, request->part))
            return &routes[i];
    dip_route_methods(routes, route_count, path, methods, sizeof methods);
    if (*methods) {
        dip_response_fail(response, 405, "MethodNotAllowed", "%s does not understand %s; it has %s",
                          request->path, request->method, methods);
        dip_response_header(response, "Allow", methods);
    } else {
        dip_response_fail(response, 404, "NotFound", "there is no %s; / links to what there is",
                          request->path);
    }
    return NULL;
}

bool dip_query_parse(dip_query_fields *fields, dip_request *request, dip_response *response)
{
    fields->count = 0;
    fields->text = NULL;
    request->query = fields->fields;
    request->query_count = 0;
    if (!*request->query_string) return true;
    if (!(fields->text = dip_strdup(request->query_string))) {
        dip_response_fail_status(response, DIP_ENOMEM);
        return false;
    }
    for (char *p = fields->text, *next; p; p = next) {
        if ((next = strchr(p, '&'))) *next++ = '\0';
        if (!*p) continue;
        char *value = strchr(p, '=');
        if (value) *value++ = '\0';
        if (fields->count == DIP_QUERY_FIELDS) {
            dip_response_fail(response, 400, "InvalidParameterValue",
                              "query string: more than %d parameters", DIP_QUERY_FIELDS);
            return false;
        }
        if (!dip_percent_decode(p, true) || (value && !dip_percent_decode(value, true))) {
            dip_response_fail(
                response, 400, "InvalidParameterValue",
                "query string: '%%' must be followed by two hexadecimal digits, not 00");
            return false;
        }
        fields->fields[fields->count++] = (dip_field){p, value ? value : ""};
    }
    request->query_count = fields->count;
    return true;
}
