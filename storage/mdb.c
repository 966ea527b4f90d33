/* LMDB's calls; see mdb.h. */
#include "storage/mdb.h"

#include <errno.h>
#include <lmdb.h>

enum { MAX_READERS = 1022 };

_Static_assert(DIP_MDB_NOT_FOUND == MDB_NOTFOUND && DIP_MDB_MAP_FULL == MDB_MAP_FULL &&
                   DIP_MDB_READERS_FULL == MDB_READERS_FULL &&
                   DIP_MDB_MAP_RESIZED == MDB_MAP_RESIZED,
               "mdb.h has other codes than LMDB");
_Static_assert(_Generic((dip_mdb_dbi)0, MDB_dbi : 1, default : 0),
               "mdb.h has another handle than LMDB");

dip_status dip_mdb_status(int code, const char *doing, const char *path)
{
    switch (code) {
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
                        doing, path, mdb_strerror(code));
    case MDB_READERS_FULL:
        return dip_fail(DIP_EBUSY, "cannot %s '%s': %d readers are active already", doing, path,
                        MAX_READERS);
    case MDB_TXN_FULL:
        return dip_fail(DIP_EINVAL, "cannot %s '%s': the batch is too large; commit more often",
                        doing, path);
    case MDB_DBS_FULL:
        return dip_fail(DIP_ENOTSUP, "cannot %s '%s': it has the most models and modalities, %d",
                        doing, path, DIP_MDB_MOST_DBS - DIP_DB_FIXED);
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
    if (code > 0) {
        errno = code;
        return dip_fail_errno(doing, path);
    }
    return dip_fail(DIP_EIO, "cannot %s '%s': %s", doing, path, mdb_strerror(code));
}

/* ---- environments ---- */

int dip_mdb_open(dip_mdb_env **out, const char *folder, size_t map_bytes, dip_mdb_mode mode)
{
    static const unsigned flags[] = {[DIP_MDB_WRITE] = 0,
                                     [DIP_MDB_READ] = MDB_RDONLY,
                                     [DIP_MDB_READ_UNLOCKED] = MDB_RDONLY | MDB_NOLOCK};
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc) return rc;
    rc = mdb_env_set_maxdbs(env, DIP_MDB_MOST_DBS);
    if (!rc) rc = mdb_env_set_maxreaders(env, MAX_READERS);
    if (!rc) rc = mdb_env_set_mapsize(env, map_bytes);
    if (!rc) rc = mdb_env_open(env, folder, flags[mode] | MDB_NOTLS, 0666);
    if (rc)
        mdb_env_close(env);
    else
        *out = env;
    return rc;
}

void dip_mdb_close(dip_mdb_env *env)
{
    if (env) mdb_env_close(env);
}

int dip_mdb_resize(dip_mdb_env *env, size_t map_bytes)
{
    return mdb_env_set_mapsize(env, map_bytes);
}

int dip_mdb_check_readers(dip_mdb_env *env, int *dead) { return mdb_reader_check(env, dead); }

int dip_mdb_size(dip_mdb_env *env, uint64_t *bytes)
{
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(env, &info);
    if (!rc) rc = mdb_env_stat(env, &stat);
    if (!rc) *bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    return rc;
}

/* ---- transactions ---- */

int dip_mdb_begin(dip_mdb_env *env, bool writing, dip_mdb_txn **out)
{
    return mdb_txn_begin(env, NULL, writing ? 0 : MDB_RDONLY, out);
}

int dip_mdb_commit(dip_mdb_txn *txn) { return mdb_txn_commit(txn); }
void dip_mdb_abort(dip_mdb_txn *txn) { mdb_txn_abort(txn); }
void dip_mdb_reset(dip_mdb_txn *txn) { mdb_txn_reset(txn); }
int dip_mdb_renew(dip_mdb_txn *txn) { return mdb_txn_renew(txn); }
uint64_t dip_mdb_snapshot(dip_mdb_txn *txn) { return mdb_txn_id(txn); }

static MDB_val as_val(dip_bytes bytes) { return (MDB_val){bytes.size, (void *)bytes.data}; }

static dip_bytes as_bytes(MDB_val val) { return (dip_bytes){val.mv_data, val.mv_size}; }

int dip_mdb_open_db(dip_mdb_txn *txn, const char *name, bool create, dip_mdb_dbi *dbi)
{
    return mdb_dbi_open(txn, name, create ? MDB_CREATE : 0, dbi);
}

int dip_mdb_get(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key, dip_bytes *value)
{
    MDB_val k = as_val(key), v;
    int rc = mdb_get(txn, dbi, &k, &v);
    if (!rc) *value = as_bytes(v);
    return rc;
}

int dip_mdb_count(dip_mdb_txn *txn, dip_mdb_dbi dbi, uint64_t *entries)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, dbi, &stat);
    if (!rc) *entries = stat.ms_entries;
    return rc;
}

int dip_mdb_put(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key, dip_bytes value)
{
    MDB_val k = as_val(key), v = as_val(value);
    return mdb_put(txn, dbi, &k, &v, 0);
}

int dip_mdb_remove(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_bytes key)
{
    MDB_val k = as_val(key);
    int rc = mdb_del(txn, dbi, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int dip_mdb_clear(dip_mdb_txn *txn, dip_mdb_dbi dbi) { return mdb_drop(txn, dbi, 0); }

/* ---- cursors ---- */

int dip_mdb_cursor_open(dip_mdb_txn *txn, dip_mdb_dbi dbi, dip_mdb_cursor **out)
{
    return mdb_cursor_open(txn, dbi, out);
}

int dip_mdb_cursor_move(dip_mdb_cursor *cursor, dip_mdb_step step, dip_bytes *key, dip_bytes *value)
{
    static const MDB_cursor_op ops[] = {
        [DIP_MDB_FROM] = MDB_SET_RANGE, [DIP_MDB_NEXT] = MDB_NEXT, [DIP_MDB_LAST] = MDB_LAST};
    MDB_val k = as_val(*key), v;
    int rc = mdb_cursor_get(cursor, &k, &v, ops[step]);
    if (rc) return rc;
    *key = as_bytes(k);
    *value = as_bytes(v);
    return 0;
}

void dip_mdb_cursor_close(dip_mdb_cursor *cursor) { mdb_cursor_close(cursor); }
