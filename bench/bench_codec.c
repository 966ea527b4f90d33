/* Bytes of tiles by zstd level, filter and dictionary, with what packing and unpacking cost, on one thread. */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"
#include "storage/filter.h"

#include <diptych/archive.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_codec [--bytes 3000000] [--levels 1,3,6,9,12,19] ARCHIVE\n"
    "\n"
    "Bytes of tiles by zstd level, filter and dictionary, with what packing and unpacking cost, on one thread.\n"
    "\n"
    "One JSON object a line, for every modality of ARCHIVE, on tiles spread evenly over it. A tile is one frame of its filtered\n"
    "planes, as the store has it. Filters: none (pixels as they are), one of storage/filter.h for all planes (MED where it\n"
    "does not fit), or \"chosen\", plane by plane, as the store does; its cost is that of the choice, too. The dictionary (64 KiB) is\n"
    "trained on other tiles than those that are packed. cpu_s are for all tiles, filters included.\n";
/* clang-format on */

enum { DICTIONARY_BYTES = 65536, MAX_LEVELS = 16, FEW_TILES = 16 };
enum { NONE = DIP_FILTER_COUNT, CHOSEN, MODES };
static const char *const mode_names[MODES] = {"planes",   "delta", "med",
                                              "med_band", "none",  "chosen"};

typedef struct sample {
    dip_tile **tiles;
    size_t count, raw_bytes, room; /* room: of the largest tile */
    uint8_t *filtered;             /* one tile after the other, as the current mode leaves them */
    size_t *sizes;
    uint8_t *packed, *unpacked;
    size_t *packed_sizes;
} sample;

typedef struct bench {
    const char *modality;
    int levels[MAX_LEVELS], level_count, level, mode;
    sample packed, learnt; /* tiles that are packed, and those that the dictionary learns from */
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    ZSTD_CDict *pack_dictionary;
    ZSTD_DDict *unpack_dictionary;
    uint32_t *scratch;
    dip_filter *filters; /* of every plane of every tile, in order */
} bench;

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_codec: %s\n", dip_last_error());
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);
    if (!block) exit(1);
    return block;
}

static size_t check(size_t result)
{
    if (!ZSTD_isError(result)) return result;
    fprintf(stderr, "bench_codec: zstd: %s\n", ZSTD_getErrorName(result));
    exit(1);
}

static size_t plane_bytes(const dip_plane *p)
{
    return (size_t)p->width * p->height * dip_dtype_size(p->dtype);
}

/* ---- tiles ---- */

static size_t tile_bytes(const dip_tile *tile)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < tile->plane_count; i++) sum += plane_bytes(&tile->planes[i]);
    return sum;
}

static void add_tile(sample *s, dip_tile *tile)
{
    const size_t bytes = tile_bytes(tile);
    s->tiles[s->count] = tile;
    s->sizes[s->count++] = bytes;
    s->raw_bytes += bytes;
    if (bytes > s->room) s->room = bytes;
}

static void open_sample(sample *s, size_t most)
{
    *s = (sample){.tiles = memory(most, sizeof(dip_tile *))};
    s->sizes = memory(most, sizeof *s->sizes);
    s->packed_sizes = memory(most, sizeof *s->packed_sizes);
}

static void close_sample(sample *s)
{
    for (size_t i = 0; i < s->count; i++) dip_tile_free(s->tiles[i]);
    free(s->tiles);
    free(s->sizes);
    free(s->packed_sizes);
    free(s->filtered);
    free(s->packed);
    free(s->unpacked);
}

/* Tiles spread over the modality; every second one is for learning, if there are enough of them. */
static void load(bench *b, const dip_archive *archive, int modality, size_t bytes)
{
    uint64_t *ids;
    size_t n, planes = 0;
    dip_tile *first;
    must(dip_archive_ids(archive, modality, &ids, &n));
    must(dip_archive_tile(archive, ids[0], &first));
    size_t wanted = 2 * (bytes / tile_bytes(first) + 1);
    dip_tile_free(first);
    if (wanted > n) wanted = n;
    open_sample(&b->packed, wanted);
    open_sample(&b->learnt, wanted);
    for (size_t i = 0; i < wanted; i++) {
        dip_tile *tile;
        must(dip_archive_tile(archive, ids[i * n / wanted], &tile));
        const bool learn = n >= 2 * FEW_TILES && i % 2;
        add_tile(learn ? &b->learnt : &b->packed, tile);
        planes += learn ? 0 : tile->plane_count;
    }
    dip_ids_free(ids);
    sample *s = &b->packed;
    s->filtered = memory(s->raw_bytes, 1);
    s->unpacked = memory(s->raw_bytes, 1);
    s->packed = memory(s->count, ZSTD_compressBound(s->room));
    b->learnt.filtered = memory(b->learnt.raw_bytes, 1);
    b->filters = memory(planes, sizeof *b->filters);
    b->scratch = memory(2 * s->room + 2 * b->learnt.room, sizeof *b->scratch);
}

