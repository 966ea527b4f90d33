/*
 * BigEarthNet-MM version 1; see bigearthnet.h.
 *
 * The list of patches is the sorted list of folder names; all else is read when a patch comes up. A radar patch names
 * its optical partner in its labels, and the partner's name is the place of both. Sizes, units and statistics are the
 * published ones of the data set.
 */
#include "ingest/bigearthnet.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/acquired.h"
#include "ingest/draft.h"
#include "ingest/json.h"
#include "ingest/labels.h"
#include "ingest/raster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPTICAL_BANDS = 12, RADAR_BANDS = 2, SIDE_METRES = 1200, LABELS_LIMIT = 1 << 20 };

typedef struct band_fact {
    const char *name;
    double gsd_m, mean, stddev;
} band_fact;

/* Mean and standard deviation of version 1, as published for the data set in stored values. */
static const band_fact optical[OPTICAL_BANDS] = {
    {"B01", 60, 340.76769064, 554.81258967},   {"B02", 10, 429.9430203, 572.41639287},
    {"B03", 10, 614.21682446, 582.87945694},   {"B04", 10, 590.23569706, 675.88746967},
    {"B05", 20, 950.68368468, 729.89827633},   {"B06", 20, 1792.46290469, 1096.01480586},
    {"B07", 20, 2075.46795189, 1273.45393088}, {"B08", 10, 2218.94553375, 1365.45589904},
    {"B09", 60, 2246.0605464, 1302.3292881},   {"B11", 20, 1594.42694882, 1079.19066363},
    {"B12", 20, 1009.32729131, 818.86747235},  {"B8A", 20, 2266.46036911, 1356.13789355},
};
static const band_fact radar[RADAR_BANDS] = {
    {"VV", 10, -12.619993741972035, 5.115911777546365},
    {"VH", 10, -19.29044597721542, 5.464428464912864},
};

typedef struct patch {
    const char *folder, *name; /* borrowed from `folders` and `names` */
    bool radar;
} patch;

typedef struct listing {
    char *folder;
    char **names;
    size_t count;
} listing;

typedef struct tree {
    listing *listings;
    size_t listing_count, listing_capacity;
    patch *patches;
    size_t patch_count, patch_capacity;
    bool labels19;
} tree;

/* ---- names ---- */

static bool digits(const char **at)
{
    size_t n = strspn(*at, "0123456789");
    *at += n;
    return n > 0 && n < 8;
}

static bool skip(const char **at, const char *expected)
{
    size_t n = strlen(expected);
    if (strncmp(*at, expected, n)) return false;
    *at += n;
    return true;
}

/* "_57_38" and the end. */
static bool take_grid(const char *at)
{
    return skip(&at, "_") && digits(&at) && skip(&at, "_") && digits(&at) && !*at;
}

/* Sensing time, left behind it. */
static bool take_time(const char **at, int64_t *time)
{
    if (!dip_acquired_parse_compact(*at, time)) return false;
    *at += 9 + strspn(*at + 9, "0123456789");
    return true;
}

