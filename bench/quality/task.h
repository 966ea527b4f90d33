/** One training of a sweep: a row of the plan on one data set, with one seed and one part of the scenes held out. */
#ifndef BENCH_QUALITY_TASK_H
#define BENCH_QUALITY_TASK_H

#include "bench/quality/outcome.h"
#include "bench/quality/plan.h"
#include "bench/quality/spawn.h"

typedef struct dip_task {
    const dip_plan *plan;
    const dip_plan_data *data;
    const dip_plan_row *row;
    dip_hold_out hold_out; /* of 0: none */
    uint64_t seed;
} dip_task;

/** Calls fn for each task of candidates, or of finals: all rows with one seed before the next one's. Stops at a failure. */
dip_status dip_task_each(const dip_plan *plan, bool final,
                         dip_status (*fn)(void *context, const dip_task *task), void *context);

/** "test", or "val". */
const char *dip_task_split(const dip_task *task);
/** "1/4", or "". */
void dip_task_held(const dip_task *task, char *out, size_t capacity);
/** Adds the options of plan, data set and row, in this order, and the seed. */
dip_status dip_task_train_words(const dip_task *task, dip_command_line *command);
/**
 * All settings of the training as text, as config.ini of a run named `name` has them; free with dip_free(). Expected
 * failure: DIP_EINVAL (an option that the program would refuse), with the row's name.
 */
dip_status dip_task_settings(const dip_task *task, const char *name, char **out);
/** The hash of everything that decides the numbers of one form: settings, data, options, split. */
dip_status dip_task_key(const dip_task *task, const dip_plan_form *form, char out[20]);

#endif
