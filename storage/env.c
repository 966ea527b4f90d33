/*
 * LMDB behind plain bytes; see env.h.
 *
 * Opening. A registry of this process's environments, by device and inode of data.mdb, makes handles of one store
 * share one environment; entries of a parent process are left alone. The environment is opened for writing if the
 * file system lets us, else read-only, else (network, no permission for the lock file) read-only without locks.
 *
 * The map. LMDB may only change it while no transaction of the process is active, so all of them pass a gate
 * (gate.h). A write transaction that meets MDB_MAP_FULL ends, waits to be alone, doubles the map, begins again and
 * replays its log. Nobody else writes in between, so the replay meets the state that the first try met.
 *
 * Handles of sub-databases are opened in short transactions of their own under `opening`, as LMDB demands. Order of
 * locks: the gate, `opening`, LMDB's own lock of writers, `names_lock` (the table of handles).
 * Finished read transactions are kept for reuse: renewing one costs a tenth of making one.
 */
#define _GNU_SOURCE
#include "storage/env.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/gate.h"
#include "storage/pages.h"
#include "storage/writer_lock.h"

#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_DBS = 512, /* five of our own, the rest one a model and modality */
    MAX_READERS = 1022,
    MAX_IDLE = 64,
    MAX_TRIES = 16,
};
#define FIRST_MAP ((size_t)1 << 30)
#define SMALLEST_MAP ((size_t)1 << 18)

struct dip_env {
    struct dip_env *next; /* in the registry */
    pid_t pid;
    dev_t device;
    ino_t inode;
    unsigned references;

    MDB_env *lmdb;
    char *folder, *data_path;
    const char *network; /* name of the network file system, or NULL */
    bool read_only;
    size_t map_bytes;
    bool map_lost; /* it could not be mapped again after a change of size */
    dip_gate gate;

    pthread_mutex_t opening, names_lock;
    char *db_name[MAX_DBS];
    MDB_dbi dbi[MAX_DBS];
    unsigned db_count;

    pthread_mutex_t idle_lock;
    MDB_txn *idle[MAX_IDLE];
    unsigned idle_count;

    bool writer; /* under the registry's lock */
    int lock_fd;
};

dip_env_tuning dip_env_tune;

static const char *const fixed_names[DIP_DB_FIXED] = {"tile", "meta", "place", "name", "journal"};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static dip_env *registry;
static _Thread_local dip_txn *innermost; /* of this thread's transactions */

/* ---- errors ---- */

static dip_status translate(int rc, const char *doing, const char *path)
{
    switch (rc) {
    case MDB_SUCCESS: return DIP_OK;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return dip_fail(DIP_EFORMAT, "cannot %s '%s': no LMDB 0.9 file, or its header is damaged",
                        doing, path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_DBI:
    case MDB_BAD_TXN:
        return dip_fail(DIP_ECORRUPT,
                        "cannot %s '%s': the store is damaged (%s); run verify, or restore it "
                        "from a copy",
                        doing, path, mdb_strerror(rc));
    case MDB_READERS_FULL:
        return dip_fail(DIP_EBUSY, "cannot %s '%s': %d readers are active already", doing, path,
                        MAX_READERS);
    case MDB_TXN_FULL:
        return dip_fail(DIP_EINVAL, "cannot %s '%s': the batch is too large; commit more often",
                        doing, path);
    case MDB_DBS_FULL:
        return dip_fail(DIP_ENOTSUP, "cannot %s '%s': it has the most models and modalities, %d",
                        doing, path, MAX_DBS - DIP_DB_FIXED);
    case EIO: /* LMDB's word for a write that was cut off, and for a bad disk */
        return dip_fail(
            DIP_EIO,
            "cannot %s '%s': the disk took only a part; it is full, or failing, or a limit on "
            "the size of files stops it; what was stored before is safe: make room and "
            "run the same command again",
            doing, path);
    case MDB_PANIC:
        return dip_fail(DIP_EIO, "cannot %s '%s': an earlier write failed; open it again", doing,
                        path);
    default: break;
    }
    if (rc > 0) {
        errno = rc;
        return dip_fail_errno(doing, path);
    }
    return dip_fail(DIP_EIO, "cannot %s '%s': %s", doing, path, mdb_strerror(rc));
}

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

static int open_lmdb(MDB_env **out, const char *folder, size_t map_bytes, unsigned flags)
{
    MDB_env *lmdb;
    int rc = mdb_env_create(&lmdb);
    if (rc) return rc;
    rc = mdb_env_set_maxdbs(lmdb, MAX_DBS);
    if (!rc) rc = mdb_env_set_maxreaders(lmdb, MAX_READERS);
    if (!rc) rc = mdb_env_set_mapsize(lmdb, map_bytes);
    if (!rc) rc = mdb_env_open(lmdb, folder, flags | MDB_NOTLS, 0666);
    if (rc)
        mdb_env_close(lmdb);
    else
        *out = lmdb;
    return rc;
}

dip_status dip_env_create(const char *folder)
{
    MDB_env *lmdb;
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = open_lmdb(&lmdb, folder, first_map(), 0);
    if (rc) return translate(rc, "create the store", folder);
    rc = mdb_txn_begin(lmdb, NULL, 0, &txn);
    if (!rc) {
        for (int i = 0; !rc && i < DIP_DB_FIXED; i++)
            rc = mdb_dbi_open(txn, fixed_names[i], MDB_CREATE, &dbi);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn);
    }
    mdb_env_close(lmdb);
    if (rc) return translate(rc, "create the store", folder);
    return dip_folder_sync(folder);
}

