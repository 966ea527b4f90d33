/**
 * Files that the program carries inside itself: the page, the description of the API. They are named by their paths below
 * server/ ("web/dist/index.html"). CMakeLists.txt says which (diptych_embed), cmake/DiptychEmbed.cmake how.
 */
#ifndef SERVER_EMBEDDED_H
#define SERVER_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>

typedef struct dip_embedded {
    const char *name;
    const uint8_t *bytes, *end; /* a 0 byte stands at `end` */
} dip_embedded;

/** All of them, sorted by name. */
extern const dip_embedded dip_embedded_files[];
extern const size_t dip_embedded_count;

/** The file of that name, or NULL. */
const dip_embedded *dip_embedded_find(const char *name);

#endif
