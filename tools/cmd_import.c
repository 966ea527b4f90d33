/* diptych import: tiles from outside files into an archive. */
#include "tools/cmd.h"

#include "core/clock.h"
#include "core/file.h"
#include "ingest/import.h"
#include "front/json.h"
#include "tools/report.h"
#include "core/format.h"
#include "tools/target.h"

#include <stddef.h>
#include <stdio.h>

enum { REFUSED_SHOWN = 50 };

typedef struct options {
    int layout; /* dip_layout */
    const char *bands, *units, *title;
    int labels; /* position in "19|43" */
    int64_t batch;
} options;

static const dip_option table[] = {
    {.name = "layout",
     .type = DIP_OPTION_CHOICE,
     .offset = offsetof(options, layout),
     .fallback = "auto",
     .choices = "auto|manifest|folders|bigearthnet",
     .help = "what the sources are"},
    {.name = "bands",
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, bands),
     .choices = "NAMES",
     .help = "names of the files' bands: s1=VV,VH;s2=B02,B03,B04"},
    {.name = "units",
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, units),
     .choices = "UNITS",
     .help = "units of the pixels: s1=dB;s2=reflectance; default: guessed"},
    {.name = "labels",
     .type = DIP_OPTION_CHOICE,
     .offset = offsetof(options, labels),
     .fallback = "19",
     .choices = "19|43",
     .help = "BigEarthNet: classes of the labels"},
    {.name = "batch",
     .type = DIP_OPTION_INT,
     .offset = offsetof(options, batch),
     .low = 1,
     .high = 65536,
     .fallback = "256",
     .help = "tiles a transaction"},
    {.name = "title",
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, title),
     .help = "of an archive that is made; default: the folder's name"},
    {.name = NULL},
};

typedef struct listener {
    dip_tool *tool;
    uint64_t refused;
} listener;

static void show_refused(void *payload, const char *line)
{
    listener *l = payload;
    if (l->refused++ < REFUSED_SHOWN || l->tool->verbose) dip_tool_note(l->tool, "%s", line);
}

static const char *layout_words(dip_layout layout)
{
    return layout == DIP_LAYOUT_BIGEARTHNET ? "BigEarthNet v1"
           : layout == DIP_LAYOUT_FOLDERS   ? "folders"
                                            : "manifest";
}

/* "layout BigEarthNet v1 in 'x': 480,038 s2 + 480,038 s1" */
static void show_found(void *payload, const dip_import_found *found)
{
    listener *l = payload;
    char line[800], count[40];
    int used = snprintf(line, sizeof line, "layout %s in '%.300s':", layout_words(found->layout),
                        found->source);
    for (uint32_t m = 0; m < found->modality_count && used < (int)sizeof line; m++) {
        dip_format_count(found->tiles[m], count, sizeof count);
        used += snprintf(line + used, sizeof line - (size_t)used, "%s %s %s", m ? " +" : "", count,
                         found->modality[m]);
    }
    dip_tool_note(l->tool, "%s%s", line, found->modality_count ? "" : " no tile");
}

/* How to name bands that have no names. */
static void show_named(void *payload, const dip_modality *modality)
{
    listener *l = payload;
    char names[200] = "", example[200] = "";
    size_t used = 0, shown = 0;
    for (uint32_t b = 0; b < modality->band_count && used < 150; b++) {
        const char *between = b ? ", " : "";
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", between,
                                 modality->bands[b].name);
        shown += (size_t)snprintf(example + shown, sizeof example - shown, "%sNAME", b ? "," : "");
    }
    dip_tool_note(l->tool,
                  "the files of %s name no bands, which are called %s now; to name them, import "
                  "into a new archive with --bands \"%s=%s\"",
                  modality->name, names, modality->name, example);
}

static void print_json(const dip_import_report *r, const char *archive, double seconds)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "archive", archive);
    dip_json_text(&j, "layout", layout_words(r->layout));
    dip_json_count(&j, "added", r->added);
    dip_json_count(&j, "present", r->present);
    dip_json_count(&j, "refused", r->refused);
    dip_json_count(&j, "places", r->places);
    dip_json_count(&j, "alone", r->alone);
    dip_json_real(&j, "seconds", seconds, 3);
    dip_json_end(&j);
}

