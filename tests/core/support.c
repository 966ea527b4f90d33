/* See support.h. Plain stdio throughout: what is tested must not be what checks it. */
#define _GNU_SOURCE
#include "tests/core/support.h"
#include "tests/scratch.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

const char *support_folder(void)
{
    if (!folder) folder = scratch_folder("core");
    return folder;
}

const char *support_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", support_folder(), name);
    return path;
}

void support_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

const char *support_read(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

int support_cleanup(void **state)
{
    (void)state;
    if (folder) nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
    folder = NULL;
    return 0;
}
