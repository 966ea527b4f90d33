/* Simulation: pairs depend on their number alone, look like what their labels say, and go into an archive. */
#include "tests/ingest/support.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "ingest/noise.h"
#include "ingest/simulate.h"

#include <math.h>
#include <stdlib.h>

static dip_simulator *make(uint64_t seed, uint32_t size, double looks)
{
    const dip_simulation simulation = {seed, 1000, size, looks};
    dip_simulator *s = NULL;
    assert_ok(dip_simulator_create(&s, &simulation));
    return s;
}

static size_t bytes_of(const dip_plane *p)
{
    return (size_t)p->width * p->height * dip_dtype_size(p->dtype);
}

static bool same_pixels(const dip_pair *a, const dip_pair *b)
{
    for (int which = 0; which < 2; which++)
        for (uint32_t p = 0; p < a->tile[which].plane_count; p++) {
            const dip_plane *x = &a->tile[which].planes[p], *y = &b->tile[which].planes[p];
            if (bytes_of(x) != bytes_of(y) || memcmp(x->pixels, y->pixels, bytes_of(x)))
                return false;
        }
    return true;
}

static void test_shapes(void **state)
{
    (void)state;
    static const char *const names[] = {"B02", "B03", "B04", "B05", "B06",
                                        "B07", "B08", "B8A", "B11", "B12"};
    dip_simulator *s = make(1, 60, 4.4);
    dip_pair *pair;
    dip_modality m;
    assert_ok(dip_simulator_place(&pair, s, 5));
    dip_simulator_modality(&m, DIP_SIMULATED_S2);
    assert_int_equal(m.band_count, 10);
    assert_int_equal(pair->tile[DIP_SIMULATED_S2].plane_count, 10);
    for (uint32_t b = 0; b < 10; b++) {
        const dip_plane *p = &pair->tile[DIP_SIMULATED_S2].planes[b];
        assert_string_equal(m.bands[b].name, names[b]);
        assert_int_equal(p->dtype, DIP_DTYPE_U16);
        assert_int_equal(p->width, m.bands[b].gsd_m == 10 ? 60 : 30);
    }
    dip_simulator_modality(&m, DIP_SIMULATED_S1);
    assert_string_equal(m.bands[1].name, "VH");
    assert_string_equal(m.bands[1].unit, "dB");
    assert_int_equal(pair->tile[DIP_SIMULATED_S1].plane_count, 2);
    assert_int_equal(pair->tile[DIP_SIMULATED_S1].planes[0].dtype, DIP_DTYPE_F32);
    dip_pair_destroy(pair);
    dip_simulator_destroy(s);
}

/* The same place twice is the same; another place, seed or number of looks is not. */
static void test_reproducible(void **state)
{
    (void)state;
    dip_pair *pair[5];
    dip_simulator *s = make(1, 32, 4.4), *again = make(1, 32, 4.4), *other = make(2, 32, 4.4),
                  *smooth = make(1, 32, 50);
    assert_ok(dip_simulator_place(&pair[0], s, 17));
    assert_ok(dip_simulator_place(&pair[1], again, 17));
    assert_ok(dip_simulator_place(&pair[2], s, 18));
    assert_ok(dip_simulator_place(&pair[3], other, 17));
    assert_ok(dip_simulator_place(&pair[4], smooth, 17));
    assert_true(same_pixels(pair[0], pair[1]));
    for (int i = 2; i < 5; i++) assert_false(same_pixels(pair[0], pair[i]));
    for (int i = 0; i < 5; i++) dip_pair_destroy(pair[i]);
    dip_simulator_destroy(s);
    dip_simulator_destroy(again);
    dip_simulator_destroy(other);
    dip_simulator_destroy(smooth);
}

static void test_marked_as_simulated(void **state)
{
    (void)state;
    dip_simulator *s = make(7, 32, 4.4);
    dip_pair *pair;
    assert_ok(dip_simulator_place(&pair, s, 33));
    for (int which = 0; which < 2; which++) {
        const dip_meta *m = &pair->tile[which].meta;
        assert_string_equal(m->name, "sim7-000033");
        assert_string_equal(m->place_name, m->name);
        assert_string_equal(m->source, "simulated (seed 7)");
        assert_string_equal(m->label_source, "simulated");
        assert_string_equal(m->scene, "sim7-scene0002");
        assert_string_equal(m->split, "train");
        assert_true(m->west > 10 && m->east < 18 && m->south > 46 && m->north < 51);
        assert_true(m->time > 1609459200 && m->time < 1704067200);
    }
    dip_pair_destroy(pair);
    dip_simulator_destroy(s);
}

