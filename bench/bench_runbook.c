/*
 * Replays a run-book (runbook.h) on a native index that lives: what recall and updates do while vectors come and go.
 *
 *   bench_runbook [OPTIONS] VECTORS QUERIES RUNBOOK
 *   bench_runbook --make sliding|clustered ROWS STEPS RUNBOOK
 *
 * VECTORS and QUERIES are any files that `diptych bench` reads, as unit vectors. The first insert builds an index and tunes
 * it with the first queries, which ask nothing later; every later insert or delete is an update (or with --rebuild another
 * build) into a new folder, opened anew. While that runs, a reader keeps asking the old index and holds its answers to those
 * of before. A search is one query a call; an answer counts if its cosine reaches that of the k-th among all live vectors,
 * found exactly. Times are processor time without the reader's; building includes tuning. Recall does
 * not depend on the number of threads.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/runbook.h"
#include "bench/support.h"

#include "compare/set.h"
#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/dot.h"
#include "index/native.h"
#include "index/nearest.h"
#include "index/scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHING = 64, TUNING = 1000, SEED = 1 };
#define NAME "rows"
static const float tolerance = 1e-6F; /* ties do no harm */

typedef struct options {
    const char *make, *set, *folder;
    int64_t k, clusters, queries, threads;
    double target, rebuild;
    bool json, help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    NAMED("make", make, "KIND", NULL, "write a run-book: sliding or clustered"),
    NAMED("set", set, "NAME", NULL, "data set of the run-book (the first)"),
    NAMED("folder", folder, "FOLDER", "runbook-work", "where indexes and unit vectors go"),
    INT("clusters", clusters, 0, 1e6, "0", "bring rows near the same of N of them together first"),
    INT("k", k, 1, 10000, "10", "hits of a query"),
    INT("queries", queries, 2, 1e7, "2000", "queries, at most; the first 1000 or half tune"),
    REAL("recall", target, 0, 1, "0.95", "that is tuned for"),
    REAL("rebuild", rebuild, 0, 1e9, "0", "build anew when there are so many times the vectors of the last time; 0: never"),
    INT("threads", threads, 0, 256, "0", "of updates; 0: all processors"),
    FLAG("json", json, NULL, "rows as JSON"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

/* What happened since the search before. */
typedef struct change {
    size_t inserted, deleted;
    double insert_s, delete_s;
    bool built, compacted;
} change;

/* An index in a folder of its own. */
typedef struct version {
    dip_index *index;
    char *folder;
    dip_index_params params;
    size_t built; /* rows when its lists were trained */
} version;

typedef struct replay {
    options o;
    bench_runbook book;
    dip_unit_table base, queries;
    const float *rows; /* those of base, or `ordered` */
    float *ordered;
    size_t dim, k, nq, live_count, watching;
    const float *asked;   /* nq, behind those that tune */
    uint64_t *ids, *live; /* of all rows: 0, 1, ...; a bit each */
    uint64_t *found;
    float *found_scores, *truth; /* these and found: (nq, k), true scores */
    version now;
    change since;
    size_t reads, failures, searches;
    double sum, least;
} replay;

/* ---- a reader beside a change ---- */

typedef struct reader {
    const replay *r;
    pthread_t thread;
    atomic_bool stop;
    size_t asked, failed;
    double cpu;
} reader;

static dip_status ask(const replay *r, size_t q, size_t n, uint64_t *ids, float *scores)
{
    return dip_index_search(r->now.index, r->asked + q * r->dim, n, r->k, &r->now.params, NULL, 0,
                            ids, scores);
}

static void *read_on(void *context)
{
    reader *d = context;
    const replay *r = d->r;
    uint64_t *ids = dip_alloc(r->k * sizeof *ids);
    float *scores = dip_alloc(r->k * sizeof *scores);
    do {
        const size_t q = d->asked++ % r->watching;
        if (!ids || !scores || ask(r, q, 1, ids, scores) ||
            memcmp(ids, r->found + q * r->k, r->k * sizeof *ids) != 0 ||
            memcmp(scores, r->found_scores + q * r->k, r->k * sizeof *scores) != 0)
            d->failed++;
    } while (!atomic_load(&d->stop));
    dip_free(ids);
    dip_free(scores);
    d->cpu = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static dip_status reader_start(reader *d, const replay *r)
{
    dip_status status = ask(r, 0, r->watching, r->found, r->found_scores);
    if (!status && pthread_create(&d->thread, NULL, read_on, d))
        status = dip_fail(DIP_ENOMEM, "cannot start a thread that reads");
    return status;
}

static void reader_stop(reader *d, replay *r)
{
    atomic_store(&d->stop, true);
    pthread_join(d->thread, NULL);
    r->reads += d->asked;
    r->failures += d->failed;
}

/* ---- changes ---- */

/* The cheapest point that reaches the target, else the best. */
static dip_status tune(const replay *r, const float *rows, const uint64_t *ids, size_t n,
                       version *next)
{
    dip_truth truth;
    const dip_index_tuning how = {.truth = &truth,
                                  .nq = r->queries.rows - r->nq,
                                  .k = r->k,
                                  .fetched = r->k,
                                  .target = r->o.target};
    dip_index_point points[DIP_INDEX_MAX_POINTS];
    size_t count, at = 0;
    dip_status status = dip_truth_init(&truth, r->queries.vectors, how.nq, r->dim);
    if (!status) status = dip_truth_add(&truth, rows, ids, n);
    if (!status) status = dip_index_tune(next->index, &how, points, &count);
    dip_truth_fini(&truth);
    if (status) return status;
    while (at + 1 < count && points[at].recall < r->o.target) at++;
    next->params = points[at].params;
    return DIP_OK;
}

/* Builds an index of what is live, and tunes it. */
static dip_status build(const replay *r, version *next)
{
    const dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE, .recall = r->o.target};
    const size_t room = r->live_count, bytes = r->dim * sizeof(float);
    uint64_t *ids = dip_alloc(room * sizeof *ids);
    float *rows = dip_alloc(room * bytes);
    dip_status status = ids && rows ? DIP_OK : DIP_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < r->base.rows && !status; i++) {
        if (!dip_bit(r->live, i)) continue;
        memcpy(rows + n * r->dim, r->rows + i * r->dim, bytes);
        ids[n++] = i;
    }
    if (!status) status = dip_index_build(next->folder, NAME, &recipe, rows, ids, n, r->dim, NULL);
    if (!status) status = dip_index_open(&next->index, next->folder, NAME);
    if (!status) status = tune(r, rows, ids, n, next);
    next->built = n;
    dip_free(ids);
    dip_free(rows);
    return status;
}

static dip_status update(const replay *r, const bench_step *s, version *next)
{
    const size_t n = s->end - s->start;
    const uint64_t *ids = r->ids + s->start;
    const bool insert = s->operation == BENCH_INSERT;
    dip_status status =
        insert ? dip_index_update(r->now.index, next->folder, NAME, NULL, 0,
                                  r->rows + s->start * r->dim, ids, n)
               : dip_index_update(r->now.index, next->folder, NAME, ids, n, NULL, NULL, 0);
    next->params = r->now.params;
    next->built = r->now.built;
    return status ? status : dip_index_open(&next->index, next->folder, NAME);
}

static bool is_due(const replay *r)
{
    return !r->now.index ||
           (r->o.rebuild > 0 && (double)r->live_count > r->o.rebuild * (double)r->now.built);
}

static dip_status make_version(replay *r, const bench_step *s, version *next, double *seconds)
{
    const bool old = r->now.index, anew = is_due(r);
    reader d = {.r = r};
    dip_status status = dip_file_remove(next->folder);
    if (!status) status = dip_folder_create(next->folder);
    const double begin = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    if (!status && old) status = reader_start(&d, r);
    if (status) return status;
    status = anew ? build(r, next) : update(r, s, next);
    if (old) reader_stop(&d, r);
    *seconds += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - begin - d.cpu;
    if (status) return status;
    const dip_native *is = next->index->state, *was = old ? r->now.index->state : NULL;
    r->since.built |= anew;
    r->since.compacted |= was && was->segment.header_hash != is->segment.header_hash;
    return dip_index_count(next->index) == r->live_count
               ? DIP_OK
               : dip_fail(DIP_ECORRUPT, "after step %zu the index holds %zu vectors, not %zu",
                          s->number, dip_index_count(next->index), r->live_count);
}

static void drop_version(version *v)
{
    dip_index_close(v->index);
    if (v->folder) dip_file_remove(v->folder);
    dip_free(v->folder);
}

static dip_status mark(replay *r, const bench_step *s)
{
    const bool insert = s->operation == BENCH_INSERT;
    for (size_t i = s->start; i < s->end; i++) {
        if (dip_bit(r->live, i) == insert)
            return dip_fail(DIP_EFORMAT, "step %zu of the run-book %s row %zu, which is %sthere",
                            s->number, insert ? "inserts" : "deletes", i, insert ? "" : "not ");
        r->live[i / 64] ^= UINT64_C(1) << i % 64;
    }
    const size_t n = s->end - s->start;
    r->live_count = insert ? r->live_count + n : r->live_count - n;
    *(insert ? &r->since.inserted : &r->since.deleted) += n;
    return DIP_OK;
}

static dip_status change_rows(replay *r, const bench_step *s)
{
    version next = {.folder = dip_sprintf("%s/%zu", r->o.folder, s->number)};
    dip_status status = next.folder ? mark(r, s) : DIP_ENOMEM;
    double *seconds = s->operation == BENCH_INSERT ? &r->since.insert_s : &r->since.delete_s;
    if (!status) status = make_version(r, s, &next, seconds);
    if (status) {
        drop_version(&next);
        return status;
    }
    drop_version(&r->now);
    r->now = next;
    return DIP_OK;
}

/* ---- searches ---- */

static void print_row(const replay *r, const bench_step *s, double recall, double query_us)
{
    const change *c = &r->since;
    const dip_native *native = r->now.index->state;
    const char *how = c->built ? "built" : c->compacted ? "compacted" : "delta";
    const double insert_us = c->inserted ? c->insert_s * 1e6 / (double)c->inserted : 0;
    const double delete_us = c->deleted ? c->delete_s * 1e6 / (double)c->deleted : 0;
    printf(r->o.json
               ? "{\"step\":%zu,\"live\":%zu,\"recall\":%.5f,\"query_us\":%.1f,\"inserted\":%zu,"
                 "\"insert_us\":%.2f,\"deleted\":%zu,\"delete_us\":%.2f,\"delta\":%zu,"
                 "\"update\":\"%s\"}\n"
               : "%6zu %9zu %8.4f %9.1f %9zu %9.2f %9zu %9.2f %7zu  %s\n",
           s->number, r->live_count, recall, query_us, c->inserted, insert_us, c->deleted,
           delete_us, (size_t)native->delta.layout.count, how);
    fflush(stdout);
}

/* Right answers among those that query q found; *wanted grows by how many there are. */
static size_t count_right(const replay *r, size_t q, size_t *wanted)
{
    const dip_dot_fn dot = dip_dot_get();
    const uint64_t *ids = r->found + q * r->k;
    const float *truth = r->truth + q * r->k;
    size_t right = 0, n = r->k;
    while (n && truth[n - 1] < -1.5F) n--;
    *wanted += n;
    for (size_t i = 0; i < n; i++) {
        bool again = ids[i] >= r->base.rows || !dip_bit(r->live, ids[i]);
        for (size_t j = 0; j < i && !again; j++) again = ids[j] == ids[i];
        if (again) continue;
        right += dot(r->asked + q * r->dim, r->rows + ids[i] * r->dim, r->dim) >=
                 truth[n - 1] - tolerance;
    }
    return right;
}

static dip_status search(replay *r, const bench_step *s)
{
    if (!r->now.index)
        return dip_fail(DIP_EFORMAT,
                        "step %zu of the run-book searches before anything is inserted", s->number);
    const dip_scan scan = {
        .vectors = r->rows, .n = r->base.rows, .dim = r->dim, .allowed = r->live};
    dip_status status = dip_scan_run(&scan, r->asked, r->nq, r->k, r->found, r->truth);
    size_t right = 0, wanted = 0;
    const double begin = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t q = 0; q < r->nq && !status; q++)
        status = ask(r, q, 1, r->found + q * r->k, r->found_scores + q * r->k);
    const double cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - begin;
    if (status) return status;
    for (size_t q = 0; q < r->nq; q++) right += count_right(r, q, &wanted);
    const double recall = wanted ? (double)right / (double)wanted : 1;
    print_row(r, s, recall, cpu * 1e6 / (double)r->nq);
    r->sum += recall;
    r->least = r->searches++ && r->least < recall ? r->least : recall;
    r->since = (change){.built = false};
    return DIP_OK;
}

