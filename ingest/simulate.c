/*
 * Simulation; see simulate.h. The land is made in land.c, its images in render.c; here places get their names,
 * coordinates, times and labels, and go into an archive in batches, made on all threads and added in order.
 *
 * Scenes fill blocks of 288 x 346 km in UTM zones, from zone 33 (Bohemia and Austria) eastwards round the world, then
 * south of the equator.
 */
#include "ingest/simulate.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "ingest/land.h"
#include "ingest/noise.h"
#include "ingest/raster.h"
#include "ingest/render.h"
#include "ingest/statistics.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SCENE_PLACES = DIP_SCENE_SIDE * DIP_SCENE_SIDE, BATCH = 64, PIXEL_M = 10, ZONES = 60 };

struct dip_simulator {
    dip_simulation simulation;
    dip_sensors sensors;
    uint64_t scene_columns, scene_rows; /* of a block */
};

typedef struct site {
    uint64_t scene;
    uint32_t column, row; /* in the scene */
    int32_t epsg;
    double easting, northing; /* of the north-west corner */
} site;

/* ---- bands ---- */

static const struct {
    const char *name;
    double gsd_m;
} optical[DIP_OPTICAL_BANDS] = {
    {"B02", 10}, {"B03", 10}, {"B04", 10}, {"B05", 20}, {"B06", 20},
    {"B07", 20}, {"B08", 10}, {"B8A", 20}, {"B11", 20}, {"B12", 20},
};

static void set_band(dip_band *band, const char *name, const char *unit, double gsd_m)
{
    snprintf(band->name, sizeof band->name, "%s", name);
    snprintf(band->unit, sizeof band->unit, "%s", unit);
    band->gsd_m = gsd_m;
}

void dip_simulator_modality(dip_modality *out, dip_simulated which)
{
    memset(out, 0, sizeof *out);
    if (which == DIP_SIMULATED_S1) {
        snprintf(out->name, sizeof out->name, "s1");
        snprintf(out->display[0], sizeof out->display[0], "VV");
        out->band_count = 2;
        set_band(&out->bands[0], "VV", "dB", PIXEL_M);
        set_band(&out->bands[1], "VH", "dB", PIXEL_M);
        return;
    }
    static const char *const colours[] = {"B04", "B03", "B02"};
    snprintf(out->name, sizeof out->name, "s2");
    for (int i = 0; i < 3; i++) snprintf(out->display[i], sizeof out->display[i], "%s", colours[i]);
    out->band_count = DIP_OPTICAL_BANDS;
    for (uint32_t b = 0; b < DIP_OPTICAL_BANDS; b++)
        set_band(&out->bands[b], optical[b].name, "reflectance", optical[b].gsd_m);
}

/* ---- where and when ---- */

static uint64_t most_places(const dip_simulator *s)
{
    return s->scene_columns * s->scene_rows * SCENE_PLACES * 2 * ZONES;
}

static site find_site(const dip_simulator *s, uint64_t place)
{
    uint64_t in_scene = place % SCENE_PLACES, scenes = s->scene_columns * s->scene_rows;
    site t = {.scene = place / SCENE_PLACES};
    t.column = (uint32_t)(in_scene % DIP_SCENE_SIDE);
    t.row = (uint32_t)(in_scene / DIP_SCENE_SIDE);
    uint64_t block = t.scene / scenes, in_block = t.scene % scenes;
    double side = (double)s->simulation.size_px * PIXEL_M;
    uint64_t column = in_block % s->scene_columns * DIP_SCENE_SIDE + t.column;
    uint64_t row = in_block / s->scene_columns * DIP_SCENE_SIDE + t.row;
    bool south = block / ZONES % 2 == 1;
    t.epsg = (south ? 32701 : 32601) + (int32_t)((32 + block) % ZONES);
    t.easting = 300000 + (double)column * side;
    t.northing = (south ? 4790000 : 5556000) - (double)row * side;
    return t;
}

/* Seconds since 1970 of a day of a year not long ago; the radar comes up to three days before or after. */
static int64_t time_of(const dip_region *region, dip_simulated which)
{
    const int64_t day = 86400, year_2021 = 18628, hash_year = (int64_t)(region->seed % 3) * 365;
    int64_t at = (year_2021 + hash_year + (int64_t)region->day) * day;
    int64_t minute = (int64_t)(dip_mix(region->seed, 7) % 900);
    if (which == DIP_SIMULATED_S2) return at + 10 * 3600 + minute;
    int64_t days = (int64_t)(dip_mix(region->seed, 8) % 7) - 3;
    bool evening = region->look_x < 0; /* ascending passes come at dusk */
    return at + days * day + (evening ? 16 * 3600 + 40 * 60 : 5 * 3600 + 10 * 60) + minute;
}