/* For writing if we may, else for reading, else for reading without locks. */
static int open_as_we_may(dip_env *env)
{
    if (env->network) {
        env->read_only = true;
        return open_lmdb(&env->lmdb, env->folder, env->map_bytes, MDB_RDONLY | MDB_NOLOCK);
    }
    int rc = open_lmdb(&env->lmdb, env->folder, env->map_bytes, 0);
    if (rc != EACCES && rc != EROFS && rc != EPERM) return rc;
    env->read_only = true;
    rc = open_lmdb(&env->lmdb, env->folder, env->map_bytes, MDB_RDONLY);
    if (rc != EACCES && rc != EPERM) return rc;
    dip_log(DIP_LOG_WARN, "storage", "reading without locks path=%s reason=%s", env->folder,
            strerror(rc));
    return open_lmdb(&env->lmdb, env->folder, env->map_bytes, MDB_RDONLY | MDB_NOLOCK);
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
    return rc ? translate(rc, "open", env->data_path) : DIP_OK;
}

/* The small trees are checked before LMDB walks them. A writer elsewhere may outrun us, hence the tries. */
static dip_status check_trees(dip_env *env)
{
    dip_status status = DIP_OK;
    for (int i = 0; i < MAX_TRIES; i++) {
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
    for (unsigned i = 0; i < env->idle_count; i++) mdb_txn_abort(env->idle[i]);
    if (env->lmdb) mdb_env_close(env->lmdb);
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
        mdb_reader_check(env->lmdb, &dead); /* killed readers would keep old pages for ever */
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

static dip_status resize_map(dip_env *env, size_t bytes)
{
    dip_gate_enter_alone(&env->gate);
    int rc = env->map_lost ? ENOMEM : mdb_env_set_mapsize(env->lmdb, bytes);
    if (rc)
        env->map_lost = true;
    else
        env->map_bytes = bytes;
    dip_gate_leave_alone(&env->gate);
    return rc ? translate(rc, "enlarge the map of", env->data_path) : DIP_OK;
}

static dip_status follow_map(dip_env *env)
{
    struct stat info;
    if (stat(env->data_path, &info)) return dip_fail_errno("open", env->data_path);
    return resize_map(env, map_for((uint64_t)info.st_size));
}

/* ---- read transactions ---- */

static bool holds(const dip_env *env, bool reading_only)
{
    for (const dip_txn *t = innermost; t; t = t->outer)
        if (t->env == env && !(reading_only && t->writing)) return true;
    return false;
}

dip_status dip_env_check_writable_here(const dip_env *env)
{
    if (!holds(env, true)) return DIP_OK;
    return dip_fail(DIP_EINVAL,
                    "'%s' cannot be written while it is being visited; collect the ids first",
                    env->folder);
}

static void push(dip_txn *txn, dip_env *env, MDB_txn *lmdb_txn, bool writing)
{
    *txn = (dip_txn){env, lmdb_txn, innermost, writing};
    innermost = txn;
}

static void pop(dip_txn *txn)
{
    dip_txn **link = &innermost;
    while (*link != txn) link = &(*link)->outer;
    *link = txn->outer;
}

static int begin_reading(dip_env *env, MDB_txn **out)
{
    if (env->map_lost) return ENOMEM;
    pthread_mutex_lock(&env->idle_lock);
    MDB_txn *txn = env->idle_count ? env->idle[--env->idle_count] : NULL;
    pthread_mutex_unlock(&env->idle_lock);
    if (!txn) return mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, out);
    int rc = mdb_txn_renew(txn);
    if (rc)
        mdb_txn_abort(txn);
    else
        *out = txn;
    return rc;
}

dip_status dip_txn_begin(dip_txn *txn, dip_env *env)
{
    bool nested = holds(env, false);
    for (int tries = 0;; tries++) {
        MDB_txn *lmdb_txn = NULL;
        dip_gate_enter(&env->gate, nested);
        int rc = begin_reading(env, &lmdb_txn);
        if (!rc) {
            push(txn, env, lmdb_txn, false);
            return DIP_OK;
        }
        dip_gate_leave(&env->gate);
        int dead = 0;
        if (rc == MDB_READERS_FULL && mdb_reader_check(env->lmdb, &dead) == 0 && dead) continue;
        if (rc != MDB_MAP_RESIZED || tries == MAX_TRIES)
            return translate(rc, "read", env->data_path);
        if (nested)
            return dip_fail(DIP_EBUSY, "'%s' grew while it was being visited; try again",
                            env->folder);
        dip_status status = follow_map(env);
        if (status) return status;
    }
}

void dip_txn_end(dip_txn *txn)
{
    dip_env *env = txn->env;
    pop(txn);
    mdb_txn_reset(txn->txn);
    pthread_mutex_lock(&env->idle_lock);
    bool keep = env->idle_count < MAX_IDLE;
    if (keep) env->idle[env->idle_count++] = txn->txn;
    pthread_mutex_unlock(&env->idle_lock);
    if (!keep) mdb_txn_abort(txn->txn);
    dip_gate_leave(&env->gate);
}

uint64_t dip_txn_snapshot(const dip_txn *txn) { return mdb_txn_id(txn->txn); }

static MDB_val as_val(dip_bytes bytes) { return (MDB_val){bytes.size, (void *)bytes.data}; }

static dip_bytes as_bytes(MDB_val val) { return (dip_bytes){val.mv_data, val.mv_size}; }

dip_status dip_txn_get(const dip_txn *txn, dip_db db, dip_bytes key, dip_bytes *value)
{
    MDB_val k = as_val(key), v;
    int rc = mdb_get(txn->txn, txn->env->dbi[db], &k, &v);
    *value = rc ? (dip_bytes){NULL, 0} : as_bytes(v);
    return rc && rc != MDB_NOTFOUND ? translate(rc, "read", txn->env->data_path) : DIP_OK;
}

dip_status dip_txn_count(const dip_txn *txn, dip_db db, uint64_t *entries)
{
    MDB_stat stat;
    int rc = mdb_stat(txn->txn, txn->env->dbi[db], &stat);
    if (rc) return translate(rc, "read", txn->env->data_path);
    *entries = stat.ms_entries;
    return DIP_OK;
}

/* ---- cursors ---- */

static dip_status move(dip_cursor *cursor, MDB_cursor_op op, MDB_val key)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor->cursor, &key, &value, op);
    cursor->moved = true;
    cursor->key = rc ? (dip_bytes){NULL, 0} : as_bytes(key);
    cursor->value = rc ? (dip_bytes){NULL, 0} : as_bytes(value);
    if (rc && rc != MDB_NOTFOUND) return translate(rc, "read", cursor->txn->env->data_path);
    return DIP_OK;
}

