/*
 * Raster files; see raster.h. Adapter to GDAL and OGR.
 *
 * Every call pushes an error handler of its thread, which keeps the first failure line instead of printing it. A read
 * that GDAL calls failed is refused whole: a truncated file must not become a tile with black rows.
 * Coordinate transformations are costly to make, so a few are kept, under a lock, for the life of the process.
 * Files are encoded in memory (/vsimem/) and written by core/file.h, so they are there whole or not at all.
 */
#define _GNU_SOURCE
#include "ingest/raster.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/acquired.h"
#include "ingest/geokeys.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_string.h>
#include <cpl_vsi.h>
#include <gdal.h>
#include <math.h>
#include <ogr_srs_api.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TRANSFORM_SLOTS = 8, REMEMBERED = 64, LINE_CAPACITY = 400 };

/* A tile's pixels, all bands together; also a bound on what a hostile header can make us ask for. */
static const uint64_t max_bytes = (uint64_t)1 << 30;

typedef struct complaint {
    char line[LINE_CAPACITY];
} complaint;

static void CPL_STDCALL keep_first(CPLErr class, CPLErrorNum number, const char *line)
{
    complaint *kept = CPLGetErrorHandlerUserData();
    (void)number;
    if (class < CE_Failure || kept->line[0]) return;
    snprintf(kept->line, sizeof kept->line, "%s", line);
    for (char *c = kept->line; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t') *c = ' ';
}

static void set_default(const char *key, const char *value)
{
    if (!CPLGetConfigOption(key, NULL)) CPLSetConfigOption(key, value);
}

static void register_drivers(void)
{
    complaint ignored = {0};
    CPLPushErrorHandlerEx(keep_first, &ignored);
    /* One stat a sidecar file instead of listing folders that may hold half a million entries. */
    set_default("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE");
    set_default("GDAL_ERROR_ON_LIBJPEG_WARNING", "TRUE");
    GDALAllRegister();
    CPLPopErrorHandler();
}

void dip_raster_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_drivers);
}

static const char *reason(const complaint *c) { return c->line[0] ? c->line : "no reason given"; }

/* ---- pixel types ---- */

static const struct {
    GDALDataType gdal;
    dip_dtype dtype;
} types[] = {
    {GDT_Byte, DIP_DTYPE_U8},     {GDT_UInt16, DIP_DTYPE_U16}, {GDT_Int16, DIP_DTYPE_I16},
    {GDT_UInt32, DIP_DTYPE_U32},  {GDT_Int32, DIP_DTYPE_I32},  {GDT_Float32, DIP_DTYPE_F32},
    {GDT_Float64, DIP_DTYPE_F64},
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static GDALDataType gdal_type(dip_dtype dtype)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (types[i].dtype == dtype) return types[i].gdal;
    return GDT_Unknown;
}

static dip_status dtype_of(GDALRasterBandH band, const char *path, int number, dip_dtype *dtype)
{
    GDALDataType type = GDALGetRasterDataType(band);
    const char *sign = GDALGetMetadataItem(band, "PIXELTYPE", "IMAGE_STRUCTURE");
    bool int8 = type == GDT_Byte && sign && !strcmp(sign, "SIGNEDBYTE");
    for (size_t i = 0; i < TYPE_COUNT && !int8; i++) {
        if (types[i].gdal != type) continue;
        *dtype = types[i].dtype;
        return DIP_OK;
    }
    const char *name = GDALGetDataTypeName(type);
    return dip_fail(DIP_EFORMAT,
                    "'%s': band %d has pixels of type %s, which is not stored; convert it to an "
                    "integer of 8, 16 or 32 bits or to a float",
                    path, number,
                    int8   ? "Int8"
                    : name ? name
                           : "unknown");
}

/* ---- coordinates ---- */

static struct {
    uint64_t key;                                /* hash of the system's text; 0: free */
    OGRCoordinateTransformationH transformation; /* NULL: this system cannot be transformed */
} slots[TRANSFORM_SLOTS];
static unsigned next_slot;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

