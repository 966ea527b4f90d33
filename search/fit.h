/** Does an index still hold the embeddings that the archive holds? */
#ifndef SEARCH_FIT_H
#define SEARCH_FIT_H

#include <diptych/archive.h>

#include "index/index.h"

/**
 * Compares some of the index's vectors with the stored ones. *fits is false if the tiles were encoded again with
 * another state of the model. Tiles that are gone do not count.
 */
dip_status dip_index_fits(const dip_archive *archive, const char *model, uint32_t modality,
                          const dip_index *index, bool *fits);

#endif
