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

    {"GET", "/", dip_serve_landing, false},
    {"GET", "/conformance", dip_serve_conformance, false},
    {"GET", "/api", dip_serve_api, false},
    {"GET", "/api.html", dip_serve_api_page, false},
    {"GET", "/queryables", dip_serve_queryables, false},
    {"GET", "/collections", dip_serve_collections, false},
    {"GET", "/collections/{}", dip_serve_collection, false},
    {"GET", "/collections/{}/queryables", dip_serve_queryables, false},
    {"GET", "/collections/{}/items", dip_serve_items, false},
    {"GET", "/collections/{}/items/{}", dip_serve_item, false},
    {"GET", "/collections/{}/items/{}/thumbnail", dip_serve_thumbnail, false},
    {"GET", "/collections/{}/items/{}/visual", dip_serve_visual, false},
    {"GET", "/collections/{}/items/{}/bands/{}", dip_serve_band, false},
    {"GET", "/collections/{}/items/{}/embeddings", dip_serve_embedding, false},
    {"GET", "/search", dip_serve_search, false},
    {"POST", "/search", dip_serve_search, false},
    {"GET", "/aggregations", dip_serve_aggregations, false},
    {"GET", "/aggregate", dip_serve_aggregate, false},
    {"POST", "/aggregate", dip_serve_aggregate, false},
    {"GET", "/collections/{}/aggregations", dip_serve_aggregations, false},
    {"GET", "/collections/{}/aggregate", dip_serve_aggregate, false},
    {"POST", "/collections/{}/aggregate", dip_serve_aggregate, false},

    {"POST", "/encode", dip_serve_encode, false},
    {"GET", "/encode/{}/thumbnail", dip_serve_sent_thumbnail, false},
    {"GET", "/queries", dip_serve_saved_queries, false},
    {"POST", "/queries", dip_serve_save_query, false},
    {"DELETE", "/queries/{}", dip_serve_drop_query, false},
    {"GET", "/explain", dip_serve_explain, false},
    {"GET", "/runs", dip_serve_runs, false},
    {"GET", "/runs/{}", dip_serve_run, false},
};
/* clang-format on */

const dip_route *dip_service_routes(size_t *count)
{
    *count = sizeof routes / sizeof *routes;
    return routes;
}
