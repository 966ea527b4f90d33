/*
 * What an index of many vectors costs, over SIMULATED embeddings (latent.h) that are made as they are asked for, so that no base
 * is stored:
 *
 *   bench_scale [--count N] [--lists N] [--queries N] [--recall R] [--keep] FOLDER
 *
 * Builds FOLDER/scale.segment by the default recipe and prints a row (JSON): what building took without the making of vectors, and
 * for queries of either modality the cheapest of the tried points that reaches the recall, with its costs, one query a call on
 * one thread. The true neighbours are found while the vectors pass. The row tells the times of queries that were not asked
 * before, with the index's files in memory as far as the system has kept them.
 */
#define _GNU_SOURCE
#include "bench/latent.h"
#include "bench/support.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"
#include "index/index.h"
#include "index/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { K = 10, SETS = 2, FRESH = 4, MOST_LISTS = 1024, HALVINGS = 7, BLOCK = BENCH_LATENT_BLOCK };

static const float WIDEST_GAP = 0.25F;

static const char name[] = "scale";

typedef struct options {
    int64_t count, lists, queries, dim, seed, threads;
    double recall;
    bool keep, help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    {.name = "count", .letter = 'n', .type = DIP_OPTION_INT, AT(count), .low = 1000, .high = 4e9, .fallback = "1000000",
     .help = "vectors"},
    INT("lists", lists, 0, 1e6, "0", "0: as the index chooses"),
    INT("queries", queries, 1, 1e5, "500", "of either modality whose true neighbours are found"),
    INT("dim", dim, 8, 4096, "128", "dimensions"),
    INT("seed", seed, 0, 1e15, "1", "of the vectors"),
    INT("threads", threads, 0, 256, "0", "that build; 0: all processors"),
    REAL("recall", recall, 0, 1, "0.95", "recall@10 to reach"),
    FLAG("keep", keep, NULL, "leave the index"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

typedef struct bench {
    options options;
    const char *folder;
    bench_latent *model;
    float *room; /* a worker: the model's scratch, then a block */
    size_t room_floats;
    size_t n, dim, nq;          /* nq: of a set */
    float *queries[SETS];       /* ((1 + FRESH) nq, dim): those with truth, then fresh ones */
    float *asked;               /* (SETS nq, dim): those with truth */
    dip_truth truth;            /* of them */
    uint64_t *ids;              /* (n): the row numbers */
    uint64_t *found;            /* (nq, K) */
    float *scores;              /* likewise */
    double made_cpu, truth_cpu; /* seconds */
    double began, told;
} bench;

static double cpu(void) { return bench_clock(CLOCK_PROCESS_CPUTIME_ID); }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- vectors ---- */

typedef struct piece {
    const bench *b;
    bench_latent_set set;
    size_t first, count; /* rows */
    float *out;
} piece;

static dip_status make_block(void *context, size_t task, unsigned worker)
{
    const piece *p = context;
    const size_t dim = p->b->dim;
    const uint64_t block = p->first / BLOCK + task;
    const size_t begin = block * BLOCK > p->first ? block * BLOCK : p->first;
    const size_t end = smaller((block + 1) * BLOCK, p->first + p->count);
    float *scratch = p->b->room + worker * p->b->room_floats;
    float *rows = scratch + bench_latent_scratch(p->b->model);
    bench_latent_block(p->b->model, p->set, block, scratch, rows);
    memcpy(p->out + (begin - p->first) * dim, rows + (begin - block * BLOCK) * dim,
           (end - begin) * dim * sizeof *rows);
    return DIP_OK;
}

static dip_status make_rows(const bench *b, bench_latent_set set, size_t first, size_t count,
                            float *out)
{
    piece p = {b, set, first, count, out};
    return dip_parallel_for((first + count - 1) / BLOCK - first / BLOCK + 1, make_block, &p);
}

/* Those of the rows that the truth has not seen, if they are the next ones. */
static dip_status look_at(bench *b, size_t first, size_t count, const float *rows)
{
    const size_t seen = b->truth.n;
    if (first > seen || first + count <= seen) return DIP_OK;
    const double before = cpu();
    dip_status status = dip_truth_add(&b->truth, rows + (seen - first) * b->dim, b->ids + seen,
                                      first + count - seen);
    b->truth_cpu += cpu() - before;
    return status;
}

static dip_status read_rows(void *payload, size_t first, size_t count, float *out)
{
    bench *b = payload;
    const double before = cpu();
    dip_status status = make_rows(b, BENCH_LATENT_BASE, first, count, out);
    b->made_cpu += cpu() - before;
    return status ? status : look_at(b, first, count, out);
}

static dip_status make_queries(bench *b)
{
    const size_t all = (1 + FRESH) * b->nq, values = b->nq * b->dim, hits = b->nq * K;
    b->asked = dip_alloc_aligned(SETS * values * sizeof *b->asked);
    b->found = dip_alloc(hits * sizeof *b->found);
    b->scores = dip_alloc(hits * sizeof *b->scores);
    bool there = b->asked && b->found && b->scores;
    for (size_t s = 0; s < SETS && there; s++) {
        b->queries[s] = dip_alloc_aligned(all * b->dim * sizeof *b->asked);
        there = b->queries[s] != NULL;
    }
    dip_status status = there ? DIP_OK : DIP_ENOMEM;
    for (size_t s = 0; s < SETS && !status; s++) {
        status = make_rows(b, s ? BENCH_LATENT_OTHER : BENCH_LATENT_SAME, 0, all, b->queries[s]);
        if (!status) memcpy(b->asked + s * values, b->queries[s], values * sizeof *b->asked);
    }
    if (!status) status = dip_truth_init(&b->truth, b->asked, SETS * b->nq, b->dim);
    return status;
}

/* ---- building ---- */

static int tell(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    bench *b = payload;
    const double now = dip_seconds();
    if (now - b->told < 10) return 0;
    b->told = now;
    fprintf(stderr, "bench_scale: %4.0f s: %s, %.1f %%\n", now - b->began, phase,
            total ? 100 * (double)done / (double)total : 0.);
    return 0;
}

static dip_status build(bench *b)
{
    const dip_progress progress = {tell, b};
    const dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE,
                                     .lists = (uint32_t)b->options.lists};
    b->ids = dip_alloc(b->n * sizeof *b->ids);
    if (!b->ids) return DIP_ENOMEM;
    for (size_t i = 0; i < b->n; i++) b->ids[i] = i;
    const dip_supply supply = {
        .n = b->n, .dim = b->dim, .ids = b->ids, .read = read_rows, .payload = b};
    struct rusage usage;
    const double before = cpu();
    b->began = b->told = dip_seconds();
    dip_status status = dip_index_build_from(b->folder, name, &recipe, &supply, &progress);
    const double own = cpu() - before - b->made_cpu - b->truth_cpu;
    getrusage(RUSAGE_SELF, &usage);
    if (!status && b->truth.n != b->n)
        status =
            dip_fail(DIP_EINVAL, "the build read %zu of %zu rows in their order", b->truth.n, b->n);
    if (!status)
        printf("{\"n\":%zu,\"dim\":%zu,\"simulated\":true,\"build_cpu_s\":%.1f,\"made_cpu_s\":%.1f,"
               "\"truth_cpu_s\":%.1f,\"build_wall_s\":%.1f,\"build_peak_bytes\":%lld",
               b->n, b->dim, own, b->made_cpu, b->truth_cpu, dip_seconds() - b->began,
               1024LL * usage.ru_maxrss);
    return status;
}

/* What each search may read of a segment, and what it reads of the hits only. */
static dip_status tell_bytes(const bench *b)
{
    char *path = dip_sprintf("%s/%s.segment", b->folder, name);
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS], resident = 0;
    dip_segment segment;
    dip_status status = path ? dip_segment_open(&segment, path) : DIP_ENOMEM;
    if (!status) {
        dip_segment_layout(&segment.shape, offsets, bytes);
        for (int i = 0; i <= DIP_SEGMENT_TERMS; i++) resident += bytes[i];
        printf(",\"segment_version\":%d,\"lists\":%u,\"groups\":%u,\"disk_bytes\":%zu,\"resident_"
               "bytes\":%llu",
               DIP_SEGMENT_VERSION, segment.shape.lists, segment.shape.groups, segment.map.length,
               (unsigned long long)resident);
        dip_segment_close(&segment);
    }
    dip_free(path);
    return status;
}

