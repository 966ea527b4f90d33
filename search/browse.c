/*
 * Pages of tiles; see browse.h.
 *
 * Filters fill a bitmap over the rows, which is counted and then read from the page's first row on. A list of ids is turned
 * into such a bitmap too. Without either, the rows are walked until the page is full, and the count is that of the modalities.
 */
#include "search/browse.h"

#include "core/mem.h"
#include "core/sorted.h"
#include "core/words.h"
#include "search/engine.h"
#include "search/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- pages ---- */

static bool wanted(const dip_columns *columns, uint32_t modalities, size_t row)
{
    return columns->modalities[row] < DIP_MAX_MODALITIES &&
           (modalities >> columns->modalities[row] & 1);
}

/* *rows: bitmap of the rows that pass the filters, or NULL if there are none. */
static dip_status run_filters(dip_search *search, const dip_query *filters, uint64_t **rows)
{
    dip_filter *filter = NULL;
    *rows = NULL;
    if (!filters) return DIP_OK;
    dip_status status = dip_filter_create(&filter, &search->columns, &search->properties, filters);
    if (!status && filter) {
        *rows = dip_calloc(dip_filter_words(&search->columns) + 1, sizeof **rows);
        status = *rows ? dip_filter_run(filter, *rows) : DIP_ENOMEM;
    }
    dip_filter_destroy(filter);
    return status;
}

static void keep_modalities(const dip_columns *columns, uint32_t modalities, uint64_t *rows)
{
    for (size_t w = 0; w < dip_filter_words(columns); w++)
        for (uint64_t left = rows[w]; left; left &= left - 1) {
            size_t row = w * 64 + (size_t)__builtin_ctzll(left);
            if (row >= columns->count || !wanted(columns, modalities, row))
                rows[w] &= ~((uint64_t)1 << row % 64);
        }
}

static size_t first_row(const dip_columns *columns, uint64_t after)
{
    return after == DIP_NO_ID ? 0 : dip_ids_lower_bound(columns->ids, columns->count, after + 1);
}

/* Takes a row; false when the page is full. */
static bool take(dip_listing *out, size_t limit, uint64_t id)
{
    out->more = out->count == limit;
    if (!out->more) out->ids[out->count++] = id;
    return !out->more;
}

static void list_all(const dip_columns *columns, const dip_browse_options *o, dip_listing *out)
{
    for (uint32_t m = 0; m < DIP_MAX_MODALITIES; m++)
        if (o->modalities >> m & 1) out->matched += columns->modality_rows[m];
    for (size_t row = first_row(columns, o->after); row < columns->count; row++)
        if (wanted(columns, o->modalities, row) && !take(out, o->limit, columns->ids[row])) return;
}

static void list_rows(const dip_columns *columns, const dip_browse_options *o, const uint64_t *rows,
                      dip_listing *out)
{
    size_t words = dip_filter_words(columns), first = first_row(columns, o->after);
    for (size_t w = 0; w < words; w++) out->matched += (uint64_t)__builtin_popcountll(rows[w]);
    for (size_t w = first / 64; w < words; w++) {
        uint64_t left = rows[w];
        if (w == first / 64) left &= UINT64_MAX << first % 64;
        for (; left; left &= left - 1) {
            size_t row = w * 64 + (size_t)__builtin_ctzll(left);
            if (!take(out, o->limit, columns->ids[row])) return;
        }
    }
}

/* *rows: NULL if neither filters nor a list of ids say anything. */
static dip_status narrow(dip_search *search, const dip_browse_options *options, uint64_t **rows)
{
    const dip_columns *columns = &search->columns;
    dip_status status = run_filters(search, options->filters, rows);
    if (!status && options->only)
        status = dip_filter_keep_ids(columns, options->only, options->only_count, rows);
    if (!status && *rows) keep_modalities(columns, options->modalities, *rows);
    return status;
}

dip_status dip_browse_rows(dip_search *search, const dip_browse_options *options, uint64_t **rows)
{
    const dip_columns *columns = &search->columns;
    dip_status status = narrow(search, options, rows);
    if (!status && !*rows) {
        const size_t words = dip_filter_words(columns);
        *rows = dip_alloc((words + 1) * sizeof **rows);
        if (!*rows) return DIP_ENOMEM;
        memset(*rows, 0xFF, words * sizeof **rows);
        keep_modalities(columns, options->modalities, *rows);
    }
    if (!status) return DIP_OK;
    dip_free(*rows);
    *rows = NULL;
    return status;
}

