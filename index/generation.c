/*
 * Generations: made aside, sealed, switched, opened; see generation.h, and upkeep.c for checking and removing.
 *
 * Making and removing hold `index/lock`, so there is one writer; readers take no lock: they see folders that are
 * complete (a name without ".partial" is only ever given to a complete folder, and taken from it before the first file
 * goes) and read CURRENT, which is replaced as a whole.
 */
#define _GNU_SOURCE
#include "index/generation.h"

#include "core/file.h"
#include "core/mem.h"
#include "index/live.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dip_generation {
    char *root;   /* <archive>/index */
    char *folder; /* of this generation, while it is made with the suffix */
    dip_manifest manifest;
    int lock;             /* of a generation that is being made, else -1 */
    pthread_mutex_t gate; /* around indexes */
    dip_index *indexes[DIP_MAX_MODALITIES];
};

/* --- Making --- */

static void destroy(dip_generation *g)
{
    if (!g) return;
    for (size_t i = 0; i < DIP_MAX_MODALITIES; i++) dip_index_close(g->indexes[i]);
    dip_manifest_fini(&g->manifest);
    pthread_mutex_destroy(&g->gate);
    if (g->lock >= 0) close(g->lock);
    dip_free(g->root);
    dip_free(g->folder);
    dip_free(g);
}

static dip_generation *create(const char *archive_path)
{
    dip_generation *g = dip_calloc(1, sizeof *g);
    if (!g) return NULL;
    g->lock = -1;
    pthread_mutex_init(&g->gate, NULL);
    g->root = dip_index_root(archive_path);
    if (g->root) return g;
    destroy(g);
    return NULL;
}

/* With the lock held nobody else is making or removing: every partial folder was left behind. */
static dip_status remove_leftovers(const char *root)
{
    char **names = NULL;
    size_t n = 0;
    dip_status status = dip_folder_list(&names, &n, root);
    for (size_t i = 0; i < n && !status; i++) {
        if (!dip_name_ends(names[i], DIP_PARTIAL_SUFFIX)) continue;
        char *path = dip_path_join(root, names[i]);
        status = path ? dip_file_remove(path) : DIP_ENOMEM;
        dip_free(path);
    }
    dip_names_free(names, n);
    return status;
}

/* One more than the highest number there is; a damaged CURRENT says nothing. */
static dip_status next_name(char *out, size_t room, const char *root)
{
    char **names = NULL;
    size_t n = 0;
    dip_status status = dip_live_list(&names, &n, root);
    if (status) return status;
    unsigned long long last = n ? dip_generation_number(names[n - 1]) : 0;
    dip_names_free(names, n);
    char *current = NULL;
    status = dip_live_read(&current, root);
    if (status == DIP_ENOMEM) return status;
    if (!status && dip_generation_number(current) > last) last = dip_generation_number(current);
    dip_free(current);
    snprintf(out, room, "%06llu", last + 1);
    return DIP_OK;
}

dip_status dip_generation_begin(dip_generation **out, const char *archive_path, const char *model,
                                uint32_t dim)
{
    dip_generation *g = create(archive_path);
    if (!g) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    if (strlen(model) >= sizeof g->manifest.model)
        status = dip_fail(DIP_EINVAL, "the model's name '%s' is longer than %zu bytes", model,
                          sizeof g->manifest.model - 1);
    else
        memcpy(g->manifest.model, model, strlen(model) + 1);
    g->manifest.dim = dim;
    if (!status) status = dip_folder_create(g->root);
    if (!status) status = dip_live_lock(&g->lock, g->root);
    if (!status) status = remove_leftovers(g->root);
    if (!status) status = next_name(g->manifest.generation, sizeof g->manifest.generation, g->root);
    if (!status) {
        g->folder = dip_sprintf("%s/%s%s", g->root, g->manifest.generation, DIP_PARTIAL_SUFFIX);
        status = g->folder ? dip_folder_create(g->folder) : DIP_ENOMEM;
    }
    if (status)
        destroy(g);
    else
        *out = g;
    return status;
}