/* `system` may be NULL: then `epsg` names it. */
static OGRCoordinateTransformationH make_transformation(OGRSpatialReferenceH system, int32_t epsg)
{
    OGRSpatialReferenceH from = system ? OSRClone(system) : OSRNewSpatialReference(NULL);
    OGRSpatialReferenceH to = OSRNewSpatialReference(NULL);
    OGRCoordinateTransformationH made = NULL;
    bool known = from && (system || OSRImportFromEPSG(from, epsg) == OGRERR_NONE);
    if (known && to && OSRImportFromEPSG(to, 4326) == OGRERR_NONE) {
        OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
        OSRSetAxisMappingStrategy(to, OAMS_TRADITIONAL_GIS_ORDER);
        made = OCTNewCoordinateTransformation(from, to);
    }
    OSRRelease(from);
    OSRRelease(to);
    return made;
}

/* With the lock held. */
static OGRCoordinateTransformationH find_transformation(uint64_t key, OGRSpatialReferenceH system,
                                                        int32_t epsg)
{
    for (unsigned i = 0; i < TRANSFORM_SLOTS; i++)
        if (slots[i].key == key) return slots[i].transformation;
    unsigned slot = next_slot++ % TRANSFORM_SLOTS;
    OCTDestroyCoordinateTransformation(slots[slot].transformation);
    slots[slot].key = key;
    slots[slot].transformation = make_transformation(system, epsg);
    return slots[slot].transformation;
}

/* A coordinate system as the slots know it. `system` may be NULL: then `epsg` names it. */
typedef struct crs {
    OGRSpatialReferenceH system;
    int32_t epsg;
    uint64_t key; /* 0: the system has no text */
} crs;

static uint64_t system_key(OGRSpatialReferenceH system, int32_t epsg)
{
    char code[32], *wkt = NULL;
    uint64_t key = 0;
    if (epsg) {
        int length = snprintf(code, sizeof code, "EPSG:%d", (int)epsg);
        return dip_hash64(code, (size_t)length) | 1;
    }
    if (system && OSRExportToWkt(system, &wkt) == OGRERR_NONE && wkt)
        key = dip_hash64(wkt, strlen(wkt)) | 1;
    CPLFree(wkt);
    return key;
}

static bool to_degrees(const crs *c, double *x, double *y, int n)
{
    if (!c->key) return false;
    pthread_mutex_lock(&slots_lock);
    OGRCoordinateTransformationH transformation = find_transformation(c->key, c->system, c->epsg);
    bool done = transformation && OCTTransform(transformation, n, x, y, NULL);
    pthread_mutex_unlock(&slots_lock);
    return done;
}

static double ground_distance_m(double lon0, double lat0, double lon1, double lat1)
{
    const double radius = 6371008.8, degree = acos(-1.0) / 180;
    double u = sin((lat1 - lat0) * degree / 2), v = sin((lon1 - lon0) * degree / 2);
    double a = u * u + cos(lat0 * degree) * cos(lat1 * degree) * v * v;
    return 2 * radius * asin(sqrt(fmin(1, a)));
}

static double two_digits(double x)
{
    if (!(x > 0) || !isfinite(x)) return 0;
    double unit = pow(10, floor(log10(x)) - 1);
    return unit >= 1 ? round(x / unit) * unit : round(x / unit) / round(1 / unit);
}

static void nowhere(dip_box *box) { box->west = box->south = box->east = box->north = NAN; }