/* ---- searching ---- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static dip_status open_index(const bench *b, dip_index **index)
{
    enum { TIMES = 11 };
    double times[TIMES];
    dip_status status = DIP_OK;
    *index = NULL;
    for (size_t i = 0; i < TIMES && !status; i++) {
        dip_index_close(*index);
        const double before = dip_seconds();
        status = dip_index_open(index, b->folder, name);
        times[i] = dip_seconds() - before;
    }
    qsort(times, TIMES, sizeof *times, ascending);
    if (!status) printf(",\"open_ms\":%.2f", 1e3 * times[TIMES / 2]);
    return status;
}

static dip_status measure_recall(bench *b, const dip_index *index, size_t set,
                                 dip_index_params params, double *recall)
{
    size_t hits = 0;
    dip_status status =
        dip_index_search(index, b->queries[set], b->nq, K, &params, NULL, 0, b->found, b->scores);
    for (size_t i = 0; i < b->nq * K && !status; i++)
        hits += dip_truth_has(&b->truth, set * b->nq + i / K, K, b->found[i]);
    *recall = (double)hits / (double)(b->nq * K);
    return status;
}

typedef struct cost {
    double cpu_us, p50_us, p99_us;
} cost;

/* Queries first .. first + count of a set, one a call. */
static dip_status measure_cost(bench *b, const dip_index *index, size_t set,
                               dip_index_params params, size_t first, size_t count, cost *out)
{
    double *times = dip_alloc(count * sizeof *times);
    dip_status status = times ? DIP_OK : DIP_ENOMEM;
    const double before = cpu();
    for (size_t i = 0; i < count && !status; i++) {
        const double start = dip_seconds();
        status = dip_index_search(index, b->queries[set] + (first + i) * b->dim, 1, K, &params,
                                  NULL, 0, b->found, b->scores);
        times[i] = dip_seconds() - start;
    }
    if (!status) {
        *out = (cost){.cpu_us = 1e6 * (cpu() - before) / (double)count};
        qsort(times, count, sizeof *times, ascending);
        out->p50_us = 1e6 * times[count / 2];
        out->p99_us = 1e6 * times[count * 99 / 100];
    }
    dip_free(times);
    return status;
}

