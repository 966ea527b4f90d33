/* Upkeep of generations: which there are, which is live, checking and removing; see generation.h. */
#include "index/generation.h"

#include "core/file.h"
#include "core/mem.h"
#include "index/engine.h"
#include "index/live.h"
#include "index/segment.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

dip_status dip_generation_list(char ***names, size_t *count, const char *archive_path)
{
    char *root = dip_index_root(archive_path);
    dip_status status = root ? dip_live_list(names, count, root) : DIP_ENOMEM;
    dip_free(root);
    return status;
}

/* The failure that there is no CURRENT: it was lost, or no index was ever built. */
static dip_status no_current(const char *archive_path, const char *root)
{
    char **names = NULL;
    size_t n = 0;
    dip_status status = dip_live_list(&names, &n, root);
    if (status) return status;
    status = n ? dip_fail(DIP_ENOENT,
                          "'%s/CURRENT' is missing; run diptych index again, or write the name of "
                          "the newest generation, %s, into it",
                          root, names[n - 1])
               : dip_fail(DIP_ENOENT, "archive '%s' has no index; run diptych index", archive_path);
    dip_names_free(names, n);
    return status;
}

dip_status dip_generation_current(char **name, const char *archive_path)
{
    char *root = dip_index_root(archive_path);
    if (!root) return DIP_ENOMEM;
    dip_status status = dip_live_read(name, root);
    if (status == DIP_ENOENT) status = no_current(archive_path, root);
    dip_free(root);
    return status;
}

dip_status dip_generation_use(const char *archive_path, const char *name)
{
    int lock = -1;
    char *root = dip_index_root(archive_path);
    char *folder = root ? dip_path_join(root, name) : NULL;
    dip_status status = folder ? DIP_OK : DIP_ENOMEM;
    if (!status && (!dip_generation_is_name(name) || !dip_file_is_folder(folder)))
        status =
            dip_fail(DIP_ENOENT, "archive '%s' has no index generation '%s'", archive_path, name);
    if (!status) status = dip_live_lock(&lock, root);
    if (!status) status = dip_live_write(root, name);
    if (lock >= 0) close(lock);
    dip_free(root);
    dip_free(folder);
    return status;
}

/* --- Checking --- */

typedef struct inspection {
    void (*report)(void *payload, const char *line);
    void *payload;
    uint64_t faults;
} inspection;

static void fault(inspection *in, const char *line)
{
    in->faults++;
    if (in->report) in->report(in->payload, line);
}

/* A failure that is a fault of the archive is reported; others (memory) end the inspection. */
static dip_status note(inspection *in, dip_status status)
{
    if (status == DIP_OK || status == DIP_ENOMEM) return status;
    fault(in, dip_last_error());
    return DIP_OK;
}

/* Behind the checksums: do the parts of a segment fit each other? */
static dip_status verify_segment(const char *name, const char *folder)
{
    dip_segment segment;
    char *path = dip_path_join(folder, name);
    dip_status status = path ? dip_segment_open(&segment, path) : DIP_ENOMEM;
    if (!status) {
        status = dip_segment_verify(&segment, path);
        dip_segment_close(&segment);
    }
    dip_free(path);
    return status;
}

static dip_status verify_file(inspection *in, const dip_manifest_file *known, const char *folder)
{
    dip_manifest_file found = *known;
    dip_status status = dip_live_hash(&found, folder);
    if (!status && (found.bytes != known->bytes || found.hash != known->hash))
        status = dip_fail(DIP_ECORRUPT,
                          "'%s/%s' is damaged: its checksum is wrong; run diptych index again",
                          folder, known->name);
    if (!status && dip_name_ends(known->name, dip_engine_native.suffix))
        status = verify_segment(known->name, folder);
    return note(in, status);
}