dip_status dip_browse(dip_search *search, const dip_browse_options *options, dip_listing *out)
{
    const dip_columns *columns = &search->columns;
    uint64_t *rows;
    *out = (dip_listing){0};
    dip_status status = narrow(search, options, &rows);
    if (!status) {
        size_t most = options->limit < columns->count ? options->limit : columns->count;
        out->ids = dip_alloc((most + 1) * sizeof *out->ids);
        if (!out->ids) status = DIP_ENOMEM;
    }
    if (!status && rows)
        list_rows(columns, options, rows, out);
    else if (!status)
        list_all(columns, options, out);
    dip_free(rows);
    return status;
}

void dip_listing_fini(dip_listing *listing)
{
    dip_free(listing->ids);
    *listing = (dip_listing){0};
}

/* ---- extents ---- */

static void widen(dip_extent *e, const dip_columns *c, size_t row)
{
    if (c->south[row] > c->north[row]) return;
    bool crosses = c->west[row] > c->east[row];
    e->west = fmin(e->west, crosses ? -180 : c->west[row] / DIP_DEGREE);
    e->east = fmax(e->east, crosses ? 180 : c->east[row] / DIP_DEGREE);
    e->south = fmin(e->south, c->south[row] / DIP_DEGREE);
    e->north = fmax(e->north, c->north[row] / DIP_DEGREE);
}

static void lengthen(dip_extent *e, int64_t time)
{
    if (time == DIP_NO_TIME) return;
    if (e->first == DIP_NO_TIME || time < e->first) e->first = time;
    if (e->last == DIP_NO_TIME || time > e->last) e->last = time;
}

static int by_count(const void *a, const void *b)
{
    const dip_tally *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

dip_status dip_tally_make(const dip_words *texts, const uint64_t *rows, dip_tally **out, size_t *n)
{
    dip_words words = {0};
    size_t capacity = 0;
    dip_status status = DIP_OK;
    for (size_t t = 0; t < texts->count && !status; t++) {
        if (!rows[t]) continue;
        for (const char *at = texts->texts[t]; *at && !status;) {
            size_t length = strcspn(at, "|");
            uint32_t number;
            status = dip_words_add(&words, at, length, &number);
            if (!status && dip_array_reserve((void **)out, &capacity, words.count, sizeof **out))
                status = DIP_ENOMEM;
            if (!status && words.count > *n) (*out)[(*n)++] = (dip_tally){0};
            if (!status) (*out)[number].count += rows[t];
            at += length + (at[length] == '|');
        }
    }
    for (size_t i = 0; i < *n && !status; i++) {
        (*out)[i].name = dip_strdup(words.texts[i]);
        if (!(*out)[i].name) status = DIP_ENOMEM;
    }
    if (!status && *n) qsort(*out, *n, sizeof **out, by_count);
    dip_words_fini(&words);
    return status;
}

dip_status dip_extent_measure(dip_search *search, uint32_t modality, dip_extent *out)
{
    const dip_columns *c = &search->columns;
    uint64_t *labels = dip_calloc(c->label_lists.count + 1, sizeof *labels);
    uint64_t *splits = dip_calloc(c->split_names.count + 1, sizeof *splits);
    dip_status status = labels && splits ? DIP_OK : DIP_ENOMEM;
    *out = (dip_extent){.west = NAN,
                        .south = NAN,
                        .east = NAN,
                        .north = NAN,
                        .first = DIP_NO_TIME,
                        .last = DIP_NO_TIME};
    for (size_t row = 0; row < c->count && !status; row++) {
        if (c->modalities[row] != modality) continue;
        out->tiles++;
        widen(out, c, row);
        lengthen(out, c->times[row]);
        labels[c->labels[row]]++;
        splits[c->splits[row]]++;
    }
    if (!status) status = dip_tally_make(&c->label_lists, labels, &out->labels, &out->label_count);
    if (!status) status = dip_tally_make(&c->split_names, splits, &out->splits, &out->split_count);
    if (status) dip_extent_fini(out);
    dip_free(labels);
    dip_free(splits);
    return status;
}

void dip_tally_free(dip_tally *list, size_t n)
{
    for (size_t i = 0; i < n; i++) dip_free(list[i].name);
    dip_free(list);
}

void dip_extent_fini(dip_extent *extent)
{
    dip_tally_free(extent->labels, extent->label_count);
    dip_tally_free(extent->splits, extent->split_count);
    extent->labels = extent->splits = NULL;
    extent->label_count = extent->split_count = 0;
}
