/**
 * What the held-out pairs tell of a run: recall both ways, and examples of pairs that are found well and badly.
 *
 * The examples of the last evaluation are kept beside the history, in <run>/examples.jsonl (history.h). A line is a
 * probe and its twin, by tile id:
 *
 *   {"kind":"best","step":95,"from":"s1","to":"s2","probe":17,"twin":18,"rank":1,"score":0.91,"of":200,
 *    "hit1":18,"score1":0.91, ... "hit5":...}
 *
 * kind: "best" or "worst"; rank: of the twin among the `of` tiles, from 1; hits: the nearest, best first.
 */
#ifndef TRAIN_HELD_H
#define TRAIN_HELD_H

#include "train/held_labels.h"
#include "train/history.h"

enum { DIP_HELD_K = 10, DIP_HELD_DEPTHS = 3, DIP_HELD_HITS = 5 };

/** 1, 5, DIP_HELD_K. */
extern const size_t dip_held_depths[DIP_HELD_DEPTHS];

/**
 * recall[0][i]: share of held-out pairs whose second tile is among the dip_held_depths[i] nearest of the first;
 * recall[1]: the other way round; the mean over the combinations of modalities. Without held-out pairs all is 0.
 */
typedef struct dip_held_recall {
    size_t pairs;
    double recall[2][DIP_HELD_DEPTHS];
    dip_label_precision labels[DIP_LABEL_DIRECTIONS]; /* of the first combination, if asked for */
    size_t label_count;
} dip_held_recall;

/** `examples`: the file to write at `step`; NULL: none. `labels`: how alike are hits by label? */
dip_status dip_held_measure(const dip_held_source *source, const char *examples, uint64_t step,
                            bool labels, dip_held_recall *out);

#endif
