/*
 * Filters; see filter.h.
 *
 * Labels and splits are compared once a different text, not once a tile: the filter holds a yes or no for each text
 * number of the columns.
 */
#include "search/filter.h"

#include "core/mem.h"
#include "core/status.h"

#include <math.h>
#include <string.h>

struct dip_filter {
    bool has_box, has_time;
    double west, south, east, north;
    int64_t from, to;
    bool *label_matches, *split_matches; /* by text number; NULL: no such filter */
};

/* Do the '|'-separated lists share a word? */
static bool lists_meet(const char *list, const char *wanted)
{
    while (*wanted) {
        size_t length = strcspn(wanted, "|");
        for (const char *word = list; *word && length;) {
            size_t n = strcspn(word, "|");
            if (n == length && !strncmp(word, wanted, n)) return true;
            word += n + (word[n] == '|');
        }
        wanted += length + (wanted[length] == '|');
    }
    return false;
}

static dip_status match_texts(bool **out, const dip_words *texts, const char *wanted)
{
    if (!wanted) return DIP_OK;
    bool *matches = dip_alloc(texts->count + 1);
    if (!matches) return DIP_ENOMEM;
    for (size_t i = 0; i < texts->count; i++) matches[i] = lists_meet(texts->texts[i], wanted);
    *out = matches;
    return DIP_OK;
}

static dip_status check_box(const double *box)
{
    for (int i = 0; i < 4; i++)
        if (!isfinite(box[i])) return dip_fail(DIP_EINVAL, "bbox: a bound is not a number");
    if (fabs(box[0]) > 180 || fabs(box[2]) > 180)
        return dip_fail(DIP_EINVAL, "bbox: longitudes %.10g, %.10g must lie in -180..180", box[0],
                        box[2]);
    if (fabs(box[1]) > 90 || fabs(box[3]) > 90)
        return dip_fail(DIP_EINVAL, "bbox: latitudes %.10g, %.10g must lie in -90..90", box[1],
                        box[3]);
    if (box[1] > box[3])
        return dip_fail(DIP_EINVAL, "bbox: south %.10g is north of north %.10g", box[1], box[3]);
    return DIP_OK;
}

static dip_status compile(dip_filter *f, const dip_columns *columns, const dip_query *query)
{
    if (query->bbox) {
        dip_status status = check_box(query->bbox);
        if (status) return status;
        f->has_box = true;
        f->west = query->bbox[0];
        f->south = query->bbox[1];
        f->east = query->bbox[2];
        f->north = query->bbox[3];
    }
    f->has_time = query->time_from != DIP_NO_TIME || query->time_to != DIP_NO_TIME;
    f->from = query->time_from;
    f->to = query->time_to == DIP_NO_TIME ? INT64_MAX : query->time_to;
    if (f->from > f->to) return dip_fail(DIP_EINVAL, "datetime: the range ends before it begins");
    dip_status status = match_texts(&f->label_matches, &columns->texts, query->label);
    return status ? status : match_texts(&f->split_matches, &columns->texts, query->split);
}

dip_status dip_filter_create(dip_filter **out, const dip_columns *columns, const dip_query *query)
{
    *out = NULL;
    bool timed = query->time_from != DIP_NO_TIME || query->time_to != DIP_NO_TIME;
    if (!query->bbox && !timed && !query->label && !query->split) return DIP_OK;
    dip_filter *filter = dip_calloc(1, sizeof *filter);
    if (!filter) return DIP_ENOMEM;
    dip_status status = compile(filter, columns, query);
    if (status) {
        dip_filter_destroy(filter);
        return status;
    }
    *out = filter;
    return DIP_OK;
}

void dip_filter_destroy(dip_filter *filter)
{
    if (!filter) return;
    dip_free(filter->label_matches);
    dip_free(filter->split_matches);
    dip_free(filter);
}

/* Do two ranges of longitude share a point? Each may cross the antimeridian (west > east). */
static bool longitudes_meet(double west, double east, double other_west, double other_east)
{
    bool crosses = west > east, other_crosses = other_west > other_east;
    if (crosses && other_crosses) return true;
    if (crosses) return other_east >= west || other_west <= east;
    if (other_crosses) return east >= other_west || west <= other_east;
    return west <= other_east && other_west <= east;
}

static bool box_matches(const dip_filter *f, const dip_columns *c, size_t row)
{
    /* A footprint that is not known (NAN) fails the comparisons of latitude. */
    return c->south[row] <= f->north && c->north[row] >= f->south &&
           longitudes_meet(f->west, f->east, c->west[row], c->east[row]);
}

bool dip_filter_matches(const dip_filter *f, const dip_columns *c, size_t row)
{
    if (f->has_time) {
        int64_t t = c->times[row];
        if (t == DIP_NO_TIME || t < f->from || t > f->to) return false;
    }
    if (f->label_matches && !f->label_matches[c->labels[row]]) return false;
    if (f->split_matches && !f->split_matches[c->splits[row]]) return false;
    return !f->has_box || box_matches(f, c, row);
}

dip_status dip_filter_ids(const dip_filter *filter, const dip_columns *columns, int modality,
                          uint64_t **ids, size_t *count)
{
    size_t n = 0;
    uint64_t *list = dip_alloc((columns->count + 1) * sizeof *list);
    if (!list) return DIP_ENOMEM;
    for (size_t row = 0; row < columns->count; row++) {
        if ((int)columns->modalities[row] != modality) continue;
        if (!filter || dip_filter_matches(filter, columns, row)) list[n++] = columns->ids[row];
    }
    *ids = list;
    *count = n;
    return DIP_OK;
}
