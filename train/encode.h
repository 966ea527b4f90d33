/**
 * Encoding an archive: every tile of the model's modalities that has no embedding of this model gets one. A model of heads
 * on vectors takes the stored embeddings of the models that it builds on, and pixels where a tile has none.
 *
 * `<archive>/models/<id>.encoded` tells which bytes of the model file the stored embeddings come from: a model that
 * was trained again under the same id loses its old embeddings first, and so does one that encodes with another
 * precision. Queries do not ask: int8 and bfloat16 approximate the same embedding, and their vectors compare.
 */
#ifndef TRAIN_ENCODE_H
#define TRAIN_ENCODE_H

#include "core/progress.h"

#include <diptych/archive.h>
#include <diptych/model.h>

#include "train/vectors.h"

#include <stdbool.h>

enum { DIP_RANGE_TILES = 256 };

typedef struct dip_encode_options {
    const char *modality; /* this one alone; NULL: all that the model knows and the archive has */
    size_t batch;         /* tiles a transaction */
    bool force;           /* all tiles, whether or not they have an embedding */
    /** For heads: the vectors to take, instead of stored ones, and the tiles that have one alone. */
    const dip_vectors *vectors;
    size_t vector_count; /* modalities; 0: none are given */
    bool int8; /* the network in int8, with ranges from DIP_RANGE_TILES tiles a modality */
    const dip_progress *progress;
    /** One line per tile that cannot be encoded: names it and says why; it is left out. May be NULL. */
    void (*refused)(void *payload, const char *line);
    void *payload;
} dip_encode_options;

/** Reading and storing go on beside encoding; waiting is what encoding waited for them. */
typedef struct dip_encode_report {
    uint64_t encoded, present, refused;
    double seconds; /* of the whole */
    double read_seconds, encode_seconds,
        write_seconds; /* at work; reading is the sum of its threads */
    double wait_read_seconds, wait_write_seconds;
} dip_encode_report;

/**
 * The archive is open for writing; `model_path` is the model's file. After DIP_ECANCEL the same call goes on.
 * Expected failures: DIP_EMISMATCH (bands; vectors), DIP_ENOENT (no modality in common), DIP_ENOTSUP (tiles without
 * a vector, which pixels cannot give), those of the archive.
 */
dip_status dip_encode(dip_archive *archive, const char *model_path,
                      const dip_encode_options *options, dip_encode_report *report);

#endif
