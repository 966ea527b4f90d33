/*
 * Read transactions and cursors; see env.h. A reader whose map has become too small follows it. Finished transactions are kept
 * for reuse: renewing one costs a tenth of making one.
 */
#include "storage/env_inside.h"

#include <errno.h>

static _Thread_local dip_txn *innermost; /* of this thread's transactions */

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

void dip_txn_push(dip_txn *txn, dip_env *env, dip_mdb_txn *mdb_txn, bool writing)
{
    *txn = (dip_txn){env, mdb_txn, innermost, writing};
    innermost = txn;
}

void dip_txn_pop(dip_txn *txn)
{
    dip_txn **link = &innermost;
    while (*link != txn) link = &(*link)->outer;
    *link = txn->outer;
}

static int begin_reading(dip_env *env, dip_mdb_txn **out)
{
    if (env->map_lost) return ENOMEM;
    pthread_mutex_lock(&env->idle_lock);
    dip_mdb_txn *txn = env->idle_count ? env->idle[--env->idle_count] : NULL;
    pthread_mutex_unlock(&env->idle_lock);
    if (!txn) return dip_mdb_begin(env->mdb, false, out);
    int rc = dip_mdb_renew(txn);
    if (rc)
        dip_mdb_abort(txn);
    else
        *out = txn;
    return rc;
}

dip_status dip_txn_begin(dip_txn *txn, dip_env *env)
{
    bool nested = holds(env, false);
    for (int tries = 0;; tries++) {
        dip_mdb_txn *mdb_txn = NULL;
        dip_gate_enter(&env->gate, nested);
        int rc = begin_reading(env, &mdb_txn);
        if (!rc) {
            dip_txn_push(txn, env, mdb_txn, false);
            return DIP_OK;
        }
        dip_gate_leave(&env->gate);
        int dead = 0;
        if (rc == DIP_MDB_READERS_FULL && dip_mdb_check_readers(env->mdb, &dead) == 0 && dead)
            continue;
        if (rc != DIP_MDB_MAP_RESIZED || tries == DIP_ENV_MAX_TRIES)
            return dip_mdb_status(rc, "read", env->data_path);
        if (nested)
            return dip_fail(DIP_EBUSY, "'%s' grew while it was being visited; try again",
                            env->folder);
        dip_status status = dip_env_follow_map(env);
        if (status) return status;
    }
}

void dip_txn_end(dip_txn *txn)
{
    dip_env *env = txn->env;
    dip_txn_pop(txn);
    dip_mdb_reset(txn->txn);
    pthread_mutex_lock(&env->idle_lock);
    bool keep = env->idle_count < DIP_ENV_MAX_IDLE;
    if (keep) env->idle[env->idle_count++] = txn->txn;
    pthread_mutex_unlock(&env->idle_lock);
    if (!keep) dip_mdb_abort(txn->txn);
    dip_gate_leave(&env->gate);
}

uint64_t dip_txn_snapshot(const dip_txn *txn) { return dip_mdb_snapshot(txn->txn); }

dip_status dip_txn_get(const dip_txn *txn, dip_db db, dip_bytes key, dip_bytes *value)
{
    *value = (dip_bytes){NULL, 0};
    int rc = dip_mdb_get(txn->txn, txn->env->dbi[db], key, value);
    if (rc == DIP_MDB_NOT_FOUND) return DIP_OK;
    return dip_mdb_status(rc, "read", txn->env->data_path);
}

dip_status dip_txn_count(const dip_txn *txn, dip_db db, uint64_t *entries)
{
    int rc = dip_mdb_count(txn->txn, txn->env->dbi[db], entries);
    return dip_mdb_status(rc, "read", txn->env->data_path);
}

/* ---- cursors ---- */

static dip_status move(dip_cursor *cursor, dip_mdb_step step, dip_bytes key)
{
    dip_bytes value = {NULL, 0};
    int rc = dip_mdb_cursor_move(cursor->cursor, step, &key, &value);
    cursor->moved = true;
    cursor->key = rc ? (dip_bytes){NULL, 0} : key;
    cursor->value = value;
    if (rc == DIP_MDB_NOT_FOUND) return DIP_OK;
    return dip_mdb_status(rc, "read", cursor->txn->env->data_path);
}

dip_status dip_cursor_open_handle(dip_cursor *cursor, const dip_txn *txn, dip_mdb_dbi dbi)
{
    dip_mdb_cursor *mdb_cursor = NULL;
    int rc = dip_mdb_cursor_open(txn->txn, dbi, &mdb_cursor);
    *cursor = (dip_cursor){.cursor = mdb_cursor, .txn = txn};
    return dip_mdb_status(rc, "read", txn->env->data_path);
}

dip_status dip_cursor_open(dip_cursor *cursor, const dip_txn *txn, dip_db db, const dip_bytes *from)
{
    dip_status status = dip_cursor_open_handle(cursor, txn, txn->env->dbi[db]);
    if (status || !from) return status;
    status = move(cursor, DIP_MDB_FROM, *from);
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
    return move(cursor, DIP_MDB_NEXT, (dip_bytes){NULL, 0});
}

dip_status dip_cursor_last(dip_cursor *cursor)
{
    return move(cursor, DIP_MDB_LAST, (dip_bytes){NULL, 0});
}

void dip_cursor_close(dip_cursor *cursor)
{
    if (cursor->cursor) dip_mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
}
