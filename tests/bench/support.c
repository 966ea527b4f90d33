/* See support.h. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "tests/scratch.h"

#include <unistd.h>

static char *folder;

const char *support_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (!folder) folder = scratch_folder("bench");
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

int support_cleanup(void **state)
{
    (void)state;
    if (folder) assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
    folder = NULL;
    return 0;
}

const char *support_file(const char *name, const char *text)
{
    const char *path = support_path(name);
    assert_int_equal(dip_file_write(path, text, strlen(text)), DIP_OK);
    return path;
}

char *support_read(const char *path)
{
    char *text = NULL;
    size_t length;
    if (dip_file_read(&text, &length, path, 1 << 24)) fail_msg("%s", dip_last_error());
    return text;
}
