/*
 * The archive's handle: creating, opening, modalities.
 *
 * Creating writes archive.ini last: a folder with a store but without archive.ini is a creation that was cut short,
 * and creating again takes it over as long as nothing can be stored in it. A handle keeps its own list of modalities;
 * only the one writing handle changes archive.ini.
 */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/mem.h"
#include "storage/handle.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CREATED_BY "diptych " DIPTYCH_VERSION

enum { EMPTY_STORE_MAX_BYTES = 1 << 16 }; /* a store without tiles has about ten pages */

/* ---- creating ---- */

/* Whether a folder is empty, or holds no more than a creation that was cut short. */
static dip_status look_vacant(const char *path, const char *data_path, bool *out)
{
    char **names;
    size_t count;
    dip_status status = dip_folder_list(&names, &count, path);
    if (status) return status;
    bool vacant = true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], "store") && strcmp(names[i], "archive.ini.partial")) vacant = false;
    dip_names_free(names, count);
    uint64_t bytes = 0;
    if (vacant && count && dip_file_exists(data_path)) status = dip_file_size(&bytes, data_path);
    *out = vacant && bytes <= EMPTY_STORE_MAX_BYTES;
    return status;
}

static dip_status check_vacant(const char *path, const char *data_path)
{
    bool vacant = false;
    dip_status status = look_vacant(path, data_path, &vacant);
    if (status || vacant) return status;
    return dip_fail(DIP_EEXIST, "'%s' is there already and not empty; choose another folder", path);
}

static dip_status write_first_entry(dip_env *env)
{
    dip_write *write;
    dip_status status = dip_write_begin(&write, env);
    if (status) return status;
    dip_totals totals = {.time = (int64_t)time(NULL)};
    dip_id_key key = dip_key_of(0);
    dip_out record = {.bytes = NULL};
    status = dip_totals_encode(&record, 0, &totals);
    if (!status)
        status = dip_write_put(write, DIP_DB_JOURNAL, dip_key_bytes(&key),
                               (dip_bytes){record.bytes, record.size});
    dip_out_fini(&record);
    if (status) {
        dip_write_abort(write);
        return status;
    }
    return dip_write_commit(write);
}

static dip_status make_store(const char *folder)
{
    dip_env *env;
    dip_status status = dip_folder_create(folder);
    if (!status) status = dip_env_create(folder);
    if (!status) status = dip_env_open(&env, folder);
    if (status) return status;
    status = dip_env_lock(env);
    if (!status) {
        status = write_first_entry(env);
        dip_env_unlock(env);
    }
    dip_env_close(env);
    return status;
}

static dip_status make_files(const char *path, const char *title, const char *folder,
                             const char *config_path)
{
    const char *network =
        dip_env_tune.network_fs ? dip_env_tune.network_fs(path) : dip_file_network_fs(path);
    if (network)
        return dip_fail(DIP_ENOTSUP,
                        "'%s' lies on a network file system (%s), where an archive cannot be "
                        "written; choose a local disk",
                        path, network);
    dip_status status = make_store(folder);
    if (status) return status;
    dip_config config = {.format = DIP_STORE_FORMAT, .created_by = CREATED_BY};
    snprintf(config.title, sizeof config.title, "%s", title);
    return dip_config_write(&config, config_path);
}

dip_status dip_archive_create(dip_archive **out, const char *path, const char *title)
{
    dip_status status = dip_title_check(title);
    if (status) return status;
    char *folder = dip_path_join(path, "store"), *config_path = dip_path_join(path, "archive.ini");
    char *data_path = folder ? dip_path_join(folder, "data.mdb") : NULL;
    if (!folder || !config_path || !data_path) {
        status = DIP_ENOMEM;
        goto out;
    }
    if (!dip_file_exists(path))
        status = dip_folder_create(path);
    else if (!dip_file_is_folder(path))
        status = dip_fail(DIP_EEXIST, "'%s' is a file; choose another name", path);
    else
        status = check_vacant(path, data_path);
    if (!status) status = make_files(path, title, folder, config_path);
    if (!status) status = dip_archive_open(out, path, DIP_ARCHIVE_WRITE);
out:
    dip_free(folder);
    dip_free(config_path);
    dip_free(data_path);
    return status;
}

/* ---- opening ---- */

