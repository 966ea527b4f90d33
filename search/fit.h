/** Do model, stored embeddings and index still belong together? */
#ifndef SEARCH_FIT_H
#define SEARCH_FIT_H

#include <diptych/archive.h>
#include <diptych/model.h>

#include "index/index.h"

/**
 * Compares some of the index's vectors with the stored ones. *fits is false if the tiles were encoded again with
 * another state of the model. Tiles that are gone do not count.
 */
dip_status dip_index_fits(const dip_archive *archive, const char *model, uint32_t modality,
                          const dip_index *index, bool *fits);

/**
 * Encodes one of the stored tiles of a modality and compares with its stored embedding. *fits is false if the model was
 * trained again, and true if there is nothing to compare. `position` is the modality's in the model.
 */
dip_status dip_model_fits(const dip_archive *archive, dip_model *model, uint32_t modality,
                          size_t position, bool *fits);

#endif