/* Corners 0-3, midpoints of the west, east, north and south edges 4-7. */
static bool locate(dip_box *box, double *gsd_m, const crs *c, const double t[6], uint32_t width,
                   uint32_t height)
{
    static const double fx[8] = {0, 1, 0, 1, 0, 1, 0.5, 0.5};
    static const double fy[8] = {0, 0, 1, 1, 0.5, 0.5, 0, 1};
    double x[8], y[8];
    nowhere(box);
    for (int i = 0; i < 8; i++) {
        double column = fx[i] * width, row = fy[i] * height;
        x[i] = t[0] + column * t[1] + row * t[2];
        y[i] = t[3] + column * t[4] + row * t[5];
        if (!isfinite(x[i]) || !isfinite(y[i])) return false;
    }
    if (!to_degrees(c, x, y, 8)) return false;
    dip_box b = {x[0], y[0], x[0], y[0]};
    for (int i = 0; i < 8; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i])) return false;
        b = (dip_box){fmin(b.west, x[i]), fmin(b.south, y[i]), fmax(b.east, x[i]),
                      fmax(b.north, y[i])};
    }
    if (b.west < -180 || b.east > 180 || b.south < -90 || b.north > 90 || b.east - b.west > 180)
        return false;
    *gsd_m = two_digits(ground_distance_m(x[4], y[4], x[5], y[5]) / width);
    *box = b;
    return true;
}

bool dip_raster_locate(dip_box *box, int32_t epsg, const double transform[6], uint32_t width,
                       uint32_t height)
{
    nowhere(box);
    if (epsg <= 0 || !width || !height) return false;
    dip_raster_init();
    complaint ignored = {0};
    CPLPushErrorHandlerEx(keep_first, &ignored);
    double gsd_m;
    const crs named = {.epsg = epsg, .key = system_key(NULL, epsg)};
    bool found = locate(box, &gsd_m, &named, transform, width, height);
    CPLPopErrorHandler();
    return found;
}

static int32_t epsg_of(OGRSpatialReferenceH system)
{
    const char *name = OSRGetAuthorityName(system, NULL);
    const char *code = OSRGetAuthorityCode(system, NULL);
    if (name && code && !strcmp(name, "EPSG")) return (int32_t)strtol(code, NULL, 10);
    OGRSpatialReferenceH copy = OSRClone(system);
    int32_t epsg = 0;
    if (copy && OSRAutoIdentifyEPSG(copy) == OGRERR_NONE) {
        code = OSRGetAuthorityCode(copy, NULL);
        epsg = code ? (int32_t)strtol(code, NULL, 10) : 0;
    }
    OSRRelease(copy);
    return epsg;
}

/*
 * Systems of files, by their GeoKeys: GDAL takes longer to build a system from them than to read the pixels of a small
 * tile, and the tiles of an archive have few. Kept for the life of the process; what does not fit is built each time.
 */
static struct {
    uint64_t geokeys;
    crs crs;
} remembered[REMEMBERED];
static unsigned remembered_count;

/* With the lock held; REMEMBERED if it is not there. */
static unsigned find_remembered(uint64_t geokeys)
{
    for (unsigned i = 0; i < remembered_count; i++)
        if (remembered[i].geokeys == geokeys) return i;
    return REMEMBERED;
}

static bool recall(uint64_t geokeys, crs *out)
{
    pthread_mutex_lock(&slots_lock);
    const unsigned i = find_remembered(geokeys);
    if (i < REMEMBERED) *out = remembered[i].crs;
    pthread_mutex_unlock(&slots_lock);
    return i < REMEMBERED;
}

static void remember(uint64_t geokeys, const crs *c)
{
    OGRSpatialReferenceH copy = OSRClone(c->system);
    pthread_mutex_lock(&slots_lock);
    if (copy && remembered_count < REMEMBERED && find_remembered(geokeys) == REMEMBERED) {
        remembered[remembered_count].geokeys = geokeys;
        remembered[remembered_count].crs = *c;
        remembered[remembered_count++].crs.system = copy;
        copy = NULL;
    }
    pthread_mutex_unlock(&slots_lock);
    OSRRelease(copy);
}

