/* Words that name stored tiles; see stored.h. */
#include "front/stored.h"

#include "core/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_id(const char *word, uint64_t *id)
{
    char *end;
    if (word[0] != '#' || word[1] < '0' || word[1] > '9') return false;
    *id = strtoull(word + 1, &end, 10);
    return !*end;
}

/* "s1/NAME" with s1 a modality: its position, and *name behind the slash. */
static int split_modality(const dip_archive *archive, const char *word, const char **name)
{
    char prefix[DIP_WORD_CAPACITY];
    const char *slash = strchr(word, '/');
    *name = word;
    if (!slash || (size_t)(slash - word) >= sizeof prefix) return -1;
    memcpy(prefix, word, (size_t)(slash - word));
    prefix[slash - word] = '\0';
    int position = dip_archive_find_modality(archive, prefix);
    if (position >= 0) *name = slash + 1;
    return position;
}

static dip_status several(const dip_archive *archive, const char *word, int first, int second)
{
    const char *a = dip_archive_modality(archive, (size_t)first)->name;
    const char *b = dip_archive_modality(archive, (size_t)second)->name;
    return dip_fail(DIP_EINVAL, "tile '%s' is there in %s and in %s; say %s/%s or %s/%s", word, a,
                    b, a, word, b, word);
}

/* Looks in one modality, or in all (-1). *found tells whether there is one. */
static dip_status find_stored(const dip_archive *archive, const char *word, const char *name,
                              int modality, uint64_t *id, bool *found)
{
    int where = -1;
    for (size_t i = 0; i < dip_archive_modality_count(archive); i++) {
        uint64_t candidate;
        if (modality >= 0 && (int)i != modality) continue;
        dip_status status = dip_archive_find_tile(archive, (uint32_t)i, name, &candidate);
        if (status == DIP_ENOENT) continue;
        if (status) return status;
        if (where >= 0) return several(archive, word, where, (int)i);
        where = (int)i;
        *id = candidate;
    }
    *found = where >= 0;
    return DIP_OK;
}

dip_status dip_stored_find(const dip_archive *archive, const char *word, const char *from,
                           uint64_t *id, bool *found)
{
    const char *name;
    *found = parse_id(word, id);
    if (*found) return DIP_OK;
    int modality = split_modality(archive, word, &name);
    if (modality < 0 && from) modality = dip_archive_find_modality(archive, from);
    return find_stored(archive, word, name, modality, id, found);
}
