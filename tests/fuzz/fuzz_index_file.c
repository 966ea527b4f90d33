/*
 * Feeds arbitrary bytes to the reader of index files, as they are and with checksums made right, so that what stands behind the
 * checksums is reached too. Everything that an accepted file points to is read.
 */
#include "index/ids.h"
#include "index/layout.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KIND = 12, COUNT = 16, BODY_HASH = 80, HEADER_HASH = 120 };

static void read_all(const dip_layout_view *view)
{
    const dip_layout *layout = &view->layout;
    dip_id_table table;
    if (dip_id_table_init(&table, view->ids, view->removed, layout->count, layout->live, "input"))
        return;
    for (size_t i = 0; i < table.live; i++) {
        uint32_t row = dip_id_table_find(&table, table.sorted[i]);
        if (row >= layout->count || view->ids[row] != table.sorted[i]) __builtin_trap();
    }
    dip_id_table_fini(&table);
    volatile float sum = 0; /* so that the reads stay */
    for (size_t i = 0; view->vectors && i < layout->count * layout->dim; i++)
        sum = sum + view->vectors[i];
}

/* Both checksums, if the header's counts point into the file. */
static void make_right(uint8_t *bytes, size_t size)
{
    uint32_t kind;
    uint64_t count;
    memcpy(&kind, bytes + KIND, sizeof kind);
    memcpy(&count, bytes + COUNT, sizeof count);
    size_t room = size - DIP_LAYOUT_HEADER;
    if (count <= room / 8) {
        size_t ids = (size_t)count * 8, end = DIP_LAYOUT_HEADER + ids;
        size_t padding = kind == DIP_LAYOUT_VECTORS ? (64 - end % 64) % 64 : 0;
        if (padding <= room - ids) {
            uint64_t hash = dip_hash64(bytes + DIP_LAYOUT_HEADER, ids);
            if (padding) hash = dip_hash64_seed(bytes + end, padding, hash);
            hash = dip_hash64_seed(bytes + end + padding, room - ids - padding, hash);
            memcpy(bytes + BODY_HASH, &hash, sizeof hash);
        }
    }
    uint64_t hash = dip_hash64(bytes, HEADER_HASH);
    memcpy(bytes + HEADER_HASH, &hash, sizeof hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_layout_view view;
    uint8_t *bytes = dip_alloc_aligned(size); /* as a map is */
    if (!bytes) return 0;
    memcpy(bytes, data, size);
    if (!dip_layout_parse(&view, bytes, size, "input")) read_all(&view);
    if (size >= DIP_LAYOUT_HEADER) {
        make_right(bytes, size);
        if (!dip_layout_parse(&view, bytes, size, "input")) read_all(&view);
    }
    dip_free_aligned(bytes);
    return 0;
}
