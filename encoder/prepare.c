/*
 * From planes to the network's input; see prepare.h.
 *
 * A plane becomes float32, is brought to the finest grid by a separable Catmull-Rom filter (rows first: whole rows
 * are summed, which vectorises; then along the row by a table of taps), and is written into its channel.
 *
 * dip_resample() is separable too, with tables of runs (source pixels and weights of each output): for each output
 * row the source rows are summed into a strip, which is then summed along the row.
 */
#include "encoder/prepare.h"

#include "core/mem.h"
#include "core/status.h"

#include <float.h>
#include <math.h>
#include <string.h>

void dip_prepare_size(const dip_tile *tile, uint32_t *width, uint32_t *height)
{
    *width = *height = 0;
    for (uint32_t i = 0; i < tile->plane_count; i++) {
        if (tile->planes[i].width > *width) *width = tile->planes[i].width;
        if (tile->planes[i].height > *height) *height = tile->planes[i].height;
    }
}

/* ---- values ---- */

#define CONVERT(type)                                           \
    do {                                                        \
        const type *from = plane->pixels;                       \
        for (size_t i = 0; i < n; i++) out[i] = (float)from[i]; \
    } while (0)

static dip_status plane_floats(const dip_plane *plane, float *out)
{
    size_t n = (size_t)plane->width * plane->height;
    switch (plane->dtype) {
    case DIP_DTYPE_U8: CONVERT(uint8_t); break;
    case DIP_DTYPE_U16: CONVERT(uint16_t); break;
    case DIP_DTYPE_I16: CONVERT(int16_t); break;
    case DIP_DTYPE_U32: CONVERT(uint32_t); break;
    case DIP_DTYPE_I32: CONVERT(int32_t); break;
    case DIP_DTYPE_F32: memcpy(out, plane->pixels, n * sizeof *out); break;
    case DIP_DTYPE_F64: CONVERT(double); break;
    default: return dip_fail(DIP_EINVAL, "pixel type %d is unknown", (int)plane->dtype);
    }
    return DIP_OK;
}

/* No early exit: the loop vectorises. */
static bool all_finite(const float *values, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) bad |= !(fabsf(values[i]) <= FLT_MAX);
    return !bad;
}

/* ---- Catmull-Rom up-sampling ---- */

enum { TAPS = 4 };

typedef struct tap {
    uint32_t at[TAPS];
    float weight[TAPS];
} tap;

static double catmull_rom(double x)
{
    x = fabs(x);
    if (x < 1) return 1 + x * x * (1.5 * x - 2.5);
    if (x < 2) return 2 + x * (-4 + x * (2.5 - 0.5 * x));
    return 0;
}

/* Pixel centres are aligned; taps beyond the edge are left out and the others make up for them, as GDAL does. */
static void make_taps(tap *taps, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < to; i++) {
        double centre = (i + 0.5) * from / to - 0.5, first = floor(centre) - 1, sum = 0;
        double weight[TAPS];
        for (int k = 0; k < TAPS; k++) {
            double at = first + k;
            bool inside = at >= 0 && at < from;
            weight[k] = inside ? catmull_rom(centre - at) : 0;
            taps[i].at[k] = inside ? (uint32_t)at : 0;
            sum += weight[k];
        }
        for (int k = 0; k < TAPS; k++) taps[i].weight[k] = (float)(weight[k] / sum);
    }
}

static void mix_rows(const float *restrict image, uint32_t width, const tap *t, float *restrict out)
{
    const float *a = image + (size_t)t->at[0] * width, *b = image + (size_t)t->at[1] * width;
    const float *c = image + (size_t)t->at[2] * width, *d = image + (size_t)t->at[3] * width;
    const float wa = t->weight[0], wb = t->weight[1], wc = t->weight[2], wd = t->weight[3];
    for (uint32_t x = 0; x < width; x++) out[x] = wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x];
}

typedef struct target {
    float *out; /* the channel's first value */
    uint32_t width, height, stride;
    float mean, scale;
} target;

