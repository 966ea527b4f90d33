/**
 * A tile as a STAC item (STAC 1.0.0, GeoJSON of RFC 7946): the one place that knows what an item looks like.
 *
 *   properties   datetime (null with start_datetime and end_datetime if the tile's time is not known), gsd, proj:* (projection
 *                extension 1.2), labels, split, place, ..., and what came with the tile (eo:cloud_cover, sat:orbit_state, ...)
 *   assets       visual (8-bit picture, COG), thumbnail (PNG), one a band by its name (GeoTIFF of the stored values),
 *                embeddings (.npy) if the model has some of the modality
 *
 * Names may hold anything: addresses percent-encode them.
 */
#ifndef SERVER_ITEM_H
#define SERVER_ITEM_H

#include "server/service.h"

/** What all items of an answer have in common. Plain data; borrows from the service, the view and the request. */
typedef struct dip_item_context {
    const dip_archive *archive;
    const char *base;               /* of addresses: request->base */
    const char *model;              /* id of the view's model, or "" */
    size_t dim[DIP_MAX_MODALITIES]; /* of its embeddings; 0: it has none of the modality */
} dip_item_context;

dip_status dip_item_context_init(dip_item_context *out, const dip_service *service,
                                 const dip_view *view, const dip_request *request);

/** What is said of an item as a hit, or as a member of a saved query. */
typedef struct dip_item_note {
    const char *collection; /* that it is listed in; NULL: its modality's */
    const char *id;         /* that it has there; NULL: the tile's name */
    bool scored;            /* the rest is set: sim:score, sim:rank, sim:percentile */
    double score;           /* cosine */
    double percentile;      /* or NAN: null */
    size_t rank;            /* from 1 */
} dip_item_note;

/** Writes the item as a value of `json`; `key` NULL inside an array or as the whole document, `note` NULL: a plain tile. */
dip_status dip_item_write(dip_json *json, const char *key, const dip_item_context *context,
                          const dip_meta *meta, const dip_item_note *note);

/** Writes a link {rel, type, href} as a value of an array; type or title NULL: not said. href: as dip_json_print(). */
void dip_item_link(dip_json *json, const char *rel, const char *type, const char *title,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

/**
 * Percent-encodes all but unreserved characters (RFC 3986), '/' and '.' and '..' too, so that a name is one segment of a
 * path. The caller's (dip_free); NULL when memory is short.
 */
char *dip_path_encode(const char *text);

struct dip_ask;
/** "timeStamp", "numberMatched" and "numberReturned" of a page of items. */
void dip_page_counts(dip_json *json, uint64_t matched, size_t returned);
/** "self", "root" and, unless it is NULL, "collection" of a page of items, as elements of an array. */
void dip_page_links(dip_json *json, const dip_request *request, const char *collection);
/** The link to the next page, as an element of an array: the request again, with that token in place of its own. */
void dip_page_next(dip_json *json, const dip_request *request, const struct dip_ask *ask,
                   const char *token);

/** What a page ends with, and the next one begins behind; DIP_NO_ID: the first page. Expected failure: DIP_EINVAL. */
enum { DIP_TOKEN_CAPACITY = 32 };
void dip_token_print(char token[DIP_TOKEN_CAPACITY], uint64_t last);
dip_status dip_token_parse(const char *token, uint64_t *after);

struct dip_browse_options;
/** A bit for each of the collections that are named; `which` NULL: all. Expected failure: DIP_EINVAL. */
dip_status dip_items_modalities(const dip_archive *archive, char *const *which, size_t n,
                                uint32_t *modalities);
/**
 * What an ask selects: *out borrows from the ask, from *filters and from *only, which is the caller's (dip_free), also after a
 * failure. Expected failure: DIP_EINVAL (the token).
 */
dip_status dip_items_selected(const dip_archive *archive, const struct dip_ask *ask,
                              uint32_t modalities, dip_query *filters, uint64_t **only,
                              struct dip_browse_options *out);

struct dip_extent;
/** "extent" of a collection, and its "links". */
void dip_extent_write(dip_json *json, const struct dip_extent *extent);
void dip_collection_links(dip_json *json, const char *base, const char *collection);

/** The collection of the tiles that were sent: server/encode.h. */
#define DIP_SENT "queries"

/**
 * Takes "collection/id" apart; all behind the first slash is the id, which points into `name`. Expected failures: DIP_EINVAL
 * (names no item), DIP_ENOENT (no collection has so long a name).
 */
dip_status dip_item_split(const char *name, char collection[DIP_WORD_CAPACITY], const char **id);

/**
 * Tiles of those names in any modality of `modalities` (a bit each); a name that there is not stands for none. *ids is the
 * caller's (dip_free), never NULL.
 */
dip_status dip_items_named(const dip_archive *archive, char *const *names, size_t count,
                           uint32_t modalities, uint64_t **ids, size_t *n);

/** A collection that the archive does not have: DIP_ENOENT, with a line that names those there are. */
dip_status dip_collection_find(const dip_archive *archive, const char *collection,
                               uint32_t *modality);
/** An item by the two parts of its address. Expected failure: DIP_ENOENT. */
dip_status dip_item_find(const dip_archive *archive, const char *collection, const char *name,
                         uint64_t *id);

/** Key of a band's asset: its name, or "band:" and its name if another asset is called so. */
enum { DIP_ITEM_KEY_CAPACITY = DIP_WORD_CAPACITY + 8 };
void dip_item_band_key(char key[DIP_ITEM_KEY_CAPACITY], const char *band);

#define DIP_REL_QUERYABLES "http://www.opengis.net/def/rel/ogc/1.0/queryables"

#define DIP_STAC_VERSION "1.0.0"
/** The range that stands for a time that is not known. */
#define DIP_ITEM_EARLIEST "1970-01-01T00:00:00Z"
#define DIP_ITEM_LATEST "2099-12-31T23:59:59Z"

#define DIP_TYPE_JSON "application/json"
#define DIP_TYPE_GEOJSON "application/geo+json"
#define DIP_TYPE_SCHEMA "application/schema+json"
#define DIP_TYPE_OPENAPI "application/vnd.oai.openapi+json;version=3.0"
#define DIP_TYPE_HTML "text/html; charset=utf-8"
#define DIP_TYPE_PNG "image/png"
#define DIP_TYPE_GEOTIFF "image/tiff; application=geotiff"
#define DIP_TYPE_COG "image/tiff; application=geotiff; profile=cloud-optimized"
#define DIP_TYPE_NPY "application/x-npy"

#endif