dip_status dip_cursor_open(dip_cursor *cursor, const dip_txn *txn, dip_db db, const dip_bytes *from)
{
    MDB_cursor *lmdb_cursor;
    int rc = mdb_cursor_open(txn->txn, txn->env->dbi[db], &lmdb_cursor);
    if (rc) return translate(rc, "read", txn->env->data_path);
    *cursor = (dip_cursor){.cursor = lmdb_cursor, .txn = txn};
    if (!from) return DIP_OK;
    dip_status status = move(cursor, MDB_SET_RANGE, as_val(*from));
    cursor->moved = false;
    if (status) dip_cursor_close(cursor);
    return status;
}

dip_status dip_cursor_next(dip_cursor *cursor)
{
    /* After opening `from` somewhere, the first step stays there. */
    if (!cursor->moved && cursor->key.data) {
        cursor->moved = true;
        return DIP_OK;
    }
    return move(cursor, MDB_NEXT, (MDB_val){0, NULL});
}

dip_status dip_cursor_last(dip_cursor *cursor)
{
    return move(cursor, MDB_LAST, (MDB_val){0, NULL});
}

void dip_cursor_close(dip_cursor *cursor)
{
    if (cursor->cursor) mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
}

/* ---- sub-databases ---- */

static bool known_db(dip_env *env, const char *name, dip_db *db)
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

