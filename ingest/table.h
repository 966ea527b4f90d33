/** A manifest's rows as text cells, whether it was CSV or GeoJSON. */
#ifndef INGEST_TABLE_H
#define INGEST_TABLE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { DIP_TABLE_MAX_COLUMNS = 256 };

typedef struct dip_table {
    char *text; /* all names and cells, 0-terminated, UTF-8 */
    size_t text_length, text_capacity;
    size_t column_count, row_count;
    uint32_t *columns; /* offsets of the names in `text` */
    uint32_t *cells;   /* (row_count, column_count) offsets; an absent cell is "" */
    uint32_t
        *lines; /* where each row begins in the file: line (CSV) or number of the feature, from 1 */
    uint32_t *fields; /* how many cells each row really had */
    size_t cell_capacity, line_capacity, field_capacity;
} dip_table;

/**
 * Reads CSV (RFC 4180): quoted cells with doubled quotes and line ends in them, CRLF or LF, a byte order mark. The
 * separator is the one of comma, semicolon and tab that the first line has most of; empty lines are skipped. A row
 * with too many or too few cells is kept and known by `fields`.
 * Expected failure: DIP_EFORMAT (no header, an open quote, text behind a quote, no UTF-8), with the line's number.
 */
dip_status dip_table_parse_csv(dip_table *out, const char *bytes, size_t length);
void dip_table_fini(dip_table *table);
/** Whether `length` bytes are UTF-8 without 0 bytes. */
bool dip_text_is_utf8(const char *text, size_t length);

const char *dip_table_column(const dip_table *table, size_t column);
const char *dip_table_cell(const dip_table *table, size_t row, size_t column);
/** Position of a column, or -1. */
int dip_table_find(const dip_table *table, const char *name);

/** Writes a cell that dip_table_parse_csv() reads back as it is, in quotes where it needs them. */
void dip_table_write_cell(FILE *out, const char *text);

/* ---- building; text offset 0 is always "" ---- */

dip_status dip_table_begin(dip_table *out);
/** Appends text and gives its offset. */
dip_status dip_table_text(dip_table *table, const char *bytes, size_t length, uint32_t *offset);
/** Columns come before the first row. */
dip_status dip_table_add_column(dip_table *table, const char *name);
/** A row of empty cells; *cells may be filled until the next row is added. */
dip_status dip_table_add_row(dip_table *table, uint32_t line, uint32_t **cells);

#endif
