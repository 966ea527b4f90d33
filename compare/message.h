/**
 * A line of the protocol between the comparison and an engine's program (docs/bench.md): a word, then fields
 * name=value, separated by tabs; values hold no tab and no line break.
 */
#ifndef COMPARE_MESSAGE_H
#define COMPARE_MESSAGE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { DIP_MESSAGE_MOST_FIELDS = 64, DIP_MESSAGE_LONGEST = 1 << 16 };

typedef struct dip_message {
    char *line; /* owned, cut into its fields */
    const char *word;
    const char *names[DIP_MESSAGE_MOST_FIELDS], *values[DIP_MESSAGE_MOST_FIELDS];
    size_t count;
} dip_message;

/** Takes a copy of `line`, with or without its line break. Expected failure: DIP_EFORMAT (a field without '='). */
dip_status dip_message_parse(dip_message *out, const char *line);
void dip_message_fini(dip_message *message);

/** Value of a field; NULL if there is none. */
const char *dip_message_get(const dip_message *message, const char *name);
/** A finite number of at least 0. Expected failure: DIP_EFORMAT (no such field, or no such number). */
dip_status dip_message_number(const dip_message *message, const char *name, double *out);

#endif
