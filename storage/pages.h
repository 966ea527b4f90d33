/**
 * The pages of data.mdb, read without LMDB.
 *
 * LMDB trusts its file: a truncated one ends in SIGBUS, a damaged tree page in a wild pointer. So the length is
 * compared with the header before LMDB opens the file, the small trees are checked at every open, and `verify` walks
 * every tree before it reads one through LMDB.
 *
 * Layout of the file (LMDB 0.9, 64-bit, little-endian; p = page size):
 *   page 0, 1   headers; the one with the higher transaction number counts
 *   any page    u64 number, u16 -, u16 kind, then u16 lower, u16 upper (tree page) or u32 pages (long value)
 *   header      at 16: u32 magic 0xBEEFC0DE, u32 version 1, u64 -, u64 map size, tree free, tree main, u64 last page,
 *               u64 transaction
 *   tree        u32 - (in `free`: p), u16 flags, u16 depth, u64 branch, leaf, long pages, u64 entries, u64 root or ~0
 *   tree page   at 16: u16 offsets of its nodes, up to `lower`; nodes from `upper` on
 *   node        u16 low, u16 high, u16 flags, u16 key length, key; branch: page number in low, high, flags; leaf: value
 *               length in low, high, then the value, or (flag 1) the u64 number of its first long page
 */
#ifndef STORAGE_PAGES_H
#define STORAGE_PAGES_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/** DIP_EFORMAT (not LMDB 0.9), DIP_ECORRUPT (shorter than its header says). No lock, no snapshot needed. */
dip_status dip_pages_check_length(const char *path);

/**
 * Checks the trees that opening an archive reads, of the sub-databases' names and of the journal, in the snapshot of a
 * read transaction that the caller holds. DIP_EFORMAT (there is other data in it), DIP_ECORRUPT, DIP_EBUSY (the
 * snapshot's header was overwritten: take a new one).
 */
dip_status dip_pages_check_small(const char *path, uint64_t snapshot);

/** Tells each fault of any tree in one line. As above. */
dip_status dip_pages_check_all(const char *path, uint64_t snapshot,
                               void (*report)(void *payload, const char *line), void *payload,
                               uint64_t *faults);

#endif
