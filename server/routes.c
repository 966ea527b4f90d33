/* All routes of the server, searched in order; see service.h. Whoever writes a handler adds its rows. */
#include "server/service.h"

/* clang-format off */
static const dip_route routes[] = {
    {"GET", "/healthz", dip_serve_health, true},
    {"GET", "/readyz", dip_serve_ready, true},
    {"GET", "/metrics", dip_serve_metrics, true},

    /* The page holds nothing of the archive: it asks for a token itself. */
    {"GET", "/ui", dip_serve_page, true},
    {"GET", "/ui/{*}", dip_serve_page, true},
};
/* clang-format on */

const dip_route *dip_service_routes(size_t *count)
{
    *count = sizeof routes / sizeof *routes;
    return routes;
}
