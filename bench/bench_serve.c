/* What a search by stored tile costs as a library call: what the same search over HTTP is compared with. */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/rng.h"

#include <diptych/diptych.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_serve ARCHIVE [CALLS [IDS]]\n"
    "\n"
    "CALLS (default 2000) searches by stored tiles at random, 10 hits each, one after the other, after a tenth as many to warm up.\n"
    "Prints one JSON object: calls a second, and percentiles in microseconds. With IDS, writes the names of the tiles that were asked\n"
    "with there, \"modality/name\", one a line.\n";
/* clang-format on */

enum { SEED = 1, CALLS = 2000 };

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_serve: %s\n", dip_last_error());
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void write_name(FILE *out, const dip_archive *archive, uint64_t id)
{
    dip_meta *meta;
    must(dip_archive_meta(archive, id, &meta));
    fprintf(out, "%s/%s\n", dip_archive_modality(archive, meta->modality)->name, meta->name);
    dip_meta_free(meta);
}

int main(int argc, char **argv)
{
    dip_archive *archive;
    dip_search *search;
    dip_archive_counts counts;
    dip_rng rng;
    if (argc < 2 || argc > 4 || *argv[1] == '-') {
        fputs(usage, stderr);
        return 2;
    }
    const size_t calls = argc > 2 ? strtoul(argv[2], NULL, 10) : CALLS;
    FILE *names = argc > 3 ? fopen(argv[3], "w") : NULL;
    double *us = dip_alloc((calls + 1) * sizeof *us), total = 0;
    must(us ? DIP_OK : DIP_ENOMEM);
    must(dip_archive_open(&archive, argv[1], DIP_ARCHIVE_READ));
    must(dip_archive_count(archive, &counts));
    must(dip_search_open(&search, archive, NULL));
    dip_rng_init(&rng, SEED, 0);
    for (size_t i = 0; i < calls / 10 + calls; i++) {
        dip_query query = DIP_QUERY_INIT;
        dip_result result;
        dip_probe probe = {.kind = DIP_PROBE_TILE,
                           .id = dip_rng_below(&rng, (uint32_t)counts.tiles)};
        double begin = dip_seconds();
        must(dip_search_run(search, &probe, &query, &result));
        double took = dip_seconds() - begin;
        dip_result_fini(&result);
        if (i < calls / 10) continue;
        us[i - calls / 10] = 1e6 * took;
        total += took;
        if (names) write_name(names, archive, probe.id);
    }
    qsort(us, calls, sizeof *us, by_value);
    printf("{\"tiles\": %llu, \"calls\": %zu, \"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": "
           "%.0f}\n",
           (unsigned long long)counts.tiles, calls, (double)calls / total, us[calls / 2],
           us[calls - 1 - calls / 100]);
    if (names) fclose(names);
    dip_search_close(search);
    dip_archive_close(archive);
    dip_free(us);
    return 0;
}
