/*
 * Label sets; see labels.h.
 *
 * A word has a number, a set is an ascending run of word numbers in one pool. Texts are numbered too, and each
 * remembers its set, so the usual case, a text that came before, is one look-up.
 */
#include "train/labels.h"

#include "core/mem.h"
#include "core/words.h"

#include <stdlib.h>
#include <string.h>

typedef struct set_entry {
    size_t first, count; /* in pool */
} set_entry;

struct dip_label_sets {
    dip_words words, texts;
    uint32_t *set_of_text;
    size_t text_capacity;
    uint32_t *pool;
    size_t pool_count, pool_capacity;
    set_entry *sets;
    size_t set_count, set_capacity;
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
    dip_words_fini(&sets->words);
    dip_words_fini(&sets->texts);
    dip_free(sets->set_of_text);
    dip_free(sets->pool);
    dip_free(sets->sets);
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
                dip_words_add(&sets->words, word, length, &sets->pool[sets->pool_count + n]);
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
    size_t known = sets->texts.count, count;
    uint32_t text, found = DIP_NO_SET;
    if (dip_array_reserve((void **)&sets->set_of_text, &sets->text_capacity, known + 1,
                          sizeof *sets->set_of_text))
        return DIP_ENOMEM;
    dip_status status = dip_words_add(&sets->texts, labels, strlen(labels), &text);
    if (status) return status;
    if (text == known) {
        sets->set_of_text[text] = DIP_NO_SET;
        status = split_words(sets, labels, &count);
        if (!status && count) status = set_of_run(sets, count, &found);
        if (status) return status;
        sets->set_of_text[text] = found;
    }
    *set = sets->set_of_text[text];
    return DIP_OK;
}
