/* Times; see when.h. */
#define _GNU_SOURCE
#include "core/when.h"

#include <diptych/tile.h>

#include "core/acquired.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool civil(int64_t time, struct tm *out)
{
    time_t t = (time_t)time;
    return time != DIP_NO_TIME && gmtime_r(&t, out);
}

void dip_when_format(int64_t time, char *out, size_t capacity)
{
    struct tm tm;
    *out = '\0';
    if (civil(time, &tm)) strftime(out, capacity, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void dip_when_format_short(int64_t time, char *out, size_t capacity)
{
    struct tm tm;
    *out = '\0';
    if (!civil(time, &tm)) return;
    bool midnight = !tm.tm_hour && !tm.tm_min && !tm.tm_sec;
    strftime(out, capacity, midnight ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* "YYYY" (4 characters) or "YYYY-MM" (7), digits where they belong. */
static bool year_or_month(const char *text, int *year, int *month)
{
    size_t length = strlen(text);
    if (length != 4 && length != 7) return false;
    for (size_t i = 0; i < length; i++)
        if (i == 4 ? text[i] != '-' : !isdigit((unsigned char)text[i])) return false;
    *month = 0;
    sscanf(text, length == 4 ? "%4d" : "%4d-%2d", year, month);
    return length == 4 || (*month >= 1 && *month <= 12);
}

static bool first_of(int year, int month, int64_t *time)
{
    char text[40];
    snprintf(text, sizeof text, "%04d-%02d-01", year + (month - 1) / 12, (month - 1) % 12 + 1);
    return dip_acquired_parse(text, time);
}

bool dip_when_span(const char *text, int64_t *first, int64_t *last)
{
    int year, month;
    if (year_or_month(text, &year, &month)) {
        int next = month ? month + 1 : 13;
        if (!first_of(year, month ? month : 1, first) || !first_of(year, next, last)) return false;
        (*last)--;
        return true;
    }
    if (!dip_acquired_parse(text, first)) return false;
    *last = *first + (strlen(text) <= 10 ? 86399 : 0);
    return true;
}

static bool is_open(const char *text) { return !*text || !strcmp(text, ".."); }

dip_status dip_when_interval(const char *text, int64_t *from, int64_t *to)
{
    char begin[64];
    int64_t unused;
    const char *slash = strchr(text, '/'), *end = slash ? slash + 1 : text;
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof begin) length = sizeof begin - 1;
    memcpy(begin, text, length);
    begin[length] = '\0';
    *from = *to = DIP_NO_TIME;
    bool fine = slash ? is_open(begin) || dip_when_span(begin, from, &unused)
                      : dip_when_span(begin, from, &unused);
    if (slash ? !is_open(end) : true) fine = fine && dip_when_span(end, &unused, to);
    if (!fine)
        return dip_fail(DIP_EINVAL,
                        "datetime '%s' is neither a time nor a range like 2017-06-01/2017-08-31",
                        text);
    if (*from != DIP_NO_TIME && *to != DIP_NO_TIME && *from > *to)
        return dip_fail(DIP_EINVAL, "datetime '%s' ends before it begins", text);
    return DIP_OK;
}
