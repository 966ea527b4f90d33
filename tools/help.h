/** Help of the commands, from their tables. */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include "tools/cmd.h"

void dip_help_overview(const dip_command *const *commands, FILE *out);
/** `common`: the options that every command has. */
void dip_help_command(const dip_command *command, const dip_option *common, FILE *out);
/** docs/cli.md: all commands. */
void dip_help_markdown(const dip_command *const *commands, const dip_option *common, FILE *out);
/** The manual page diptych(1), for man: all commands. */
void dip_help_man(const dip_command *const *commands, const dip_option *common, FILE *out);

#endif
