/*
 * Searching under filters, from one vector in two to one in a hundred thousand: recall, latency, and whether a query ever
 * got fewer hits than there are. Which vectors pass is drawn at random, so a filter has nothing to do with what is near.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/fbin.h"
#include "bench/support.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/dot.h"
#include "index/index.h"
#include "index/scan.h"

#include <diptych/tile.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_selectivity BASE.fbin QUERIES.fbin FOLDER [NPROBE DEPTH]\n"
    "\n"
    "Builds a native index of the base (unit vectors) in FOLDER, or opens the one there, and searches it for 10 hits of up to 1,000\n"
    "queries, one a call, on one thread, with NPROBE lists (default 16) and DEPTH (default 10), for filters of several\n"
    "selectivities. One JSON object a line. Latency is by the clock, of the search alone: the list of allowed ids is made before.\n";
/* clang-format on */

enum { K = 10, MOST_QUERIES = 1000 };

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_selectivity: %s\n", dip_last_error());
    exit(1);
}

typedef struct bench {
    const float *base, *queries;
    size_t n, nq, dim;
    dip_index *index;
    dip_index_params params;
    uint64_t *allow, *bits;
    size_t allowed;
} bench;

/* The same vectors for the same share, whatever was measured before. */
static void draw_filter(bench *b, uint32_t one_in)
{
    dip_rng rng;
    dip_rng_init(&rng, 1, one_in);
    memset(b->bits, 0, (b->n + 63) / 64 * sizeof *b->bits);
    b->allowed = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (dip_rng_below(&rng, one_in)) continue;
        b->bits[i / 64] |= UINT64_C(1) << i % 64;
        b->allow[b->allowed++] = i;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(bench *b, uint32_t one_in)
{
    uint64_t *truth = dip_alloc(b->nq * K * sizeof *truth), *ids = dip_alloc(K * sizeof *ids);
    float *bars = dip_alloc(b->nq * K * sizeof *bars), *scores = dip_alloc(K * sizeof *scores);
    double *times = dip_alloc(b->nq * sizeof *times);
    if (!truth || !ids || !bars || !scores || !times) must(DIP_ENOMEM);
    draw_filter(b, one_in);
    dip_scan scan = {.vectors = b->base, .n = b->n, .dim = b->dim, .allowed = b->bits};
    must(dip_scan_run(&scan, b->queries, b->nq, K, truth, bars));
    size_t possible = b->allowed < K ? b->allowed : K, hits = 0, fewest = K;
    dip_dot_fn dot = dip_dot_get();
    for (size_t q = 0; q < b->nq; q++) {
        const float *query = b->queries + q * b->dim;
        double start = bench_clock(CLOCK_MONOTONIC);
        must(
            dip_index_search(b->index, query, 1, K, &b->params, b->allow, b->allowed, ids, scores));
        times[q] = bench_clock(CLOCK_MONOTONIC) - start;
        size_t found = 0;
        while (found < K && ids[found] != DIP_NO_ID) found++;
        fewest = found < fewest ? found : fewest;
        for (size_t k = 0; k < found; k++)
            hits +=
                dot(query, b->base + ids[k] * b->dim, b->dim) >= bars[q * K + possible - 1] - 1e-6F;
    }
    qsort(times, b->nq, sizeof *times, ascending);
    printf(
        "{\"bench\": \"selectivity\", \"vectors\": %zu, \"dim\": %zu, \"one_in\": %u, \"allowed\": "
        "%zu, "
        "\"nprobe\": %u, \"depth\": %u, \"recall\": %.4f, \"least_hits\": %zu, \"possible\": %zu, "
        "\"p50_us\": %.0f, \"p99_us\": %.0f}\n",
        b->n, b->dim, one_in, b->allowed, b->params.nprobe, b->params.depth,
        (double)hits / (double)(b->nq * (possible ? possible : 1)), fewest, possible,
        1e6 * times[b->nq / 2], 1e6 * times[b->nq * 99 / 100]);
    fflush(stdout);
    dip_free(truth), dip_free(ids), dip_free(bars), dip_free(scores), dip_free(times);
}

static void open_index(bench *b, const char *folder)
{
    if (dip_index_open(&b->index, folder, "selectivity")) {
        dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE};
        for (size_t i = 0; i < b->n; i++) b->allow[i] = i;
        must(dip_folder_create(folder));
        must(
            dip_index_build(folder, "selectivity", &recipe, b->base, b->allow, b->n, b->dim, NULL));
        must(dip_index_open(&b->index, folder, "selectivity"));
    }
    if (dip_index_count(b->index) == b->n && dip_index_dim(b->index) == b->dim) return;
    fprintf(stderr,
            "bench_selectivity: '%s' holds an index of other vectors; name another folder\n",
            folder);
    exit(1);
}

int main(int argc, char **argv)
{
    static const uint32_t shares[] = {1, 2, 10, 50, 100, 1000, 100000};
    bench_help(argc, argv, usage);
    if (argc != 4 && argc != 6) return bench_wrong_words(usage);
    bench b = {.params = {16, 10, 0}};
    if (argc == 6)
        b.params = (dip_index_params){(uint32_t)atoi(argv[4]), (uint32_t)atoi(argv[5]), 0};
    dip_map base, queries;
    size_t dim;
    must(bench_fbin_map(&base, argv[1], &b.base, &b.n, &b.dim));
    must(bench_fbin_map(&queries, argv[2], &b.queries, &b.nq, &dim));
    if (dim != b.dim || !b.params.nprobe || !b.params.depth) return bench_wrong_words(usage);
    if (b.nq > MOST_QUERIES) b.nq = MOST_QUERIES;
    b.allow = dip_alloc((b.n + 1) * sizeof *b.allow);
    b.bits = dip_alloc((b.n / 64 + 1) * sizeof *b.bits);
    if (!b.allow || !b.bits) must(DIP_ENOMEM);
    open_index(&b, argv[3]);
    dip_threads_set(0);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) measure(&b, shares[i]);
    dip_index_close(b.index);
    dip_free(b.allow);
    dip_free(b.bits);
    dip_file_unmap(&base);
    dip_file_unmap(&queries);
    return 0;
}