static bool is_grid_tile(const char *text)
{
    return strspn(text, "0123456789") == 2 && strspn(text + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

bool dip_patch_name_parse(dip_patch_name *out, const char *name)
{
    const char *at = name;
    dip_patch_name found = {.radar = name[0] == 'S' && name[1] == '1'};
    if (name[0] != 'S' || (name[1] != '1' && name[1] != '2') || name[2] < 'A' || name[2] > 'D')
        return false;
    at += 3;
    if (!skip(&at, found.radar ? "_IW_GRDH_1SDV_" : "_MSIL2A_") || !take_time(&at, &found.time))
        return false;
    if (found.radar) {
        if (!skip(&at, "_") || !is_grid_tile(at)) return false;
        memcpy(found.grid_tile, at, 5);
        at += 5;
    }
    if (!take_grid(at)) return false;
    *out = found;
    return true;
}

/* Product folders, which version 2 has between the root and the patches. */
static bool is_version2_name(const char *name)
{
    const char *at = name;
    int64_t time;
    if (skip(&at, "S2A_MSIL2A_") || skip(&at, "S2B_MSIL2A_"))
        return take_time(&at, &time) && skip(&at, "_N") && digits(&at) && skip(&at, "_R");
    if (skip(&at, "S1A_IW_GRDH_1SDV_") || skip(&at, "S1B_IW_GRDH_1SDV_"))
        return take_time(&at, &time) && !*at;
    return false;
}

/* ---- the list ---- */

typedef struct survey {
    size_t patches, version2;
} survey;

static survey survey_names(char *const *names, size_t count)
{
    survey s = {0, 0};
    dip_patch_name parsed;
    for (size_t i = 0; i < count; i++) {
        s.patches += dip_patch_name_parse(&parsed, names[i]);
        s.version2 += is_version2_name(names[i]);
    }
    return s;
}

/* Takes a folder's names if it holds patches; *took tells. */
static dip_status take_listing(tree *t, const char *path, bool *took)
{
    listing l = {NULL, NULL, 0};
    *took = false;
    dip_status status = dip_folder_list(&l.names, &l.count, path);
    if (status) return status;
    survey s = survey_names(l.names, l.count);
    if (s.version2 > s.patches)
        status = dip_fail(DIP_ENOTSUP,
                          "'%s' is BigEarthNet version 2, whose labels and pairs are not in the "
                          "folders; give version 1, or a manifest of the files",
                          path);
    if (!status && s.patches) {
        l.folder = dip_strdup(path);
        if (!l.folder || dip_array_reserve((void **)&t->listings, &t->listing_capacity,
                                           t->listing_count + 1, sizeof *t->listings))
            status = DIP_ENOMEM;
        else
            *took = true;
    }
    if (*took) {
        t->listings[t->listing_count++] = l;
    } else {
        dip_free(l.folder);
        dip_names_free(l.names, l.count);
    }
    return status;
}

/* The folders "BigEarthNet..." inside of `path`. */
static dip_status take_children(tree *t, const char *path, bool *took)
{
    char **names;
    size_t count;
    dip_status status = dip_folder_list(&names, &count, path);
    if (status) return status;
    for (size_t i = 0; i < count && !status; i++) {
        if (strncmp(names[i], "BigEarthNet", 11)) continue;
        char *child = dip_path_join(path, names[i]);
        bool one = false;
        if (!child) status = DIP_ENOMEM;
        if (child && dip_file_is_folder(child)) status = take_listing(t, child, &one);
        *took |= one;
        dip_free(child);
    }
    dip_names_free(names, count);
    return status;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const patch *p = a, *q = b;
    return p->radar != q->radar ? p->radar - q->radar : strcmp(p->name, q->name);
}

static dip_status list_patches(tree *t)
{
    for (size_t l = 0; l < t->listing_count; l++) {
        const listing *from = &t->listings[l];
        if (dip_array_reserve((void **)&t->patches, &t->patch_capacity,
                              t->patch_count + from->count, sizeof *t->patches))
            return DIP_ENOMEM;
        for (size_t i = 0; i < from->count; i++) {
            dip_patch_name parsed;
            if (!dip_patch_name_parse(&parsed, from->names[i])) continue;
            t->patches[t->patch_count++] = (patch){from->folder, from->names[i], parsed.radar};
        }
    }
    qsort(t->patches, t->patch_count, sizeof *t->patches, by_kind_and_name);
    return DIP_OK;
}

/* ---- one patch ---- */

static dip_status read_band(dip_draft *draft, const patch *p, const band_fact *fact, bool place)
{
    char *path = dip_sprintf("%s/%s/%s_%s.tif", p->folder, p->name, p->name, fact->name);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_draft_read_band(draft, path, fact->name, place);
    if (status) dip_fail_prefix(status, "band %s", fact->name);
    dip_free(path);
    return status;
}

static dip_status read_labels(dip_patch_labels *labels, const patch *p)
{
    char *bytes, *path = dip_sprintf("%s/%s/%s_labels_metadata.json", p->folder, p->name, p->name);
    size_t length;
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_file_read(&bytes, &length, path, LABELS_LIMIT);
    if (!status) {
        status = dip_patch_labels_parse(labels, bytes, length);
        if (status) dip_fail_prefix(status, "'%s'", path);
        dip_free(bytes);
    }
    dip_free(path);
    return status;
}

static dip_status keep(dip_draft *draft, const char **field, const char *text)
{
    char *copy = dip_strdup(text);
    if (!copy) return DIP_ENOMEM;
    *field = dip_draft_keep(draft, copy);
    return DIP_OK;
}

static dip_status fill_labels(dip_draft *draft, const dip_patch_labels *labels, bool to19)
{
    char *text;
    dip_meta *meta = &draft->meta;
    dip_status status = to19 ? dip_labels_to19(&text, labels->labels) : DIP_OK;
    if (status) return status;
    if (!to19) {
        status = keep(draft, &meta->labels, labels->labels);
    } else {
        meta->labels = dip_draft_keep(draft, text);
        status = dip_extra_list(&text, "labels43", labels->labels);
        if (!status) meta->extra = dip_draft_keep(draft, text);
    }
    if (!strchr(meta->labels, '|')) meta->primary_label = meta->labels;
    meta->label_source =
        to19 ? "CORINE 2018, 19 classes (BigEarthNet)" : "CORINE 2018 (BigEarthNet)";
    return status;
}

/* A file without georeference: the corners of the labels. */
static void fill_place(dip_meta *meta, const dip_patch_labels *labels)
{
    double width = labels->lrx - labels->ulx, height = labels->lry - labels->uly;
    if (meta->epsg || !labels->epsg || !isfinite(width) || !isfinite(height)) return;
    const uint32_t side = SIDE_METRES / 10;
    const double t[6] = {labels->ulx, width / side, 0, labels->uly, 0, height / side};
    dip_box box;
    memcpy(meta->transform, t, sizeof t);
    meta->epsg = labels->epsg;
    dip_raster_locate(&box, labels->epsg, t, side, side);
    meta->west = box.west;
    meta->south = box.south;
    meta->east = box.east;
    meta->north = box.north;
}

/* The MGRS tile in "S2A_MSIL1C_20170613T101031_N0205_R022_T33UUP_20170613T101608.SAFE". */
static dip_status fill_scene(dip_draft *draft, const dip_patch_name *name, const char *source)
{
    char tile[8] = "";
    const char *at = name->radar ? NULL : strstr(source, "_T");
    for (; at && !is_grid_tile(at + 2); at = strstr(at + 1, "_T")) {
    }
    memcpy(tile, at ? at + 2 : name->grid_tile, 5);
    return keep(draft, &draft->meta.scene, tile);
}

static dip_status fill_meta(dip_draft *draft, const patch *p, const dip_patch_labels *labels,
                            bool labels19)
{
    dip_meta *meta = &draft->meta;
    dip_patch_name name;
    dip_patch_name_parse(&name, p->name);
    meta->name = meta->place_name = p->name;
    meta->time = labels->time != DIP_NO_TIME ? labels->time : name.time;
    fill_place(meta, labels);
    dip_status status = keep(draft, &meta->source, labels->source);
    if (!status && p->radar && dip_name_is_usable(labels->partner))
        status = keep(draft, &meta->place_name, labels->partner);
    if (!status) status = fill_scene(draft, &name, labels->source);
    if (!status) status = fill_labels(draft, labels, labels19);
    return status;
}

static dip_status read_patch(const dip_source *source, size_t i, dip_draft *out)
{
    const tree *t = source->state;
    const patch *p = &t->patches[i];
    const band_fact *facts = p->radar ? radar : optical;
    uint32_t count = p->radar ? RADAR_BANDS : OPTICAL_BANDS;
    dip_patch_labels labels = {.time = DIP_NO_TIME};
    dip_status status = read_labels(&labels, p);
    for (uint32_t b = 0; b < count && !status; b++) {
        /* The first 10 m band places the patch; asking every file would take three times as long. */
        bool place = !strcmp(facts[b].name, p->radar ? "VV" : "B02");
        status = read_band(out, p, &facts[b], place);
        out->gsd_m[b] = facts[b].gsd_m;
    }
    if (!status) status = fill_meta(out, p, &labels, t->labels19);
    dip_patch_labels_fini(&labels);
    return status;
}

/* ---- the source ---- */

static const char *name_of(const dip_source *source, size_t i)
{
    return ((const tree *)source->state)->patches[i].name;
}

static const char *modality_of(const dip_source *source, size_t i)
{
    return ((const tree *)source->state)->patches[i].radar ? "s1" : "s2";
}

static dip_status check(const dip_source *source, size_t i)
{
    (void)source;
    (void)i;
    return DIP_OK; /* only usable names are in the list */
}

static bool describe(const dip_source *source, const char *modality, dip_modality *out,
                     dip_grids *grids)
{
    (void)source;
    bool is_radar = !strcmp(modality, "s1");
    const band_fact *facts = is_radar ? radar : optical;
    memset(out, 0, sizeof *out);
    memset(grids, 0, sizeof *grids);
    strncpy(out->name, modality, DIP_WORD_CAPACITY - 1);
    out->band_count = grids->count = is_radar ? RADAR_BANDS : OPTICAL_BANDS;
    for (uint32_t b = 0; b < out->band_count; b++) {
        dip_band *band = &out->bands[b];
        strncpy(band->name, facts[b].name, DIP_WORD_CAPACITY - 1);
        strncpy(band->unit, is_radar ? "dB" : "reflectance", DIP_WORD_CAPACITY - 1);
        band->gsd_m = facts[b].gsd_m;
        band->mean = facts[b].mean;
        band->stddev = facts[b].stddev;
        grids->band[b].dtype = is_radar ? DIP_DTYPE_F32 : DIP_DTYPE_U16;
        grids->band[b].width = grids->band[b].height = (uint32_t)(SIDE_METRES / band->gsd_m);
    }
    static const char *const colours[] = {"B04", "B03", "B02"};
    for (int i = 0; i < (is_radar ? 1 : 3); i++)
        strncpy(out->display[i], is_radar ? "VV" : colours[i], DIP_WORD_CAPACITY - 1);
    return true;
}

static void close_tree(dip_source *source)
{
    tree *t = source->state;
    if (!t) return;
    for (size_t l = 0; l < t->listing_count; l++) {
        dip_free(t->listings[l].folder);
        dip_names_free(t->listings[l].names, t->listings[l].count);
    }
    dip_free(t->listings);
    dip_free(t->patches);
    dip_free(t);
    source->state = NULL;
}

static dip_status take_path(tree *t, const char *path)
{
    bool took = false;
    if (!dip_file_is_folder(path))
        return dip_fail(DIP_ENOENT, "'%s' is no folder of BigEarthNet patches", path);
    dip_status status = take_listing(t, path, &took);
    if (!status && !took) status = take_children(t, path, &took);
    if (!status && !took) status = dip_fail(DIP_ENOENT, "'%s' holds no BigEarthNet patches", path);
    return status;
}

dip_status dip_bigearthnet_recognise(bool *recognised, const char *path)
{
    *recognised = false;
    if (!dip_file_is_folder(path)) return DIP_OK;
    dip_source source = {.state = dip_calloc(1, sizeof(tree))};
    if (!source.state) return DIP_ENOMEM;
    dip_status status = take_path(source.state, path);
    close_tree(&source);
    *recognised = status == DIP_OK || status == DIP_ENOTSUP;
    return *recognised || status == DIP_ENOENT ? DIP_OK : status;
}

dip_status dip_bigearthnet_open(dip_source *out, const char *const *paths, size_t count,
                                bool labels19)
{
    tree *t = dip_calloc(1, sizeof *t);
    if (!t) return DIP_ENOMEM;
    t->labels19 = labels19;
    dip_source source = {.layout = DIP_LAYOUT_BIGEARTHNET,
                         .state = t,
                         .modality = modality_of,
                         .name = name_of,
                         .check = check,
                         .read = read_patch,
                         .describe = describe,
                         .close = close_tree};
    dip_status status = DIP_OK;
    for (size_t i = 0; i < count && !status; i++) status = take_path(t, paths[i]);
    if (!status) status = list_patches(t);
    source.count = t->patch_count;
    if (status)
        close_tree(&source);
    else
        *out = source;
    return status;
}
