/*
 * The web page: files that the program carries (server/web/dist), at /ui/. A name with a hash in it never changes its content
 * and may be kept for a year; all else is asked for again each time and answered by 304 if it is as it was (http.h: ETag).
 * Nothing of the page may come from elsewhere and no script or style may stand in its text: the policy below says so to the
 * browser, so that a hostile name of a tile that slipped into the markup would still run nothing.
 */
#include "server/embedded.h"
#include "server/service.h"

#include "core/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Pictures: blob: is a dropped file, data: the icons of the style sheet. */
static const char policy[] = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < sizeof types / sizeof *types; i++)
        if (strcmp(ending, types[i].ending) == 0) return types[i].type;
    return "application/octet-stream";
}

/* "train" is train.html, all else the file of that name. */
static const dip_embedded *find(const char *name)
{
    char path[160];
    const char *ending = strchr(name, '.') ? "" : ".html";
    int length = snprintf(path, sizeof path, "web/dist/%s%s", name, ending);
    return length < (int)sizeof path ? dip_embedded_find(path) : NULL;
}

static void add_headers(dip_response *response, const dip_embedded *file)
{
    char tag[24];
    snprintf(tag, sizeof tag, "\"%016" PRIx64 "\"",
             dip_hash64(file->bytes, (size_t)(file->end - file->bytes)));
    dip_response_header(response, "ETag", tag);
    dip_response_header(response, "Cache-Control",
                        strstr(file->name, "/assets/") ? "public, max-age=31536000, immutable"
                                                       : "no-cache");
    dip_response_header(response, "Content-Security-Policy", policy);
    dip_response_header(response, "X-Content-Type-Options", "nosniff");
    dip_response_header(response, "Referrer-Policy", "no-referrer");
}

void dip_serve_page(void *context, const dip_request *request, dip_response *response)
{
    (void)context;
    const char *name = request->part[0] ? request->part[0] : "index.html";
    bool folder = request->path[strlen(request->path) - 1] == '/';
    /* What the page names by relative addresses would be looked for beside /ui. */
    if (!request->part[0] && !folder) {
        dip_response_lasting(response, 308, "text/plain", (const uint8_t *)"", 0);
        dip_response_header(response, "Location", "ui/");
        return;
    }
    const dip_embedded *file = request->part[0] && folder ? NULL : find(name);
    if (!file) {
        dip_response_fail(response, 404, "NotFound", "the page has no file '%s'; it begins at /ui/",
                          name);
        return;
    }
    dip_response_lasting(response, 200, type_of(file->name), file->bytes,
                         (size_t)(file->end - file->bytes));
    add_headers(response, file);
}
