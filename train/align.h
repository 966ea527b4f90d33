/**
 * Alignment: from two or more models' vectors of the same places to heads that carry them into one space.
 *
 * The pairs, the objective, the optimiser and the run's folder are those of training (dataset.h, objective.h, run.h); what
 * learns is a small head a modality (encoder/heads.h). The model file depends on options, archive and vectors alone, not on
 * threads or interruptions.
 */
#ifndef TRAIN_ALIGN_H
#define TRAIN_ALIGN_H

#include "train/options.h"
#include "train/trainer.h"
#include "train/vectors.h"

/** What a head sees: each value standardised, or all of a modality centred and brought to one scale. */
typedef enum dip_align_inputs { DIP_ALIGN_STANDARD, DIP_ALIGN_CENTRED } dip_align_inputs;

/** `train`: the fields that the table sets are used, the rest is 0. Texts are borrowed. */
typedef struct dip_align_options {
    dip_train_options train;
    int64_t steps;
    int inputs; /* dip_align_inputs */
    double dropout;
    /* for whoever reads the words of a command line */
    const char *ids, *output, *apply;
} dip_align_options;

extern const dip_option dip_align_table[];

/**
 * Learns heads on `count` modalities' vectors, which are borrowed. Files are left in the archive's folder; the store is not
 * written, that is dip_encode()'s part. Expected failures: DIP_EINVAL (options; it became unstable: says what to try),
 * DIP_ENOENT (too few pairs), DIP_ECANCEL (a checkpoint was written).
 */
dip_status dip_align(const dip_archive *archive, const dip_align_options *options,
                     const dip_vectors *vectors, size_t count, const dip_train_listener *listener,
                     dip_train_result *result);

#endif