/* False: the file has none. `path` NULL: it is none of the disk. GeoKeys count only while GDAL is not told to look elsewhere first. */
static bool crs_of(crs *out, GDALDatasetH dataset, const char *path)
{
    uint64_t geokeys;
    const bool known = path && !CPLGetConfigOption("GDAL_GEOREF_SOURCES", NULL) &&
                       dip_geokeys_hash(&geokeys, path);
    if (known && recall(geokeys, out)) return true;
    out->system = GDALGetSpatialRef(dataset);
    if (!out->system) return false;
    out->epsg = epsg_of(out->system);
    out->key = system_key(out->system, out->epsg);
    if (known) remember(geokeys, out);
    return true;
}

/* ---- reading ---- */

static void flip_rows(dip_plane *plane)
{
    size_t row = plane->width * dip_dtype_size(plane->dtype);
    uint8_t *top = plane->pixels, *bottom = top + row * (plane->height - 1);
    for (; top < bottom; top += row, bottom -= row)
        for (size_t i = 0; i < row; i++) {
            uint8_t t = top[i];
            top[i] = bottom[i];
            bottom[i] = t;
        }
}

static void read_georeference(dip_raster *out, GDALDatasetH dataset, const char *path)
{
    double t[6];
    uint32_t width = out->planes[0].width, height = out->planes[0].height;
    if (GDALGetGeoTransform(dataset, t) != CE_None) return;
    if (t[5] > 0 && t[2] == 0 && t[4] == 0) { /* stored south up */
        for (uint32_t b = 0; b < out->band_count; b++) flip_rows(&out->planes[b]);
        t[3] += t[5] * height;
        t[5] = -t[5];
    }
    memcpy(out->transform, t, sizeof t);
    crs system;
    dip_box box;
    if (!crs_of(&system, dataset, path)) return;
    out->epsg = system.epsg;
    if (!locate(&box, &out->gsd_m, &system, t, width, height)) return;
    out->west = box.west;
    out->south = box.south;
    out->east = box.east;
    out->north = box.north;
}

static void read_time(dip_raster *out, GDALDatasetH dataset)
{
    const char *text = GDALGetMetadataItem(dataset, "ACQUISITIONDATETIME", "IMAGERY");
    if (text && dip_acquired_parse(text, &out->time)) return;
    text = GDALGetMetadataItem(dataset, "TIFFTAG_DATETIME", NULL);
    if (text) dip_acquired_parse_tiff(text, &out->time);
}

static void read_band_name(char *name, GDALRasterBandH band)
{
    const char *text = GDALGetDescription(band);
    size_t length = text ? strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789_-.+")
                         : 0;
    if (length >= DIP_WORD_CAPACITY) length = 0;
    if (length) memcpy(name, text, length);
    name[length] = '\0';
}

static dip_status check_shape(GDALDatasetH dataset, const char *path)
{
    int width = GDALGetRasterXSize(dataset), height = GDALGetRasterYSize(dataset);
    int bands = GDALGetRasterCount(dataset);
    if (bands == 0)
        return dip_fail(DIP_EFORMAT, "'%s' has no raster band; name one of its subdatasets", path);
    if (bands > DIP_MAX_BANDS)
        return dip_fail(DIP_EFORMAT, "'%s' has %d bands, a tile may have %d", path, bands,
                        (int)DIP_MAX_BANDS);
    if (width <= 0 || height <= 0)
        return dip_fail(DIP_EFORMAT, "'%s' has %dx%d pixels", path, width, height);
    if (width > DIP_RASTER_MAX_SIDE || height > DIP_RASTER_MAX_SIDE)
        return dip_fail(DIP_EFORMAT,
                        "'%s' has %dx%d pixels, a tile may have %d a side; cut it into tiles first",
                        path, width, height, (int)DIP_RASTER_MAX_SIDE);
    return DIP_OK;
}

