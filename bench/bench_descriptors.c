/*
 * Makes a set of real descriptors (sift.h) from photographs:
 *
 *   bench_descriptors [--count N] [--queries N] [--seed N] [--bytes] [--threads N] FOLDER PREFIX
 *
 * PREFIX_base.fbin and PREFIX_query.fbin, unit vectors; or, with --bytes, .u8bin of bytes. FOLDER is searched for JPEG, PNG,
 * WebP and PGM files with at least 900 pixels a side, which are made grey and at most 2400 pixels wide; of pictures that
 * look alike (sizes and variants of one) the first is taken. Every eleventh photograph gives queries alone, so that none of
 * them has a neighbour from its own picture. The bytes depend on the photographs, the sizes and the seed alone.
 */
#include "bench/fbin.h"
#include "bench/sift.h"

#include "core/mem.h"
#include "core/options_rows.h"
#include "core/parallel.h"

#include <gdal.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LEAST_SIDE = 900, MOST_SIDE = 2400, THUMB = 16, EVERY = 11, MORE = 3, DIM = BENCH_SIFT_DIM };

typedef struct options {
    int64_t count, queries, seed, threads;
    bool bytes, help;
} options;

#define OPTIONS options

/* clang-format off */
static const dip_option table[] = {
    {.name = "count", .letter = 'n', .type = DIP_OPTION_INT, AT(count), .low = 1, .high = 1e8, .fallback = "1000000",
     .help = "vectors of the base, at most"},
    INT("queries", queries, 1, 1e7, "10000", "queries, at most"),
    INT("seed", seed, 0, 1e15, "1", "of all random numbers"),
    FLAG("bytes", bytes, NULL, "write .u8bin of length about 512"),
    INT("threads", threads, 0, 256, "0", "0: all processors"),
    HELP,
    {.name = NULL},
};
/* clang-format on */

/* A photograph, and where its descriptors go. */
typedef struct photo {
    char *path;
    float thumb[THUMB * THUMB]; /* mean 0, length 1 */
    size_t wanted, count;
    uint8_t *descriptors;
} photo;

typedef struct job {
    photo *photos;
    size_t count, room;
    uint64_t seed;
} job;

/* ---- pictures ---- */

/* Grey, (width, height) as asked for or, if 0, at most MOST_SIDE. */
static dip_status read_grey(const char *path, size_t width, size_t height, bench_picture *out)
{
    GDALDatasetH file = GDALOpen(path, GA_ReadOnly);
    if (!file) return dip_fail(DIP_EFORMAT, "cannot open '%s' as a picture", path);
    const int w = GDALGetRasterXSize(file), h = GDALGetRasterYSize(file);
    const int bands = GDALGetRasterCount(file) >= 3 ? 3 : 1;
    const double share = (double)MOST_SIDE / (w > h ? w : h);
    *out = (bench_picture){width       ? width
                           : share < 1 ? (size_t)(w * share)
                                       : (size_t)w,
                           height      ? height
                           : share < 1 ? (size_t)(h * share)
                                       : (size_t)h,
                           NULL};
    const size_t pixels = out->width * out->height;
    float *band = dip_alloc(pixels * sizeof *band);
    out->grey = dip_calloc(pixels, sizeof *out->grey);
    dip_status status = band && out->grey ? DIP_OK : DIP_ENOMEM;
    static const float weights[3] = {0.299f, 0.587f, 0.114f};
    GDALRasterIOExtraArg how;
    INIT_RASTERIO_EXTRA_ARG(how);
    how.eResampleAlg = width ? GRIORA_Average : GRIORA_Lanczos;
    for (int b = 0; !status && b < bands; b++) {
        if (GDALRasterIOEx(GDALGetRasterBand(file, b + 1), GF_Read, 0, 0, w, h, band,
                           (int)out->width, (int)out->height, GDT_Float32, 0, 0, &how) != CE_None)
            status = dip_fail(DIP_EFORMAT, "cannot read '%s'", path);
        for (size_t i = 0; !status && i < pixels; i++)
            out->grey[i] += (bands == 3 ? weights[b] : 1) * band[i];
    }
    dip_free(band);
    if (status) dip_free(out->grey);
    GDALClose(file);
    return status;
}

