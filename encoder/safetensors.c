/*
 * Reader and writer of safetensors; see safetensors.h.
 *
 * Reading: the header is copied and scanned in one pass by a strict scanner of the JSON that the format allows
 * (strings are decoded in place), then the tensors are sorted by offset, where gaps and overlaps show, and by
 * name, where duplicates show.
 *
 * A file that we wrote begins its metadata with a checksum of all its bytes but the checksum's own digits.
 */
#include "encoder/safetensors.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct dip_safetensors {
    dip_map map;  /* empty when the bytes are borrowed */
    char *header; /* the strings of entries and texts point into it */
    dip_safetensors_entry *entries;
    size_t entry_count, entry_capacity;
    const dip_safetensors_entry **by_name;
    dip_safetensors_text *texts;
    size_t text_count, text_capacity;
};

/* ---- scanner ---- */

typedef struct scan {
    char *at, *end;
    const char *begin, *name;
    dip_safetensors *file;
} scan;

static dip_status refuse(const scan *s, const char *what)
{
    return dip_fail(DIP_EFORMAT,
                    "'%s' is not a safetensors file we can read: byte %zu of the header: %s",
                    s->name, (size_t)(s->at - s->begin), what);
}

static void skip_space(scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* Takes `c` after white space, if it comes next. */
static bool take(scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hexadecimal digits at s->at, or -1. */
static long scan_hex4(scan *s)
{
    long value = 0;
    if (s->end - s->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(s->at[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    s->at += 4;
    return value;
}

/* The code point after "\u", surrogate pairs joined; -1 for what is none (and for 0, which would end a C string). */
static long scan_code_point(scan *s)
{
    long code = scan_hex4(s);
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u') return -1;
        s->at += 2;
        long low = scan_hex4(s);
        if (low < 0xDC00 || low > 0xDFFF) return -1;
        return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    return code == 0 || (code >= 0xDC00 && code <= 0xDFFF) ? -1 : code;
}

static char *put_utf8(char *to, long code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* The character after a backslash; the decoded text is never longer than its escape. */
static char *scan_escape(scan *s, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end) return NULL;
    char c = *s->at++;
    if (c == 'u') {
        long code = scan_code_point(s);
        return code < 0 ? NULL : put_utf8(to, code);
    }
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return NULL;
    *to++ = into[found - from];
    return to;
}

/* Decodes a string in place; *out ends with a 0 byte (over the closing quote or before it). */
static dip_status scan_string(scan *s, char **out)
{
    if (!take(s, '"')) return refuse(s, "a string is missing");
    char *to = s->at;
    *out = to;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) return refuse(s, "a control character in a string");
        if (*s->at != '\\') {
            *to++ = *s->at++;
            continue;
        }
        s->at++;
        to = scan_escape(s, to);
        if (!to) return refuse(s, "a wrong escape in a string");
    }
    if (s->at == s->end) return refuse(s, "a string does not end");
    s->at++;
    *to = 0;
    return DIP_OK;
}

static dip_status scan_number(scan *s, uint64_t *out)
{
    skip_space(s);
    const char *first = s->at;
    uint64_t value = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        if (value > INT64_MAX / 10 - 1) return refuse(s, "a number is too large");
        value = value * 10 + (uint64_t)(*s->at++ - '0');
    }
    if (s->at == first) return refuse(s, "a whole number is missing");
    if (s->at - first > 1 && *first == '0') return refuse(s, "a number begins with 0");
    *out = value;
    return DIP_OK;
}

/* [n, n, ...], at most `capacity` numbers. */
static dip_status scan_numbers(scan *s, uint64_t *out, uint32_t capacity, uint32_t *count)
{
    *count = 0;
    if (!take(s, '[')) return refuse(s, "'[' is missing");
    if (take(s, ']')) return DIP_OK;
    do {
        if (*count == capacity) return refuse(s, "a list is too long");
        dip_status status = scan_number(s, &out[*count]);
        if (status) return status;
        ++*count;
    } while (take(s, ','));
    return take(s, ']') ? DIP_OK : refuse(s, "']' is missing");
}

/* ---- tensors ---- */

static size_t dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},      {"U64", 8},     {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, dtype)) return known[i].bytes;
    return 0;
}