/* ---- filters ---- */

static dip_filter filter_of(const bench *b, const dip_plane *plane, const dip_plane *previous)
{
    if (b->mode == CHOSEN) return dip_filter_choose(plane, previous, b->scratch);
    if (b->mode == NONE) return DIP_FILTER_PLANES;
    if (dip_filter_fits((dip_filter)b->mode, plane, previous)) return (dip_filter)b->mode;
    return dip_filter_fits(DIP_FILTER_MED, plane, previous) ? DIP_FILTER_MED : DIP_FILTER_PLANES;
}

static void filter_sample(bench *b, sample *s, dip_filter *filters)
{
    uint8_t *out = s->filtered;
    for (size_t t = 0; t < s->count; t++)
        for (uint32_t i = 0; i < s->tiles[t]->plane_count; i++) {
            const dip_plane *plane = &s->tiles[t]->planes[i], *previous = i ? plane - 1 : NULL;
            const dip_filter filter = filter_of(b, plane, previous);
            if (b->mode == NONE)
                memcpy(out, plane->pixels, plane_bytes(plane));
            else
                dip_filter_apply(filter, plane, previous, out, b->scratch);
            out += plane_bytes(plane);
            if (filters) *filters++ = filter;
        }
}

static void apply(void *context)
{
    bench *b = context;
    filter_sample(b, &b->packed, b->filters);
}

/* Pixels go where they came from, and must be the same. */
static void undo(void *context)
{
    bench *b = context;
    const uint8_t *in = b->packed.unpacked;
    const dip_filter *filter = b->filters;
    for (size_t t = 0; t < b->packed.count; t++)
        for (uint32_t i = 0; i < b->packed.tiles[t]->plane_count; i++, filter++) {
            dip_plane *plane = &b->packed.tiles[t]->planes[i];
            if (b->mode == NONE)
                memcpy(plane->pixels, in, plane_bytes(plane));
            else
                dip_filter_undo(*filter, in, i ? plane - 1 : NULL, plane, b->scratch);
            in += plane_bytes(plane);
        }
}

/* ---- zstd ---- */

static void pack(void *context)
{
    bench *b = context;
    sample *s = &b->packed;
    const uint8_t *in = s->filtered;
    const size_t bound = ZSTD_compressBound(s->room);
    for (size_t t = 0; t < s->count; in += s->sizes[t++]) {
        uint8_t *out = s->packed + t * bound;
        s->packed_sizes[t] =
            check(b->pack_dictionary
                      ? ZSTD_compress_usingCDict(b->packer, out, bound, in, s->sizes[t],
                                                 b->pack_dictionary)
                      : ZSTD_compressCCtx(b->packer, out, bound, in, s->sizes[t], b->level));
    }
}

static void unpack(void *context)
{
    bench *b = context;
    sample *s = &b->packed;
    uint8_t *out = s->unpacked;
    const size_t bound = ZSTD_compressBound(s->room);
    for (size_t t = 0; t < s->count; out += s->sizes[t++]) {
        const uint8_t *in = s->packed + t * bound;
        check(b->unpack_dictionary
                  ? ZSTD_decompress_usingDDict(b->unpacker, out, s->sizes[t], in,
                                               s->packed_sizes[t], b->unpack_dictionary)
                  : ZSTD_decompressDCtx(b->unpacker, out, s->sizes[t], in, s->packed_sizes[t]));
    }
}

static double cpu_of(void (*fn)(void *), bench *b) { return bench_measure(fn, b, 0.02, 1).cpu; }

