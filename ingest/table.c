/*
 * Tables of text cells; see table.h.
 *
 * All text lies in one growing block and cells are 32-bit offsets into it, so that a manifest of a million rows costs
 * little more than its file. The CSV reader is a cursor that takes one cell after the other.
 */
#include "ingest/table.h"

#include "core/mem.h"

#include <string.h>

dip_status dip_table_begin(dip_table *out)
{
    uint32_t empty;
    memset(out, 0, sizeof *out);
    return dip_table_text(out, "", 0, &empty);
}

void dip_table_fini(dip_table *table)
{
    dip_free(table->text);
    dip_free(table->columns);
    dip_free(table->cells);
    dip_free(table->lines);
    dip_free(table->fields);
    memset(table, 0, sizeof *table);
}

const char *dip_table_column(const dip_table *table, size_t column)
{
    return table->text + table->columns[column];
}

const char *dip_table_cell(const dip_table *table, size_t row, size_t column)
{
    return table->text + table->cells[row * table->column_count + column];
}

int dip_table_find(const dip_table *table, const char *name)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (!strcmp(dip_table_column(table, c), name)) return (int)c;
    return -1;
}

dip_status dip_table_text(dip_table *table, const char *bytes, size_t length, uint32_t *offset)
{
    if (length >= UINT32_MAX - table->text_length - 1)
        return dip_fail(DIP_EFORMAT, "a manifest may hold 4 GiB of text; split it");
    if (dip_array_reserve((void **)&table->text, &table->text_capacity,
                          table->text_length + length + 1, 1))
        return DIP_ENOMEM;
    *offset = (uint32_t)table->text_length;
    if (length) memcpy(table->text + table->text_length, bytes, length);
    table->text_length += length;
    table->text[table->text_length++] = '\0';
    return DIP_OK;
}

dip_status dip_table_add_column(dip_table *table, const char *name)
{
    if (table->column_count == DIP_TABLE_MAX_COLUMNS)
        return dip_fail(DIP_EFORMAT, "a manifest may have %d columns", (int)DIP_TABLE_MAX_COLUMNS);
    if (!table->columns) {
        table->columns = dip_calloc(DIP_TABLE_MAX_COLUMNS, sizeof *table->columns);
        if (!table->columns) return DIP_ENOMEM;
    }
    dip_status status =
        dip_table_text(table, name, strlen(name), &table->columns[table->column_count]);
    if (!status) table->column_count++;
    return status;
}

dip_status dip_table_add_row(dip_table *table, uint32_t line, uint32_t **cells)
{
    size_t row = table->row_count, width = table->column_count;
    if (dip_array_reserve((void **)&table->cells, &table->cell_capacity, (row + 1) * width,
                          sizeof *table->cells) ||
        dip_array_reserve((void **)&table->lines, &table->line_capacity, row + 1,
                          sizeof *table->lines) ||
        dip_array_reserve((void **)&table->fields, &table->field_capacity, row + 1,
                          sizeof *table->fields))
        return DIP_ENOMEM;
    *cells = table->cells + row * width;
    memset(*cells, 0, width * sizeof **cells);
    table->lines[row] = line;
    table->fields[row] = (uint32_t)width;
    table->row_count++;
    return DIP_OK;
}

/* ---- CSV ---- */

typedef struct csv {
    const char *at, *end;
    char separator;
    uint32_t line;
    char *cell; /* the cell last taken, without quotes */
    size_t length, capacity;
    bool row_ended;
} csv;

