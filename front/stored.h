/** What a user types as the name of a stored tile. */
#ifndef FRONT_STORED_H
#define FRONT_STORED_H

#include <diptych/archive.h>

#include <stdbool.h>

/**
 * "#123" is a tile id, whether there is one or not; "s1/NAME" or "NAME" is looked up, the latter in modality `from`, or in all
 * if that is NULL. *found: whether it names a tile. Expected failure: DIP_EINVAL (a name that several modalities have).
 */
dip_status dip_stored_find(const dip_archive *archive, const char *word, const char *from,
                           uint64_t *id, bool *found);

#endif
