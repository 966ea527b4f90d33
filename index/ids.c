/*
 * Local ids and tile ids; see ids.h. The usual table (rows in the order of their ids, none removed) needs no
 * memory of its own; after an update the live rows are sorted by id once, when the index is opened. They are sorted
 * already but for what came later, which is mostly sorted too: two runs are merged.
 */
#include "index/ids.h"

#include "core/mem.h"
#include "index/layout.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    uint64_t id;
    uint32_t local;
} entry;

static int by_id(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool in_order(const dip_id_table *table)
{
    if (table->live != table->count) return false;
    for (size_t i = 1; i < table->count; i++)
        if (table->ids[i - 1] >= table->ids[i]) return false;
    return true;
}

static dip_status damaged(const char *path, const char *what, uint64_t id)
{
    return dip_fail(DIP_ECORRUPT, "'%s' is damaged: %s %llu; run diptych index again", path, what,
                    (unsigned long long)id);
}

static dip_status unpack(dip_id_table *table, const entry *entries, const char *path)
{
    uint64_t *sorted = dip_alloc(table->live * sizeof *sorted);
    uint32_t *locals = dip_alloc(table->live * sizeof *locals);
    table->sorted = sorted;
    table->locals = locals;
    if (!sorted || !locals) return DIP_ENOMEM;
    for (size_t i = 0; i < table->live; i++) {
        if (i && entries[i].id == entries[i - 1].id)
            return damaged(path, "it holds twice the tile", entries[i].id);
        sorted[i] = entries[i].id;
        locals[i] = entries[i].local;
    }
    return DIP_OK;
}

/* End of the ascending run that begins at `at`. */
static size_t run_end(const entry *entries, size_t at, size_t n)
{
    while (at + 1 < n && entries[at].id < entries[at + 1].id) at++;
    return at < n ? at + 1 : n;
}

static dip_status merge(entry *entries, size_t middle, size_t n)
{
    size_t left = middle, right = n, at = n;
    entry *later = dip_alloc((n - middle) * sizeof *later);
    if (!later) return DIP_ENOMEM;
    memcpy(later, entries + middle, (n - middle) * sizeof *later);
    while (right > middle) {
        bool from_left = left && entries[left - 1].id > later[right - middle - 1].id;
        entries[--at] = from_left ? entries[--left] : later[--right - middle];
    }
    dip_free(later);
    return DIP_OK;
}

static dip_status sort(entry *entries, size_t n)
{
    size_t middle = run_end(entries, 0, n);
    if (middle == n) return DIP_OK;
    if (run_end(entries, middle, n) == n) return merge(entries, middle, n);
    qsort(entries, n, sizeof *entries, by_id);
    return DIP_OK;
}

dip_status dip_id_table_init(dip_id_table *table, const uint64_t *ids, const uint64_t *removed,
                             size_t count, size_t live, const char *path)
{
    *table = (dip_id_table){
        .ids = ids, .removed = live < count ? removed : NULL, .count = count, .live = live};
    if (in_order(table)) {
        table->sorted = ids;
        return DIP_OK;
    }
    entry *entries = dip_alloc(live * sizeof *entries);
    if (!entries) return DIP_ENOMEM;
    size_t n = 0;
    for (size_t row = 0; row < count && n < live; row++)
        if (!table->removed || !dip_bit(table->removed, row))
            entries[n++] = (entry){ids[row], (uint32_t)row};
    dip_status status = sort(entries, n);
    if (!status) status = unpack(table, entries, path);
    dip_free(entries);
    if (status) dip_id_table_fini(table);
    return status;
}

void dip_id_table_fini(dip_id_table *table)
{
    if (table->sorted != table->ids) dip_free((void *)(uintptr_t)table->sorted);
    dip_free((void *)(uintptr_t)table->locals);
    *table = (dip_id_table){0};
}

size_t dip_id_table_copy(const dip_id_table *table, size_t first, size_t n, uint64_t *out)
{
    if (first >= table->live) return 0;
    if (n > table->live - first) n = table->live - first;
    if (table->sorted)
        memcpy(out, table->sorted + first, n * sizeof *out);
    else
        dip_id_bits_copy(&table->bits, first, n, out);
    return n;
}

uint32_t dip_id_table_find(const dip_id_table *table, uint64_t id)
{
    if (!table->sorted) {
        dip_id_cursor cursor = {0, 0};
        size_t row;
        return dip_id_bits_find(&table->bits, &cursor, id, &row) ? (uint32_t)row : DIP_NO_LOCAL;
    }
    size_t at = dip_ids_lower_bound(table->sorted, table->live, id);
    if (at == table->live || table->sorted[at] != id) return DIP_NO_LOCAL;
    return table->locals ? table->locals[at] : (uint32_t)at;
}

/* From `at` on, doubling the step: cheap for a few wanted ids among many, and for nearly all of them. */
static size_t gallop(const dip_id_table *table, size_t at, uint64_t id)
{
    size_t step = 1, low = at;
    while (low + step < table->live && table->sorted[low + step] < id) {
        low += step;
        step *= 2;
    }
    size_t end = low + step < table->live ? low + step + 1 : table->live;
    return low + dip_ids_lower_bound(table->sorted + low, end - low, id);
}

size_t dip_id_table_select(const dip_id_table *table, const uint64_t *wanted, size_t n,
                           uint32_t *locals)
{
    size_t found = 0, at = 0;
    if (!table->sorted) {
        dip_id_cursor cursor = {0, 0};
        for (size_t i = 0; i < n; i++) {
            if (i && wanted[i] == wanted[i - 1]) continue;
            if (dip_id_bits_find(&table->bits, &cursor, wanted[i], &at))
                locals[found++] = (uint32_t)at;
        }
        return found;
    }
    for (size_t i = 0; i < n && at < table->live; i++) {
        if (i && wanted[i] == wanted[i - 1]) continue;
        at = gallop(table, at, wanted[i]);
        if (at < table->live && table->sorted[at] == wanted[i])
            locals[found++] = table->locals ? table->locals[at] : (uint32_t)at;
    }
    return found;
}

/* Few among many: from one to the next. */
static size_t mark_few(const dip_id_table *table, const uint64_t *wanted, size_t n, uint64_t *bits)
{
    size_t found = 0, at = 0;
    for (size_t i = 0; i < n && at < table->live; i++) {
        if (i && wanted[i] == wanted[i - 1]) continue;
        at = gallop(table, at, wanted[i]);
        if (at == table->live || table->sorted[at] != wanted[i]) continue;
        dip_bit_set(bits, table->locals ? table->locals[at] : at);
        found++;
    }
    return found;
}

/* Otherwise one step a row without a branch that depends on the ids: which rows are wanted has no pattern. */
size_t dip_id_table_mark(const dip_id_table *table, const uint64_t *wanted, size_t n,
                         uint64_t *bits)
{
    enum { FEW = 8 };
    if (!table->sorted) return dip_id_bits_mark(&table->bits, wanted, n, bits);
    if (n < table->live / FEW) return mark_few(table, wanted, n, bits);
    size_t found = 0, at = 0, i = 0;
    while (i < n && at < table->live) {
        uint64_t id = table->sorted[at], want = wanted[i];
        bool hit = id == want;
        size_t row = table->locals ? table->locals[at] : at;
        bits[row / 64] |= (uint64_t)hit << row % 64;
        found += hit;
        i += want <= id;
        at += id <= want;
    }
    return found;
}
