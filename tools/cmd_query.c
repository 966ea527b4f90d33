/* diptych query: hits for stored tiles, raster files and locations. */
#define _GNU_SOURCE
#include "tools/cmd.h"

#include <diptych/search.h>

#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "index/generation.h"
#include "search/engine.h"
#include "tools/hits.h"
#include "front/probe.h"
#include "tools/sheet.h"
#include "front/tile.h"
#include "core/when.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_SHAPE = 64 << 20 }; /* bytes of a GeoJSON file */

typedef struct options {
    const char *from, *to, *bbox, *intersects, *datetime, *label, *split, *filter, *positive,
        *negative, *bands, *html, *model, *generation;
    int64_t k;
    double min_score, diversify_km, recall, max_ms;
    bool lonlat, exact, include_self, one_per_place, explain, geojson;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "to",
     .type = DIP_OPTION_TEXT,
     .offset = AT(to),
     .choices = "MODALITY",
     .help = "modality of the hits, or 'all'; default: every one but the probe's"},
    {.name = "count",
     .letter = 'k',
     .type = DIP_OPTION_INT,
     .offset = AT(k),
     .low = 1,
     .high = 100000,
     .fallback = "10",
     .help = "hits wanted"},
    {.name = "from",
     .type = DIP_OPTION_TEXT,
     .offset = AT(from),
     .choices = "MODALITY",
     .help = "modality of the probe, where the word alone leaves it open"},
    {.name = "bands",
     .type = DIP_OPTION_TEXT,
     .offset = AT(bands),
     .choices = "B04,B03,...",
     .help = "names of a raster file's bands, if it has none"},
    {.name = "lonlat",
     .type = DIP_OPTION_FLAG,
     .offset = AT(lonlat),
     .help = "the probes are locations; without it, 'lon,lat' is recognised by its form"},
    {.name = "positive",
     .type = DIP_OPTION_TEXT,
     .offset = AT(positive),
     .choices = "PROBE|...",
     .help = "further examples of what is wanted, written as probes are"},
    {.name = "negative",
     .type = DIP_OPTION_TEXT,
     .offset = AT(negative),
     .choices = "PROBE|...",
     .help = "examples of what is not wanted"},
    {.name = "exact",
     .type = DIP_OPTION_FLAG,
     .offset = AT(exact),
     .help = "compare with every tile instead of asking the index"},
    DIP_EFFORT_OPTIONS,
    {.name = "include-self",
     .type = DIP_OPTION_FLAG,
     .offset = AT(include_self),
     .help = "let the probe's own tile, and those of the examples, be hits"},
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model that the index must have been built with"},
    {.name = "generation",
     .type = DIP_OPTION_TEXT,
     .offset = AT(generation),
     .choices = "NAME",
     .help = "an older index; default: the live one"},
    {.name = "Filters (docs/filters.md); hits pass all that are given", .type = DIP_OPTION_HEADING},
    {.name = "bbox",
     .type = DIP_OPTION_TEXT,
     .offset = AT(bbox),
     .choices = "W,S,E,N",
     .help = "hits touch this box; west > east crosses the antimeridian"},
    {.name = "intersects",
     .type = DIP_OPTION_TEXT,
     .offset = AT(intersects),
     .choices = "GEOJSON",
     .help = "hits touch this shape: a GeoJSON file, or its text"},
    {.name = "datetime",
     .type = DIP_OPTION_TEXT,
     .offset = AT(datetime),
     .choices = "FROM/TO",
     .help = "hits were taken then: a day, a month, a range; '..' is an open end"},
    {.name = "label",
     .type = DIP_OPTION_TEXT,
     .offset = AT(label),
     .choices = "LABEL",
     .help = "hits carry this label, or one of a|b"},
    {.name = "split",
     .type = DIP_OPTION_TEXT,
     .offset = AT(split),
     .choices = "SPLIT",
     .help = "hits are of this split, or of one of a|b"},
    {.name = "filter",
     .type = DIP_OPTION_TEXT,
     .offset = AT(filter),
     .choices = "CQL2",
     .help = "\"eo:cloud_cover < 10 AND NOT A_CONTAINS(labels, ('water'))\""},
    {.name = "Which of them", .type = DIP_OPTION_HEADING},
    {.name = "min-score",
     .type = DIP_OPTION_REAL,
     .offset = AT(min_score),
     .low = -1,
     .high = 1,
     .fallback = "-1",
     .choices = "SCORE",
     .help = "only hits that score at least this"},
    {.name = "one-per-place",
     .type = DIP_OPTION_FLAG,
     .offset = AT(one_per_place),
     .help = "of each place the best hit alone"},
    {.name = "diversify-km",
     .type = DIP_OPTION_REAL,
     .offset = AT(diversify_km),
     .low = 0,
     .high = 20000,
     .fallback = "0",
     .choices = "KM",
     .help = "hits are at least so far apart"},
    {.name = "Output", .type = DIP_OPTION_HEADING},
    {.name = "explain",
     .type = DIP_OPTION_FLAG,
     .offset = AT(explain),
     .help = "tell how each modality was searched"},
    {.name = "geojson",
     .type = DIP_OPTION_FLAG,
     .offset = AT(geojson),
     .help = "hits as a GeoJSON FeatureCollection"},
    {.name = "html",
     .type = DIP_OPTION_TEXT,
     .offset = AT(html),
     .choices = "FILE",
     .help = "write a contact sheet: one HTML file with pictures"},
    {.name = NULL},
};

