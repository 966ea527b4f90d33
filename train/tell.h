/** What a session tells its history: metrics.jsonl, and of the numbers TensorBoard too. */
#ifndef TRAIN_TELL_H
#define TRAIN_TELL_H

#include "train/session.h"

/** What the run learns from, and what learns: "data", and a "band" for each. */
dip_status dip_tell_data(dip_session *session);
/** A beginning of the run, the first or a later one: "start"; TensorBoard gets the options as a text. */
dip_status dip_tell_start(dip_session *session);
/** Of a continued epoch, time and throughput are of the part since: "epoch". */
dip_status dip_tell_epoch(dip_session *session, double loss);
/** kind: "evaluation", or "result" of the model; seconds: that it took. */
dip_status dip_tell_recall(dip_session *session, const char *kind, const dip_held_recall *held,
                           double seconds);
/** A line "labels" for each direction that has them. */
dip_status dip_tell_labels(dip_session *session, const dip_held_recall *held);
/**
 * One line for people: p@10 of each direction, p_any@10 if no tile has a primary label; as the history told it last, which is
 * of the weights that the model has.
 */
dip_status dip_note_labels(const dip_session *session);

#endif
