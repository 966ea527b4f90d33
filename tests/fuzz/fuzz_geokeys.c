/* Takes arbitrary bytes for a TIFF file and looks for its GeoKeys, twice: the same bytes must give the same answer. */
#define _GNU_SOURCE
#include "ingest/geokeys.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    uint64_t first = 0, second = 0;
    const int file = memfd_create("geokeys", MFD_CLOEXEC);
    if (file < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (write(file, data, size) == (ssize_t)size) {
        const bool found = dip_geokeys_hash(&first, path);
        if (dip_geokeys_hash(&second, path) != found || (found && first != second))
            __builtin_trap();
    }
    close(file);
    return 0;
}