/* The probes of --positive or --negative. */
typedef struct examples {
    char *words; /* cut at each '|'; owned */
    dip_typed_probe *typed;
    dip_probe *probes;
    size_t count;
} examples;

/* One probe and what came back. */
typedef struct asked {
    dip_typed_probe typed;
    dip_result result;
    dip_meta *meta; /* of a stored probe; owned */
    char title[512];
    dip_answer answer;
} asked;

typedef struct session {
    dip_tool *tool;
    const options *options;
    dip_archive *archive;
    dip_search *search;
    double bbox[4];
    char *intersects; /* owned */
    examples positive, negative;
    dip_query query;
    asked *asked;
    size_t count;
} session;

static dip_status parse_bbox(session *s)
{
    const char *text = s->options->bbox;
    if (!text) return DIP_OK;
    for (int i = 0; i < 4; i++) {
        char *end;
        s->bbox[i] = strtod(text, &end);
        if (end == text || *end != (i < 3 ? ',' : '\0'))
            return dip_fail(DIP_EINVAL, "--bbox '%s' is not four numbers: west,south,east,north",
                            s->options->bbox);
        text = end + 1;
    }
    s->query.bbox = s->bbox;
    return DIP_OK;
}

static bool is_inline(const char *shape) { return shape[strspn(shape, " \t\r\n")] == '{'; }

/* The text itself, or a file's. */
static dip_status read_shape(session *s)
{
    const char *text = s->options->intersects;
    size_t length;
    if (!text) return DIP_OK;
    dip_status status = DIP_OK;
    if (is_inline(text))
        s->intersects = dip_strdup(text);
    else
        status = dip_file_read(&s->intersects, &length, text, LARGEST_SHAPE);
    s->query.intersects = s->intersects;
    return status || s->intersects ? status : DIP_ENOMEM;
}