static dip_status check_folder(const char *path, const char *config_path)
{
    bool vacant = false;
    if (!dip_file_exists(path))
        return dip_fail(DIP_ENOENT, "there is no archive '%s'; diptych init makes one", path);
    if (!dip_file_is_folder(path))
        return dip_fail(DIP_EFORMAT, "'%s' is a file; an archive is a folder", path);
    if (dip_file_exists(config_path)) return DIP_OK;
    char *data_path = dip_sprintf("%s/store/data.mdb", path);
    dip_status status = data_path ? look_vacant(path, data_path, &vacant) : DIP_ENOMEM;
    if (!status && vacant)
        status = dip_fail(DIP_ENOENT, "'%s' holds no archive yet; diptych init makes one", path);
    else if (!status)
        status = dip_fail(DIP_EFORMAT, "'%s' is no archive: it has no archive.ini%s", path,
                          dip_file_exists(data_path) ? "; restore the file from a copy" : "");
    dip_free(data_path);
    return status;
}

static dip_status take_config(dip_archive *archive)
{
    dip_config config = {.format = 0};
    dip_status status = dip_config_read(&config, archive->config_path);
    if (status) return status;
    memcpy(archive->title, config.title, sizeof archive->title);
    memcpy(archive->created_by, config.created_by, sizeof archive->created_by);
    for (uint32_t i = 0; i < config.modality_count && !status; i++) {
        dip_modality_node *node = dip_alloc(sizeof *node);
        if (!node) {
            status = DIP_ENOMEM;
            break;
        }
        node->modality = *config.modalities[i];
        node->before = NULL;
        atomic_store(&archive->modalities[i], node);
        atomic_store(&archive->modality_count, i + 1);
    }
    dip_config_fini(&config);
    return status;
}

/* A store without a readable last entry of its journal is of no use: its next ids are not known. */
static dip_status check_journal(const dip_archive *archive)
{
    dip_txn txn;
    dip_totals totals;
    uint64_t batch;
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = dip_totals_read(&txn, &totals, &batch);
    dip_txn_end(&txn);
    return status;
}

static dip_status open_store(dip_archive *archive)
{
    char *folder = dip_path_join(archive->path, "store");
    if (!folder) return DIP_ENOMEM;
    dip_status status = dip_env_open(&archive->env, folder);
    if (status == DIP_ENOENT)
        status = dip_fail(DIP_ECORRUPT, "'%s' has lost its store/data.mdb; restore it from a copy",
                          archive->path);
    dip_free(folder);
    if (!status && archive->mode == DIP_ARCHIVE_WRITE) {
        status = dip_env_lock(archive->env);
        archive->locked = !status;
    }
    return status ? status : check_journal(archive);
}

dip_status dip_archive_open(dip_archive **out, const char *path, dip_archive_mode mode)
{
    dip_archive *archive = dip_calloc(1, sizeof *archive);
    if (!archive) return DIP_ENOMEM;
    archive->mode = mode;
    pthread_mutex_init(&archive->modality_lock, NULL);
    pthread_mutex_init(&archive->batch_lock, NULL);
    pthread_cond_init(&archive->batch_over, NULL);
    archive->path = dip_strdup(path);
    archive->config_path = dip_path_join(path, "archive.ini");
    dip_status status = archive->path && archive->config_path ? DIP_OK : DIP_ENOMEM;
    if (!status) status = check_folder(path, archive->config_path);
    if (!status) status = open_store(archive);
    /* After the lock: no other writer changes archive.ini from here on. */
    if (!status) status = take_config(archive);
    if (!status) status = dip_codec_create(&archive->codec);
    if (!status) status = dip_checked_create(&archive->checked);
    if (status)
        dip_archive_close(archive);
    else
        *out = archive;
    return status;
}

void dip_archive_close(dip_archive *archive)
{
    if (!archive) return;
    if (archive->locked) dip_env_unlock(archive->env);
    dip_env_close(archive->env);
    dip_codec_destroy(archive->codec);
    dip_checked_destroy(archive->checked);
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) {
        dip_modality_node *node = atomic_load(&archive->modalities[i]), *before;
        for (; node; node = before) {
            before = node->before;
            dip_free(node);
        }
    }
    pthread_mutex_destroy(&archive->modality_lock);
    pthread_mutex_destroy(&archive->batch_lock);
    pthread_cond_destroy(&archive->batch_over);
    dip_free(archive->path);
    dip_free(archive->config_path);
    dip_free(archive);
}

const char *dip_archive_path(const dip_archive *archive) { return archive->path; }

const char *dip_archive_title(const dip_archive *archive) { return archive->title; }

dip_status dip_archive_check_writable(const dip_archive *archive)
{
    if (archive->mode == DIP_ARCHIVE_WRITE) return DIP_OK;
    return dip_fail(DIP_EINVAL, "archive '%s' was opened for reading", archive->path);
}

