/* Hits on a stream; see hits.h. */
#include "tools/hits.h"

#include "front/geojson.h"
#include "front/json.h"
#include "tools/table.h"
#include "front/tile.h"
#include "core/when.h"

#include <math.h>

static const char *modality_of(const dip_archive *archive, const dip_meta *meta)
{
    const dip_modality *modality = dip_archive_modality(archive, meta->modality);
    return modality ? modality->name : "?";
}

static void add_row(dip_text_table *t, const dip_archive *archive, const dip_hit *hit, size_t rank)
{
    char when[DIP_WHEN_CAPACITY], labels[300];
    double lon, lat;
    dip_when_format_short(hit->meta->time, when, sizeof when);
    dip_list_spread(hit->meta->labels, labels, sizeof labels);
    dip_text_table_add(t, "%zu", rank);
    dip_text_table_add(t, "%.4f", (double)hit->score);
    if (isnan(hit->percentile))
        dip_text_table_add(t, "-");
    else
        dip_text_table_add(t, "%.2f", (double)hit->percentile);
    dip_text_table_add(t, "%s", modality_of(archive, hit->meta));
    dip_text_table_add(t, "%s", hit->meta->name);
    dip_text_table_add(t, "%s", *when ? when : "-");
    if (dip_meta_centre(hit->meta, &lon, &lat)) {
        dip_text_table_add(t, "%.5f", lon);
        dip_text_table_add(t, "%.5f", lat);
    } else {
        dip_text_table_add(t, "-");
        dip_text_table_add(t, "-");
    }
    dip_text_table_add(t, "%s", *labels ? labels : "-");
}

dip_status dip_hits_table(const dip_archive *archive, const dip_answer *answer, FILE *out)
{
    dip_text_table *t;
    dip_status status = dip_text_table_create(&t, "rrrlllrrl");
    if (status) return status;
    static const char *const heads[] = {"#",    "score", "pct", "modality", "tile",
                                        "date", "lon",   "lat", "labels"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) dip_text_table_add(t, "%s", heads[i]);
    for (size_t i = 0; i < answer->result->count; i++)
        add_row(t, archive, &answer->result->hits[i], i + 1);
    status = dip_text_table_print(t, out);
    dip_text_table_destroy(t);
    return status;
}

/* What JSON lines and GeoJSON properties have in common. */
static void properties(dip_json *j, const dip_archive *archive, const dip_answer *answer,
                       size_t rank)
{
    const dip_hit *hit = &answer->result->hits[rank - 1];
    const dip_meta *meta = hit->meta;
    char when[DIP_WHEN_CAPACITY];
    dip_json_text(j, "probe", answer->probe);
    dip_json_count(j, "rank", rank);
    dip_json_real(j, "score", (double)hit->score, 6);
    dip_json_real(j, "percentile", (double)hit->percentile, 3);
    dip_json_real(j, "expected_recall", answer->result->expected_recall, 4);
    dip_json_text(j, "modality", modality_of(archive, meta));
    dip_json_text(j, "tile", meta->name);
    dip_json_text(j, "place", meta->place_name);
    dip_when_format(meta->time, when, sizeof when);
    if (*when)
        dip_json_text(j, "datetime", when);
    else
        dip_json_null(j, "datetime");
    dip_json_list(j, "labels", meta->labels);
    dip_json_text(j, "split", meta->split);
    dip_json_text(j, "source", meta->source);
    dip_json_flag(j, "simulated", dip_meta_simulated(meta));
    dip_json_embed(j, "extra", meta->extra);
}

void dip_hits_json(const dip_archive *archive, const dip_answer *answer, FILE *out)
{
    for (size_t i = 0; i < answer->result->count; i++) {
        dip_json j;
        dip_json_start(&j, out);
        dip_json_object(&j, NULL);
        dip_json_count(&j, "id", answer->result->hits[i].id);
        properties(&j, archive, answer, i + 1);
        dip_geojson_footprint(&j, answer->result->hits[i].meta);
        dip_json_end(&j);
    }
}

void dip_hits_geojson(const dip_archive *archive, const dip_answer *answers, size_t count,
                      FILE *out)
{
    dip_json j;
    uint64_t matched = 0, returned = 0;
    dip_json_start(&j, out);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "type", "FeatureCollection");
    for (size_t a = 0; a < count; a++) {
        matched += answers[a].result->matching;
        returned += answers[a].result->count;
    }
    dip_json_count(&j, "numberMatched", matched);
    dip_json_count(&j, "numberReturned", returned);
    dip_json_array(&j, "features");
    for (size_t a = 0; a < count; a++) {
        for (size_t i = 0; i < answers[a].result->count; i++) {
            dip_json_object(&j, NULL);
            dip_json_text(&j, "type", "Feature");
            dip_json_count(&j, "id", answers[a].result->hits[i].id);
            dip_geojson_footprint(&j, answers[a].result->hits[i].meta);
            dip_json_object(&j, "properties");
            properties(&j, archive, &answers[a], i + 1);
            dip_json_end(&j);
            dip_json_end(&j);
        }
    }
    dip_json_end(&j);
    dip_json_end(&j);
}
