/** Small questions about tiles that several commands ask. */
#ifndef FRONT_TILE_H
#define FRONT_TILE_H

#include <diptych/archive.h>

#include "search/columns.h" /* dip_meta_centre(), dip_distance_km() */

/** Does the tile come from a simulation, not from a sensor? */
bool dip_meta_simulated(const dip_meta *meta);
/** Does any tile of the archive? */
dip_status dip_archive_simulated(const dip_archive *archive, bool *simulated);

/** "s2/T11SLT_019_01" into `out`. */
void dip_meta_title(const dip_archive *archive, const dip_meta *meta, char *out, size_t capacity);

/** "a|b" as "a, b" into `out`. */
void dip_list_spread(const char *list, char *out, size_t capacity);

#endif
