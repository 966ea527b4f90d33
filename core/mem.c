/* Heap, aligned heap and page regions; see mem.h. */
#define _GNU_SOURCE
#include "core/mem.h"

#include "core/status.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_size_t fail_after;

void dip_mem_fail_after(size_t n) { atomic_store(&fail_after, n); }

static int must_fail(void)
{
    size_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
    while (n && !atomic_compare_exchange_weak(&fail_after, &n, n - 1)) continue;
    return n == 1;
}

static void *checked(void *block, size_t bytes)
{
    if (!block)
        dip_fail(DIP_ENOMEM, "out of memory: %zu bytes wanted; free some or lower --memory", bytes);
    return block;
}

void *dip_alloc(size_t bytes)
{
    return checked(must_fail() ? NULL : malloc(bytes ? bytes : 1), bytes);
}

void *dip_calloc(size_t count, size_t bytes)
{
    return checked(must_fail() ? NULL : calloc(count ? count : 1, bytes ? bytes : 1),
                   count * bytes);
}

void *dip_realloc(void *block, size_t bytes)
{
    return checked(must_fail() ? NULL : realloc(block, bytes ? bytes : 1), bytes);
}

char *dip_strndup(const char *text, size_t length)
{
    char *copy = dip_alloc(length + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *dip_strdup(const char *text) { return dip_strndup(text, strlen(text)); }

char *dip_sprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) return checked(NULL, 0);
    char *text = dip_alloc((size_t)length + 1);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void *dip_alloc_aligned(size_t bytes)
{
    size_t rounded = bytes ? (bytes + 63) & ~(size_t)63 : 64; /* 0: wrapped around */
    return checked(must_fail() || !rounded ? NULL : aligned_alloc(64, rounded), bytes);
}

void dip_free_aligned(void *block) { free(block); }

void dip_free(void *block) { free(block); }

void *dip_region_map(size_t bytes)
{
    if (must_fail()) return checked(NULL, bytes);
    void *region = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return checked(NULL, bytes);
    madvise(region, bytes, MADV_HUGEPAGE);
    return region;
}

void dip_region_unmap(void *region, size_t bytes)
{
    if (region) munmap(region, bytes ? bytes : 1);
}

int dip_array_reserve(void **array, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity) return 0;
    size_t most = SIZE_MAX / size, grown = *capacity ? *capacity : 8;
    do grown = grown > most / 2 ? most : grown * 2;
    while (grown < need && grown < most);
    void *block = grown < need ? checked(NULL, SIZE_MAX) : dip_realloc(*array, grown * size);
    if (!block) return -1;
    *array = block;
    *capacity = grown;
    return 0;
}
