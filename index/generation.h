/**
 * A generation: one sealed index per modality of one model, with a manifest.
 *
 *   <archive>/index/<generation>/manifest.json   see manifest.h
 *   <archive>/index/<generation>/<modality>.*    the indexes
 *   <archive>/index/CURRENT                      one line: the live generation and the XXH3 of its name as 16 hex digits;
 *                                                a hand-written name alone is fine too
 *   <archive>/index/lock                         held (flock) while a generation is made or removed
 *
 * A generation is written in index/<generation>.partial and renamed when complete; after that nothing in it changes.
 * CURRENT is switched by an atomic rename. A process killed at any moment leaves the old generation live or the new one.
 */
#ifndef INDEX_GENERATION_H
#define INDEX_GENERATION_H

#include "index/manifest.h"

typedef struct dip_generation dip_generation;

/**
 * Begins a new generation of an archive folder; the next free number names it ("000001"). Removes what killed builds
 * left. Expected failure: DIP_EBUSY (another build or prune is at work).
 */
dip_status dip_generation_begin(dip_generation **out, const char *archive_path, const char *model,
                                uint32_t dim);
/** Folder to build indexes into; borrowed. */
const char *dip_generation_folder(const dip_generation *generation);
/** The manifest being written; the caller fills names and counts of modalities, points,
 * calibrations (arrays from dip_alloc); seal fills `describe` and the files. */
dip_manifest *dip_generation_manifest(dip_generation *generation);
/**
 * Checksums all files (one that is linked from the live generation keeps the checksum it has there), writes the manifest, renames into place, switches CURRENT; frees the handle, also when it fails
 * (the live generation is then as before). Expected failures: DIP_EMISMATCH (a modality of the manifest has no index
 * in the folder, or one of another dimension or count), DIP_EINVAL (a number of the manifest is not finite).
 */
dip_status dip_generation_seal(dip_generation *generation);
/** Drops it; NULL is fine. */
void dip_generation_abort(dip_generation *generation);

/** Opens the live generation (name NULL) or a named one. DIP_ENOENT: "... run diptych index". */
dip_status dip_generation_open(dip_generation **out, const char *archive_path, const char *name);
void dip_generation_close(dip_generation *generation);
const dip_manifest *dip_generation_read_manifest(const dip_generation *generation);
/**
 * Index of a modality; borrowed; *out is NULL (and the status DIP_OK) if the generation has none. Opens on first use;
 * thread-safe.
 */
dip_status dip_generation_index(dip_generation *generation, const char *modality,
                                const dip_index **out);

/** Makes a sealed generation the live one (to go back, for example). DIP_ENOENT: it is not there; DIP_EBUSY. */
dip_status dip_generation_use(const char *archive_path, const char *name);

/** Name of the live generation; free with dip_free(). DIP_ENOENT: there is none; DIP_ECORRUPT: CURRENT is damaged. */
dip_status dip_generation_current(char **name, const char *archive_path);

/** Names of the sealed generations, oldest first; free with dip_names_free(). No index folder: none. */
dip_status dip_generation_list(char ***names, size_t *count, const char *archive_path);

/**
 * Checks the checksums of all files of all generations and CURRENT, and that the parts of a segment fit each other; as dip_archive_verify(): each fault is told to
 * `report` in one line, *faults counts them. An archive without an index has no faults.
 */
dip_status dip_generation_verify(const char *archive_path,
                                 void (*report)(void *payload, const char *line), void *payload,
                                 uint64_t *faults);

/** Removes all generations but the live one and the `keep` before it. Expected failure: DIP_EBUSY. */
dip_status dip_generation_prune(const char *archive_path, size_t keep);

#endif
