/* Lines of the protocol; see message.h. */
#define _GNU_SOURCE
#include "compare/message.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dip_status add_field(dip_message *m, char *field)
{
    char *equals = strchr(field, '=');
    if (!equals || equals == field)
        return dip_fail(DIP_EFORMAT, "the field '%.80s' of '%.40s' is not of the form name=value",
                        field, m->word);
    if (m->count == DIP_MESSAGE_MOST_FIELDS)
        return dip_fail(DIP_EFORMAT, "a line '%.40s' of more than %d fields", m->word,
                        DIP_MESSAGE_MOST_FIELDS);
    *equals = '\0';
    m->names[m->count] = field;
    m->values[m->count++] = equals + 1;
    return DIP_OK;
}

dip_status dip_message_parse(dip_message *out, const char *line)
{
    dip_message m = {.line = dip_strndup(line, strcspn(line, "\r\n"))};
    if (!m.line) return DIP_ENOMEM;
    char *at = m.line, *field = strsep(&at, "\t");
    dip_status status = DIP_OK;
    m.word = field;
    while (!status && (field = strsep(&at, "\t")))
        if (*field) status = add_field(&m, field);
    if (status)
        dip_message_fini(&m);
    else
        *out = m;
    return status;
}

void dip_message_fini(dip_message *message)
{
    dip_free(message->line);
    *message = (dip_message){.count = 0};
}

const char *dip_message_get(const dip_message *message, const char *name)
{
    for (size_t i = 0; i < message->count; i++)
        if (!strcmp(message->names[i], name)) return message->values[i];
    return NULL;
}

dip_status dip_message_number(const dip_message *message, const char *name, double *out)
{
    const char *text = dip_message_get(message, name);
    char *end = NULL;
    double value = text ? strtod(text, &end) : NAN;
    if (!text) return dip_fail(DIP_EFORMAT, "'%.40s' without %s=", message->word, name);
    if (end == text || *end || !isfinite(value) || value < 0)
        return dip_fail(DIP_EFORMAT, "%s=%.40s of '%.40s' is no number from 0", name, text,
                        message->word);
    *out = value;
    return DIP_OK;
}
