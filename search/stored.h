/**
 * The stored embeddings of one model and modality as vectors to be indexed, read from the archive as they are asked for: in memory
 * are their ids alone.
 *
 * What is read is what is stored at that moment. A tile that somebody removes meanwhile still has its row, with a vector that
 * says nothing: no search returns what the archive no longer has.
 */
#ifndef SEARCH_STORED_H
#define SEARCH_STORED_H

#include <diptych/archive.h>

#include "index/supply.h"
#include "index/truth.h"

typedef struct dip_stored {
    dip_supply supply; /* .n, .dim and .ids; n = 0: there are none */
    const dip_archive *archive;
    const char *model; /* borrowed */
    uint32_t modality;
    uint64_t *ids;
    dip_truth *truth; /* that is told of the rows; or NULL */
} dip_stored;

/** The struct stays where it is until it is closed. Expected failure: DIP_ECORRUPT (damaged embeddings). */
dip_status dip_stored_open(dip_stored *stored, const dip_archive *archive, const char *model,
                           uint32_t modality);
void dip_stored_close(dip_stored *stored);

/** Reads from the front to the back whatever the truth was not told yet, because nobody asked for it. */
dip_status dip_stored_tell_all(dip_stored *stored);

#endif
