/*
 * The store's environment; see env.h. Reading is in txn.c, writing in write.c, LMDB's calls in mdb.c.
 *
 * Opening. A registry of this process's environments, by device and inode of data.mdb, makes handles of one store
 * share one environment; entries of a parent process are left alone. The environment is opened for writing if the
 * file system lets us, else read-only, else (network, no permission for the lock file) read-only without locks.
 *
 * The map. LMDB may only change it while no transaction of the process is active, so all of them pass a gate
 * (gate.h).
 *
 * Handles of sub-databases are opened in short transactions of their own under `opening`, as LMDB demands. Order of
 * locks: the gate, `opening`, LMDB's own lock of writers, `names_lock` (the table of handles).
 */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/env_inside.h"
#include "storage/pages.h"
#include "storage/writer_lock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_MAP ((size_t)1 << 30)
#define SMALLEST_MAP ((size_t)1 << 18)

dip_env_tuning dip_env_tune;

static const char *const fixed_names[DIP_DB_FIXED] = {"tile", "meta", "place", "name", "journal"};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static dip_env *registry;

/* ---- opening ---- */

static size_t first_map(void)
{
    size_t bytes = dip_env_tune.first_map_bytes ? dip_env_tune.first_map_bytes : FIRST_MAP;
    return bytes < SMALLEST_MAP ? SMALLEST_MAP : bytes;
}

/* A map for a file of this size, with room to grow. */
static size_t map_for(uint64_t file_bytes)
{
    size_t bytes = first_map();
    while (bytes / 2 < file_bytes) bytes *= 2;
    return bytes;
}

dip_status dip_env_create(const char *folder)
{
    dip_mdb_env *mdb;
    dip_mdb_txn *txn;
    dip_mdb_dbi dbi;
    int rc = dip_mdb_open(&mdb, folder, first_map(), DIP_MDB_WRITE);
    if (rc) return dip_mdb_status(rc, "create the store", folder);
    rc = dip_mdb_begin(mdb, true, &txn);
    if (!rc) {
        for (int i = 0; !rc && i < DIP_DB_FIXED; i++)
            rc = dip_mdb_open_db(txn, fixed_names[i], true, &dbi);
        if (rc)
            dip_mdb_abort(txn);
        else
            rc = dip_mdb_commit(txn);
    }
    dip_mdb_close(mdb);
    if (rc) return dip_mdb_status(rc, "create the store", folder);
    return dip_folder_sync(folder);
}

/* A reader without locks is unseen by writers, who may overwrite what it reads. Only beside one is that worth a warning. */
static void tell_unseen(const dip_env *env, int rc)
{
    long writer = dip_writer_process(env->folder);
    if (writer)
        dip_log(DIP_LOG_WARN, "storage",
                "process %ld writes to '%s' and cannot see this reader, who may not write lock.mdb "
                "there: what reads as damaged now may be sound once it has ended",
                writer, env->folder);
    else
        dip_log(DIP_LOG_INFO, "storage", "reading '%s' without locks: lock.mdb: %s", env->folder,
                strerror(rc));
}

/* For writing if we may, else for reading, else for reading without locks. */
static int open_as_we_may(dip_env *env)
{
    if (env->network) {
        env->read_only = true;
        return dip_mdb_open(&env->mdb, env->folder, env->map_bytes, DIP_MDB_READ_UNLOCKED);
    }
    int rc = dip_mdb_open(&env->mdb, env->folder, env->map_bytes, DIP_MDB_WRITE);
    if (rc != EACCES && rc != EROFS && rc != EPERM) return rc;
    env->read_only = true;
    rc = dip_mdb_open(&env->mdb, env->folder, env->map_bytes, DIP_MDB_READ);
    if (rc != EACCES && rc != EPERM) return rc;
    tell_unseen(env, rc);
    return dip_mdb_open(&env->mdb, env->folder, env->map_bytes, DIP_MDB_READ_UNLOCKED);
}

static dip_status open_map(dip_env *env, uint64_t file_bytes)
{
    env->map_bytes = map_for(file_bytes);
    int rc = open_as_we_may(env);
    /* Address space may be limited (ulimit -v): less room to grow will do. */
    while (rc == ENOMEM && env->map_bytes / 2 > file_bytes) {
        env->map_bytes /= 2;
        rc = open_as_we_may(env);
    }
    return dip_mdb_status(rc, "open", env->data_path);
}

/* The small trees are checked before LMDB walks them. A writer elsewhere may outrun us, hence the tries. */
static dip_status check_trees(dip_env *env)
{
    dip_status status = DIP_OK;
    for (int i = 0; i < DIP_ENV_MAX_TRIES; i++) {
        dip_txn txn;
        status = dip_txn_begin(&txn, env);
        if (status) return status;
        status = dip_pages_check_small(env->data_path, dip_txn_snapshot(&txn));
        dip_txn_end(&txn);
        if (status != DIP_EBUSY) break;
    }
    return status;
}

