/*
 * Feeds arbitrary bytes to the reader of index files, as they are and with checksums made right, so that what stands behind the
 * checksums is reached too. Everything that an accepted file points to is read.
 */
#include "tests/fuzz/index_file.h"

#include "core/mem.h"
#include "index/ids.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const dip_layout_view *view)
{
    const dip_layout *layout = &view->layout;
    dip_id_table table;
    volatile float sum = 0; /* so that the reads stay */
    for (size_t i = 0; view->vectors && i < layout->count * layout->dim; i++)
        sum = sum + view->vectors[i];
    if (layout->kind == DIP_LAYOUT_DELTA) { /* its rows count on from those of a segment */
        for (size_t row = 0; row < layout->base; row++) sum = sum + dip_bit(view->removed, row);
        return;
    }
    if (dip_id_table_init(&table, view->ids, view->removed, layout->count, layout->live, "input"))
        return;
    for (size_t i = 0; i < table.live; i++) {
        uint32_t row = dip_id_table_find(&table, table.sorted[i]);
        if (row >= layout->count || view->ids[row] != table.sorted[i]) __builtin_trap();
    }
    dip_id_table_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_layout_view view;
    uint8_t *bytes = dip_alloc_aligned(size); /* as a map is */
    if (!bytes) return 0;
    memcpy(bytes, data, size);
    if (!dip_layout_parse(&view, bytes, size, "input")) read_all(&view);
    if (size >= DIP_LAYOUT_HEADER) {
        index_file_make_right(bytes, size);
        if (!dip_layout_parse(&view, bytes, size, "input")) read_all(&view);
    }
    dip_free_aligned(bytes);
    return 0;
}
