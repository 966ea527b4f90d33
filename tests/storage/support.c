/* See support.h. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    /* In memory if we can: most of the time would go into syncing small batches to a disk. */
    if (!base) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *path = dip_sprintf("%s/diptych-storage-XXXXXX", base);
    if (!path || !mkdtemp(path)) return -1;
    *state = path;
    return 0;
}

int remove_folder(void **state)
{
    dip_file_remove(*state);
    dip_free(*state);
    return 0;
}

const char *inside(const char *folder, const char *name)
{
    static char buffers[4][512];
    static unsigned next;
    char *out = buffers[next++ % 4];
    snprintf(out, sizeof buffers[0], "%s/%s", folder, name);
    return out;
}

static dip_modality modality_of(const char *name, const char *unit, unsigned count,
                                const char *const *bands)
{
    dip_modality m = {.band_count = count};
    snprintf(m.name, sizeof m.name, "%s", name);
    for (unsigned i = 0; i < count; i++) {
        snprintf(m.bands[i].name, sizeof m.bands[i].name, "%s", bands[i]);
        snprintf(m.bands[i].unit, sizeof m.bands[i].unit, "%s", unit);
        m.bands[i].gsd_m = 10;
    }
    return m;
}

dip_modality s1_modality(void)
{
    return modality_of("s1", "dB", 2, (const char *const[]){"VV", "VH"});
}

dip_modality s2_modality(void)
{
    dip_modality m =
        modality_of("s2", "reflectance", 3, (const char *const[]){"B02", "B03", "B04"});
    strcpy(m.display[0], "B04");
    strcpy(m.display[1], "B03");
    strcpy(m.display[2], "B02");
    return m;
}

dip_archive *new_archive(const char *folder)
{
    dip_archive *archive = NULL;
    dip_modality s1 = s1_modality(), s2 = s2_modality();
    assert_ok(dip_archive_create(&archive, inside(folder, "a"), "Test"));
    assert_ok(dip_archive_declare(archive, &s1));
    assert_ok(dip_archive_declare(archive, &s2));
    return archive;
}

dip_archive *open_archive(const char *folder, dip_archive_mode mode)
{
    dip_archive *archive = NULL;
    assert_ok(dip_archive_open(&archive, inside(folder, "a"), mode));
    return archive;
}

static void set_pixel(const dip_plane *plane, size_t i, double value)
{
    switch (plane->dtype) {
    case DIP_DTYPE_U8: ((uint8_t *)plane->pixels)[i] = (uint8_t)(int)value; break;
    case DIP_DTYPE_U16: ((uint16_t *)plane->pixels)[i] = (uint16_t)(int)(value * 40); break;
    case DIP_DTYPE_I16: ((int16_t *)plane->pixels)[i] = (int16_t)(int)(value * 40 - 5000); break;
    case DIP_DTYPE_U32: ((uint32_t *)plane->pixels)[i] = (uint32_t)(value * 1e6); break;
    case DIP_DTYPE_I32: ((int32_t *)plane->pixels)[i] = (int32_t)(value * 1e6 - 1e8); break;
    case DIP_DTYPE_F32: ((float *)plane->pixels)[i] = (float)(value / 8 - 25); break;
    case DIP_DTYPE_F64: ((double *)plane->pixels)[i] = value / 8 - 25; break;
    }
}

dip_tile make_tile(uint32_t modality, const char *name, const char *place, uint32_t planes,
                   dip_dtype dtype, uint32_t side, uint64_t seed)
{
    dip_tile tile = {.plane_count = planes};
    dip_rng rng;
    dip_rng_init(&rng, seed, modality);
    tile.meta = (dip_meta){.modality = modality,
                           .name = name,
                           .place_name = place,
                           .time = 1600000000 + (int64_t)seed,
                           .west = -118.5,
                           .south = 34,
                           .east = -118.4,
                           .north = NAN,
                           .epsg = 32611,
                           .transform = {500000, 10, 0, 3700000, 0, -10},
                           .labels = "water|residential",
                           .split = "train",
                           .extra = "{\"cloud\": 0.25}"};
    for (uint32_t p = 0; p < planes; p++) {
        dip_plane *plane = &tile.planes[p];
        *plane = (dip_plane){dtype, side, side, NULL};
        plane->pixels = malloc((size_t)side * side * dip_dtype_size(dtype));
        for (uint32_t i = 0; i < side * side; i++)
            set_pixel(plane, i,
                      100 + 50 * sin((i % side) * 0.1 + p) + 30 * cos((i / side) * 0.07) +
                          10 * dip_rng_uniform(&rng));
    }
    return tile;
}

