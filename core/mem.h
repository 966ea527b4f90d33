/**
 * All heap memory of Diptych comes from here, so that a test can make the n-th allocation fail.
 *
 * Every function returns NULL on failure and writes the failure line ("out of memory: N bytes"), so a
 * caller returns DIP_ENOMEM and says no more. Free with dip_free(), aligned blocks too. Thread-safe.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

void *dip_alloc(size_t bytes);
void *dip_calloc(size_t count, size_t bytes);
/** Grows or shrinks; on failure the old block stays valid. */
void *dip_realloc(void *block, size_t bytes);
char *dip_strdup(const char *text);
char *dip_strndup(const char *text, size_t length);
/** Formats into a new string. */
char *dip_sprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** 64-byte aligned, not cleared. Free with dip_free_aligned(). */
void *dip_alloc_aligned(size_t bytes);
void dip_free_aligned(void *block);
void dip_free(void *block);

/** Test hook: the n-th allocation from now (1 = the next) fails; 0 switches it off. */
void dip_mem_fail_after(size_t n);

/**
 * One large zeroed region for arenas: page-mapped, huge pages asked for, committed on first touch.
 * dip_region_unmap() takes the same size; NULL is fine.
 */
void *dip_region_map(size_t bytes);
void dip_region_unmap(void *region, size_t bytes);

/** Makes room for at least `need` elements of `size` bytes; doubles. Returns 0, or -1 (line written). */
int dip_array_reserve(void **array, size_t *capacity, size_t need, size_t size);

#endif
