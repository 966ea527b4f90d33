/* Counts; see aggregate.h. Tiles are counted by the day, and days are put together where they are many. */
#define _GNU_SOURCE
#include "search/aggregate.h"

#include "core/mem.h"
#include "search/engine.h"
#include "search/filter.h"

#include <string.h>
#include <time.h>

enum {
    DAY = 86400,
    MOST_SINGLE_DAYS = 93,
    MOST_DAYS_IN_MONTHS = 40 * 366,
    MOST_DAYS = 10000 * 366, /* times have years of four digits; what is further apart is damage */
};

static int64_t day_of(int64_t time) { return time >= 0 ? time / DAY : -((-time + DAY - 1) / DAY); }

static void count_row(dip_aggregate *out, const dip_columns *c, size_t row, uint64_t *lists)
{
    const int64_t time = c->times[row];
    out->tiles++;
    out->of[c->modalities[row]]++;
    lists[c->labels[row]]++;
    if (!*c->label_lists.texts[c->labels[row]]) out->unlabelled++;
    if (time == DIP_NO_TIME) {
        out->undated++;
        return;
    }
    if (out->first == DIP_NO_TIME || time < out->first) out->first = time;
    if (out->last == DIP_NO_TIME || time > out->last) out->last = time;
}

/* Calls count_row(), or counts the day of each row in days that begin with that of `first`. */
static void visit(const dip_columns *c, const uint64_t *rows, dip_aggregate *out, uint64_t *lists,
                  uint64_t *days)
{
    for (size_t w = 0; w < dip_filter_words(c); w++)
        for (uint64_t left = rows[w]; left; left &= left - 1) {
            const size_t row = w * 64 + (size_t)__builtin_ctzll(left);
            if (!days)
                count_row(out, c, row, lists);
            else if (c->times[row] != DIP_NO_TIME)
                days[day_of(c->times[row]) - day_of(out->first)]++;
        }
}

/* The first day of the period that a day is in. */
static int64_t begin_of(int64_t day, dip_interval interval)
{
    const time_t time = (time_t)(day * DAY);
    struct tm date;
    if (interval == DIP_BY_DAY || !gmtime_r(&time, &date)) return day * DAY;
    return (day - (interval == DIP_BY_YEAR ? date.tm_yday : date.tm_mday - 1)) * DAY;
}

static dip_status put_together(const uint64_t *days, size_t count, dip_aggregate *out)
{
    size_t capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (!days[i]) continue;
        const int64_t begin = begin_of(day_of(out->first) + (int64_t)i, out->interval);
        if (!out->period_count || out->periods[out->period_count - 1].begin != begin) {
            if (dip_array_reserve((void **)&out->periods, &capacity, out->period_count + 1,
                                  sizeof *out->periods))
                return DIP_ENOMEM;
            out->periods[out->period_count++] = (dip_period){begin, 0};
        }
        out->periods[out->period_count - 1].count += days[i];
    }
    return DIP_OK;
}

static dip_status count_periods(const dip_columns *c, const uint64_t *rows, dip_aggregate *out)
{
    if (out->first == DIP_NO_TIME) return DIP_OK;
    const int64_t count = day_of(out->last) - day_of(out->first) + 1;
    if (count > MOST_DAYS)
        return dip_fail(DIP_ECORRUPT, "times of tiles are %lld days apart; run verify",
                        (long long)count);
    out->interval = count <= MOST_SINGLE_DAYS      ? DIP_BY_DAY
                    : count <= MOST_DAYS_IN_MONTHS ? DIP_BY_MONTH
                                                   : DIP_BY_YEAR;
    uint64_t *days = dip_calloc((size_t)count, sizeof *days);
    if (!days) return DIP_ENOMEM;
    visit(c, rows, out, NULL, days);
    dip_status status = put_together(days, (size_t)count, out);
    dip_free(days);
    return status;
}

dip_status dip_aggregate_tiles(dip_search *search, const dip_browse_options *options,
                               dip_aggregate *out)
{
    const dip_columns *c = &search->columns;
    uint64_t *rows = NULL, *lists = dip_calloc(c->label_lists.count + 1, sizeof *lists);
    *out = (dip_aggregate){.first = DIP_NO_TIME, .last = DIP_NO_TIME};
    dip_status status = lists ? dip_browse_rows(search, options, &rows) : DIP_ENOMEM;
    if (!status) visit(c, rows, out, lists, NULL);
    if (!status) status = count_periods(c, rows, out);
    if (!status) status = dip_tally_make(&c->label_lists, lists, &out->labels, &out->label_count);
    dip_free(rows);
    dip_free(lists);
    if (status) dip_aggregate_fini(out);
    return status;
}

void dip_aggregate_fini(dip_aggregate *aggregate)
{
    dip_free(aggregate->periods);
    dip_tally_free(aggregate->labels, aggregate->label_count);
    *aggregate = (dip_aggregate){0};
}