/* With `opening` held. */
static dip_status remember_db(dip_env *env, const char *name, MDB_dbi dbi, dip_db *db)
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
    MDB_dbi dbi;
    int rc = mdb_dbi_open(txn->txn, name, 0, &dbi);
    if (!rc) {
        /* A committed read transaction leaves the handle behind; a reset one would not. */
        pop(txn);
        rc = mdb_txn_commit(txn->txn);
        dip_gate_leave(&env->gate);
    } else {
        dip_txn_end(txn);
    }
    *found = !rc;
    if (rc == MDB_NOTFOUND) return DIP_OK;
    return rc ? translate(rc, "open", env->data_path) : remember_db(env, name, dbi, db);
}

dip_status dip_env_find_db(dip_env *env, const char *name, dip_db *db, bool *found)
{
    dip_txn txn;
    *found = known_db(env, name, db);
    if (*found) return DIP_OK;
    dip_status status = dip_txn_begin(&txn, env);
    if (status) return status;
    pthread_mutex_lock(&env->opening);
    *found = known_db(env, name, db);
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
    MDB_dbi main_db;
    MDB_cursor *lmdb_cursor;
    int rc = mdb_dbi_open(txn->txn, NULL, 0, &main_db);
    if (!rc) rc = mdb_cursor_open(txn->txn, main_db, &lmdb_cursor);
    if (rc) return translate(rc, "read", txn->env->data_path);
    dip_cursor cursor = {.cursor = lmdb_cursor, .txn = txn};
    size_t capacity = 0;
    dip_status status;
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
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(env->lmdb, &info);
    if (!rc) rc = mdb_env_stat(env->lmdb, &stat);
    if (rc) return translate(rc, "read", env->data_path);
    *bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    return DIP_OK;
}

/* ---- write transactions ---- */

/* A change, kept until the transaction is over: key and value follow the struct. */
typedef struct change {
    struct change *next;
    enum { PUT, REMOVE, CLEAR } kind;
    dip_db db;
    size_t key_size, value_size;
} change;

struct dip_write {
    dip_txn txn;
    bool active; /* an LMDB transaction runs and the gate is entered */
    change *first, **last;
};

static dip_status start(dip_write *write)
{
    dip_env *env = write->txn.env;
    MDB_txn *lmdb_txn;
    dip_gate_enter(&env->gate, false);
    int rc = env->map_lost ? ENOMEM : mdb_txn_begin(env->lmdb, NULL, 0, &lmdb_txn);
    if (rc) {
        dip_gate_leave(&env->gate);
        return translate(rc, "write", env->data_path);
    }
    push(&write->txn, env, lmdb_txn, true);
    write->active = true;
    return DIP_OK;
}

/* After LMDB's transaction has ended. */
static void stop(dip_write *write)
{
    if (!write->active) return;
    pop(&write->txn);
    dip_gate_leave(&write->txn.env->gate);
    write->active = false;
}

static void drop(dip_write *write)
{
    if (write->active) mdb_txn_abort(write->txn.txn);
    stop(write);
}

dip_status dip_write_begin(dip_write **out, dip_env *env)
{
    dip_status status = dip_env_check_writable_here(env);
    if (status) return status;
    dip_write *write = dip_calloc(1, sizeof *write);
    if (!write) return DIP_ENOMEM;
    write->txn.env = env;
    write->last = &write->first;
    status = start(write);
    if (status)
        dip_free(write);
    else
        *out = write;
    return status;
}

const dip_txn *dip_write_txn(const dip_write *write) { return &write->txn; }

