/* Feeds arbitrary text to the small parsers of import: names of patches, dates, the options --bands and --units. */
#include "core/acquired.h"
#include "ingest/bigearthnet.h"
#include "ingest/modality.h"

#include "core/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = dip_strndup((const char *)data, size);
    dip_patch_name name;
    int64_t seconds = 0;
    if (!text) return 0;
    if (dip_patch_name_parse(&name, text) && name.radar != (strlen(name.grid_tile) == 5))
        __builtin_trap();
    (void)dip_acquired_parse(text, &seconds);
    (void)dip_acquired_parse_tiff(text, &seconds);
    (void)dip_acquired_parse_compact(text, &seconds);
    const dip_import_options options = {.bands = text, .units = text};
    (void)dip_modality_check_options(&options);
    dip_free(text);
    return 0;
}
