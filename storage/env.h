/**
 * The store: one LMDB environment with its sub-databases, behind plain bytes.
 *
 * What it adds to LMDB:
 *   - one environment a process: handles of the same store share it (LMDB forbids two), a forked child has its own;
 *   - the map grows by itself: a write transaction keeps a log of its changes and, when the map is full, is
 *     dropped, the map doubled and the log replayed; a reader whose map has become too small follows;
 *   - one writing process, held by a lock on store/writer.lock;
 *   - a truncated or foreign data.mdb is refused before LMDB reads it;
 *   - network and read-only file systems: reading without locks, writing refused.
 *
 * Threads: any number of read transactions; a write transaction belongs to its thread. A thread that holds a read
 * transaction may begin others, but no write transaction of the same store: growing has to wait for readers.
 */
#ifndef STORAGE_ENV_H
#define STORAGE_ENV_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_env dip_env;

/** A sub-database: one of the fixed ones, or what dip_env_find_db() gives. */
typedef unsigned dip_db;
enum { DIP_DB_TILE, DIP_DB_META, DIP_DB_PLACE, DIP_DB_NAME, DIP_DB_JOURNAL, DIP_DB_FIXED };

/** Bytes that somebody else owns; inside the map they live as long as the transaction and its next write. */
typedef struct dip_bytes {
    const void *data; /* NULL: there is none */
    size_t size;
} dip_bytes;

/** What tests change: set before anything is opened. */
typedef struct dip_env_tuning {
    size_t first_map_bytes;                      /* 0: 1 GiB */
    const char *(*network_fs)(const char *path); /* NULL: dip_file_network_fs() */
} dip_env_tuning;
extern dip_env_tuning dip_env_tune;

/** Makes the files of an empty store in `folder`, which exists. */
dip_status dip_env_create(const char *folder);

/**
 * Opens the store in `folder`. Expected failures: DIP_ENOENT, DIP_EFORMAT (not LMDB, or lacks our sub-databases),
 * DIP_ECORRUPT (truncated; damaged root).
 */
dip_status dip_env_open(dip_env **out, const char *folder);
void dip_env_close(dip_env *env);

/** Becomes the one writer until dip_env_unlock(). DIP_EBUSY (names the process), DIP_ENOTSUP (network). */
dip_status dip_env_lock(dip_env *env);
void dip_env_unlock(dip_env *env);

/** A sub-database by name; *found tells whether there is one. Not from inside a write transaction. */
dip_status dip_env_find_db(dip_env *env, const char *name, dip_db *db, bool *found);
/** Names of all but the fixed ones, sorted; dip_names_free(). All are open afterwards. */
dip_status dip_env_list_dbs(dip_env *env, char ***names, dip_db **dbs, size_t *count);

/** Bytes of data.mdb that are in use. */
dip_status dip_env_size(dip_env *env, uint64_t *bytes);
/** Path of data.mdb; borrowed. */
const char *dip_env_data_path(const dip_env *env);

/* ---- transactions ---- */

/** On the stack of whoever reads, or inside a dip_write. */
typedef struct dip_txn {
    dip_env *env;
    void *txn;             /* MDB_txn */
    struct dip_txn *outer; /* this thread's transaction around this one */
    bool writing;
} dip_txn;

dip_status dip_txn_begin(dip_txn *txn, dip_env *env);
void dip_txn_end(dip_txn *txn);
/** Number of the snapshot, as the store's header counts. */
uint64_t dip_txn_snapshot(const dip_txn *txn);

/** value->data is NULL if the key is not there. */
dip_status dip_txn_get(const dip_txn *txn, dip_db db, dip_bytes key, dip_bytes *value);
dip_status dip_txn_count(const dip_txn *txn, dip_db db, uint64_t *entries);

typedef struct dip_cursor {
    void *cursor; /* MDB_cursor */
    const dip_txn *txn;
    bool moved;
    dip_bytes key, value;
} dip_cursor;

/** Before the first entry, or with `from` before the first one not less than it. */
dip_status dip_cursor_open(dip_cursor *cursor, const dip_txn *txn, dip_db db,
                           const dip_bytes *from);
/** Goes on by one; key.data is NULL after the last. */
dip_status dip_cursor_next(dip_cursor *cursor);
/** Goes to the last entry; key.data is NULL if there is none. */
dip_status dip_cursor_last(dip_cursor *cursor);
void dip_cursor_close(dip_cursor *cursor);

/** A write transaction; its `txn` reads what it wrote. */
typedef struct dip_write dip_write;

dip_status dip_write_begin(dip_write **out, dip_env *env);
const dip_txn *dip_write_txn(const dip_write *write);
dip_status dip_write_put(dip_write *write, dip_db db, dip_bytes key, dip_bytes value);
/** A key that is not there is fine. */
dip_status dip_write_remove(dip_write *write, dip_db db, dip_bytes key);
/** Removes all entries of a sub-database. */
dip_status dip_write_clear(dip_write *write, dip_db db);
/** Opens a sub-database, which is made at once if it is new (an empty one stays if the transaction is dropped). */
dip_status dip_write_db(dip_write *write, const char *name, dip_db *db);
/** Ends the transaction either way and frees it. */
dip_status dip_write_commit(dip_write *write);
void dip_write_abort(dip_write *write);

/** DIP_EINVAL if the calling thread holds a read transaction of `env`: it must not write then. */
dip_status dip_env_check_writable_here(const dip_env *env);

#endif
