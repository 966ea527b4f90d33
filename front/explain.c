/* Explanations for people and programs; see explain.h. */
#include "front/explain.h"

#include "core/mem.h"
#include "core/status.h"
#include "ingest/raster.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PANEL = DIP_EXPLAIN_PANEL,
    GRID = DIP_EXPLAIN_GRID,
    GAP = 16,
    BAR = 24,
    COLOURS = 3,
    PAINTS = 256
};

static const float least_range = 0.2F; /* so that nothing is made of nothing */
static const float heat_share = 0.6F;  /* of the colour in a covered picture */
static const uint8_t paper = 250;

/* ---- words ---- */

void dip_explanation_title(const dip_explanation *e, int side, char *out, size_t capacity)
{
    const dip_explained *s = &e->side[side];
    const char *name = s->tile && s->tile->meta.name ? s->tile->meta.name : "";
    if (!s->tile)
        snprintf(out, capacity, "a vector");
    else if (s->stored)
        snprintf(out, capacity, "%s/%s", s->modality, name);
    else
        snprintf(out, capacity, "%s", name);
}

static void side_json(dip_json *json, const char *key, const dip_explanation *e, int side)
{
    char title[600];
    dip_explanation_title(e, side, title, sizeof title);
    dip_json_object(json, key);
    dip_json_text(json, "title", title);
    dip_json_text(json, "collection", e->side[side].modality);
    if (e->side[side].stored) dip_json_text(json, "item", e->side[side].tile->meta.name);
    dip_json_end(json);
}

static void parts_json(dip_json *json, const dip_explanation *e)
{
    dip_json_array(json, "parts");
    for (size_t p = 0; p < e->part_count; p++) {
        dip_json_object(json, NULL);
        dip_json_text(json, "name", e->part[p].name);
        dip_json_real(json, "weight", (double)e->part[p].weight, 4);
        dip_json_real(json, "cosine", (double)e->part[p].cosine, 4);
        dip_json_real(json, "share", (double)e->part[p].share, 4);
        dip_json_end(json);
    }
    dip_json_end(json);
}

static void map_json(dip_json *json, const char *key, const dip_explanation *e)
{
    dip_json_array(json, key);
    for (int r = 0; r < GRID; r++) {
        dip_json_array(json, NULL);
        for (int c = 0; c < GRID; c++) dip_json_real(json, NULL, (double)e->heat[r][c], 4);
        dip_json_end(json);
    }
    dip_json_end(json);
}

static void place_json(dip_json *json, const char *key, const dip_explained_place *place)
{
    dip_json_object(json, key);
    dip_json_text(json, "name", place->name);
    dip_json_real(json, "score", (double)place->score, 4);
    dip_json_end(json);
}

static void grid_json(dip_json *json, const dip_explanation *e)
{
    if (!e->has_heat) {
        dip_json_null(json, "grid");
        dip_json_text(json, "no_grid", e->no_heat);
        return;
    }
    float low, high;
    dip_explanation_range(e, &low, &high);
    dip_json_object(json, "grid");
    dip_json_whole(json, "rows", GRID);
    dip_json_whole(json, "columns", GRID);
    dip_json_real(json, "low", (double)low, 4);
    dip_json_real(json, "high", (double)high, 4);
    dip_json_text(json, "meaning",
                  "how well the same part of both tiles matches, 1 as a tile matches itself; rows "
                  "from north, columns from west, over the largest centred square");
    map_json(json, "a", e);
    map_json(json, "b", e);
    dip_json_end(json);
    place_json(json, "best", &e->best);
    place_json(json, "weakest", &e->weakest);
}

void dip_explanation_json(dip_json *json, const char *key, const dip_explanation *e)
{
    dip_json_object(json, key);
    side_json(json, "a", e, 0);
    side_json(json, "b", e, 1);
    dip_json_real(json, "score", (double)e->score, 6);
    dip_json_real(json, "percentile", (double)e->percentile, 3);
    dip_json_object(json, "random_pairs");
    dip_json_real(json, "p50", (double)e->p50, 4);
    dip_json_real(json, "p95", (double)e->p95, 4);
    dip_json_real(json, "p99", (double)e->p99, 4);
    dip_json_end(json);
    parts_json(json, e);
    grid_json(json, e);
    dip_json_object(json, "labels");
    dip_json_list(json, "both", e->labels_both);
    dip_json_list(json, "only_a", e->labels_a);
    dip_json_list(json, "only_b", e->labels_b);
    dip_json_end(json);
    dip_json_real(json, "distance_km", e->distance_km, 3);
    dip_json_real(json, "days_apart", e->days_apart, 3);
    dip_json_end(json);
}

