/*
 * Makes a set of SIMULATED embeddings (latent.h) to measure indexes with:
 *
 *   bench_vectors [--count N] [--queries N] [--dim N] [--seed N] [--threads N] PREFIX
 *
 * PREFIX_base.fbin, PREFIX_same.fbin (queries of the base's modality) and PREFIX_other.fbin (queries of the other one).
 * Vectors go to the file as they are made; the bytes depend on the seed and the sizes alone, and the first N of a longer
 * set are the set of N.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/fbin.h"
#include "bench/latent.h"
#include "bench/support.h"

#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"

typedef struct options {
    int64_t count, queries, dim, seed, threads;
    bool help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    {.name = "count", .letter = 'n', .type = DIP_OPTION_INT, AT(count), .low = 1, .high = 4e9, .fallback = "1000000",
     .help = "vectors of the base"},
    INT("queries", queries, 1, 1e8, "10000", "queries of either kind"),
    INT("dim", dim, 1, 65536, "128", "dimensions"),
    INT("seed", seed, 0, 1e15, "1", "of all random numbers"),
    INT("threads", threads, 0, 256, "0", "0: all processors"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

typedef struct job {
    const bench_latent *model;
    bench_latent_set set;
    size_t n, dim;
    const bench_fbin *out;
    float *scratch; /* a worker: the model's, then a block of vectors */
    size_t scratch_floats;
} job;

static dip_status make_block(void *context, size_t task, unsigned worker)
{
    const job *j = context;
    const size_t first = task * BENCH_LATENT_BLOCK, rest = j->n - first;
    float *scratch = j->scratch + worker * j->scratch_floats;
    float *vectors = scratch + bench_latent_scratch(j->model);
    bench_latent_block(j->model, j->set, task, scratch, vectors);
    return bench_fbin_put(j->out, first, vectors,
                          rest < BENCH_LATENT_BLOCK ? rest : BENCH_LATENT_BLOCK);
}

static dip_status make_set(const bench_latent *model, bench_latent_set set, size_t n, size_t dim,
                           const char *prefix)
{
    static const char *const names[] = {"base", "same", "other"};
    bench_fbin out = {.row_bytes = 0};
    job j = {.model = model, .set = set, .n = n, .dim = dim, .out = &out};
    const double wall = bench_clock(CLOCK_MONOTONIC), cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    j.scratch_floats = bench_latent_scratch(model) + BENCH_LATENT_BLOCK * dim;
    char *path = dip_sprintf("%s_%s.fbin", prefix, names[set]);
    j.scratch = dip_alloc(dip_threads() * j.scratch_floats * sizeof *j.scratch);
    dip_status status = path && j.scratch ? DIP_OK : DIP_ENOMEM;
    if (!status) status = bench_fbin_begin(&out, path, n, dim, sizeof(float));
    if (!status)
        status =
            dip_parallel_for((n + BENCH_LATENT_BLOCK - 1) / BENCH_LATENT_BLOCK, make_block, &j);
    if (!status) status = bench_fbin_commit(&out);
    if (!status)
        printf("{\"file\":\"%s\",\"simulated\":true,\"n\":%zu,\"dim\":%zu,\"s\":%.1f,\"cpu_s\":%."
               "1f}\n",
               path, n, dim, bench_clock(CLOCK_MONOTONIC) - wall,
               bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    bench_fbin_abandon(&out);
    dip_free(j.scratch);
    dip_free(path);
    return status;
}

int main(int argc, char **argv)
{
    options o;
    int rest;
    dip_options_defaults(table, &o);
    if (dip_options_parse(table, &o, argc, argv, &rest) || rest != 1 || o.help) {
        if (!o.help && *dip_last_error()) fprintf(stderr, "bench_vectors: %s\n", dip_last_error());
        fprintf(o.help ? stdout : stderr, "usage: bench_vectors [OPTIONS] PREFIX\n");
        dip_options_help(table, o.help ? stdout : stderr);
        return o.help ? 0 : 2;
    }
    dip_threads_set((unsigned)o.threads);
    const size_t dim = (size_t)o.dim;
    bench_latent *model = NULL;
    dip_status status = bench_latent_create(&model, dim, (uint64_t)o.seed);
    for (int set = BENCH_LATENT_BASE; !status && set <= BENCH_LATENT_OTHER; set++)
        status = make_set(model, (bench_latent_set)set,
                          (size_t)(set == BENCH_LATENT_BASE ? o.count : o.queries), dim, argv[1]);
    bench_latent_destroy(model);
    if (status) fprintf(stderr, "bench_vectors: %s\n", dip_last_error());
    return status ? 1 : 0;
}