/* ---- all ---- */

static dip_status open_table(dip_unit_table *out, const char *path, const char *part,
                             const replay *r, size_t most)
{
    dip_points points = {.rows = 0};
    dip_status status = dip_points_open(&points, path, part);
    if (!status) status = dip_unit_table_make(out, &points, r->o.folder, most, NULL);
    dip_points_close(&points);
    return status;
}

/* Rows near the same of a few random ones stand together, so that ranges of rows are kinds of vectors. */
static dip_status order_rows(replay *r)
{
    const size_t n = r->base.rows, dim = r->dim, c = (size_t)r->o.clusters,
                 bytes = dim * sizeof(float);
    float *centres = dip_alloc(c * bytes);
    int64_t *nearest = dip_alloc(n * sizeof *nearest);
    size_t *first = dip_calloc(c + 1, sizeof *first);
    r->rows = r->ordered = dip_alloc(n * bytes);
    dip_status status = centres && nearest && first && r->ordered ? DIP_OK : DIP_ENOMEM;
    dip_rng rng;
    dip_rng_init(&rng, SEED, 0);
    for (size_t i = 0; i < c && !status; i++)
        memcpy(centres + i * dim, r->base.vectors + dip_rng_below(&rng, (uint32_t)n) * dim, bytes);
    if (!status) status = dip_nearest(r->base.vectors, n, centres, c, dim, nearest, NULL);
    for (size_t i = 0; i < n && !status; i++) first[nearest[i] + 1]++;
    for (size_t i = 0; i < c && !status; i++) first[i + 1] += first[i];
    for (size_t i = 0; i < n && !status; i++)
        memcpy(r->ordered + first[nearest[i]]++ * dim, r->base.vectors + i * dim, bytes);
    dip_free(centres);
    dip_free(nearest);
    dip_free(first);
    return status;
}

