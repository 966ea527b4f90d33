/* Looks up a file by its name in the sorted table that the build makes. */
#include "server/embedded.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *name, const void *file)
{
    return strcmp(name, ((const dip_embedded *)file)->name);
}

const dip_embedded *dip_embedded_find(const char *name)
{
    return bsearch(name, dip_embedded_files, dip_embedded_count, sizeof *dip_embedded_files,
                   compare);
}
