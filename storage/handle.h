/** Inside of dip_archive and dip_batch, for the files of this folder. */
#ifndef STORAGE_HANDLE_H
#define STORAGE_HANDLE_H

#include <diptych/archive.h>

#include "storage/checked.h"
#include "storage/codec.h"
#include "storage/config.h"
#include "storage/env.h"
#include "storage/record.h"

#include <pthread.h>
#include <stdatomic.h>

/** A modality as declared; a redeclared one keeps what it replaced, because callers hold pointers to it. */
typedef struct dip_modality_node {
    dip_modality modality;
    struct dip_modality_node *before;
} dip_modality_node;

struct dip_archive {
    char *path, *config_path;
    char title[DIP_TITLE_CAPACITY], created_by[48];
    dip_archive_mode mode;
    dip_env *env;
    bool locked; /* we are the writer */
    dip_codec *codec;
    dip_checked *checked; /* blocks of embeddings */

    pthread_mutex_t modality_lock; /* of declarations; readers go by the count */
    _Atomic(dip_modality_node *) modalities[DIP_MAX_MODALITIES];
    atomic_uint modality_count;

    pthread_mutex_t batch_lock;
    pthread_cond_t batch_over;
    bool batch_open;
    pthread_t batch_thread;
};

/** DIP_EINVAL if the position is beyond the modalities, or the archive is not open for writing. */
dip_status dip_archive_check_modality(const dip_archive *archive, uint32_t position);
dip_status dip_archive_check_writable(const dip_archive *archive);

/* ---- sets of embeddings: sub-databases called embedding.<model>.<modality> ---- */

enum { DIP_SET_NAME_CAPACITY = 512 };

/** DIP_EINVAL for a model that cannot be a part of the name. */
dip_status dip_set_name(char name[DIP_SET_NAME_CAPACITY], const dip_archive *archive,
                        const char *model, uint32_t modality);
/** Splits a name; false if it is no set of a modality of the archive. */
bool dip_set_split(const dip_archive *archive, const char *name, char model[DIP_MODEL_CAPACITY],
                   uint32_t *modality);

/* ---- batches ---- */

typedef struct dip_pending dip_pending;

struct dip_batch {
    dip_archive *archive;
    dip_write *write;
    dip_totals totals;
    uint64_t number;
    bool changed, failed;
    bool recount_tiles, recount_sets; /* damage was dropped: the totals have to be counted anew */
    dip_out record;
    /* sets of embeddings there are */
    char **set_names;
    dip_db *sets;
    size_t set_count;
    /* tiles whose pixels are still to be compressed and put */
    dip_pending **pending;
    size_t pending_count, pending_capacity, pending_bytes;
};

/** Puts a sealed record. Marks the batch as failed if it cannot. */
dip_status dip_batch_put(dip_batch *batch, dip_db db, dip_bytes key, const dip_out *record);
dip_status dip_batch_delete(dip_batch *batch, dip_db db, dip_bytes key);
/** Compresses and puts what is pending. */
dip_status dip_batch_flush(dip_batch *batch);
/** A failure that leaves the batch in pieces. */
dip_status dip_batch_broken(dip_batch *batch, dip_status status);

/** Takes a tile out of one set of embeddings. *found tells whether it was in. */
dip_status dip_set_forget(dip_batch *batch, dip_db set, uint64_t id, bool *found);

/**
 * Counts what the journal's totals say of tiles, and of embeddings; the rest of *totals is left alone. What a damaged
 * record held counts as nothing.
 */
dip_status dip_totals_count_tiles(const dip_txn *txn, dip_totals *totals);
dip_status dip_totals_count_sets(const dip_txn *txn, const dip_db *sets, size_t set_count,
                                 dip_totals *totals);

#endif