/* ---- colours ---- */

void dip_explanation_range(const dip_explanation *e, float *low, float *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < GRID * GRID; i++) {
        *low = fminf(*low, e->heat[i / GRID][i % GRID]);
        *high = fmaxf(*high, e->heat[i / GRID][i % GRID]);
    }
    if (*high - *low < least_range) *low = *high - least_range;
}

static uint8_t encode_srgb(double linear)
{
    double v = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return v <= 0 ? 0 : v >= 1 ? 255 : (uint8_t)(v * 255 + 0.5);
}

/* Evenly in lightness, and from violet over red to yellow, in B. Ottosson's Oklab (2020). */
void dip_heat_colour(float share, uint8_t rgb[3])
{
    const double t = fmin(fmax((double)share, 0), 1), turn = (285 + 180 * t) * acos(-1) / 180;
    const double lightness = 0.24 + 0.70 * t, chroma = 0.15 - 0.11 * (t - 0.45) * (t - 0.45);
    const double a = chroma * cos(turn), b = chroma * sin(turn);
    const double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
    const double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
    const double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
    rgb[0] = encode_srgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = encode_srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = encode_srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* ---- panels ---- */

/* Where between two samples of n a panel's pixel falls. */
typedef struct between {
    uint32_t first, second;
    float part; /* of the second */
} between;

static between place(uint32_t pixel, uint32_t n)
{
    float at = ((float)pixel + 0.5F) * (float)n / PANEL - 0.5F;
    at = fminf(fmaxf(at, 0), (float)(n - 1));
    const uint32_t first = (uint32_t)at;
    return (between){first, first + 1 < n ? first + 1 : first, at - (float)first};
}

static float mix(float a, float b, float part) { return a + (b - a) * part; }

static float heat_at(const dip_explanation *e, between y, between x)
{
    return mix(mix(e->heat[y.first][x.first], e->heat[y.first][x.second], x.part),
               mix(e->heat[y.second][x.first], e->heat[y.second][x.second], x.part), y.part);
}

/* The largest centred square of a picture. */
typedef struct square {
    const dip_picture *picture;
    uint32_t side, left, top;
} square;

static float value_at(const square *q, uint32_t y, uint32_t x, uint32_t channel)
{
    const dip_picture *p = q->picture;
    size_t pixel = (size_t)(q->top + y) * p->width + q->left + x;
    return p->pixels[pixel * p->channels + (channel < p->channels ? channel : 0)];
}

static void sample(const square *q, between y, between x, float rgb[COLOURS])
{
    for (uint32_t c = 0; c < COLOURS; c++)
        rgb[c] =
            mix(mix(value_at(q, y.first, x.first, c), value_at(q, y.first, x.second, c), x.part),
                mix(value_at(q, y.second, x.first, c), value_at(q, y.second, x.second, c), x.part),
                y.part);
}

/* The map's colours, made once a panel. */
typedef struct paints {
    const dip_explanation *explanation;
    float low, high;
    uint8_t colour[PAINTS][COLOURS];
} paints;

static void mix_paints(const dip_explanation *e, paints *out)
{
    out->explanation = e;
    dip_explanation_range(e, &out->low, &out->high);
    for (int i = 0; i < PAINTS; i++) dip_heat_colour((float)i / (PAINTS - 1), out->colour[i]);
}

/* The picture as grey under the colour. */
static void cover(const paints *p, uint32_t y, uint32_t x, float rgb[COLOURS])
{
    const float heat = heat_at(p->explanation, place(y, GRID), place(x, GRID));
    const float share = fminf(fmaxf((heat - p->low) / (p->high - p->low), 0), 1);
    const uint8_t *colour = p->colour[(int)(share * (PAINTS - 1) + 0.5F)];
    const float grey = 0.299F * rgb[0] + 0.587F * rgb[1] + 0.114F * rgb[2];
    for (int c = 0; c < COLOURS; c++) rgb[c] = mix(grey, colour[c], heat_share);
}

static void paint(const paints *p, const square *q, uint8_t *out)
{
    for (uint32_t y = 0; y < PANEL; y++) {
        for (uint32_t x = 0; x < PANEL; x++) {
            float rgb[COLOURS];
            sample(q, place(y, q->side), place(x, q->side), rgb);
            if (p) cover(p, y, x, rgb);
            for (int c = 0; c < COLOURS; c++) *out++ = (uint8_t)(rgb[c] + 0.5F);
        }
    }
}

dip_status dip_explanation_panel(dip_picture *out, const dip_archive *archive,
                                 const dip_explanation *e, int side, bool heat)
{
    const dip_explained *s = &e->side[side];
    dip_picture picture = {.width = 0};
    int position = dip_archive_find_modality(archive, s->modality);
    if (!s->tile || !s->tile->plane_count || position < 0)
        return dip_fail(DIP_ENOTSUP, "the %s of the two has no pixels to show",
                        side ? "second" : "first");
    dip_status status =
        dip_picture_render(&picture, s->tile, dip_archive_modality(archive, (size_t)position));
    *out = (dip_picture){PANEL, PANEL, COLOURS, NULL};
    if (!status) out->pixels = dip_alloc((size_t)PANEL * PANEL * COLOURS);
    if (!status && !out->pixels) status = DIP_ENOMEM;
    if (!status) {
        const uint32_t w = picture.width, h = picture.height, n = w < h ? w : h;
        const square q = {&picture, n, (w - n) / 2, (h - n) / 2};
        paints colours;
        if (heat && e->has_heat) mix_paints(e, &colours);
        paint(heat && e->has_heat ? &colours : NULL, &q, out->pixels);
    }
    dip_picture_fini(&picture);
    return status;
}

/* ---- the sheet ---- */

static void put(dip_picture *sheet, const dip_picture *panel, uint32_t top, uint32_t left)
{
    for (uint32_t y = 0; y < panel->height; y++)
        memcpy(sheet->pixels + ((size_t)(top + y) * sheet->width + left) * COLOURS,
               panel->pixels + (size_t)y * panel->width * COLOURS, (size_t)panel->width * COLOURS);
}

static void put_bar(dip_picture *sheet, uint32_t top, uint32_t left)
{
    for (uint32_t y = 0; y < PANEL; y++)
        for (uint32_t x = 0; x < BAR; x++)
            dip_heat_colour(1 - (float)y / (PANEL - 1),
                            sheet->pixels +
                                ((size_t)(top + y) * sheet->width + left + x) * COLOURS);
}

static dip_status fill_sheet(dip_picture *sheet, const dip_archive *archive,
                             const dip_explanation *e)
{
    dip_status status = DIP_OK;
    for (int i = 0; i < (e->has_heat ? 4 : 2) && !status; i++) {
        dip_picture panel;
        status = dip_explanation_panel(&panel, archive, e, i % 2, i >= 2);
        if (!status)
            put(sheet, &panel, GAP + (uint32_t)(i / 2) * (PANEL + GAP),
                GAP + (uint32_t)(i % 2) * (PANEL + GAP));
        if (!status) dip_picture_fini(&panel);
    }
    if (!status && e->has_heat) put_bar(sheet, 2 * GAP + PANEL, 3 * GAP + 2 * PANEL);
    return status;
}

dip_status dip_explanation_png(const dip_archive *archive, const dip_explanation *e,
                               uint8_t **bytes, size_t *length)
{
    const uint32_t rows = e->has_heat ? 2 : 1;
    dip_picture sheet = {.width = 3 * GAP + 2 * PANEL + (e->has_heat ? BAR + GAP : 0),
                         .height = GAP + rows * (PANEL + GAP),
                         .channels = COLOURS};
    const size_t size = (size_t)sheet.width * sheet.height * COLOURS;
    sheet.pixels = dip_alloc(size);
    if (!sheet.pixels) return DIP_ENOMEM;
    memset(sheet.pixels, paper, size);
    dip_status status = fill_sheet(&sheet, archive, e);
    if (!status)
        status = dip_png_encode(sheet.pixels, sheet.width, sheet.height, COLOURS, bytes, length);
    dip_picture_fini(&sheet);
    return status;
}
