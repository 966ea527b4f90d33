/* The loader and its cache: a batch depends on seed, epoch and step alone; failures arrive by name. */
#include "support.h"

#include "core/mem.h"
#include "train/batch.h"

#include <math.h>

enum { PX = 12, BATCH = 6 };

typedef struct rig {
    dip_archive *archive;
    dip_dataset *dataset;
    dip_tile_cache *cache;
    dip_loader *loader;
} rig;

static rig open_rig(const char *name, const support_plan *plan, size_t memory, bool independent)
{
    rig r = {.archive = support_archive(name, plan)};
    const dip_loader_options options = {
        .seed = 5,
        .batch = BATCH,
        .input_px = PX,
        .augment = {.zoom_min = 0.5, .zoom_max = 1, .flips = true, .rotations = true, .noise = 0.1},
        .independent = independent};
    assert_int_equal(dip_dataset_open(&r.dataset, r.archive, NULL), DIP_OK);
    assert_int_equal(dip_dataset_measure(r.dataset, NULL), DIP_OK);
    assert_int_equal(dip_tile_cache_create(&r.cache, r.dataset, memory), DIP_OK);
    assert_int_equal(dip_tile_cache_fill(r.cache, NULL), DIP_OK);
    assert_int_equal(dip_loader_create(&r.loader, r.dataset, r.cache, &options), DIP_OK);
    return r;
}

static void close_rig(rig *r)
{
    dip_loader_destroy(r->loader);
    dip_tile_cache_destroy(r->cache);
    dip_dataset_close(r->dataset);
    dip_archive_close(r->archive);
}

enum { SIZE = BATCH * PX * PX * 2 };

/* The inputs of one batch, both modalities one after the other. */
static void fetch(rig *r, uint64_t epoch, uint64_t step, uint64_t skip, float out[2][SIZE])
{
    const dip_train_batch *batch = NULL;
    assert_int_equal(dip_loader_start(r->loader, epoch, step), DIP_OK);
    for (uint64_t i = 0; i <= skip; i++)
        assert_int_equal(dip_loader_next(r->loader, &batch), DIP_OK);
    assert_int_equal(batch->n, BATCH);
    memset(out, 0, 2 * sizeof out[0]);
    for (int side = 0; side < 2; side++) {
        size_t bands = r->dataset->modality[batch->modality[side]].band_count;
        memcpy(out[side], batch->input[side], BATCH * PX * PX * bands * sizeof(float));
    }
}

static const support_plan plain = {.places = 20, .splits = "t"};