const char *dip_generation_folder(const dip_generation *generation) { return generation->folder; }

dip_manifest *dip_generation_manifest(dip_generation *generation) { return &generation->manifest; }

void dip_generation_abort(dip_generation *generation)
{
    if (!generation) return;
    (void)dip_file_remove(generation->folder); /* else the next begin does it */
    destroy(generation);
}

/* Is the name in both folders one file, by a hard link? */
static dip_status same_file(bool *same, const char *folder, const char *other, const char *name)
{
    struct stat a, b;
    char *path = dip_path_join(folder, name), *there = dip_path_join(other, name);
    dip_status status = path && there ? DIP_OK : DIP_ENOMEM;
    *same = !status && !stat(path, &a) && !stat(there, &b) && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino;
    dip_free(path);
    dip_free(there);
    return status;
}

/*
 * A file that an update took over from the live generation by a hard link has its checksum: nothing is read, and what
 * was damaged meanwhile is not taken for sound.
 */
static dip_status hash_file(dip_manifest_file *file, const dip_generation *g,
                            const dip_manifest *live)
{
    char *folder = dip_path_join(g->root, live->generation);
    bool same = false;
    dip_status status = folder ? DIP_OK : DIP_ENOMEM;
    for (uint32_t i = 0; i < live->file_count && !status && !same; i++) {
        if (strcmp(live->files[i].name, file->name)) continue;
        status = same_file(&same, g->folder, folder, file->name);
        if (same) *file = live->files[i];
    }
    dip_free(folder);
    return status || same ? status : dip_live_hash(file, g->folder);
}

/* The manifest of the live generation; empty if there is none, or none that can be read. */
static dip_status read_live(dip_manifest *out, const char *root)
{
    char *name = NULL, *folder = NULL;
    *out = (dip_manifest){.file_count = 0};
    dip_status status = dip_live_read(&name, root);
    if (!status) {
        folder = dip_path_join(root, name);
        status = folder ? dip_live_manifest(out, folder) : DIP_ENOMEM;
    }
    dip_free(name);
    dip_free(folder);
    return status == DIP_ENOMEM ? status : DIP_OK;
}

static dip_status hash_files(dip_generation *g)
{
    dip_manifest live = {.file_count = 0};
    char **names = NULL;
    size_t n = 0;
    dip_manifest *m = &g->manifest;
    dip_status status = dip_folder_list(&names, &n, g->folder);
    if (status) return status;
    dip_free(m->files);
    m->file_count = 0;
    m->files = dip_calloc(n, sizeof *m->files);
    status = m->files ? read_live(&live, g->root) : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) {
        dip_manifest_file *file = &m->files[m->file_count];
        if (strlen(names[i]) >= sizeof file->name) {
            status = dip_fail(DIP_EINVAL, "'%s' in '%s' has too long a name", names[i], g->folder);
        } else {
            memcpy(file->name, names[i], strlen(names[i]) + 1);
            status = hash_file(file, g, &live);
            m->file_count++;
        }
    }
    dip_manifest_fini(&live);
    dip_names_free(names, n);
    return status;
}

/* Is the open index what the manifest says? */
static dip_status check_index(const dip_index *index, const dip_manifest *m, uint32_t modality,
                              dip_status code, const char *folder)
{
    size_t count = dip_index_count(index), dim = dip_index_dim(index);
    if (count == m->modality[modality].count && dim == m->dim) return DIP_OK;
    return dip_fail(
        code,
        "index '%s' in '%s' has %zu vectors of %zu dimensions, its manifest says %llu of "
        "%u; run diptych index again",
        m->modality[modality].name, folder, count, dim,
        (unsigned long long)m->modality[modality].count, m->dim);
}

/* Opens every index of the manifest once: what is sealed can be opened; notes what each is. */
static dip_status check_indexes(dip_generation *g)
{
    dip_status status = DIP_OK;
    for (uint32_t i = 0; i < g->manifest.modality_count && !status; i++) {
        dip_index *index = NULL;
        status = dip_index_open(&index, g->folder, g->manifest.modality[i].name);
        if (status == DIP_ENOENT) status = dip_fail_prefix(DIP_EMISMATCH, "sealing the index");
        if (!status) status = check_index(index, &g->manifest, i, DIP_EMISMATCH, g->folder);
        if (!status)
            snprintf(g->manifest.modality[i].describe, sizeof g->manifest.modality[i].describe,
                     "%s", dip_index_describe(index));
        dip_index_close(index);
    }
    return status;
}