static dip_status open_fixed(dip_env *env)
{
    for (unsigned i = 0; i < DIP_DB_FIXED; i++) {
        dip_db db;
        bool found;
        dip_status status = dip_env_find_db(env, fixed_names[i], &db, &found);
        if (status) return status;
        if (!found)
            return dip_fail(DIP_EFORMAT, "'%s' is no store of Diptych: it has no '%s'",
                            env->data_path, fixed_names[i]);
        assert(db == i);
    }
    return DIP_OK;
}

static void destroy(dip_env *env)
{
    if (!env) return;
    for (unsigned i = 0; i < env->idle_count; i++) dip_mdb_abort(env->idle[i]);
    dip_mdb_close(env->mdb);
    for (unsigned i = 0; i < env->db_count; i++) dip_free(env->db_name[i]);
    dip_gate_fini(&env->gate);
    pthread_mutex_destroy(&env->opening);
    pthread_mutex_destroy(&env->names_lock);
    pthread_mutex_destroy(&env->idle_lock);
    dip_free(env->folder);
    dip_free(env->data_path);
    dip_free(env);
}

static dip_status create(dip_env **out, const char *folder, char *data_path,
                         const struct stat *info)
{
    dip_env *env = dip_calloc(1, sizeof *env);
    if (!env) {
        dip_free(data_path);
        return DIP_ENOMEM;
    }
    dip_gate_init(&env->gate);
    pthread_mutex_init(&env->opening, NULL);
    pthread_mutex_init(&env->names_lock, NULL);
    pthread_mutex_init(&env->idle_lock, NULL);
    env->data_path = data_path;
    env->pid = getpid();
    env->device = info->st_dev;
    env->inode = info->st_ino;
    env->references = 1;
    env->lock_fd = -1;
    env->folder = dip_strdup(folder);
    env->network =
        dip_env_tune.network_fs ? dip_env_tune.network_fs(folder) : dip_file_network_fs(folder);
    dip_status status = env->folder ? dip_pages_check_length(data_path) : DIP_ENOMEM;
    if (!status) status = open_map(env, (uint64_t)info->st_size);
    if (!status) status = check_trees(env);
    if (!status) status = open_fixed(env);
    if (status) {
        destroy(env);
        return status;
    }
    *out = env;
    return DIP_OK;
}

static dip_env *find_open(const struct stat *info)
{
    for (dip_env *env = registry; env; env = env->next)
        if (env->pid == getpid() && env->device == info->st_dev && env->inode == info->st_ino)
            return env;
    return NULL;
}

dip_status dip_env_open(dip_env **out, const char *folder)
{
    struct stat info;
    char *data_path = dip_path_join(folder, "data.mdb");
    if (!data_path) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    pthread_mutex_lock(&registry_lock);
    if (stat(data_path, &info)) {
        status = dip_fail_errno("open", data_path);
        dip_free(data_path);
        goto out;
    }
    dip_env *env = find_open(&info);
    if (env) {
        env->references++;
        dip_free(data_path);
    } else {
        status = create(&env, folder, data_path, &info);
        if (status) goto out;
        env->next = registry;
        registry = env;
    }
    *out = env;
out:
    pthread_mutex_unlock(&registry_lock);
    return status;
}

void dip_env_close(dip_env *env)
{
    if (!env) return;
    pthread_mutex_lock(&registry_lock);
    if (--env->references == 0) {
        dip_env **link = &registry;
        while (*link != env) link = &(*link)->next;
        *link = env->next;
        destroy(env);
    }
    pthread_mutex_unlock(&registry_lock);
}

const char *dip_env_data_path(const dip_env *env) { return env->data_path; }

/* ---- the one writer ---- */

dip_status dip_env_lock(dip_env *env)
{
    if (env->network)
        return dip_fail(DIP_ENOTSUP,
                        "'%s' lies on a network file system (%s), where it can be read but not "
                        "written; copy the archive to a local disk",
                        env->folder, env->network);
    if (env->read_only)
        return dip_fail(DIP_EIO, "'%s' cannot be written: no permission, or a read-only disk",
                        env->folder);
    pthread_mutex_lock(&registry_lock);
    dip_status status;
    if (env->writer)
        status = dip_fail(DIP_EBUSY, "'%s' is open for writing in this process (%ld) already",
                          env->folder, (long)getpid());
    else
        status = dip_writer_lock(&env->lock_fd, env->folder);
    if (!status) {
        env->writer = true;
        int dead;
        dip_mdb_check_readers(env->mdb, &dead); /* killed readers would keep old pages for ever */
    }
    pthread_mutex_unlock(&registry_lock);
    return status;
}

void dip_env_unlock(dip_env *env)
{
    pthread_mutex_lock(&registry_lock);
    dip_writer_unlock(&env->lock_fd);
    env->writer = false;
    pthread_mutex_unlock(&registry_lock);
}

/* ---- the map ---- */

