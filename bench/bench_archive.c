/* Tiles and embeddings a second of the archive, on the tiles of an archive that is there. */
#define _GNU_SOURCE
#include <diptych/archive.h>

#include "bench/support.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_archive [--tiles 2000] [--repeats 5] [--dim 128] ARCHIVE SCRATCH\n"
    "\n"
    "Tiles and embeddings a second of the archive, on the tiles of an archive that is there.\n"
    "\n"
    "Takes tiles of ARCHIVE into memory, writes them into a new archive SCRATCH (removed afterwards), and reads them back in random\n"
    "order. One JSON object a line: \"s\" is the median by the clock, \"cpu_s\" the mean processor time of all threads, which other\n"
    "work on the machine disturbs least. DIP_THREADS sets the threads.\n";
/* clang-format on */

enum { PER_BATCH = 256, LOOKUPS = 100 };

typedef struct bench {
    const char *source, *scratch;
    size_t tiles, repeats, dim;
    dip_archive *archive; /* SCRATCH */
    dip_tile **made;
    uint64_t *order; /* ids of SCRATCH, shuffled */
    float *vectors;  /* (tiles or LOOKUPS, dim) */
} bench;

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_archive: %s\n", dip_last_error());
    exit(1);
}

/* Median by the clock of b->repeats calls after a warm-up. */
static void measure(bench *b, const char *what, size_t items, void (*fn)(void *))
{
    fn(b);
    const bench_timing t = bench_measure(fn, b, 0, b->repeats);
    printf("{\"what\":\"%s\",\"items\":%zu,\"threads\":%u,\"s\":%.6f,\"cpu_s\":%.6f,"
           "\"items_s\":%.0f,\"items_cpu_s\":%.0f}\n",
           what, items, dip_threads(), t.median, t.cpu, (double)items / t.median,
           (double)items / t.cpu);
    fflush(stdout);
}

static void load_tiles(bench *b)
{
    dip_archive *source;
    uint64_t *ids;
    size_t n;
    must(dip_archive_open(&source, b->source, DIP_ARCHIVE_READ));
    must(dip_archive_ids(source, -1, &ids, &n));
    if (b->tiles > n) b->tiles = n;
    b->made = calloc(b->tiles, sizeof(dip_tile *));
    b->order = calloc(b->tiles, sizeof *b->order);
    b->vectors = calloc((b->tiles > LOOKUPS ? b->tiles : LOOKUPS) * b->dim, sizeof *b->vectors);
    for (size_t i = 0; i < b->tiles; i++)
        must(dip_archive_tile(source, ids[i * n / b->tiles], &b->made[i]));
    dip_ids_free(ids);
    dip_file_remove(b->scratch);
    must(dip_archive_create(&b->archive, b->scratch, "bench"));
    for (size_t m = 0; m < dip_archive_modality_count(source); m++)
        must(dip_archive_declare(b->archive, dip_archive_modality(source, m)));
    dip_archive_close(source);
}

static void remove_all(bench *b)
{
    uint64_t *ids;
    size_t n;
    dip_batch *batch;
    must(dip_archive_ids(b->archive, -1, &ids, &n));
    must(dip_batch_begin(&batch, b->archive));
    for (size_t i = 0; i < n; i++) must(dip_batch_remove_tile(batch, ids[i]));
    must(dip_batch_commit(batch));
    dip_ids_free(ids);
}

static void write_tiles(bench *b)
{
    for (size_t i = 0; i < b->tiles;) {
        dip_batch *batch;
        must(dip_batch_begin(&batch, b->archive));
        for (size_t end = i + PER_BATCH; i < end && i < b->tiles; i++) {
            must(dip_batch_add_tile(batch, b->made[i]));
            b->order[i] = b->made[i]->meta.id;
        }
        must(dip_batch_commit(batch));
    }
}

static dip_status read_one(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const bench *b = context;
    dip_tile *tile;
    dip_status status = dip_archive_tile(b->archive, b->order[task], &tile);
    if (!status) dip_tile_free(tile);
    return status;
}

static void read_tiles(void *context)
{
    const bench *b = context;
    must(dip_parallel_for(b->tiles, read_one, context));
}

static void verify(void *context)
{
    bench *b = context;
    uint64_t faults;
    must(dip_archive_verify(b->archive, NULL, NULL, NULL, NULL, &faults));
    if (faults) exit(1);
}