/* Of ten scenes seven, one and two; the sixteen places of a scene stay together. */
static void test_splits(void **state)
{
    (void)state;
    int count[3] = {0};
    dip_simulator *s = make(1, 16, 4.4);
    for (uint64_t place = 0; place < 160; place++) {
        dip_pair *pair;
        assert_ok(dip_simulator_place(&pair, s, place));
        const char *split = pair->tile[0].meta.split;
        count[!strcmp(split, "train") ? 0 : !strcmp(split, "val") ? 1 : 2]++;
        dip_pair_destroy(pair);
    }
    assert_int_equal(count[0], 112);
    assert_int_equal(count[1], 16);
    assert_int_equal(count[2], 32);
    dip_simulator_destroy(s);
}

/* Footprints of neighbours touch and do not overlap. */
static void test_grid(void **state)
{
    (void)state;
    dip_simulator *s = make(1, 120, 4.4);
    dip_pair *a, *east, *south;
    assert_ok(dip_simulator_place(&a, s, 0));
    assert_ok(dip_simulator_place(&east, s, 1));
    assert_ok(dip_simulator_place(&south, s, 4));
    const dip_meta *m = &a->tile[0].meta;
    assert_true(east->tile[0].meta.transform[0] == m->transform[0] + 1200);
    assert_true(south->tile[0].meta.transform[3] == m->transform[3] - 1200);
    assert_true(fabs(east->tile[0].meta.west - m->east) < 1e-3);
    dip_pair_destroy(a);
    dip_pair_destroy(east);
    dip_pair_destroy(south);
    dip_simulator_destroy(s);
}

static double mean_of(const dip_plane *p)
{
    double sum = 0;
    size_t n = (size_t)p->width * p->height;
    for (size_t i = 0; i < n; i++) sum += support_value(p, i);
    return sum / (double)n;
}

/* Means over the places that a label rules. */
typedef struct tally {
    const char *label;
    double vv, vh, red, infrared, swir;
    int places;
} tally;

static void add_to(tally *t, const dip_pair *pair)
{
    const dip_plane *radar = pair->tile[DIP_SIMULATED_S1].planes;
    const dip_plane *optical = pair->tile[DIP_SIMULATED_S2].planes;
    t->vv += mean_of(&radar[0]);
    t->vh += mean_of(&radar[1]);
    t->red += mean_of(&optical[2]);
    t->infrared += mean_of(&optical[6]);
    t->swir += mean_of(&optical[8]);
    t->places++;
}

/* Water is dark to the radar and in the infrared, woods are bright in VH, towns brightest in VV. */
static void test_physics(void **state)
{
    (void)state;
    tally t[] = {{.label = "water"},
                 {.label = "coniferous forest"},
                 {.label = "arable land"},
                 {.label = "urban"}};
    dip_simulator *s = make(3, 64, 4.4);
    for (uint64_t place = 0; place < 480; place++) {
        dip_pair *pair;
        assert_ok(dip_simulator_place(&pair, s, place * 2));
        for (int i = 0; i < 4; i++)
            if (!strcmp(pair->tile[0].meta.primary_label, t[i].label)) add_to(&t[i], pair);
        dip_pair_destroy(pair);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(t[i].places >= 5);
        t[i].vv /= t[i].places;
        t[i].vh /= t[i].places;
        t[i].red /= t[i].places;
        t[i].infrared /= t[i].places;
        t[i].swir /= t[i].places;
    }
    const tally *water = &t[0], *wood = &t[1], *field = &t[2], *town = &t[3];
    assert_true(water->vv < -15 && water->infrared < 1000 && water->swir < 600);
    assert_true(wood->vh > field->vh + 1.5 && wood->red < field->red && wood->vh > water->vh + 5);
    assert_true(town->vv > field->vv + 2 && town->red > wood->red);
    assert_true(field->infrared > 1500);
    dip_simulator_destroy(s);
}

/* Two tiles of one cover must not look the same: their correlation is far from one. */
static void test_places_differ(void **state)
{
    (void)state;
    dip_simulator *s = make(1, 64, 4.4);
    int compared = 0, alike = 0;
    dip_pair *last = NULL;
    for (uint64_t place = 0; place < 400; place++) {
        dip_pair *pair;
        assert_ok(dip_simulator_place(&pair, s, place));
        if (strcmp(pair->tile[0].meta.primary_label, "arable land")) {
            dip_pair_destroy(pair);
            continue;
        }
        if (last) {
            const uint16_t *a = last->tile[1].planes[2].pixels, *b = pair->tile[1].planes[2].pixels;
            double ma = mean_of(&last->tile[1].planes[2]), mb = mean_of(&pair->tile[1].planes[2]);
            double ab = 0, aa = 0, bb = 0;
            for (int i = 0; i < 64 * 64; i++) {
                ab += (a[i] - ma) * (b[i] - mb);
                aa += (a[i] - ma) * (a[i] - ma);
                bb += (b[i] - mb) * (b[i] - mb);
            }
            compared++;
            alike += fabs(ab / sqrt(aa * bb)) > 0.5;
        }
        dip_pair_destroy(last);
        last = pair;
    }
    dip_pair_destroy(last);
    assert_true(compared >= 20);
    assert_true(alike * 20 <= compared);
    dip_simulator_destroy(s);
}

