/*
 * archive.ini through libinih; see config.h.
 *
 * A dip_config is about 160 KB if all modalities are full, so they are allocated one by one. The file is parsed in
 * one pass; sections and bands may come in any order, and the whole is checked at the end.
 */
#define _GNU_SOURCE
#include "storage/config.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/record.h"

#include <ini.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct parser {
    dip_config *config;
    bool has_position[DIP_MAX_MODALITIES]; /* by order of appearance, as `found` */
    uint32_t position[DIP_MAX_MODALITIES];
    dip_modality *found[DIP_MAX_MODALITIES];
    uint32_t count;
    dip_status status;
    char problem[160];
} parser;

void dip_config_fini(dip_config *config)
{
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) dip_free(config->modalities[i]);
    *config = (dip_config){.format = 0};
}

/* ---- values ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_text(char *out, size_t capacity, const char *value)
{
    size_t n = 0;
    for (; *value; value++) {
        int c = (unsigned char)*value;
        if (c == '%') {
            int high = hex_digit(value[1]), low = high < 0 ? -1 : hex_digit(value[2]);
            if (low < 0 || (c = high * 16 + low) == 0) return false;
            value += 2;
        }
        if (n + 1 >= capacity) return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

/* Whether a byte of a value has to be written as %XX: ';' would begin a remark after a blank. */
static bool special(const char *text, size_t i, size_t length)
{
    unsigned char c = (unsigned char)text[i];
    if (c < ' ' || c == 127 || c == '%') return true;
    bool end = i == 0 || i + 1 == length;
    return c == ' ' ? end : c == ';' && (i == 0 || text[i - 1] == ' ');
}

static size_t encoded_length(const char *text)
{
    size_t length = strlen(text), bytes = 0;
    for (size_t i = 0; i < length; i++) bytes += special(text, i, length) ? 3 : 1;
    return bytes;
}

static void encode_text(FILE *file, const char *key, const char *text)
{
    size_t length = strlen(text);
    fprintf(file, "%s = ", key);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (special(text, i, length))
            fprintf(file, "%%%02X", c);
        else
            putc(c, file);
    }
    putc('\n', file);
}

static bool decode_number(double *out, const char *value)
{
    char *end;
    *out = strtod(value, &end);
    return end != value && *end == '\0' && isfinite(*out);
}

static bool decode_count(uint32_t *out, const char *value, uint32_t limit)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    *out = (uint32_t)n;
    return *value >= '0' && *value <= '9' && *end == '\0' && n <= limit;
}

/* The fewest digits that give the same number back. */
static void encode_number(FILE *file, const char *key, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fprintf(file, "%s = %s\n", key, text);
}

/* ---- parsing ---- */

__attribute__((format(printf, 2, 3))) static int refuse(parser *p, const char *format, ...)
{
    if (!p->status) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->problem, sizeof p->problem, format, args);
        va_end(args);
        p->status = DIP_EFORMAT;
    }
    return 0;
}

static int unknown(const char *section, const char *key)
{
    dip_log(DIP_LOG_DEBUG, "storage", "archive.ini: unknown key section=%s key=%s", section, key);
    return 1;
}

static int text_key(parser *p, char *out, size_t capacity, const char *key, const char *value)
{
    if (decode_text(out, capacity, value)) return 1;
    return refuse(p, "'%.40s' is too long or has a bad %%XX", key);
}

static int archive_key(parser *p, const char *key, const char *value)
{
    dip_config *c = p->config;
    if (!strcmp(key, "format")) {
        uint32_t format;
        if (!decode_count(&format, value, 1000000)) return refuse(p, "'format' is not a number");
        c->format = format;
        return 1;
    }
    if (!strcmp(key, "title")) return text_key(p, c->title, sizeof c->title, key, value);
    if (!strcmp(key, "created-by"))
        return text_key(p, c->created_by, sizeof c->created_by, key, value);
    return unknown("archive", key);
}

static int modality_of(parser *p, const char *name, uint32_t *index)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (!strcmp(p->found[i]->name, name)) {
            *index = i;
            return 1;
        }
    if (p->count == DIP_MAX_MODALITIES)
        return refuse(p, "more than %d modalities", DIP_MAX_MODALITIES);
    if (strlen(name) >= DIP_WORD_CAPACITY)
        return refuse(p, "modality '%.40s' has too long a name", name);
    dip_modality *modality = dip_calloc(1, sizeof *modality);
    if (!modality) {
        p->status = DIP_ENOMEM;
        return 0;
    }
    strcpy(modality->name, name);
    *index = p->count;
    p->found[p->count++] = modality;
    return 1;
}