/* ---- embeddings, of the tiles of modality 0 ---- */

static size_t of_first(const bench *b, uint64_t *ids)
{
    uint64_t *all;
    size_t n;
    must(dip_archive_ids(b->archive, 0, &all, &n));
    memcpy(ids, all, n * sizeof *ids);
    dip_ids_free(all);
    return n;
}

static void make_vectors(bench *b)
{
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < b->tiles; i++) {
        float *v = b->vectors + i * b->dim;
        double sum = 0;
        for (size_t k = 0; k < b->dim; k++) {
            v[k] = (float)dip_rng_normal(&rng);
            sum += (double)v[k] * v[k];
        }
        for (size_t k = 0; k < b->dim; k++) v[k] /= (float)sqrt(sum);
    }
}

static void write_embeddings(void *context)
{
    bench *b = context;
    dip_batch *batch;
    must(dip_batch_begin(&batch, b->archive));
    must(dip_batch_add_embeddings(batch, "bench", 0, b->order, b->vectors, of_first(b, b->order),
                                  b->dim));
    must(dip_batch_commit(batch));
}

static void read_embeddings(void *context)
{
    bench *b = context;
    dip_embeddings all;
    must(dip_archive_embeddings(b->archive, "bench", 0, &all));
    dip_embeddings_fini(&all);
}

static void look_up(void *context)
{
    bench *b = context;
    static dip_rng rng;
    uint64_t ids[LOOKUPS];
    size_t n = of_first(b, b->order);
    if (!rng.s[0]) dip_rng_init(&rng, 2, 0);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < LOOKUPS; i++) ids[i] = b->order[dip_rng_below(&rng, (uint32_t)n)];
        must(dip_archive_embeddings_of(b->archive, "bench", 0, ids, LOOKUPS, b->dim, b->vectors,
                                       NULL));
    }
}

static void shuffle(bench *b)
{
    dip_rng rng;
    dip_rng_init(&rng, 3, 0);
    for (size_t i = b->tiles; i > 1; i--) {
        size_t j = dip_rng_below(&rng, (uint32_t)i);
        uint64_t id = b->order[i - 1];
        b->order[i - 1] = b->order[j];
        b->order[j] = id;
    }
}

static void rewrite(void *context)
{
    bench *b = context;
    remove_all(b);
    write_tiles(b);
}

static void run(bench *b)
{
    dip_archive_counts counts;
    load_tiles(b);
    write_tiles(b);
    must(dip_archive_count(b->archive, &counts));
    printf("{\"what\":\"bytes\",\"tiles\":%zu,\"raw\":%.0f,\"stored\":%.0f,"
           "\"in_file\":%.0f}\n",
           b->tiles, (double)counts.raw_bytes / (double)b->tiles,
           (double)counts.tile_bytes / (double)b->tiles,
           (double)counts.store_bytes / (double)b->tiles);
    measure(b, "remove and write tiles", b->tiles, rewrite);
    shuffle(b);
    measure(b, "read tiles, random order", b->tiles, read_tiles);
    measure(b, "verify", b->tiles, verify);
    make_vectors(b);
    measure(b, "write embeddings", of_first(b, b->order), write_embeddings);
    measure(b, "read embeddings", of_first(b, b->order), read_embeddings);
    measure(b, "look up embeddings, 100 a call", 100 * LOOKUPS, look_up);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"tiles", required_argument, NULL, 't'},
                                            {"repeats", required_argument, NULL, 'r'},
                                            {"dim", required_argument, NULL, 'd'},
                                            {NULL, 0, NULL, 0}};
    bench b = {.tiles = 2000, .repeats = 5, .dim = 128};
    int option;
    bench_help(argc, argv, usage);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        size_t value = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (option == 't') b.tiles = value;
        if (option == 'r') b.repeats = value;
        if (option == 'd') b.dim = value;
        if (option == '?' || value == 0) return bench_wrong_words(usage);
    }
    if (argc - optind != 2) return bench_wrong_words(usage);
    b.source = argv[optind];
    b.scratch = argv[optind + 1];
    run(&b);
    dip_archive_close(b.archive);
    must(dip_file_remove(b.scratch));
    for (size_t i = 0; i < b.tiles; i++) dip_tile_free(b.made[i]);
    free(b.made);
    free(b.order);
    free(b.vectors);
    return 0;
}