static dip_status verify_extra(inspection *in, const dip_manifest *m, const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    dip_status status = dip_folder_list(&names, &n, folder);
    if (status) return note(in, status);
    for (size_t i = 0; i < n && !status; i++) {
        bool known = strcmp(names[i], DIP_MANIFEST_NAME) == 0;
        for (uint32_t j = 0; j < m->file_count; j++)
            known |= strcmp(names[i], m->files[j].name) == 0;
        if (known) continue;
        status = note(in, dip_fail(DIP_ECORRUPT, "'%s/%s' is no file of the index; remove it",
                                   folder, names[i]));
    }
    dip_names_free(names, n);
    return status;
}

static dip_status verify_generation(inspection *in, const char *root, const char *name)
{
    dip_manifest manifest;
    char *folder = dip_path_join(root, name);
    if (!folder) return DIP_ENOMEM;
    dip_status status = dip_live_manifest(&manifest, folder);
    if (status) {
        dip_free(folder);
        return note(in, status);
    }
    for (uint32_t i = 0; i < manifest.file_count && !status; i++)
        status = verify_file(in, &manifest.files[i], folder);
    if (!status) status = verify_extra(in, &manifest, folder);
    dip_manifest_fini(&manifest);
    dip_free(folder);
    return status;
}

static dip_status verify_current(inspection *in, const char *archive_path, const char *root,
                                 size_t count)
{
    char *name = NULL, *folder = NULL;
    dip_status status = dip_live_read(&name, root);
    if (status == DIP_ENOENT && count == 0) return DIP_OK;
    if (status == DIP_ENOENT) status = no_current(archive_path, root);
    if (!status) {
        folder = dip_path_join(root, name);
        if (!folder)
            status = DIP_ENOMEM;
        else if (!dip_file_is_folder(folder))
            status = dip_live_missing(archive_path, name);
    }
    dip_free(name);
    dip_free(folder);
    return note(in, status);
}

dip_status dip_generation_verify(const char *archive_path,
                                 void (*report)(void *payload, const char *line), void *payload,
                                 uint64_t *faults)
{
    char **names = NULL;
    size_t n = 0;
    inspection in = {report, payload, 0};
    char *root = dip_index_root(archive_path);
    if (!root) return DIP_ENOMEM;
    dip_status status = dip_live_list(&names, &n, root);
    if (!status) status = verify_current(&in, archive_path, root, n);
    for (size_t i = 0; i < n && !status; i++) status = verify_generation(&in, root, names[i]);
    dip_names_free(names, n);
    dip_free(root);
    if (!status) *faults = in.faults;
    return status;
}

/* --- Removing --- */

/* Takes its name from the folder first: a folder half removed must not look complete. */
static dip_status remove_generation(const char *root, const char *name)
{
    char *folder = dip_path_join(root, name);
    char *aside = dip_sprintf("%s/%s%s", root, name, DIP_PARTIAL_SUFFIX);
    dip_status status = folder && aside ? dip_file_remove(aside) : DIP_ENOMEM;
    if (!status && rename(folder, aside)) status = dip_fail_errno("rename", folder);
    if (!status) status = dip_file_remove(aside);
    dip_free(folder);
    dip_free(aside);
    return status;
}

static dip_status prune_numbers(const char *root, const char *live, size_t keep)
{
    char **names = NULL;
    size_t n = 0, before = 0;
    dip_status status = dip_live_list(&names, &n, root);
    for (size_t i = 0; i < n && !status; i++)
        before += dip_generation_number(names[i]) < dip_generation_number(live);
    for (size_t i = 0; i < n && !status; i++) {
        bool kept = strcmp(names[i], live) == 0 || (i < before && i + keep >= before);
        if (!kept) status = remove_generation(root, names[i]);
    }
    dip_names_free(names, n);
    return status;
}

dip_status dip_generation_prune(const char *archive_path, size_t keep)
{
    int lock = -1;
    char *live = NULL;
    char *root = dip_index_root(archive_path);
    if (!root) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    if (dip_file_is_folder(root)) status = dip_live_lock(&lock, root);
    /* Only under the lock: a build that is just being sealed would be taken for an old one. */
    if (!status) status = dip_generation_current(&live, archive_path);
    if (!status) status = prune_numbers(root, live, keep);
    if (lock >= 0) close(lock);
    dip_free(live);
    dip_free(root);
    return status;
}
