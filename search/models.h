/** The models of an archive: <archive>/models/<id>.safetensors. */
#ifndef SEARCH_MODELS_H
#define SEARCH_MODELS_H

#include "core/status.h"

#include <stddef.h>

/**
 * The id of the model to work with: `wanted` if the archive has it, or the newest one if `wanted` is NULL (by the
 * file's time, then by name). *id is the caller's (dip_free).
 * Expected failure: DIP_ENOENT (names those that are there; "run diptych train" if none is).
 */
dip_status dip_models_choose(const char *archive_path, const char *wanted, char **id);

/** Path of a model's file; NULL only when memory is short. Free with dip_free(). */
char *dip_models_path(const char *archive_path, const char *id);

/** Ids in byte order; free with dip_names_free(). An archive without models gives none. */
dip_status dip_models_list(const char *archive_path, char ***ids, size_t *count);

#endif
