/*
 * Completion scripts; see completion.h.
 *
 * Each says the same in another language: the first word is a command; behind it stand the command's options, the
 * words of those that have a choice, and files. bash and fish come to files by themselves where nothing else fits.
 */
#include "tools/completion.h"

#include <string.h>

typedef struct script {
    FILE *out;
    const dip_command *const *commands;
    const dip_option *common;
} script;

/* Calls `row_line` with each option that a command has. */
static void each_row(const script *s, const dip_command *command,
                     void (*row_line)(const script *s, const dip_command *command,
                                      const dip_option *row))
{
    const dip_option *const tables[] = {command->options, s->common};
    for (size_t t = 0; t < 2; t++)
        for (const dip_option *row = tables[t]; row && row->name; row++)
            if (row->type != DIP_OPTION_HEADING && (strcmp(row->name, "json") || command->json))
                row_line(s, command, row);
}

static bool is_on(const dip_option *row)
{
    return row->type == DIP_OPTION_FLAG && row->fallback && !strcmp(row->fallback, "yes");
}

/* Text with a backslash, or as inside of '...' the four characters '\'', in front of what the shell would take for its own. */
static void put_quoted(FILE *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, strchr(special, *text) ? "\\%c" : "%c", *text);
    }
}

/* "a|b" as "a b". */
static void put_words(FILE *out, const char *choices)
{
    for (; *choices; choices++) fputc(*choices == '|' ? ' ' : *choices, out);
}

/* ---- bash ---- */

static void bash_name(const script *s, const dip_command *command, const dip_option *row)
{
    (void)command;
    if (row->letter) fprintf(s->out, " -%c", row->letter);
    fprintf(s->out, " --%s", row->name);
    if (is_on(row)) fprintf(s->out, " --no-%s", row->name);
}

static void bash_choice(const script *s, const dip_command *command, const dip_option *row)
{
    if (row->type != DIP_OPTION_CHOICE) return;
    fprintf(s->out, "        '%s --%s') words='", command->name, row->name);
    put_words(s->out, row->choices);
    fputs("' ;;\n", s->out);
}

static void write_bash(const script *s)
{
    fputs("# bash completion for diptych; written by 'diptych help --completion bash'\n"
          "_diptych() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command=${COMP_WORDS[1]} words=\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$command\" = help ] && [ \"$COMP_CWORD\" -eq "
          "2 ]; }; then\n"
          "        words='",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) fprintf(s->out, "%s ", (*c)->name);
    fputs("help --version'\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "        return\n"
          "    fi\n"
          "    case \"$command $before\" in\n",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) each_row(s, *c, bash_choice);
    fputs("        *)\n"
          "            [[ $word == -* ]] || return 0\n"
          "            case $command in\n",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) {
        fprintf(s->out, "                %s) words='", (*c)->name);
        each_row(s, *c, bash_name);
        fputs("' ;;\n", s->out);
    }
    fputs("            esac ;;\n"
          "    esac\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "}\n"
          "complete -o default -F _diptych diptych\n",
          s->out);
}

/* ---- zsh ---- */

static void zsh_argument(const script *s, const dip_option *row)
{
    const char *shown = row->choices && row->type != DIP_OPTION_CHOICE ? row->choices : row->name;
    fputc(':', s->out);
    put_quoted(s->out, shown, ":\\[]");
    fputc(':', s->out);
    if (row->type == DIP_OPTION_CHOICE) {
        fputc('(', s->out);
        put_words(s->out, row->choices);
        fputc(')', s->out);
    } else if (row->type == DIP_OPTION_TEXT) {
        fputs("_files", s->out);
    }
}

/* One form of an option: '(-k --count)-k[hits wanted]:N:' */
static void zsh_form(const script *s, const dip_option *row, const char *form)
{
    fputs(" \\\n                '", s->out);
    if (row->letter) fprintf(s->out, "(-%c --%s)", row->letter, row->name);
    fprintf(s->out, "%s[", form);
    put_quoted(s->out, row->help, ":\\[]");
    fputc(']', s->out);
    if (row->type != DIP_OPTION_FLAG) zsh_argument(s, row);
    fputc('\'', s->out);
}