static void memory_and_starting_point_do_not_matter(void **state)
{
    (void)state;
    static float a[2][SIZE], b[2][SIZE];
    rig large = open_rig("large", &plain, 1 << 24, false);
    rig none = open_rig("none", &plain, 0, false);
    assert_true(dip_tile_cache_count(large.cache) > 0);
    assert_int_equal(dip_tile_cache_count(none.cache), 0);
    uint64_t steps = dip_loader_steps(large.loader);
    assert_int_equal(steps, 3);        /* 18 pairs (2 are held out), 6 a batch */
    fetch(&large, 0, 0, steps + 1, a); /* epoch 1, step 1, coming from the start */
    fetch(&none, 1, 1, 0, b);
    assert_memory_equal(a, b, sizeof a);
    fetch(&none, 1, 2, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    fetch(&none, 2, 1, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    close_rig(&large);
    close_rig(&none);
}

/* Both modalities show the same waves (b with the opposite sign): one window for both makes them correlate. */
static double correlation(float inputs[2][SIZE])
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < BATCH * PX * PX; i++) {
        double x = inputs[0][i], y = inputs[1][2 * i];
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    return xy / sqrt(xx * yy);
}

static void both_modalities_see_one_window(void **state)
{
    (void)state;
    static float a[2][SIZE];
    rig same = open_rig("same", &plain, 1 << 24, false);
    rig apart = open_rig("apart", &plain, 1 << 24, true);
    fetch(&same, 0, 0, 0, a);
    assert_true(correlation(a) < -0.8);
    fetch(&apart, 0, 0, 0, a);
    assert_true(correlation(a) > -0.6);
    close_rig(&same);
    close_rig(&apart);
}

static void a_batch_is_of_one_combination(void **state)
{
    (void)state;
    const support_plan plan = {.places = 15, .splits = "t", .modalities = 3, .dates = 2};
    rig r = open_rig("combinations", &plan, 1 << 24, false);
    size_t seen[3][3] = {{0}};
    const dip_train_batch *batch = NULL;
    assert_int_equal(dip_loader_start(r.loader, 0, 0), DIP_OK);
    for (uint64_t i = 0; i < dip_loader_steps(r.loader); i++) {
        assert_int_equal(dip_loader_next(r.loader, &batch), DIP_OK);
        assert_true(batch->modality[0] < batch->modality[1]);
        seen[batch->modality[0]][batch->modality[1]]++;
    }
    assert_true(seen[0][1] == 2 && seen[0][2] == 2 && seen[1][2] == 2);
    close_rig(&r);
}

static void cache_rounds_like_reading(void **state)
{
    (void)state;
    rig large = open_rig("kept", &plain, 1 << 24, false);
    dip_tile_cache *none = NULL;
    dip_image a = {.values = NULL}, b = {.values = NULL};
    assert_int_equal(dip_tile_cache_create(&none, large.dataset, 0), DIP_OK);
    for (uint32_t tile = 0; tile < large.dataset->tile_count; tile += 7) {
        assert_int_equal(dip_tile_cache_get(large.cache, tile, &a), DIP_OK);
        assert_int_equal(dip_tile_cache_get(none, tile, &b), DIP_OK);
        assert_true(a.width == 24 && a.height == 24 && b.width == 24);
        uint32_t bands = large.dataset->modality[large.dataset->tile_modality[tile]].band_count;
        assert_memory_equal(a.values, b.values, 24 * 24 * bands * sizeof(float));
    }
    dip_image_fini(&a);
    dip_image_fini(&b);
    dip_tile_cache_destroy(none);
    close_rig(&large);
}

static void a_tile_that_cannot_be_read_stops_the_loader(void **state)
{
    (void)state;
    rig r = open_rig("removed", &plain, 0, false);
    dip_batch *batch = NULL;
    const dip_train_batch *made = NULL;
    assert_int_equal(dip_batch_begin(&batch, r.archive), DIP_OK);
    for (size_t i = 0; i < r.dataset->tile_count; i++)
        assert_int_equal(dip_batch_remove_tile(batch, r.dataset->tiles[i]), DIP_OK);
    assert_int_equal(dip_batch_commit(batch), DIP_OK);
    assert_int_equal(dip_loader_start(r.loader, 0, 0), DIP_OK);
    dip_error_clear();
    assert_int_equal(dip_loader_next(r.loader, &made), DIP_ENOENT);
    assert_string_not_equal(dip_last_error(), "");
    close_rig(&r);
}

/* Three threads, and a fresh start amid the work. */
static void threads_do_not_change_the_batches(void **state)
{
    (void)state;
    static float a[2][SIZE], b[2][SIZE];
    rig one = open_rig("one", &plain, 1 << 24, false);
    rig other = open_rig("three", &plain, 0, false);
    const dip_loader_options options = {
        .seed = 5,
        .batch = BATCH,
        .input_px = PX,
        .augment = {.zoom_min = 0.5, .zoom_max = 1, .flips = true, .rotations = true, .noise = 0.1},
        .threads = 3};
    dip_loader_destroy(other.loader);
    assert_int_equal(dip_loader_create(&other.loader, other.dataset, other.cache, &options),
                     DIP_OK);
    for (uint64_t skip = 0; skip < 12; skip++) {
        fetch(&one, 1, 2, skip, a);
        fetch(&other, 1, 2, skip, b);
        assert_memory_equal(a, b, sizeof a);
    }
    close_rig(&one);
    close_rig(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_starting_point_do_not_matter),
        cmocka_unit_test(threads_do_not_change_the_batches),
        cmocka_unit_test(both_modalities_see_one_window),
        cmocka_unit_test(a_batch_is_of_one_combination),
        cmocka_unit_test(cache_rounds_like_reading),
        cmocka_unit_test(a_tile_that_cannot_be_read_stops_the_loader),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
