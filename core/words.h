/**
 * Different strings, numbered in order of first appearance: 0, 1, 2, ...
 * One thread at a time while strings are added, any number after.
 */
#ifndef CORE_WORDS_H
#define CORE_WORDS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/** Zero it to begin; dip_words_fini() frees what it holds. */
typedef struct dip_words {
    char **texts; /* (count), owned */
    size_t count, capacity;
    uint32_t *slots;   /* open addressing: number + 1, 0 = empty */
    size_t slot_count; /* a power of two */
} dip_words;

void dip_words_fini(dip_words *words);

/** Number of the string text[0..length); new ones get the next. */
dip_status dip_words_add(dip_words *words, const char *text, size_t length, uint32_t *number);

#endif
