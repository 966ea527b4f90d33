/* Feeds arbitrary bytes to the checks of data.mdb's pages, which come before LMDB sees the file. */
#define _GNU_SOURCE
#include "storage/pages.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t snapshot_at(const uint8_t *data, size_t size, size_t page)
{
    uint64_t snapshot = 0;
    if (page + 152 <= size) memcpy(&snapshot, data + page + 144, sizeof snapshot);
    return snapshot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    uint32_t page_size = 0;
    uint64_t faults = 0;
    int fd = memfd_create("pages", MFD_CLOEXEC);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        if (size >= 44) memcpy(&page_size, data + 40, sizeof page_size);
        (void)dip_pages_check_length(path);
        for (int i = 0; i < 2; i++) {
            uint64_t snapshot = snapshot_at(data, size, i ? page_size : 0);
            (void)dip_pages_check_small(path, snapshot);
            (void)dip_pages_check_all(path, snapshot, NULL, NULL, &faults);
        }
    }
    close(fd);
    return 0;
}
