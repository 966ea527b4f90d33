/**
 * Records that were found whole: while the store's snapshot stays, their checksum need not be computed again.
 *
 * A block of embeddings is 16 KB of which a search reads one vector; its checksum would cost sixty times the reading.
 * Damage is told at the first read of a process and after every change of the store, and by verify always. A table of
 * fixed size: what falls out of it is checked anew.
 * Threads: all functions from any.
 */
#ifndef STORAGE_CHECKED_H
#define STORAGE_CHECKED_H

#include "storage/env.h"

typedef struct dip_checked dip_checked;

/** DIP_ENOMEM. */
dip_status dip_checked_create(dip_checked **out);
void dip_checked_destroy(dip_checked *checked);

/** The record with this key in a sub-database, as a snapshot (dip_txn_snapshot()) has it. */
typedef struct dip_checked_record {
    uint64_t snapshot, db, key;
} dip_checked_record;

bool dip_checked_has(const dip_checked *checked, const dip_checked_record *record);
void dip_checked_add(dip_checked *checked, const dip_checked_record *record);

#endif
