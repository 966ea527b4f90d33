/* Help; see help.h. */
#include "tools/help.h"

#include <string.h>

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
    fputs("\n'diptych help COMMAND' tells a command's options; 'diptych --version' the version;\n"
          "'diptych help --man' writes the manual page, 'diptych help --completion bash|zsh|fish' "
          "what\n"
          "makes a shell complete the words.\n",
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
          "`diptych help --man` writes the manual page, `diptych help --completion "
          "bash|zsh|fish` what makes\n"
          "a shell complete commands, options and their words; `make install` installs them.\n\n"
          "## Common options\n\n",
          out);
    dip_options_markdown(common, out);
    for (; *commands; commands++) markdown_command(*commands, out);
}

/* ---- the manual page, in the macros of man(7) ---- */

/* Text that roff takes as it is: hyphens are minus signs, to be copied and searched for. */
static void put_roff(FILE *out, const char *text)
{
    for (bool line_start = true; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else
            fprintf(out, *text == '-' ? "\\-" : "%c", *text);
        line_start = *text == '\n';
    }
}

static void man_option(const dip_option *row, FILE *out)
{
    char usage[128];
    const char *fallback = dip_options_fallback(row);
    dip_options_usage(row, usage, sizeof usage);
    fputs(".TP\n.B ", out);
    put_roff(out, usage);
    fputc('\n', out);
    put_roff(out, row->help);
    fputs(fallback ? " [default: " : "", out);
    put_roff(out, fallback ? fallback : "");
    fputs(fallback ? "]\n" : "\n", out);
}

static void man_options(const dip_option *row, FILE *out)
{
    for (; row && row->name; row++) {
        if (row->type == DIP_OPTION_HEADING) {
            fputs(".PP\n.I ", out);
            put_roff(out, row->name);
            fputs(":\n", out);
        } else {
            man_option(row, out);
        }
    }
}

static void man_command(const dip_command *command, FILE *out)
{
    fputs(".SS diptych ", out);
    put_roff(out, command->name);
    fputs(has_options(command) ? " [OPTIONS] " : " ", out);
    put_roff(out, command->usage);
    fputc('\n', out);
    put_roff(out, command->summary);
    fputs(command->text ? "\n.PP\n.nf\n" : "\n", out);
    put_roff(out, command->text ? command->text : "");
    fputs(command->text ? "\n.fi\n" : "", out);
    man_options(command->options, out);
    if (command->json)
        fputs(".PP\nWith\n.B \\-\\-json\nthe result is JSON, one object a line.\n", out);
}

void dip_help_man(const dip_command *const *commands, const dip_option *common, FILE *out)
{
    fputs(
        ".TH DIPTYCH 1 \"\" \"Diptych " DIPTYCH_VERSION "\" \"User Commands\"\n"
        ".SH NAME\ndiptych \\- search a satellite archive across modalities\n"
        ".SH SYNOPSIS\n.B diptych\n.I COMMAND\n[OPTIONS]\n.I ARCHIVE ...\n"
        ".SH DESCRIPTION\n"
        "From a radar tile to optical tiles of the same kind of place, and back. The commands, in "
        "the order of work:\n",
        out);
    for (const dip_command *const *c = commands; *c; c++) {
        fprintf(out, ".TP\n.B %s\n", (*c)->name);
        put_roff(out, (*c)->summary);
        fputc('\n', out);
    }
    fputs(".PP\nResults go to standard output, all else to standard error.\n.SH COMMANDS\n", out);
    for (const dip_command *const *c = commands; *c; c++) man_command(*c, out);
    fputs(".SH COMMON OPTIONS\n", out);
    man_options(common, out);
    fputs(".SH EXIT STATUS\n"
          ".TP\n.B 0\ndone\n.TP\n.B 1\nfailed\n.TP\n.B 2\nwrong usage: a word or an option\n"
          ".TP\n.B 130\nstopped by Ctrl\\-C, whose first press finishes the batch and whose second "
          "stops at once; what "
          "was finished is kept, and the same command goes on\n"
          ".SH EXAMPLES\n.nf\n"
          "diptych import my.archive tiles \\-\\-bands \"s1=VV,VH;s2=B02,B03,B04,B08\"\n"
          "diptych train my.archive\n"
          "diptych encode my.archive\n"
          "diptych index my.archive\n"
          "diptych query my.archive s1/field_017 \\-\\-to s2 \\-k 10 \\-\\-html sheet.html\n"
          ".fi\n",
          out);
}
