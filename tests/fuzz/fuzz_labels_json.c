/* Feeds arbitrary bytes to the reader of a patch's labels, and what it accepts to the mapping of labels. */
#include "ingest/json.h"
#include "ingest/labels.h"

#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_patch_labels labels;
    char *text;
    if (dip_patch_labels_parse(&labels, (const char *)data, size)) return 0;
    if (!labels.labels || !labels.source || !labels.partner) __builtin_trap();
    if (!dip_labels_to19(&text, labels.labels)) dip_free(text);
    if (!dip_extra_list(&text, "labels43", labels.labels)) dip_free(text);
    dip_patch_labels_fini(&labels);
    return 0;
}