static dip_status make_thumb(const char *path, float *thumb)
{
    bench_picture p;
    dip_status status = read_grey(path, THUMB, THUMB, &p);
    if (status) return status;
    double sum = 0, square = 1e-9;
    for (size_t i = 0; i < THUMB * THUMB; i++) sum += p.grey[i];
    for (size_t i = 0; i < THUMB * THUMB; i++) {
        thumb[i] = p.grey[i] - (float)(sum / (THUMB * THUMB));
        square += thumb[i] * thumb[i];
    }
    for (size_t i = 0; i < THUMB * THUMB; i++) thumb[i] /= (float)sqrt(square);
    dip_free(p.grey);
    return DIP_OK;
}

static bool looks_like(const float *a, const float *b)
{
    float dot = 0;
    for (size_t i = 0; i < THUMB * THUMB; i++) dot += a[i] * b[i];
    return dot > 0.97f;
}

static bool is_picture(const char *name)
{
    static const char *const ends[] = {".jpg", ".jpeg", ".png", ".webp", ".pgm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (!strcasecmp(dot, ends[i])) return true;
    return false;
}

/* Large enough, and unlike those before it. */
static bool is_wanted(const job *j, const char *path, float *thumb)
{
    GDALDatasetH file = GDALOpen(path, GA_ReadOnly);
    if (!file) return false;
    const bool large =
        GDALGetRasterXSize(file) >= LEAST_SIDE && GDALGetRasterYSize(file) >= LEAST_SIDE;
    GDALClose(file);
    if (!large || make_thumb(path, thumb)) return false;
    for (size_t i = 0; i < j->count; i++)
        if (looks_like(j->photos[i].thumb, thumb)) return false;
    return true;
}

static dip_status find(job *j, const char *folder)
{
    char **names;
    size_t count;
    dip_status status = dip_folder_list(&names, &count, folder);
    if (status) return status;
    for (size_t i = 0; !status && i < count; i++) {
        char *path = dip_path_join(folder, names[i]);
        float thumb[THUMB * THUMB];
        if (!path) {
            status = DIP_ENOMEM;
        } else if (dip_file_is_folder(path)) {
            status = find(j, path);
        } else if (is_picture(names[i]) && is_wanted(j, path, thumb)) {
            if (dip_array_reserve((void **)&j->photos, &j->room, j->count + 1, sizeof *j->photos)) {
                status = DIP_ENOMEM;
            } else {
                photo *p = &j->photos[j->count++];
                *p = (photo){.path = path};
                memcpy(p->thumb, thumb, sizeof thumb);
                path = NULL;
            }
        }
        dip_free(path);
    }
    dip_names_free(names, count);
    return status;
}

/* ---- descriptors ---- */

static bool is_query(size_t number) { return number % EVERY == EVERY / 2; }

static dip_status describe(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const job *j = context;
    photo *p = &j->photos[task];
    bench_picture picture;
    dip_rng rng;
    dip_rng_init(&rng, j->seed, task + 1);
    dip_status status = read_grey(p->path, 0, 0, &picture);
    if (status) return status;
    p->descriptors = dip_alloc(p->wanted * DIM);
    status = p->descriptors ? bench_sift(&picture, p->wanted, &rng, p->descriptors, &p->count)
                            : DIP_ENOMEM;
    dip_free(picture.grey);
    return status;
}

/* Many photographs have few corners, so all are asked for MORE times their share. */
static void ask(job *j, const options *o)
{
    size_t queries = 0;
    for (size_t i = 0; i < j->count; i++) queries += is_query(i);
    for (size_t i = 0; i < j->count; i++)
        j->photos[i].wanted = is_query(i) ? MORE * (size_t)o->queries / queries + 1
                                          : MORE * (size_t)o->count / (j->count - queries) + 1;
}

static dip_status write_row(const bench_fbin *out, size_t at, const uint8_t *bytes, bool as_bytes)
{
    if (as_bytes) return bench_fbin_put(out, at, bytes, 1);
    float values[DIM], square = 1e-9f;
    for (size_t i = 0; i < DIM; i++) square += (float)bytes[i] * bytes[i];
    for (size_t i = 0; i < DIM; i++) values[i] = (float)bytes[i] / sqrtf(square);
    return bench_fbin_put(out, at, values, 1);
}

/* All descriptors of the base's or of the queries' photographs, shuffled, the first `most` of them. */
static dip_status write_set(const job *j, bool queries, size_t most, const options *o,
                            const char *prefix)
{
    size_t total = 0, n = 0, photos = 0;
    for (size_t i = 0; i < j->count; i++)
        if (is_query(i) == queries) {
            total += j->photos[i].count;
            photos++;
        }
    const uint8_t **rows = dip_alloc((total + 1) * sizeof *rows);
    uint32_t *order = dip_alloc((total + 1) * sizeof *order);
    char *path =
        dip_sprintf("%s_%s.%s", prefix, queries ? "query" : "base", o->bytes ? "u8bin" : "fbin");
    bench_fbin out = {.row_bytes = 0};
    dip_status status = rows && order && path ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; !status && i < j->count; i++)
        for (size_t d = 0; is_query(i) == queries && d < j->photos[i].count; d++, n++) {
            rows[n] = j->photos[i].descriptors + d * DIM;
            order[n] = (uint32_t)n;
        }
    if (n > most) n = most;
    if (!status) {
        dip_rng rng;
        dip_rng_init(&rng, j->seed, 0);
        dip_rng_shuffle(&rng, order, total);
        status = bench_fbin_begin(&out, path, n, DIM, o->bytes ? 1 : sizeof(float));
    }
    for (size_t i = 0; !status && i < n; i++) status = write_row(&out, i, rows[order[i]], o->bytes);
    if (!status) status = bench_fbin_commit(&out);
    if (!status)
        printf("{\"file\":\"%s\",\"n\":%zu,\"dim\":%d,\"photographs\":%zu,\"of\":%zu}\n", path, n,
               DIM, photos, total);
    bench_fbin_abandon(&out);
    dip_free(rows);
    dip_free(order);
    dip_free(path);
    return status;
}