static dip_status read_band(dip_raster *out, GDALDatasetH dataset, int number, const char *path,
                            const complaint *complaints)
{
    GDALRasterBandH band = GDALGetRasterBand(dataset, number);
    dip_plane *plane = &out->planes[number - 1];
    dip_status status = dtype_of(band, path, number, &plane->dtype);
    if (status) return status;
    int width = GDALGetRasterXSize(dataset), height = GDALGetRasterYSize(dataset);
    size_t bytes = (size_t)width * (size_t)height * dip_dtype_size(plane->dtype);
    if (bytes * (size_t)GDALGetRasterCount(dataset) > max_bytes)
        return dip_fail(DIP_EFORMAT, "'%s' has more than 1 GiB of pixels; cut it into tiles first",
                        path);
    read_band_name(out->band_name[number - 1], band);
    plane->pixels = dip_alloc(bytes);
    if (!plane->pixels) return DIP_ENOMEM;
    plane->width = (uint32_t)width;
    plane->height = (uint32_t)height;
    out->band_count = (uint32_t)number;
    if (GDALRasterIO(band, GF_Read, 0, 0, width, height, plane->pixels, width, height,
                     gdal_type(plane->dtype), 0, 0) != CE_None)
        return dip_fail(DIP_EFORMAT, "'%s' is damaged or truncated: band %d: %s", path, number,
                        reason(complaints));
    return DIP_OK;
}

static dip_status open_failure(const char *path, const complaint *complaints)
{
    VSIStatBufL info;
    if (VSIStatExL(path, &info, VSI_STAT_EXISTS_FLAG) != 0)
        return dip_fail(DIP_ENOENT, "cannot open '%s': no such file", path);
    if (!complaints->line[0] || strstr(complaints->line, "not recognized as"))
        return dip_fail(DIP_EFORMAT, "'%s' is no raster file of a format that GDAL knows", path);
    return dip_fail(DIP_EFORMAT, "'%s' is damaged or truncated: %s", path, reason(complaints));
}

static dip_status read_bands(dip_raster *out, GDALDatasetH dataset, const char *path,
                             const complaint *complaints)
{
    dip_status status = check_shape(dataset, path);
    int bands = GDALGetRasterCount(dataset);
    for (int number = 1; number <= bands && !status; number++)
        status = read_band(out, dataset, number, path, complaints);
    return status;
}

static dip_status read_dataset(dip_raster *out, GDALDatasetH dataset, const char *path,
                               bool georeference, const complaint *complaints)
{
    dip_status status = read_bands(out, dataset, path, complaints);
    if (!status && georeference) {
        read_georeference(out, dataset, path);
        read_time(out, dataset);
    }
    return status;
}

static dip_status read_file(dip_raster *out, const char *path, bool georeference)
{
    dip_raster_init();
    memset(out, 0, sizeof *out);
    out->west = out->south = out->east = out->north = NAN;
    out->time = DIP_NO_TIME;
    complaint complaints = {0};
    CPLPushErrorHandlerEx(keep_first, &complaints);
    GDALDatasetH dataset = GDALOpenEx(
        path, GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_INTERNAL | GDAL_OF_VERBOSE_ERROR, NULL,
        NULL, NULL);
    dip_status status = dataset ? read_dataset(out, dataset, path, georeference, &complaints)
                                : open_failure(path, &complaints);
    if (dataset) GDALClose(dataset);
    CPLPopErrorHandler();
    if (status) dip_raster_fini(out);
    return status;
}

dip_status dip_raster_read(dip_raster *out, const char *path) { return read_file(out, path, true); }

dip_status dip_raster_read_pixels(dip_raster *out, const char *path)
{
    return read_file(out, path, false);
}

void dip_raster_fini(dip_raster *raster)
{
    for (uint32_t b = 0; b < raster->band_count; b++) dip_free(raster->planes[b].pixels);
    raster->band_count = 0;
}

/* ---- memory ---- */

static void unique_name(char *name, size_t capacity)
{
    static atomic_ulong counter;
    snprintf(name, capacity, "/vsimem/diptych-%lu", atomic_fetch_add(&counter, 1));
}

/* II*, MM*, and the same of BigTIFF. */
static bool is_tiff(const uint8_t *bytes, size_t length)
{
    static const char signatures[4][4] = {
        {'I', 'I', '*', 0}, {'M', 'M', 0, '*'}, {'I', 'I', '+', 0}, {'M', 'M', 0, '+'}};
    for (size_t i = 0; i < 4 && length >= 8; i++)
        if (!memcmp(bytes, signatures[i], 4)) return true;
    return false;
}