static const char *split_of(uint64_t scene)
{
    static const char *const tens[] = {"train", "test",  "train", "val",   "train",
                                       "train", "train", "test",  "train", "train"};
    return tens[scene % 10];
}

/* ---- one place ---- */

static void fill_labels(dip_pair *pair, dip_meta *meta, const dip_ground *ground)
{
    uint32_t pixels = ground->size * ground->size;
    size_t length = 0;
    pair->labels[0] = '\0';
    for (int c = 0; c < DIP_COVER_COUNT; c++) {
        const char *name = dip_cover_name((dip_cover)c);
        if (ground->cover_pixels[c] * 2 > pixels) meta->primary_label = name;
        if (ground->cover_pixels[c] * 10 < pixels) continue;
        length += (size_t)snprintf(pair->labels + length, sizeof pair->labels - length, "%s%s",
                                   length ? "|" : "", name);
    }
    meta->labels = pair->labels;
}

static void fill_meta(dip_pair *pair, const dip_simulator *s, uint64_t place, const site *t,
                      const dip_region *region, const dip_ground *ground)
{
    unsigned long long seed = s->simulation.seed;
    uint32_t size = s->simulation.size_px;
    snprintf(pair->name, sizeof pair->name, "sim%llu-%06llu", seed, (unsigned long long)place);
    snprintf(pair->scene, sizeof pair->scene, "sim%llu-scene%04llu", seed,
             (unsigned long long)t->scene);
    snprintf(pair->source, sizeof pair->source, "simulated (seed %llu)", seed);
    snprintf(pair->extra, sizeof pair->extra, "{\"simulated\":true,\"seed\":%llu}", seed);
    dip_meta meta = {.id = DIP_NO_ID,
                     .place = DIP_NO_ID,
                     .name = pair->name,
                     .place_name = pair->name,
                     .epsg = t->epsg,
                     .transform = {t->easting, PIXEL_M, 0, t->northing, 0, -PIXEL_M},
                     .primary_label = "",
                     .label_source = "simulated",
                     .split = split_of(t->scene),
                     .scene = pair->scene,
                     .source = pair->source,
                     .extra = pair->extra};
    dip_box box;
    dip_raster_locate(&box, t->epsg, meta.transform, size, size);
    meta.west = box.west;
    meta.south = box.south;
    meta.east = box.east;
    meta.north = box.north;
    fill_labels(pair, &meta, ground);
    for (int which = 0; which < 2; which++) {
        pair->tile[which].meta = meta;
        pair->tile[which].meta.time = time_of(region, (dip_simulated)which);
    }
    pair->tile[DIP_SIMULATED_S1].plane_count = 2;
    pair->tile[DIP_SIMULATED_S2].plane_count = DIP_OPTICAL_BANDS;
}

dip_status dip_simulator_place(dip_pair **out, const dip_simulator *simulator, uint64_t place)
{
    dip_region region;
    dip_rng rng;
    dip_ground *ground = NULL;
    const site t = find_site(simulator, place);
    const uint64_t seed = simulator->simulation.seed;
    dip_pair *pair = dip_calloc(1, sizeof *pair);
    if (!pair) return DIP_ENOMEM;
    dip_region_init(&region, seed, t.scene);
    dip_rng_init(&rng, dip_mix(seed, 0x73656e736f72u), place);
    dip_status status =
        dip_ground_create(&ground, &region, t.column, t.row, simulator->simulation.size_px);
    if (!status)
        status = dip_render_optical(pair->tile[DIP_SIMULATED_S2].planes, ground, &region,
                                    &simulator->sensors, &rng);
    if (!status)
        status = dip_render_radar(pair->tile[DIP_SIMULATED_S1].planes, ground, &simulator->sensors,
                                  &rng);
    if (status) {
        dip_pair_destroy(pair);
    } else {
        fill_meta(pair, simulator, place, &t, &region, ground);
        *out = pair;
    }
    dip_ground_destroy(ground);
    return status;
}

void dip_pair_destroy(dip_pair *pair)
{
    if (!pair) return;
    for (int which = 0; which < 2; which++)
        for (uint32_t b = 0; b < DIP_OPTICAL_BANDS; b++)
            dip_free(pair->tile[which].planes[b].pixels);
    dip_free(pair);
}

/* ---- the simulator ---- */

static dip_status check(const dip_simulation *simulation)
{
    if (simulation->size_px < 16 || simulation->size_px > 1024 || simulation->size_px % 2)
        return dip_fail(DIP_EINVAL,
                        "a simulated tile has an even side of 16 to 1024 pixels, not %u",
                        simulation->size_px);
    if (!(simulation->looks >= 0.5 && simulation->looks <= 1000))
        return dip_fail(DIP_EINVAL, "the number of looks is 0.5 to 1000, not %g",
                        simulation->looks);
    return DIP_OK;
}

