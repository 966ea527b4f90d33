/** Running the program as a user does: its output, its exit status, its processor time. */
#ifndef BENCH_QUALITY_SPAWN_H
#define BENCH_QUALITY_SPAWN_H

#include "core/status.h"

#include <stddef.h>

enum { DIP_COMMAND_MOST_WORDS = 256 };

/** The words of one command line; zero it to begin. */
typedef struct dip_command_line {
    char *words[DIP_COMMAND_MOST_WORDS + 1]; /* owned; NULL ends them */
    size_t count;
} dip_command_line;

dip_status dip_command_add(dip_command_line *command, const char *word);
/** Adds each of the words that blanks separate. */
dip_status dip_command_split(dip_command_line *command, const char *words);
void dip_command_fini(dip_command_line *command);

typedef struct dip_ran {
    char *output; /* standard output; free with dip_free() */
    double wall_s, cpu_s;
} dip_ran;

/**
 * Runs words[0] and waits. Standard error goes to the file `errors`, which is written anew. The child dies with its
 * parent. Expected failures: DIP_ECANCEL (stopped by Ctrl-C), DIP_EIO (any other failure, with its last line).
 */
dip_status dip_command_run(const dip_command_line *command, const char *errors, dip_ran *out);

#endif