/* `line`: room for one source row; `taps`: for width + height. */
static void upsample(const float *image, uint32_t width, uint32_t height, const target *to,
                     float *line, tap *taps)
{
    const tap *rows = taps + to->width;
    make_taps(taps, width, to->width);
    make_taps(taps + to->width, height, to->height);
    for (uint32_t y = 0; y < to->height; y++) {
        float *out = to->out + (size_t)y * to->width * to->stride;
        mix_rows(image, width, &rows[y], line);
        for (uint32_t x = 0; x < to->width; x++) {
            const tap *t = &taps[x];
            float value = t->weight[0] * line[t->at[0]] + t->weight[1] * line[t->at[1]] +
                          t->weight[2] * line[t->at[2]] + t->weight[3] * line[t->at[3]];
            out[(size_t)x * to->stride] = (value - to->mean) * to->scale;
        }
    }
}

static void copy_channel(const float *image, const target *to)
{
    size_t n = (size_t)to->width * to->height;
    for (size_t i = 0; i < n; i++) to->out[i * to->stride] = (image[i] - to->mean) * to->scale;
}

/* ---- the tile ---- */

static dip_status check(const dip_tile *tile, const dip_modality *modality)
{
    if (tile->plane_count != modality->band_count)
        return dip_fail(DIP_EMISMATCH, "tile '%s' has %u bands, modality '%s' has %u",
                        tile->meta.name ? tile->meta.name : "", tile->plane_count, modality->name,
                        modality->band_count);
    for (uint32_t i = 0; i < tile->plane_count; i++)
        if (!tile->planes[i].width || !tile->planes[i].height)
            return dip_fail(DIP_EINVAL, "band '%s' of tile '%s' has no pixels",
                            modality->bands[i].name, tile->meta.name ? tile->meta.name : "");
    return DIP_OK;
}

typedef struct scratch {
    float *image, *line;
    tap *taps;
} scratch;

static dip_status prepare_band(const dip_tile *tile, const dip_modality *modality, uint32_t band,
                               target to, const scratch *s)
{
    const dip_plane *plane = &tile->planes[band];
    const dip_band *statistics = &modality->bands[band];
    size_t n = (size_t)plane->width * plane->height;
    dip_status status = plane_floats(plane, s->image);
    if (status) return status;
    if (!all_finite(s->image, n))
        return dip_fail(DIP_EFORMAT,
                        "band '%s' of tile '%s' has a NaN or infinite pixel; fill it first",
                        statistics->name, tile->meta.name ? tile->meta.name : "");
    to.mean = (float)statistics->mean;
    to.scale = statistics->stddev > 0 ? (float)(1 / statistics->stddev) : 1;
    if (plane->width == to.width && plane->height == to.height)
        copy_channel(s->image, &to);
    else
        upsample(s->image, plane->width, plane->height, &to, s->line, s->taps);
    return DIP_OK;
}

dip_status dip_prepare(const dip_tile *tile, const dip_modality *modality, float *out)
{
    uint32_t width, height;
    dip_status status = check(tile, modality);
    if (status) return status;
    dip_prepare_size(tile, &width, &height);
    scratch s = {.image = dip_alloc((size_t)width * height * sizeof(float)),
                 .line = dip_alloc(width * sizeof(float)),
                 .taps = dip_alloc(((size_t)width + height) * sizeof(tap))};
    if (!s.image || !s.line || !s.taps) status = DIP_ENOMEM;
    for (uint32_t i = 0; !status && i < tile->plane_count; i++)
        status = prepare_band(
            tile, modality, i,
            (target){.out = out + i, .width = width, .height = height, .stride = tile->plane_count},
            &s);
    dip_free(s.image);
    dip_free(s.line);
    dip_free(s.taps);
    return status;
}

/* ---- windows ---- */

/* One axis of a window: output i covers [origin + i * step, origin + (i + 1) * step) of `size` pixels. */
typedef struct axis {
    double origin, step;
    int64_t size;
} axis;

/* Source pixels of one output; their weights follow each other in one array. */
typedef struct run {
    uint32_t first, count;
    const float *weights;
} run;

static int64_t clamp(double value, int64_t size)
{
    if (!(value > 0)) return 0;
    return value < (double)size ? (int64_t)value : size - 1;
}

/* Area average: the part of pixel s that output i covers; the edge pixels stand for all that lies beyond. */
static float area_weight(const axis *a, double begin, int64_t s)
{
    double end = begin + a->step;
    double low = s == 0 ? begin : fmax(begin, (double)s);
    double high = s == a->size - 1 ? end : fmin(end, (double)(s + 1));
    return (float)(high > low ? (high - low) / a->step : 0);
}