/* The next of 1, 2, 3, 4, 6, 8, 12, ... */
static uint32_t step_up(uint32_t x)
{
    uint32_t power = 1;
    while (power <= x / 2) power *= 2;
    return x < 2 ? x + 1 : x < power + power / 2 ? power + power / 2 : 2 * power;
}

/* Twice the lists, and the smallest gap that reaches the recall; *ok: there is one. */
static dip_status find_gap(bench *b, const dip_index *index, size_t set, dip_index_params *at,
                           double *recall, bool *ok)
{
    dip_index_params middle = {2 * at->nprobe, at->depth, 0};
    float low = 0, high = WIDEST_GAP;
    *ok = false;
    for (int i = 0; i < HALVINGS; i++) {
        double found = 0;
        middle.gap = (low + high) / 2;
        dip_status status = measure_recall(b, index, set, middle, &found);
        if (status) return status;
        if (found >= b->options.recall) {
            *at = middle;
            *recall = found;
            *ok = true;
        }
        *(found >= b->options.recall ? &high : &low) = middle.gap;
    }
    return DIP_OK;
}

/* Takes a point if it is cheaper. */
static dip_status consider(bench *b, const dip_index *index, size_t set, dip_index_params at,
                           double recall, dip_index_params *best, double *best_recall,
                           double *least)
{
    cost c;
    dip_status status = measure_cost(b, index, set, at, 0, b->nq, &c);
    if (status || (best->nprobe && c.cpu_us >= *least)) return status;
    *best = at;
    *best_recall = recall;
    *least = c.cpu_us;
    return DIP_OK;
}

