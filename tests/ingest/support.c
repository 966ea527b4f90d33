/* See support.h. */
#define _GNU_SOURCE
#include "tests/ingest/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/raster.h"
#include "tests/scratch.h"

#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

const char *support_folder(void)
{
    if (!folder) folder = scratch_folder("ingest");
    return folder;
}

const char *support_path(const char *format, ...)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8], name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof paths[0], "%s/%s", support_folder(), name);
    return path;
}

static void make_parent(const char *path)
{
    char *parent = dip_path_folder(path);
    assert_non_null(parent);
    assert_ok(dip_folder_create(parent));
    dip_free(parent);
}

void support_write(const char *path, const char *text)
{
    make_parent(path);
    assert_ok(dip_file_write(path, text, strlen(text)));
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

int support_cleanup(void **state)
{
    (void)state;
    if (folder) nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
    folder = NULL;
    return 0;
}

const char *support_data(const char *what)
{
    static char path[1024];
    const char *base = getenv("DIPTYCH_DATA");
    snprintf(path, sizeof path, "%s/%s", base && *base ? base : DIP_SHARED_DATA, what);
    if (dip_file_exists(path)) return path;
    printf("skipped: there is no test data '%s'; DIPTYCH_DATA names its folder\n", path);
    return NULL;
}

static void set_value(dip_plane *plane, size_t i, double value)
{
    switch (plane->dtype) {
    case DIP_DTYPE_U8: ((uint8_t *)plane->pixels)[i] = (uint8_t)value; break;
    case DIP_DTYPE_U16: ((uint16_t *)plane->pixels)[i] = (uint16_t)value; break;
    case DIP_DTYPE_I16: ((int16_t *)plane->pixels)[i] = (int16_t)value; break;
    case DIP_DTYPE_U32: ((uint32_t *)plane->pixels)[i] = (uint32_t)value; break;
    case DIP_DTYPE_I32: ((int32_t *)plane->pixels)[i] = (int32_t)value; break;
    case DIP_DTYPE_F32: ((float *)plane->pixels)[i] = (float)value; break;
    case DIP_DTYPE_F64: ((double *)plane->pixels)[i] = value; break;
    }
}

double support_value(const dip_plane *plane, size_t i)
{
    switch (plane->dtype) {
    case DIP_DTYPE_U8: return ((const uint8_t *)plane->pixels)[i];
    case DIP_DTYPE_U16: return ((const uint16_t *)plane->pixels)[i];
    case DIP_DTYPE_I16: return ((const int16_t *)plane->pixels)[i];
    case DIP_DTYPE_U32: return ((const uint32_t *)plane->pixels)[i];
    case DIP_DTYPE_I32: return ((const int32_t *)plane->pixels)[i];
    case DIP_DTYPE_F32: return ((const float *)plane->pixels)[i];
    case DIP_DTYPE_F64: return ((const double *)plane->pixels)[i];
    }
    return NAN;
}

static void name_bands(dip_modality *modality, const char *names)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", names ? names : "");
    uint32_t b = 0;
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ","))
        snprintf(modality->bands[b++].name, DIP_WORD_CAPACITY, "%s", word);
}

void support_write_raster(const char *path, const support_raster *raster)
{
    dip_tile *tile = dip_calloc(1, sizeof *tile);
    dip_modality *modality = dip_calloc(1, sizeof *modality);
    assert_true(tile && modality);
    tile->meta.name = "test";
    tile->meta.time = DIP_NO_TIME;
    if (raster->gsd_m > 0) {
        const double t[6] = {raster->west, raster->gsd_m, 0, raster->north, 0, -raster->gsd_m};
        memcpy(tile->meta.transform, t, sizeof t);
        tile->meta.epsg = 32633;
    }
    modality->band_count = tile->plane_count = raster->bands;
    name_bands(modality, raster->names);
    size_t pixels = (size_t)raster->width * raster->height;
    for (uint32_t b = 0; b < raster->bands; b++) {
        dip_plane *plane = &tile->planes[b];
        *plane = (dip_plane){raster->dtype, raster->width, raster->height,
                             dip_alloc(pixels * dip_dtype_size(raster->dtype))};
        assert_non_null(plane->pixels);
        for (size_t i = 0; i < pixels; i++)
            set_value(plane, i, raster->base + 10 * b + (double)(i % 97));
        for (size_t i = 0; b == 0 && i < raster->nan_pixels; i++) set_value(plane, i, NAN);
    }
    make_parent(path);
    assert_ok(dip_raster_write(path, tile, modality));
    for (uint32_t b = 0; b < raster->bands; b++) dip_free(tile->planes[b].pixels);
    dip_free(tile);
    dip_free(modality);
}

dip_archive *support_archive(const char *name)
{
    dip_archive *archive = NULL;
    const char *path = support_path("%s", name);
    assert_ok(dip_file_remove(path));
    assert_ok(dip_archive_create(&archive, path, "test"));
    return archive;
}

void support_keep_line(void *payload, const char *line)
{
    support_lines *lines = payload;
    if (lines->count < 32)
        snprintf(lines->line[lines->count], sizeof lines->line[0], "%.511s", line);
    lines->count++;
}

dip_status support_import(dip_archive *archive, const char *source, support_lines *lines,
                          dip_import_report *report)
{
    dip_import_options options = {.labels19 = 1};
    if (lines) {
        lines->count = 0;
        options.refused = support_keep_line;
        options.payload = lines;
    }
    return dip_import(archive, &source, 1, &options, report);
}
