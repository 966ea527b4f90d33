/* See support.h. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "tests/scratch.h"

#include <stdlib.h>

static char *folder;

const char *support_folder(void)
{
    if (!folder) folder = scratch_folder("compare");
    return folder;
}

const char *support_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", support_folder(), name);
    return path;
}

int support_cleanup(void **state)
{
    (void)state;
    dip_status status = folder ? dip_file_remove(folder) : DIP_OK;
    free(folder);
    folder = NULL;
    return status;
}

const char *support_write(const char *name, const void *bytes, size_t length)
{
    const char *path = support_path(name);
    assert_ok(dip_file_write(path, bytes, length));
    return path;
}

void support_normal(float *out, size_t rows, size_t dim, uint64_t seed)
{
    dip_rng rng;
    dip_rng_init(&rng, seed, 0);
    for (size_t i = 0; i < rows * dim; i++) out[i] = (float)dip_rng_normal(&rng);
}

const char *support_data(void)
{
    static char path[512];
    const char *data = getenv("DIPTYCH_DATA");
    snprintf(path, sizeof path, "%s/ann", data ? data : DIP_SHARED_DATA);
    return dip_file_is_folder(path) ? path : NULL;
}