static dip_status open_all(replay *r, char **argv)
{
    dip_status status = bench_runbook_read(&r->book, argv[3], r->o.set);
    if (!status) status = dip_folder_create(r->o.folder);
    if (!status) status = open_table(&r->base, argv[1], "train", r, r->book.rows);
    if (!status) status = open_table(&r->queries, argv[2], "test", r, (size_t)r->o.queries);
    if (status) return status;
    if (r->base.rows < r->book.rows || r->base.dim != r->queries.dim || r->queries.rows < 2)
        return dip_fail(
            DIP_EMISMATCH,
            "the run-book needs %zu vectors and 2 queries of as many dimensions; there are "
            "%zu of %zu and %zu of %zu",
            r->book.rows, r->base.rows, r->base.dim, r->queries.rows, r->queries.dim);
    const size_t half = r->queries.rows / 2, tuning = TUNING;
    r->dim = r->base.dim;
    r->k = (size_t)r->o.k;
    r->nq = r->queries.rows - (tuning < half ? tuning : half);
    r->asked = r->queries.vectors + (r->queries.rows - r->nq) * r->dim;
    r->watching = r->nq < WATCHING ? r->nq : WATCHING;
    r->rows = r->base.vectors;
    r->ids = dip_alloc(r->base.rows * sizeof *r->ids);
    r->live = dip_calloc(dip_bit_words(r->base.rows), sizeof *r->live);
    r->found = dip_alloc(r->nq * r->k * sizeof *r->found);
    r->found_scores = dip_alloc(r->nq * r->k * sizeof *r->found_scores);
    r->truth = dip_alloc(r->nq * r->k * sizeof *r->truth);
    if (!r->ids || !r->live || !r->found || !r->found_scores || !r->truth) return DIP_ENOMEM;
    for (size_t i = 0; i < r->base.rows; i++) r->ids[i] = i;
    return r->o.clusters ? order_rows(r) : DIP_OK;
}

