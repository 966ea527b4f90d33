/* diptych init: a new, empty archive. */
#include "tools/cmd.h"

#include <diptych/archive.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct options {
    const char *title;
} options;

static const dip_option table[] = {
    {.name = "title",
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, title),
     .help = "a title for people; default: the folder's name"},
    {.name = NULL},
};

static const char *last_part(const char *path, char *out, size_t capacity)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start && path[start - 1] != '/') start--;
    snprintf(out, capacity, "%.*s", (int)(end - start), path + start);
    return out;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    char name[256];
    dip_archive *archive = NULL;
    (void)tool, (void)argc;
    const char *title = o->title ? o->title : last_part(argv[0], name, sizeof name);
    dip_status status = dip_archive_create(&archive, argv[0], title);
    if (status) return status;
    printf("%s: new archive '%s'\n", dip_archive_path(archive), dip_archive_title(archive));
    dip_archive_close(archive);
    return DIP_OK;
}

const dip_command dip_cmd_init = {
    .name = "init",
    .summary = "make a new, empty archive",
    .usage = "ARCHIVE",
    .text = "The archive is a folder on a local disk: tiles, models, indexes and training runs "
            "live in it.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .run = run,
};
