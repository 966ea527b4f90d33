/* Feeds arbitrary bytes to the reader of safetensors and reads every tensor that it accepts. */
#include "encoder/safetensors.h"

#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_safetensors *file = NULL;
    if (dip_safetensors_parse(&file, data, size, "input")) return 0;
    for (size_t i = 0; i < dip_safetensors_count(file); i++) {
        const dip_safetensors_entry *entry = dip_safetensors_at(file, i);
        if (dip_safetensors_find(file, entry->name) != entry) __builtin_trap();
        if (entry->count > size) continue;
        float *values = dip_alloc(entry->count * sizeof *values);
        if (values) (void)dip_safetensors_floats(entry, values);
        dip_free(values);
    }
    (void)dip_safetensors_metadata(file, "format");
    dip_safetensors_close(file);
    return 0;
}
