/*
 * JSON on a stream; see json.h. jansson checks and normalises text that is to be embedded.
 *
 * An answer of a server is thousands of short writes: they are gathered before the stream gets them, and numbers and addresses
 * are made by hand, since printf works with all the digits that a double could have, and slowly where a library (libquadmath)
 * has taught it conversions of its own.
 */
#define _GNU_SOURCE
#include "front/json.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void dip_json_start(dip_json *json, FILE *out)
{
    memset(json, 0, offsetof(dip_json, room));
    json->out = out;
}

static void flush(dip_json *json)
{
    fwrite(json->room, 1, json->held, json->out);
    json->held = 0;
}

static void put(dip_json *json, const char *bytes, size_t n)
{
    if (json->held + n > sizeof json->room) flush(json);
    if (n > sizeof json->room) {
        fwrite(bytes, 1, n, json->out);
        return;
    }
    memcpy(json->room + json->held, bytes, n);
    json->held += n;
}

static void put_char(dip_json *json, char c) { put(json, &c, 1); }

enum { NUMBER = 40 }; /* bytes of a number, at most */

/* Digits of a whole number, at least so many, behind which `end` points; returns where they begin. */
static char *digits(char *end, uint64_t value, int least)
{
    for (; value || least > 0; least--, value /= 10) *--end = (char)('0' + value % 10);
    return end;
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* Length of the UTF-8 sequence at p, 0 if it is none (also for surrogates and overlong forms). */
static size_t sequence(const unsigned char *p)
{
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (!n || p[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return n;
}

/* Bit 7 of each byte of x that is 0, and perhaps of bytes behind such a one. */
static uint64_t zeros(uint64_t x) { return (x - EACH(0x01)) & ~x & EACH(0x80); }

/* Bytes from p on that stand for themselves: printable ASCII but quote and backslash. Eight at a time, while all do. */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
    for (uint64_t x; end - p >= 8; p += 8) {
        memcpy(&x, p, 8);
        uint64_t low = (x - EACH(0x20)) & ~x;
        if (((low | x) & EACH(0x80)) | zeros(x ^ EACH(0x7f)) | zeros(x ^ EACH('"')) |
            zeros(x ^ EACH('\\')))
            break;
    }
    while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\') p++;
    return p;
}

/* What stands between quotes. */
static void put_text(dip_json *json, const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + length;
    char escape[8];
    while (p < end) {
        const unsigned char *begin = p;
        p = skip_plain(p, end);
        put(json, (const char *)begin, (size_t)(p - begin));
        if (p == end) break;
        size_t n = sequence(p);
        if (!n)
            put(json, "\xef\xbf\xbd", 3);
        else if (*p == '"' || *p == '\\')
            put(json, (char[]){'\\', (char)*p}, 2);
        else if (*p < 0x20 || *p == 0x7f)
            put(json, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *p));
        else
            put(json, (const char *)p, n);
        p += n ? n : 1;
    }
}

static void quote_n(dip_json *json, const char *text, size_t length)
{
    put_char(json, '"');
    put_text(json, text, length);
    put_char(json, '"');
}

static void quote(dip_json *json, const char *text) { quote_n(json, text, strlen(text)); }

static void put_indent(dip_json *json)
{
    put_char(json, '\n');
    for (unsigned i = 0; i < json->depth; i++) put(json, "  ", 2);
}

/* What stands before a value: comma, line and indentation, key. */
static void begin_value(dip_json *json, const char *key)
{
    if (!json->depth) return;
    bool *filled = &json->filled[json->depth - 1];
    if (*filled) put_char(json, ',');
    *filled = true;
    if (json->pretty)
        put_indent(json);
    else if (json->depth == json->line_depth)
        put_char(json, '\n');
    if (!key) return;
    quote(json, key);
    put(json, ": ", json->pretty ? 2 : 1);
}

static void open_nested(dip_json *json, const char *key, char opener, char closer)
{
    assert(json->depth < DIP_JSON_DEPTH);
    begin_value(json, key);
    put_char(json, opener);
    json->closer[json->depth] = closer;
    json->filled[json->depth++] = false;
}

void dip_json_object(dip_json *json, const char *key) { open_nested(json, key, '{', '}'); }
void dip_json_array(dip_json *json, const char *key) { open_nested(json, key, '[', ']'); }

void dip_json_end(dip_json *json)
{
    assert(json->depth);
    json->depth--;
    if (json->pretty && json->filled[json->depth]) put_indent(json);
    put_char(json, json->closer[json->depth]);
    if (json->depth) return;
    put_char(json, '\n');
    flush(json);
}

void dip_json_text(dip_json *json, const char *key, const char *text)
{
    begin_value(json, key);
    quote(json, text);
}

void dip_json_print_list(dip_json *json, const char *key, const char *format, va_list args)
{
    begin_value(json, key);
    put_char(json, '"');
    for (;;) {
        size_t n = strcspn(format, "%");
        put_text(json, format, n);
        if (!format[n]) break;
        assert(format[n + 1] == 's');
        const char *text = va_arg(args, const char *);
        put_text(json, text, strlen(text));
        format += n + 2;
    }
    put_char(json, '"');
}

void dip_json_print(dip_json *json, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dip_json_print_list(json, key, format, args);
    va_end(args);
}

void dip_json_whole(dip_json *json, const char *key, int64_t value)
{
    char text[NUMBER], *end = text + sizeof text;
    char *begin = digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);
    if (value < 0) *--begin = '-';
    begin_value(json, key);
    put(json, begin, (size_t)(end - begin));
}

