/*
 * diptych export: embeddings, metadata and tiles as files that other programs read.
 *
 *   DIR/embeddings/<modality>.npy   (n, dim) float32, unit norm; row i belongs to row i of
 *   DIR/embeddings/<modality>.csv   id, tile_id, place
 *   DIR/metadata.csv, .geojson      one row, one feature a tile
 *   DIR/tiles/manifest.csv          what `diptych import` takes back
 *   DIR/tiles/<modality>/...        GeoTIFF; bands of different grids: a folder with a file a band
 *
 * The bytes depend on the archive's contents alone.
 */
#include "tools/cmd.h"

#include <diptych/archive.h>

#include "core/format.h"
#include "core/file.h"
#include "core/mem.h"
#include "ingest/manifest.h"
#include "ingest/raster.h"
#include "ingest/table.h"
#include "search/models.h"
#include "storage/npy.h"
#include "front/geojson.h"
#include "front/json.h"
#include "front/tile.h"
#include "core/when.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum what { ALL, EMBEDDINGS, METADATA, TILES } what;

typedef struct options {
    const char *out, *model;
    int what;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "out",
     .letter = 'o',
     .type = DIP_OPTION_TEXT,
     .offset = AT(out),
     .choices = "DIR",
     .help = "folder to write to; made if it is not there"},
    {.name = "what",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(what),
     .choices = "all|embeddings|metadata|tiles",
     .fallback = "all",
     .help = "what to export"},
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model whose embeddings are exported; default: the newest"},
    {.name = NULL},
};

typedef struct session {
    dip_tool *tool;
    const options *options;
    dip_archive *archive;
    uint64_t *ids;
    size_t count;
    uint64_t files; /* written */
} session;

/* ---- CSV ---- */

static void degrees(FILE *out, double value)
{
    if (!isnan(value)) fprintf(out, "%.7f", value);
}

