/**
 * What a run learns from: the archive's pairs, split into training and held-out ones, and the statistics that
 * normalise them.
 *
 * A pair is a place and two of the chosen modalities of which it has tiles; with more than two modalities every
 * combination is a pair. Training pairs are those of split "train", or all if the archive has no splits. Held-out
 * pairs are those of split "val", else a tenth of the scenes (of the places, where scenes are not known), chosen by
 * their names: always the same ones. A share of the training places can be taken, for learning curves: drawn by the
 * seed from all of them alike, so that they are fewer but not of a smaller area, and a smaller share is part of a
 * larger one.
 */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include <diptych/archive.h>

#include "core/progress.h"

#include <stdbool.h>

/** Tiles first[k] .. first[k] + count[k] - 1 of the data set are the place's tiles of modality[k]. */
typedef struct dip_pair {
    uint32_t modality[2], first[2], count[2];
} dip_pair;

typedef struct dip_dataset {
    const dip_archive *archive;
    uint32_t modality_count;
    dip_modality modality[DIP_MAX_MODALITIES]; /* with the statistics used */
    uint32_t source[DIP_MAX_MODALITIES];       /* positions in the archive */
    size_t tile_count;
    uint64_t *tiles; /* ids */
    uint32_t *tile_modality;
    size_t train_count, held_count;
    dip_pair *train, *held;
    char held_note[160];  /* where the held-out pairs come from, for people */
    uint64_t fingerprint; /* of names, modalities and splits of all pairs */
} dip_dataset;

typedef struct dip_dataset_options {
    const char *modalities; /* "s1,s2"; NULL: all of the archive */
    double share;           /* of the training places; 0 or 1: all */
    uint64_t seed;          /* draws them */
    /** Tiles that it refuses are left out; `modality`: position in the data set. NULL: all are taken. */
    bool (*wanted)(void *context, uint32_t modality, uint64_t tile);
    void *context;
} dip_dataset_options;

/**
 * options: NULL for all pairs of all modalities. Expected failures: DIP_ENOENT (unknown modality: the known ones are named;
 * fewer than two training pairs), DIP_EINVAL (fewer than two modalities).
 */
dip_status dip_dataset_open(dip_dataset **out, const dip_archive *archive,
                            const dip_dataset_options *options);
void dip_dataset_close(dip_dataset *dataset);

/**
 * Sets each band's mean and standard deviation from up to 1,024 training tiles of the modality, spread evenly.
 * A tile that cannot be read or has a NaN is refused by name.
 */
dip_status dip_dataset_measure(dip_dataset *dataset, const dip_progress *progress);
/** DIP_EINVAL if a band's statistics are not known to the archive. */
dip_status dip_dataset_check_statistics(const dip_dataset *dataset);

#endif
