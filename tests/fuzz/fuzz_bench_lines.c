/* The lines that a comparison of engines reads: a program's answer, and what a user writes of an engine. */
#include "compare/message.h"
#include "compare/spec.h"
#include "core/mem.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    dip_message message;
    dip_spec spec;
    double number;
    char text[64];
    if (length > 4096) return 0;
    char *line = dip_strndup((const char *)bytes, length);
    if (!line) abort();
    if (!dip_message_parse(&message, line)) {
        for (size_t i = 0; i < message.count; i++)
            if (!dip_message_number(&message, message.names[i], &number) && !(number >= 0)) abort();
        dip_message_fini(&message);
    }
    if (!dip_spec_parse(&spec, line)) {
        if (!spec.command[0]) abort();
        dip_grid_text(&spec.search, dip_grid_size(&spec.search) - 1, ' ', text, sizeof text);
        dip_spec_fini(&spec);
    }
    dip_free(line);
    return 0;
}
