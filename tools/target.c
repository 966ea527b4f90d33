/* See target.h. */
#define _POSIX_C_SOURCE 200809L
#include "tools/target.h"

#include <stdio.h>
#include <string.h>

static const char *folder_name(const char *path, char *out, size_t capacity)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start && path[start - 1] != '/') start--;
    snprintf(out, capacity, "%.*s", (int)(end - start), path + start);
    return out;
}

dip_status dip_target_open(dip_archive **out, dip_tool *tool, const char *path, const char *title)
{
    char name[256];
    dip_status status = dip_archive_open(out, path, DIP_ARCHIVE_WRITE);
    if (status != DIP_ENOENT) return status;
    if (!title) title = folder_name(path, name, sizeof name);
    status = dip_archive_create(out, path, title);
    if (!status) dip_tool_note(tool, "made the new archive '%s'", path);
    return status;
}