static dip_status run(job *j, const options *o, const char *folder, const char *prefix)
{
    dip_status status = find(j, folder);
    if (status) return status;
    if (j->count < EVERY)
        return dip_fail(DIP_ENOENT,
                        "'%s' holds %zu photographs of %d pixels and more; %d are needed", folder,
                        j->count, LEAST_SIDE, EVERY);
    ask(j, o);
    status = dip_parallel_for(j->count, describe, j);
    if (!status) status = write_set(j, false, (size_t)o->count, o, prefix);
    if (!status) status = write_set(j, true, (size_t)o->queries, o, prefix);
    return status;
}

static void quiet(CPLErr level, CPLErrorNum number, const char *text)
{
    (void)level, (void)number, (void)text; /* what matters comes back as a status */
}

int main(int argc, char **argv)
{
    options o;
    int rest;
    dip_options_defaults(table, &o);
    if (dip_options_parse(table, &o, argc, argv, &rest) || rest != 2 || o.help) {
        if (!o.help && *dip_last_error())
            fprintf(stderr, "bench_descriptors: %s\n", dip_last_error());
        fprintf(o.help ? stdout : stderr, "usage: bench_descriptors [OPTIONS] FOLDER PREFIX\n");
        dip_options_help(table, o.help ? stdout : stderr);
        return o.help ? 0 : 2;
    }
    dip_threads_set((unsigned)o.threads);
    GDALAllRegister();
    CPLSetErrorHandler(quiet);
    job j = {.seed = (uint64_t)o.seed};
    dip_status status = run(&j, &o, argv[1], argv[2]);
    if (status) fprintf(stderr, "bench_descriptors: %s\n", dip_last_error());
    for (size_t i = 0; i < j.count; i++) {
        dip_free(j.photos[i].path);
        dip_free(j.photos[i].descriptors);
    }
    dip_free(j.photos);
    return status ? 1 : 0;
}
