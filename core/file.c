/* Files; see file.h. */
#define _GNU_SOURCE
#include "core/file.h"

#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

dip_status dip_file_size(uint64_t *bytes, const char *path)
{
    struct stat info;
    if (stat(path, &info)) return dip_fail_errno("open", path);
    *bytes = (uint64_t)info.st_size;
    return DIP_OK;
}

bool dip_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool dip_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static dip_status too_large(const char *path, size_t size, size_t limit)
{
    return dip_fail(DIP_EFORMAT, "'%s' has %zu bytes or more, such a file may have %zu", path, size,
                    limit);
}

enum { NOT_A_FILE = -2 };

/* A descriptor; -1 with errno, or NOT_A_FILE with a line. */
static int open_to_read(const char *path, struct stat *info)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, info) == 0 && !S_ISDIR(info->st_mode)) return fd;
    dip_fail(DIP_EINVAL, "'%s' is a folder, a file was expected", path);
    close(fd);
    return NOT_A_FILE;
}

/* Reads to the end: a pipe does not know its size beforehand. `capacity` is a first guess. */
static dip_status read_to_end(int fd, const char *path, size_t capacity, size_t limit, char **bytes,
                              size_t *length)
{
    size_t done = 0;
    char *block = dip_alloc(capacity);
    while (block) {
        if (done + 1 >= capacity) {
            char *larger = dip_realloc(block, capacity * 2);
            if (!larger) break;
            block = larger;
            capacity *= 2;
        }
        ssize_t got = read(fd, block + done, capacity - done - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            dip_free(block);
            return dip_fail_errno("read", path);
        }
        done += (size_t)got;
        if (done > limit) {
            dip_free(block);
            return too_large(path, done, limit);
        }
        if (got == 0) {
            block[done] = '\0';
            *bytes = block;
            *length = done;
            return DIP_OK;
        }
    }
    dip_free(block);
    return DIP_ENOMEM;
}

dip_status dip_file_read(char **bytes, size_t *length, const char *path, size_t limit)
{
    struct stat info;
    int fd = open_to_read(path, &info);
    if (fd < 0) return fd == NOT_A_FILE ? DIP_EINVAL : dip_fail_errno("open", path);
    bool regular = S_ISREG(info.st_mode);
    size_t size = regular ? (size_t)info.st_size : 65536;
    dip_status status = regular && size > limit
                            ? too_large(path, size, limit)
                            : read_to_end(fd, path, size + 2, limit, bytes, length);
    close(fd);
    return status;
}

dip_status dip_file_map(dip_map *map, const char *path)
{
    struct stat info;
    int fd = open_to_read(path, &info);
    if (fd < 0) return fd == NOT_A_FILE ? DIP_EINVAL : dip_fail_errno("open", path);
    dip_map mapped = {NULL, (size_t)info.st_size};
    dip_status status = DIP_OK;
    if (mapped.length) {
        void *bytes = mmap(NULL, mapped.length, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED)
            status = dip_fail_errno("map", path);
        else
            mapped.bytes = bytes;
    }
    close(fd);
    *map = status ? (dip_map){0} : mapped;
    return status;
}

void dip_file_expect(const void *bytes, size_t length)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)bytes & ~(page - 1);
    posix_madvise((void *)first, (uintptr_t)bytes + length - first, POSIX_MADV_WILLNEED);
}

void dip_file_unmap(dip_map *map)
{
    if (map->bytes) munmap((void *)map->bytes, map->length);
    *map = (dip_map){0};
}

dip_status dip_file_begin(dip_aside *file, const char *path)
{
    *file = (dip_aside){0};
    file->path = dip_strdup(path);
    file->partial = dip_sprintf("%s.partial", path);
    if (!file->path || !file->partial) {
        dip_file_abandon(file);
        return DIP_ENOMEM;
    }
    file->stream = fopen(file->partial, "wbe");
    if (file->stream) return DIP_OK;
    dip_status status = dip_fail_errno("create", file->partial);
    dip_file_abandon(file);
    return status;
}