/* A block is unpacked whole, so one that is larger than the image counts as what it is. */
static dip_status check_bytes(GDALDatasetH dataset, size_t most)
{
    const uint64_t width = (uint64_t)GDALGetRasterXSize(dataset),
                   height = (uint64_t)GDALGetRasterYSize(dataset);
    uint64_t sum = 0;
    for (int b = 1; b <= GDALGetRasterCount(dataset); b++) {
        GDALRasterBandH band = GDALGetRasterBand(dataset, b);
        int bytes = GDALGetDataTypeSizeBytes(GDALGetRasterDataType(band)), block[2];
        GDALGetBlockSize(band, &block[0], &block[1]);
        uint64_t all = width * height, one = (uint64_t)block[0] * (uint64_t)block[1];
        sum += (uint64_t)bytes * (one > all ? one : all);
    }
    if (sum <= most) return DIP_OK;
    return dip_fail(DIP_ENOSPC, "the file has %llu MiB of pixels, %llu may be sent; send a part",
                    (unsigned long long)(sum >> 20), (unsigned long long)(most >> 20));
}

/* GDAL reads the first image of a file; which one is meant, only the sender knows. Overviews and masks are not counted. */
static dip_status check_single(GDALDatasetH dataset)
{
    int lines = CSLCount(GDALGetMetadata(dataset, "SUBDATASETS")); /* two an image */
    if (lines <= 2) return DIP_OK;
    return dip_fail(DIP_EINVAL, "the file holds %d images; send one of them", lines / 2);
}

/* What GDAL says, without the name that the file has in memory. */
static dip_status sent_failure(complaint *complaints, const char *name)
{
    size_t length = strlen(name);
    for (char *at; (at = strstr(complaints->line, name));) {
        size_t more = strspn(at + length, ": ");
        memmove(at, at + length + more, strlen(at + length + more) + 1);
    }
    return dip_fail(DIP_EFORMAT, "the file is damaged or truncated: %s", reason(complaints));
}

static dip_status read_sent(dip_raster *out, const char *name, size_t most_bytes)
{
    static const char *const drivers[] = {"GTiff", NULL};
    complaint complaints = {0};
    CPLPushErrorHandlerEx(keep_first, &complaints);
    GDALDatasetH dataset = GDALOpenEx(
        name, GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_INTERNAL | GDAL_OF_VERBOSE_ERROR, drivers,
        NULL, NULL);
    dip_status status =
        dataset ? check_bytes(dataset, most_bytes) : sent_failure(&complaints, name);
    if (!status) status = check_single(dataset);
    if (!status) status = read_bands(out, dataset, "upload", &complaints);
    if (!status) read_georeference(out, dataset, NULL);
    if (!status) read_time(out, dataset);
    if (dataset) GDALClose(dataset);
    CPLPopErrorHandler();
    return status;
}

dip_status dip_raster_read_sent(dip_raster *out, const uint8_t *bytes, size_t length,
                                size_t most_bytes)
{
    char name[48];
    memset(out, 0, sizeof *out);
    out->west = out->south = out->east = out->north = NAN;
    out->time = DIP_NO_TIME;
    if (!is_tiff(bytes, length))
        return dip_fail(DIP_EFORMAT,
                        "what was sent is no GeoTIFF: it does not begin as a TIFF file");
    dip_raster_init();
    unique_name(name, sizeof name);
    VSILFILE *file = VSIFileFromMemBuffer(name, (GByte *)bytes, length, FALSE);
    if (file) VSIFCloseL(file);
    dip_status status = read_sent(out, name, most_bytes);
    VSIUnlink(name);
    if (status) dip_raster_fini(out);
    return status;
}

/* ---- writing ---- */

