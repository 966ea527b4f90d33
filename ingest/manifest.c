/*
 * Manifests; see manifest.h.
 *
 * The file becomes a table of text cells; a row is looked at when its tile comes up, so that one bad row costs one
 * line. check() judges what the row says, read() also what the files say, and refuses where the two disagree.
 */
#include "ingest/manifest.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/acquired.h"
#include "ingest/draft.h"
#include "ingest/folders.h"
#include "ingest/json.h"
#include "ingest/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const size_t manifest_limit = (size_t)1 << 30;

typedef struct manifest {
    dip_table table;
    char *folder;
    const char *row_word; /* "line", "feature" or "file" */
    bool json;
    int column[DIP_COLUMN_COUNT];
    size_t further[DIP_TABLE_MAX_COLUMNS]; /* columns that go to `extra` */
    size_t further_count;
} manifest;

static const char *const column_names[DIP_COLUMN_COUNT] = {
    [DIP_COLUMN_TILE_ID] = "tile_id",
    [DIP_COLUMN_MODALITY] = "modality",
    [DIP_COLUMN_PATH] = "path",
    [DIP_COLUMN_PLACE] = "place",
    [DIP_COLUMN_LABELS] = "labels",
    [DIP_COLUMN_PRIMARY_LABEL] = "primary_label",
    [DIP_COLUMN_LABEL_SOURCE] = "label_source",
    [DIP_COLUMN_SPLIT] = "split",
    [DIP_COLUMN_SCENE] = "scene",
    [DIP_COLUMN_DATETIME] = "datetime",
    [DIP_COLUMN_ACQ_DATE] = "acq_date",
    [DIP_COLUMN_SOURCE_PRODUCT] = "source_product",
    [DIP_COLUMN_LON] = "lon",
    [DIP_COLUMN_LAT] = "lat",
    [DIP_COLUMN_WEST] = "west",
    [DIP_COLUMN_SOUTH] = "south",
    [DIP_COLUMN_EAST] = "east",
    [DIP_COLUMN_NORTH] = "north",
    [DIP_COLUMN_GSD_M] = "gsd_m",
    [DIP_COLUMN_WIDTH] = "width",
    [DIP_COLUMN_HEIGHT] = "height",
    [DIP_COLUMN_BANDS] = "bands",
    [DIP_COLUMN_DTYPE] = "dtype",
    [DIP_COLUMN_EXTRA] = "extra",
};

const char *dip_column_name(dip_column column) { return column_names[column]; }

static const char *cell(const manifest *m, size_t row, dip_column column)
{
    int c = m->column[column];
    return c < 0 ? "" : dip_table_cell(&m->table, row, (size_t)c);
}

/* ---- what a row says ---- */

/* False for text that is no number; an empty cell is NAN. */
static bool parse_number(const char *text, double *value)
{
    char *end;
    *value = NAN;
    if (!*text) return true;
    double parsed = strtod(text, &end);
    if (*end || !isfinite(parsed)) return false;
    *value = parsed;
    return true;
}

static dip_status check_number(const manifest *m, size_t row, dip_column column, double low,
                               double high)
{
    double value;
    const char *text = cell(m, row, column);
    if (parse_number(text, &value) && (isnan(value) || (value >= low && value <= high)))
        return DIP_OK;
    return dip_fail(DIP_EFORMAT, "%s '%.60s' is no number from %g to %g", column_names[column],
                    text, low, high);
}

static double number(const manifest *m, size_t row, dip_column column)
{
    double value;
    parse_number(cell(m, row, column), &value);
    return value;
}

static bool parse_time(const manifest *m, size_t row, int64_t *time)
{
    const char *text = cell(m, row, DIP_COLUMN_DATETIME);
    if (!*text) text = cell(m, row, DIP_COLUMN_ACQ_DATE);
    return !*text || dip_acquired_parse(text, time);
}

