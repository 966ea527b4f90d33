/** Heads on vectors of tiles: the part of encoding that needs no pixels. Inside view of encode.h. */
#ifndef TRAIN_PROJECT_H
#define TRAIN_PROJECT_H

#include <diptych/archive.h>

#include "encoder/heads.h"
#include "train/vectors.h"

/** Vectors of one modality's tiles for the heads of a model. */
typedef struct dip_projector {
    const dip_archive *archive;
    dip_heads *heads;
    size_t position; /* of the modality in the model */
    uint32_t source; /* and in the archive */
    const dip_vectors
        *given;     /* these; NULL: the stored embeddings of the model that the heads name */
    float *vectors; /* (DIP_PROJECT_ROWS, dim) */
    bool *found;    /* (DIP_PROJECT_ROWS) */
} dip_projector;

enum { DIP_PROJECT_ROWS = 512 };

/**
 * Fills in the rest of a projector whose first five fields are set. DIP_EMISMATCH: other vectors than the heads take; the
 * stored embeddings are of another state of their model.
 */
dip_status dip_projector_init(dip_projector *projector, const char *model);
void dip_projector_fini(dip_projector *projector);

/**
 * Projects the n <= DIP_PROJECT_ROWS tiles that have a vector: their ids and results in `out_ids` and `out` (n, embed_dim),
 * *count of them; the others move to the front of `ids`.
 */
dip_status dip_projector_run(dip_projector *projector, uint64_t *ids, size_t n, uint64_t *out_ids,
                             float *out, size_t *count);

/** Whether the stored embeddings of a model are those of the file with this fingerprint; DIP_EMISMATCH if not. */
dip_status dip_stamp_check(const char *archive_path, const char *model, const char *fingerprint);

#endif
