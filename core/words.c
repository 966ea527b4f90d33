/* Numbered strings; see words.h. The table is kept at most half full. */
#include "core/words.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

void dip_words_fini(dip_words *words)
{
    for (size_t i = 0; i < words->count; i++) dip_free(words->texts[i]);
    dip_free(words->texts);
    dip_free(words->slots);
    *words = (dip_words){0};
}

/* Slot that holds the string, or the empty one where it belongs. */
static uint32_t *slot_of(const dip_words *words, uint32_t *slots, size_t slot_count,
                         const char *text, size_t length)
{
    size_t at = (size_t)dip_hash64(text, length) & (slot_count - 1);
    for (; slots[at]; at = (at + 1) & (slot_count - 1)) {
        const char *known = words->texts[slots[at] - 1];
        if (!strncmp(known, text, length) && !known[length]) break;
    }
    return &slots[at];
}

static dip_status grow(dip_words *words)
{
    if ((words->count + 1) * 2 <= words->slot_count) return DIP_OK;
    size_t slot_count = words->slot_count ? words->slot_count * 2 : 64;
    uint32_t *slots = dip_calloc(slot_count, sizeof *slots);
    if (!slots) return DIP_ENOMEM;
    for (size_t i = 0; i < words->count; i++) {
        const char *text = words->texts[i];
        *slot_of(words, slots, slot_count, text, strlen(text)) = (uint32_t)i + 1;
    }
    dip_free(words->slots);
    words->slots = slots;
    words->slot_count = slot_count;
    return DIP_OK;
}

dip_status dip_words_add(dip_words *words, const char *text, size_t length, uint32_t *number)
{
    dip_status status = grow(words);
    if (status) return status;
    uint32_t *slot = slot_of(words, words->slots, words->slot_count, text, length);
    if (!*slot) {
        if (dip_array_reserve((void **)&words->texts, &words->capacity, words->count + 1,
                              sizeof *words->texts))
            return DIP_ENOMEM;
        char *copy = dip_strndup(text, length);
        if (!copy) return DIP_ENOMEM;
        words->texts[words->count++] = copy;
        *slot = (uint32_t)words->count;
    }
    *number = *slot - 1;
    return DIP_OK;
}
