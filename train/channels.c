/* Input channels of encoders trained elsewhere; see channels.h. docs/training.md names what each set belongs to. */
#include "train/channels.h"

#include "core/status.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- published sets ---- */

static const dip_channel bigearthnet_s1[] = {{"VV", -12.6438637, 5.1334939},
                                             {"VH", -19.3525581, 5.5905056}};

/* BigEarthNet v2, official training split. */
static const dip_channel bigearthnet_s2[] = {
    {"B02", 438.3720703, 607.0268555},   {"B03", 614.0556641, 603.2968140},
    {"B04", 588.4096069, 684.5688477},   {"B05", 942.8433228, 738.4326782},
    {"B06", 1769.9316406, 1100.4560547}, {"B07", 2049.5515137, 1275.8054199},
    {"B08", 2193.2919922, 1369.3717041}, {"B8A", 2235.5566406, 1356.5440674},
    {"B11", 1568.2268066, 1070.1612549}, {"B12", 997.7324829, 813.5276489}};

static const dip_channel ssl4eo_s1[] = {{"VV", -12.59, 5.26}, {"VH", -20.26, 5.91}};
static const dip_channel plain_s1[] = {{"VV", 0, 1}, {"VH", 0, 1}};

/* Stored values over 10,000. */
static const dip_channel scaled_s2[] = {
    {"B01", 0, 1e4}, {"B02", 0, 1e4}, {"B03", 0, 1e4}, {"B04", 0, 1e4}, {"B05", 0, 1e4},
    {"B06", 0, 1e4}, {"B07", 0, 1e4}, {"B08", 0, 1e4}, {"B8A", 0, 1e4}, {"B09", 0, 1e4},
    {"B10", 0, 1e4}, {"B11", 0, 1e4}, {"B12", 0, 1e4}};
static const dip_channel scaled_rgb[] = {{"B04", 0, 1e4}, {"B03", 0, 1e4}, {"B02", 0, 1e4}};

static const dip_channel softcon_s2[] = {
    {"B01", 1612.9, 791.0},  {"B02", 1397.6, 854.3},  {"B03", 1322.3, 878.7},
    {"B04", 1373.1, 1144.9}, {"B05", 1561.0, 1127.5}, {"B06", 2108.4, 1164.2},
    {"B07", 2390.7, 1276.0}, {"B08", 2318.7, 1249.5}, {"B8A", 2581.0, 1345.9},
    {"B09", 837.7, 577.5},   {"B10", 22.0, 47.5},     {"B11", 2195.2, 1340.0},
    {"B12", 1537.4, 1142.9}};

#define SET(name, unit, channels)                                   \
    {                                                               \
        name, unit, channels, sizeof(channels) / sizeof *(channels) \
    }

static const struct {
    const char *name, *unit;
    const dip_channel *channels;
    size_t count;
} sets[] = {SET("bigearthnet-s1", "dB", bigearthnet_s1),
            SET("bigearthnet-s2", "reflectance", bigearthnet_s2),
            SET("torchgeo-s1", "dB", ssl4eo_s1),
            SET("torchgeo-s1-closp", "dB", plain_s1),
            SET("torchgeo-s2", "reflectance", scaled_s2),
            SET("torchgeo-s2-rgb", "reflectance", scaled_rgb),
            SET("torchgeo-s2-softcon", "reflectance", softcon_s2)};

enum { SETS = sizeof sets / sizeof *sets };

/* ---- names ---- */

static void append(char *out, size_t capacity, const char *word)
{
    size_t at = strlen(out);
    snprintf(out + at, capacity - at, at ? ", %s" : "%s", word);
}

/* The next letter of a band's name in capitals; zeros before a digit do not count. */
static int next_letter(const char **at)
{
    while (**at == '0' && isdigit((unsigned char)(*at)[1])) ++*at;
    return **at ? toupper((unsigned char)*(*at)++) : 0;
}

static bool same_band(const char *a, const char *b)
{
    for (;;) {
        const int x = next_letter(&a), y = next_letter(&b);
        if (x != y) return false;
        if (!x) return true;
    }
}

static bool is_left_out(const dip_channel *channel) { return !strcmp(channel->band, "-"); }

/* Bands that see the air more than the land; an archive often goes without them. */
static bool is_of_atmosphere(const char *band)
{
    return !strcmp(band, "B01") || !strcmp(band, "B09") || !strcmp(band, "B10");
}

/* ---- reading ---- */

static dip_status refuse(const char *text, const char *why)
{
    char known[256] = "";
    for (size_t i = 0; i < SETS; i++) append(known, sizeof known, sets[i].name);
    return dip_fail(DIP_EINVAL,
                    "option 'init-bands': '%s' %s; give the bands of the file's channels, as "
                    "'VV,VH', or one of %s",
                    text, why, known);
}