static void report(bench *b, double apply_s, bool dictionary)
{
    size_t bytes = 0;
    const sample *s = &b->packed;
    const double pack_s = cpu_of(pack, b), unpack_s = cpu_of(unpack, b), undo_s = cpu_of(undo, b);
    if (memcmp(s->unpacked, s->filtered, s->raw_bytes) != 0) {
        fprintf(stderr, "bench_codec: tiles came back otherwise than they went\n");
        exit(1);
    }
    for (size_t t = 0; t < s->count; t++) bytes += s->packed_sizes[t];
    printf("{\"what\":\"codec\",\"modality\":\"%s\",\"filter\":\"%s\",\"level\":%d,"
           "\"dictionary\":%s,\"tiles\":%zu,\"raw\":%.0f,\"stored\":%.1f,\"pack_cpu_s\":%.6f,"
           "\"unpack_cpu_s\":%.6f,\"pack_mb_s\":%.1f,\"unpack_mb_s\":%.1f}\n",
           b->modality, mode_names[b->mode], b->level, dictionary ? "true" : "false", s->count,
           (double)s->raw_bytes / (double)s->count, (double)bytes / (double)s->count,
           pack_s + apply_s, unpack_s + undo_s, (double)s->raw_bytes / (pack_s + apply_s) * 1e-6,
           (double)s->raw_bytes / (unpack_s + undo_s) * 1e-6);
    fflush(stdout);
}

/* Trained on filtered tiles of the current mode; 0 bytes if there are too few. */
static size_t learn(bench *b, void *dictionary)
{
    sample *s = &b->learnt;
    if (s->count < FEW_TILES) return 0;
    filter_sample(b, s, NULL);
    size_t size = ZDICT_trainFromBuffer(dictionary, DICTIONARY_BYTES, s->filtered, s->sizes,
                                        (unsigned)s->count);
    return ZDICT_isError(size) ? 0 : size;
}

static void bench_mode(bench *b)
{
    static uint8_t dictionary[DICTIONARY_BYTES];
    apply(b);
    const double apply_s = cpu_of(apply, b);
    const size_t size = learn(b, dictionary);
    for (int i = 0; i < b->level_count; i++) {
        b->level = b->levels[i];
        report(b, apply_s, false);
        if (!size) continue;
        b->pack_dictionary = ZSTD_createCDict(dictionary, size, b->level);
        b->unpack_dictionary = ZSTD_createDDict(dictionary, size);
        report(b, apply_s, true);
        ZSTD_freeCDict(b->pack_dictionary);
        ZSTD_freeDDict(b->unpack_dictionary);
        b->pack_dictionary = NULL;
        b->unpack_dictionary = NULL;
    }
}

static void bench_modality(bench *b, const dip_archive *archive, int modality, size_t bytes)
{
    load(b, archive, modality, bytes);
    const dip_tile *tile = b->packed.tiles[0];
    const bool narrow = tile->planes[0].dtype == DIP_DTYPE_U8;
    b->modality = dip_archive_modality(archive, (size_t)modality)->name;
    for (b->mode = 0; b->mode < MODES; b->mode++) {
        if (b->mode == NONE && narrow) continue; /* planes of bytes are the pixels */
        if (b->mode == DIP_FILTER_MED_BAND && tile->plane_count == 1) continue;
        bench_mode(b);
    }
    close_sample(&b->packed);
    close_sample(&b->learnt);
    free(b->scratch);
    free(b->filters);
}

static void parse_levels(bench *b, char *text)
{
    b->level_count = 0;
    for (char *word = strtok(text, ","); word && b->level_count < MAX_LEVELS;
         word = strtok(NULL, ","))
        b->levels[b->level_count++] = atoi(word);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"bytes", required_argument, NULL, 'b'},
                                            {"levels", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    bench b = {.levels = {1, 3, 6, 9, 12, 19}, .level_count = 6};
    size_t bytes = 3000000;
    bench_help(argc, argv, usage);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'b') bytes = strtoul(optarg, NULL, 10);
        if (o == 'l') parse_levels(&b, optarg);
        if (o == '?') return bench_wrong_words(usage);
    }
    if (argc - optind != 1 || !b.level_count) return bench_wrong_words(usage);
    dip_archive *archive;
    must(dip_archive_open(&archive, argv[optind], DIP_ARCHIVE_READ));
    b.packer = ZSTD_createCCtx();
    b.unpacker = ZSTD_createDCtx();
    for (size_t m = 0; m < dip_archive_modality_count(archive); m++)
        bench_modality(&b, archive, (int)m, bytes);
    ZSTD_freeCCtx(b.packer);
    ZSTD_freeDCtx(b.unpacker);
    dip_archive_close(archive);
    return 0;
}
