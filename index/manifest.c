/*
 * Manifest of a generation, to and from JSON; adapter to jansson; see manifest.h.
 *
 * Reading fills a `reader`: the first thing that is wrong leaves its line and status there, everything after it
 * is skipped, so the functions below read like the format.
 */
#include "index/manifest.h"

#include "core/hash.h"
#include "core/mem.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum {
    VERSION = 2,
    OLDEST_VERSION = 1,
    DIGITS = 16,
    MAX_POINTS = 4096,
    MAX_CALIBRATIONS = 256,
    MAX_FILES = 256
};

static const char format_name[] = "diptych index";
static const char checksum_key[] = "\"checksum\": \"";

void dip_manifest_fini(dip_manifest *manifest)
{
    dip_free(manifest->points);
    dip_free(manifest->calibrations);
    dip_free(manifest->files);
    manifest->points = NULL;
    manifest->calibrations = NULL;
    manifest->files = NULL;
    manifest->point_count = manifest->calibration_count = manifest->file_count = 0;
}

/* --- Operating points --- */

/* Of the points of one direction, which start at `first`. */
static const dip_operating_point *choose_point(const dip_manifest *m, uint32_t first,
                                               const dip_effort *effort)
{
    const dip_operating_point *best = &m->points[first];
    double recall = effort->recall > 0 ? effort->recall : effort->us > 0 ? INFINITY : best->target;
    for (uint32_t i = first; i < m->point_count && best->recall < recall; i++) {
        const dip_operating_point *p = &m->points[i];
        if (strcmp(p->from, best->from) || strcmp(p->to, best->to)) break;
        if (p->recall > best->recall && (!(effort->us > 0) || p->us <= effort->us)) best = p;
    }
    return best;
}

const dip_operating_point *dip_manifest_point(const dip_manifest *manifest, const char *from,
                                              const char *to, const dip_effort *effort)
{
    const dip_operating_point *found = NULL;
    for (uint32_t i = 0; i < manifest->point_count; i++) {
        const dip_operating_point *p = &manifest->points[i];
        bool first = i == 0 || strcmp(p[-1].from, p->from) || strcmp(p[-1].to, p->to);
        if (!first || strcmp(p->to, to) || (*from && strcmp(p->from, from))) continue;
        p = choose_point(manifest, i, effort);
        if (!found || p->params.nprobe > found->params.nprobe) found = p;
    }
    return found;
}

/* --- Checksum --- */

/* Position of the checksum's digits, or 0. */
static size_t find_digits(const char *text, size_t length)
{
    size_t key = strlen(checksum_key);
    for (size_t i = length; i >= key + DIGITS; i--) {
        size_t at = i - DIGITS;
        if (memcmp(text + at - key, checksum_key, key) == 0) return at;
    }
    return 0;
}

/* Of the text with the digits at `at` as zeros: the parts before and behind, the zeros between. */
static uint64_t hash_text(const char *text, size_t length, size_t at)
{
    static const char zeros[] = "0000000000000000";
    uint64_t hash = dip_hash64(text, at);
    hash = dip_hash64_seed(zeros, DIGITS, hash);
    return dip_hash64_seed(text + at + DIGITS, length - at - DIGITS, hash);
}

static void print_hash(char *out, uint64_t hash)
{
    snprintf(out, DIGITS + 1, "%016llx", (unsigned long long)hash);
}

static bool scan_hash(const char *text, uint64_t *hash)
{
    uint64_t value = 0;
    if (strlen(text) != DIGITS || strspn(text, "0123456789abcdef") != DIGITS) return false;
    for (size_t i = 0; i < DIGITS; i++)
        value = value << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    *hash = value;
    return true;
}

/* --- Writing --- */

static json_t *number(double value) { return isfinite(value) ? json_real(value) : NULL; }

static json_t *format_modalities(const dip_manifest *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->modality_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", m->modality[i].name,
                                              "count", (json_int_t)m->modality[i].count, "describe",
                                              m->modality[i].describe));
    return list;
}

static json_t *format_points(const dip_manifest *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->point_count; i++) {
        const dip_operating_point *p = &m->points[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "from", p->from, "to",
                            p->to, "nprobe", (json_int_t)p->params.nprobe, "depth",
                            (json_int_t)p->params.depth, "gap", number(p->params.gap), "target",
                            number(p->target), "recall", number(p->recall), "us", number(p->us)));
    }
    return list;
}

static json_t *format_calibrations(const dip_manifest *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->calibration_count; i++) {
        const dip_calibration *c = &m->calibrations[i];
        json_t *quantiles = json_array();
        for (size_t j = 0; j < DIP_CALIBRATION_STEPS; j++)
            json_array_append_new(quantiles, number((double)c->quantile[j]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "from", c->from, "to", c->to,
                                              "quantiles", quantiles));
    }
    return list;
}

