/* JSON on a stream; see json.h. jansson checks and normalises text that is to be embedded. */
#include "front/json.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void dip_json_start(dip_json *json, FILE *out) { *json = (dip_json){.out = out}; }

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

/* Runs of plain characters are written in one go. */
static void quote_n(FILE *out, const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + length, *plain = p;
    fputc('"', out);
    while (p < end) {
        size_t n = sequence(p);
        if (n && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f) {
            p += n;
            continue;
        }
        fwrite(plain, 1, (size_t)(p - plain), out);
        if (!n)
            fputs("\xef\xbf\xbd", out);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else
            fprintf(out, "\\u%04x", *p);
        plain = ++p;
    }
    fwrite(plain, 1, (size_t)(p - plain), out);
    fputc('"', out);
}

static void quote(FILE *out, const char *text) { quote_n(out, text, strlen(text)); }

/* What stands before a value: comma, line and indentation, key. */
static void begin_value(dip_json *json, const char *key)
{
    if (!json->depth) return;
    bool *filled = &json->filled[json->depth - 1];
    if (*filled) fputc(',', json->out);
    *filled = true;
    if (json->pretty)
        fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
    else if (json->depth == json->line_depth)
        fputc('\n', json->out);
    if (!key) return;
    quote(json->out, key);
    fputs(json->pretty ? ": " : ":", json->out);
}

static void open_nested(dip_json *json, const char *key, char opener, char closer)
{
    assert(json->depth < DIP_JSON_DEPTH);
    begin_value(json, key);
    fputc(opener, json->out);
    json->closer[json->depth] = closer;
    json->filled[json->depth++] = false;
}

void dip_json_object(dip_json *json, const char *key) { open_nested(json, key, '{', '}'); }
void dip_json_array(dip_json *json, const char *key) { open_nested(json, key, '[', ']'); }

void dip_json_end(dip_json *json)
{
    assert(json->depth);
    json->depth--;
    if (json->pretty && json->filled[json->depth])
        fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
    fputc(json->closer[json->depth], json->out);
    if (!json->depth) fputc('\n', json->out);
}

void dip_json_text(dip_json *json, const char *key, const char *text)
{
    begin_value(json, key);
    quote(json->out, text);
}

void dip_json_whole(dip_json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%lld", (long long)value);
}

void dip_json_count(dip_json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%llu", (unsigned long long)value);
}

void dip_json_real(dip_json *json, const char *key, double value, int decimals)
{
    begin_value(json, key);
    if (isfinite(value))
        fprintf(json->out, "%.*f", decimals, value == 0 ? 0.0 : value);
    else
        fputs("null", json->out);
}

void dip_json_flag(dip_json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void dip_json_null(dip_json *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->out);
}

void dip_json_list(dip_json *json, const char *key, const char *list)
{
    bool first = true;
    begin_value(json, key);
    fputc('[', json->out);
    while (*list) {
        size_t n = strcspn(list, "|");
        if (!first) fputc(',', json->out);
        quote_n(json->out, list, n);
        first = false;
        list += n + (list[n] == '|');
    }
    fputc(']', json->out);
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
        fputs(compact, json->out);
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
            fputs(compact, json->out);
        }
        free(compact);
    }
    json_decref(object);
}