/* "band.<n>" or "band.<n>.<property>" */
static int band_key(parser *p, dip_modality *modality, const char *key, const char *value)
{
    char *end;
    unsigned long n = strtoul(key + 5, &end, 10);
    if (n < 1 || n > DIP_MAX_BANDS || (*end && *end != '.'))
        return refuse(p, "'%.40s' is no band from 1 to %d", key, DIP_MAX_BANDS);
    if (n > modality->band_count) modality->band_count = (uint32_t)n;
    dip_band *band = &modality->bands[n - 1];
    const char *property = *end ? end + 1 : "name";
    bool good = true;
    if (!strcmp(property, "name")) return text_key(p, band->name, sizeof band->name, key, value);
    if (!strcmp(property, "unit")) return text_key(p, band->unit, sizeof band->unit, key, value);
    if (!strcmp(property, "gsd_m"))
        good = decode_number(&band->gsd_m, value);
    else if (!strcmp(property, "mean"))
        good = decode_number(&band->mean, value);
    else if (!strcmp(property, "stddev"))
        good = decode_number(&band->stddev, value) && band->stddev >= 0;
    else
        return unknown(modality->name, key);
    return good ? 1 : refuse(p, "'%.40s' is not a number that it may be", key);
}

static int modality_key(parser *p, const char *name, const char *key, const char *value)
{
    static const char *const display[3] = {"display.red", "display.green", "display.blue"};
    uint32_t index = 0;
    if (!modality_of(p, name, &index)) return 0;
    dip_modality *modality = p->found[index];
    if (!strncmp(key, "band.", 5)) return band_key(p, modality, key, value);
    if (!strcmp(key, "position")) {
        p->has_position[index] = decode_count(&p->position[index], value, DIP_MAX_MODALITIES - 1);
        return p->has_position[index]
                   ? 1
                   : refuse(p, "'position' is not a number from 0 to %d", DIP_MAX_MODALITIES - 1);
    }
    for (int i = 0; i < 3; i++)
        if (!strcmp(key, display[i]))
            return text_key(p, modality->display[i], sizeof modality->display[i], key, value);
    return unknown(name, key);
}

static int any_key(void *user, const char *section, const char *key, const char *value)
{
    parser *p = user;
    if (p->status) return 0;
    if (!strcmp(section, "archive")) return archive_key(p, key, value);
    if (!strncmp(section, "modality.", 9)) return modality_key(p, section + 9, key, value);
    return unknown(section, key);
}

/* Puts the modalities where their positions say, without gaps, and checks that all can be written again. */
static void arrange(parser *p)
{
    dip_config *c = p->config;
    if (dip_title_check(c->title)) refuse(p, "%s", dip_last_error());
    for (uint32_t i = 0; i < p->count && !p->status; i++) {
        const char *name = p->found[i]->name;
        if (!p->has_position[i])
            refuse(p, "modality '%s' has no position", name);
        else if (p->position[i] >= p->count || c->modalities[p->position[i]])
            refuse(p, "modality '%s' has position %u, which is beyond the others or taken", name,
                   p->position[i]);
        else if (dip_modality_check(p->found[i]))
            refuse(p, "%s", dip_last_error());
        else {
            c->modalities[p->position[i]] = p->found[i];
            p->found[i] = NULL;
        }
    }
    c->modality_count = p->count;
}

static dip_status check_format(const dip_config *config, const char *path)
{
    if (config->format > DIP_STORE_FORMAT)
        return dip_fail(DIP_EFORMAT,
                        "'%s' has format %u, written by a newer diptych than this one, which reads "
                        "format %d; install the newer one",
                        path, config->format, DIP_STORE_FORMAT);
    if (config->format < DIP_STORE_FORMAT)
        return dip_fail(DIP_EFORMAT,
                        "'%s' has format %u, which is none; the first one is 1. Restore the file "
                        "from a copy",
                        path, config->format);
    return DIP_OK;
}

static dip_status parse(parser *p, const char *text, const char *path)
{
    int line = ini_parse_string(text, any_key, p);
    if (p->status == DIP_ENOMEM) return DIP_ENOMEM;
    /* A newer format may well look otherwise: that is said first. */
    if (p->config->format > DIP_STORE_FORMAT) return check_format(p->config, path);
    if (p->status) return dip_fail(DIP_EFORMAT, "'%s' line %d: %s", path, line, p->problem);
    if (line)
        return dip_fail(
            DIP_EFORMAT,
            "'%s' line %d is not 'key = value' or a [section]; mend it, or restore the file "
            "from a copy",
            path, line);
    dip_status status = check_format(p->config, path);
    if (status) return status;
    arrange(p);
    return p->status ? dip_fail(p->status, "'%s': %s", path, p->problem) : DIP_OK;
}

/* Numbers have a point, whatever locale the program around us has set. */
static locale_t plain_locale(locale_t *before)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain) *before = uselocale(plain);
    return plain;
}

static void restore_locale(locale_t plain, locale_t before)
{
    if (!plain) return;
    uselocale(before);
    freelocale(plain);
}

dip_status dip_config_parse(dip_config *config, const char *text, const char *path)
{
    parser p = {.config = config};
    locale_t before = (locale_t)0, plain = plain_locale(&before);
    *config = (dip_config){.format = 0};
    dip_status status = parse(&p, text, path);
    restore_locale(plain, before);
    for (uint32_t i = 0; i < p.count; i++) dip_free(p.found[i]);
    if (status) dip_config_fini(config);
    return status;
}