static void print_summary(const dip_import_report *r, const char *archive, double seconds)
{
    char added[40], places[40], alone[40], refused[40], present[40], time[40];
    dip_format_things(r->added, "tile", added, sizeof added);
    dip_format_things(r->places, "place", places, sizeof places);
    dip_format_count(r->alone, alone, sizeof alone);
    dip_format_count(r->refused, refused, sizeof refused);
    dip_format_count(r->present, present, sizeof present);
    dip_format_seconds(seconds, time, sizeof time);
    printf("%s: %s added", archive, added);
    if (r->present) printf(", %s there already", present);
    if (r->refused) printf(", %s refused", refused);
    printf("; %s", places);
    if (r->alone) printf(", %s of them with a single tile", alone);
    printf(" (%s", time);
    if (r->added && seconds > 0) {
        char rate[40];
        dip_format_count((unsigned long long)((double)r->added / seconds + 0.5), rate, sizeof rate);
        printf(", %s tiles/s", rate);
    }
    printf(")\n");
}

/* Before an archive is made for them. */
static dip_status check_sources(int count, char **sources, const dip_import_options *how)
{
    for (int i = 0; i < count; i++)
        if (!dip_file_exists(sources[i]))
            return dip_fail(DIP_ENOENT, "there is no file or folder '%s'", sources[i]);
    return dip_import_check((const char *const *)sources, (size_t)count, how);
}

static dip_status import(listener *l, dip_archive *archive, int count, char **sources,
                         const dip_import_options *how)
{
    dip_tool *tool = l->tool;
    dip_import_report report;
    double begin = dip_seconds();
    dip_status status =
        dip_import(archive, (const char *const *)sources, (size_t)count, how, &report);
    double seconds = dip_seconds() - begin;
    if (l->refused > REFUSED_SHOWN && !tool->verbose)
        dip_tool_note(tool, "%llu more were refused; --verbose lists them",
                      (unsigned long long)(l->refused - REFUSED_SHOWN));
    if (status && status != DIP_ECANCEL) return status;
    dip_report_clear();
    if (tool->json)
        print_json(&report, dip_archive_path(archive), seconds);
    else
        print_summary(&report, dip_archive_path(archive), seconds);
    if (!status && report.refused && !report.added && !report.present)
        status = dip_fail(DIP_EFORMAT, "every tile was refused");
    if (!status && !report.refused && !report.added && !report.present)
        status = dip_fail(DIP_EFORMAT, "no source names a tile");
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    dip_archive *archive = NULL;
    listener l = {tool, 0};
    const dip_import_options how = {.layout = (dip_layout)o->layout,
                                    .bands = o->bands,
                                    .units = o->units,
                                    .labels19 = o->labels == 0,
                                    .batch = (size_t)o->batch,
                                    .progress = tool->progress,
                                    .refused = show_refused,
                                    .found = show_found,
                                    .named = show_named,
                                    .payload = &l};
    dip_status status = check_sources(argc - 1, argv + 1, &how);
    if (!status) status = dip_target_open(&archive, tool, argv[0], o->title);
    if (!status) status = import(&l, archive, argc - 1, argv + 1, &how);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_import = {
    .name = "import",
    .summary = "take tiles from files into an archive, which is made if it is not there",
    .usage = "ARCHIVE SOURCE...",
    .text =
        "A source is a manifest (.csv or .geojson with tile_id, modality and path), a folder\n"
        "that has one, a folder with a folder of rasters for each modality, or the folders of\n"
        "BigEarthNet version 1. A file that does not fit is refused with one line and the rest\n"
        "goes in. Ctrl-C is safe: run the same command to go on.",
    .options = table,
    .size = sizeof(options),
    .least_args = 2,
    .most_args = DIP_ARGS_ANY,
    .json = true,
    .run = run,
};