dip_status dip_env_resize_map(dip_env *env, size_t bytes)
{
    dip_gate_enter_alone(&env->gate);
    int rc = env->map_lost ? ENOMEM : dip_mdb_resize(env->mdb, bytes);
    if (rc)
        env->map_lost = true;
    else
        env->map_bytes = bytes;
    dip_gate_leave_alone(&env->gate);
    return dip_mdb_status(rc, "enlarge the map of", env->data_path);
}

dip_status dip_env_follow_map(dip_env *env)
{
    struct stat info;
    if (stat(env->data_path, &info)) return dip_fail_errno("open", env->data_path);
    return dip_env_resize_map(env, map_for((uint64_t)info.st_size));
}

/* ---- sub-databases ---- */

bool dip_env_known_db(dip_env *env, const char *name, dip_db *db)
{
    bool known = false;
    pthread_mutex_lock(&env->names_lock);
    for (unsigned i = 0; !known && i < env->db_count; i++) {
        known = !strcmp(env->db_name[i], name);
        if (known) *db = i;
    }
    pthread_mutex_unlock(&env->names_lock);
    return known;
}

dip_status dip_env_remember_db(dip_env *env, const char *name, dip_mdb_dbi dbi, dip_db *db)
{
    char *copy = dip_strdup(name);
    if (!copy) return DIP_ENOMEM;
    pthread_mutex_lock(&env->names_lock);
    env->db_name[env->db_count] = copy;
    env->dbi[env->db_count] = dbi;
    *db = env->db_count++;
    pthread_mutex_unlock(&env->names_lock);
    return DIP_OK;
}

/* In a read transaction of its own, which it ends. */
static dip_status open_db(dip_txn *txn, const char *name, dip_db *db, bool *found)
{
    dip_env *env = txn->env;
    dip_mdb_dbi dbi;
    int rc = dip_mdb_open_db(txn->txn, name, false, &dbi);
    if (!rc) {
        /* A committed read transaction leaves the handle behind; a reset one would not. */
        dip_txn_pop(txn);
        rc = dip_mdb_commit(txn->txn);
        dip_gate_leave(&env->gate);
    } else {
        dip_txn_end(txn);
    }
    *found = !rc;
    if (rc == DIP_MDB_NOT_FOUND) return DIP_OK;
    return rc ? dip_mdb_status(rc, "open", env->data_path)
              : dip_env_remember_db(env, name, dbi, db);
}

dip_status dip_env_find_db(dip_env *env, const char *name, dip_db *db, bool *found)
{
    dip_txn txn;
    *found = dip_env_known_db(env, name, db);
    if (*found) return DIP_OK;
    dip_status status = dip_txn_begin(&txn, env);
    if (status) return status;
    pthread_mutex_lock(&env->opening);
    *found = dip_env_known_db(env, name, db);
    if (*found)
        dip_txn_end(&txn);
    else
        status = open_db(&txn, name, db, found);
    pthread_mutex_unlock(&env->opening);
    return status;
}

static bool is_fixed(const char *name)
{
    for (int i = 0; i < DIP_DB_FIXED; i++)
        if (!strcmp(name, fixed_names[i])) return true;
    return false;
}

static dip_status list_names(const dip_txn *txn, char ***names, size_t *count)
{
    dip_mdb_dbi main_db;
    dip_cursor cursor;
    size_t capacity = 0;
    int rc = dip_mdb_open_db(txn->txn, NULL, false, &main_db);
    dip_status status = dip_mdb_status(rc, "read", txn->env->data_path);
    if (!status) status = dip_cursor_open_handle(&cursor, txn, main_db);
    if (status) return status;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        char *name = dip_strndup(cursor.key.data, cursor.key.size);
        if (name && is_fixed(name)) {
            dip_free(name);
            continue;
        }
        if (!name || dip_array_reserve((void **)names, &capacity, *count + 1, sizeof **names)) {
            dip_free(name);
            status = DIP_ENOMEM;
            break;
        }
        (*names)[(*count)++] = name;
    }
    dip_cursor_close(&cursor);
    return status;
}

dip_status dip_env_list_dbs(dip_env *env, char ***names, dip_db **dbs, size_t *count)
{
    char **list = NULL;
    dip_db *handles = NULL;
    size_t n = 0;
    dip_txn txn;
    dip_status status = dip_txn_begin(&txn, env);
    if (status) return status;
    status = list_names(&txn, &list, &n);
    dip_txn_end(&txn);
    if (!status && !(handles = dip_calloc(n, sizeof *handles))) status = DIP_ENOMEM;
    for (size_t i = 0; !status && i < n; i++) {
        bool found;
        status = dip_env_find_db(env, list[i], &handles[i], &found);
    }
    if (status) {
        dip_names_free(list, n);
        dip_free(handles);
        return status;
    }
    *names = list;
    *dbs = handles;
    *count = n;
    return DIP_OK;
}

dip_status dip_env_size(dip_env *env, uint64_t *bytes)
{
    return dip_mdb_status(dip_mdb_size(env->mdb, bytes), "read", env->data_path);
}
