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

/**
 * Opens a history to continue after `step`: lines of later steps, which a killed run left, are dropped, and so is
 * a last line that was cut off. Step 0 begins anew.
 */
dip_status dip_history_open(dip_history **out, const char *path, uint64_t step);
/** Adds a line and flushes it. */
dip_status dip_history_write(dip_history *history, const char *kind, uint64_t step,
                             const dip_field *fields, size_t count);
void dip_history_close(dip_history *history);

#endif
