/* Acquisition times; see acquired.h. A cursor runs over the text; each step takes what it expects or fails. */
#include "core/acquired.h"

#include <string.h>

typedef struct moment {
    int year, month, day, hour, minute, second;
} moment;

/* Takes exactly `digits` digits. */
static bool take(const char **cursor, int digits, int *value)
{
    int sum = 0;
    for (int i = 0; i < digits; i++, (*cursor)++) {
        if (**cursor < '0' || **cursor > '9') return false;
        sum = sum * 10 + (**cursor - '0');
    }
    *value = sum;
    return true;
}

static bool skip(const char **cursor, char expected)
{
    if (**cursor != expected) return false;
    (*cursor)++;
    return true;
}

static bool leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static bool date_is_valid(const moment *m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (m->year < 1 || m->month < 1 || m->month > 12 || m->day < 1) return false;
    return m->day <= days[m->month - 1] + (m->month == 2 && leap(m->year));
}

/* Whole days before a year, counted from the year 1. */
static int64_t days_before(int64_t year)
{
    int64_t y = year - 1;
    return 365 * y + y / 4 - y / 100 + y / 400;
}

static int64_t seconds_of(const moment *m)
{
    static const int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = days_before(m->year) - days_before(1970) + before_month[m->month - 1] +
                   (m->month > 2 && leap(m->year)) + m->day - 1;
    return ((days * 24 + m->hour) * 60 + m->minute) * 60 + m->second;
}

static bool take_date(const char **cursor, char separator, moment *m)
{
    return take(cursor, 4, &m->year) && skip(cursor, separator) && take(cursor, 2, &m->month) &&
           skip(cursor, separator) && take(cursor, 2, &m->day) && date_is_valid(m);
}

/* hh:mm[:ss[.fraction]] */
static bool take_clock(const char **cursor, moment *m)
{
    if (!take(cursor, 2, &m->hour) || !skip(cursor, ':') || !take(cursor, 2, &m->minute))
        return false;
    if (skip(cursor, ':')) {
        if (!take(cursor, 2, &m->second)) return false;
        if (**cursor == '.' || **cursor == ',') {
            int digit;
            (*cursor)++;
            if (!take(cursor, 1, &digit)) return false;
            while (take(cursor, 1, &digit)) {
            }
        }
    }
    return m->hour < 24 && m->minute < 60 && m->second <= 60;
}

/* "", "Z", "+hh:mm", "+hhmm", "+hh", to the end of the text. */
static bool take_offset(const char **cursor, int64_t *offset)
{
    *offset = 0;
    int sign = **cursor == '-' ? -1 : 1, hours = 0, minutes = 0;
    if (skip(cursor, 'Z') || skip(cursor, 'z')) return **cursor == '\0';
    if (**cursor == '+' || **cursor == '-') {
        (*cursor)++;
        if (!take(cursor, 2, &hours)) return false;
        if (skip(cursor, ':') || **cursor) {
            if (!take(cursor, 2, &minutes)) return false;
        }
        *offset = sign * (hours * 3600 + minutes * 60);
    }
    return **cursor == '\0' && hours <= 14 && minutes < 60;
}

bool dip_acquired_parse(const char *text, int64_t *seconds)
{
    moment m = {0};
    int64_t offset = 0;
    if (!take_date(&text, '-', &m)) return false;
    if (*text) {
        if (*text != 'T' && *text != 't' && *text != ' ') return false;
        text++;
        if (!take_clock(&text, &m) || !take_offset(&text, &offset)) return false;
    }
    *seconds = seconds_of(&m) - offset;
    return true;
}

bool dip_acquired_parse_tiff(const char *text, int64_t *seconds)
{
    moment m = {0};
    if (!take_date(&text, ':', &m) || !skip(&text, ' ') || !take_clock(&text, &m) || *text)
        return false;
    *seconds = seconds_of(&m);
    return true;
}

bool dip_acquired_parse_compact(const char *text, int64_t *seconds)
{
    moment m = {0};
    if (!take(&text, 4, &m.year) || !take(&text, 2, &m.month) || !take(&text, 2, &m.day) ||
        !date_is_valid(&m) || !skip(&text, 'T'))
        return false;
    size_t digits = strspn(text, "0123456789");
    if (digits != 5 && digits != 6) return false;
    if (!take(&text, digits == 5 ? 1 : 2, &m.hour) || !take(&text, 2, &m.minute) ||
        !take(&text, 2, &m.second))
        return false;
    if (m.hour >= 24 || m.minute >= 60) return false;
    *seconds = seconds_of(&m);
    return true;
}
