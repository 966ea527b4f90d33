/* A table of hashes, each in the one place that its low bits name; see checked.h. */
#include "storage/checked.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stdatomic.h>

enum { PLACES = 1 << 18 }; /* 2 MB; blocks of 32 million embeddings */

struct dip_checked {
    _Atomic uint64_t marks[PLACES];
};

dip_status dip_checked_create(dip_checked **out)
{
    *out = dip_calloc(1, sizeof **out);
    return *out ? DIP_OK : DIP_ENOMEM;
}

void dip_checked_destroy(dip_checked *checked) { dip_free(checked); }

/* Never 0, which is an empty place. */
static uint64_t mark_of(const dip_checked_record *record)
{
    return dip_hash64(record, sizeof *record) | (uint64_t)1 << 63;
}

bool dip_checked_has(const dip_checked *checked, const dip_checked_record *record)
{
    uint64_t mark = mark_of(record);
    return atomic_load_explicit(&checked->marks[mark % PLACES], memory_order_relaxed) == mark;
}

void dip_checked_add(dip_checked *checked, const dip_checked_record *record)
{
    uint64_t mark = mark_of(record);
    atomic_store_explicit(&checked->marks[mark % PLACES], mark, memory_order_relaxed);
}
