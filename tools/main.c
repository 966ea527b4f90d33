/*
 * diptych: the command line.
 *
 * Finds the command, parses its options and the common ones as one table over one block of memory (the common
 * struct first, the command's behind it), runs it, and turns its status into a line and an exit status.
 */
#include "tools/cmd.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "tools/completion.h"
#include "tools/help.h"
#include "tools/report.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 130, MOST_ROWS = 160 };

/* In the order of work. */
/* clang-format off */
static const dip_command *const commands[] = {
    &dip_cmd_init,
    &dip_cmd_simulate,
    &dip_cmd_import,
    &dip_cmd_train,
    &dip_cmd_report,
    &dip_cmd_encode,
    &dip_cmd_align,
    &dip_cmd_index,
    &dip_cmd_query,
    &dip_cmd_serve,
    &dip_cmd_explain,
    &dip_cmd_eval,
    &dip_cmd_bench,
    &dip_cmd_info,
    &dip_cmd_verify,
    &dip_cmd_export,
    &dip_cmd_remove,
    NULL,
};
/* clang-format on */

typedef struct common_options {
    int64_t threads;
    bool progress, no_progress, verbose, quiet, json, help;
} common_options;

#define COMMON(field) offsetof(common_options, field)
static const dip_option common_table[] = {
    {.name = "threads",
     .type = DIP_OPTION_INT,
     .offset = COMMON(threads),
     .high = 256,
     .fallback = "0",
     .help = "threads to work with; 0: one a processor"},
    {.name = "progress",
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(progress),
     .help = "progress as plain lines, also where there is no terminal"},
    {.name = "no-progress",
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(no_progress),
     .help = "no progress at all"},
    {.name = "verbose",
     .letter = 'v',
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(verbose),
     .help = "tell more on standard error"},
    {.name = "quiet",
     .letter = 'q',
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(quiet),
     .help = "failures only on standard error"},
    {.name = "help",
     .letter = 'h',
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(help),
     .help = "this help"},
    /* Last: left off for commands that have no JSON to give. */
    {.name = "json",
     .type = DIP_OPTION_FLAG,
     .offset = COMMON(json),
     .help = "results as JSON, one object a line"},
    {.name = NULL},
};

/* One line on standard error, whatever a file's name or a typed word has in it. */
static void say(const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) *at = '?';
    fprintf(stderr, "diptych: %s\n", line);
}

void dip_tool_note(dip_tool *tool, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (tool->quiet) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    dip_report_clear();
    say("%s: %s", tool->command->name, line);
}

void dip_tool_note_line(void *payload, const char *line) { dip_tool_note(payload, "%s", line); }

bool dip_tool_cancelled(void) { return dip_interrupt_pending(); }

/* Log lines of the library in the style of all else: "diptych: warning: storage: ...". */
static void log_line(void *payload, dip_log_level level, const char *module, const char *line)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    (void)payload;
    dip_report_clear();
    say("%s: %s: %s", words[level], module, line);
}

static const dip_command *find_command(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *words[sizeof commands / sizeof *commands];
    size_t n = 0;
    for (; commands[n]; n++) words[n] = commands[n]->name;
    const char *near = dip_nearest_word(name, words, n);
    if (near)
        say("unknown command '%s'; did you mean '%s'?", name, near);
    else
        say("unknown command '%s'; 'diptych help' lists them", name);
    return EXIT_USAGE;
}

/* The common rows that a command has. */
static size_t common_rows(const dip_command *command, dip_option *rows)
{
    size_t n = 0;
    for (const dip_option *row = common_table; row->name; row++)
        if (row->offset != COMMON(json) || command->json) rows[n++] = *row;
    rows[n] = (dip_option){.name = NULL};
    return n;
}

static size_t own_offset(void) { return (sizeof(common_options) + 15) / 16 * 16; }

static void join_tables(const dip_command *command, dip_option *rows)
{
    size_t n = common_rows(command, rows);
    for (const dip_option *row = command->options; row && row->name && n + 1 < MOST_ROWS; row++) {
        rows[n] = *row;
        rows[n++].offset += own_offset();
    }
    rows[n] = (dip_option){.name = NULL};
}

static int fail_usage(const dip_command *command, const char *line)
{
    say("%s: %s; usage: diptych %s %s", command->name, line, command->name, command->usage);
    return EXIT_USAGE;
}

