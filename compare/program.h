/**
 * An engine in a process of its own, asked through its standard input and output in the protocol of docs/bench.md. Its
 * standard error goes to a file, whose last line explains a failure. One thread at a time.
 */
#ifndef COMPARE_PROGRAM_H
#define COMPARE_PROGRAM_H

#include "compare/message.h"
#include "core/progress.h"

#include <stdint.h>

typedef struct dip_program dip_program;

/**
 * Starts command[0] with `threads` in OMP_NUM_THREADS and its like, and waits for its line `ready`. The process gets no
 * Ctrl-C of the terminal's and dies with this one. Expected failures: DIP_ENOENT (it cannot be run), DIP_EFORMAT (it speaks
 * another protocol), DIP_EIO (it ended), DIP_ECANCEL.
 */
dip_status dip_program_start(dip_program **out, char *const *command, unsigned threads,
                             const char *errors_path, const dip_progress *progress);
/** What it said when it was ready; borrowed. */
const dip_message *dip_program_ready(const dip_program *program);

/**
 * Sends a line and waits for the answer, which the caller frees. `phase` is shown meanwhile. Lines `progress` are passed on;
 * a line `error` is a failure, DIP_EINVAL with its text: the program goes on. Any other failure ends it.
 */
dip_status dip_program_ask(dip_program *program, const char *line, const char *phase,
                           dip_message *answer);

/** Memory that the process holds now; 0 if that is not known. */
uint64_t dip_program_memory(const dip_program *program);

/** Asks it to end, and ends it; NULL is fine. */
void dip_program_stop(dip_program *program);

#endif
