/*
 * The speed of exact search in batches, and of nearest centroids, body by body:
 *
 *   bench_exact [--base FILE.fbin --queries FILE.fbin] [--count N] [--batch N] [--k N] [--lists N] ...
 *
 * Without files: simulated embeddings (latent.h). One JSON object a line. `search`: `batch` queries over `count` vectors;
 * `equal` is the share of checked queries whose hits and scores are, bit for bit, those of dip_dot and a heap. `nearest`:
 * the first `assigned` vectors against the first `lists` as centroids. gflops count 2 n nq dim, selection and rounding
 * included in the time, per second of processor time; `peak` is what a loop of the body's instructions on registers does
 * on one core, `sgemm` what OpenBLAS does on blocks of the same operands, selecting nothing.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/fbin.h"
#include "bench/latent.h"
#include "bench/peak.h"
#include "bench/support.h"

#include "core/cpu.h"
#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"
#include "core/product.h"
#include "index/dot.h"
#include "index/nearest.h"
#include "index/scan.h"
#include "index/topk.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *base, *queries, *body;
    int64_t count, batch, k, lists, assigned, dim, check, threads;
    double seconds;
    bool help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    NAMED("base", base, "FILE", NULL, "vectors, .fbin (simulated ones)"),
    NAMED("queries", queries, "FILE", NULL, "queries, .fbin"),
    NAMED("body", body, "NAME", NULL, "this body only"),
    INT("count", count, 1, 4e9, "1000000", "vectors that are searched, at most"),
    INT("batch", batch, 1, 1e7, "1024", "queries in a call, at most"),
    INT("k", k, 1, 10000, "10", "hits of a query"),
    INT("lists", lists, 0, 1e7, "16384", "centroids; 0: no nearest centroids"),
    INT("assigned", assigned, 1, 4e9, "65536", "vectors whose nearest centroid is found"),
    INT("dim", dim, 1, 65536, "128", "of simulated vectors"),
    INT("check", check, 0, 1e6, "16", "queries that are checked"),
    INT("threads", threads, 0, 256, "0", "0: all processors"),
    REAL("seconds", seconds, 0, 1e6, "2", "of processor time a measurement; 0: one call, not warmed up"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

typedef struct set {
    const float *values;
    size_t n;
    dip_map map;
    float *made;
} set;

typedef struct bench {
    options o;
    set base, queries;
    size_t dim, n, nq, k, lists, assigned;
    uint64_t *ids;
    float *scores;
    int64_t *nearest;
    dip_status status;
} bench;

/* ---- vectors ---- */

typedef struct making {
    const bench_latent *model;
    bench_latent_set which;
    size_t dim;
    float *vectors;
} making;

static dip_status make_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const making *m = context;
    float *scratch = dip_alloc(bench_latent_scratch(m->model) * sizeof *scratch);
    if (!scratch) return DIP_ENOMEM;
    bench_latent_block(m->model, m->which, task, scratch,
                       m->vectors + task * BENCH_LATENT_BLOCK * m->dim);
    dip_free(scratch);
    return DIP_OK;
}

static dip_status simulate(const bench_latent *model, bench_latent_set which, size_t n, size_t dim,
                           set *to)
{
    const size_t blocks = (n + BENCH_LATENT_BLOCK - 1) / BENCH_LATENT_BLOCK;
    making m = {model, which, dim, dip_alloc(blocks * BENCH_LATENT_BLOCK * dim * sizeof(float))};
    if (!m.vectors) return DIP_ENOMEM;
    to->values = to->made = m.vectors;
    to->n = n;
    return dip_parallel_for(blocks, make_block, &m);
}

