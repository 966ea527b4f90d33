/*
 * Opening an index and asking it for the first time: with its files in memory, and with none of them there.
 *
 * Before a cold round the system is asked to forget the files (posix_fadvise), and mincore says whether it has: what another
 * process maps stays, and such a round would measure something else. Before a warm round they are read through.
 */
#define _GNU_SOURCE
#include "bench/fbin.h"
#include "bench/support.h"

#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/index.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_SEARCHES = 64 };

typedef struct options {
    const char *queries;
    int64_t repeats, searches, k, nprobe, depth;
    bool json, help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    NAMED("queries", queries, "FILE", NULL, "unit vectors, .fbin (random ones); each round asks others"),
    INT("repeats", repeats, 1, 1e6, "50", "rounds, warm and cold each"),
    INT("searches", searches, 1, MOST_SEARCHES, "5", "searches after opening, one query each"),
    INT("k", k, 1, 10000, "10", "hits of a query"),
    INT("nprobe", nprobe, 0, 1e7, "0", "lists; 0: as the index was built"),
    INT("depth", depth, 0, 1e7, "0", "candidates scored again, times k; 0: as the index was built"),
    FLAG("json", json, NULL, "rows as JSON"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

typedef struct bench {
    options options;
    const char *folder, *name;
    char **files; /* of the index, NULL at the end */
    const float *queries;
    size_t nq, dim, next;
    uint64_t *ids;
    float *scores;
    double *times; /* (1 + searches, repeats) */
} bench;

static dip_status list_files(bench *b)
{
    char **names;
    size_t count, n = 0, length = strlen(b->name);
    dip_status status = dip_folder_list(&names, &count, b->folder);
    if (status) return status;
    b->files = dip_calloc(count + 1, sizeof *b->files);
    if (!b->files) status = DIP_ENOMEM;
    for (size_t i = 0; i < count && !status; i++) {
        if (strncmp(names[i], b->name, length) || names[i][length] != '.') continue;
        b->files[n] = dip_sprintf("%s/%s", b->folder, names[i]);
        if (!b->files[n++]) status = DIP_ENOMEM;
    }
    dip_names_free(names, count);
    if (!status && !n)
        status = dip_fail(DIP_ENOENT, "there is no index '%s' in '%s'", b->name, b->folder);
    return status;
}

static dip_status forget(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dip_fail_errno("open", path);
    fdatasync(fd); /* what is not on the disk yet would stay */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (map.length + page - 1) / page, there = 0;
    unsigned char *in_memory = dip_calloc(pages + 1, 1);
    if (!in_memory)
        status = DIP_ENOMEM;
    else if (pages && mincore((void *)map.bytes, map.length, in_memory))
        status = dip_fail_errno("ask for the pages of", path);
    for (size_t i = 0; i < pages && !status; i++) there += in_memory[i] & 1;
    if (there * 100 > pages)
        status =
            dip_fail(DIP_EBUSY, "%zu of %zu pages of '%s' stay in memory; who else has it open?",
                     there, pages, path);
    dip_free(in_memory);
    dip_file_unmap(&map);
    return status;
}

static dip_status read_through(const char *path)
{
    static char block[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dip_fail_errno("open", path);
    ssize_t got;
    while ((got = read(fd, block, sizeof block)) > 0) continue;
    close(fd);
    return got ? dip_fail_errno("read", path) : DIP_OK;
}

static dip_status one_round(bench *b, size_t round)
{
    const dip_index_params params = {(uint32_t)b->options.nprobe, (uint32_t)b->options.depth, 0};
    const size_t repeats = (size_t)b->options.repeats;
    dip_index *index;
    double start = bench_clock(CLOCK_MONOTONIC);
    dip_status status = dip_index_open(&index, b->folder, b->name);
    if (status) return status;
    b->times[round] = bench_clock(CLOCK_MONOTONIC) - start;
    for (size_t i = 1; i <= (size_t)b->options.searches && !status; i++) {
        const float *query = b->queries + b->next++ % b->nq * b->dim;
        start = bench_clock(CLOCK_MONOTONIC);
        status = dip_index_search(index, query, 1, (size_t)b->options.k, &params, NULL, 0, b->ids,
                                  b->scores);
        b->times[i * repeats + round] = bench_clock(CLOCK_MONOTONIC) - start;
    }
    dip_index_close(index);
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_rows(bench *b, const char *state)
{
    const size_t n = (size_t)b->options.repeats;
    for (size_t i = 0; i <= (size_t)b->options.searches; i++) {
        char step[32] = "open";
        if (i) snprintf(step, sizeof step, "search %zu", i);
        double *t = b->times + i * n;
        qsort(t, n, sizeof *t, ascending);
        printf(b->options.json ? "{\"bench\": \"open\", \"state\": \"%s\", \"step\": \"%s\", "
                                 "\"repeats\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n"
                               : "%-5s %-10s %4zu times, median %9.3f ms, p99 %9.3f ms\n",
               state, step, n, 1e3 * t[n / 2], 1e3 * t[(n * 99 + 99) / 100 - 1]);
    }
    fflush(stdout);
}

static dip_status measure(bench *b, bool cold)
{
    dip_status status = DIP_OK;
    for (char **file = b->files; *file && !cold && !status; file++) status = read_through(*file);
    for (size_t i = 0; i < (size_t)b->options.repeats && !status; i++) {
        for (char **file = b->files; *file && cold && !status; file++) status = forget(*file);
        if (!status) status = one_round(b, i);
    }
    if (!status) print_rows(b, cold ? "cold" : "warm");
    return status;
}

/* As many as all rounds ask for; free with dip_free(). */
static float *random_queries(size_t n, size_t dim)
{
    float *queries = dip_alloc(n * dim * sizeof *queries);
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < n && queries; i++) {
        float *q = queries + i * dim;
        double sum = 0;
        for (size_t j = 0; j < dim; j++) {
            q[j] = (float)dip_rng_normal(&rng);
            sum += (double)q[j] * (double)q[j];
        }
        for (size_t j = 0; j < dim; j++) q[j] /= (float)sqrt(sum);
    }
    return queries;
}

static dip_status run(bench *b)
{
    const options *o = &b->options;
    dip_map map = {0};
    float *made = NULL;
    dip_index *index;
    dip_status status = dip_index_open(&index, b->folder, b->name);
    if (status) return status;
    size_t dim = b->dim = dip_index_dim(index);
    if (!o->json) printf("%s, %zu vectors\n", dip_index_describe(index), dip_index_count(index));
    dip_index_close(index);
    b->ids = dip_alloc((size_t)o->k * sizeof *b->ids);
    b->scores = dip_alloc((size_t)o->k * sizeof *b->scores);
    b->times = dip_alloc((size_t)(o->searches + 1) * (size_t)o->repeats * sizeof *b->times);
    if (!b->ids || !b->scores || !b->times) status = DIP_ENOMEM;
    if (!status && o->queries) {
        status = bench_fbin_map(&map, o->queries, &b->queries, &b->nq, &dim);
        if (!status && (dim != b->dim || !b->nq))
            status = dip_fail(DIP_EINVAL, "'%s' has %zu queries of %zu values, the index has %zu",
                              o->queries, b->nq, dim, b->dim);
    } else if (!status) {
        b->nq = 2 * (size_t)(o->repeats * o->searches);
        b->queries = made = random_queries(b->nq, dim);
        if (!made) status = DIP_ENOMEM;
    }
    if (!status) status = list_files(b);
    if (!status) status = measure(b, false);
    if (!status) status = measure(b, true);
    dip_free(made);
    dip_file_unmap(&map);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.files = NULL};
    int rest;
    dip_options_defaults(table, &b.options);
    if (dip_options_parse(table, &b.options, argc, argv, &rest) || rest != 2 || b.options.help) {
        FILE *out = b.options.help ? stdout : stderr;
        if (!b.options.help && *dip_last_error())
            fprintf(out, "bench_open: %s\n", dip_last_error());
        fprintf(out, "usage: bench_open [OPTIONS] FOLDER NAME\n\n"
                     "Opens the index NAME of FOLDER, which may be a generation of an archive and "
                     "a modality, again and again.\n");
        dip_options_help(table, out);
        return b.options.help ? 0 : 2;
    }
    b.folder = argv[1];
    b.name = argv[2];
    dip_threads_set(1);
    dip_status status = run(&b);
    for (char **file = b.files; file && *file; file++) dip_free(*file);
    dip_free(b.files), dip_free(b.ids), dip_free(b.scores), dip_free(b.times);
    if (status) fprintf(stderr, "bench_open: %s\n", dip_last_error());
    return status ? 1 : 0;
}