dip_status dip_simulator_create(dip_simulator **out, const dip_simulation *simulation)
{
    dip_status status = check(simulation);
    if (status) return status;
    dip_simulator *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    double scene_m = (double)simulation->size_px * PIXEL_M * DIP_SCENE_SIDE;
    s->simulation = *simulation;
    s->scene_columns = (uint64_t)(288000 / scene_m);
    s->scene_rows = (uint64_t)(345600 / scene_m);
    if (simulation->places > most_places(s))
        status = dip_fail(DIP_EINVAL, "a simulation of %u px has at most %llu places",
                          simulation->size_px, (unsigned long long)most_places(s));
    if (!status) status = dip_sensors_init(&s->sensors, simulation->looks);
    if (status)
        dip_simulator_destroy(s);
    else
        *out = s;
    return status;
}

void dip_simulator_destroy(dip_simulator *simulator)
{
    if (!simulator) return;
    dip_sensors_fini(&simulator->sensors);
    dip_free(simulator);
}

/* ---- into an archive ---- */

typedef struct window {
    const dip_simulator *simulator;
    dip_archive *archive;
    uint32_t modality[2];
    uint64_t place[BATCH];
    bool wanted[BATCH][2];
    dip_pair *pair[BATCH];
    size_t count;
} window;

static dip_status make_place(void *context, size_t task, unsigned worker)
{
    window *w = context;
    (void)worker;
    return dip_simulator_place(&w->pair[task], w->simulator, w->place[task]);
}

static dip_status is_missing(const window *w, uint64_t place, dip_simulated which, bool *missing)
{
    char name[48];
    uint64_t id;
    snprintf(name, sizeof name, "sim%llu-%06llu", (unsigned long long)w->simulator->simulation.seed,
             (unsigned long long)place);
    dip_status status = dip_archive_find_tile(w->archive, w->modality[which], name, &id);
    *missing = status == DIP_ENOENT;
    return *missing ? DIP_OK : status;
}

/* Places that are not there yet, up to a batch of them. */
static dip_status gather(window *w, uint64_t *next)
{
    dip_status status = DIP_OK;
    w->count = 0;
    while (*next < w->simulator->simulation.places && w->count < BATCH && !status) {
        bool *wanted = w->wanted[w->count];
        status = is_missing(w, *next, DIP_SIMULATED_S1, &wanted[0]);
        if (!status) status = is_missing(w, *next, DIP_SIMULATED_S2, &wanted[1]);
        if (wanted[0] || wanted[1]) w->place[w->count++] = *next;
        (*next)++;
    }
    return status;
}

static dip_status store(window *w)
{
    dip_batch *batch = NULL;
    dip_status status = w->count ? dip_batch_begin(&batch, w->archive) : DIP_OK;
    for (size_t i = 0; i < w->count && !status; i++)
        for (int which = 0; which < 2 && !status; which++) {
            dip_tile *tile = &w->pair[i]->tile[which];
            tile->meta.modality = w->modality[which];
            if (w->wanted[i][which]) status = dip_batch_add_tile(batch, tile);
        }
    if (status) {
        dip_batch_abort(batch);
        return status;
    }
    return batch ? dip_batch_commit(batch) : DIP_OK;
}

static dip_status declare(window *w)
{
    for (int which = 0; which < 2; which++) {
        dip_modality modality;
        dip_simulator_modality(&modality, (dip_simulated)which);
        dip_status status = dip_archive_declare(w->archive, &modality);
        if (status) return status;
        w->modality[which] = (uint32_t)dip_archive_find_modality(w->archive, modality.name);
    }
    return DIP_OK;
}

static dip_status run(window *w, const dip_progress *progress)
{
    const uint64_t places = w->simulator->simulation.places;
    dip_status status = declare(w);
    for (uint64_t next = 0; next < places && !status;) {
        if (dip_progress_tick(progress, "simulate", next, places))
            return dip_fail(DIP_ECANCEL, "stopped after %llu of %llu places",
                            (unsigned long long)next, (unsigned long long)places);
        status = gather(w, &next);
        if (!status) status = dip_parallel_for(w->count, make_place, w);
        if (!status) status = store(w);
        for (size_t i = 0; i < BATCH; i++) {
            dip_pair_destroy(w->pair[i]);
            w->pair[i] = NULL;
        }
    }
    if (!status) dip_progress_tick(progress, "simulate", places, places);
    return status ? status : dip_statistics_fill(w->archive, progress);
}

dip_status dip_simulate(dip_archive *archive, const dip_simulation *simulation,
                        const dip_progress *progress)
{
    dip_simulator *simulator;
    dip_status status = dip_simulator_create(&simulator, simulation);
    if (status) return status;
    window *w = dip_calloc(1, sizeof *w);
    status = DIP_ENOMEM;
    if (w) {
        w->simulator = simulator;
        w->archive = archive;
        status = run(w, progress);
    }
    dip_free(w);
    dip_simulator_destroy(simulator);
    return status;
}
