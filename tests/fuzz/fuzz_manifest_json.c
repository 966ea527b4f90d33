/* Feeds arbitrary text to the reader of index manifests; what it accepts must survive being written and read again. */
#include "index/manifest.h"

#include "core/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const dip_manifest *manifest)
{
    char *text = NULL, *again = NULL;
    size_t length = 0, length_again = 0;
    dip_manifest read;
    if (dip_manifest_format(&text, &length, manifest)) __builtin_trap();
    if (dip_manifest_parse(&read, text, length, "written")) __builtin_trap();
    if (dip_manifest_format(&again, &length_again, &read)) __builtin_trap();
    if (length != length_again || memcmp(text, again, length)) __builtin_trap();
    dip_manifest_fini(&read);
    dip_free(text);
    dip_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_manifest manifest;
    if (!dip_manifest_parse(&manifest, (const char *)data, size, "input"))
        dip_manifest_fini(&manifest);
    if (dip_manifest_parse_unchecked(&manifest, (const char *)data, size, "input")) return 0;
    check_round_trip(&manifest);
    dip_manifest_fini(&manifest);
    return 0;
}