enum { SAW_DTYPE = 1, SAW_SHAPE = 2, SAW_OFFSETS = 4, SAW_ALL = 7 };

static dip_status scan_field(scan *s, dip_safetensors_entry *entry, unsigned *seen)
{
    char *key, *text;
    unsigned bit;
    dip_status status = scan_string(s, &key);
    if (status) return status;
    if (!take(s, ':')) return refuse(s, "':' is missing");
    if (!strcmp(key, "dtype")) {
        bit = SAW_DTYPE;
        status = scan_string(s, &text);
        if (!status) entry->dtype = text;
    } else if (!strcmp(key, "shape")) {
        bit = SAW_SHAPE;
        status = scan_numbers(s, entry->shape, DIP_SAFETENSORS_RANK, &entry->rank);
    } else if (!strcmp(key, "data_offsets")) {
        uint64_t offsets[2] = {0, 0};
        uint32_t count;
        bit = SAW_OFFSETS;
        status = scan_numbers(s, offsets, 2, &count);
        if (!status && count != 2) status = refuse(s, "data_offsets are not two numbers");
        entry->begin = offsets[0];
        entry->end = offsets[1];
    } else {
        return refuse(s, "a tensor has an unknown field");
    }
    if (!status && *seen & bit) return refuse(s, "a field of a tensor comes twice");
    *seen |= bit;
    return status;
}

/* Shape, type and offsets against each other. */
static dip_status check_entry(const scan *s, dip_safetensors_entry *entry)
{
    size_t size = dtype_bytes(entry->dtype);
    if (!size) return refuse(s, "a tensor's dtype is unknown");
    entry->count = 1;
    for (uint32_t i = 0; i < entry->rank; i++) {
        if (entry->shape[i] && entry->count > INT64_MAX / size / entry->shape[i])
            return refuse(s, "a tensor's shape is too large");
        entry->count *= entry->shape[i];
    }
    if (entry->end < entry->begin) return refuse(s, "a tensor ends before it begins");
    if (entry->end - entry->begin != entry->count * size)
        return refuse(s, "a tensor's length does not follow from its shape and dtype");
    return DIP_OK;
}

static dip_status scan_entry(scan *s, const char *name)
{
    dip_safetensors *file = s->file;
    dip_safetensors_entry entry = {.name = name};
    unsigned seen = 0;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return refuse(s, "a control character in a tensor's name");
    if (!take(s, '{')) return refuse(s, "'{' is missing");
    do {
        dip_status status = scan_field(s, &entry, &seen);
        if (status) return status;
    } while (take(s, ','));
    if (!take(s, '}')) return refuse(s, "'}' is missing");
    if (seen != SAW_ALL) return refuse(s, "a tensor lacks dtype, shape or data_offsets");
    dip_status status = check_entry(s, &entry);
    if (status) return status;
    if (dip_array_reserve((void **)&file->entries, &file->entry_capacity, file->entry_count + 1,
                          sizeof entry))
        return DIP_ENOMEM;
    file->entries[file->entry_count++] = entry;
    return DIP_OK;
}

static dip_status scan_metadata(scan *s)
{
    dip_safetensors *file = s->file;
    if (!take(s, '{')) return refuse(s, "'{' is missing");
    if (take(s, '}')) return DIP_OK;
    do {
        char *key, *value;
        dip_status status = scan_string(s, &key);
        if (status) return status;
        if (!take(s, ':')) return refuse(s, "':' is missing");
        status = scan_string(s, &value);
        if (status) return status;
        if (dip_array_reserve((void **)&file->texts, &file->text_capacity, file->text_count + 1,
                              sizeof *file->texts))
            return DIP_ENOMEM;
        file->texts[file->text_count++] = (dip_safetensors_text){key, value};
    } while (take(s, ','));
    return take(s, '}') ? DIP_OK : refuse(s, "'}' is missing");
}

