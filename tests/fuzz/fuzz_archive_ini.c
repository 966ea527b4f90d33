/* Feeds arbitrary text to the reader of archive.ini; what it accepts can be written and comes back the same. */
#define _GNU_SOURCE
#include "core/mem.h"
#include "storage/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_and_read(const dip_config *config)
{
    char *text = NULL;
    size_t length;
    dip_config back;
    FILE *file = open_memstream(&text, &length);
    if (!file) return;
    dip_config_print(file, config);
    fclose(file);
    if (dip_config_parse(&back, text, "printed")) __builtin_trap();
    if (strcmp(back.title, config->title) != 0 || back.modality_count != config->modality_count)
        __builtin_trap();
    for (uint32_t i = 0; i < back.modality_count; i++)
        if (strcmp(back.modalities[i]->name, config->modalities[i]->name) != 0 ||
            back.modalities[i]->band_count != config->modalities[i]->band_count)
            __builtin_trap();
    dip_config_fini(&back);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_config config;
    char *text = dip_strndup((const char *)data, size);
    if (!text) return 0;
    if (dip_config_parse(&config, text, "input") == DIP_OK) {
        print_and_read(&config);
        dip_config_fini(&config);
    }
    dip_free(text);
    return 0;
}
