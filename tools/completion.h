/** What a shell completes, from the option tables of the commands. */
#ifndef TOOLS_COMPLETION_H
#define TOOLS_COMPLETION_H

#include "tools/cmd.h"

typedef enum dip_shell { DIP_SHELL_BASH, DIP_SHELL_ZSH, DIP_SHELL_FISH, DIP_SHELL_COUNT } dip_shell;

/** "bash" of DIP_SHELL_BASH. */
const char *dip_shell_name(dip_shell shell);

/** Writes the completion script of one shell. `common`: the options that every command has. */
void dip_completion_write(dip_shell shell, const dip_command *const *commands,
                          const dip_option *common, FILE *out);

#endif