static json_t *format_files(const dip_manifest *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->file_count; i++) {
        char hash[DIGITS + 1];
        print_hash(hash, m->files[i].hash);
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", m->files[i].name, "bytes",
                                              (json_int_t)m->files[i].bytes, "xxh3", hash));
    }
    return list;
}

static json_t *format_all(const dip_manifest *m)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s}", "format", format_name,
                     "version", VERSION, "generation", m->generation, "model", m->model, "dim",
                     (json_int_t)m->dim, "modalities", format_modalities(m), "points",
                     format_points(m), "calibrations", format_calibrations(m), "files",
                     format_files(m), "checksum", "0000000000000000");
}

/* An append that failed shows as a list that is too short. */
static bool complete(const json_t *root, const dip_manifest *m)
{
    const struct {
        const char *key;
        size_t count;
    } lists[] = {{"modalities", m->modality_count},
                 {"points", m->point_count},
                 {"calibrations", m->calibration_count},
                 {"files", m->file_count}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (json_array_size(json_object_get(root, lists[i].key)) != lists[i].count) return false;
    const json_t *calibrations = json_object_get(root, "calibrations");
    for (size_t i = 0; i < m->calibration_count; i++) {
        const json_t *one = json_array_get(calibrations, i);
        if (json_array_size(json_object_get(one, "quantiles")) != DIP_CALIBRATION_STEPS)
            return false;
    }
    return true;
}

dip_status dip_manifest_format(char **text, size_t *length, const dip_manifest *manifest)
{
    char hash[DIGITS + 1];
    char *copy = NULL;
    json_t *root = format_all(manifest);
    char *dump = root && complete(root, manifest) ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!dump)
        return dip_fail(
            DIP_EINVAL,
            "cannot write the manifest of generation '%s': a number in it is not finite or "
            "a name is no UTF-8",
            manifest->generation);
    copy = dip_sprintf("%s\n", dump);
    free(dump);
    if (!copy) return DIP_ENOMEM;
    size_t n = strlen(copy), at = find_digits(copy, n);
    print_hash(hash, hash_text(copy, n, at));
    memcpy(copy + at, hash, DIGITS);
    *text = copy;
    *length = n;
    return DIP_OK;
}

/* --- Reading --- */

typedef struct reader {
    const char *path;
    dip_status status;
} reader;

static void wrong(reader *r, const char *key)
{
    if (r->status) return;
    r->status = dip_fail(DIP_ECORRUPT,
                         "'%s' is damaged: its '%s' is missing or wrong; run diptych index again",
                         r->path, key);
}

static void read_text(reader *r, const json_t *object, const char *key, char *out, size_t room)
{
    const json_t *value = json_object_get(object, key);
    size_t length = json_string_length(value);
    if (!json_is_string(value) || length >= room || strlen(json_string_value(value)) != length) {
        wrong(r, key);
        return;
    }
    memcpy(out, json_string_value(value), length + 1);
}

/* A name that may stand in a path: not empty, no slash, no leading dot. */
static void read_name(reader *r, const json_t *object, const char *key, char *out, size_t room)
{
    out[0] = '\0';
    read_text(r, object, key, out, room);
    if (out[0] == '\0' || out[0] == '.' || strchr(out, '/')) wrong(r, key);
}

static uint64_t read_count(reader *r, const json_t *object, const char *key, uint64_t limit)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > limit) {
        wrong(r, key);
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static double read_number(reader *r, const json_t *value, const char *key)
{
    double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (!isfinite(x)) wrong(r, key);
    return x;
}

/* A list of at most `limit` objects; allocates `size` bytes for each. */
static const json_t *read_list(reader *r, const json_t *root, const char *key, size_t limit,
                               size_t size, void **out)
{
    const json_t *list = json_object_get(root, key);
    if (!json_is_array(list) || json_array_size(list) > limit) {
        wrong(r, key);
        return NULL;
    }
    if (out && !r->status) {
        *out = dip_calloc(json_array_size(list), size);
        if (!*out) r->status = DIP_ENOMEM;
    }
    return r->status ? NULL : list;
}

static void read_modalities(reader *r, const json_t *root, dip_manifest *m)
{
    const json_t *list = read_list(r, root, "modalities", DIP_MAX_MODALITIES, 0, NULL);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        read_name(r, one, "name", m->modality[i].name, sizeof m->modality[i].name);
        m->modality[i].count = read_count(r, one, "count", UINT32_MAX);
        read_text(r, one, "describe", m->modality[i].describe, sizeof m->modality[i].describe);
    }
    m->modality_count = (uint32_t)n;
}