static dip_status scan_members(scan *s)
{
    bool metadata = false;
    if (take(s, '}')) return DIP_OK;
    do {
        char *name;
        dip_status status = scan_string(s, &name);
        if (status) return status;
        if (!take(s, ':')) return refuse(s, "':' is missing");
        bool texts = !strcmp(name, "__metadata__");
        if (texts && metadata) return refuse(s, "__metadata__ comes twice");
        metadata |= texts;
        status = texts ? scan_metadata(s) : scan_entry(s, name);
        if (status) return status;
    } while (take(s, ','));
    return take(s, '}') ? DIP_OK : refuse(s, "'}' is missing");
}

static dip_status scan_header(scan *s)
{
    if (!take(s, '{')) return refuse(s, "'{' is missing");
    dip_status status = scan_members(s);
    if (status) return status;
    skip_space(s);
    return s->at == s->end ? DIP_OK : refuse(s, "text after the header's end");
}

/* ---- the whole file ---- */

static int by_offset(const void *a, const void *b)
{
    const dip_safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const dip_safetensors_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Data of `length` bytes holds the tensors one after the other and nothing else. */
static dip_status place_tensors(dip_safetensors *file, const uint8_t *data, uint64_t length,
                                const char *name)
{
    uint64_t at = 0;
    size_t n = file->entry_count;
    if (n) qsort(file->entries, n, sizeof *file->entries, by_offset);
    for (size_t i = 0; i < n; i++) {
        dip_safetensors_entry *entry = &file->entries[i];
        if (entry->begin != at)
            return dip_fail(
                DIP_EFORMAT, "'%s': tensor '%s' begins at byte %llu of the data, expected %llu",
                name, entry->name, (unsigned long long)entry->begin, (unsigned long long)at);
        if (entry->end > length)
            return dip_fail(
                DIP_ECORRUPT,
                "'%s' is cut off: tensor '%s' ends at byte %llu of the data, which has %llu", name,
                entry->name, (unsigned long long)entry->end, (unsigned long long)length);
        entry->bytes = data + entry->begin;
        at = entry->end;
    }
    if (at != length)
        return dip_fail(DIP_EFORMAT, "'%s': %llu bytes after the last tensor", name,
                        (unsigned long long)(length - at));
    return DIP_OK;
}

static dip_status index_names(dip_safetensors *file, const char *name)
{
    size_t n = file->entry_count;
    file->by_name = dip_alloc((n ? n : 1) * sizeof *file->by_name);
    if (!file->by_name) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) file->by_name[i] = &file->entries[i];
    if (n) qsort(file->by_name, n, sizeof *file->by_name, by_name);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(file->by_name[i - 1]->name, file->by_name[i]->name))
            return dip_fail(DIP_EFORMAT, "'%s': tensor '%s' comes twice", name,
                            file->by_name[i]->name);
    return DIP_OK;
}

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

/* ---- checksum ---- */

static const char checksum_mark[] = "{\"__metadata__\":{\"checksum\":\"";
enum { CHECKSUM_AT = 8 + sizeof checksum_mark - 1, CHECKSUM_DIGITS = 16 };

static void checksum_of(const uint8_t *bytes, size_t length, char digits[CHECKSUM_DIGITS + 1])
{
    size_t rest = CHECKSUM_AT + CHECKSUM_DIGITS;
    uint64_t hash = dip_hash64_seed(bytes + rest, length - rest, dip_hash64(bytes, CHECKSUM_AT));
    snprintf(digits, CHECKSUM_DIGITS + 1, "%016llx", (unsigned long long)hash);
}

/* A file of another program has none, and is taken as it is. */
static dip_status check_checksum(const uint8_t *bytes, size_t length, const char *name)
{
    char digits[CHECKSUM_DIGITS + 1];
    if (length < CHECKSUM_AT + CHECKSUM_DIGITS ||
        memcmp(bytes + 8, checksum_mark, sizeof checksum_mark - 1) != 0)
        return DIP_OK;
    checksum_of(bytes, length, digits);
    if (!memcmp(bytes + CHECKSUM_AT, digits, CHECKSUM_DIGITS)) return DIP_OK;
    return dip_fail(DIP_ECORRUPT, "'%s' is damaged: its checksum does not match", name);
}