dip_status dip_config_read(dip_config *config, const char *path)
{
    char *text;
    size_t length;
    dip_status status = dip_file_read(&text, &length, path, DIP_CONFIG_MAX_BYTES);
    if (status) return status;
    if (strlen(text) != length)
        status = dip_fail(DIP_EFORMAT, "'%s' holds a 0 byte, so it is no text", path);
    else
        status = dip_config_parse(config, text, path);
    dip_free(text);
    return status;
}

/* ---- writing ---- */

static void write_band(FILE *file, unsigned n, const dip_band *band)
{
    char key[32];
    snprintf(key, sizeof key, "band.%u", n);
    encode_text(file, key, band->name);
    snprintf(key, sizeof key, "band.%u.unit", n);
    if (band->unit[0]) encode_text(file, key, band->unit);
    snprintf(key, sizeof key, "band.%u.gsd_m", n);
    if (band->gsd_m > 0) encode_number(file, key, band->gsd_m);
    if (band->stddev == 0 && band->mean == 0) return;
    snprintf(key, sizeof key, "band.%u.mean", n);
    encode_number(file, key, band->mean);
    snprintf(key, sizeof key, "band.%u.stddev", n);
    encode_number(file, key, band->stddev);
}

static void write_modality(FILE *file, unsigned position, const dip_modality *modality)
{
    fprintf(file, "\n[modality.%s]\nposition = %u\n", modality->name, position);
    for (uint32_t i = 0; i < modality->band_count; i++)
        write_band(file, i + 1, &modality->bands[i]);
    if (modality->display[0][0]) encode_text(file, "display.red", modality->display[0]);
    if (modality->display[1][0]) encode_text(file, "display.green", modality->display[1]);
    if (modality->display[2][0]) encode_text(file, "display.blue", modality->display[2]);
}

static void print(FILE *file, const dip_config *config)
{
    fprintf(file, "; An archive of Diptych. Pixels and metadata are in store/; docs/formats.md has "
                  "it all.\n");
    fprintf(file, "\n[archive]\nformat = %u\n", config->format);
    encode_text(file, "title", config->title);
    encode_text(file, "created-by", config->created_by);
    for (uint32_t i = 0; i < config->modality_count; i++)
        write_modality(file, i, config->modalities[i]);
}

void dip_config_print(FILE *file, const dip_config *config)
{
    locale_t before = (locale_t)0, plain = plain_locale(&before);
    print(file, config);
    restore_locale(plain, before);
}

dip_status dip_config_write(const dip_config *config, const char *path)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    dip_config_print(file.stream, config);
    return dip_file_commit(&file);
}

/* ---- what can be stored ---- */

dip_status dip_title_check(const char *title)
{
    size_t bytes = encoded_length(title);
    if (bytes < DIP_TITLE_CAPACITY) return DIP_OK;
    return dip_fail(DIP_EINVAL, "title '%.40s...' has %zu bytes; %d is the most", title, bytes,
                    DIP_TITLE_CAPACITY - 1);
}

static bool ended(const char word[DIP_WORD_CAPACITY])
{
    return memchr(word, '\0', DIP_WORD_CAPACITY) != NULL;
}

static bool good_name(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return length > 0 && name[length] == '\0';
}

static dip_status check_band(const dip_modality *m, uint32_t i)
{
    const dip_band *band = &m->bands[i];
    if (!ended(band->name) || !ended(band->unit) || !band->name[0])
        return dip_fail(DIP_EINVAL, "modality '%s': band %u has no name, or one that is too long",
                        m->name, i + 1);
    if (!isfinite(band->gsd_m) || band->gsd_m < 0 || !isfinite(band->mean) ||
        !isfinite(band->stddev) || band->stddev < 0)
        return dip_fail(DIP_EINVAL, "modality '%s': band '%s' has statistics that are no numbers",
                        m->name, band->name);
    for (uint32_t j = 0; j < i; j++)
        if (!strcmp(m->bands[j].name, band->name))
            return dip_fail(DIP_EINVAL, "modality '%s': two bands are called '%s'", m->name,
                            band->name);
    return DIP_OK;
}

dip_status dip_modality_check(const dip_modality *m)
{
    if (!ended(m->name) || !good_name(m->name))
        return dip_fail(DIP_EINVAL,
                        "'%.31s' cannot name a modality: letters, digits, '_' and '-' can",
                        m->name);
    if (m->band_count > DIP_MAX_BANDS)
        return dip_fail(DIP_EINVAL, "modality '%s' has %u bands; at most %d can be stored", m->name,
                        m->band_count, DIP_MAX_BANDS);
    for (uint32_t i = 0; i < m->band_count; i++) {
        dip_status status = check_band(m, i);
        if (status) return status;
    }
    for (int i = 0; i < 3; i++) {
        bool known = ended(m->display[i]) && !m->display[i][0];
        for (uint32_t j = 0; !known && j < m->band_count; j++)
            known = ended(m->display[i]) && !strcmp(m->display[i], m->bands[j].name);
        if (!known)
            return dip_fail(DIP_EINVAL,
                            "modality '%s': display band '%.31s' is not one of its bands", m->name,
                            m->display[i]);
    }
    return DIP_OK;
}
