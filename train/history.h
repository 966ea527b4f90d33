/** metrics.jsonl: one JSON object a line, {"kind":"step","step":12,"loss":4.2,...}; the file is the run's history. */
#ifndef TRAIN_HISTORY_H
#define TRAIN_HISTORY_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_history dip_history;

typedef struct dip_field {
    const char *name;
    double value; /* not finite: null */
} dip_field;

typedef struct dip_mark {
    const char *name, *text;
} dip_mark;

/** A line: what it is about, after which step, texts, numbers. */
typedef struct dip_history_line {
    const char *kind;
    uint64_t step;
    const dip_mark *marks;
    size_t mark_count;
    const dip_field *fields; /* read: NAN for null */
    size_t field_count;
} dip_history_line;

/**
 * Opens a history to continue after `step`: lines of later steps, which a killed run left, are dropped, and so is
 * a last line that was cut off. Step 0 begins anew.
 */
dip_status dip_history_open(dip_history **out, const char *path, uint64_t step);
/** Adds a line and flushes it. Whole numbers below 2^53 are written in full, others with nine digits. */
dip_status dip_history_write(dip_history *history, const dip_history_line *line);
void dip_history_close(dip_history *history);

/**
 * Calls `visit` for each line in order; what is no such line, a cut-off last one for instance, is passed over. The
 * line and what it points to is valid during the call; a failure of `visit` ends the reading and is returned.
 * Expected failure: DIP_ENOENT.
 */
dip_status dip_history_read(const char *path,
                            dip_status (*visit)(void *payload, const dip_history_line *line),
                            void *payload);

/** The value of a field, or NAN. */
double dip_history_value(const dip_history_line *line, const char *name);
/** A text, or "". */
const char *dip_history_text(const dip_history_line *line, const char *name);

#endif