static int apply(const dip_write *write, const change *c)
{
    MDB_dbi dbi = write->txn.env->dbi[c->db];
    char *bytes = (char *)(c + 1);
    MDB_val key = {c->key_size, bytes}, value = {c->value_size, bytes + c->key_size};
    if (c->kind == PUT) return mdb_put(write->txn.txn, dbi, &key, &value, 0);
    if (c->kind == CLEAR) return mdb_drop(write->txn.txn, dbi, 0);
    int rc = mdb_del(write->txn.txn, dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int replay(const dip_write *write)
{
    int rc = 0;
    for (const change *c = write->first; !rc && c; c = c->next) rc = apply(write, c);
    return rc;
}

/* Doubles the map and brings the transaction back to where it was, as often as it takes. */
static dip_status grow(dip_write *write)
{
    dip_env *env = write->txn.env;
    for (;;) {
        drop(write);
        dip_status status = dip_env_check_writable_here(env);
        if (!status) status = resize_map(env, env->map_bytes * 2);
        if (!status) status = start(write);
        if (status) return status;
        int rc = replay(write);
        if (!rc) return DIP_OK;
        if (rc == MDB_MAP_FULL) continue;
        drop(write);
        return translate(rc, "write", env->data_path);
    }
}

/* After LMDB's answer to a change: a failed transaction is of no more use. */
static dip_status settle(dip_write *write, int rc)
{
    if (rc == MDB_MAP_FULL) return grow(write);
    if (!rc) return DIP_OK;
    drop(write);
    return translate(rc, "write", write->txn.env->data_path);
}

static dip_status record(dip_write *write, int kind, dip_db db, dip_bytes key, dip_bytes value)
{
    if (!write->active)
        return dip_fail(DIP_EIO, "'%s': the batch failed earlier and must be aborted",
                        write->txn.env->data_path);
    change *c = dip_alloc(sizeof *c + key.size + value.size);
    if (!c) return DIP_ENOMEM;
    *c = (change){NULL, kind, db, key.size, value.size};
    if (key.size) memcpy(c + 1, key.data, key.size);
    if (value.size) memcpy((char *)(c + 1) + key.size, value.data, value.size);
    *write->last = c;
    write->last = &c->next;
    return settle(write, apply(write, c));
}

dip_status dip_write_put(dip_write *write, dip_db db, dip_bytes key, dip_bytes value)
{
    return record(write, PUT, db, key, value);
}

dip_status dip_write_remove(dip_write *write, dip_db db, dip_bytes key)
{
    return record(write, REMOVE, db, key, (dip_bytes){NULL, 0});
}

dip_status dip_write_clear(dip_write *write, dip_db db)
{
    return record(write, CLEAR, db, (dip_bytes){NULL, 0}, (dip_bytes){NULL, 0});
}

/* With `opening` held: LMDB's code, and the handle if that is 0. */
static int create_handle(dip_env *env, const char *name, MDB_dbi *dbi)
{
    MDB_txn *txn;
    int rc = env->map_lost ? ENOMEM : mdb_txn_begin(env->lmdb, NULL, 0, &txn);
    if (rc) return rc;
    rc = mdb_dbi_open(txn, name, MDB_CREATE, dbi);
    if (!rc) return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* With no transaction of this thread active. */
static dip_status create_db(dip_env *env, const char *name, dip_db *db)
{
    for (;;) {
        MDB_dbi dbi = 0;
        int rc = 0;
        dip_status status = DIP_OK;
        dip_gate_enter(&env->gate, false);
        pthread_mutex_lock(&env->opening);
        if (!known_db(env, name, db)) {
            rc = create_handle(env, name, &dbi);
            if (!rc) status = remember_db(env, name, dbi, db);
        }
        pthread_mutex_unlock(&env->opening);
        dip_gate_leave(&env->gate);
        if (rc == MDB_MAP_FULL)
            status = resize_map(env, env->map_bytes * 2);
        else if (rc)
            status = translate(rc, "write", env->data_path);
        if (status || !rc) return status;
    }
}

dip_status dip_write_db(dip_write *write, const char *name, dip_db *db)
{
    if (known_db(write->txn.env, name, db)) return DIP_OK;
    drop(write);
    dip_status status = create_db(write->txn.env, name, db);
    if (!status) status = start(write);
    return status ? status : settle(write, replay(write));
}

static void free_write(dip_write *write)
{
    for (change *c = write->first, *next; c; c = next) {
        next = c->next;
        dip_free(c);
    }
    dip_free(write);
}

dip_status dip_write_commit(dip_write *write)
{
    dip_env *env = write->txn.env;
    dip_status status = DIP_OK;
    if (!write->active)
        status = dip_fail(DIP_EIO, "'%s': the batch failed earlier; nothing of it is stored",
                          env->data_path);
    while (!status) {
        int rc = mdb_txn_commit(write->txn.txn);
        stop(write);
        if (!rc) break;
        status = rc == MDB_MAP_FULL ? grow(write) : translate(rc, "write", env->data_path);
    }
    drop(write);
    free_write(write);
    return status;
}

void dip_write_abort(dip_write *write)
{
    if (!write) return;
    drop(write);
    free_write(write);
}
