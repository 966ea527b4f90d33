/* See support.h. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdlib.h>

enum { FINE = 24, COARSE = 12, WAVES = 4 };

static char *folder;

const char *support_path(const char *format, ...)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    va_list args;
    if (!folder) folder = scratch_folder("train");
    int at = snprintf(path, sizeof paths[0], "%s/", folder);
    va_start(args, format);
    vsnprintf(path + at, sizeof paths[0] - (size_t)at, format, args);
    va_end(args);
    return path;
}

int support_cleanup(void **state)
{
    (void)state;
    if (folder) assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
    folder = NULL;
    return 0;
}

/* ---- pixels ---- */

/* A place's pattern: a few waves, at (x, y) in 0..1. */
static double pattern(size_t place, double x, double y)
{
    dip_rng rng;
    double sum = 0;
    dip_rng_init(&rng, 77, place);
    for (int i = 0; i < WAVES; i++) {
        double fx = dip_rng_range(&rng, -12, 12), fy = dip_rng_range(&rng, -12, 12);
        sum += cos(fx * x + fy * y + dip_rng_range(&rng, 0, 6.3));
    }
    return sum / 2;
}

static double value(const support_plan *plan, size_t place, size_t at, size_t side, dip_rng *rng)
{
    (void)plan;
    double x = (double)(at % side) / (double)side, y = (double)(at / side) / (double)side;
    return pattern(place, x, y) + 0.2 * dip_rng_normal(rng);
}

static void fill_radar(const support_plan *plan, size_t place, dip_rng *rng, float *out)
{
    for (size_t i = 0; i < FINE * FINE; i++)
        out[i] = (float)(-12 + 4 * value(plan, place, i, FINE, rng));
    if (plan->nan_place == place + 1) out[5] = NAN;
}

static void fill_u16(const support_plan *plan, size_t place, size_t side, dip_rng *rng,
                     uint16_t *out)
{
    for (size_t i = 0; i < side * side; i++)
        out[i] = (uint16_t)(2000 - 300 * value(plan, place, i, side, rng));
}

static void fill_u8(const support_plan *plan, size_t place, dip_rng *rng, uint8_t *out)
{
    for (size_t i = 0; i < COARSE * COARSE; i++)
        out[i] = (uint8_t)(128 + 20 * value(plan, place, i, COARSE, rng));
}

/* ---- archive ---- */

static void declare(dip_archive *archive, const char *name, const char *bands, const char *unit)
{
    dip_modality modality = {.band_count = 0};
    strcpy(modality.name, name);
    for (const char *at = bands; *at; at++) {
        dip_band *band = &modality.bands[modality.band_count++];
        snprintf(band->name, sizeof band->name, "%c", *at);
        strcpy(band->unit, unit);
        band->gsd_m = 10;
    }
    assert_int_equal(dip_archive_declare(archive, &modality), DIP_OK);
}

static const char *split_of(const support_plan *plan, size_t place)
{
    if (!plan->splits) return "";
    switch (plan->splits[place % strlen(plan->splits)]) {
    case 't': return "train";
    case 'v': return "val";
    case 'e': return "test";
    default: return "";
    }
}

static void add_tile(dip_batch *batch, const support_plan *plan, size_t place, uint32_t modality,
                     size_t date)
{
    static float radar[FINE * FINE];
    static uint16_t fine[FINE * FINE], coarse[COARSE * COARSE];
    static uint8_t grey[COARSE * COARSE];
    static const char *const lands[] = {"field", "water", "town"};
    const char *land = plan->labels ? lands[place % 3] : "";
    char name[32], place_name[32], scene[32] = "";
    dip_rng rng;
    dip_rng_init(&rng, 78 + date, place * 4 + modality);
    snprintf(name, sizeof name, "tile-%zu-%zu", place, date);
    snprintf(place_name, sizeof place_name, "place-%zu", place);
    if (plan->scene_places) snprintf(scene, sizeof scene, "scene-%zu", place / plan->scene_places);
    dip_tile tile = {.meta = {.modality = modality,
                              .name = name,
                              .place_name = place_name,
                              .time = DIP_NO_TIME,
                              .west = NAN,
                              .south = NAN,
                              .east = NAN,
                              .north = NAN,
                              .labels = land,
                              .primary_label = land,
                              .split = split_of(plan, place),
                              .scene = scene},
                     .plane_count = modality == 1 ? 2 : 1};
    fill_radar(plan, place, &rng, radar);
    fill_u16(plan, place, FINE, &rng, fine);
    fill_u16(plan, place, COARSE, &rng, coarse);
    fill_u8(plan, place, &rng, grey);
    if (modality == 0) tile.planes[0] = (dip_plane){DIP_DTYPE_F32, FINE, FINE, radar};
    if (modality == 1) tile.planes[0] = (dip_plane){DIP_DTYPE_U16, FINE, FINE, fine};
    if (modality == 1) tile.planes[1] = (dip_plane){DIP_DTYPE_U16, COARSE, COARSE, coarse};
    if (modality == 2) tile.planes[0] = (dip_plane){DIP_DTYPE_U8, COARSE, COARSE, grey};
    assert_int_equal(dip_batch_add_tile(batch, &tile), DIP_OK);
}

dip_archive *support_archive(const char *name, const support_plan *plan)
{
    size_t places = plan->places ? plan->places : 24, dates = plan->dates ? plan->dates : 1;
    uint32_t modalities = plan->modalities ? (uint32_t)plan->modalities : 2;
    dip_archive *archive = NULL;
    dip_batch *batch = NULL;
    assert_int_equal(dip_archive_create(&archive, support_path("%s", name), name), DIP_OK);
    declare(archive, "a", "V", "dB");
    declare(archive, "b", "RN", "reflectance");
    if (modalities > 2) declare(archive, "c", "G", "");
    assert_int_equal(dip_batch_begin(&batch, archive), DIP_OK);
    for (size_t place = 0; place < places; place++)
        for (uint32_t m = 0; m < modalities; m++)
            for (size_t date = 0; date < dates; date++) add_tile(batch, plan, place, m, date);
    assert_int_equal(dip_batch_commit(batch), DIP_OK);
    return archive;
}

dip_archive *support_open(const char *name)
{
    dip_archive *archive = NULL;
    assert_int_equal(dip_archive_open(&archive, support_path("%s", name), DIP_ARCHIVE_WRITE),
                     DIP_OK);
    return archive;
}

dip_train_options support_options(const char *name)
{
    dip_train_options options;
    char *argv[] = {(char *)"train", NULL};
    dip_train_options_init(&options, 1, argv);
    options.name = name;
    options.epochs = 3;
    options.batch = 8;
    options.input_px = 16;
    options.stem_stride = 1;
    options.stem_pool = false;
    options.widths = "32,32";
    options.blocks = "1,1";
    options.shared_from = 1;
    options.embed_dim = 32;
    options.embed_z = 0;
    options.embed_h = 1;
    options.embed_h_form = DIP_EMBED_UNIT;
    options.embed_layout = 0;
    options.warmup = 1;
    options.eval_every = 1;
    options.checkpoint_every = 2;
    return options;
}

char *support_read(const char *path, size_t *length)
{
    char *text = NULL;
    assert_int_equal(dip_file_read(&text, length, path, 1 << 28), DIP_OK);
    return text;
}
