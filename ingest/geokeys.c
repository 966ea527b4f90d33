/*
 * GeoKeys of a TIFF file; see geokeys.h. [TIFF 6.0; OGC GeoTIFF 1.1, section 7.1]
 *
 * Of the first directory three tags are wanted: the key directory, its doubles and its texts. Their bytes are hashed as
 * they stand, together with the byte order, so nothing of them needs to be understood here. The file comes from
 * outside: every count is bounded, and what cannot be read ends the search.
 */
#define _GNU_SOURCE
#include "ingest/geokeys.h"

#include "core/hash.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TAG_KEYS = 34735, TAG_DOUBLES = 34736, TAG_TEXTS = 34737 };
enum { TYPE_ASCII = 2, TYPE_SHORT = 3, TYPE_DOUBLE = 12 };
enum { MOST_ENTRIES = 256, MOST_BYTES = 1 << 16, CHUNK = 1024, PATH_CAPACITY = 4096 };

typedef struct tiff {
    int file;
    bool big_endian, big; /* big: BigTIFF, with offsets of 8 bytes */
} tiff;

static uint64_t number(const tiff *t, const uint8_t *bytes, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | bytes[t->big_endian ? i : size - 1 - i];
    return value;
}

static bool read_at(const tiff *t, uint64_t offset, void *bytes, size_t size)
{
    return offset < INT64_MAX && pread(t->file, bytes, size, (off_t)offset) == (ssize_t)size;
}

/* Reads the header; *directory is where the first directory begins. */
static bool begin(tiff *t, uint64_t *directory)
{
    uint8_t head[16];
    if (!read_at(t, 0, head, 8) || head[0] != head[1] || (head[0] != 'I' && head[0] != 'M'))
        return false;
    t->big_endian = head[0] == 'M';
    const uint64_t version = number(t, head + 2, 2);
    t->big = version == 43;
    if (version != 42 && !t->big) return false;
    if (t->big && !read_at(t, 0, head, 16)) return false;
    *directory = t->big ? number(t, head + 8, 8) : number(t, head + 4, 4);
    return true;
}

/* The value of an entry, which stands in the entry itself if it is short. */
static bool hash_value(const tiff *t, const uint8_t *entry, size_t size, uint64_t *hash)
{
    const uint8_t *place = entry + (t->big ? 12 : 8);
    const int width = t->big ? 8 : 4;
    if (size <= (size_t)width) {
        *hash = dip_hash64_seed(place, size, *hash);
        return true;
    }
    uint8_t bytes[CHUNK];
    uint64_t from = number(t, place, width);
    for (size_t part; size; size -= part, from += part) {
        part = size < CHUNK ? size : CHUNK;
        if (!read_at(t, from, bytes, part)) return false;
        *hash = dip_hash64_seed(bytes, part, *hash);
    }
    return true;
}

static size_t value_size(unsigned tag, unsigned type)
{
    if (tag == TAG_KEYS && type == TYPE_SHORT) return 2;
    if (tag == TAG_DOUBLES && type == TYPE_DOUBLE) return 8;
    return tag == TAG_TEXTS && type == TYPE_ASCII ? 1 : 0;
}

/* Mixes in one entry if it is wanted. False if it is, but cannot be read. */
static bool mix_entry(const tiff *t, const uint8_t *entry, uint64_t *hash, bool *found)
{
    const unsigned tag = (unsigned)number(t, entry, 2);
    if (tag < TAG_KEYS || tag > TAG_TEXTS) return true;
    const size_t each = value_size(tag, (unsigned)number(t, entry + 2, 2));
    const uint64_t count = number(t, entry + 4, t->big ? 8 : 4);
    if (!each || !count || count > MOST_BYTES / each) return false;
    *found |= tag == TAG_KEYS;
    *hash ^= tag;
    return hash_value(t, entry, (size_t)count * each, hash);
}

static bool hash_directory(const tiff *t, uint64_t offset, uint64_t *hash)
{
    const int count_width = t->big ? 8 : 2;
    const size_t entry_size = t->big ? 20 : 12;
    uint8_t head[8], entries[MOST_ENTRIES * 20];
    if (!read_at(t, offset, head, (size_t)count_width)) return false;
    const uint64_t count = number(t, head, count_width);
    if (count == 0 || count > MOST_ENTRIES) return false;
    if (!read_at(t, offset + (uint64_t)count_width, entries, (size_t)count * entry_size))
        return false;
    bool fine = true, found = false;
    *hash = t->big_endian;
    for (size_t i = 0; fine && i < count; i++)
        fine = mix_entry(t, entries + i * entry_size, hash, &found);
    return fine && found;
}

static bool has_sidecar(const char *path)
{
    char sidecar[PATH_CAPACITY];
    const int length = snprintf(sidecar, sizeof sidecar, "%s.aux.xml", path);
    return length >= PATH_CAPACITY || access(sidecar, F_OK) == 0;
}

bool dip_geokeys_hash(uint64_t *hash, const char *path)
{
    tiff t = {.file = open(path, O_RDONLY | O_CLOEXEC)};
    uint64_t directory;
    if (t.file < 0) return false;
    const bool found =
        begin(&t, &directory) && hash_directory(&t, directory, hash) && !has_sidecar(path);
    close(t.file);
    return found;
}
