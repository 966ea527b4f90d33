/* CSV: RFC 4180 and what programs really write. */
#define _POSIX_C_SOURCE 200809L
#include "tests/ingest/support.h"

#include "ingest/table.h"

#include <stdlib.h>

static dip_status parse(dip_table *table, const char *text)
{
    return dip_table_parse_csv(table, text, strlen(text));
}

/* Rows are written "cell|cell/cell|cell". */
static void check_cells(const char *text, const char *columns, const char *rows)
{
    dip_table t;
    char found[512] = "";
    size_t used = 0;
    assert_ok(parse(&t, text));
    for (size_t c = 0; c < t.column_count; c++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", c ? "|" : "",
                                 dip_table_column(&t, c));
    assert_string_equal(found, columns);
    found[used = 0] = '\0';
    for (size_t r = 0; r < t.row_count; r++)
        for (size_t c = 0; c < t.column_count; c++)
            used += (size_t)snprintf(found + used, sizeof found - used, "%s%s",
                                     c   ? "|"
                                     : r ? "/"
                                         : "",
                                     dip_table_cell(&t, r, c));
    assert_string_equal(found, rows);
    dip_table_fini(&t);
}

static void test_cells(void **state)
{
    (void)state;
    static const struct {
        const char *text, *columns, *rows;
    } cases[] = {
        {"a,b\n1,2\n3,4\n", "a|b", "1|2/3|4"},
        {"a,b\r\n1,2\r\n3,4\r\n", "a|b", "1|2/3|4"},
        {"a,b\n1,2\n3,4", "a|b", "1|2/3|4"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         "a|b", "1|2"},
        {"\n\na,b\n\n1,2\n\n\n3,4\n\n", "a|b", "1|2/3|4"},
        {" a , b \n1, 2\n", "a|b", "1| 2"},
        {"a;b\n1,5;2\n", "a|b", "1,5|2"},
        {"a\tb\n1\t2\n", "a|b", "1|2"},
        {"a,b\n\"x,y\",\"say \"\"so\"\"\"\n", "a|b", "x,y|say \"so\""},
        {"a,b\n\"two\nlines\",\"\"\n1,\n", "a|b", "two\nlines|/1|"},
        {"\"a,1\",b\n1,2\n", "a,1|b", "1|2"},
        {"a\nx\"y\n", "a", "x\"y"},
        {"a,b\n", "a|b", ""},
        {"a,b\nS\xc3\xbc"
         "d,\xe2\x82\xac\n",
         "a|b",
         "S\xc3\xbc"
         "d|\xe2\x82\xac"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_cells(cases[i].text, cases[i].columns, cases[i].rows);
}

/* The number of a row's first line, and how many cells it had. */
static void test_lines_and_fields(void **state)
{
    (void)state;
    dip_table t;
    assert_ok(parse(&t, "a,b\n\"1\n1\",2\n3\n4,5,6\n"));
    static const uint32_t lines[] = {2, 4, 5}, fields[] = {2, 1, 3};
    assert_int_equal(t.row_count, 3);
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(t.lines[r], lines[r]);
        assert_int_equal(t.fields[r], fields[r]);
    }
    assert_string_equal(dip_table_cell(&t, 1, 0), "3");
    assert_string_equal(dip_table_cell(&t, 1, 1), "");
    assert_string_equal(dip_table_cell(&t, 2, 1), "5");
    assert_int_equal(dip_table_find(&t, "b"), 1);
    assert_int_equal(dip_table_find(&t, "c"), -1);
    dip_table_fini(&t);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "empty"},
        {"\n\r\n", "empty"},
        {"a,b\n1,\"2\n3,4\n", "line 2 opens a quote"},
        {"a,b\n1,\"2\"x\n", "line 2 has text behind a closing quote"},
        {"a,b,a\n", "names column 'a' twice"},
        {"a,b\n1,2\n\xff,3\n", "line 3 is not UTF-8"},
        {"a,b\n\xc0\xaf,3\n", "line 2 is not UTF-8"},
        {"a,b\n\xed\xa0\x80,3\n", "line 2 is not UTF-8"},
        {"a,b\n\xf4\x90\x80\x80,3\n", "line 2 is not UTF-8"},
        {"a,b\n\xe2\x82", "line 2 is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_table t;
        assert_fails(parse(&t, cases[i].text), DIP_EFORMAT, cases[i].words);
    }
    dip_table t;
    assert_fails(dip_table_parse_csv(&t, "a\n\0\n", 4), DIP_EFORMAT, "line 2 is not UTF-8");
}

static void test_too_many_columns(void **state)
{
    (void)state;
    char text[4 * DIP_TABLE_MAX_COLUMNS + 16];
    size_t used = 0;
    for (int c = 0; c <= DIP_TABLE_MAX_COLUMNS; c++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", c ? "," : "", c % 1000);
    dip_table t;
    assert_fails(parse(&t, text), DIP_EFORMAT, "may have 256 columns");
}

static void test_written_cells_are_read_back(void **state)
{
    (void)state;
    static const char *const cells[] = {"plain",      "",   "a,b;c\td",
                                        "say \"so\"", "\"", "two\r\nlines"};
    char *text = NULL;
    size_t length = 0, n = sizeof cells / sizeof *cells;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    fputs("a,b,c,d,e,f\n", out);
    for (size_t c = 0; c < n; c++) {
        if (c) fputc(',', out);
        dip_table_write_cell(out, cells[c]);
    }
    fclose(out);
    dip_table t;
    assert_ok(dip_table_parse_csv(&t, text, length));
    assert_int_equal(t.row_count, 1);
    for (size_t c = 0; c < n; c++) assert_string_equal(dip_table_cell(&t, 0, c), cells[c]);
    dip_table_fini(&t);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_written_cells_are_read_back),
        cmocka_unit_test(test_lines_and_fields),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_columns),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
