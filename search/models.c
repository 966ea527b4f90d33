/* Models of an archive; see models.h. */
#define _GNU_SOURCE
#include "search/models.h"

#include "core/file.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char suffix[] = ".safetensors";

char *dip_models_path(const char *archive_path, const char *id)
{
    return dip_sprintf("%s/models/%s%s", archive_path, id, suffix);
}

dip_status dip_models_list(const char *archive_path, char ***ids, size_t *count)
{
    char *folder = dip_path_join(archive_path, "models");
    if (!folder) return DIP_ENOMEM;
    *ids = NULL;
    *count = 0;
    dip_status status = DIP_OK;
    if (dip_file_is_folder(folder)) status = dip_folder_list(ids, count, folder);
    dip_free(folder);
    size_t kept = 0;
    for (size_t i = 0; i < *count && !status; i++) {
        char *name = (*ids)[i];
        size_t length = strlen(name), tail = sizeof suffix - 1;
        if (length > tail && !strcmp(name + length - tail, suffix)) {
            name[length - tail] = '\0';
            (*ids)[kept++] = name;
        } else {
            dip_free(name);
        }
    }
    *count = kept;
    return status;
}

static struct timespec time_of(const char *archive_path, const char *id)
{
    struct stat info;
    struct timespec never = {0};
    char *path = dip_models_path(archive_path, id);
    bool found = path && !stat(path, &info);
    dip_free(path);
    return found ? info.st_mtim : never;
}

static const char *newest(const char *archive_path, char *const *ids, size_t count)
{
    const char *best = ids[0];
    struct timespec best_time = time_of(archive_path, best);
    for (size_t i = 1; i < count; i++) {
        struct timespec t = time_of(archive_path, ids[i]);
        bool earlier = t.tv_sec != best_time.tv_sec ? t.tv_sec < best_time.tv_sec
                                                    : t.tv_nsec < best_time.tv_nsec;
        if (earlier) continue;
        best = ids[i];
        best_time = t;
    }
    return best;
}

static dip_status not_there(const char *archive_path, const char *wanted, char *const *ids,
                            size_t count)
{
    char known[400] = "";
    size_t used = 0;
    if (!count)
        return dip_fail(DIP_ENOENT, "archive '%s' has no model; run diptych train", archive_path);
    for (size_t i = 0; i < count; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", ids[i]);
        if (n < 0 || (size_t)n >= sizeof known - used) break;
        used += (size_t)n;
    }
    return dip_fail(DIP_ENOENT, "archive '%s' has no model '%s'; it has %s", archive_path, wanted,
                    known);
}

dip_status dip_models_choose(const char *archive_path, const char *wanted, char **id)
{
    char **ids = NULL;
    size_t count;
    const char *chosen = NULL;
    dip_status status = dip_models_list(archive_path, &ids, &count);
    if (status) return status;
    for (size_t i = 0; i < count && wanted; i++)
        if (!strcmp(ids[i], wanted)) chosen = ids[i];
    if (!wanted && count) chosen = newest(archive_path, ids, count);
    if (!chosen) {
        status = not_there(archive_path, wanted, ids, count);
    } else {
        *id = dip_strdup(chosen);
        if (!*id) status = DIP_ENOMEM;
    }
    dip_names_free(ids, count);
    return status;
}
