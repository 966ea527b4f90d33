/**
 * LMDB's calls as the store needs them, one by one; mdb.c is the only user of lmdb.h. When which of them may be called, and by
 * whom, is known to env.c, txn.c and write.c.
 *
 * They return LMDB's code: 0, one of those below, an errno, or another that only dip_mdb_status() understands.
 */
#ifndef STORAGE_MDB_H
#define STORAGE_MDB_H

#include "storage/env.h"

enum {
    DIP_MDB_MOST_DBS = 512, /* five of our own, the rest one a model and modality */
    DIP_MDB_NOT_FOUND = -30798,
    DIP_MDB_MAP_FULL = -30792,
    DIP_MDB_READERS_FULL = -30790,
    DIP_MDB_MAP_RESIZED = -30785,
};

typedef struct MDB_env dip_mdb_env;
typedef struct MDB_txn dip_mdb_txn;
typedef struct MDB_cursor dip_mdb_cursor;
typedef unsigned dip_mdb_dbi;

/** The failure that a code means: "cannot <doing> '<path>': ...". DIP_OK of 0. */
dip_status dip_mdb_status(int code, const char *doing, const char *path);

/* ---- environments ---- */

typedef enum dip_mdb_mode { DIP_MDB_WRITE, DIP_MDB_READ, DIP_MDB_READ_UNLOCKED } dip_mdb_mode;

int dip_mdb_open(dip_mdb_env **out, const char *folder, size_t map_bytes, dip_mdb_mode mode);
void dip_mdb_close(dip_mdb_env *env);
int dip_mdb_resize(dip_mdb_env *env, size_t map_bytes);
/** Lets go of the snapshots that killed readers hold; *dead: how many. */
int dip_mdb_check_readers(dip_mdb_env *env, int *dead);
/** Bytes of the file that are in use. */
int dip_mdb_size(dip_mdb_env *env, uint64_t *bytes);

/* ---- transactions ---- */

int dip_mdb_begin(dip_mdb_env *env, bool writing, dip_mdb_txn **out);
int dip_mdb_commit(dip_mdb_txn *txn);
void dip_mdb_abort(dip_mdb_txn *txn);
/** A read transaction that is put aside, and taken up again with the newest snapshot. */
void dip_mdb_reset(dip_mdb_txn *txn);
int dip_mdb_renew(dip_mdb_txn *txn);
uint64_t dip_mdb_snapshot(dip_mdb_txn *txn);

/** name NULL: the one that lists the others. */
int dip_mdb_open_db(dip_mdb_txn *txn, const char *name, bool create, dip_mdb_dbi *dbi);
int dip_mdb_get(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key, dip_bytes *value);
int dip_mdb_count(dip_mdb_txn *txn, dip_mdb_dbi dbi, uint64_t *entries);
int dip_mdb_put(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key, dip_bytes value);
/** A key that is not there is fine. */
int dip_mdb_remove(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key);
int dip_mdb_clear(dip_mdb_txn *txn, dip_mdb_dbi dbi);

/* ---- cursors ---- */

typedef enum dip_mdb_step { DIP_MDB_FROM, DIP_MDB_NEXT, DIP_MDB_LAST } dip_mdb_step;

int dip_mdb_cursor_open(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_mdb_cursor **out);
/** DIP_MDB_FROM: to the first key not less than *key. DIP_MDB_NOT_FOUND: there is none; key and value are left alone. */
int dip_mdb_cursor_move(dip_mdb_cursor *cursor, dip_mdb_step step, dip_bytes *key,
                        dip_bytes *value);
void dip_mdb_cursor_close(dip_mdb_cursor *cursor);

#endif
