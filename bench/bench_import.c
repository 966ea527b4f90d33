/* What an import costs, whole and by stages. */
#define _GNU_SOURCE
#include "bench/support.h"
#include "core/file.h"
#include "core/parallel.h"
#include "ingest/bigearthnet.h"
#include "ingest/import.h"
#include "ingest/manifest.h"
#include "ingest/raster.h"
#include "ingest/source.h"
#include "ingest/statistics.h"
#include "storage/pixels.h"

#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_import [--repeats 3] SOURCE SCRATCH\n"
    "\n"
    "What an import costs, whole and by stages.\n"
    "\n"
    "SOURCE is what `diptych import` takes; SCRATCH a folder for archives (removed afterwards). One JSON object a line: the import\n"
    "itself, then its stages, each by itself on the same files and tiles, with the pool's threads:\n"
    "  pixels          every raster file opened and its bands read\n"
    "  description     what a tile's place, time, names and labels cost on top of that\n"
    "  compress        filters and zstd of every tile\n"
    "  store           names, places, metadata and LMDB: writing the tiles, less `compress`\n"
    "  statistics      mean and deviation of the bands, from the stored tiles\n"
    "\"s\" is the median by the clock, \"cpu_s\" the mean processor time of all threads. The stages need not add up to the whole: on a\n"
    "busy machine each differs from run to run, and the whole also reads the manifest, and some tiles of each modality twice.\n";
/* clang-format on */

enum { PER_BATCH = 256, OPEN_FOLDERS = 16 };

typedef struct bench {
    const char *source, *scratch;
    size_t repeats, tiles;
    dip_archive *archive;
    dip_tile **made;
    dip_modality modality[DIP_MAX_MODALITIES];
    size_t modality_count;
    dip_layout layout;
    dip_source described;
    dip_codec *codec;
} bench;

static char **files;
static size_t file_count, file_room;

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_import: %s\n", dip_last_error());
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);
    if (!block) exit(1);
    return block;
}

static void report(const bench *b, const char *stage, bench_timing t)
{
    printf("{\"what\":\"import\",\"stage\":\"%s\",\"tiles\":%zu,\"files\":%zu,\"threads\":%u,"
           "\"s\":%.6f,\"cpu_s\":%.6f}\n",
           stage, b->tiles, file_count, dip_threads(), t.median, t.cpu);
    fflush(stdout);
}

static bench_timing measure(bench *b, void (*fn)(void *))
{
    return bench_measure(fn, b, 0, b->repeats);
}

/* ---- whole ---- */

static void import(void *context)
{
    bench *b = context;
    dip_import_report r;
    if (b->archive) dip_archive_close(b->archive);
    must(dip_file_remove(b->scratch));
    must(dip_archive_create(&b->archive, b->scratch, "bench"));
    must(dip_import(b->archive, &b->source, 1, NULL, &r));
    if (!r.added) {
        fprintf(stderr, "bench_import: no tile of '%s' can be imported\n", b->source);
        exit(1);
    }
    b->tiles = r.added;
    b->layout = r.layout;
}

static void take_tiles(bench *b)
{
    uint64_t *ids;
    size_t n;
    must(dip_archive_ids(b->archive, -1, &ids, &n));
    b->made = memory(n, sizeof(dip_tile *));
    for (size_t i = 0; i < n; i++) must(dip_archive_tile(b->archive, ids[i], &b->made[i]));
    b->tiles = n;
    dip_ids_free(ids);
    b->modality_count = dip_archive_modality_count(b->archive);
    for (size_t m = 0; m < b->modality_count; m++)
        b->modality[m] = *dip_archive_modality(b->archive, m);
}

/* ---- files ---- */

static int see(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)where;
    const size_t length = strlen(path);
    if (kind != FTW_F || length < 4 || strcmp(path + length - 4, ".tif") != 0) return 0;
    if (file_count == file_room) {
        file_room = 2 * file_room + 1024;
        files = realloc(files, file_room * sizeof *files);
        if (!files) exit(1);
    }
    files[file_count++] = strdup(path);
    return 0;
}

static dip_status read_file(void *context, size_t task, unsigned worker)
{
    (void)context;
    (void)worker;
    dip_raster raster;
    dip_status status = dip_raster_read_pixels(&raster, files[task]);
    if (!status) dip_raster_fini(&raster);
    return status;
}

