/**
 * Writes JSON to a stream, value by value, commas and quoting taken care of. Inside an object each value has a key;
 * inside an array the key is NULL. One thread at a time a stream. Text that is not UTF-8 comes out with U+FFFD in its place.
 * The stream has all of it when the outermost value has ended.
 */
#ifndef FRONT_JSON_H
#define FRONT_JSON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { DIP_JSON_DEPTH = 16, DIP_JSON_ROOM = 1024 };

typedef struct dip_json {
    FILE *out;
    bool pretty;         /* a line a value, indented */
    unsigned line_depth; /* values at this depth begin a line; 0: none */
    unsigned depth;
    char closer[DIP_JSON_DEPTH];
    bool filled[DIP_JSON_DEPTH]; /* something stands at this depth already */
    size_t held;                 /* bytes that the stream does not have yet */
    char room[DIP_JSON_ROOM];
} dip_json;

void dip_json_start(dip_json *json, FILE *out);
void dip_json_object(dip_json *json, const char *key);
void dip_json_array(dip_json *json, const char *key);
/** Ends the innermost object or array; the outermost one ends its line too. */
void dip_json_end(dip_json *json);

void dip_json_text(dip_json *json, const char *key, const char *text);
/** A text put together: each "%s", the only conversion that there is, is the next argument. */
void dip_json_print(dip_json *json, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void dip_json_print_list(dip_json *json, const char *key, const char *format, va_list args);
void dip_json_whole(dip_json *json, const char *key, int64_t value);
void dip_json_count(dip_json *json, const char *key, uint64_t value);
/** `decimals` behind the point; NAN and infinities are null. */
void dip_json_real(dip_json *json, const char *key, double value, int decimals);
void dip_json_flag(dip_json *json, const char *key, bool value);
void dip_json_null(dip_json *json, const char *key);
/** "a|b" as ["a","b"]. */
void dip_json_list(dip_json *json, const char *key, const char *list);
/** An object that is JSON text already, its numbers to 15 digits; leaves it out if it is none. */
void dip_json_embed(dip_json *json, const char *key, const char *text);
/**
 * The members of such an object, as members of the one that is open. `take` is asked for each: its key, the value as JSON.
 */
void dip_json_members(dip_json *json, const char *text,
                      bool (*take)(void *context, const char *key, const char *value),
                      void *context);

#endif