static size_t area_run(const axis *a, uint32_t i, run *r, float *weights)
{
    double begin = a->origin + i * a->step;
    int64_t first = clamp(floor(begin), a->size), last = clamp(ceil(begin + a->step) - 1, a->size);
    *r = (run){(uint32_t)first, (uint32_t)(last - first + 1), weights};
    for (int64_t s = first; s <= last; s++) weights[s - first] = area_weight(a, begin, s);
    return r->count;
}

static size_t bilinear_run(const axis *a, uint32_t i, run *r, float *weights)
{
    double centre = a->origin + (i + 0.5) * a->step - 0.5, cell = floor(centre);
    int64_t first = clamp(cell, a->size), last = clamp(cell + 1, a->size);
    *r = (run){(uint32_t)first, (uint32_t)(last - first + 1), weights};
    weights[0] = first == last ? 1 : (float)(1 - (centre - cell));
    if (first != last) weights[1] = (float)(centre - cell);
    return r->count;
}

static size_t axis_room(const axis *a, uint32_t px)
{
    double longest = fmin(fmax(a->step, 1) + 2, (double)a->size + 2);
    return (size_t)px * (size_t)ceil(longest);
}

static void make_runs(const axis *a, uint32_t px, run *runs, float *weights)
{
    for (uint32_t i = 0; i < px; i++)
        weights +=
            a->step > 1 ? area_run(a, i, &runs[i], weights) : bilinear_run(a, i, &runs[i], weights);
}

static void add_scaled(float *restrict to, const float *restrict from, float weight, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += weight * from[i];
}

/* The source rows of one output row, summed: `n` floats from each. */
static void sum_rows(const float *image, const run *rows, size_t pitch, size_t n, float *strip)
{
    memset(strip, 0, n * sizeof *strip);
    for (uint32_t k = 0; k < rows->count; k++)
        add_scaled(strip, image + (rows->first + k) * pitch, rows->weights[k], n);
}

static void sum_columns(const float *strip, const run *columns, uint32_t left, uint32_t px,
                        uint32_t bands, float *out)
{
    memset(out, 0, (size_t)px * bands * sizeof *out);
    for (uint32_t x = 0; x < px; x++, out += bands) {
        const float *from = strip + (size_t)(columns[x].first - left) * bands;
        for (uint32_t k = 0; k < columns[x].count; k++, from += bands)
            for (uint32_t b = 0; b < bands; b++) out[b] += columns[x].weights[k] * from[b];
    }
}

dip_status dip_resample(const float *image, uint32_t width, uint32_t height, uint32_t bands,
                        double x, double y, double w, double h, uint32_t px, float *out)
{
    const axis across = {x, w / px, width}, down = {y, h / px, height};
    size_t across_room = axis_room(&across, px), room = across_room + axis_room(&down, px);
    run *runs = dip_alloc(2 * px * sizeof *runs);
    float *weights = dip_alloc((room + (size_t)width * bands) * sizeof *weights);
    dip_status status = runs && weights ? DIP_OK : DIP_ENOMEM;
    if (!status) {
        const run *rows = runs + px, *last = &runs[px - 1];
        make_runs(&across, px, runs, weights);
        make_runs(&down, px, runs + px, weights + across_room);
        uint32_t left = runs[0].first, n = (last->first + last->count - left) * bands;
        for (uint32_t i = 0; i < px; i++) {
            float *strip = weights + room;
            sum_rows(image + (size_t)left * bands, &rows[i], (size_t)width * bands, n, strip);
            sum_columns(strip, runs, left, px, bands, out + (size_t)i * px * bands);
        }
    }
    dip_free(runs);
    dip_free(weights);
    return status;
}

void dip_orient(const float *in, unsigned turns, bool mirror, uint32_t px, uint32_t bands,
                float *out)
{
    for (uint32_t y = 0; y < px; y++) {
        for (uint32_t x = 0; x < px; x++, out += bands) {
            uint32_t row = y, column = x; /* where the pixel comes from in the mirrored image */
            if (turns == 1) row = x, column = px - 1 - y;
            if (turns == 2) row = px - 1 - y, column = px - 1 - x;
            if (turns == 3) row = px - 1 - x, column = y;
            if (mirror) column = px - 1 - column;
            const float *from = in + ((size_t)row * px + column) * bands;
            for (uint32_t b = 0; b < bands; b++) out[b] = from[b];
        }
    }
}
