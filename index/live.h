/**
 * The index folder of an archive: the names in it, CURRENT and the lock; shared by generation.c and upkeep.c.
 * `root` is "<archive>/index".
 */
#ifndef INDEX_LIVE_H
#define INDEX_LIVE_H

#include "index/manifest.h"

#define DIP_PARTIAL_SUFFIX ".partial"
#define DIP_MANIFEST_NAME "manifest.json"

/** "<archive>/index"; free with dip_free(). */
char *dip_index_root(const char *archive_path);

/** Generations are numbered: digits and nothing else. */
bool dip_generation_is_name(const char *name);
unsigned long long dip_generation_number(const char *name);
bool dip_name_ends(const char *name, const char *suffix);

/** Names of generations, ascending; no folder, no names. Free with dip_names_free(). */
dip_status dip_live_list(char ***names, size_t *count, const char *root);

/** What CURRENT says; free with dip_free(). DIP_ENOENT: there is no CURRENT. */
dip_status dip_live_read(char **name, const char *root);
dip_status dip_live_write(const char *root, const char *name);
/** The failure that CURRENT names what is not there. */
dip_status dip_live_missing(const char *archive_path, const char *name);

/** Takes index/lock; close() the descriptor to give it back. DIP_EBUSY: somebody has it. */
dip_status dip_live_lock(int *lock, const char *root);

/** Reads and checks the manifest of a sealed generation's folder. */
dip_status dip_live_manifest(dip_manifest *out, const char *folder);

/** Length and checksum of the file named file->name. */
dip_status dip_live_hash(dip_manifest_file *file, const char *folder);

#endif
