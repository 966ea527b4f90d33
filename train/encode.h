/**
 * Encoding an archive: every tile of the model's modalities that has no embedding of this model gets one. A model of heads
 * on vectors takes the stored embeddings of the models that it builds on, and pixels where a tile has none.
 *
 * `<archive>/models/<id>.encoded` tells which bytes of the model file the stored embeddings come from: a model that
 * was trained again under the same id loses its old embeddings first.
 */
#ifndef TRAIN_ENCODE_H
#define TRAIN_ENCODE_H

#include "core/progress.h"

#include <diptych/archive.h>
#include <diptych/model.h>

#include "train/vectors.h"

#include <stdbool.h>

typedef struct dip_encode_options {
    const char *modality; /* this one alone; NULL: all that the model knows and the archive has */
    size_t batch;         /* tiles a transaction */
    bool force;           /* all tiles, whether or not they have an embedding */
    /** For heads: the vectors to take, instead of stored ones, and the tiles that have one alone. */
    const dip_vectors *vectors;
    size_t vector_count; /* modalities; 0: none are given */
    const dip_progress *progress;
    /** One line per tile that cannot be encoded: names it and says why; it is left out. May be NULL. */
    void (*refused)(void *payload, const char *line);
    void *payload;
} dip_encode_options;

typedef struct dip_encode_report {
    uint64_t encoded, present, refused;
    double seconds, read_seconds,
        write_seconds; /* of the whole; of reading and writing the store */
} dip_encode_report;

/**
 * The archive is open for writing; `model_path` is the model's file. After DIP_ECANCEL the same call goes on.
 * Expected failures: DIP_EMISMATCH (bands; vectors), DIP_ENOENT (no modality in common), DIP_ENOTSUP (tiles without
 * a vector, which pixels cannot give), those of the archive.
 */
dip_status dip_encode(dip_archive *archive, const char *model_path,
                      const dip_encode_options *options, dip_encode_report *report);

#endif
