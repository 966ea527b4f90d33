/* Modalities of imports; see modality.h. */
#include "ingest/modality.h"

#include "core/mem.h"
#include "ingest/draft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MEDIAN_SAMPLES = 4096 };

/* ---- "s1=VV,VH;s2=B02" ---- */

typedef struct words {
    uint32_t count;
    char word[DIP_MAX_BANDS][DIP_WORD_CAPACITY];
} words;

static bool split_words(words *out, const char *text, size_t length)
{
    out->count = 0;
    for (const char *end = text + length;; text++) {
        size_t n = strcspn(text, ",;");
        if (n > (size_t)(end - text)) n = (size_t)(end - text);
        if (n == 0 || n >= DIP_WORD_CAPACITY || out->count == DIP_MAX_BANDS) return false;
        memcpy(out->word[out->count], text, n);
        out->word[out->count][n] = '\0';
        if (!dip_word_is_usable(out->word[out->count])) return false;
        for (uint32_t i = 0; i < out->count; i++)
            if (!strcmp(out->word[i], out->word[out->count])) return false;
        out->count++;
        text += n;
        if (text >= end) return true;
    }
}

/* Looks a modality up; NULL name: takes any. False if the text has nothing for it, or is wrong (*wrong). */
static bool find_words(words *out, const char *text, const char *name, bool *wrong)
{
    bool found = false;
    *wrong = false;
    while (text && *text && !found && !*wrong) {
        size_t length = strcspn(text, ";"), key = strcspn(text, "=;");
        const char *list = text;
        bool named = key < length, mine = true;
        if (named) {
            list += key + 1;
            mine = !name || (strlen(name) == key && !memcmp(name, text, key));
        }
        words parsed;
        *wrong = (named && key == 0) || !split_words(&parsed, list, length - (size_t)(list - text));
        found = mine && name && !*wrong;
        if (found) *out = parsed;
        text += length + (text[length] == ';');
    }
    return found;
}

static dip_status check_text(const char *text, const char *option, const char *example)
{
    words ignored;
    bool wrong;
    find_words(&ignored, text, NULL, &wrong);
    if (!wrong) return DIP_OK;
    return dip_fail(DIP_EINVAL, "%s '%.200s' is not understood; write it as %s", option, text,
                    example);
}

dip_status dip_modality_check_options(const dip_import_options *options)
{
    dip_status status = check_text(options->bands, "bands", "s1=VV,VH;s2=B02,B03,B04");
    if (!status) status = check_text(options->units, "units", "s1=dB;s2=reflectance");
    return status;
}

/* ---- names ---- */

static bool all_named(const dip_draft *draft)
{
    for (uint32_t b = 0; b < draft->band_count; b++) {
        if (!dip_word_is_usable(draft->band_name[b])) return false;
        for (uint32_t c = 0; c < b; c++)
            if (!strcmp(draft->band_name[b], draft->band_name[c])) return false;
    }
    return true;
}

static dip_status count_mismatch(const dip_draft *draft, const char *name, uint32_t expected)
{
    return dip_fail(DIP_EMISMATCH, "it has %u band%s, modality '%s' has %u", draft->band_count,
                    draft->band_count == 1 ? "" : "s", name, expected);
}

dip_status dip_modality_name_bands(dip_draft *draft, const char *name, const dip_modality *declared,
                                   const dip_import_options *options)
{
    words given;
    bool wrong, has = find_words(&given, options->bands, name, &wrong);
    if (has && given.count != draft->band_count)
        return dip_fail(DIP_EMISMATCH, "it has %u band%s, --bands names %u", draft->band_count,
                        draft->band_count == 1 ? "" : "s", given.count);
    if (!has && all_named(draft)) return DIP_OK;
    if (!has && declared && declared->band_count != draft->band_count)
        return count_mismatch(draft, name, declared->band_count);
    for (uint32_t b = 0; b < draft->band_count; b++) {
        if (has || declared)
            memcpy(draft->band_name[b], has ? given.word[b] : declared->bands[b].name,
                   DIP_WORD_CAPACITY);
        else
            snprintf(draft->band_name[b], DIP_WORD_CAPACITY, "band%u", b + 1);
    }
    return DIP_OK;
}

