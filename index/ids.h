/**
 * Local ids and tile ids: an engine numbers its rows 0..count-1, the archive knows tiles.
 * Immutable once made; any number of threads.
 */
#ifndef INDEX_IDS_H
#define INDEX_IDS_H

#include "core/sorted.h"
#include "core/status.h"
#include "index/id_bits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIP_NO_LOCAL UINT32_MAX

typedef struct dip_id_table {
    const uint64_t *ids;     /* of each row; borrowed; NULL: they ascend, none is removed, and */
    dip_id_bits bits;        /* has them; borrowed */
    const uint64_t *removed; /* a bit a row, NULL if none is; borrowed */
    size_t count, live;      /* rows; rows not removed */
    const uint64_t
        *sorted; /* live ids, ascending: `ids` itself if they are, else owned; NULL: see `ids` */
    const uint32_t *locals; /* row of sorted[i]; NULL: i itself; owned */
} dip_id_table;

/** Expected failures: DIP_ENOMEM, DIP_ECORRUPT (an id twice; `path` is for the message). */
dip_status dip_id_table_init(dip_id_table *table, const uint64_t *ids, const uint64_t *removed,
                             size_t count, size_t live, const char *path);
void dip_id_table_fini(dip_id_table *table);

/** The id of a row. */
static inline uint64_t dip_id_table_at(const dip_id_table *table, size_t row)
{
    return table->ids ? table->ids[row] : dip_id_bits_at(&table->bits, row);
}

/** Copies the live ids from the `first` smallest on, ascending, n at most; returns their number. */
size_t dip_id_table_copy(const dip_id_table *table, size_t first, size_t n, uint64_t *out);

/** Row of a live id, or DIP_NO_LOCAL. */
uint32_t dip_id_table_find(const dip_id_table *table, uint64_t id);

/**
 * The rows of those of `wanted` (n, ascending) that are live, in the order of their ids; `locals` has room for n.
 * Returns their number.
 */
size_t dip_id_table_select(const dip_id_table *table, const uint64_t *wanted, size_t n,
                           uint32_t *locals);

/** The same as bits (a bit a row, zeros before). */
size_t dip_id_table_mark(const dip_id_table *table, const uint64_t *wanted, size_t n,
                         uint64_t *bits);

#endif
