/*
 * What concurrent searches cost that are answered together (core/combine.h): queries a second of processor time, asked by one
 * thread, by 8 and by 64. The queries are stored tiles compared with all of the other modality, and tiles that have to be
 * encoded first; the index is asked beside, one query a call and eight.
 */
#define _GNU_SOURCE
#include "bench/support.h"

#include "core/mem.h"
#include "search/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: bench_combine ARCHIVE [SECONDS]\n"
                            "Asks an archive with an index from 1, 8 and 64 threads, SECONDS "
                            "(default 3) of processor time a row.\n";

typedef struct bench {
    dip_archive *archive;
    dip_search *search;
    double seconds;
    bool pixels;
    dip_tile **tiles; /* of the first modality */
    uint64_t *ids;
    size_t count;
    double stop;
} bench;

typedef struct asker {
    pthread_t thread;
    const bench *bench;
    size_t number, asked;
    dip_status status;
} asker;

static dip_status ask(const bench *b, size_t i)
{
    const dip_modality *from = dip_archive_modality(b->archive, 0);
    dip_probe probe = {.kind = b->pixels ? DIP_PROBE_PIXELS : DIP_PROBE_TILE,
                       .id = b->ids[i % b->count],
                       .tile = b->tiles[i % b->count],
                       .modality = from->name};
    dip_query query = DIP_QUERY_INIT;
    query.exact = !b->pixels;
    dip_result result;
    dip_status status = dip_search_run(b->search, &probe, &query, &result);
    if (!status) dip_result_fini(&result);
    return status;
}

static void *ask_on(void *argument)
{
    asker *a = argument;
    while (!a->status && bench_clock(CLOCK_PROCESS_CPUTIME_ID) < a->bench->stop)
        a->status = ask(a->bench, a->number * 31 + a->asked++);
    return NULL;
}

static dip_status measure(bench *b, const char *what, size_t threads)
{
    asker askers[64];
    size_t asked = 0;
    dip_status status = DIP_OK;
    double begin = bench_clock(CLOCK_PROCESS_CPUTIME_ID), wall = bench_clock(CLOCK_MONOTONIC);
    b->stop = begin + b->seconds;
    for (size_t i = 0; i < threads; i++) {
        askers[i] = (asker){.bench = b, .number = i};
        pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(askers[i].thread, NULL);
        asked += askers[i].asked;
        if (askers[i].status) status = askers[i].status;
    }
    printf("| %s | %zu | %.0f | %.0f |\n", what, threads,
           (double)asked / (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - begin),
           (double)asked / (bench_clock(CLOCK_MONOTONIC) - wall));
    return status;
}

static dip_status measure_index(const bench *b, size_t nq)
{
    const dip_index *index = b->search->sides[1].index;
    size_t dim = b->search->manifest->dim, n = b->count / nq * nq, asked = 0;
    float *vectors = dip_alloc_aligned(b->count * dim * sizeof *vectors);
    uint64_t ids[8 * 10];
    float scores[8 * 10];
    if (!vectors) return DIP_ENOMEM;
    dip_status status = dip_archive_embeddings_of(b->archive, b->search->manifest->model, 0, b->ids,
                                                  b->count, dim, vectors, NULL);
    double begin = bench_clock(CLOCK_PROCESS_CPUTIME_ID), wall = bench_clock(CLOCK_MONOTONIC);
    while (!status && bench_clock(CLOCK_PROCESS_CPUTIME_ID) < begin + b->seconds)
        for (size_t i = 0; i < n && !status; i += nq, asked += nq)
            status = dip_index_search(index, vectors + i * dim, nq, 10, NULL, NULL, 0, ids, scores);
    printf("| index (%s), %zu a call | 1 | %.0f | %.0f |\n", dip_index_describe(index), nq,
           (double)asked / (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - begin),
           (double)asked / (bench_clock(CLOCK_MONOTONIC) - wall));
    dip_free_aligned(vectors);
    return status;
}

/* Some tiles of the first modality, in memory. */
static dip_status load(bench *b)
{
    size_t n;
    dip_status status = dip_archive_ids(b->archive, 0, &b->ids, &n);
    b->count = n < 256 ? n : 256;
    b->tiles = dip_calloc(b->count + 1, sizeof *b->tiles);
    for (size_t i = 0; i < b->count && !status; i++)
        status = dip_archive_tile(b->archive, b->ids[i], &b->tiles[i]);
    return status;
}

static dip_status run(bench *b)
{
    static const size_t threads[] = {1, 8, 64};
    dip_status status = load(b);
    printf("| queries | threads | a CPU second | a second |\n|---|---|---|---|\n");
    for (int pixels = 0; pixels < 2; pixels++)
        for (size_t i = 0; i < 3 && !status; i++) {
            b->pixels = pixels;
            status = measure(b, pixels ? "tiles to encode" : "compared with all", threads[i]);
        }
    if (!status) status = measure_index(b, 1);
    if (!status) status = measure_index(b, 8);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {0};
    bench_help(argc, argv, usage);
    if (argc < 2 || argc > 3) return bench_wrong_words(usage);
    b.seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    dip_status status = dip_archive_open(&b.archive, argv[1], DIP_ARCHIVE_READ);
    if (!status) status = dip_search_open(&b.search, b.archive, NULL);
    if (!status) status = run(&b);
    if (status) fprintf(stderr, "bench_combine: %s\n", dip_last_error());
    for (size_t i = 0; i < b.count; i++) dip_tile_free(b.tiles[i]);
    dip_free(b.tiles);
    dip_ids_free(b.ids);
    dip_search_close(b.search);
    dip_archive_close(b.archive);
    return status != DIP_OK;
}
