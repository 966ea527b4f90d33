/** A table with aligned columns on a stream. Cells are copied; control characters come out as '?'. */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include "core/status.h"

#include <stdio.h>

typedef struct dip_text_table dip_text_table;

/** `columns`: one character a column, 'l' left or 'r' right aligned. */
dip_status dip_text_table_create(dip_text_table **out, const char *columns);
void dip_text_table_destroy(dip_text_table *table);

/** The next cell, row by row; the first row is the heading. A failure is kept and told by print. */
void dip_text_table_add(dip_text_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

dip_status dip_text_table_print(const dip_text_table *table, FILE *out);

#endif