/* Length of the UTF-8 sequence at `s`, 0 if there is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) return s[0] ? 1 : 0;
    size_t n = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (n == 0 || s[0] >= 0xf8 || n > left) return 0;
    unsigned code = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[n] || code > 0x10ffff || surrogate ? 0 : n;
}

bool dip_text_is_utf8(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n)
        if (!(n = utf8_length((const unsigned char *)text + i, length - i))) return false;
    return true;
}

static dip_status check_text(const char *bytes, size_t length)
{
    uint32_t line = 1;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length((const unsigned char *)bytes + i, length - i);
        if (!n)
            return dip_fail(DIP_EFORMAT, "line %u is not UTF-8 text; save the manifest as UTF-8",
                            line);
        line += bytes[i] == '\n';
        i += n;
    }
    return DIP_OK;
}

static char find_separator(const char *at, const char *end)
{
    static const char candidates[] = {',', ';', '\t'};
    size_t counts[3] = {0};
    bool quoted = false;
    for (; at < end && (quoted || (*at != '\n' && *at != '\r')); at++) {
        if (*at == '"') quoted = !quoted;
        for (int i = 0; i < 3 && !quoted; i++) counts[i] += *at == candidates[i];
    }
    int best = 0;
    for (int i = 1; i < 3; i++)
        if (counts[i] > counts[best]) best = i;
    return candidates[best];
}

static int put(csv *c, char byte)
{
    if (dip_array_reserve((void **)&c->cell, &c->capacity, c->length + 1, 1)) return -1;
    c->cell[c->length++] = byte;
    return 0;
}

static dip_status take_quoted(csv *c)
{
    uint32_t opened = c->line;
    for (c->at++; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            if (c->at + 1 == c->end || c->at[1] != '"') {
                c->at++;
                return DIP_OK;
            }
            c->at++;
        }
        c->line += *c->at == '\n';
        if (put(c, *c->at)) return DIP_ENOMEM;
    }
    return dip_fail(DIP_EFORMAT, "line %u opens a quote that is never closed", opened);
}

static bool at_row_end(const csv *c) { return c->at == c->end || *c->at == '\n' || *c->at == '\r'; }

static void skip_row_end(csv *c)
{
    if (c->at < c->end && *c->at == '\r') c->at++;
    if (c->at < c->end && *c->at == '\n') c->at++;
    c->line++;
}

/* Takes one cell and the separator or row end behind it. */
static dip_status take_cell(csv *c)
{
    c->length = 0;
    if (c->at < c->end && *c->at == '"') {
        dip_status status = take_quoted(c);
        if (status) return status;
        if (!at_row_end(c) && *c->at != c->separator)
            return dip_fail(DIP_EFORMAT, "line %u has text behind a closing quote", c->line);
    } else {
        for (; !at_row_end(c) && *c->at != c->separator; c->at++)
            if (put(c, *c->at)) return DIP_ENOMEM;
    }
    c->row_ended = at_row_end(c);
    if (c->row_ended)
        skip_row_end(c);
    else
        c->at++;
    return DIP_OK;
}

static void skip_empty_rows(csv *c)
{
    while (c->at < c->end && at_row_end(c)) skip_row_end(c);
}

/* Column names lose the blanks around them. */
static dip_status take_header(csv *c, dip_table *table)
{
    skip_empty_rows(c);
    if (c->at == c->end) return dip_fail(DIP_EFORMAT, "the manifest is empty");
    do {
        dip_status status = take_cell(c);
        if (!status && put(c, '\0')) status = DIP_ENOMEM;
        if (status) return status;
        char *name = c->cell;
        while (*name == ' ') name++;
        for (size_t n = strlen(name); n && name[n - 1] == ' ';) name[--n] = '\0';
        if (*name && dip_table_find(table, name) >= 0)
            return dip_fail(DIP_EFORMAT, "the header names column '%s' twice", name);
        status = dip_table_add_column(table, name);
        if (status) return status;
    } while (!c->row_ended);
    return DIP_OK;
}

static dip_status take_row(csv *c, dip_table *table)
{
    uint32_t *cells, found = 0;
    dip_status status = dip_table_add_row(table, c->line, &cells);
    do {
        if (!status) status = take_cell(c);
        if (!status && found < table->column_count && c->length)
            status = dip_table_text(table, c->cell, c->length, &cells[found]);
        found++;
    } while (!status && !c->row_ended);
    if (!status) table->fields[table->row_count - 1] = found;
    return status;
}

dip_status dip_table_parse_csv(dip_table *out, const char *bytes, size_t length)
{
    if (length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
        bytes += 3;
        length -= 3;
    }
    dip_table table;
    csv c = {.at = bytes, .end = bytes + length, .line = 1};
    dip_status status = dip_table_begin(&table);
    if (!status) status = check_text(bytes, length);
    if (!status) {
        c.separator = find_separator(c.at, c.end);
        status = take_header(&c, &table);
    }
    skip_empty_rows(&c);
    while (!status && c.at < c.end) {
        status = take_row(&c, &table);
        skip_empty_rows(&c);
    }
    dip_free(c.cell);
    if (status)
        dip_table_fini(&table);
    else
        *out = table;
    return status;
}

/* Whatever may be a separator is quoted: a reader guesses which one it is. */
void dip_table_write_cell(FILE *out, const char *text)
{
    if (!strpbrk(text, ",;\t\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}