/* The three words that the archive knows, or NULL. */
static const char *parse_split(const char *text)
{
    static const char *const words[][2] = {
        {"", ""},         {"train", "train"},    {"training", "train"}, {"val", "val"},
        {"valid", "val"}, {"validation", "val"}, {"test", "test"},      {"testing", "test"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(text, words[i][0])) return words[i][1];
    return NULL;
}

static dip_status check_names(const manifest *m, size_t row)
{
    const char *id = cell(m, row, DIP_COLUMN_TILE_ID);
    const char *modality = cell(m, row, DIP_COLUMN_MODALITY);
    const char *place = cell(m, row, DIP_COLUMN_PLACE);
    if (!*id) return dip_fail(DIP_EFORMAT, "tile_id is empty");
    if (!dip_name_is_usable(id) || (*place && !dip_name_is_usable(place)))
        return dip_fail(
            DIP_EFORMAT,
            "tile_id or place is longer than %d bytes, has control characters, or is no "
            "UTF-8",
            (int)DIP_NAME_MOST);
    if (!dip_word_is_usable(modality))
        return dip_fail(DIP_EFORMAT,
                        "modality '%.60s' is not 1 to %d letters, digits and any of _-.+", modality,
                        DIP_WORD_CAPACITY - 1);
    return DIP_OK;
}

static dip_status check_numbers(const manifest *m, size_t row)
{
    static const struct {
        dip_column column;
        double low, high;
    } ranges[] = {
        {DIP_COLUMN_LON, -180, 180},   {DIP_COLUMN_LAT, -90, 90},    {DIP_COLUMN_WEST, -180, 180},
        {DIP_COLUMN_SOUTH, -90, 90},   {DIP_COLUMN_EAST, -180, 180}, {DIP_COLUMN_NORTH, -90, 90},
        {DIP_COLUMN_GSD_M, 1e-3, 1e6}, {DIP_COLUMN_WIDTH, 1, 1e6},   {DIP_COLUMN_HEIGHT, 1, 1e6},
        {DIP_COLUMN_BANDS, 1, 1e6},
    };
    dip_status status = DIP_OK;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && !status; i++)
        status = check_number(m, row, ranges[i].column, ranges[i].low, ranges[i].high);
    return status;
}

static dip_status check_row(const manifest *m, size_t row)
{
    int64_t time;
    if (m->table.fields[row] != m->table.column_count)
        return dip_fail(DIP_EFORMAT, "it has %u cells, the header %zu", m->table.fields[row],
                        m->table.column_count);
    dip_status status = check_names(m, row);
    if (!status) status = check_numbers(m, row);
    if (status) return status;
    const char *split = cell(m, row, DIP_COLUMN_SPLIT);
    if (!parse_split(split))
        return dip_fail(DIP_EFORMAT, "split '%.60s' is none of train, val, test", split);
    if (!parse_time(m, row, &time))
        return dip_fail(DIP_EFORMAT, "the date is no ISO 8601 date or date-time (2020-11-07, "
                                     "2020-11-07T13:52:41Z)");
    return DIP_OK;
}

static dip_status check(const dip_source *source, size_t i)
{
    const manifest *m = source->state;
    dip_status status = check_row(m, i);
    if (status) dip_fail_prefix(status, "%s %u", m->row_word, m->table.lines[i]);
    return status;
}

static const char *name_of(const dip_source *source, size_t i)
{
    return cell(source->state, i, DIP_COLUMN_TILE_ID);
}

static const char *modality_of(const dip_source *source, size_t i)
{
    return cell(source->state, i, DIP_COLUMN_MODALITY);
}

/* ---- what its files say ---- */

static bool differs(double told, uint32_t found) { return !isnan(told) && told != (double)found; }

static dip_status compare(const manifest *m, size_t row, const dip_draft *draft)
{
    const dip_plane *plane = &draft->planes[dip_draft_finest(draft)];
    double width = number(m, row, DIP_COLUMN_WIDTH), height = number(m, row, DIP_COLUMN_HEIGHT);
    double bands = number(m, row, DIP_COLUMN_BANDS);
    const char *dtype = cell(m, row, DIP_COLUMN_DTYPE);
    if (differs(bands, draft->band_count))
        return dip_fail(DIP_EMISMATCH, "the file has %u bands, the manifest says %g",
                        draft->band_count, bands);
    if (differs(width, plane->width) || differs(height, plane->height))
        return dip_fail(DIP_EMISMATCH, "the file has %ux%u pixels, the manifest says %gx%g",
                        plane->width, plane->height, isnan(width) ? plane->width : width,
                        isnan(height) ? plane->height : height);
    if (*dtype && strcmp(dtype, dip_dtype_name(plane->dtype)))
        return dip_fail(DIP_EMISMATCH, "the file has %s pixels, the manifest says %.40s",
                        dip_dtype_name(plane->dtype), dtype);
    return DIP_OK;
}

