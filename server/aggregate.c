/*
 * Counts of the items that filters leave: the Aggregation extension of STAC API (0.3), of all collections or of one.
 *
 * All counts come from one pass over the rows; what is named in `aggregations` is written, nothing else.
 */
#include "server/item.h"

#include "core/clock.h"
#include "core/when.h"
#include "core/mem.h"
#include "search/aggregate.h"
#include "server/ask.h"

#include <string.h>

typedef struct counts {
    const dip_archive *archive;
    dip_aggregate of;
} counts;

typedef struct aggregation {
    const char *name, *type; /* NULL: that of the interval */
    void (*write)(dip_json *j, const counts *c);
} aggregation;

/* ---- each of them ---- */

static void write_time(dip_json *j, const char *key, int64_t time)
{
    char text[DIP_WHEN_CAPACITY];
    dip_when_format(time, text, sizeof text);
    if (*text)
        dip_json_text(j, key, text);
    else
        dip_json_null(j, key);
}

static void write_total(dip_json *j, const counts *c) { dip_json_count(j, "value", c->of.tiles); }
static void write_first(dip_json *j, const counts *c) { write_time(j, "value", c->of.first); }
static void write_last(dip_json *j, const counts *c) { write_time(j, "value", c->of.last); }

static void write_bucket(dip_json *j, const char *key, const char *type, uint64_t count)
{
    dip_json_object(j, NULL);
    dip_json_text(j, "key", key);
    dip_json_text(j, "data_type", type);
    dip_json_count(j, "frequency", count);
    dip_json_end(j);
}

static void write_collections(dip_json *j, const counts *c)
{
    dip_json_array(j, "buckets");
    for (size_t i = 0; i < dip_archive_modality_count(c->archive); i++)
        if (c->of.of[i])
            write_bucket(j, dip_archive_modality(c->archive, i)->name, "string", c->of.of[i]);
    dip_json_end(j);
    dip_json_count(j, "overflow", 0);
}

static void write_labels(dip_json *j, const counts *c)
{
    dip_json_array(j, "buckets");
    for (size_t i = 0; i < c->of.label_count; i++)
        write_bucket(j, c->of.labels[i].name, "string", c->of.labels[i].count);
    dip_json_end(j);
    dip_json_count(j, "overflow", c->of.unlabelled);
}

static void write_periods(dip_json *j, const counts *c)
{
    dip_json_array(j, "buckets");
    for (size_t i = 0; i < c->of.period_count; i++) {
        char text[DIP_WHEN_CAPACITY];
        dip_when_format(c->of.periods[i].begin, text, sizeof text);
        write_bucket(j, text, "datetime", c->of.periods[i].count);
    }
    dip_json_end(j);
    dip_json_count(j, "overflow", c->of.undated);
}

static const aggregation aggregations[] = {
    {"total_count", "numeric", write_total},
    {"datetime_min", "datetime", write_first},
    {"datetime_max", "datetime", write_last},
    {"datetime_frequency", NULL, write_periods},
    {"collection_frequency", "string", write_collections},
    {"label_frequency", "string", write_labels},
};
enum { COUNT = sizeof aggregations / sizeof *aggregations };

static const aggregation *find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(aggregations[i].name, name)) return &aggregations[i];
    return NULL;
}

static dip_status check_names(const dip_ask *ask)
{
    if (ask->similar)
        return dip_fail(DIP_EINVAL, "similarity: what is counted are the items that filters leave");
    for (size_t i = 0; i < ask->aggregation_count; i++)
        if (!find(ask->aggregations[i]))
            return dip_fail(DIP_EINVAL,
                            "aggregations: there is no '%.60s'; /aggregations lists them",
                            ask->aggregations[i]);
    return DIP_OK;
}

/* ---- documents ---- */

static void begin_one(dip_json *j, const aggregation *a, dip_interval interval)
{
    static const char *const intervals[] = {"interval_day", "interval_month", "interval_year"};
    dip_json_object(j, NULL);
    dip_json_text(j, "name", a->name);
    dip_json_text(j, "data_type", a->type ? a->type : intervals[interval]);
}

