/* Tiles as pictures; see picture.h. */
#include "front/picture.h"

#include "core/mem.h"
#include "ingest/modality.h"
#include "ingest/raster.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double LOW_SHARE = 0.02, HIGH_SHARE = 0.98;
static const double LEAST_DB = 6;        /* radar: the stretch covers this much at least */
static const double LEAST_DEVIATION = 1; /* others: this many standard deviations of the band */

typedef struct channel {
    const dip_plane *plane;
    const dip_band *band;
    double factor; /* dB a decade; 0: shown as it is */
    double low, high;
} channel;

/* NAN where there is nothing to show: no data, or the logarithm of nothing. */
static double shown(const channel *c, size_t i)
{
    double v = dip_plane_value(c->plane, i);
    if (c->factor <= 0) return v;
    return v > 0 ? c->factor * log10(v) : NAN;
}

uint32_t dip_picture_bands(const dip_modality *modality, uint32_t bands[3])
{
    int at[3];
    for (int i = 0; i < 3; i++) at[i] = dip_modality_find_band(modality, modality->display[i]);
    if (at[0] >= 0 && at[1] >= 0 && at[2] >= 0) {
        for (int i = 0; i < 3; i++) bands[i] = (uint32_t)at[i];
        return 3;
    }
    bands[0] = at[0] >= 0 ? (uint32_t)at[0] : 0;
    return 1;
}

static double decibels_a_decade(const char *unit)
{
    return !strcmp(unit, "amplitude") ? 20 : !strcmp(unit, "power") ? 10 : 0;
}

static void swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

/* The k-th smallest of n values (from 0), which it partly sorts: Hoare's selection. */
static double select_value(double *values, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i >= j) break;
            swap(&values[i++], &values[j--]);
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[k];
}

static dip_status stretch(channel *c)
{
    size_t n = (size_t)c->plane->width * c->plane->height, kept = 0;
    double *values = dip_alloc((n + 1) * sizeof *values);
    if (!values) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        double v = shown(c, i);
        if (isfinite(v)) values[kept++] = v;
    }
    c->low = 0;
    c->high = 1;
    if (kept) {
        c->low = select_value(values, kept, (size_t)(LOW_SHARE * (double)(kept - 1)));
        c->high = select_value(values, kept, (size_t)(HIGH_SHARE * (double)(kept - 1) + 0.5));
    }
    dip_free(values);
    bool radar = c->factor > 0 || !strcmp(c->band->unit, "dB");
    double least = radar ? LEAST_DB : LEAST_DEVIATION * c->band->stddev;
    double middle = (c->low + c->high) / 2;
    if (!(c->high - c->low > least)) {
        c->low = middle - least / 2;
        c->high = middle + least / 2;
    }
    if (!(c->high > c->low)) c->high = c->low + 1;
    return DIP_OK;
}

static uint8_t grey_of(const channel *c, size_t i)
{
    double v = shown(c, i);
    if (!(v > c->low)) return 0; /* NAN too */
    double share = (v - c->low) / (c->high - c->low);
    return share >= 1 ? 255 : (uint8_t)(share * 255 + 0.5);
}

/* Coarser bands are repeated onto the finest grid. */
static void paint(const channel *c, uint32_t position, dip_picture *picture)
{
    for (uint32_t y = 0; y < picture->height; y++) {
        size_t row = (size_t)y * c->plane->height / picture->height * c->plane->width;
        for (uint32_t x = 0; x < picture->width; x++) {
            size_t from = row + (size_t)x * c->plane->width / picture->width;
            size_t to = ((size_t)y * picture->width + x) * picture->channels + position;
            picture->pixels[to] = grey_of(c, from);
        }
    }
}

/* A tile that is known by its vectors alone: one grey pixel. */
static dip_status render_nothing(dip_picture *out)
{
    *out = (dip_picture){.width = 1, .height = 1, .channels = 1, .pixels = dip_alloc(1)};
    if (!out->pixels) return DIP_ENOMEM;
    out->pixels[0] = 128;
    return DIP_OK;
}

dip_status dip_picture_render(dip_picture *out, const dip_tile *tile, const dip_modality *modality)
{
    uint32_t bands[3];
    channel channels[3];
    if (!tile->plane_count) return render_nothing(out);
    *out = (dip_picture){.channels = dip_picture_bands(modality, bands)};
    for (uint32_t i = 0; i < out->channels; i++) {
        if (bands[i] >= tile->plane_count)
            return dip_fail(DIP_EMISMATCH, "tile %s has no band %s to show", tile->meta.name,
                            modality->bands[bands[i]].name);
        const dip_band *band = &modality->bands[bands[i]];
        channels[i] = (channel){&tile->planes[bands[i]], band, decibels_a_decade(band->unit), 0, 0};
        dip_status status = stretch(&channels[i]);
        if (status) return status;
        if (channels[i].plane->width > out->width) out->width = channels[i].plane->width;
        if (channels[i].plane->height > out->height) out->height = channels[i].plane->height;
    }
    out->pixels = dip_alloc((size_t)out->width * out->height * out->channels + 1);
    if (!out->pixels) return DIP_ENOMEM;
    for (uint32_t i = 0; i < out->channels; i++) paint(&channels[i], i, out);
    return DIP_OK;
}

void dip_picture_fini(dip_picture *picture)
{
    dip_free(picture->pixels);
    *picture = (dip_picture){0};
}

dip_status dip_picture_png(const dip_tile *tile, const dip_modality *modality, uint8_t **bytes,
                           size_t *length)
{
    dip_picture picture;
    dip_status status = dip_picture_render(&picture, tile, modality);
    if (!status)
        status = dip_png_encode(picture.pixels, picture.width, picture.height, picture.channels,
                                bytes, length);
    dip_picture_fini(&picture);
    return status;
}

void dip_picture_caption(const dip_modality *modality, char *out, size_t capacity)
{
    uint32_t bands[3], n = dip_picture_bands(modality, bands);
    const dip_band *first = &modality->bands[bands[0]];
    bool radar = decibels_a_decade(first->unit) > 0 || !strcmp(first->unit, "dB");
    if (n == 3)
        snprintf(out, capacity, "%s, %s, %s", first->name, modality->bands[bands[1]].name,
                 modality->bands[bands[2]].name);
    else
        snprintf(out, capacity, "%s%s", first->name, radar ? ", dB" : "");
}