static dip_status run(replay *r, char **argv)
{
    dip_status status = open_all(r, argv);
    if (!status && !r->o.json)
        printf("%6s %9s %8s %9s %9s %9s %9s %9s %7s  %s\n", "step", "live", "recall", "query_us",
               "inserted", "insert_us", "deleted", "delete_us", "delta", "update");
    for (size_t i = 0; i < r->book.count && !status; i++) {
        const bench_step *s = &r->book.steps[i];
        status = (s->operation == BENCH_SEARCH ? search : change_rows)(r, s);
    }
    if (status) return status;
    printf(r->o.json
               ? "{\"k\":%zu,\"searches\":%zu,\"mean_recall\":%.5f,\"least_recall\":%.5f,"
                 "\"nprobe\":%u,\"depth\":%u,\"read\":%zu,\"failures\":%zu}\n"
               : "recall@%zu over %zu searches: mean and least %.4f %.4f (nprobe %u, depth %u); "
                 "beside updates %zu reads, %zu failed\n",
           r->k, r->searches, r->searches ? r->sum / (double)r->searches : 0, r->least,
           r->now.params.nprobe, r->now.params.depth, r->reads, r->failures);
    return r->failures
               ? dip_fail(DIP_ECORRUPT, "%zu answers of an index in use changed during an update",
                          r->failures)
               : DIP_OK;
}

