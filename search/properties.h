/**
 * A tile's further properties as columns: primary_label, label_source, scene, source, and whatever its `extra` holds
 * (cloud cover, orbit, ...). A property is read from the archive when it is first asked for, and kept: 8 bytes a row for
 * numbers, 4 for texts.
 *
 * Any number of threads; rows are those of the columns, and tiles that came or went since do not show.
 */
#ifndef SEARCH_PROPERTIES_H
#define SEARCH_PROPERTIES_H

#include "search/columns.h"

#include <pthread.h>

typedef struct dip_property {
    char *name;
    double *numbers; /* NAN: the row has none; NULL: no row has one */
    uint32_t *texts; /* numbers in `words`, of "" if the row has none; NULL: no row has one */
    dip_words words; /* "" first */
    bool list;       /* a row has an array: its texts are '|'-separated lists */
} dip_property;

typedef struct dip_properties {
    const dip_archive *archive; /* borrowed, as the columns */
    const dip_columns *columns;
    pthread_mutex_t lock;
    dip_property **list;
    size_t count, capacity;
} dip_properties;

void dip_properties_init(dip_properties *properties, const dip_archive *archive,
                         const dip_columns *columns);
void dip_properties_fini(dip_properties *properties);

/**
 * Has n properties read, in one go for those that are not there yet. Expected failure: DIP_EINVAL (no tile has it: the
 * line names some that there are).
 */
dip_status dip_properties_need(dip_properties *properties, const char *const *names, size_t n);

/** One that was needed; the pointer lives as long as the properties. NULL if it was not. */
const dip_property *dip_properties_find(dip_properties *properties, const char *name);

/** Adds an empty one; for a column that is filled by hand with dip_property_set(). */
dip_status dip_properties_add(dip_properties *properties, const char *name, dip_property **out);
/** Sets a row to a text, or to a number if `text` is NULL. */
dip_status dip_property_set(dip_property *property, const dip_columns *columns, size_t row,
                            const char *text, bool list, double number);

#endif
