/** What a run tells: metrics.jsonl, of its numbers TensorBoard too, and lines for people. */
#ifndef TRAIN_JOURNAL_H
#define TRAIN_JOURNAL_H

#include "train/events.h"
#include "train/held.h"
#include "train/history.h"
#include "train/run.h"
#include "train/trainer.h"

typedef struct dip_journal {
    dip_history *history;
    dip_events *events;
} dip_journal;

/** Opens both in the run's folder, to continue after `step`. dip_journal_close() on failure too. */
dip_status dip_journal_open(dip_journal *journal, const dip_run *run, uint64_t step);
void dip_journal_close(dip_journal *journal);

/** A line of numbers, and the same as TensorBoard scalars "<kind>/<name>". */
dip_status dip_journal_numbers(dip_journal *journal, const char *kind, uint64_t step,
                               const dip_field *fields, size_t count);
/** The recall of held-out pairs and up to four numbers `more`. kind: "evaluation", or "result" of the model. */
dip_status dip_journal_recall(dip_journal *journal, const char *kind, uint64_t step,
                              const dip_held_recall *held, const dip_field *more, size_t count);

/** A line for people, if anybody listens. */
void dip_note(const dip_train_listener *listener, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