void dip_json_count(dip_json *json, const char *key, uint64_t value)
{
    char text[NUMBER], *end = text + sizeof text, *begin = digits(end, value, 1);
    begin_value(json, key);
    put(json, begin, (size_t)(end - begin));
}

void dip_json_real(dip_json *json, const char *key, double value, int decimals)
{
    static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double size = fabs(value), whole = floor(size);
    begin_value(json, key);
    if (!isfinite(value)) {
        put(json, "null", 4);
        return;
    }
    if (decimals < 0 || decimals > 9 || whole >= 1e18) {
        char long_text[400];
        put(json, long_text,
            (size_t)snprintf(long_text, sizeof long_text, "%.*f", decimals, value));
        return;
    }
    double part = nearbyint((size - whole) * scales[decimals]);
    if (part >= scales[decimals]) {
        part = 0;
        whole++;
    }
    char text[NUMBER], *end = text + sizeof text;
    char *begin = digits(end, (uint64_t)part, decimals);
    if (decimals) *--begin = '.';
    begin = digits(begin, (uint64_t)whole, 1);
    if (value < 0) *--begin = '-';
    put(json, begin, (size_t)(end - begin));
}

void dip_json_flag(dip_json *json, const char *key, bool value)
{
    begin_value(json, key);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

void dip_json_null(dip_json *json, const char *key)
{
    begin_value(json, key);
    put(json, "null", 4);
}

void dip_json_list(dip_json *json, const char *key, const char *list)
{
    bool first = true;
    begin_value(json, key);
    put_char(json, '[');
    while (*list) {
        size_t n = strcspn(list, "|");
        if (!first) put_char(json, ',');
        quote_n(json, list, n);
        first = false;
        list += n + (list[n] == '|');
    }
    put_char(json, ']');
}

void dip_json_embed(dip_json *json, const char *key, const char *text)
{
    json_error_t error;
    json_t *value = *text ? json_loads(text, 0, &error) : NULL;
    char *compact =
        value ? json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15))
              : NULL;
    if (compact) {
        begin_value(json, key);
        put(json, compact, strlen(compact));
    }
    free(compact);
    json_decref(value);
}

void dip_json_members(dip_json *json, const char *text,
                      bool (*take)(void *context, const char *key, const char *value),
                      void *context)
{
    const char *key;
    json_t *value, *object = *text ? json_loads(text, 0, NULL) : NULL;
    json_object_foreach(object, key, value)
    {
        char *compact = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER |
                                              JSON_REAL_PRECISION(15));
        if (compact && take(context, key, compact)) {
            begin_value(json, key);
            put(json, compact, strlen(compact));
        }
        free(compact);
    }
    json_decref(object);
}
