/*
 * Label sets; see labels.h.
 *
 * A word has a number, a set is an ascending run of word numbers in one pool. A hash table of the texts seen so far
 * makes the usual case, a text that came before, one look-up.
 */
#include "train/labels.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct text_entry {
    char *text;
    uint64_t hash;
    uint32_t set;
} text_entry;

typedef struct set_entry {
    size_t first, count; /* in pool */
} set_entry;

struct dip_label_sets {
    char **words;
    size_t word_count, word_capacity;
    uint32_t *pool;
    size_t pool_count, pool_capacity;
    set_entry *sets;
    size_t set_count, set_capacity;
    text_entry *texts; /* open addressing; a power of two */
    size_t text_count, text_slots;
};

dip_status dip_label_sets_create(dip_label_sets **out)
{
    dip_label_sets *sets = dip_calloc(1, sizeof *sets);
    if (!sets) return DIP_ENOMEM;
    *out = sets;
    return DIP_OK;
}

void dip_label_sets_destroy(dip_label_sets *sets)
{
    if (!sets) return;
    for (size_t i = 0; i < sets->word_count; i++) dip_free(sets->words[i]);
    for (size_t i = 0; i < sets->text_slots; i++) dip_free(sets->texts[i].text);
    dip_free(sets->words);
    dip_free(sets->pool);
    dip_free(sets->sets);
    dip_free(sets->texts);
    dip_free(sets);
}

size_t dip_label_sets_count(const dip_label_sets *sets) { return sets->set_count; }

size_t dip_label_sets_size(const dip_label_sets *sets, uint32_t set)
{
    return sets->sets[set].count;
}

size_t dip_label_sets_shared(const dip_label_sets *sets, uint32_t a, uint32_t b)
{
    const uint32_t *x = sets->pool + sets->sets[a].first, *x_end = x + sets->sets[a].count;
    const uint32_t *y = sets->pool + sets->sets[b].first, *y_end = y + sets->sets[b].count;
    size_t shared = 0;
    while (x < x_end && y < y_end) {
        if (*x == *y) {
            shared++;
            x++;
            y++;
        } else if (*x < *y) {
            x++;
        } else {
            y++;
        }
    }
    return shared;
}

static text_entry *slot_of(text_entry *texts, size_t slots, const char *text, uint64_t hash)
{
    size_t at = (size_t)hash & (slots - 1);
    while (texts[at].text && (texts[at].hash != hash || strcmp(texts[at].text, text) != 0))
        at = (at + 1) & (slots - 1);
    return &texts[at];
}

static dip_status grow_texts(dip_label_sets *sets)
{
    if ((sets->text_count + 1) * 2 <= sets->text_slots) return DIP_OK;
    size_t slots = sets->text_slots ? sets->text_slots * 2 : 64;
    text_entry *texts = dip_calloc(slots, sizeof *texts);
    if (!texts) return DIP_ENOMEM;
    for (size_t i = 0; i < sets->text_slots; i++) {
        const text_entry *old = &sets->texts[i];
        if (old->text) *slot_of(texts, slots, old->text, old->hash) = *old;
    }
    dip_free(sets->texts);
    sets->texts = texts;
    sets->text_slots = slots;
    return DIP_OK;
}

static dip_status number_of_word(dip_label_sets *sets, const char *word, size_t length,
                                 uint32_t *number)
{
    for (size_t i = 0; i < sets->word_count; i++) {
        if (!strncmp(sets->words[i], word, length) && !sets->words[i][length]) {
            *number = (uint32_t)i;
            return DIP_OK;
        }
    }
    if (dip_array_reserve((void **)&sets->words, &sets->word_capacity, sets->word_count + 1,
                          sizeof *sets->words))
        return DIP_ENOMEM;
    char *copy = dip_strndup(word, length);
    if (!copy) return DIP_ENOMEM;
    *number = (uint32_t)sets->word_count;
    sets->words[sets->word_count++] = copy;
    return DIP_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Puts the text's words behind the pool's end, ascending, each once; *count of them. */
static dip_status split_words(dip_label_sets *sets, const char *text, size_t *count)
{
    size_t n = 0, kept = 0;
    for (const char *word = text; *word;) {
        size_t length = strcspn(word, "|");
        if (length) {
            if (dip_array_reserve((void **)&sets->pool, &sets->pool_capacity,
                                  sets->pool_count + n + 1, sizeof *sets->pool))
                return DIP_ENOMEM;
            dip_status status =
                number_of_word(sets, word, length, &sets->pool[sets->pool_count + n]);
            if (status) return status;
            n++;
        }
        word += length + (word[length] == '|');
    }
    uint32_t *run = sets->pool + sets->pool_count;
    if (n) qsort(run, n, sizeof *run, by_number);
    for (size_t i = 0; i < n; i++)
        if (!kept || run[kept - 1] != run[i]) run[kept++] = run[i];
    *count = kept;
    return DIP_OK;
}

static dip_status set_of_run(dip_label_sets *sets, size_t count, uint32_t *set)
{
    const uint32_t *run = sets->pool + sets->pool_count;
    for (size_t i = 0; i < sets->set_count; i++) {
        const set_entry *known = &sets->sets[i];
        if (known->count == count && !memcmp(sets->pool + known->first, run, count * sizeof *run)) {
            *set = (uint32_t)i;
            return DIP_OK;
        }
    }
    if (dip_array_reserve((void **)&sets->sets, &sets->set_capacity, sets->set_count + 1,
                          sizeof *sets->sets))
        return DIP_ENOMEM;
    *set = (uint32_t)sets->set_count;
    sets->sets[sets->set_count++] = (set_entry){sets->pool_count, count};
    sets->pool_count += count;
    return DIP_OK;
}

dip_status dip_label_sets_add(dip_label_sets *sets, const char *labels, uint32_t *set)
{
    uint64_t hash = dip_hash64(labels, strlen(labels));
    dip_status status = grow_texts(sets);
    if (status) return status;
    text_entry *slot = slot_of(sets->texts, sets->text_slots, labels, hash);
    if (slot->text) {
        *set = slot->set;
        return DIP_OK;
    }
    size_t count;
    uint32_t found = DIP_NO_SET;
    status = split_words(sets, labels, &count);
    if (!status && count) status = set_of_run(sets, count, &found);
    if (status) return status;
    char *text = dip_strdup(labels);
    if (!text) return DIP_ENOMEM;
    *slot = (text_entry){text, hash, found};
    sets->text_count++;
    *set = found;
    return DIP_OK;
}