static dip_status parse(dip_safetensors *file, const uint8_t *bytes, size_t length,
                        const char *name)
{
    if (length < 8)
        return dip_fail(DIP_EFORMAT, "'%s' is not a safetensors file: %zu bytes", name, length);
    uint64_t header = read_u64(bytes);
    if (header > DIP_SAFETENSORS_HEADER)
        return dip_fail(DIP_EFORMAT, "'%s' is not a safetensors file: a header of %llu bytes", name,
                        (unsigned long long)header);
    if (header > length - 8)
        return dip_fail(DIP_ECORRUPT,
                        "'%s' is cut off in its header (%llu bytes of it are missing)", name,
                        (unsigned long long)(header - (length - 8)));
    file->header = dip_alloc(header + 1);
    if (!file->header) return DIP_ENOMEM;
    memcpy(file->header, bytes + 8, header);
    scan s = {file->header, file->header + header, file->header, name, file};
    dip_status status = scan_header(&s);
    if (!status) status = place_tensors(file, bytes + 8 + header, length - 8 - header, name);
    if (!status) status = index_names(file, name);
    return status ? status : check_checksum(bytes, length, name);
}

dip_status dip_safetensors_parse(dip_safetensors **out, const void *bytes, size_t length,
                                 const char *name)
{
    dip_safetensors *file = dip_calloc(1, sizeof *file);
    if (!file) return DIP_ENOMEM;
    dip_status status = parse(file, bytes, length, name);
    if (status)
        dip_safetensors_close(file);
    else
        *out = file;
    return status;
}

dip_status dip_safetensors_open(dip_safetensors **out, const char *path)
{
    dip_map map = {0};
    dip_safetensors *file = NULL;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    status = dip_safetensors_parse(&file, map.bytes, map.length, path);
    if (status) {
        dip_file_unmap(&map);
        return status;
    }
    file->map = map;
    *out = file;
    return DIP_OK;
}

void dip_safetensors_close(dip_safetensors *file)
{
    if (!file) return;
    dip_file_unmap(&file->map);
    dip_free(file->header);
    dip_free(file->entries);
    dip_free(file->by_name);
    dip_free(file->texts);
    dip_free(file);
}

size_t dip_safetensors_count(const dip_safetensors *file) { return file->entry_count; }

const dip_safetensors_entry *dip_safetensors_at(const dip_safetensors *file, size_t position)
{
    return &file->entries[position];
}

const dip_safetensors_entry *dip_safetensors_find(const dip_safetensors *file, const char *name)
{
    const dip_safetensors_entry key = {.name = name}, *wanted = &key;
    if (!file->entry_count) return NULL;
    const dip_safetensors_entry **found =
        bsearch(&wanted, file->by_name, file->entry_count, sizeof *file->by_name, by_name);
    return found ? *found : NULL;
}

const char *dip_safetensors_metadata(const dip_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->text_count; i++)
        if (!strcmp(file->texts[i].key, key)) return file->texts[i].value;
    return NULL;
}

/* ---- values ---- */

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
             mantissa = half & 1023;
    float value;
    if (exponent == 0) { /* zero and subnormal: mantissa * 2^-24 */
        value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    uint32_t bits = sign | mantissa << 13 | (exponent == 31 ? 255u : exponent + 112) << 23;
    memcpy(&value, &bits, sizeof value);
    return value;
}

dip_status dip_safetensors_floats(const dip_safetensors_entry *entry, float *out)
{
    if (!strcmp(entry->dtype, "F32")) {
        if (entry->count) memcpy(out, entry->bytes, entry->count * sizeof *out);
        return DIP_OK;
    }
    bool brain = !strcmp(entry->dtype, "BF16");
    if (!brain && strcmp(entry->dtype, "F16") != 0)
        return dip_fail(DIP_ENOTSUP, "tensor '%s' is of type %s; F32, F16 and BF16 can be read",
                        entry->name, entry->dtype);
    for (uint64_t i = 0; i < entry->count; i++) {
        uint16_t value = (uint16_t)(entry->bytes[2 * i] | entry->bytes[2 * i + 1] << 8);
        uint32_t bits = (uint32_t)value << 16;
        if (brain)
            memcpy(&out[i], &bits, sizeof bits);
        else
            out[i] = half_to_float(value);
    }
    return DIP_OK;
}