static void read_files(void *context) { must(dip_parallel_for(file_count, read_file, context)); }

/* As the import reads it, whatever becomes of it there. */
static dip_status read_draft(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const bench *b = context;
    dip_draft *draft = memory(1, sizeof *draft);
    dip_draft_init(draft);
    dip_status status = b->described.read(&b->described, task, draft);
    dip_draft_fini(draft);
    free(draft);
    return status == DIP_ENOMEM ? status : DIP_OK;
}

static void read_drafts(void *context)
{
    const bench *b = context;
    must(dip_parallel_for(b->described.count, read_draft, context));
}

static void open_described(bench *b)
{
    char manifest[4096];
    if (b->layout == DIP_LAYOUT_BIGEARTHNET) {
        must(dip_bigearthnet_open(&b->described, &b->source, 1, true));
        return;
    }
    snprintf(manifest, sizeof manifest, "%s%s", b->source,
             dip_file_is_folder(b->source) ? "/manifest.csv" : "");
    must(dip_manifest_open(&b->described, manifest));
}

static void bench_files(bench *b)
{
    open_described(b);
    read_files(b);
    const bench_timing pixels = measure(b, read_files);
    report(b, "pixels", pixels);
    read_drafts(b);
    bench_timing t = measure(b, read_drafts);
    t.median -= pixels.median;
    t.cpu -= pixels.cpu;
    report(b, "description", t);
    b->described.close(&b->described);
}

/* ---- tiles ---- */

static dip_status compress_tile(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const bench *b = context;
    const dip_tile *tile = b->made[task];
    dip_out out = {.bytes = NULL};
    dip_status status = dip_pixels_encode(&out, task, tile->planes, tile->plane_count, b->codec);
    dip_out_fini(&out);
    return status;
}

static void compress(void *context)
{
    const bench *b = context;
    must(dip_parallel_for(b->tiles, compress_tile, context));
}

/* A new archive of the same tiles, whose bands have no statistics yet. */
static void store(void *context)
{
    bench *b = context;
    if (b->archive) dip_archive_close(b->archive);
    must(dip_file_remove(b->scratch));
    must(dip_archive_create(&b->archive, b->scratch, "bench"));
    for (size_t m = 0; m < b->modality_count; m++) {
        dip_modality modality = b->modality[m];
        for (uint32_t i = 0; i < modality.band_count; i++) modality.bands[i].stddev = 0;
        must(dip_archive_declare(b->archive, &modality));
    }
    for (size_t i = 0; i < b->tiles;) {
        dip_batch *batch;
        must(dip_batch_begin(&batch, b->archive));
        for (size_t end = i + PER_BATCH; i < end && i < b->tiles; i++)
            must(dip_batch_add_tile(batch, b->made[i]));
        must(dip_batch_commit(batch));
    }
}

static void statistics(void *context)
{
    bench *b = context;
    must(dip_statistics_fill(b->archive, NULL));
}

static void bench_tiles(bench *b)
{
    must(dip_codec_create(&b->codec));
    const bench_timing packed = measure(b, compress);
    report(b, "compress", packed);
    bench_timing t = measure(b, store);
    t.median -= packed.median;
    t.cpu -= packed.cpu;
    report(b, "store", t);
    report(b, "statistics", bench_measure(statistics, b, 0, 1)); /* once: then there are some */
    dip_codec_destroy(b->codec);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"repeats", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    bench b = {.repeats = 3};
    bench_help(argc, argv, usage);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'r') b.repeats = strtoul(optarg, NULL, 10);
        if (o == '?') return bench_wrong_words(usage);
    }
    if (argc - optind != 2 || !b.repeats) return bench_wrong_words(usage);
    b.source = argv[optind];
    b.scratch = argv[optind + 1];
    nftw(b.source, see, OPEN_FOLDERS, FTW_PHYS);
    import(&b); /* the files come into memory, GDAL finds its drivers */
    report(&b, "whole", measure(&b, import));
    take_tiles(&b);
    bench_files(&b);
    bench_tiles(&b);
    dip_archive_close(b.archive);
    must(dip_file_remove(b.scratch));
    for (size_t i = 0; i < b.tiles; i++) dip_tile_free(b.made[i]);
    for (size_t i = 0; i < file_count; i++) free(files[i]);
    free(b.made);
    free(files);
    return 0;
}