static dip_status check_planes(const dip_tile *tile, const dip_modality *modality)
{
    if (!tile->plane_count || tile->plane_count != modality->band_count)
        return dip_fail(DIP_EMISMATCH, "tile '%s' has %u bands, modality '%s' has %u",
                        tile->meta.name, tile->plane_count, modality->name, modality->band_count);
    const dip_plane *first = &tile->planes[0];
    for (uint32_t b = 1; b < tile->plane_count; b++) {
        const dip_plane *plane = &tile->planes[b];
        if (plane->width != first->width || plane->height != first->height ||
            plane->dtype != first->dtype)
            return dip_fail(DIP_EMISMATCH,
                            "band %s is %ux%u %s, band %s %ux%u %s: one file holds bands of one "
                            "size and type; choose bands",
                            modality->bands[b].name, plane->width, plane->height,
                            dip_dtype_name(plane->dtype), modality->bands[0].name, first->width,
                            first->height, dip_dtype_name(first->dtype));
    }
    return DIP_OK;
}

static void write_metadata(GDALDatasetH dataset, const dip_meta *meta)
{
    bool placed = false;
    for (int i = 0; i < 6; i++) placed |= meta->transform[i] != 0;
    if (placed) GDALSetGeoTransform(dataset, (double *)meta->transform);
    OGRSpatialReferenceH system = OSRNewSpatialReference(NULL);
    if (meta->epsg > 0 && system && OSRImportFromEPSG(system, meta->epsg) == OGRERR_NONE) {
        OSRSetAxisMappingStrategy(system, OAMS_TRADITIONAL_GIS_ORDER);
        GDALSetSpatialRef(dataset, system);
    }
    OSRRelease(system);
    time_t seconds = (time_t)meta->time;
    struct tm parts;
    char text[64];
    if (meta->time != DIP_NO_TIME && gmtime_r(&seconds, &parts) &&
        strftime(text, sizeof text, "%Y:%m:%d %H:%M:%S", &parts) == 19)
        GDALSetMetadataItem(dataset, "TIFFTAG_DATETIME", text, NULL);
}

static CPLErr write_bands(GDALDatasetH dataset, const dip_tile *tile, const dip_modality *modality)
{
    CPLErr failed = CE_None;
    for (uint32_t b = 0; b < tile->plane_count && failed == CE_None; b++) {
        const dip_plane *plane = &tile->planes[b];
        GDALRasterBandH band = GDALGetRasterBand(dataset, (int)b + 1);
        int width = (int)plane->width, height = (int)plane->height;
        GDALSetDescription(band, modality->bands[b].name);
        failed = GDALRasterIO(band, GF_Write, 0, 0, width, height, plane->pixels, width, height,
                              gdal_type(plane->dtype), 0, 0);
    }
    return failed;
}

static GDALDatasetH create_tiff(const char *name, const dip_tile *tile)
{
    const dip_plane *first = &tile->planes[0];
    bool real = first->dtype == DIP_DTYPE_F32 || first->dtype == DIP_DTYPE_F64;
    char **creation = CSLSetNameValue(NULL, "COMPRESS", "DEFLATE");
    creation = CSLSetNameValue(creation, "PREDICTOR", real ? "3" : "2");
    creation = CSLSetNameValue(creation, "INTERLEAVE", "BAND");
    GDALDatasetH dataset =
        GDALCreate(GDALGetDriverByName("GTiff"), name, (int)first->width, (int)first->height,
                   (int)tile->plane_count, gdal_type(first->dtype), creation);
    CSLDestroy(creation);
    return dataset;
}

/* Takes the file out of /vsimem/. */
static dip_status collect(const char *name, uint8_t **bytes, size_t *length)
{
    vsi_l_offset size = 0;
    const GByte *buffer = VSIGetMemFileBuffer(name, &size, FALSE);
    if (!buffer) return dip_fail(DIP_EIO, "GDAL kept no bytes of the encoded image");
    uint8_t *copy = dip_alloc((size_t)size);
    if (!copy) return DIP_ENOMEM;
    memcpy(copy, buffer, (size_t)size);
    *bytes = copy;
    *length = (size_t)size;
    return DIP_OK;
}

