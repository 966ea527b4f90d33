/*
 * NumPy's .npy files; see npy.h. The header is read as the literal that numpy writes: a dict of three keys in any order, each
 * once, with blanks where Python allows them.
 */
#include "storage/npy.h"

#include "core/status.h"
#include "core/half.h"

#include <string.h>

enum { PREFIX = 8, WORD = 16, MOST_HEADER = 1 << 16 };

/* ---- the dict ---- */

/* What is left of the header. */
typedef struct cursor {
    const char *at, *end;
} cursor;

typedef struct header {
    char descr[WORD];
    bool has_descr, has_order, has_shape, fortran;
    size_t rank, shape[2];
} header;

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n')) c->at++;
}

static bool take(cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    size_t length = strlen(word);
    skip_blanks(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

/* A text in single or double quotes, without escapes. */
static bool take_text(cursor *c, char *out)
{
    size_t n = 0;
    skip_blanks(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    char quote = *c->at++;
    while (c->at < c->end && *c->at != quote && n + 1 < WORD) out[n++] = *c->at++;
    out[n] = '\0';
    return take(c, quote);
}

static bool take_size(cursor *c, size_t *out)
{
    size_t value = 0;
    skip_blanks(c);
    const char *begin = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        size_t digit = (size_t)(*c->at - '0');
        if (value > (SIZE_MAX - digit) / 10) return false;
        value = 10 * value + digit;
    }
    *out = value;
    return c->at > begin;
}

/* "(3, 4)", "(4,)", "()"; further sizes are counted, not kept. */
static bool take_shape(cursor *c, header *h)
{
    if (!take(c, '(')) return false;
    while (!take(c, ')')) {
        size_t size;
        if (!take_size(c, &size)) return false;
        if (h->rank < 2) h->shape[h->rank] = size;
        h->rank++;
        if (!take(c, ',')) return take(c, ')');
    }
    return true;
}

static bool take_entry(cursor *c, header *h)
{
    char key[WORD];
    if (!take_text(c, key) || !take(c, ':')) return false;
    if (!strcmp(key, "descr") && !h->has_descr) {
        h->has_descr = true;
        return take_text(c, h->descr);
    }
    if (!strcmp(key, "fortran_order") && !h->has_order) {
        h->has_order = true;
        h->fortran = take_word(c, "True");
        return h->fortran || take_word(c, "False");
    }
    if (!strcmp(key, "shape") && !h->has_shape) {
        h->has_shape = true;
        return take_shape(c, h);
    }
    return false;
}

static bool read_dict(const char *text, size_t length, header *h)
{
    cursor c = {text, text + length};
    if (!take(&c, '{')) return false;
    while (!take(&c, '}')) {
        if (!take_entry(&c, h)) return false;
        if (!take(&c, ',') && (c.at == c.end || *c.at != '}')) return false;
    }
    skip_blanks(&c);
    return c.at == c.end && h->has_descr && h->has_order && h->has_shape;
}

/* ---- the file ---- */

static dip_status check_header(const header *h, const char *name, dip_npy *out)
{
    out->half = !strcmp(h->descr, "<f2");
    if (!out->half && strcmp(h->descr, "<f4") != 0)
        return dip_fail(DIP_ENOTSUP,
                        "'%s' holds values of type '%s'; save them as float32 or float16: "
                        "numpy.save(file, a.astype('<f4'))",
                        name, h->descr);
    if (h->rank < 1 || h->rank > 2)
        return dip_fail(DIP_ENOTSUP, "'%s' has %zu dimensions; a table (rows, values) is needed",
                        name, h->rank);
    if (h->fortran && h->rank == 2)
        return dip_fail(DIP_ENOTSUP,
                        "'%s' is stored column after column (Fortran order); save it row after "
                        "row: numpy.save(file, numpy.ascontiguousarray(a))",
                        name);
    out->rows = h->rank == 2 ? h->shape[0] : 1;
    out->dim = h->shape[h->rank - 1];
    return DIP_OK;
}

static dip_status check_length(const dip_npy *npy, size_t left, const char *name)
{
    size_t size = npy->half ? 2 : 4;
    if (!npy->rows || !npy->dim)
        return dip_fail(DIP_EFORMAT, "'%s' is empty: %zu rows of %zu values", name, npy->rows,
                        npy->dim);
    if (npy->dim > SIZE_MAX / size / npy->rows)
        return dip_fail(DIP_EFORMAT, "'%s': its header says %zu rows of %zu values", name,
                        npy->rows, npy->dim);
    size_t needed = npy->rows * npy->dim * size;
    if (needed == left) return DIP_OK;
    return dip_fail(DIP_ECORRUPT,
                    "'%s' has %zu bytes of values, its header says %zu rows of %zu: %zu bytes; it "
                    "was cut off or is still being written",
                    name, left, npy->rows, npy->dim, needed);
}

dip_status dip_npy_parse(dip_npy *out, const void *bytes, size_t length, const char *name)
{
    const uint8_t *p = bytes;
    dip_npy npy = {.rows = 0};
    header h = {.rank = 0};
    if (length < PREFIX + 4 || memcmp(p, "\x93NUMPY", 6) != 0)
        return dip_fail(DIP_EFORMAT, "'%s' is no .npy file", name);
    if (p[6] < 1 || p[6] > 3)
        return dip_fail(DIP_EFORMAT, "'%s' is of version %d of the .npy format; 1 to 3 are known",
                        name, p[6]);
    size_t lead = p[6] == 1 ? PREFIX + 2 : PREFIX + 4, header_length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) header_length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (header_length > MOST_HEADER || header_length > length - lead)
        return dip_fail(DIP_EFORMAT, "'%s': its header would be %zu bytes long", name,
                        header_length);
    if (!read_dict((const char *)p + lead, header_length, &h))
        return dip_fail(DIP_EFORMAT, "'%s': its header is not the one of a plain array", name);
    dip_status status = check_header(&h, name, &npy);
    if (!status) status = check_length(&npy, length - lead - header_length, name);
    if (status) return status;
    npy.values = p + lead + header_length;
    *out = npy;
    return DIP_OK;
}

dip_status dip_npy_open(dip_npy *out, const char *path)
{
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    status = map.bytes ? dip_npy_parse(out, map.bytes, map.length, path)
                       : dip_fail(DIP_EFORMAT, "'%s' is an empty file", path);
    if (status)
        dip_file_unmap(&map);
    else
        out->map = map;
    return status;
}

void dip_npy_close(dip_npy *npy)
{
    dip_file_unmap(&npy->map);
    *npy = (dip_npy){.rows = 0};
}

void dip_npy_read(const dip_npy *npy, size_t first, size_t count, float *out)
{
    size_t n = count * npy->dim, at = first * npy->dim;
    if (npy->half)
        dip_half_unpack(out, npy->values + 2 * at, n);
    else
        memcpy(out, npy->values + 4 * at, n * sizeof *out);
}

void dip_npy_heading(FILE *out, size_t rows, size_t dim)
{
    char text[128];
    int length =
        snprintf(text, sizeof text,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, dim);
    int padded = (10 + length + 1 + 63) / 64 * 64 - 10;
    fwrite("\x93NUMPY\x01\x00", 1, 8, out);
    fputc(padded & 255, out);
    fputc(padded >> 8, out);
    fprintf(out, "%s%*s\n", text, padded - length - 1, "");
}