/* The manifest knows the finest grid's pixel size; coarser grids cover the same ground with fewer pixels. */
static void fill_gsd(const manifest *m, size_t row, dip_draft *draft)
{
    double gsd = number(m, row, DIP_COLUMN_GSD_M);
    uint32_t width = draft->planes[dip_draft_finest(draft)].width;
    for (uint32_t b = 0; b < draft->band_count && !isnan(gsd); b++)
        draft->gsd_m[b] = gsd * width / draft->planes[b].width;
}

/* Without a georeference: the corners that the row gives, or its centre and the size of the grid. */
static void fill_footprint(const manifest *m, size_t row, dip_draft *draft)
{
    dip_meta *meta = &draft->meta;
    if (!isnan(meta->west)) return;
    meta->west = number(m, row, DIP_COLUMN_WEST);
    meta->south = number(m, row, DIP_COLUMN_SOUTH);
    meta->east = number(m, row, DIP_COLUMN_EAST);
    meta->north = number(m, row, DIP_COLUMN_NORTH);
    if (!isnan(meta->west + meta->south + meta->east + meta->north)) return;
    const double metres_a_degree = 111195;
    uint32_t finest = dip_draft_finest(draft);
    double lon = number(m, row, DIP_COLUMN_LON), lat = number(m, row, DIP_COLUMN_LAT);
    double gsd = draft->gsd_m[finest];
    double up = draft->planes[finest].height * gsd / 2 / metres_a_degree;
    double side = draft->planes[finest].width * gsd / 2 / metres_a_degree /
                  fmax(0.01, cos(lat * acos(-1.0) / 180));
    meta->west = lon - side;
    meta->south = fmax(-90, lat - up);
    meta->east = lon + side;
    meta->north = fmin(90, lat + up);
    if (isnan(lon + lat) || meta->west < -180 || meta->east > 180)
        meta->west = meta->south = meta->east = meta->north = NAN;
}

static dip_status fill_extra(const manifest *m, size_t row, dip_draft *draft)
{
    const char *keys[DIP_TABLE_MAX_COLUMNS], *values[DIP_TABLE_MAX_COLUMNS];
    char *text;
    draft->meta.extra = cell(m, row, DIP_COLUMN_EXTRA);
    if (!m->further_count) return DIP_OK;
    for (size_t i = 0; i < m->further_count; i++) {
        keys[i] = dip_table_column(&m->table, m->further[i]);
        values[i] = dip_table_cell(&m->table, row, m->further[i]);
    }
    dip_status status = dip_extra_object(&text, keys, values, m->further_count);
    if (!status) draft->meta.extra = dip_draft_keep(draft, text);
    return status;
}

static void fill_texts(const manifest *m, size_t row, dip_meta *meta)
{
    meta->name = meta->place_name = cell(m, row, DIP_COLUMN_TILE_ID);
    if (*cell(m, row, DIP_COLUMN_PLACE)) meta->place_name = cell(m, row, DIP_COLUMN_PLACE);
    meta->labels = cell(m, row, DIP_COLUMN_LABELS);
    meta->primary_label = cell(m, row, DIP_COLUMN_PRIMARY_LABEL);
    meta->label_source = cell(m, row, DIP_COLUMN_LABEL_SOURCE);
    meta->split = parse_split(cell(m, row, DIP_COLUMN_SPLIT));
    meta->scene = cell(m, row, DIP_COLUMN_SCENE);
    meta->source = cell(m, row, DIP_COLUMN_SOURCE_PRODUCT);
    parse_time(m, row, &meta->time);
}

/* A row without a path is a tile without pixels: no bands. */
static dip_status read_pixels(const manifest *m, size_t row, dip_draft *out)
{
    const char *file = cell(m, row, DIP_COLUMN_PATH);
    if (!*file) return DIP_OK;
    char *path = dip_path_join(m->folder, file);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_file_is_folder(path) ? dip_draft_read_folder(out, path)
                                                 : dip_draft_read_raster(out, path);
    dip_free(path);
    return status ? status : compare(m, row, out);
}

