/* Help; see help.h. */
#include "tools/help.h"

static bool has_options(const dip_command *command)
{
    return command->options && command->options[0].name;
}

void dip_help_overview(const dip_command *const *commands, FILE *out)
{
    fputs(
        "usage: diptych COMMAND [OPTIONS] ARCHIVE ...\n\n"
        "Search a satellite archive across modalities: from a radar tile to optical tiles of the\n"
        "same kind of place, and back. The commands, in the order of work:\n\n",
        out);
    for (; *commands; commands++)
        fprintf(out, "  %-10s %s\n", (*commands)->name, (*commands)->summary);
    fputs("\n'diptych help COMMAND' tells a command's options; 'diptych --version' the version.\n",
          out);
}

void dip_help_command(const dip_command *command, const dip_option *common, FILE *out)
{
    fprintf(out, "usage: diptych %s%s%s\n\n%s\n", command->name,
            has_options(command) ? " [OPTIONS] " : " ", command->usage, command->summary);
    if (command->text) fprintf(out, "\n%s\n", command->text);
    if (has_options(command)) {
        bool titled = command->options[0].type == DIP_OPTION_HEADING;
        fputs(titled ? "\n" : "\nOptions:\n", out);
        dip_options_help(command->options, out);
    }
    fputs("\nCommon options:\n", out);
    dip_options_help(common, out);
}

static void markdown_command(const dip_command *command, FILE *out)
{
    fprintf(out, "\n## diptych %s\n\n%s\n\n```\ndiptych %s%s%s\n```\n", command->name,
            command->summary, command->name, has_options(command) ? " [OPTIONS] " : " ",
            command->usage);
    if (command->text) fprintf(out, "\n```\n%s\n```\n", command->text);
    if (has_options(command)) {
        fputc('\n', out);
        dip_options_markdown(command->options, out);
    }
    if (command->json) fputs("\nWith `--json` the result is JSON, one object a line.\n", out);
}

void dip_help_markdown(const dip_command *const *commands, const dip_option *common, FILE *out)
{
    fputs("# Command line\n\n"
          "Written by `diptych help --markdown`.\n\n"
          "Results go to standard output, all else to standard error. Exit status: 0 done, 1 "
          "failed, 2 wrong\n"
          "usage, 130 stopped by Ctrl-C (the first press finishes the batch, the second stops at "
          "once).\n\n"
          "## Common options\n\n",
          out);
    dip_options_markdown(common, out);
    for (; *commands; commands++) markdown_command(*commands, out);
}
