/**
 * Files: whole reads, maps, and writes that are either there or not.
 * Paths are UTF-8 and may be relative. Every failure names the path. Thread-safe.
 */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Reads a whole file of at most `limit` bytes; a 0 byte follows the content. Free with dip_free(). */
dip_status dip_file_read(char **bytes, size_t *length, const char *path, size_t limit);

typedef struct dip_map {
    const uint8_t *bytes; /* NULL for an empty file */
    size_t length;
} dip_map;

dip_status dip_file_map(dip_map *map, const char *path);
void dip_file_unmap(dip_map *map);
/** Bytes of a map are wanted soon: the system may read them ahead, many such ranges at once. A call costs a microsecond. */
void dip_file_expect(const void *bytes, size_t length);

/**
 * A file written aside: bytes go to "`path`.partial", and dip_file_commit() fsyncs it, renames it over
 * `path` and fsyncs the folder. Until then the old file stands. dip_file_abandon() removes the partial
 * file; it accepts one that was committed.
 */
typedef struct dip_aside {
    FILE *stream;
    char *path, *partial;
} dip_aside;

dip_status dip_file_begin(dip_aside *file, const char *path);
dip_status dip_file_commit(dip_aside *file);
void dip_file_abandon(dip_aside *file);

/** A file without a name on the file system of `folder`, to write and read; fclose() ends it, as does the process. */
dip_status dip_file_nameless(FILE **out, const char *folder);

/** begin, write, commit. */
dip_status dip_file_write(const char *path, const void *bytes, size_t length);

bool dip_file_exists(const char *path);
bool dip_file_is_folder(const char *path);
dip_status dip_file_size(uint64_t *bytes, const char *path);
/** Creates a folder and its parents; one that is there is fine. */
dip_status dip_folder_create(const char *path);
/** Makes entries of a folder (creations, renames) durable. */
dip_status dip_folder_sync(const char *path);
/** Removes a file or a folder with all it holds; one that is not there is fine. */
dip_status dip_file_remove(const char *path);
/** Names in a folder, sorted by byte value, without "." and ".."; free with dip_names_free(). */
dip_status dip_folder_list(char ***names, size_t *count, const char *path);
void dip_names_free(char **names, size_t count);

/** "a/b" from "a" and "b"; if `name` is absolute, a copy of it. NULL only when memory is short. */
char *dip_path_join(const char *folder, const char *name);
/** The part of `path` after its last slash; borrowed. */
const char *dip_path_base(const char *path);
/** The folder part of `path`, "." if there is none. */
char *dip_path_folder(const char *path);

/** Name of the file system that `path` lies on if it is a network one ("nfs", "lustre", ...), else NULL. */
const char *dip_file_network_fs(const char *path);

#endif