static dip_status open_sets(bench *b)
{
    if (!b->o.base != !b->o.queries)
        return dip_fail(DIP_EINVAL, "--base and --queries belong together");
    if (!b->o.base) {
        bench_latent *model = NULL;
        b->dim = (size_t)b->o.dim;
        dip_status status = bench_latent_create(&model, b->dim, 1);
        if (!status)
            status = simulate(model, BENCH_LATENT_BASE, (size_t)b->o.count, b->dim, &b->base);
        if (!status)
            status = simulate(model, BENCH_LATENT_SAME, (size_t)b->o.batch, b->dim, &b->queries);
        bench_latent_destroy(model);
        return status;
    }
    size_t dim;
    dip_status status =
        bench_fbin_map(&b->base.map, b->o.base, &b->base.values, &b->base.n, &b->dim);
    if (!status)
        status =
            bench_fbin_map(&b->queries.map, b->o.queries, &b->queries.values, &b->queries.n, &dim);
    if (!status && dim != b->dim)
        status = dip_fail(DIP_EMISMATCH, "'%s' has %zu dimensions, '%s' %zu", b->o.base, b->dim,
                          b->o.queries, dim);
    return status;
}

/* ---- what is measured ---- */

static void search(void *context)
{
    bench *b = context;
    const dip_scan scan = {.vectors = b->base.values, .n = b->n, .dim = b->dim};
    if (!b->status)
        b->status = dip_scan_run(&scan, b->queries.values, b->nq, b->k, b->ids, b->scores);
}

static void assign(void *context)
{
    bench *b = context;
    if (!b->status)
        b->status = dip_nearest(b->base.values, b->assigned, b->base.values, b->lists, b->dim,
                                b->nearest, NULL);
}

/* Blocks of 128 by 512, on the calling thread. */
static void products(void *context)
{
    enum { ROWS = 128, COLUMNS = 512 };
    static float out[ROWS * COLUMNS];
    const bench *b = context;
    const blasint dim = (blasint)b->dim;
    for (size_t c = 0; c + COLUMNS <= b->n && c < 100 * COLUMNS; c += COLUMNS)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, COLUMNS, dim, 1,
                    b->queries.values, dim, b->base.values + c * b->dim, dim, 0, out, COLUMNS);
}

static double sgemm_rate(bench *b)
{
    if (b->nq < 128 || b->n < 512) return 0;
    openblas_set_num_threads(1);
    products(b);
    const bench_timing t = bench_measure(products, b, b->o.seconds, 3);
    const size_t columns = b->n / 512 < 100 ? b->n / 512 * 512 : 51200;
    return 2.0 * 128 * (double)columns * (double)b->dim / t.cpu * 1e-9;
}

static bool is_exact(const bench *b, size_t query, dip_topk *top)
{
    const float *q = b->queries.values + query * b->dim;
    uint64_t *ids = dip_alloc(b->k * sizeof *ids);
    float *scores = dip_alloc(b->k * sizeof *scores);
    bool equal = ids && scores;
    for (size_t row = 0; equal && row < b->n; row++)
        dip_topk_push(top, dip_dot_get()(q, b->base.values + row * b->dim, b->dim), row);
    if (equal) {
        dip_topk_finish(top, b->k, ids, scores);
        equal = memcmp(ids, b->ids + query * b->k, b->k * sizeof *ids) == 0 &&
                memcmp(scores, b->scores + query * b->k, b->k * sizeof *scores) == 0;
    }
    dip_free(ids);
    dip_free(scores);
    return equal;
}

static double equal_share(const bench *b)
{
    const size_t wanted = (size_t)b->o.check < b->nq ? (size_t)b->o.check : b->nq;
    dip_topk_entry *entries = dip_alloc(b->k * sizeof *entries);
    size_t equal = 0;
    for (size_t i = 0; entries && i < wanted; i++) {
        dip_topk top = {.k = b->k, .entries = entries};
        equal += is_exact(b, i * b->nq / wanted, &top);
    }
    dip_free(entries);
    return wanted ? (double)equal / (double)wanted : 0;
}

/* ---- rows ---- */