static int finish(const dip_tool *tool, dip_status status)
{
    dip_report_clear();
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = dip_fail(DIP_EIO, "cannot write to standard output");
    if (!status) return EXIT_DONE;
    if (status == DIP_ECANCEL) {
        say("%s: stopped; what was finished is kept, and the same command goes on",
            tool->command->name);
        return EXIT_STOPPED;
    }
    say("%s: %s", tool->command->name, dip_last_error());
    return status == DIP_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static void set_up(const common_options *common, dip_tool *tool)
{
    dip_report_style style = common->no_progress || common->quiet ? DIP_REPORT_OFF
                             : common->progress                   ? DIP_REPORT_LINES
                             : isatty(STDERR_FILENO)              ? DIP_REPORT_BAR
                                                                  : DIP_REPORT_OFF;
    tool->json = common->json;
    tool->quiet = common->quiet;
    tool->verbose = common->verbose;
    tool->progress = dip_report_start(style);
    dip_log_set_sink(log_line, NULL);
    dip_log_set_level(common->quiet ? DIP_LOG_ERR : common->verbose ? DIP_LOG_INFO : DIP_LOG_WARN);
    if (common->threads) dip_threads_set((unsigned)common->threads);
    dip_interrupt_catch();
}

static int run_parsed(const dip_command *command, void *values, int rest, char **argv)
{
    const common_options *common = values;
    dip_tool tool = {.command = command};
    if (common->help) {
        dip_option rows[MOST_ROWS];
        common_rows(command, rows);
        dip_help_command(command, rows, stdout);
        return finish(&tool, DIP_OK);
    }
    if (rest < command->least_args) return fail_usage(command, "too few arguments");
    if (rest > command->most_args) return fail_usage(command, "too many arguments");
    set_up(common, &tool);
    argv[1 + rest] = NULL;
    return finish(&tool, command->run(&tool, (char *)values + own_offset(), rest, argv + 1));
}

/* argv[0] is the command's name. */
static int run_command(const dip_command *command, int argc, char **argv)
{
    dip_option rows[MOST_ROWS];
    int rest = 0;
    join_tables(command, rows);
    void *values = dip_calloc(1, own_offset() + command->size);
    if (!values) {
        fprintf(stderr, "diptych: %s\n", dip_last_error());
        return EXIT_FAILED;
    }
    dip_options_defaults(rows, values);
    if (command->prepare) command->prepare((char *)values + own_offset(), argc, argv);
    int code = EXIT_USAGE;
    if (dip_options_parse(rows, values, argc, argv, &rest))
        fprintf(stderr, "diptych: %s: %s\n", command->name, dip_last_error());
    else
        code = run_parsed(command, values, rest, argv);
    dip_free(values);
    return code;
}

static int run_completion(const char *name)
{
    for (int i = 0; i < DIP_SHELL_COUNT; i++) {
        if (strcmp(name, dip_shell_name((dip_shell)i)) != 0) continue;
        dip_completion_write((dip_shell)i, commands, common_table, stdout);
        return EXIT_DONE;
    }
    say("there is no completion for '%s'; there is one for bash, zsh and fish", name);
    return EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
    dip_option rows[MOST_ROWS];
    if (argc < 2) {
        dip_help_overview(commands, stdout);
        return EXIT_DONE;
    }
    if (!strcmp(argv[1], "--markdown")) {
        dip_help_markdown(commands, common_table, stdout);
        return EXIT_DONE;
    }
    if (!strcmp(argv[1], "--man")) {
        dip_help_man(commands, common_table, stdout);
        return EXIT_DONE;
    }
    if (!strcmp(argv[1], "--completion")) return run_completion(argc > 2 ? argv[2] : "");
    const dip_command *command = find_command(argv[1]);
    if (!command) return unknown_command(argv[1]);
    common_rows(command, rows);
    dip_help_command(command, rows, stdout);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* a file beyond ulimit -f: the write fails, and says so */
    if (argc < 2) {
        dip_help_overview(commands, stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
        return run_help(argc - 1, argv + 1);
    if (!strcmp(word, "--version")) {
        printf("diptych %s\n", DIPTYCH_VERSION);
        return EXIT_DONE;
    }
    const dip_command *command = find_command(word);
    return command ? run_command(command, argc - 1, argv + 1) : unknown_command(word);
}
