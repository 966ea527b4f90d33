/*
 * Write transactions; see env.h. A transaction keeps a log of its changes. One that meets the end of the map ends, waits to be
 * alone, doubles the map, begins again and replays the log. Nobody else writes in between, so the replay meets the state
 * that the first try met.
 */
#include "core/mem.h"
#include "storage/env_inside.h"

#include <errno.h>
#include <string.h>

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
    dip_mdb_txn *mdb_txn;
    dip_gate_enter(&env->gate, false);
    int rc = env->map_lost ? ENOMEM : dip_mdb_begin(env->mdb, true, &mdb_txn);
    if (rc) {
        dip_gate_leave(&env->gate);
        return dip_mdb_status(rc, "write", env->data_path);
    }
    dip_txn_push(&write->txn, env, mdb_txn, true);
    write->active = true;
    return DIP_OK;
}

/* After LMDB's transaction has ended. */
static void stop(dip_write *write)
{
    if (!write->active) return;
    dip_txn_pop(&write->txn);
    dip_gate_leave(&write->txn.env->gate);
    write->active = false;
}

static void drop(dip_write *write)
{
    if (write->active) dip_mdb_abort(write->txn.txn);
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
    dip_mdb_dbi dbi = write->txn.env->dbi[c->db];
    const char *bytes = (const char *)(c + 1);
    dip_bytes key = {bytes, c->key_size}, value = {bytes + c->key_size, c->value_size};
    if (c->kind == PUT) return dip_mdb_put(write->txn.txn, dbi, key, value);
    if (c->kind == CLEAR) return dip_mdb_clear(write->txn.txn, dbi);
    return dip_mdb_remove(write->txn.txn, dbi, key);
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
        if (!status) status = dip_env_resize_map(env, env->map_bytes * 2);
        if (!status) status = start(write);
        if (status) return status;
        int rc = replay(write);
        if (!rc) return DIP_OK;
        if (rc == DIP_MDB_MAP_FULL) continue;
        drop(write);
        return dip_mdb_status(rc, "write", env->data_path);
    }
}

/* After LMDB's answer to a change: a failed transaction is of no more use. */
static dip_status settle(dip_write *write, int rc)
{
    if (rc == DIP_MDB_MAP_FULL) return grow(write);
    if (!rc) return DIP_OK;
    drop(write);
    return dip_mdb_status(rc, "write", write->txn.env->data_path);
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
static int create_handle(dip_env *env, const char *name, dip_mdb_dbi *dbi)
{
    dip_mdb_txn *txn;
    int rc = env->map_lost ? ENOMEM : dip_mdb_begin(env->mdb, true, &txn);
    if (rc) return rc;
    rc = dip_mdb_open_db(txn, name, true, dbi);
    if (!rc) return dip_mdb_commit(txn);
    dip_mdb_abort(txn);
    return rc;
}

/* With no transaction of this thread active. */
static dip_status create_db(dip_env *env, const char *name, dip_db *db)
{
    for (;;) {
        dip_mdb_dbi dbi = 0;
        int rc = 0;
        dip_status status = DIP_OK;
        dip_gate_enter(&env->gate, false);
        pthread_mutex_lock(&env->opening);
        if (!dip_env_known_db(env, name, db)) {
            rc = create_handle(env, name, &dbi);
            if (!rc) status = dip_env_remember_db(env, name, dbi, db);
        }
        pthread_mutex_unlock(&env->opening);
        dip_gate_leave(&env->gate);
        if (rc == DIP_MDB_MAP_FULL)
            status = dip_env_resize_map(env, env->map_bytes * 2);
        else if (rc)
            status = dip_mdb_status(rc, "write", env->data_path);
        if (status || !rc) return status;
    }
}

dip_status dip_write_db(dip_write *write, const char *name, dip_db *db)
{
    if (dip_env_known_db(write->txn.env, name, db)) return DIP_OK;
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
        int rc = dip_mdb_commit(write->txn.txn);
        stop(write);
        if (!rc) break;
        status = rc == DIP_MDB_MAP_FULL ? grow(write) : dip_mdb_status(rc, "write", env->data_path);
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
