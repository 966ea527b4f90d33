/* Feeds arbitrary text to the parser of filters, and what it takes to the compiler and to a small table. */
#include "search/cql.h"
#include "search/filter.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 70, LARGEST = 1 << 16 };

typedef struct table {
    dip_columns columns;
    dip_properties properties;
} table;

static void *array(size_t size)
{
    void *block = dip_calloc(ROWS, size);
    if (!block) __builtin_trap();
    return block;
}

static void must(dip_status status)
{
    if (status) __builtin_trap();
}

static void fill(table *t)
{
    static const char *const labels[] = {"", "a", "a|b"};
    dip_columns *c = &t->columns;
    dip_property *number, *text;
    *c = (dip_columns){.count = ROWS,
                       .ids = array(8),
                       .places = array(8),
                       .modalities = array(4),
                       .times = array(8),
                       .west = array(4),
                       .south = array(4),
                       .east = array(4),
                       .north = array(4),
                       .labels = array(4),
                       .splits = array(4)};
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) c->modality_names[i] = i ? "" : "s1";
    dip_properties_init(&t->properties, NULL, c);
    must(dip_properties_add(&t->properties, "n", &number));
    must(dip_properties_add(&t->properties, "t", &text));
    for (size_t i = 0; i < ROWS; i++) {
        const char *label = labels[i % 3];
        double west = (double)i * 5 - 180;
        c->times[i] = i % 7 ? (int64_t)i * 86400 : DIP_NO_TIME;
        dip_columns_set_footprint(c, i, i % 9 ? west : NAN, -30, west + 12, 10);
        must(dip_words_add(&c->label_lists, label, strlen(label), &c->labels[i]));
        must(dip_words_add(&c->split_names, label, strlen(label), &c->splits[i]));
        if (i % 2) must(dip_property_set(number, c, i, NULL, false, (double)i));
        if (i % 5) must(dip_property_set(text, c, i, label, false, NAN));
    }
}

/* What passes with NOT cannot pass without. */
static void run(table *t, const char *text)
{
    uint64_t bits[2], opposite[2];
    dip_query query = DIP_QUERY_INIT;
    dip_filter *filter;
    query.filter = text;
    if (dip_filter_create(&filter, &t->columns, &t->properties, &query)) return;
    if (!filter || dip_filter_run(filter, bits)) __builtin_trap();
    if (bits[1] >> (ROWS - 64)) __builtin_trap();
    dip_filter_destroy(filter);
    if (text[strspn(text, " \t\r\n")] == '{') return;
    char *negated = dip_sprintf("NOT (%s)", text);
    query.filter = negated;
    if (!negated) __builtin_trap();
    if (!dip_filter_create(&filter, &t->columns, &t->properties, &query)) {
        if (dip_filter_run(filter, opposite)) __builtin_trap();
        if ((bits[0] & opposite[0]) || (bits[1] & opposite[1])) __builtin_trap();
        dip_filter_destroy(filter);
    }
    dip_free(negated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_term *term;
    table t;
    if (size > LARGEST) return 0;
    char *text = dip_strndup((const char *)data, size);
    if (!text) __builtin_trap();
    dip_threads_set(1);
    if (!dip_cql_parse(&term, text)) {
        dip_term_free(term);
        fill(&t);
        run(&t, text);
        dip_properties_fini(&t.properties);
        dip_columns_fini(&t.columns);
    }
    dip_free(text);
    return 0;
}