bool dip_modality_makes_up_names(const dip_draft *draft, const char *name,
                                 const dip_modality *declared, const dip_import_options *options)
{
    words given;
    bool wrong;
    return !declared && !find_words(&given, options->bands, name, &wrong) && !all_named(draft);
}

/* ---- guessing ---- */

double dip_plane_value(const dip_plane *plane, size_t i)
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

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const dip_plane *plane)
{
    double samples[MEDIAN_SAMPLES];
    size_t pixels = (size_t)plane->width * plane->height, n = 0;
    size_t step = pixels / MEDIAN_SAMPLES + 1;
    for (size_t i = 0; i < pixels; i += step) {
        double value = dip_plane_value(plane, i);
        if (isfinite(value)) samples[n++] = value;
    }
    qsort(samples, n, sizeof *samples, by_value);
    return n ? samples[n / 2] : NAN;
}

static bool is_real(dip_dtype dtype) { return dtype == DIP_DTYPE_F32 || dtype == DIP_DTYPE_F64; }

static bool is_radar_band(const char *band)
{
    static const char *const names[] = {"VV", "VH", "HH", "HV"};
    for (int i = 0; i < 4; i++)
        if (!strcasecmp(band, names[i])) return true;
    return false;
}

static bool is_radar_modality(const char *name)
{
    return !strncasecmp(name, "s1", 2) || !strncasecmp(name, "sar", 3);
}

/* B01 ... B12, B8A, B08A */
static bool is_optical_band(const char *band)
{
    size_t n = band[0] == 'B' ? strspn(band + 1, "0123456789") : 0;
    return n > 0 && n <= 2 && (!band[1 + n] || !strcmp(band + 1 + n, "A"));
}

static const char *guess_unit(const char *modality, const char *band, const dip_plane *plane)
{
    if (is_radar_band(band) || is_radar_modality(modality)) {
        if (!is_real(plane->dtype)) return "amplitude";
        return median_of(plane) < 0 ? "dB" : "power";
    }
    return is_optical_band(band) && plane->dtype == DIP_DTYPE_U16 ? "reflectance" : "";
}

int dip_modality_find_band(const dip_modality *modality, const char *name)
{
    for (uint32_t b = 0; b < modality->band_count; b++)
        if (!strcmp(modality->bands[b].name, name)) return (int)b;
    return -1;
}

static void choose_display(dip_modality *m)
{
    static const char *const colours[] = {"B04", "B03", "B02"};
    bool natural = true;
    for (int i = 0; i < 3; i++) natural &= dip_modality_find_band(m, colours[i]) >= 0;
    uint32_t count = m->band_count >= 3 ? 3 : m->band_count ? 1 : 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *shown = natural ? colours[i] : m->bands[i].name;
        snprintf(m->display[i], DIP_WORD_CAPACITY, "%s", shown);
    }
}

dip_status dip_modality_of_draft(dip_modality *out, const char *name, const dip_draft *draft,
                                 const dip_import_options *options)
{
    words units;
    bool wrong, has = find_words(&units, options->units, name, &wrong);
    if (has && units.count != 1 && units.count != draft->band_count)
        return dip_fail(DIP_EINVAL, "--units names %u units for the %u bands of '%s'", units.count,
                        draft->band_count, name);
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    out->band_count = draft->band_count;
    for (uint32_t b = 0; b < draft->band_count; b++) {
        dip_band *band = &out->bands[b];
        const char *unit = has ? units.word[units.count == 1 ? 0 : b]
                               : guess_unit(name, draft->band_name[b], &draft->planes[b]);
        snprintf(band->name, sizeof band->name, "%s", draft->band_name[b]);
        snprintf(band->unit, sizeof band->unit, "%s", unit);
        band->gsd_m = draft->gsd_m[b];
    }
    choose_display(out);
    return DIP_OK;
}

/* ---- fitting ---- */