static void write_links(dip_json *j, const dip_request *request, const char *collection)
{
    dip_json_array(j, "links");
    dip_page_links(j, request, collection);
    dip_json_end(j);
}

static void answer_counts(const counts *c, const dip_ask *ask, const dip_request *request,
                          const char *collection, dip_response *response)
{
    dip_writer writer;
    dip_json *j = &writer.json;
    dip_status status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    dip_json_object(j, NULL);
    dip_json_text(j, "type", "AggregationCollection");
    dip_json_array(j, "aggregations");
    for (size_t i = 0; i < ask->aggregation_count; i++) {
        const aggregation *a = find(ask->aggregations[i]);
        begin_one(j, a, c->of.interval);
        a->write(j, c);
        dip_json_end(j);
    }
    dip_json_end(j);
    write_links(j, request, collection);
    dip_json_end(j);
    dip_writer_end(&writer, response, 200, DIP_TYPE_JSON);
}

/* ---- handlers ---- */

static dip_status count(dip_service *service, const dip_ask *ask, uint32_t modalities,
                        dip_aggregate *out)
{
    const dip_view *view = dip_service_view(service);
    dip_query filters;
    dip_browse_options options;
    uint64_t *only;
    dip_status status = dip_items_selected(dip_service_archive(service), ask, modalities, &filters,
                                           &only, &options);
    if (!status) status = dip_aggregate_tiles(view->search, &options, out);
    dip_free(only);
    dip_view_release(view);
    return status;
}

static dip_status choose(const dip_archive *archive, const char *collection, const dip_ask *ask,
                         uint32_t *modalities)
{
    uint32_t one;
    dip_status status =
        dip_items_modalities(archive, ask->collections, ask->collection_count, modalities);
    if (status || !collection) return status;
    status = dip_collection_find(archive, collection, &one);
    if (!status) *modalities &= 1u << one;
    return status;
}

void dip_serve_aggregate(void *context, const dip_request *request, dip_response *response)
{
    const char *collection = request->part[0];
    counts c = {.archive = dip_service_archive(context)};
    uint32_t modalities = 0;
    dip_ask ask;
    double begin = dip_seconds();
    dip_status status = dip_ask_parse(&ask, request, DIP_ASK_LIMIT, DIP_ASK_LIMIT);
    begin = dip_request_stage(request, DIP_STAGE_PARSE, begin);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    status = check_names(&ask);
    if (!status) status = choose(c.archive, collection, &ask, &modalities);
    if (!status && ask.aggregation_count) status = count(context, &ask, modalities, &c.of);
    begin = dip_request_stage(request, DIP_STAGE_SEARCH, begin);
    if (status)
        dip_response_fail_status(response, status);
    else
        answer_counts(&c, &ask, request, collection, response);
    dip_request_stage(request, DIP_STAGE_RENDER, begin);
    dip_aggregate_fini(&c.of);
    dip_ask_fini(&ask);
}

void dip_serve_aggregations(void *context, const dip_request *request, dip_response *response)
{
    const char *collection = request->part[0];
    uint32_t modality;
    dip_writer writer;
    dip_status status =
        collection ? dip_collection_find(dip_service_archive(context), collection, &modality)
                   : DIP_OK;
    if (!status) status = dip_writer_begin(&writer);
    if (status) {
        dip_response_fail_status(response, status);
        return;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_array(&writer.json, "aggregations");
    for (size_t i = 0; i < COUNT; i++) {
        begin_one(&writer.json, &aggregations[i], DIP_BY_MONTH);
        dip_json_end(&writer.json);
    }
    dip_json_end(&writer.json);
    write_links(&writer.json, request, collection);
    dip_json_end(&writer.json);
    dip_writer_end(&writer, response, 200, DIP_TYPE_JSON);
}
