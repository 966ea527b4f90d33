/* Numbers for people; see format.h. */
#include "core/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dip_format_seconds(double seconds, char *out, size_t capacity)
{
    unsigned long s = seconds < 0 ? 0 : (unsigned long)(seconds + 0.5);
    if (seconds > 0 && seconds < 9.95)
        snprintf(out, capacity, "%.1f s", seconds);
    else if (s < 60)
        snprintf(out, capacity, "%lu s", s);
    else if (s < 3600)
        snprintf(out, capacity, "%lu m %02lu s", s / 60, s % 60);
    else
        snprintf(out, capacity, "%lu h %02lu m", s / 3600, s / 60 % 60);
}

void dip_format_count(unsigned long long value, char *out, size_t capacity)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%llu", value);
    size_t o = 0;
    for (int i = 0; i < n && o + 2 < capacity; i++) {
        if (i && (n - i) % 3 == 0) out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = '\0';
}

void dip_format_things(unsigned long long n, const char *noun, char *out, size_t capacity)
{
    char count[32];
    dip_format_count(n, count, sizeof count);
    snprintf(out, capacity, "%s %s%s", count, noun, n == 1 ? "" : "s");
}

void dip_format_bytes(unsigned long long bytes, char *out, size_t capacity)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(out, capacity, unit && value < 99.5 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

uint64_t dip_bytes_parse(const char *text)
{
    static const char units[] = "kMGT";
    char *end;
    double size = strtod(text, &end);
    while (*end == ' ') end++;
    const char *unit = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
    for (const char *u = units; unit && u <= unit; u++) size *= 1000;
    if (unit) end++;
    if (*end == 'B') end++;
    return end != text && !*end && size >= 1 && size < 1e18 ? (uint64_t)size : 0;
}