static void drop(replay *r)
{
    drop_version(&r->now);
    dip_unit_table_close(&r->base);
    dip_unit_table_close(&r->queries);
    void *const blocks[] = {r->book.steps, r->ordered,      r->ids,  r->live,
                            r->found,      r->found_scores, r->truth};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dip_free(blocks[i]);
}

int main(int argc, char **argv)
{
    replay r = {.k = 0};
    int rest;
    dip_options_defaults(table, &r.o);
    dip_status status = dip_options_parse(table, &r.o, argc, argv, &rest);
    if (status || r.o.help || rest != 3) {
        if (status) fprintf(stderr, "bench_runbook: %s\n", dip_last_error());
        fprintf(r.o.help ? stdout : stderr,
                "usage: bench_runbook [OPTIONS] VECTORS QUERIES RUNBOOK\n"
                "       bench_runbook --make sliding|clustered ROWS STEPS RUNBOOK\n");
        dip_options_help(table, r.o.help ? stdout : stderr);
        return r.o.help ? 0 : 2;
    }
    dip_threads_set((unsigned)r.o.threads);
    status = r.o.make ? bench_runbook_make(argv[3], r.o.make, strtoull(argv[1], NULL, 10),
                                           strtoull(argv[2], NULL, 10))
                      : run(&r, argv);
    if (status) fprintf(stderr, "bench_runbook: %s\n", dip_last_error());
    drop(&r);
    return status ? 1 : 0;
}
