/** The examples of a training run as pictures: a part of its page. */
#ifndef TOOLS_RUN_EXAMPLES_H
#define TOOLS_RUN_EXAMPLES_H

#include "tools/run_history.h"

#include <diptych/archive.h>

#include <stdio.h>

/** A tile that the archive has no more is said to be gone. */
dip_status dip_run_examples_write(FILE *out, const dip_archive *archive,
                                  const dip_run_history *run);

/** Do the examples show simulated tiles? */
dip_status dip_run_examples_simulated(const dip_archive *archive, const dip_run_history *run,
                                      bool *simulated);

#endif