static dip_status prepare(session *s)
{
    const options *o = s->options;
    int64_t from, to;
    s->query = (dip_query)DIP_QUERY_INIT;
    s->query.to = o->to;
    s->query.k = (size_t)o->k;
    s->query.exact = o->exact;
    s->query.recall = o->recall;
    s->query.budget_ms = o->max_ms;
    s->query.include_self = o->include_self;
    s->query.datetime = o->datetime;
    s->query.label = o->label;
    s->query.split = o->split;
    s->query.filter = o->filter;
    s->query.min_score = o->min_score;
    s->query.one_per_place = o->one_per_place;
    s->query.diversify_km = o->diversify_km;
    if (o->geojson && s->tool->json)
        return dip_fail(DIP_EINVAL, "--json and --geojson exclude each other");
    dip_status status = parse_bbox(s);
    if (!status) status = read_shape(s);
    if (status || !o->datetime) return status;
    return dip_when_interval(o->datetime, &from, &to);
}

static dip_status open_search(session *s, const char *path)
{
    const options *o = s->options;
    dip_search_options wanted = {.model = o->model, .generation = o->generation};
    dip_status status = dip_archive_open(&s->archive, path, DIP_ARCHIVE_READ);
    if (status) return status;
    if (o->from && dip_archive_find_modality(s->archive, o->from) < 0)
        return dip_modality_unknown(s->archive, o->from);
    return dip_search_open(&s->search, s->archive, &wanted);
}

/* ---- asking ---- */

static dip_status describe_probe(session *s, asked *a)
{
    const char *from = a->typed.modality.name;
    const dip_meta *meta = &a->typed.tile.meta;
    snprintf(a->title, sizeof a->title, "%s", a->typed.word);
    if (a->result.probe_id != DIP_NO_ID) {
        dip_status status = dip_archive_meta(s->archive, a->result.probe_id, &a->meta);
        if (status) return status;
        dip_meta_title(s->archive, a->meta, a->title, sizeof a->title);
        from = dip_archive_modality(s->archive, a->meta->modality)->name;
        meta = a->meta;
    }
    a->answer = (dip_answer){a->title, meta, from, &a->result, dip_meta_simulated(meta)};
    for (size_t i = 0; i < a->result.count; i++)
        a->answer.simulated |= dip_meta_simulated(a->result.hits[i].meta);
    return DIP_OK;
}

static dip_status read_examples(session *s, const char *list, examples *e)
{
    dip_probe_options how = {.from = s->options->from, .bands = s->options->bands};
    size_t most = 1;
    if (!list) return DIP_OK;
    for (const char *c = list; *c; c++) most += *c == '|';
    e->words = dip_strdup(list);
    e->typed = dip_calloc(most, sizeof *e->typed);
    e->probes = dip_calloc(most, sizeof *e->probes);
    if (!e->words || !e->typed || !e->probes) return DIP_ENOMEM;
    for (char *rest, *word = strtok_r(e->words, "|", &rest); word;
         word = strtok_r(NULL, "|", &rest)) {
        dip_typed_probe *typed = &e->typed[e->count];
        dip_status status = dip_typed_probe_init(typed, s->archive, s->search, word, &how);
        if (status) return status;
        e->probes[e->count++] = typed->probe;
    }
    return DIP_OK;
}

static dip_status take_examples(session *s)
{
    dip_status status = read_examples(s, s->options->positive, &s->positive);
    if (!status) status = read_examples(s, s->options->negative, &s->negative);
    s->query.positive = s->positive.probes;
    s->query.positive_count = s->positive.count;
    s->query.negative = s->negative.probes;
    s->query.negative_count = s->negative.count;
    return status;
}

static void examples_fini(examples *e)
{
    for (size_t i = 0; i < e->count; i++) dip_typed_probe_fini(&e->typed[i]);
    dip_free(e->words);
    dip_free(e->typed);
    dip_free(e->probes);
}

static dip_status ask(session *s, asked *a, const char *word)
{
    double lon, lat;
    dip_probe_options how = {.from = s->options->from, .bands = s->options->bands};
    if (s->options->lonlat && !dip_lonlat_parse(word, &lon, &lat))
        return dip_fail(DIP_EINVAL, "'%s' is no location; write it as lon,lat: 13.52,48.21", word);
    dip_status status = dip_typed_probe_init(&a->typed, s->archive, s->search, word, &how);
    if (!status) status = dip_search_run(s->search, &a->typed.probe, &s->query, &a->result);
    if (status && a->typed.probe.kind == DIP_PROBE_PIXELS)
        return dip_fail_prefix(status, "file '%s'", word);
    return status ? status : describe_probe(s, a);
}