static dip_status read_list(dip_channels *out, const char *text)
{
    const char *at = text;
    for (bool more = true; more; at++) {
        const size_t length = strcspn(at, ",");
        if (!length || length >= DIP_WORD_CAPACITY) return refuse(text, "is no list of bands");
        if (out->count == DIP_MAX_BANDS) return refuse(text, "has more than 64 bands");
        dip_channel *channel = &out->channel[out->count++];
        snprintf(channel->band, sizeof channel->band, "%.*s", (int)length, at);
        for (const dip_channel *c = out->channel; c < channel; c++)
            if (!is_left_out(c) && same_band(c->band, channel->band))
                return refuse(text, "names a band twice");
        at += length;
        more = *at == ',';
    }
    return DIP_OK;
}

/* Whether `text` is the name of a set, which is put into *out. */
static bool read_set(dip_channels *out, const char *text)
{
    for (size_t i = 0; i < SETS; i++) {
        if (strcmp(text, sets[i].name) != 0) continue;
        out->count = (uint32_t)sets[i].count;
        out->unit = sets[i].unit;
        memcpy(out->channel, sets[i].channels, sets[i].count * sizeof *out->channel);
        return true;
    }
    return false;
}

dip_status dip_channels_read(dip_channels *out, const char *text, uint32_t count)
{
    char why[64];
    *out = (dip_channels){.unit = ""};
    dip_status status = read_set(out, text) ? DIP_OK : read_list(out, text);
    if (status || out->count == count) return status;
    snprintf(why, sizeof why, "is %u channels, the file has %u", out->count, count);
    return refuse(text, why);
}

/* ---- meeting the archive ---- */

static dip_status refuse_missing(const dip_channels *channels, uint32_t c, const dip_modality *m)
{
    char bands[512] = "";
    for (uint32_t b = 0; b < m->band_count; b++) append(bands, sizeof bands, m->bands[b].name);
    return dip_fail(DIP_EINVAL,
                    "option 'init-bands': channel %u shows band '%s', which modality '%s' does not "
                    "have (it has %s); list the channels, with '-' for one to leave out",
                    c + 1, channels->channel[c].band, m->name, bands);
}

static dip_status check_unit(const dip_channels *channels, const dip_modality *m, uint32_t b)
{
    const char *unit = m->bands[b].unit;
    if (!*unit || !*channels->unit || !strcmp(unit, channels->unit)) return DIP_OK;
    return dip_fail(DIP_EINVAL,
                    "option 'init-bands': band '%s' of '%s' is in '%s', the weights want '%s'",
                    m->bands[b].name, m->name, unit, channels->unit);
}

dip_status dip_channels_match(const dip_channels *channels, const dip_modality *modality,
                              uint32_t channel_of[DIP_MAX_BANDS])
{
    bool any = false;
    for (uint32_t b = 0; b < modality->band_count; b++) channel_of[b] = DIP_NO_CHANNEL;
    for (uint32_t c = 0; c < channels->count; c++) {
        const dip_channel *channel = &channels->channel[c];
        uint32_t b = 0;
        if (is_left_out(channel)) continue;
        while (b < modality->band_count && !same_band(modality->bands[b].name, channel->band)) b++;
        if (b == modality->band_count) {
            if (channel->stddev > 0 && is_of_atmosphere(channel->band)) continue;
            return refuse_missing(channels, c, modality);
        }
        dip_status status = check_unit(channels, modality, b);
        if (status) return status;
        channel_of[b] = c;
        any = true;
    }
    if (any) return DIP_OK;
    return dip_fail(DIP_EINVAL, "option 'init-bands': no channel is left of '%s'", modality->name);
}

dip_status dip_channels_normalise(const dip_channels *channels,
                                  const uint32_t channel_of[DIP_MAX_BANDS], dip_modality *modality)
{
    static const double most =
        2000; /* reflectance as a share is a ten-thousandth of stored values */
    for (uint32_t b = 0; b < modality->band_count; b++) {
        dip_band *band = &modality->bands[b];
        if (channel_of[b] == DIP_NO_CHANNEL) continue;
        const dip_channel *channel = &channels->channel[channel_of[b]];
        if (!(channel->stddev > 0)) continue;
        const bool far =
            band->stddev * most < channel->stddev || band->stddev > channel->stddev * most;
        if (far && !is_of_atmosphere(channel->band)) /* B10 may be there as zeros */
            return dip_fail(DIP_EINVAL,
                            "option 'init-bands': pixels of band '%s' of '%s' deviate by %.3g, "
                            "those that the weights know by %.3g: another scale or unit",
                            band->name, modality->name, band->stddev, channel->stddev);
        band->mean = channel->mean;
        band->stddev = channel->stddev;
    }
    return DIP_OK;
}

void dip_channels_unused(const dip_channels *channels, const dip_modality *modality,
                         const uint32_t channel_of[DIP_MAX_BANDS], char *out, size_t capacity)
{
    out[0] = 0;
    for (uint32_t c = 0; c < channels->count; c++) {
        bool used = is_left_out(&channels->channel[c]);
        for (uint32_t b = 0; b < modality->band_count; b++) used |= channel_of[b] == c;
        if (!used) append(out, capacity, channels->channel[c].band);
    }
}