dip_status dip_raster_encode(const dip_tile *tile, const dip_modality *modality, uint8_t **bytes,
                             size_t *length)
{
    dip_status status = check_planes(tile, modality);
    if (status) return status;
    dip_raster_init();
    char name[64];
    unique_name(name, sizeof name);
    complaint complaints = {0};
    CPLPushErrorHandlerEx(keep_first, &complaints);
    GDALDatasetH dataset = create_tiff(name, tile);
    bool failed = !dataset;
    if (dataset) {
        write_metadata(dataset, &tile->meta);
        failed = write_bands(dataset, tile, modality) != CE_None;
        GDALClose(dataset);
    }
    if (failed || complaints.line[0])
        status =
            dip_fail(DIP_EIO, "cannot encode tile '%s': %s", tile->meta.name, reason(&complaints));
    if (!status) status = collect(name, bytes, length);
    VSIUnlink(name);
    CPLPopErrorHandler();
    return status;
}

dip_status dip_raster_write(const char *path, const dip_tile *tile, const dip_modality *modality)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_status status = dip_raster_encode(tile, modality, &bytes, &length);
    if (!status) status = dip_file_write(path, bytes, length);
    dip_free(bytes);
    return status;
}

static GDALDatasetH wrap_pixels(const uint8_t *pixels, int width, int height, int channels)
{
    GDALDatasetH dataset =
        GDALCreate(GDALGetDriverByName("MEM"), "", width, height, channels, GDT_Byte, NULL);
    if (dataset &&
        GDALDatasetRasterIO(dataset, GF_Write, 0, 0, width, height, (void *)pixels, width, height,
                            GDT_Byte, channels, NULL, channels, width * channels, 1) != CE_None) {
        GDALClose(dataset);
        return NULL;
    }
    return dataset;
}

/* An 8-bit image by the driver of that name; `meta` NULL: without georeference. */
static dip_status encode_picture(const char *driver, char **creation, const dip_meta *meta,
                                 const dip_pixels8 *image, uint8_t **bytes, size_t *length)
{
    if (!image->width || !image->height || image->width > DIP_RASTER_MAX_SIDE ||
        image->height > DIP_RASTER_MAX_SIDE || (image->channels != 1 && image->channels != 3))
        return dip_fail(DIP_EINVAL, "an image of %ux%u pixels with %u channels is not encoded",
                        image->width, image->height, image->channels);
    dip_raster_init();
    char name[64];
    unique_name(name, sizeof name);
    complaint complaints = {0};
    CPLPushErrorHandlerEx(keep_first, &complaints);
    GDALDatasetH copy = NULL, source = wrap_pixels(image->pixels, (int)image->width,
                                                   (int)image->height, (int)image->channels);
    if (source && meta) write_metadata(source, meta);
    if (source)
        copy =
            GDALCreateCopy(GDALGetDriverByName(driver), name, source, FALSE, creation, NULL, NULL);
    dip_status status = DIP_OK;
    if (copy) GDALClose(copy);
    if (!copy || complaints.line[0])
        status = dip_fail(DIP_EIO, "cannot encode a %s image: %s", driver, reason(&complaints));
    if (source) GDALClose(source);
    if (!status) status = collect(name, bytes, length);
    VSIUnlink(name);
    CPLPopErrorHandler();
    return status;
}

dip_status dip_png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                          uint8_t **bytes, size_t *length)
{
    const dip_pixels8 image = {pixels, width, height, channels};
    return encode_picture("PNG", NULL, NULL, &image, bytes, length);
}

dip_status dip_cog_encode(const dip_pixels8 *image, const dip_meta *meta, uint8_t **bytes,
                          size_t *length)
{
    char **creation = CSLSetNameValue(NULL, "COMPRESS", "DEFLATE");
    dip_status status = encode_picture("COG", creation, meta, image, bytes, length);
    CSLDestroy(creation);
    return status;
}
