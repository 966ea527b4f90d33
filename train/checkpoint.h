/**
 * Checkpoints of a run: <folder>/checkpoint-<step>.safetensors, the last two are kept.
 *
 * Tensors: the net's, "optimiser.first", "optimiser.second", with a moving average "average.params" and "average.running"
 * (flat, in the net's own order), with a queue "queue" (queue.c tells what is where), and what the caller keeps besides.
 * Metadata: format, the identity of the run, the cursor. The random numbers need no state: each is drawn from (seed,
 * epoch, pair).
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "encoder/net.h"
#include "train/average.h"
#include "train/optimiser.h"
#include "train/queue.h"

/** Where a run is, and what it has seen of the epoch so far. */
typedef struct dip_cursor {
    uint64_t epoch, step;       /* the next step to do: step `step` of epoch `epoch` */
    uint64_t total;             /* steps done */
    double loss_sum;            /* over the steps of this epoch */
    double best[2];             /* both recalls of the best evaluation so far; negative: none */
    uint64_t best_epoch, stale; /* evaluations since */
} dip_cursor;

/** A vector of values that a checkpoint keeps under a name. */
typedef struct dip_kept {
    const char *name;
    float *values;
    size_t count;
} dip_kept;

enum { DIP_CHECKPOINT_KEPT = 4 };

/** What a checkpoint holds; `net`, `average` and `queue` may be NULL. All borrowed. */
typedef struct dip_checkpoint {
    dip_net *net;
    dip_optimiser *optimiser;
    dip_average *average;
    dip_queue *queue;
    const char *identity; /* a checkpoint of another identity is not read */
    const dip_kept *kept; /* (kept_count), at most DIP_CHECKPOINT_KEPT */
    size_t kept_count;
} dip_checkpoint;

dip_status dip_checkpoint_write(const char *folder, const dip_checkpoint *checkpoint,
                                const dip_cursor *cursor);

/**
 * Reads the newest checkpoint of the folder that is whole; a damaged one is logged and passed over. *found tells
 * whether there was one; without one nothing is changed. The net is refreshed.
 */
dip_status dip_checkpoint_read(const char *folder, const dip_checkpoint *checkpoint,
                               dip_cursor *cursor, bool *found);

/** Removes all checkpoints: the run is finished. */
dip_status dip_checkpoint_clear(const char *folder);

#endif