static double peak_rate(const char *body)
{
    bench_peak(body);
    const double cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    double done = 0;
    for (int i = 0; i < 20; i++) done += bench_peak(body);
    return done / (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e-9;
}

static void row(const bench *b, const char *what, const char *body, size_t n, size_t nq,
                double peak, double sgemm, bench_timing t)
{
    const double gflop = 2.0 * (double)n * (double)nq * (double)b->dim * 1e-9;
    printf("{\"task\":\"%s\",\"body\":\"%s\",\"data\":\"%s\",\"threads\":%u,\"n\":%zu,\"dim\":%zu,"
           "\"queries\":%zu,\"k\":%zu,\"s\":%.4f,\"cpu_s\":%.4f,\"per_cpu_s\":%.0f,\"gflops\":%.1f,"
           "\"peak\":%.1f,\"sgemm\":%.1f",
           what, body, b->base.made ? "simulated" : b->o.base, dip_threads(), n, b->dim, nq, b->k,
           t.median, t.cpu, (double)nq / t.cpu, gflop / t.cpu, peak, sgemm);
}

static void measure_body(bench *b, const char *body, double sgemm)
{
    const double peak = peak_rate(body);
    if (b->o.seconds > 0) search(b);
    bench_timing t = bench_measure(search, b, b->o.seconds, 1);
    if (b->status) return;
    row(b, "search", body, b->n, b->nq, peak, sgemm, t);
    printf(",\"equal\":%.4f}\n", equal_share(b));
    fflush(stdout);
    if (!b->lists) return;
    t = bench_measure(assign, b, b->o.seconds, 1);
    if (b->status) return;
    row(b, "nearest", body, b->lists, b->assigned, peak, sgemm, t);
    printf("}\n");
    fflush(stdout);
}

/* Fastest first, switching off what has been measured. */
static void measure(bench *b)
{
    static const char *const switches[] = {"DIP_NO_AMX", "DIP_NO_AVX512BF16", "DIP_NO_AVX512",
                                           "DIP_NO_AVX2", NULL};
    const double sgemm = sgemm_rate(b);
    const char *last = "";
    for (size_t i = 0;; i++) {
        dip_cpu_refresh();
        const char *body = dip_product_get()->name;
        if (strcmp(body, last) != 0 && (!b->o.body || strcmp(body, b->o.body) == 0))
            measure_body(b, body, sgemm);
        last = body;
        if (!switches[i] || b->status) return;
        setenv(switches[i], "1", 1);
    }
}

static size_t at_most(int64_t wanted, size_t there)
{
    return (size_t)wanted < there ? (size_t)wanted : there;
}

static dip_status run(bench *b)
{
    dip_threads_set((unsigned)b->o.threads);
    dip_status status = open_sets(b);
    if (status) return status;
    b->n = at_most(b->o.count, b->base.n);
    b->nq = at_most(b->o.batch, b->queries.n);
    b->lists = at_most(b->o.lists, b->base.n);
    b->assigned = at_most(b->o.assigned, b->base.n);
    b->k = (size_t)b->o.k;
    b->ids = dip_alloc(b->nq * b->k * sizeof *b->ids);
    b->scores = dip_alloc(b->nq * b->k * sizeof *b->scores);
    b->nearest = dip_alloc(b->assigned * sizeof *b->nearest);
    if (!b->ids || !b->scores || !b->nearest) return DIP_ENOMEM;
    measure(b);
    return b->status;
}

static void drop(set *s)
{
    dip_free(s->made);
    dip_file_unmap(&s->map);
}

int main(int argc, char **argv)
{
    bench b = {.n = 0};
    int rest;
    dip_options_defaults(table, &b.o);
    dip_status status = dip_options_parse(table, &b.o, argc, argv, &rest);
    if (status || b.o.help || rest) {
        if (status) fprintf(stderr, "bench_exact: %s\n", dip_last_error());
        dip_options_help(table, b.o.help ? stdout : stderr);
        return b.o.help ? 0 : 2;
    }
    status = run(&b);
    if (status) fprintf(stderr, "bench_exact: %s\n", dip_last_error());
    drop(&b.base);
    drop(&b.queries);
    dip_free(b.ids);
    dip_free(b.scores);
    dip_free(b.nearest);
    return status ? 1 : 0;
}
