/* Feeds arbitrary bytes to the readers of manifests: '{' begins GeoJSON, anything else is CSV. Every cell is touched. */
#include "ingest/table.h"

#include "core/mem.h"
#include "ingest/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What becomes of a row's further columns. */
static void make_extra(const dip_table *t, size_t row)
{
    const char *keys[DIP_TABLE_MAX_COLUMNS], *values[DIP_TABLE_MAX_COLUMNS];
    char *text;
    for (size_t c = 0; c < t->column_count; c++) {
        keys[c] = dip_table_column(t, c);
        values[c] = dip_table_cell(t, row, c);
        if (strlen(values[c]) > t->text_length) __builtin_trap();
    }
    if (!dip_extra_object(&text, keys, values, t->column_count)) dip_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_table t;
    const char *bytes = (const char *)data;
    dip_status status = size && bytes[0] == '{' ? dip_table_parse_geojson(&t, bytes, size)
                                                : dip_table_parse_csv(&t, bytes, size);
    if (status) return 0;
    for (size_t c = 0; c < t.column_count; c++) {
        const char *name = dip_table_column(&t, c);
        if (*name && dip_table_find(&t, name) != (int)c) __builtin_trap();
    }
    for (size_t row = 0; row < t.row_count; row++) make_extra(&t, row);
    dip_table_fini(&t);
    return 0;
}
