/**
 * Building the searchable state of an archive: a generation with an index a modality, operating points a direction,
 * and calibrations, from the stored embeddings of one model.
 */
#ifndef SEARCH_BUILD_H
#define SEARCH_BUILD_H

#include <diptych/archive.h>

#include "index/generation.h"

typedef struct dip_indexing_options {
    const char *model; /* id; NULL: the newest, or with `update` the live generation's */
    /**
     * recipe.recall is the target of the operating points: share of the exact 10 nearest; 0: 0.99. recipe.memory is that
     * of all modalities together, which share it by their numbers of vectors.
     */
    dip_index_recipe recipe;
    /**
     * Adds and removes against the live generation instead of training again. Indexes keep their engine and sizes,
     * whatever the recipe says; operating points are measured anew.
     */
    bool update;
    size_t keep; /* older generations that stay beside the new one */
    const dip_progress *progress;
} dip_indexing_options;

typedef struct dip_indexing_report {
    char generation[64], model[128];
    bool unchanged; /* update: nothing to do; `generation` is the live one */
    uint32_t modality_count;
    struct {
        char name[32], describe[96];
        uint64_t count, added, removed;
        uint64_t without; /* tiles that have no embedding of the model */
        uint64_t bytes;   /* of the index's files */
        bool trained;     /* built anew rather than updated */
        char why[128];    /* what was chosen and why, in a line for people */
        uint64_t memory;  /* bytes that searches keep reading, estimated; 0: updated */
        double seconds;
    } modality[DIP_MAX_MODALITIES];
} dip_indexing_report;

/**
 * Builds, tunes, calibrates, seals and makes it live. Reading the archive is enough; two builds at once: the second gets
 * DIP_EBUSY. Expected failures: DIP_ENOENT (no embeddings: "run diptych encode"), DIP_ECANCEL, DIP_EMISMATCH
 * (update with another model).
 */
dip_status dip_index_archive(const dip_archive *archive, const dip_indexing_options *options,
                             dip_indexing_report *report);

#endif