static bool has_filters(const dip_query *q)
{
    return q->bbox || q->intersects || q->datetime || q->label || q->split || q->filter;
}

/* Fewer hits than tiles that match, on purpose. */
static bool thins_out(const dip_query *q)
{
    return q->min_score > -1 || q->one_per_place || q->diversify_km > 0;
}

static uint64_t tiles_searched(const session *s, const asked *a)
{
    dip_archive_counts counts;
    uint64_t n = 0;
    size_t modalities = dip_archive_modality_count(s->archive);
    if (dip_archive_count(s->archive, &counts)) return 0;
    for (size_t i = 0; i < modalities; i++) {
        const char *name = dip_archive_modality(s->archive, i)->name;
        bool own = !strcmp(name, a->answer.from) && modalities > 1;
        bool wanted =
            !s->query.to ? !own : !strcmp(s->query.to, "all") || !strcmp(s->query.to, name);
        if (wanted) n += counts.tiles_of[i];
    }
    return n;
}

static double kilometres(const dip_probe *probe, const dip_meta *meta)
{
    double lon = 0, lat = 0;
    dip_meta_centre(meta, &lon, &lat);
    return dip_distance_km(probe->lon, probe->lat, lon, lat);
}

static void tell(const session *s, const asked *a)
{
    char matching[40], all[40];
    if (a->typed.probe.kind == DIP_PROBE_LONLAT)
        dip_tool_note(s->tool, "nearest tile to %s is %s, %.1f km away", a->typed.word, a->title,
                      kilometres(&a->typed.probe, a->answer.meta));
    if (a->result.missing[0]) dip_tool_note(s->tool, "%s", a->result.missing);
    if (has_filters(&s->query)) {
        dip_format_count(a->result.matching, matching, sizeof matching);
        dip_format_count(tiles_searched(s, a), all, sizeof all);
        dip_tool_note(s->tool, "the filter leaves %s of %s tiles%s", matching, all,
                      a->result.matching && a->result.searched_exactly ? "; searched them exactly"
                                                                       : "");
    } else if (a->result.count < s->query.k && !thins_out(&s->query)) {
        dip_format_things(a->result.count, "tile", matching, sizeof matching);
        dip_tool_note(s->tool, "no more than %s can be found", matching);
    }
    if (thins_out(&s->query) && a->result.count < s->query.k)
        dip_tool_note(s->tool, "%zu hit%s to what was asked of score and distance", a->result.count,
                      a->result.count == 1 ? " keeps" : "s keep");
    if (a->result.expected_recall < s->query.recall)
        dip_tool_note(s->tool,
                      "the index is expected to find %.4f of the nearest, not %.4g; --exact "
                      "finds all",
                      a->result.expected_recall, s->query.recall);
    if (s->options->explain) dip_tool_note(s->tool, "%s", a->result.plan);
}

/* ---- telling ---- */

static void describe_filters(const options *o, char *out, size_t capacity)
{
    const char *shape = o->intersects && is_inline(o->intersects) ? "in GeoJSON" : o->intersects;
    const struct {
        const char *name, *value;
    } rows[] = {{"box", o->bbox},    {"shape", shape},    {"time", o->datetime},
                {"label", o->label}, {"split", o->split}, {"filter", o->filter}};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].value) continue;
        int n = snprintf(out + used, capacity - used, "%s%s %s", used ? ", " : "only ",
                         rows[i].name, rows[i].value);
        if (n < 0 || (size_t)n >= capacity - used) break;
        used += (size_t)n;
    }
}

