/** The options of a training run: a part of its page. */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include "tools/run_history.h"

#include <stdbool.h>
#include <stdio.h>

/** The options that differ from the defaults, the command that repeats the run, and all options. */
void dip_run_options_write(FILE *out, const dip_run_history *run);

/** Whether diptych align made the run, which counts steps, not epochs. */
bool dip_run_aligns(const dip_run_history *run);

/** What a part of the loss is, by the option that weighs it: "Contrast between modalities (mim)"; else its name. */
void dip_run_part_title(const char *name, char *out, size_t capacity);

#endif
