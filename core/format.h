/** Numbers for people, and from them. What does not fit `out` is cut. */
#ifndef CORE_FORMAT_H
#define CORE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/** "1 m 50 s", "3 h 05 m", "12 s", "0.3 s" into `out`. */
void dip_format_seconds(double seconds, char *out, size_t capacity);
/** A whole number with thousands separated by commas. */
void dip_format_count(unsigned long long value, char *out, size_t capacity);
/** "1 tile", "3,700 tiles": dip_format_count() with the noun, which takes an s unless it is one. */
void dip_format_things(unsigned long long n, const char *noun, char *out, size_t capacity);
/** "1.8 GB", "312 B" (powers of 1000). */
void dip_format_bytes(unsigned long long bytes, char *out, size_t capacity);
/** "8G", "500 MB", "1e9": bytes, by powers of 1000; 0 if it is none. */
uint64_t dip_bytes_parse(const char *text);

#endif
