/* The index folder of an archive; see live.h. */
#define _GNU_SOURCE
#include "index/live.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MANIFEST_LIMIT = 1 << 26, CURRENT_LIMIT = 256, HASH_DIGITS = 16 };

/* --- Names --- */

bool dip_name_ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && strcmp(name + length - end, suffix) == 0;
}

/* Generations are numbered: digits and nothing else. */
bool dip_generation_is_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < 20 && strspn(name, "0123456789") == length;
}

unsigned long long dip_generation_number(const char *name) { return strtoull(name, NULL, 10); }

static int by_number(const void *a, const void *b)
{
    unsigned long long x = dip_generation_number(*(char *const *)a),
                       y = dip_generation_number(*(char *const *)b);
    return (x > y) - (x < y);
}

char *dip_index_root(const char *archive_path) { return dip_path_join(archive_path, "index"); }

/* Names of generations in `root`; no folder, no names. */
dip_status dip_live_list(char ***names, size_t *count, const char *root)
{
    char **all = NULL;
    size_t n = 0, kept = 0;
    if (!dip_file_is_folder(root)) {
        *names = NULL;
        *count = 0;
        return DIP_OK;
    }
    dip_status status = dip_folder_list(&all, &n, root);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        if (dip_generation_is_name(all[i]))
            all[kept++] = all[i];
        else
            dip_free(all[i]);
    }
    if (kept) qsort(all, kept, sizeof *all, by_number);
    *names = all;
    *count = kept;
    return DIP_OK;
}

/* --- CURRENT --- */

static dip_status damaged_current(const char *path)
{
    return dip_fail(DIP_ECORRUPT,
                    "'%s' is damaged; run diptych index again, or write the name of a generation "
                    "beside it into it",
                    path);
}

/* "name hash\n", or a name alone, with or without the end of the line. */
static dip_status parse_current(char **name, const char *text, size_t length, const char *path)
{
    char hash[HASH_DIGITS + 1];
    size_t digits = strspn(text, "0123456789");
    char *copy = dip_strndup(text, digits);
    if (!copy) return DIP_ENOMEM;
    const char *rest = text + digits;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)dip_hash64(copy, digits));
    bool bare = *rest == '\0' || strcmp(rest, "\n") == 0;
    bool hashed = strlen(rest) == HASH_DIGITS + 2 && rest[0] == ' ' &&
                  strncmp(rest + 1, hash, HASH_DIGITS) == 0 && rest[HASH_DIGITS + 1] == '\n';
    if (!dip_generation_is_name(copy) || strlen(text) != length || (!bare && !hashed)) {
        dip_free(copy);
        return damaged_current(path);
    }
    *name = copy;
    return DIP_OK;
}

dip_status dip_live_read(char **name, const char *root)
{
    char *text = NULL;
    size_t length = 0;
    char *path = dip_path_join(root, "CURRENT");
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_file_read(&text, &length, path, CURRENT_LIMIT);
    if (status == DIP_EFORMAT) status = damaged_current(path);
    if (!status) status = parse_current(name, text, length, path);
    dip_free(text);
    dip_free(path);
    return status;
}

dip_status dip_live_write(const char *root, const char *name)
{
    char *path = dip_path_join(root, "CURRENT");
    unsigned long long hash = dip_hash64(name, strlen(name));
    char *line = dip_sprintf("%s %016llx\n", name, hash);
    dip_status status = path && line ? dip_file_write(path, line, strlen(line)) : DIP_ENOMEM;
    dip_free(path);
    dip_free(line);
    return status;
}

dip_status dip_live_missing(const char *archive_path, const char *name)
{
    return dip_fail(
        DIP_ECORRUPT,
        "index/CURRENT of '%s' names generation '%s', which is not there; run diptych index again",
        archive_path, name);
}

/* --- The lock --- */

dip_status dip_live_lock(int *lock, const char *root)
{
    char *path = dip_path_join(root, "lock");
    if (!path) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = dip_fail_errno("open", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        status =
            errno == EWOULDBLOCK
                ? dip_fail(DIP_EBUSY,
                           "'%s' is held: another process builds or prunes the index; wait for it",
                           path)
                : dip_fail_errno("lock", path);
        close(fd);
    } else {
        *lock = fd;
    }
    dip_free(path);
    return status;
}

/* --- Files of a generation --- */

dip_status dip_live_hash(dip_manifest_file *file, const char *folder)
{
    dip_map map;
    char *path = dip_path_join(folder, file->name);
    dip_status status = path ? dip_file_map(&map, path) : DIP_ENOMEM;
    if (status == DIP_ENOENT)
        status = dip_fail(DIP_ECORRUPT, "'%s' is missing; run diptych index again", path);
    dip_free(path);
    if (status) return status;
    file->bytes = map.length;
    file->hash = dip_hash64(map.bytes, map.length);
    dip_file_unmap(&map);
    return DIP_OK;
}

dip_status dip_live_manifest(dip_manifest *out, const char *folder)
{
    char *text = NULL;
    size_t length = 0;
    char *path = dip_path_join(folder, DIP_MANIFEST_NAME);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_file_read(&text, &length, path, MANIFEST_LIMIT);
    if (status == DIP_ENOENT)
        status = dip_fail(DIP_ECORRUPT, "'%s' is missing; run diptych index again", path);
    if (status == DIP_EFORMAT)
        status = dip_fail(DIP_ECORRUPT, "'%s' is damaged: it is too long; run diptych index again",
                          path);
    if (!status) status = dip_manifest_parse(out, text, length, path);
    if (!status && strcmp(out->generation, dip_path_base(folder))) {
        status = dip_fail(DIP_ECORRUPT,
                          "'%s' is the manifest of generation '%s'; run diptych index again", path,
                          out->generation);
        dip_manifest_fini(out);
    }
    dip_free(text);
    dip_free(path);
    return status;
}
