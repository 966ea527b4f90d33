/**
 * A training session: everything that the steps of a run need, made once. Inside view of trainer.h.
 */
#ifndef TRAIN_SESSION_H
#define TRAIN_SESSION_H

#include "encoder/net.h"
#include "train/average.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/init.h"
#include "train/journal.h"
#include "train/objective.h"

/** Where a measured stretch of steps began. */
typedef struct dip_lap {
    double began, waited; /* clock, and what the loader had waited then */
    uint64_t pairs;       /* done since */
} dip_lap;

typedef struct dip_session {
    const dip_train_options *options; /* the caller's, then `settled` */
    dip_train_options settled;        /* with the network of what `init` brings */
    const dip_train_listener *listener;
    dip_train_result *result;
    dip_run run;
    dip_dataset *dataset;
    dip_init *init; /* NULL: none */
    dip_tile_cache *cache;
    dip_loader *loader;
    dip_net_spec spec, model_spec; /* they differ in input_px */
    dip_net *net;
    dip_optimiser *optimiser;
    dip_average *average; /* NULL: none */
    dip_objective *objective;
    dip_evaluator *evaluator;
    dip_journal journal;
    dip_outputs outputs;
    dip_cursor cursor;
    uint64_t epoch_steps;
    double began, last_norm, last_note;
    uint64_t began_at; /* steps that were done then */
    dip_lap lap;       /* since the epoch, or this part of it, began */
} dip_session;

/**
 * Fills a zeroed session: finds the run, reads the data, makes the network and takes weights from the newest checkpoint
 * or from the seed. If the run is finished, only result->already is set. dip_session_fini() on failure too.
 */
dip_status dip_session_init(dip_session *session, const dip_archive *archive);
void dip_session_fini(dip_session *session);

/** One step at the cursor, which moves on. DIP_EINVAL: it became unstable; says what to try. */
dip_status dip_session_step(dip_session *session);
/** The failure line of an evaluation whose numbers are not finite. */
dip_status dip_session_unstable(const dip_session *session);

/** What a checkpoint of the session consists of. */
dip_checkpoint dip_session_checkpoint(dip_session *session);

/** Of this part of the run. */
double dip_session_pairs_per_second(const dip_session *session);
/** Begins a stretch of steps to be measured. */
void dip_session_lap(dip_session *session);

#endif
