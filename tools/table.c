/* Aligned tables; see table.h. */
#include "tools/table.h"

#include "core/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

struct dip_text_table {
    const char *columns;
    size_t column_count;
    char **cells; /* row by row */
    size_t count, capacity;
    bool failed;
};

dip_status dip_text_table_create(dip_text_table **out, const char *columns)
{
    dip_text_table *table = dip_calloc(1, sizeof *table);
    if (!table) return DIP_ENOMEM;
    table->columns = columns;
    table->column_count = strlen(columns);
    *out = table;
    return DIP_OK;
}

void dip_text_table_destroy(dip_text_table *table)
{
    if (!table) return;
    for (size_t i = 0; i < table->count; i++) dip_free(table->cells[i]);
    dip_free(table->cells);
    dip_free(table);
}

void dip_text_table_add(dip_text_table *table, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    char *copy = dip_strdup(text);
    if (!copy || dip_array_reserve((void **)&table->cells, &table->capacity, table->count + 1,
                                   sizeof *table->cells)) {
        dip_free(copy);
        table->failed = true;
        return;
    }
    table->cells[table->count++] = copy;
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const dip_text_table *table, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < table->count; i += table->column_count) {
        size_t width = width_of(table->cells[i]);
        if (width > widest) widest = width;
    }
    return widest;
}

/* No blanks behind the last cell that has text. */
static void print_row(const dip_text_table *table, size_t first, const size_t *widths, FILE *out)
{
    char *const *cells = table->cells + first;
    size_t n =
        table->count - first < table->column_count ? table->count - first : table->column_count;
    while (n && !*cells[n - 1]) n--;
    for (size_t c = 0; c < n; c++) {
        int pad = (int)(widths[c] - width_of(cells[c]));
        const char *between = c ? "  " : "";
        if (table->columns[c] == 'r')
            fprintf(out, "%s%*s%s", between, pad, "", cells[c]);
        else
            fprintf(out, "%s%s%*s", between, cells[c], c + 1 < n ? pad : 0, "");
    }
    fputc('\n', out);
}

dip_status dip_text_table_print(const dip_text_table *table, FILE *out)
{
    if (table->failed) return DIP_ENOMEM;
    size_t *widths = dip_alloc(table->column_count * sizeof *widths);
    if (!widths) return DIP_ENOMEM;
    for (size_t c = 0; c < table->column_count; c++) widths[c] = column_width(table, c);
    for (size_t i = 0; i < table->count; i += table->column_count) print_row(table, i, widths, out);
    dip_free(widths);
    return DIP_OK;
}