/* ---- modalities ---- */

size_t dip_archive_modality_count(const dip_archive *archive)
{
    return atomic_load(&archive->modality_count);
}

const dip_modality *dip_archive_modality(const dip_archive *archive, size_t position)
{
    return &atomic_load(&archive->modalities[position])->modality;
}

int dip_archive_find_modality(const dip_archive *archive, const char *name)
{
    size_t count = dip_archive_modality_count(archive);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(dip_archive_modality(archive, i)->name, name)) return (int)i;
    return -1;
}

dip_status dip_archive_check_modality(const dip_archive *archive, uint32_t position)
{
    size_t count = dip_archive_modality_count(archive);
    if (position < count) return DIP_OK;
    return dip_fail(DIP_EINVAL, "archive '%s' has %zu modalities, no number %u", archive->path,
                    count, position);
}

static void list_bands(char *out, size_t capacity, const dip_modality *modality)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < modality->band_count && at < capacity; i++)
        at += (size_t)snprintf(out + at, capacity - at, "%s%s", i ? "," : "",
                               modality->bands[i].name);
}

static dip_status same_bands(const dip_modality *there, const dip_modality *wanted)
{
    bool same = there->band_count == wanted->band_count;
    for (uint32_t i = 0; same && i < there->band_count; i++)
        same = !strcmp(there->bands[i].name, wanted->bands[i].name);
    if (same) return DIP_OK;
    char left[300], right[300];
    list_bands(left, sizeof left, there);
    list_bands(right, sizeof right, wanted);
    return dip_fail(DIP_EMISMATCH,
                    "modality '%s' has the bands %s in the archive, not %s; use another name",
                    there->name, left, right);
}

static dip_status check_no_batch(dip_archive *archive)
{
    pthread_mutex_lock(&archive->batch_lock);
    bool open = archive->batch_open;
    pthread_mutex_unlock(&archive->batch_lock);
    if (!open) return DIP_OK;
    return dip_fail(DIP_EBUSY, "archive '%s': a modality cannot change while a batch is open",
                    archive->path);
}

/* Writes archive.ini with `modality` in `position`, then shows it. With modality_lock held. */
static dip_status store_modality(dip_archive *archive, const dip_modality *modality,
                                 size_t position)
{
    dip_modality_node *node = dip_alloc(sizeof *node);
    if (!node) return DIP_ENOMEM;
    node->modality = *modality;
    node->before = atomic_load(&archive->modalities[position]);
    size_t count = dip_archive_modality_count(archive);
    if (position == count) count++;
    dip_config config = {.format = DIP_STORE_FORMAT, .modality_count = (uint32_t)count};
    memcpy(config.title, archive->title, sizeof config.title);
    memcpy(config.created_by, archive->created_by, sizeof config.created_by);
    for (size_t i = 0; i < count; i++)
        config.modalities[i] =
            i == position ? &node->modality : &atomic_load(&archive->modalities[i])->modality;
    dip_status status = dip_config_write(&config, archive->config_path);
    if (status) {
        dip_free(node);
        return status;
    }
    atomic_store(&archive->modalities[position], node);
    atomic_store(&archive->modality_count, (unsigned)count);
    return DIP_OK;
}

static dip_status change_modality(dip_archive *archive, const dip_modality *modality, bool replace)
{
    dip_status status = dip_archive_check_writable(archive);
    if (!status) status = check_no_batch(archive);
    if (!status) status = dip_modality_check(modality);
    if (status) return status;
    pthread_mutex_lock(&archive->modality_lock);
    int there = dip_archive_find_modality(archive, modality->name);
    size_t count = dip_archive_modality_count(archive);
    if (there >= 0)
        status = same_bands(dip_archive_modality(archive, (size_t)there), modality);
    else if (replace)
        status = dip_fail(DIP_ENOENT, "archive '%s' has no modality '%s'", archive->path,
                          modality->name);
    else if (count == DIP_MAX_MODALITIES)
        status = dip_fail(DIP_EINVAL, "archive '%s' has the most modalities, %d", archive->path,
                          DIP_MAX_MODALITIES);
    if (!status && (there < 0 || replace))
        status = store_modality(archive, modality, there < 0 ? count : (size_t)there);
    pthread_mutex_unlock(&archive->modality_lock);
    return status;
}

dip_status dip_archive_declare(dip_archive *archive, const dip_modality *modality)
{
    return change_modality(archive, modality, false);
}

dip_status dip_archive_redeclare(dip_archive *archive, const dip_modality *modality)
{
    return change_modality(archive, modality, true);
}