/* For each depth the fewest lists that reach the recall, without a gap and with one; of those the cheapest. */
static dip_status find_point(bench *b, const dip_index *index, size_t set, dip_index_params *best,
                             double *best_recall)
{
    double least = 0;
    dip_status status = DIP_OK;
    *best = (dip_index_params){0};
    for (uint32_t depth = 1; depth <= 16; depth *= 2) {
        dip_index_params at = {1, depth, 0};
        double recall = 0;
        bool ok;
        status = measure_recall(b, index, set, at, &recall);
        while (!status && recall < b->options.recall && at.nprobe < MOST_LISTS) {
            at.nprobe = step_up(at.nprobe);
            status = measure_recall(b, index, set, at, &recall);
        }
        if (status) return status;
        if (recall < b->options.recall) continue;
        status = consider(b, index, set, at, recall, best, best_recall, &least);
        if (!status) status = find_gap(b, index, set, &at, &recall, &ok);
        if (!status && ok) status = consider(b, index, set, at, recall, best, best_recall, &least);
        if (status) return status;
    }
    if (best->nprobe) return DIP_OK;
    return dip_fail(DIP_EINVAL, "no point with up to %d lists reaches a recall of %g", MOST_LISTS,
                    b->options.recall);
}

static dip_status search(bench *b)
{
    static const char *const names[SETS] = {"same", "other"};
    dip_index *index;
    dip_status status = tell_bytes(b);
    if (!status) status = open_index(b, &index);
    if (status) return status;
    dip_threads_set(1);
    for (size_t s = 0; s < SETS && !status; s++) {
        dip_index_params at = {0};
        double recall = 0;
        cost c = {0};
        status = find_point(b, index, s, &at, &recall);
        if (!status) status = measure_cost(b, index, s, at, b->nq, FRESH * b->nq, &c);
        if (!status)
            printf(",\"%s\":{\"nprobe\":%u,\"depth\":%u,\"gap\":%.4f,\"recall\":%.4f,"
                   "\"cpu_us\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}",
                   names[s], at.nprobe, at.depth, (double)at.gap, recall, c.cpu_us, c.p50_us,
                   c.p99_us);
    }
    if (!status) printf("}\n");
    dip_index_close(index);
    return status;
}

/* ---- all ---- */

static dip_status run(bench *b)
{
    dip_status status = bench_latent_create(&b->model, b->dim, (uint64_t)b->options.seed);
    if (!status) {
        b->room_floats = bench_latent_scratch(b->model) + BLOCK * b->dim;
        b->room = dip_alloc_aligned(dip_threads() * b->room_floats * sizeof *b->room);
        status = b->room ? dip_folder_create(b->folder) : DIP_ENOMEM;
    }
    if (!status) status = make_queries(b);
    if (!status) status = build(b);
    if (!status) status = search(b);
    char *path = dip_sprintf("%s/%s.segment", b->folder, name);
    if (path && !b->options.keep) (void)dip_file_remove(path);
    dip_free(path);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.n = 0};
    int rest;
    dip_options_defaults(table, &b.options);
    if (dip_options_parse(table, &b.options, argc, argv, &rest) || rest != 1 || b.options.help) {
        FILE *out = b.options.help ? stdout : stderr;
        if (!b.options.help && *dip_last_error())
            fprintf(out, "bench_scale: %s\n", dip_last_error());
        fprintf(out, "usage: bench_scale [OPTIONS] FOLDER\n");
        dip_options_help(table, out);
        return b.options.help ? 0 : 2;
    }
    b.folder = argv[1];
    b.n = (size_t)b.options.count;
    b.dim = (size_t)b.options.dim;
    b.nq = (size_t)b.options.queries;
    dip_threads_set((unsigned)b.options.threads);
    dip_status status = run(&b);
    if (status) fprintf(stderr, "bench_scale: %s\n", dip_last_error());
    bench_latent_destroy(b.model);
    dip_free_aligned(b.room);
    for (size_t s = 0; s < SETS; s++) dip_free_aligned(b.queries[s]);
    dip_free_aligned(b.asked);
    dip_truth_fini(&b.truth);
    dip_free(b.ids), dip_free(b.found), dip_free(b.scores);
    return status ? 1 : 0;
}