static dip_status write_manifest(const dip_generation *g)
{
    char *text = NULL;
    size_t length = 0;
    char *path = dip_path_join(g->folder, DIP_MANIFEST_NAME);
    dip_status status = path ? dip_manifest_format(&text, &length, &g->manifest) : DIP_ENOMEM;
    if (!status) status = dip_file_write(path, text, length);
    dip_free(path);
    dip_free(text);
    return status;
}

/* The folder gets its name; from here on it is complete for everybody. */
static dip_status publish(dip_generation *g)
{
    char *final = dip_path_join(g->root, g->manifest.generation);
    if (!final) return DIP_ENOMEM;
    dip_status status = dip_folder_sync(g->folder);
    if (!status && rename(g->folder, final)) status = dip_fail_errno("rename", g->folder);
    if (status) {
        dip_free(final);
        return status;
    }
    dip_free(g->folder);
    g->folder = final;
    status = dip_folder_sync(g->root);
    return status ? status : dip_live_write(g->root, g->manifest.generation);
}

dip_status dip_generation_seal(dip_generation *generation)
{
    dip_generation *g = generation;
    dip_status status = check_indexes(g);
    if (!status) status = hash_files(g);
    if (!status) status = write_manifest(g);
    if (!status) status = publish(g);
    if (status && dip_name_ends(g->folder, DIP_PARTIAL_SUFFIX))
        dip_generation_abort(g);
    else
        destroy(g);
    return status;
}

/* --- Opening --- */

static dip_status open_named(dip_generation *g, const char *archive_path, const char *name,
                             bool live)
{
    g->folder = dip_path_join(g->root, name);
    if (!g->folder) return DIP_ENOMEM;
    if (!dip_generation_is_name(name) || !dip_file_is_folder(g->folder))
        return live ? dip_live_missing(archive_path, name)
                    : dip_fail(DIP_ENOENT, "archive '%s' has no index generation '%s'",
                               archive_path, name);
    return dip_live_manifest(&g->manifest, g->folder);
}

dip_status dip_generation_open(dip_generation **out, const char *archive_path, const char *name)
{
    char *current = NULL;
    dip_generation *g = create(archive_path);
    dip_status status = g ? DIP_OK : DIP_ENOMEM;
    if (!status && !name) status = dip_generation_current(&current, archive_path);
    if (!status) status = open_named(g, archive_path, name ? name : current, !name);
    dip_free(current);
    if (status)
        destroy(g);
    else
        *out = g;
    return status;
}

void dip_generation_close(dip_generation *generation) { destroy(generation); }

const dip_manifest *dip_generation_read_manifest(const dip_generation *generation)
{
    return &generation->manifest;
}

dip_status dip_generation_index(dip_generation *generation, const char *modality,
                                const dip_index **out)
{
    const dip_manifest *m = &generation->manifest;
    uint32_t at = 0;
    while (at < m->modality_count && strcmp(m->modality[at].name, modality)) at++;
    if (at == m->modality_count) {
        *out = NULL;
        return DIP_OK;
    }
    dip_status status = DIP_OK;
    pthread_mutex_lock(&generation->gate);
    if (!generation->indexes[at]) {
        dip_index *index = NULL;
        status = dip_index_open(&index, generation->folder, modality);
        if (status == DIP_ENOENT) status = dip_fail_prefix(DIP_ECORRUPT, "damaged generation");
        if (!status) status = check_index(index, m, at, DIP_ECORRUPT, generation->folder);
        if (!status)
            generation->indexes[at] = index;
        else
            dip_index_close(index);
    }
    if (!status) *out = generation->indexes[at];
    pthread_mutex_unlock(&generation->gate);
    return status;
}
