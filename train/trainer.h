/**
 * Training: from an archive's pairs to a model file in it.
 *
 * A run is a folder (run.h). It is continued if it was interrupted, bit for bit as if it had not been; the model file
 * depends on options and data alone, not on threads, memory or interruptions.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "core/progress.h"
#include "train/options.h"

#include <diptych/archive.h>

/** How a run tells what it does. Every field may be NULL. */
typedef struct dip_train_listener {
    /** Ticks with pairs done; a non-zero return finishes the step, writes a checkpoint and stops. */
    const dip_progress *progress;
    /** One line for people: the data, each evaluation, the end. */
    void (*note)(void *payload, const char *line);
    /** The history in the run's folder has an evaluation more, or is complete: time to show it. */
    void (*evaluated)(void *payload, const char *folder, bool complete);
    void *payload;
} dip_train_listener;

typedef struct dip_train_result {
    char model[80];        /* id */
    bool already;          /* the run was finished before; nothing was done */
    uint64_t resumed_from; /* steps that an earlier part had done */
    uint64_t epochs, steps;
    uint64_t parameters; /* that are learned; 0: nothing was done */
    size_t pairs, held_pairs;
    double recall[2];       /* pair recall@10 of the model on held-out pairs */
    double seconds, waited; /* of this part; waited: for data */
} dip_train_result;

/**
 * Expected failures: DIP_EINVAL (options; training became unstable: says what to try),
 * DIP_ENOENT (too few pairs, unknown modality), DIP_ECANCEL (a checkpoint was written).
 */
dip_status dip_train(const dip_archive *archive, const dip_train_options *options,
                     const dip_train_listener *listener, dip_train_result *result);

#endif