void free_made(dip_tile *tile)
{
    for (uint32_t p = 0; p < tile->plane_count; p++) free(tile->planes[p].pixels);
}

void assert_same_pixels(const dip_tile *a, const dip_tile *b)
{
    assert_int_equal(a->plane_count, b->plane_count);
    for (uint32_t p = 0; p < a->plane_count; p++) {
        const dip_plane *x = &a->planes[p], *y = &b->planes[p];
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->width, y->width);
        assert_int_equal(x->height, y->height);
        assert_memory_equal(x->pixels, y->pixels,
                            (size_t)x->width * x->height * dip_dtype_size(x->dtype));
    }
}

static void assert_same_text(const char *a, const char *b)
{
    assert_string_equal(a ? a : "", b ? b : "");
}

void assert_same_meta(const dip_meta *a, const dip_meta *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->place, b->place);
    assert_int_equal(a->modality, b->modality);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->epsg, b->epsg);
    assert_memory_equal(&a->west, &b->west, 4 * sizeof(double));
    assert_memory_equal(a->transform, b->transform, sizeof a->transform);
    assert_same_text(a->name, b->name);
    assert_same_text(a->place_name, b->place_name);
    assert_same_text(a->labels, b->labels);
    assert_same_text(a->primary_label, b->primary_label);
    assert_same_text(a->label_source, b->label_source);
    assert_same_text(a->split, b->split);
    assert_same_text(a->scene, b->scene);
    assert_same_text(a->source, b->source);
    assert_same_text(a->extra, b->extra);
}

void add_pairs(dip_archive *archive, const char *prefix, unsigned from, unsigned to, uint32_t side)
{
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, archive));
    for (unsigned i = from; i < to; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-%u", prefix, i);
        dip_tile a = make_tile(0, name, name, 2, DIP_DTYPE_F32, side, i);
        dip_tile b = make_tile(1, name, name, 3, DIP_DTYPE_U16, side, i);
        assert_ok(dip_batch_add_tile(batch, &a));
        assert_ok(dip_batch_add_tile(batch, &b));
        assert_int_equal(a.meta.place, b.meta.place);
        free_made(&a);
        free_made(&b);
    }
    assert_ok(dip_batch_commit(batch));
}

void random_vectors(dip_rng *rng, float *out, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < dim; k++) {
            out[i * dim + k] = (float)dip_rng_normal(rng);
            sum += (double)out[i * dim + k] * out[i * dim + k];
        }
        for (size_t k = 0; k < dim; k++) out[i * dim + k] /= (float)sqrt(sum);
    }
}

static void keep_line(void *payload, const char *line)
{
    fault_list *list = payload;
    if (list->kept < 64) snprintf(list->lines[list->kept++], sizeof list->lines[0], "%s", line);
}

void collect_faults(const dip_archive *archive, fault_list *out)
{
    out->faults = out->kept = 0;
    assert_ok(dip_archive_verify(archive, keep_line, out, NULL, NULL, &out->faults));
    assert_true(out->faults >= out->kept);
}

void assert_sound(const dip_archive *archive)
{
    fault_list list;
    collect_faults(archive, &list);
    if (list.faults) fail_msg("%u faults: %s", (unsigned)list.faults, list.lines[0]);
}

void assert_reported(const fault_list *faults, const char *part)
{
    for (unsigned i = 0; i < faults->kept; i++)
        if (strstr(faults->lines[i], part)) return;
    fail_msg("no fault mentions '%s'; the first of %u is '%s'", part, faults->kept,
             faults->kept ? faults->lines[0] : "");
}
