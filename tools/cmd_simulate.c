/* diptych simulate: an archive of simulated radar and optical tiles. */
#include "tools/cmd.h"

#include "core/clock.h"
#include "ingest/simulate.h"
#include "front/json.h"
#include "tools/report.h"
#include "core/format.h"
#include "tools/target.h"

#include <stddef.h>
#include <stdio.h>

typedef struct options {
    int64_t places, seed, size;
    double looks;
    const char *title;
} options;

static const dip_option table[] = {
    {.name = "places",
     .letter = 'n',
     .type = DIP_OPTION_INT,
     .offset = offsetof(options, places),
     .low = 1,
     .high = 1e9,
     .fallback = "2000",
     .help = "places in all; each has a radar and an optical tile"},
    {.name = "seed",
     .type = DIP_OPTION_INT,
     .offset = offsetof(options, seed),
     .low = 0,
     .high = 1e15,
     .fallback = "1",
     .help = "of all chance: the same seed, the same land"},
    {.name = "size",
     .type = DIP_OPTION_INT,
     .offset = offsetof(options, size),
     .low = 16,
     .high = 1024,
     .fallback = "120",
     .choices = "PIXELS",
     .help = "side of a tile at 10 m, even"},
    {.name = "looks",
     .type = DIP_OPTION_REAL,
     .offset = offsetof(options, looks),
     .low = 0.5,
     .high = 1000,
     .fallback = "4.4",
     .choices = "L",
     .help = "looks of the radar image: fewer, more speckle"},
    {.name = "title",
     .type = DIP_OPTION_TEXT,
     .offset = offsetof(options, title),
     .help = "of an archive that is made; default: simulated (seed N)"},
    {.name = NULL},
};

static void print_result(const dip_tool *tool, const char *path, const dip_archive_counts *before,
                         const dip_archive_counts *after, double seconds)
{
    uint64_t tiles = after->tiles - before->tiles, places = after->places - before->places;
    if (tool->json) {
        dip_json j;
        dip_json_start(&j, stdout);
        dip_json_object(&j, NULL);
        dip_json_text(&j, "archive", path);
        dip_json_count(&j, "added", tiles);
        dip_json_count(&j, "places", after->places);
        dip_json_real(&j, "seconds", seconds, 3);
        dip_json_end(&j);
        return;
    }
    char added[40], all[40], time[40], rate[40];
    dip_format_things(tiles, "simulated tile", added, sizeof added);
    dip_format_things(after->places, "place", all, sizeof all);
    dip_format_seconds(seconds, time, sizeof time);
    dip_format_count((unsigned long long)((double)places / seconds + 0.5), rate, sizeof rate);
    printf("%s: %s added; %s (%s, %s pairs/s)\n", path, added, all, time, places ? rate : "0");
}

static dip_status simulate(dip_tool *tool, const options *o, dip_archive *archive)
{
    const dip_simulation simulation = {.seed = (uint64_t)o->seed,
                                       .places = (uint64_t)o->places,
                                       .size_px = (uint32_t)o->size,
                                       .looks = o->looks};
    dip_archive_counts before, after;
    double begin = dip_seconds();
    dip_status status = dip_archive_count(archive, &before);
    if (!status) status = dip_simulate(archive, &simulation, tool->progress);
    double seconds = dip_seconds() - begin;
    if (status) return status;
    status = dip_archive_count(archive, &after);
    if (!status) {
        dip_report_clear();
        print_result(tool, dip_archive_path(archive), &before, &after, seconds);
    }
    return status;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    char title[64];
    dip_archive *archive = NULL;
    (void)argc;
    snprintf(title, sizeof title, "simulated (seed %lld)", (long long)o->seed);
    dip_status status = dip_target_open(&archive, tool, argv[0], o->title ? o->title : title);
    if (!status) status = simulate(tool, o, archive);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_simulate = {
    .name = "simulate",
    .summary = "make an archive of simulated pairs, labelled as such, to try things on",
    .usage = "ARCHIVE",
    .text = "Fields, woods, waters and towns from random terrain, seen by a radar (VV, VH) and an\n"
            "optical sensor (ten bands). A place depends on the seed and its number alone, so a\n"
            "larger number of places adds to what is there.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