/* ---- writer ---- */

static void write_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(to, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            fprintf(to, "\\u%04x", *p);
        else
            fputc(*p, to);
    }
    fputc('"', to);
}

static uint64_t tensor_bytes(const dip_safetensors_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
    return count * sizeof(float);
}

static void write_header(FILE *to, const dip_safetensors_tensor *tensors, size_t tensor_count,
                         const dip_safetensors_text *texts, size_t text_count)
{
    uint64_t at = 0;
    fprintf(to, "%s%0*d\"", checksum_mark, (int)CHECKSUM_DIGITS, 0); /* filled in at the end */
    for (size_t i = 0; i < text_count; i++) {
        fputc(',', to);
        write_string(to, texts[i].key);
        fputc(':', to);
        write_string(to, texts[i].value);
    }
    fputs(tensor_count ? "}," : "}", to);
    for (size_t i = 0; i < tensor_count; i++) {
        const dip_safetensors_tensor *tensor = &tensors[i];
        uint64_t end = at + tensor_bytes(tensor);
        if (i) fputc(',', to);
        write_string(to, tensor->name);
        fputs(":{\"dtype\":\"F32\",\"shape\":[", to);
        for (uint32_t k = 0; k < tensor->rank; k++)
            fprintf(to, k ? ",%llu" : "%llu", (unsigned long long)tensor->shape[k]);
        fprintf(to, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                (unsigned long long)end);
        at = end;
    }
    fputc('}', to);
}

/* The header goes first with a length of 0, which is filled in once it is known. */
static bool write_front(FILE *to, const dip_safetensors_tensor *tensors, size_t tensor_count,
                        const dip_safetensors_text *texts, size_t text_count)
{
    uint8_t prefix[8] = {0};
    if (fwrite(prefix, 1, 8, to) != 8) return false;
    write_header(to, tensors, tensor_count, texts, text_count);
    long at = ftell(to);
    for (; at >= 0 && at % 8; at++) fputc(' ', to); /* the data begins at a multiple of 8 */
    if (at < 8 || fseek(to, 0, SEEK_SET)) return false;
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)((uint64_t)(at - 8) >> 8 * i);
    return fwrite(prefix, 1, 8, to) == 8 && !fseek(to, at, SEEK_SET);
}

static dip_status write_all(FILE *to, const char *path, const dip_safetensors_tensor *tensors,
                            size_t tensor_count, const dip_safetensors_text *texts,
                            size_t text_count)
{
    bool good = write_front(to, tensors, tensor_count, texts, text_count);
    for (size_t i = 0; good && i < tensor_count; i++) {
        size_t bytes = tensor_bytes(&tensors[i]);
        good = !bytes || fwrite(tensors[i].values, 1, bytes, to) == bytes;
    }
    return good ? DIP_OK : dip_fail_errno("write", path);
}

/* Reads back what was written: the checksum then holds for the bytes on disk. */
static dip_status write_checksum(dip_aside *file)
{
    char digits[CHECKSUM_DIGITS + 1];
    dip_map map;
    if (fflush(file->stream)) return dip_fail_errno("write", file->path);
    dip_status status = dip_file_map(&map, file->partial);
    if (status) return status;
    checksum_of(map.bytes, map.length, digits);
    dip_file_unmap(&map);
    bool good = !fseek(file->stream, CHECKSUM_AT, SEEK_SET) && fputs(digits, file->stream) >= 0;
    return good ? DIP_OK : dip_fail_errno("write", file->path);
}

dip_status dip_safetensors_write(const char *path, const dip_safetensors_tensor *tensors,
                                 size_t tensor_count, const dip_safetensors_text *texts,
                                 size_t text_count)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    status = write_all(file.stream, path, tensors, tensor_count, texts, text_count);
    if (!status) status = write_checksum(&file);
    if (status) {
        dip_file_abandon(&file);
        return status;
    }
    return dip_file_commit(&file);
}