static void read_points(reader *r, const json_t *root, uint64_t version, dip_manifest *m)
{
    const json_t *list =
        read_list(r, root, "points", MAX_POINTS, sizeof *m->points, (void **)&m->points);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        dip_operating_point *p = &m->points[i];
        read_name(r, one, "from", p->from, sizeof p->from);
        read_name(r, one, "to", p->to, sizeof p->to);
        p->params.nprobe = (uint32_t)read_count(r, one, "nprobe", UINT32_MAX);
        p->params.depth = (uint32_t)read_count(r, one, "depth", UINT32_MAX);
        const json_t *gap = json_object_get(one, "gap");
        if (gap) p->params.gap = (float)read_number(r, gap, "gap");
        if (!(p->params.gap >= 0)) wrong(r, "gap");
        p->target = read_number(r, json_object_get(one, "target"), "target");
        p->recall = read_number(r, json_object_get(one, "recall"), "recall");
        if (version > 1) p->us = read_number(r, json_object_get(one, "us"), "us");
    }
    m->point_count = (uint32_t)n;
}

static void read_calibrations(reader *r, const json_t *root, dip_manifest *m)
{
    const json_t *list = read_list(r, root, "calibrations", MAX_CALIBRATIONS,
                                   sizeof *m->calibrations, (void **)&m->calibrations);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        dip_calibration *c = &m->calibrations[i];
        read_name(r, one, "from", c->from, sizeof c->from);
        read_name(r, one, "to", c->to, sizeof c->to);
        const json_t *quantiles = json_object_get(one, "quantiles");
        if (json_array_size(quantiles) != DIP_CALIBRATION_STEPS) wrong(r, "quantiles");
        for (size_t j = 0; j < DIP_CALIBRATION_STEPS && !r->status; j++) {
            c->quantile[j] = (float)read_number(r, json_array_get(quantiles, j), "quantiles");
            if (!isfinite(c->quantile[j])) wrong(r, "quantiles");
        }
    }
    m->calibration_count = (uint32_t)n;
}

static void read_files(reader *r, const json_t *root, dip_manifest *m)
{
    const json_t *list =
        read_list(r, root, "files", MAX_FILES, sizeof *m->files, (void **)&m->files);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        char hash[DIGITS + 1] = "";
        const json_t *one = json_array_get(list, i);
        read_name(r, one, "name", m->files[i].name, sizeof m->files[i].name);
        m->files[i].bytes = read_count(r, one, "bytes", INT64_MAX);
        read_text(r, one, "xxh3", hash, sizeof hash);
        if (!scan_hash(hash, &m->files[i].hash)) wrong(r, "xxh3");
    }
    m->file_count = (uint32_t)n;
}

static void read_all(reader *r, const json_t *root, dip_manifest *m)
{
    char format[sizeof format_name] = "";
    read_text(r, root, "format", format, sizeof format);
    if (strcmp(format, format_name)) wrong(r, "format");
    uint64_t version = read_count(r, root, "version", INT32_MAX);
    if (!r->status && (version < OLDEST_VERSION || version > VERSION))
        r->status = dip_fail(DIP_EFORMAT,
                             "'%s' is a manifest of version %llu, this program reads %d to %d; run "
                             "diptych index again",
                             r->path, (unsigned long long)version, OLDEST_VERSION, VERSION);
    read_name(r, root, "generation", m->generation, sizeof m->generation);
    read_text(r, root, "model", m->model, sizeof m->model);
    m->dim = (uint32_t)read_count(r, root, "dim", UINT32_MAX);
    read_modalities(r, root, m);
    read_points(r, root, version, m);
    read_calibrations(r, root, m);
    read_files(r, root, m);
}

dip_status dip_manifest_parse_unchecked(dip_manifest *out, const char *text, size_t length,
                                        const char *path)
{
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root || !json_is_object(root)) {
        json_decref(root);
        return dip_fail(DIP_ECORRUPT,
                        "'%s' is damaged: it is no JSON object (line %d); run diptych index again",
                        path, root ? 1 : error.line);
    }
    dip_manifest manifest = {.model = ""};
    reader r = {path, DIP_OK};
    read_all(&r, root, &manifest);
    json_decref(root);
    if (r.status)
        dip_manifest_fini(&manifest);
    else
        *out = manifest;
    return r.status;
}

dip_status dip_manifest_parse(dip_manifest *out, const char *text, size_t length, const char *path)
{
    uint64_t stated;
    char digits[DIGITS + 1] = "";
    size_t at = find_digits(text, length);
    if (at) memcpy(digits, text + at, DIGITS);
    if (!at || !scan_hash(digits, &stated) || hash_text(text, length, at) != stated)
        return dip_fail(DIP_ECORRUPT,
                        "'%s' is damaged: its checksum is wrong; run diptych index again", path);
    return dip_manifest_parse_unchecked(out, text, length, path);
}
