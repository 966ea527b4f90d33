/** What env.c (opening, the map, sub-databases), txn.c (reading) and write.c (writing) share. */
#ifndef STORAGE_ENV_INSIDE_H
#define STORAGE_ENV_INSIDE_H

#include "storage/gate.h"
#include "storage/mdb.h"

#include <sys/types.h>

enum { DIP_ENV_MAX_IDLE = 64, DIP_ENV_MAX_TRIES = 16 };

struct dip_env {
    struct dip_env *next; /* in the registry */
    pid_t pid;
    dev_t device;
    ino_t inode;
    unsigned references;

    dip_mdb_env *mdb;
    char *folder, *data_path;
    const char *network; /* name of the network file system, or NULL */
    bool read_only;
    size_t map_bytes;
    bool map_lost; /* it could not be mapped again after a change of size */
    dip_gate gate;

    pthread_mutex_t opening, names_lock;
    char *db_name[DIP_MDB_MOST_DBS];
    dip_mdb_dbi dbi[DIP_MDB_MOST_DBS];
    unsigned db_count;

    pthread_mutex_t idle_lock;
    dip_mdb_txn *idle[DIP_ENV_MAX_IDLE];
    unsigned idle_count;

    bool writer; /* under the registry's lock */
    int lock_fd;
};

/** Waits until no transaction of the process is active, and maps anew. */
dip_status dip_env_resize_map(dip_env *env, size_t bytes);
/** The same, to the size that another process has given it. */
dip_status dip_env_follow_map(dip_env *env);

/** Whether the handle of a sub-database is known already. */
bool dip_env_known_db(dip_env *env, const char *name, dip_db *db);
/** Keeps a new handle. With `opening` held. */
dip_status dip_env_remember_db(dip_env *env, const char *name, dip_mdb_dbi dbi, dip_db *db);

/** Puts a transaction among this thread's, and takes it away. */
void dip_txn_push(dip_txn *txn, dip_env *env, dip_mdb_txn *mdb_txn, bool writing);
void dip_txn_pop(dip_txn *txn);

/** dip_cursor_open() by LMDB's handle. */
dip_status dip_cursor_open_handle(dip_cursor *cursor, const dip_txn *txn, dip_mdb_dbi dbi);

#endif
