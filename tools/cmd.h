/**
 * The frame of the command line: what a command is, and what it gets to work with.
 *
 * A command is one `const dip_command dip_cmd_<verb>` in tools/cmd_<verb>.c and one row in tools/main.c. Its
 * option table gives parsing, usage, --help and docs/cli.md. Results go to standard output, all else to standard
 * error. A command never prints its own failure: it returns the status, and main writes the one line
 * "diptych: <verb>: <dip_last_error()>".
 *
 * Exit: 0 done, 1 failed, 2 wrong usage (a word or an option is wrong: DIP_EINVAL), 130 stopped by Ctrl-C (what was
 * finished is kept).
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include "core/options.h"
#include "core/progress.h"
#include "core/status.h"

#include <stdbool.h>

enum { DIP_ARGS_ANY = 1 << 20 }; /* most_args of a command that takes any number */

struct dip_command;

/** What main hands to a command. */
typedef struct dip_tool {
    const struct dip_command *command;
    bool json;    /* --json; only if the command's `json` is set */
    bool quiet;   /* --quiet: no notes */
    bool verbose; /* --verbose: log lines of level INFO too */
    /** Draws, and cancels after Ctrl-C: give it to all long work. Never NULL. */
    const dip_progress *progress;
} dip_tool;

typedef struct dip_command {
    const char *name;
    const char *summary; /* one line, lower case, no full stop */
    const char *usage;   /* "ARCHIVE SOURCE..." */
    const char *text;    /* further lines of --help, wrapped by hand at 80 columns; may be NULL */
    const dip_option *options; /* filled into a struct of `size` bytes; may be NULL */
    size_t size;
    /** Instead of the table's defaults, before argv is parsed: presets. May be NULL. */
    void (*prepare)(void *options, int argc, char *const *argv);
    int least_args, most_args; /* words that are no options; DIP_ARGS_ANY */
    bool json;                 /* understands --json */
    /** argv[0..argc) are the words that are no options; argv[argc] is NULL. */
    dip_status (*run)(dip_tool *tool, const void *options, int argc, char **argv);
} dip_command;

/** A line to standard error, unless --quiet: "diptych: <verb>: ...". Clears a drawn progress bar first. */
void dip_tool_note(dip_tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** dip_tool_note() as a plain call: fits `refused` and `report` callbacks; payload is the dip_tool. */
void dip_tool_note_line(void *payload, const char *line);

/** True once Ctrl-C was pressed: finish the batch and return DIP_ECANCEL. */
bool dip_tool_cancelled(void);

extern const dip_command dip_cmd_init, dip_cmd_simulate, dip_cmd_import, dip_cmd_train,
    dip_cmd_report, dip_cmd_encode, dip_cmd_align, dip_cmd_index, dip_cmd_query, dip_cmd_serve,
    dip_cmd_explain, dip_cmd_eval, dip_cmd_bench, dip_cmd_info, dip_cmd_verify, dip_cmd_export,
    dip_cmd_remove;

/** Rows of an option table whose struct has doubles `recall` and `max_ms`, and AT(). */
#define DIP_EFFORT_OPTIONS                                                                      \
    {.name = "recall",                                                                          \
     .type = DIP_OPTION_REAL,                                                                   \
     .offset = AT(recall),                                                                      \
     .low = 0,                                                                                  \
     .high = 1,                                                                                 \
     .fallback = "0",                                                                           \
     .help = "share of the exact 10 nearest that the index is to find; 0: as tuned"},           \
    {                                                                                           \
        .name = "max-ms", .type = DIP_OPTION_REAL, .offset = AT(max_ms), .low = 0, .high = 1e6, \
        .fallback = "0", .choices = "MS",                                                       \
        .help = "milliseconds that the index may take; 0: no limit"                             \
    }

#endif
