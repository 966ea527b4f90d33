/**
 * HTML pages that need nothing else: no script, no font, no request; pictures are inside as PNG. What comes from an
 * archive goes through dip_html_text().
 */
#ifndef TOOLS_HTML_H
#define TOOLS_HTML_H

#include <diptych/archive.h>

#include <stdio.h>

/** Text, escaped for elements and for quoted attributes; control characters become spaces. */
void dip_html_text(FILE *out, const char *text);
void dip_html_text_n(FILE *out, const char *text, size_t length);

/** "<!doctype html>" to "<body>": forbids the browser all but inline style and pictures. Styles end with NULL. */
void dip_html_begin(FILE *out, const char *title, const char *const *styles);
void dip_html_end(FILE *out);

/** A PNG as <img>; `class` is trusted, `alt` is escaped. */
void dip_html_png(FILE *out, const uint8_t *png, size_t length, const char *class, const char *alt);
/** A tile as <img>; `class` is trusted. */
dip_status dip_html_tile(FILE *out, const dip_tile *tile, const dip_modality *modality,
                         const char *class);
/** Likewise a tile of the archive. */
dip_status dip_html_stored(FILE *out, const dip_archive *archive, uint64_t id, const char *class);

#endif