void dip_grids_of_draft(dip_grids *out, const dip_draft *draft)
{
    out->count = draft->band_count;
    for (uint32_t b = 0; b < draft->band_count; b++) {
        out->band[b].dtype = draft->planes[b].dtype;
        out->band[b].width = draft->planes[b].width;
        out->band[b].height = draft->planes[b].height;
    }
}

void dip_grids_of_tile(dip_grids *out, const dip_tile *tile)
{
    out->count = tile->plane_count;
    for (uint32_t b = 0; b < tile->plane_count; b++) {
        out->band[b].dtype = tile->planes[b].dtype;
        out->band[b].width = tile->planes[b].width;
        out->band[b].height = tile->planes[b].height;
    }
}

static void swap_bands(dip_draft *draft, uint32_t a, uint32_t b)
{
    char name[DIP_WORD_CAPACITY];
    dip_plane plane = draft->planes[a];
    double gsd = draft->gsd_m[a];
    memcpy(name, draft->band_name[a], sizeof name);
    draft->planes[a] = draft->planes[b];
    draft->gsd_m[a] = draft->gsd_m[b];
    memcpy(draft->band_name[a], draft->band_name[b], sizeof name);
    draft->planes[b] = plane;
    draft->gsd_m[b] = gsd;
    memcpy(draft->band_name[b], name, sizeof name);
}

static dip_status order_bands(dip_draft *draft, const dip_modality *modality)
{
    if (draft->band_count != modality->band_count)
        return count_mismatch(draft, modality->name, modality->band_count);
    for (uint32_t b = 0; b < modality->band_count; b++) {
        uint32_t at = b;
        while (at < draft->band_count && strcmp(draft->band_name[at], modality->bands[b].name))
            at++;
        if (at == draft->band_count)
            return dip_fail(DIP_EMISMATCH, "it has no band %s, which modality '%s' has",
                            modality->bands[b].name, modality->name);
        if (at != b) swap_bands(draft, at, b);
    }
    return DIP_OK;
}

static dip_status check_grid(const dip_draft *draft, const dip_modality *modality,
                             const dip_grids *grids, uint32_t b)
{
    const dip_plane *plane = &draft->planes[b];
    const dip_band *band = &modality->bands[b];
    dip_dtype expected = grids->band[b].dtype;
    if (plane->width != grids->band[b].width || plane->height != grids->band[b].height) {
        char gsd[40] = "";
        if (band->gsd_m > 0) snprintf(gsd, sizeof gsd, " (%.3g m)", band->gsd_m);
        return dip_fail(DIP_EMISMATCH, "band %s is %ux%u, expected %ux%u%s", band->name,
                        plane->width, plane->height, grids->band[b].width, grids->band[b].height,
                        gsd);
    }
    if (plane->dtype != expected && !(is_real(plane->dtype) && is_real(expected)))
        return dip_fail(DIP_EMISMATCH, "band %s has %s pixels, expected %s", band->name,
                        dip_dtype_name(plane->dtype), dip_dtype_name(expected));
    return DIP_OK;
}

static dip_status check_pixels(const dip_plane *plane, const char *band)
{
    size_t pixels = (size_t)plane->width * plane->height, nan = 0, infinite = 0;
    if (!is_real(plane->dtype)) return DIP_OK;
    for (size_t i = 0; i < pixels; i++) {
        double value = dip_plane_value(plane, i);
        nan += isnan(value) != 0;
        infinite += isinf(value) != 0;
    }
    if (nan)
        return dip_fail(DIP_EFORMAT, "band %s has %zu NaN pixel%s; fill or cut them first", band,
                        nan, nan == 1 ? "" : "s");
    if (infinite)
        return dip_fail(DIP_EFORMAT, "band %s has %zu infinite pixel%s (the dB of 0?)", band,
                        infinite, infinite == 1 ? "" : "s");
    return DIP_OK;
}

dip_status dip_modality_fit(dip_draft *draft, const dip_modality *modality, const dip_grids *grids)
{
    dip_status status = order_bands(draft, modality);
    for (uint32_t b = 0; b < modality->band_count && !status; b++) {
        status = check_grid(draft, modality, grids, b);
        if (!status) status = check_pixels(&draft->planes[b], modality->bands[b].name);
    }
    return status;
}
