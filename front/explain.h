/** An explanation (dip_explain()) as JSON and as pictures: what `diptych explain` and GET /explain have in common. */
#ifndef FRONT_EXPLAIN_H
#define FRONT_EXPLAIN_H

#include <diptych/search.h>

#include "front/json.h"
#include "front/picture.h"

enum { DIP_EXPLAIN_PANEL = 384 }; /* pixels a side of a tile's picture */

/** "s1/NAME", a file's name, or "a vector" of one of the two, into `out`. */
void dip_explanation_title(const dip_explanation *e, int side, char *out, size_t capacity);

/** One JSON object; docs/explain.md has its members. */
void dip_explanation_json(dip_json *json, const char *key, const dip_explanation *e);

/** The values that the colours go from and to: the map's own, but never nearer than 0.2 to each other. */
void dip_explanation_range(const dip_explanation *e, float *low, float *high);
/** Colour of a share 0..1 of that range: equal steps look equal, darker is less. */
void dip_heat_colour(float share, uint8_t rgb[3]);

/** What the encoder sees of a side, DIP_EXPLAIN_PANEL pixels a side, RGB; with `heat` under the map's colours. */
dip_status dip_explanation_panel(dip_picture *out, const dip_archive *archive,
                                 const dip_explanation *e, int side, bool heat);

/**
 * Both tiles, below them both under the map, and the colours from most to least at the right; *bytes is the caller's
 * (dip_free). Expected failure: DIP_ENOTSUP (a side without pixels).
 */
dip_status dip_explanation_png(const dip_archive *archive, const dip_explanation *e,
                               uint8_t **bytes, size_t *length);

#endif