static dip_status write_sheet(const session *s)
{
    char filters[400];
    dip_sheet_entry *entries = dip_calloc(s->count, sizeof *entries);
    if (!entries) return DIP_ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        const asked *a = &s->asked[i];
        bool stored = a->result.probe_id != DIP_NO_ID;
        entries[i] = (dip_sheet_entry){&a->answer, stored ? NULL : &a->typed.tile,
                                       stored ? NULL : &a->typed.modality};
    }
    describe_filters(s->options, filters, sizeof filters);
    const char *model = s->search->manifest->model;
    dip_sheet sheet = {s->archive, model, filters, entries, s->count};
    dip_status status = dip_sheet_write(&sheet, s->options->html);
    if (!status) dip_tool_note(s->tool, "contact sheet: %s", s->options->html);
    dip_free(entries);
    return status;
}

static dip_status print_tables(const session *s)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < s->count && !status; i++) {
        if (s->count > 1) printf("%s%s\n", i ? "\n" : "", s->asked[i].title);
        status = dip_hits_table(s->archive, &s->asked[i].answer, stdout);
    }
    return status;
}

static dip_status print_geojson(const session *s)
{
    dip_answer *answers = dip_calloc(s->count, sizeof *answers);
    if (!answers) return DIP_ENOMEM;
    for (size_t i = 0; i < s->count; i++) answers[i] = s->asked[i].answer;
    dip_hits_geojson(s->archive, answers, s->count, stdout);
    dip_free(answers);
    return DIP_OK;
}

static dip_status print(const session *s)
{
    bool simulated = false;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < s->count; i++) simulated |= s->asked[i].answer.simulated;
    if (s->options->geojson)
        status = print_geojson(s);
    else if (s->tool->json)
        for (size_t i = 0; i < s->count; i++)
            dip_hits_json(s->archive, &s->asked[i].answer, stdout);
    else
        status = print_tables(s);
    if (!status && s->options->html) status = write_sheet(s);
    if (simulated) dip_tool_note(s->tool, "simulated data");
    return status;
}

static void fini(session *s)
{
    for (size_t i = 0; i < s->count; i++) {
        dip_typed_probe_fini(&s->asked[i].typed);
        dip_result_fini(&s->asked[i].result);
        dip_meta_free(s->asked[i].meta);
    }
    dip_free(s->asked);
    dip_free(s->intersects);
    examples_fini(&s->positive);
    examples_fini(&s->negative);
    dip_search_close(s->search);
    dip_archive_close(s->archive);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    session s = {.tool = tool, .options = values, .count = (size_t)argc - 1};
    s.asked = dip_calloc(s.count, sizeof *s.asked);
    dip_status status = s.asked ? prepare(&s) : DIP_ENOMEM;
    if (!status) status = open_search(&s, argv[0]);
    if (!status) status = take_examples(&s);
    for (size_t i = 0; i < s.count && !status; i++) status = ask(&s, &s.asked[i], argv[i + 1]);
    for (size_t i = 0; i < s.count && !status; i++) tell(&s, &s.asked[i]);
    if (!status) status = print(&s);
    fini(&s);
    return status;
}

const dip_command dip_cmd_query = {
    .name = "query",
    .summary = "find the tiles most similar to a probe",
    .usage = "ARCHIVE PROBE...",
    .text = "A PROBE is a stored tile ('s1/NAME', 'NAME' or '#ID'), a raster file, a folder with a "
            "file\n"
            "'..._BAND.tif' a band, a vector in a .npy file, or a location ('13.52,48.21' is the\n"
            "stored tile nearest to it). A hit's score is the cosine of the two embeddings; pct is "
            "the\n"
            "share of random pairs of this archive, in the same direction, that score lower. There "
            "are\n"
            "always as many hits as asked for, if as many tiles pass the filters.",
    .options = table,
    .size = sizeof(options),
    .least_args = 2,
    .most_args = DIP_ARGS_ANY,
    .json = true,
    .run = run,
};