static void zsh_row(const script *s, const dip_command *command, const dip_option *row)
{
    char form[80];
    (void)command;
    snprintf(form, sizeof form, "--%s", row->name);
    zsh_form(s, row, form);
    snprintf(form, sizeof form, "-%c", row->letter);
    if (row->letter) zsh_form(s, row, form);
    snprintf(form, sizeof form, "--no-%s", row->name);
    if (is_on(row)) zsh_form(s, row, form);
}

static void write_zsh(const script *s)
{
    fputs("#compdef diptych\n"
          "# zsh completion for diptych; written by 'diptych help --completion zsh'\n"
          "_diptych() {\n"
          "    local -a commands=(",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) {
        fprintf(s->out, "\n        '%s:", (*c)->name);
        put_quoted(s->out, (*c)->summary, "\\");
        fputc('\'', s->out);
    }
    fputs("\n        'help:tell what a command does'\n"
          "    )\n"
          "    local state line\n"
          "    _arguments -C '--version[the version]' '1:command:->command' "
          "'*::argument:->argument'\n"
          "    case $state in\n"
          "    command) _describe command commands ;;\n"
          "    argument)\n"
          "        case $words[1] in\n"
          "            help) _describe command commands ;;\n",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) {
        fprintf(s->out, "            %s) _arguments -S", (*c)->name);
        each_row(s, *c, zsh_row);
        fputs(" \\\n                '*: :_files' ;;\n", s->out);
    }
    fputs("        esac ;;\n"
          "    esac\n"
          "}\n"
          "if [ \"$funcstack[1]\" = _diptych ]; then _diptych \"$@\"; else compdef _diptych "
          "diptych; fi\n",
          s->out);
}

/* ---- fish ---- */

static void fish_form(const script *s, const dip_command *command, const dip_option *row,
                      const char *prefix)
{
    fprintf(s->out, "complete -c diptych -n '__fish_seen_subcommand_from %s' -l %s%s",
            command->name, prefix, row->name);
    if (row->letter && !*prefix) fprintf(s->out, " -s %c", row->letter);
    if (row->type == DIP_OPTION_CHOICE) {
        fputs(" -x -a '", s->out);
        put_words(s->out, row->choices);
        fputc('\'', s->out);
    } else if (row->type != DIP_OPTION_FLAG) {
        fputs(row->type == DIP_OPTION_TEXT ? " -r -F" : " -x", s->out);
    }
    fputs(" -d '", s->out);
    put_quoted(s->out, row->help, "\\");
    fputs("'\n", s->out);
}

static void fish_row(const script *s, const dip_command *command, const dip_option *row)
{
    fish_form(s, command, row, "");
    if (is_on(row)) fish_form(s, command, row, "no-");
}

static void write_fish(const script *s)
{
    fputs("# fish completion for diptych; written by 'diptych help --completion fish'\n"
          "complete -c diptych -n __fish_use_subcommand -l version -d 'the version'\n"
          "complete -c diptych -n __fish_use_subcommand -f -a help -d 'tell what a command does'\n"
          "complete -c diptych -n '__fish_seen_subcommand_from help' -f -a '",
          s->out);
    for (const dip_command *const *c = s->commands; *c; c++) fprintf(s->out, "%s ", (*c)->name);
    fputs("'\n", s->out);
    for (const dip_command *const *c = s->commands; *c; c++) {
        fprintf(s->out, "complete -c diptych -n __fish_use_subcommand -f -a %s -d '", (*c)->name);
        put_quoted(s->out, (*c)->summary, "\\");
        fputs("'\n", s->out);
        each_row(s, *c, fish_row);
    }
}

static const struct {
    const char *name;
    void (*write)(const script *s);
} shells[] = {[DIP_SHELL_BASH] = {"bash", write_bash},
              [DIP_SHELL_ZSH] = {"zsh", write_zsh},
              [DIP_SHELL_FISH] = {"fish", write_fish}};

const char *dip_shell_name(dip_shell shell) { return shells[shell].name; }

void dip_completion_write(dip_shell shell, const dip_command *const *commands,
                          const dip_option *common, FILE *out)
{
    const script s = {out, commands, common};
    shells[shell].write(&s);
}