static dip_status read_row(const dip_source *source, size_t i, dip_draft *out)
{
    const manifest *m = source->state;
    dip_status status = read_pixels(m, i, out);
    if (status) return status;
    fill_texts(m, i, &out->meta);
    fill_gsd(m, i, out);
    fill_footprint(m, i, out);
    return fill_extra(m, i, out);
}

/* ---- opening ---- */

static void close_manifest(dip_source *source)
{
    manifest *m = source->state;
    if (!m) return;
    dip_table_fini(&m->table);
    dip_free(m->folder);
    dip_free(m);
    source->state = NULL;
}

static bool ends_with(const char *path, const char *ending)
{
    size_t n = strlen(path), e = strlen(ending);
    return n > e && !strcasecmp(path + n - e, ending);
}

/* A raster, most likely. UTF-16 has its own words, from whoever reads the text. */
static bool is_binary(const char *bytes, size_t length)
{
    bool utf16 = length >= 2 && (!memcmp(bytes, "\xff\xfe", 2) || !memcmp(bytes, "\xfe\xff", 2));
    return !utf16 && memchr(bytes, 0, length);
}

static dip_status parse(manifest *m, const char *path)
{
    char *bytes;
    size_t length;
    bool json = ends_with(path, ".json") || ends_with(path, ".geojson");
    dip_status status = dip_file_read(&bytes, &length, path, manifest_limit);
    if (status) return status;
    if (is_binary(bytes, length)) {
        dip_free(bytes);
        return dip_fail(
            DIP_EFORMAT,
            "'%s' is no manifest: it holds no text; a source is a .csv or .geojson file "
            "that lists raster files, or a folder",
            path);
    }
    m->row_word = json ? "feature" : "line";
    m->json = json;
    status = json ? dip_table_parse_geojson(&m->table, bytes, length)
                  : dip_table_parse_csv(&m->table, bytes, length);
    dip_free(bytes);
    if (status) dip_fail_prefix(status, "manifest '%s'", path);
    return status;
}

static dip_status find_columns(manifest *m, const char *path)
{
    bool taken[DIP_TABLE_MAX_COLUMNS] = {false};
    for (int c = 0; c < DIP_COLUMN_COUNT; c++) {
        m->column[c] =
            c == DIP_COLUMN_EXTRA && !m->json ? -1 : dip_table_find(&m->table, column_names[c]);
        if (m->column[c] >= 0)
            taken[m->column[c]] = true;
        else if (c <= DIP_COLUMN_PATH)
            return dip_fail(DIP_EFORMAT,
                            "manifest '%s' has no column '%s'; it needs tile_id, modality and path",
                            path, column_names[c]);
    }
    for (size_t c = 0; c < m->table.column_count; c++)
        if (!taken[c] && *dip_table_column(&m->table, c)) m->further[m->further_count++] = c;
    return DIP_OK;
}

static dip_status open_listed(dip_source *out, const char *path, dip_layout layout)
{
    manifest *m = dip_calloc(1, sizeof *m);
    if (!m) return DIP_ENOMEM;
    dip_source source = {.layout = layout,
                         .state = m,
                         .modality = modality_of,
                         .name = name_of,
                         .check = check,
                         .read = read_row,
                         .close = close_manifest};
    bool folders = layout == DIP_LAYOUT_FOLDERS;
    m->row_word = "file";
    dip_status status = folders ? dip_folders_table(&m->table, path) : parse(m, path);
    if (!status) status = find_columns(m, path);
    if (!status) m->folder = folders ? dip_strdup(path) : dip_path_folder(path);
    if (!status && !m->folder) status = DIP_ENOMEM;
    source.count = m->table.row_count;
    if (status)
        close_manifest(&source);
    else
        *out = source;
    return status;
}

dip_status dip_manifest_open(dip_source *out, const char *path)
{
    return open_listed(out, path, DIP_LAYOUT_MANIFEST);
}

dip_status dip_manifest_open_folders(dip_source *out, const char *path)
{
    return open_listed(out, path, DIP_LAYOUT_FOLDERS);
}