dip_status dip_file_nameless(FILE **out, const char *folder)
{
    char *path = dip_sprintf("%s/.XXXXXX.partial", folder);
    if (!path) return DIP_ENOMEM;
    int fd = mkostemps(path, (int)strlen(".partial"), O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+b");
    dip_status status = file ? DIP_OK : dip_fail_errno("create a file in", folder);
    if (fd >= 0) unlink(path);
    if (fd >= 0 && !file) close(fd);
    if (file) *out = file;
    dip_free(path);
    return status;
}

dip_status dip_folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return dip_fail_errno("open", path);
    /* Some file systems cannot sync a folder; EINVAL is their word for it. */
    int failed = fsync(fd) && errno != EINVAL;
    dip_status status = failed ? dip_fail_errno("sync", path) : DIP_OK;
    close(fd);
    return status;
}

dip_status dip_file_commit(dip_aside *file)
{
    dip_status status = DIP_OK;
    FILE *stream = file->stream;
    file->stream = NULL;
    errno = 0;
    if (fflush(stream) || ferror(stream) || fsync(fileno(stream))) {
        if (!errno) errno = EIO; /* an earlier write failed, and its errno is gone */
        status = dip_fail_errno("write", file->partial);
    }
    if (fclose(stream) && !status) status = dip_fail_errno("write", file->partial);
    if (!status && rename(file->partial, file->path)) status = dip_fail_errno("write", file->path);
    if (!status) {
        char *folder = dip_path_folder(file->path);
        status = folder ? dip_folder_sync(folder) : DIP_ENOMEM;
        dip_free(folder);
        dip_free(file->partial);
        file->partial = NULL;
    }
    dip_file_abandon(file);
    return status;
}

void dip_file_abandon(dip_aside *file)
{
    if (file->stream) fclose(file->stream);
    if (file->partial) unlink(file->partial);
    dip_free(file->path);
    dip_free(file->partial);
    *file = (dip_aside){0};
}

dip_status dip_file_write(const char *path, const void *bytes, size_t length)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    if (fwrite(bytes, 1, length, file.stream) != length) {
        status = dip_fail_errno("write", file.partial);
        dip_file_abandon(&file);
        return status;
    }
    return dip_file_commit(&file);
}

dip_status dip_folder_create(const char *path)
{
    if (mkdir(path, 0777) == 0 || dip_file_is_folder(path)) return DIP_OK;
    if (errno != ENOENT) return dip_fail_errno("create folder", path);
    char *parent = dip_path_folder(path);
    if (!parent) return DIP_ENOMEM;
    dip_status status = dip_folder_create(parent);
    dip_free(parent);
    if (status) return status;
    if (mkdir(path, 0777) && errno != EEXIST) return dip_fail_errno("create folder", path);
    return DIP_OK;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

dip_status dip_file_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info)) return errno == ENOENT ? DIP_OK : dip_fail_errno("remove", path);
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        return dip_fail_errno("remove", path);
    return DIP_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

dip_status dip_folder_list(char ***names, size_t *count, const char *path)
{
    char **list = NULL;
    size_t n = 0, capacity = 0;
    DIR *folder = opendir(path);
    if (!folder) return dip_fail_errno("open folder", path);
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (dip_array_reserve((void **)&list, &capacity, n + 1, sizeof *list)) goto short_of_memory;
        list[n] = dip_strdup(entry->d_name);
        if (!list[n]) goto short_of_memory;
        n++;
    }
    closedir(folder);
    if (n) qsort(list, n, sizeof *list, by_bytes);
    *names = list;
    *count = n;
    return DIP_OK;
short_of_memory:
    closedir(folder);
    dip_names_free(list, n);
    return DIP_ENOMEM;
}

void dip_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) dip_free(names[i]);
    dip_free(names);
}

char *dip_path_join(const char *folder, const char *name)
{
    if (name[0] == '/') return dip_strdup(name);
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] != '/' ? "/" : "";
    return dip_sprintf("%s%s%s", folder, slash, name);
}

const char *dip_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *dip_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return dip_strdup(".");
    return slash == path ? dip_strdup("/") : dip_strndup(path, (size_t)(slash - path));
}

const char *dip_file_network_fs(const char *path)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0x6969, "nfs"},      {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"}, {0x19830326, "beegfs"},
        {0xff534d42, "cifs"}, {0xfe534d42, "smb2"},   {0x517b, "smb"},      {0x00c36400, "ceph"},
        {0x5346414f, "afs"},  {0x01021997, "9p"},
    };
    struct statfs info;
    if (statfs(path, &info)) return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((unsigned long)(uint32_t)info.f_type == known[i].magic) return known[i].name;
    return NULL;
}