/* Speckle has the moments of a gamma distribution of mean 1: variance 1 / looks. */
static void test_speckle(void **state)
{
    (void)state;
    static const double looks[] = {1, 4.4, 20};
    float *table = dip_alloc(DIP_QUANTILES * sizeof *table);
    assert_non_null(table);
    for (int l = 0; l < 3; l++) {
        double sum = 0, squares = 0;
        dip_quantiles_speckle_db(table, looks[l]);
        for (int i = 0; i < DIP_QUANTILES; i++) {
            double power = pow(10, table[i] / 10);
            sum += power;
            squares += power * power;
            if (i) assert_true(table[i] > table[i - 1]);
        }
        double mean = sum / DIP_QUANTILES, variance = squares / DIP_QUANTILES - mean * mean;
        assert_true(fabs(mean - 1) < 1e-3);
        assert_true(fabs(variance * looks[l] - 1) < 0.01);
    }
    dip_quantiles_normal(table);
    double squares = 0;
    for (int i = 0; i < DIP_QUANTILES; i++) squares += (double)table[i] * table[i];
    assert_true(fabs(squares / DIP_QUANTILES - 1) < 1e-3);
    assert_true(fabs(table[63897] - 1.9599) < 2e-3); /* the 97.5 % quantile */
    dip_free(table);
}

/* Noise has unit variance and is the same however it is cut into windows. */
static void test_noise(void **state)
{
    (void)state;
    enum { SIDE = 256, PART = 40 };
    float *whole = dip_alloc(SIDE * SIDE * sizeof *whole), part[PART * PART];
    assert_non_null(whole);
    const dip_window all = {-100, 50, SIDE, SIDE}, some = {-60, 80, PART, PART};
    assert_ok(dip_noise_fill(whole, &all, 16, 3, 99));
    assert_ok(dip_noise_fill(part, &some, 16, 3, 99));
    double sum = 0, squares = 0;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        sum += whole[i];
        squares += (double)whole[i] * whole[i];
    }
    assert_true(fabs(sum / (SIDE * SIDE)) < 0.2);
    assert_true(fabs(squares / (SIDE * SIDE) - 1) < 0.25);
    for (int y = 0; y < PART; y++)
        assert_memory_equal(part + y * PART, whole + (y + 30) * SIDE + 40, PART * sizeof *part);
    dip_free(whole);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        dip_simulation simulation;
        const char *words;
    } cases[] = {
        {{1, 1, 15, 4}, "even side of 16 to 1024"},
        {{1, 1, 1026, 4}, "even side"},
        {{1, 1, 33, 4}, "even side"},
        {{1, 1, 32, 0.1}, "number of looks"},
        {{1, 1, 32, NAN}, "number of looks"},
        {{1, UINT64_MAX, 32, 4}, "at most"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_simulator *s;
        assert_fails(dip_simulator_create(&s, &cases[i].simulation), DIP_EINVAL, cases[i].words);
    }
}

/* ---- into an archive ---- */

static dip_status hash_tile(void *context, const dip_meta *meta)
{
    uint64_t *hash = context;
    *hash =
        dip_mix(*hash, meta->id * 31 + meta->place + (uint64_t)meta->name[strlen(meta->name) - 1]);
    return DIP_OK;
}

static int stop_late(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)payload, (void)phase, (void)total;
    return done >= 64;
}

static void test_archive(void **state)
{
    (void)state;
    const dip_simulation all = {5, 100, 32, 4.4};
    uint64_t hashes[2] = {0};
    dip_archive_counts counts;
    for (int run = 0; run < 2; run++) {
        dip_archive *archive = support_archive("simulated.archive");
        dip_progress stop = {stop_late, NULL};
        dip_threads_set(run ? 1 : 3);
        if (run) assert_fails(dip_simulate(archive, &all, &stop), DIP_ECANCEL, "64 of 100");
        assert_ok(dip_simulate(archive, &all, NULL));
        assert_ok(dip_simulate(archive, &all, NULL));
        assert_ok(dip_archive_count(archive, &counts));
        assert_int_equal(counts.tiles, 200);
        assert_int_equal(counts.places, 100);
        assert_ok(dip_archive_each(archive, hash_tile, &hashes[run]));
        const dip_modality *s2 = dip_archive_modality(archive, 1);
        assert_string_equal(s2->name, "s2");
        assert_true(s2->bands[0].stddev > 0 && s2->bands[0].mean > 0);
        dip_archive_close(archive);
    }
    dip_threads_set(0);
    assert_true(hashes[0] == hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_marked_as_simulated),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_physics),
        cmocka_unit_test(test_places_differ),
        cmocka_unit_test(test_speckle),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_archive),
    };
    return cmocka_run_group_tests_name("simulate", tests, NULL, support_cleanup);
}
