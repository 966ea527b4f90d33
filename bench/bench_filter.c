/* What a filter costs, by kind and selectivity, over simulated columns of metadata. */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "search/filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_filter [ROWS [KIND]]\n"
    "\n"
    "What a filter costs, by kind and selectivity, over ROWS (default 1000000) simulated tiles: squares of 1.2 km at random, so in no\n"
    "order that would help, over the land's latitudes, of three years, with one to three of nineteen labels, a cloud cover.\n"
    "\n"
    "One JSON object a line: milliseconds to read and compile the filter, to run it over all rows, and to list the ids that pass;\n"
    "median over repeats, by the clock, with the processor's beside it. \"shape\" is a wavy ring of 2,000 corners.\n";
/* clang-format on */

enum { LABELS = 19, DAY = 86400, CORNERS = 2000 };

typedef struct table {
    dip_columns columns;
    dip_properties properties;
} table;

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_filter: %s\n", dip_last_error());
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *block = dip_calloc(count + 1, size);
    if (!block) exit(1);
    return block;
}

static void random_labels(dip_rng *rng, char *out, size_t capacity)
{
    uint32_t count = 1 + dip_rng_below(rng, 3);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, capacity - used, "%sclass %u", i ? "|" : "",
                                 dip_rng_below(rng, LABELS));
}

static void fill_row(table *t, dip_property *cloud, dip_rng *rng, size_t row)
{
    dip_columns *c = &t->columns;
    char labels[80];
    double west = dip_rng_range(rng, -180, 179.98), south = dip_rng_range(rng, -56, 74);
    c->ids[row] = row + 1;
    c->places[row] = row / 2;
    c->modalities[row] = row % 2;
    c->times[row] = 1546300800 + (int64_t)dip_rng_below(rng, 3 * 365) * DAY;
    dip_columns_set_footprint(c, row, west, south, west + 0.016, south + 0.011);
    random_labels(rng, labels, sizeof labels);
    must(dip_words_add(&c->label_lists, labels, strlen(labels), &c->labels[row]));
    must(dip_words_add(&c->split_names, row % 5 ? "train" : "test", row % 5 ? 5 : 4,
                       &c->splits[row]));
    must(dip_property_set(cloud, c, row, NULL, false, dip_rng_range(rng, 0, 100)));
}

static void make_table(table *t, size_t rows)
{
    dip_columns *c = &t->columns;
    dip_property *cloud;
    dip_rng rng;
    *t = (table){.columns = {.count = rows}};
    c->ids = memory(rows, sizeof *c->ids);
    c->places = memory(rows, sizeof *c->places);
    c->modalities = memory(rows, sizeof *c->modalities);
    c->times = memory(rows, sizeof *c->times);
    c->west = memory(rows, sizeof *c->west);
    c->south = memory(rows, sizeof *c->south);
    c->east = memory(rows, sizeof *c->east);
    c->north = memory(rows, sizeof *c->north);
    c->labels = memory(rows, sizeof *c->labels);
    c->splits = memory(rows, sizeof *c->splits);
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) c->modality_names[i] = i ? "" : "s1";
    dip_properties_init(&t->properties, NULL, c);
    must(dip_properties_add(&t->properties, "eo:cloud_cover", &cloud));
    dip_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < rows; i++) fill_row(t, cloud, &rng, i);
}

/* ---- filters that pass a given share ---- */

static char *wavy_ring(double share)
{
    double wide = 180 * sqrt(share * 4 / 3.14159265), high = 65 * sqrt(share * 4 / 3.14159265);
    size_t capacity = (size_t)CORNERS * 48 + 100, used;
    char *text = memory(capacity, 1);
    used = (size_t)snprintf(text, capacity, "S_INTERSECTS(geometry, POLYGON((");
    for (int i = 0; i <= CORNERS; i++) {
        double angle = 2 * 3.14159265358979 * (i % CORNERS) / CORNERS,
               radius = 1 + 0.05 * sin(60 * angle);
        used += (size_t)snprintf(text + used, capacity - used, "%s%.8f %.8f", i ? ", " : "",
                                 fmax(-180, fmin(180, wide * radius * cos(angle))),
                                 9 + fmax(-65, fmin(65, high * radius * sin(angle))));
    }
    snprintf(text + used, capacity - used, ")))");
    return text;
}