static const dip_column columns[] = {
    DIP_COLUMN_TILE_ID, DIP_COLUMN_MODALITY,      DIP_COLUMN_PATH,           DIP_COLUMN_PLACE,
    DIP_COLUMN_LABELS,  DIP_COLUMN_PRIMARY_LABEL, DIP_COLUMN_LABEL_SOURCE,   DIP_COLUMN_SPLIT,
    DIP_COLUMN_SCENE,   DIP_COLUMN_DATETIME,      DIP_COLUMN_SOURCE_PRODUCT, DIP_COLUMN_WEST,
    DIP_COLUMN_SOUTH,   DIP_COLUMN_EAST,          DIP_COLUMN_NORTH,
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* A tile's value of a column; degrees are written by csv_row(). */
static const char *text_of(const dip_archive *archive, const dip_meta *meta, dip_column column,
                           const char *path, char *scratch)
{
    switch (column) {
    case DIP_COLUMN_TILE_ID: return meta->name;
    case DIP_COLUMN_MODALITY: return dip_archive_modality(archive, meta->modality)->name;
    case DIP_COLUMN_PATH: return path;
    case DIP_COLUMN_PLACE: return meta->place_name;
    case DIP_COLUMN_LABELS: return meta->labels;
    case DIP_COLUMN_PRIMARY_LABEL: return meta->primary_label;
    case DIP_COLUMN_LABEL_SOURCE: return meta->label_source;
    case DIP_COLUMN_SPLIT: return meta->split;
    case DIP_COLUMN_SCENE: return meta->scene;
    case DIP_COLUMN_SOURCE_PRODUCT: return meta->source;
    case DIP_COLUMN_DATETIME:
        dip_when_format(meta->time, scratch, DIP_WHEN_CAPACITY);
        return scratch;
    default: return NULL;
    }
}

static double degrees_of(const dip_meta *meta, dip_column column)
{
    return column == DIP_COLUMN_WEST    ? meta->west
           : column == DIP_COLUMN_SOUTH ? meta->south
           : column == DIP_COLUMN_EAST  ? meta->east
                                        : meta->north;
}

static void csv_heading(FILE *out, bool with_path)
{
    bool first = true;
    for (int i = 0; i < COLUMNS; i++) {
        if (columns[i] == DIP_COLUMN_PATH && !with_path) continue;
        fprintf(out, "%s%s", first ? "" : ",", dip_column_name(columns[i]));
        first = false;
    }
    fputs("\n", out);
}

static void csv_row(FILE *out, const dip_archive *archive, const dip_meta *meta, const char *path)
{
    char scratch[DIP_WHEN_CAPACITY];
    bool first = true;
    for (int i = 0; i < COLUMNS; i++) {
        if (columns[i] == DIP_COLUMN_PATH && !path) continue;
        if (!first) fputc(',', out);
        first = false;
        const char *text = text_of(archive, meta, columns[i], path, scratch);
        if (text)
            dip_table_write_cell(out, text);
        else
            degrees(out, degrees_of(meta, columns[i]));
    }
    fputs("\n", out);
}

/* ---- metadata ---- */

static void feature(dip_json *j, const dip_archive *archive, const dip_meta *meta)
{
    char scratch[DIP_WHEN_CAPACITY];
    dip_json_object(j, NULL);
    dip_json_text(j, "type", "Feature");
    dip_json_count(j, "id", meta->id);
    dip_geojson_footprint(j, meta);
    dip_json_object(j, "properties");
    for (int i = 0; i < COLUMNS; i++) {
        const char *text = text_of(archive, meta, columns[i], NULL, scratch);
        if (columns[i] == DIP_COLUMN_LABELS)
            dip_json_list(j, dip_column_name(columns[i]), meta->labels);
        else if (text && *text)
            dip_json_text(j, dip_column_name(columns[i]), text);
    }
    dip_json_embed(j, "extra", meta->extra);
    dip_json_end(j);
    dip_json_end(j);
}

/* Both files in one walk. */
static dip_status write_rows(session *s, FILE *csv, FILE *geojson)
{
    dip_json j;
    dip_status status = DIP_OK;
    dip_json_start(&j, geojson);
    j.line_depth = 2; /* a line a feature: kind to diff and to editors */
    dip_json_object(&j, NULL);
    dip_json_text(&j, "type", "FeatureCollection");
    dip_json_array(&j, "features");
    csv_heading(csv, false);
    for (size_t i = 0; i < s->count && !status; i++) {
        dip_meta *meta;
        if (dip_progress_tick(s->tool->progress, "metadata", i, s->count))
            return dip_fail(DIP_ECANCEL, "stopped");
        status = dip_archive_meta(s->archive, s->ids[i], &meta);
        if (status) break;
        csv_row(csv, s->archive, meta, NULL);
        feature(&j, s->archive, meta);
        dip_meta_free(meta);
    }
    if (status) return status;
    dip_json_end(&j);
    dip_json_end(&j);
    return DIP_OK;
}

/* Folders are made for what goes into them: an export that has nothing to write leaves none behind. */
static dip_status make_folder(const session *s, const char *name)
{
    char *path = *name ? dip_path_join(s->options->out, name) : dip_strdup(s->options->out);
    dip_status status = path ? dip_folder_create(path) : DIP_ENOMEM;
    dip_free(path);
    return status;
}

static dip_status begin(const session *s, dip_aside *file, const char *folder, const char *name)
{
    dip_status status = make_folder(s, folder);
    char *path = dip_sprintf("%s/%s%s", s->options->out, folder, name);
    if (!path) return DIP_ENOMEM;
    if (!status) status = dip_file_begin(file, path);
    dip_free(path);
    return status;
}

static dip_status export_metadata(session *s)
{
    dip_aside csv = {0}, geojson = {0};
    dip_status status = begin(s, &csv, "", "metadata.csv");
    if (!status) status = begin(s, &geojson, "", "metadata.geojson");
    if (!status) status = write_rows(s, csv.stream, geojson.stream);
    if (!status) status = dip_file_commit(&csv);
    if (!status) status = dip_file_commit(&geojson);
    if (!status) s->files += 2;
    dip_file_abandon(&csv);
    dip_file_abandon(&geojson);
    return status;
}

/* ---- embeddings ---- */

static dip_status write_names(const session *s, const dip_embeddings *e, FILE *out)
{
    fputs("id,tile_id,place\n", out);
    for (size_t i = 0; i < e->n; i++) {
        dip_meta *meta;
        dip_status status = dip_archive_meta(s->archive, e->ids[i], &meta);
        if (status) return status;
        fprintf(out, "%llu,", (unsigned long long)meta->id);
        dip_table_write_cell(out, meta->name);
        fputc(',', out);
        dip_table_write_cell(out, meta->place_name);
        fputs("\n", out);
        dip_meta_free(meta);
    }
    return DIP_OK;
}

static dip_status write_embeddings(session *s, const char *modality, const dip_embeddings *e)
{
    dip_aside npy = {0}, csv = {0};
    char name[DIP_WORD_CAPACITY + 8];
    snprintf(name, sizeof name, "%s.npy", modality);
    dip_status status = begin(s, &npy, "embeddings/", name);
    snprintf(name, sizeof name, "%s.csv", modality);
    if (!status) status = begin(s, &csv, "embeddings/", name);
    if (!status) {
        dip_npy_heading(npy.stream, e->n, e->dim);
        fwrite(e->vectors, sizeof(float), e->n * e->dim, npy.stream);
        status = write_names(s, e, csv.stream);
    }
    if (!status) status = dip_file_commit(&npy);
    if (!status) status = dip_file_commit(&csv);
    if (!status) s->files += 2;
    dip_file_abandon(&npy);
    dip_file_abandon(&csv);
    return status;
}

static dip_status export_embeddings(session *s)
{
    char *model = NULL;
    bool any = false;
    dip_status status = dip_models_choose(dip_archive_path(s->archive), s->options->model, &model);
    for (size_t i = 0; i < dip_archive_modality_count(s->archive) && !status; i++) {
        dip_embeddings e;
        status = dip_archive_embeddings(s->archive, model, (uint32_t)i, &e);
        if (status) break;
        if (dip_progress_tick(s->tool->progress, "embeddings", i, 0))
            status = dip_fail(DIP_ECANCEL, "stopped");
        any |= e.n > 0;
        if (e.n && !status)
            status = write_embeddings(s, dip_archive_modality(s->archive, i)->name, &e);
        dip_embeddings_fini(&e);
    }
    if (!status && !any)
        status =
            dip_fail(DIP_ENOENT, "no tile has an embedding of model %s; run diptych encode", model);
    dip_free(model);
    return status;
}

/* ---- tiles ---- */

/* A tile's name as a file name; what had to change gets the id behind it, so that no two meet. */
static void file_name(const dip_meta *meta, char *out, size_t capacity)
{
    enum { LONGEST = 180 };
    size_t n = 0;
    bool changed = false;
    for (const char *p = meta->name; *p && n < LONGEST; p++) {
        bool plain = (unsigned char)*p > 0x20 && !strchr("/\\:*?\"<>|\x7f", *p) && (n || *p != '.');
        out[n++] = plain ? *p : '_';
        changed |= !plain;
    }
    changed |= n < strlen(meta->name) || !n;
    out[n] = '\0';
    if (changed) snprintf(out + n, capacity - n, "~%llu", (unsigned long long)meta->id);
}

static bool one_grid(const dip_tile *tile)
{
    for (uint32_t b = 1; b < tile->plane_count; b++) {
        const dip_plane *p = &tile->planes[b], *first = &tile->planes[0];
        if (p->width != first->width || p->height != first->height || p->dtype != first->dtype)
            return false;
    }
    return true;
}

/* The geotransform of a band whose grid is coarser than the tile's finest. */
static void fit_transform(dip_tile *part, uint32_t finest_width, uint32_t finest_height)
{
    double x = (double)finest_width / part->planes[0].width;
    double y = (double)finest_height / part->planes[0].height;
    part->meta.transform[1] *= x;
    part->meta.transform[4] *= x;
    part->meta.transform[2] *= y;
    part->meta.transform[5] *= y;
}

static dip_status write_bands(session *s, const dip_tile *tile, const dip_modality *modality,
                              const char *path, const char *name)
{
    uint32_t width = 0, height = 0;
    dip_status status = dip_folder_create(path);
    for (uint32_t b = 0; b < tile->plane_count; b++) {
        if (tile->planes[b].width > width) width = tile->planes[b].width;
        if (tile->planes[b].height > height) height = tile->planes[b].height;
    }
    for (uint32_t b = 0; b < tile->plane_count && !status; b++) {
        dip_tile part = {.meta = tile->meta, .plane_count = 1, .planes = {tile->planes[b]}};
        dip_modality one = {.band_count = 1, .bands = {modality->bands[b]}};
        memcpy(one.name, modality->name, sizeof one.name);
        fit_transform(&part, width, height);
        char *file = dip_sprintf("%s/%s_%s.tif", path, name, modality->bands[b].name);
        status = file ? dip_raster_write(file, &part, &one) : DIP_ENOMEM;
        dip_free(file);
        s->files++;
    }
    return status;
}

static dip_status write_tile(session *s, const dip_tile *tile, FILE *manifest)
{
    const dip_modality *modality = dip_archive_modality(s->archive, tile->meta.modality);
    char name[256];
    bool one = one_grid(tile);
    if (!tile->plane_count) { /* known by metadata and vectors alone */
        csv_row(manifest, s->archive, &tile->meta, "");
        return DIP_OK;
    }
    file_name(&tile->meta, name, sizeof name);
    char *relative = dip_sprintf("%s/%s%s", modality->name, name, one ? ".tif" : "");
    char *path = relative ? dip_sprintf("%s/tiles/%s", s->options->out, relative) : NULL;
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    if (!status && one) {
        status = dip_raster_write(path, tile, modality);
        s->files++;
    } else if (!status) {
        status = write_bands(s, tile, modality, path, name);
    }
    if (!status) csv_row(manifest, s->archive, &tile->meta, relative);
    dip_free(path);
    dip_free(relative);
    return status;
}

static dip_status write_tiles(session *s, FILE *manifest)
{
    dip_status status = DIP_OK;
    csv_heading(manifest, true);
    for (size_t i = 0; i < s->count && !status; i++) {
        dip_tile *tile;
        if (dip_progress_tick(s->tool->progress, "tiles", i, s->count))
            return dip_fail(DIP_ECANCEL, "stopped");
        status = dip_archive_tile(s->archive, s->ids[i], &tile);
        if (status) break;
        status = write_tile(s, tile, manifest);
        dip_tile_free(tile);
    }
    return status;
}

static dip_status export_tiles(session *s)
{
    dip_aside manifest = {0};
    dip_status status = DIP_OK;
    dip_raster_init();
    for (size_t i = 0; i < dip_archive_modality_count(s->archive) && !status; i++) {
        char folder[DIP_WORD_CAPACITY + 8];
        snprintf(folder, sizeof folder, "tiles/%s", dip_archive_modality(s->archive, i)->name);
        status = make_folder(s, folder);
    }
    if (!status) status = begin(s, &manifest, "tiles/", "manifest.csv");
    if (!status) status = write_tiles(s, manifest.stream);
    if (!status) status = dip_file_commit(&manifest);
    if (!status) s->files++;
    dip_file_abandon(&manifest);
    return status;
}

/* ---- the command ---- */

static dip_status export_all(session *s)
{
    int w = s->options->what;
    dip_status status = DIP_OK;
    if (w == ALL || w == METADATA) status = export_metadata(s);
    if (!status && (w == ALL || w == EMBEDDINGS)) {
        status = export_embeddings(s);
        if (status == DIP_ENOENT && w == ALL && !s->options->model) {
            dip_tool_note(s->tool, "leaving embeddings out: %s", dip_last_error());
            status = DIP_OK;
        }
    }
    if (!status && (w == ALL || w == TILES)) status = export_tiles(s);
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    session s = {.tool = tool, .options = values};
    bool simulated = false;
    (void)argc;
    if (!s.options->out) return dip_fail(DIP_EINVAL, "--out is missing: the folder to write to");
    dip_status status = dip_archive_open(&s.archive, argv[0], DIP_ARCHIVE_READ);
    if (!status) status = dip_archive_ids(s.archive, -1, &s.ids, &s.count);
    if (!status) status = export_all(&s);
    if (!status) status = dip_archive_simulated(s.archive, &simulated);
    if (!status) {
        char files[40];
        dip_format_things(s.files, "file", files, sizeof files);
        printf("%s: %s\n", s.options->out, files);
        if (simulated) dip_tool_note(tool, "simulated data");
    }
    dip_ids_free(s.ids);
    dip_archive_close(s.archive);
    return status;
}

const dip_command dip_cmd_export = {
    .name = "export",
    .summary = "write embeddings, metadata and tiles for other programs",
    .usage = "ARCHIVE --out DIR",
    .text = "Embeddings become NumPy files with a CSV of tiles beside each, metadata CSV and "
            "GeoJSON, tiles\n"
            "GeoTIFF with a manifest.csv that diptych import takes back. The bytes depend on the "
            "contents\n"
            "alone, so two exports of the same archive are equal.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .run = run,
};