static char *filter_of(const char *kind, double share)
{
    double side = sqrt(share);
    if (!strcmp(kind, "shape")) return wavy_ring(share);
    if (!strcmp(kind, "number")) return dip_sprintf("eo:cloud_cover < %.17g", 100 * share);
    if (!strcmp(kind, "not number")) return dip_sprintf("NOT eo:cloud_cover >= %.17g", 100 * share);
    if (!strcmp(kind, "box"))
        return dip_sprintf("S_INTERSECTS(geometry, BBOX(%.8f, %.8f, %.8f, %.8f))", -180 * side,
                           9 - 65 * side, 180 * side, 9 + 65 * side);
    if (!strcmp(kind, "time")) return dip_sprintf("datetime < TIMESTAMP('2020-01-01T00:00:00Z')");
    if (!strcmp(kind, "labels"))
        return dip_sprintf(
            "A_CONTAINS(labels, ('class 3')) AND NOT A_OVERLAPS(labels, ('class 4'))");
    return dip_sprintf("A_CONTAINS(labels, ('class 3')) AND datetime > DATE('2020-01-01') AND "
                       "eo:cloud_cover < %.17g AND split = 'train' AND "
                       "S_INTERSECTS(geometry, BBOX(-60, -40, 120, 70))",
                       100 * share);
}

static bool one_share(const char *kind) { return !strcmp(kind, "time") || !strcmp(kind, "labels"); }

/* ---- measuring ---- */

typedef struct subject {
    table *t;
    dip_query query;
    dip_filter *filter;
    uint64_t *bits;
    size_t matches;
} subject;

static void compile(void *context)
{
    subject *s = context;
    dip_filter_destroy(s->filter);
    must(dip_filter_create(&s->filter, &s->t->columns, &s->t->properties, &s->query));
}

static void run(void *context)
{
    subject *s = context;
    must(dip_filter_run(s->filter, s->bits));
}

/* As a query does: a shape begins with nothing known about its inside. */
static void compile_and_run(void *context)
{
    compile(context);
    run(context);
}

static void list(void *context)
{
    subject *s = context;
    uint64_t *ids;
    size_t other;
    must(dip_filter_ids(&s->t->columns, s->bits, 0, &ids, &s->matches));
    dip_free(ids);
    must(dip_filter_ids(&s->t->columns, s->bits, 1, &ids, &other));
    dip_free(ids);
    s->matches += other;
}

static void measure(table *t, const char *kind, double share)
{
    char *text = filter_of(kind, share);
    subject s = {.t = t, .query = {.filter = text}};
    s.bits = memory(dip_filter_words(&t->columns), sizeof *s.bits);
    compile_and_run(&s);
    bench_timing compiling = bench_measure(compile, &s, 0.05, 3),
                 running = bench_measure(compile_and_run, &s, 0.3, 5),
                 listing = bench_measure(list, &s, 0.1, 3);
    printf("{\"simulated\":true,\"rows\":%zu,\"threads\":%u,\"kind\":\"%s\",\"matches\":%zu,"
           "\"compile_ms\":%.3f,\"compile_and_run_ms\":%.3f,\"p99_ms\":%.3f,\"cpu_ms\":%.3f,"
           "\"list_ms\":%.3f}\n",
           t->columns.count, dip_threads(), kind, s.matches, compiling.median * 1e3,
           running.median * 1e3, running.p99 * 1e3, running.cpu * 1e3, listing.median * 1e3);
    fflush(stdout);
    dip_filter_destroy(s.filter);
    dip_free(s.bits);
    dip_free(text);
}

int main(int argc, char **argv)
{
    static const double shares[] = {1.0 / 2, 1.0 / 10, 1.0 / 100, 1.0 / 1000, 1.0 / 100000};
    static const char *const kinds[] = {"time",       "labels", "box",      "number",
                                        "not number", "shape",  "all kinds"};
    table t;
    bench_help(argc, argv, usage);
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    const char *only = argc > 2 ? argv[2] : NULL;
    if (argc > 3 || !rows) return bench_wrong_words(usage);
    make_table(&t, rows);
    for (unsigned threads = 1; threads <= 2; threads++) {
        dip_threads_set(threads);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
                if ((!only || !strcmp(only, kinds[k])) && (i == 0 || !one_share(kinds[k])))
                    measure(&t, kinds[k], shares[i]);
    }
    dip_properties_fini(&t.properties);
    dip_columns_fini(&t.columns);
    return 0;
}
