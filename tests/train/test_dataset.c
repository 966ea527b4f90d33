/* The data set: which pairs are learned, which are held out, and the statistics of their bands. */
#include "support.h"

#include "core/parallel.h"
#include "train/dataset.h"

#include <math.h>

static dip_dataset *open_set(const dip_archive *archive, const char *modalities)
{
    dip_dataset *dataset = NULL;
    const dip_dataset_options options = {.modalities = modalities};
    assert_int_equal(dip_dataset_open(&dataset, archive, &options), DIP_OK);
    return dataset;
}

static void splits_are_obeyed(void **state)
{
    (void)state;
    const support_plan plan = {.places = 20, .splits = "tttve-"};
    dip_archive *archive = support_archive("splits", &plan);
    dip_dataset *d = open_set(archive, NULL);
    assert_int_equal(d->train_count, 11); /* 3 of 6, and of the last two */
    assert_int_equal(d->held_count, 3);
    assert_non_null(strstr(d->held_note, "'val'"));
    for (size_t i = 0; i < d->train_count; i++) {
        dip_meta *meta = NULL;
        assert_int_equal(dip_archive_meta(archive, d->tiles[d->train[i].first[1]], &meta), DIP_OK);
        assert_string_equal(meta->split, "train");
        assert_int_equal(meta->modality, 1);
        dip_meta_free(meta);
    }
    dip_dataset_close(d);
    dip_archive_close(archive);
}

static void without_splits_a_tenth_of_the_scenes_is_held_out(void **state)
{
    (void)state;
    const support_plan plan = {.places = 60, .scene_places = 6};
    dip_archive *archive = support_archive("scenes", &plan);
    dip_dataset *d = open_set(archive, NULL), *again = open_set(archive, "a,b");
    assert_int_equal(d->train_count, 54);
    assert_int_equal(d->held_count, 6);
    assert_non_null(strstr(d->held_note, "1 of 10 scenes"));
    assert_int_equal(again->held[0].first[0], d->held[0].first[0]);
    assert_true(again->fingerprint == d->fingerprint);
    /* all six of one scene */
    for (size_t i = 1; i < 6; i++)
        assert_int_equal(d->held[i].first[0], d->held[0].first[0] + 2 * i);
    dip_dataset_close(d);
    dip_dataset_close(again);
    dip_archive_close(archive);
}

static void without_scenes_places_are_held_out(void **state)
{
    (void)state;
    const support_plan plan = {.places = 40};
    dip_archive *archive = support_archive("places", &plan);
    dip_dataset *d = open_set(archive, NULL);
    assert_int_equal(d->train_count, 36);
    assert_int_equal(d->held_count, 4);
    assert_non_null(strstr(d->held_note, "4 of 40 places"));
    dip_dataset_close(d);
    dip_archive_close(archive);
}

static void three_modalities_make_three_combinations(void **state)
{
    (void)state;
    const support_plan plan = {.places = 10, .splits = "t", .modalities = 3, .dates = 2};
    dip_archive *archive = support_archive("three", &plan);
    dip_dataset *d = open_set(archive, NULL);
    size_t seen[3][3] = {{0}};
    assert_int_equal(d->modality_count, 3);
    for (size_t i = 0; i < d->train_count; i++) {
        const dip_pair *pair = &d->train[i];
        seen[pair->modality[0]][pair->modality[1]]++;
        for (int side = 0; side < 2; side++) {
            assert_int_equal(pair->count[side], 2);
            assert_int_equal(d->tile_modality[pair->first[side] + 1], pair->modality[side]);
        }
    }
    /* a tenth of ten places, one, is held out */
    assert_true(seen[0][1] == 9 && seen[0][2] == 9 && seen[1][2] == 9);
    assert_int_equal(d->train_count, 27);
    dip_dataset_close(d);
    d = open_set(archive, "c,a");
    assert_int_equal(d->modality_count, 2);
    assert_string_equal(d->modality[0].name, "c");
    assert_int_equal(d->train_count, 9);
    dip_dataset_close(d);
    dip_archive_close(archive);
}

static void wrong_wishes_are_named(void **state)
{
    (void)state;
    const support_plan plan = {.places = 4, .splits = "e"};
    const dip_dataset_options unknown = {.modalities = "a,x"}, alone = {.modalities = "a"};
    dip_archive *archive = support_archive("wrong", &plan);
    dip_dataset *d = NULL;
    assert_int_equal(dip_dataset_open(&d, archive, &unknown), DIP_ENOENT);
    assert_non_null(strstr(dip_last_error(), "'x'"));
    assert_non_null(strstr(dip_last_error(), "a, b"));
    assert_int_equal(dip_dataset_open(&d, archive, &alone), DIP_EINVAL);
    assert_int_equal(dip_dataset_open(&d, archive, NULL), DIP_ENOENT);
    assert_non_null(strstr(dip_last_error(), "0 training pairs"));
    assert_null(d);
    dip_archive_close(archive);
}

static void fingerprint_tells_data_apart(void **state)
{
    (void)state;
    const support_plan one = {.places = 12, .splits = "tttv"},
                       two = {.places = 12, .splits = "ttvv"};
    dip_archive *a = support_archive("one", &one), *b = support_archive("two", &two);
    dip_dataset *x = open_set(a, NULL), *y = open_set(b, NULL);
    assert_true(x->fingerprint != y->fingerprint);
    dip_dataset_close(x);
    dip_dataset_close(y);
    dip_archive_close(a);
    dip_archive_close(b);
}

static dip_dataset *open_share(const dip_archive *archive, double share, uint64_t seed)
{
    dip_dataset *dataset = NULL;
    const dip_dataset_options options = {.share = share, .seed = seed};
    assert_int_equal(dip_dataset_open(&dataset, archive, &options), DIP_OK);
    return dataset;
}

/* Whether all training pairs of `part` are training pairs of `whole`, too. */
static bool contains(const dip_dataset *whole, const dip_dataset *part)
{
    size_t found = 0;
    for (size_t i = 0; i < part->train_count; i++)
        for (size_t k = 0; k < whole->train_count; k++)
            found += !memcmp(&part->train[i], &whole->train[k], sizeof *part->train);
    return found == part->train_count;
}

static void a_share_of_the_places_is_taken(void **state)
{
    (void)state;
    const support_plan plan = {.places = 64, .splits = "tttv", .modalities = 3};
    dip_archive *archive = support_archive("share", &plan);
    dip_dataset *all = open_share(archive, 1, 1), *half = open_share(archive, 0.5, 1);
    dip_dataset *quarter = open_share(archive, 0.25, 1), *other = open_share(archive, 0.25, 2);
    assert_int_equal(all->train_count, 3 * 48); /* each place is three pairs */
    assert_int_equal(half->train_count, 3 * 24);
    assert_int_equal(quarter->train_count, 3 * 12);
    assert_int_equal(quarter->held_count, all->held_count);
    assert_true(contains(all, half) && contains(half, quarter));
    assert_false(contains(quarter, other));
    assert_true(quarter->fingerprint != other->fingerprint);
    assert_true(quarter->fingerprint != all->fingerprint);
    dip_dataset_close(all);
    dip_dataset_close(half);
    dip_dataset_close(quarter);
    dip_dataset_close(other);
    dip_archive_close(archive);
}

static void too_small_a_share_is_refused(void **state)
{
    (void)state;
    const support_plan plan = {.places = 20, .splits = "t"};
    const dip_dataset_options options = {.share = 0.01};
    dip_archive *archive = support_archive("tiny", &plan);
    dip_dataset *d = NULL;
    assert_int_equal(dip_dataset_open(&d, archive, &options), DIP_ENOENT);
    assert_non_null(strstr(dip_last_error(), "0 training pairs"));
    dip_archive_close(archive);
}

/* Mean and deviation of band 0 of modality `a`, by a plain pass over the training tiles. */
static void plain_statistics(const dip_archive *archive, const dip_dataset *d, double *mean,
                             double *stddev)
{
    double sum = 0, squares = 0, n = 0;
    for (size_t i = 0; i < d->train_count; i++) {
        dip_tile *tile = NULL;
        assert_int_equal(dip_archive_tile(archive, d->tiles[d->train[i].first[0]], &tile), DIP_OK);
        const float *pixels = tile->planes[0].pixels;
        for (size_t k = 0; k < 24 * 24; k++, n++) {
            sum += pixels[k];
            squares += (double)pixels[k] * pixels[k];
        }
        dip_tile_free(tile);
    }
    *mean = sum / n;
    *stddev = sqrt(squares / n - *mean * *mean);
}

static void statistics_are_those_of_the_training_tiles(void **state)
{
    (void)state;
    const support_plan plan = {.places = 150, .splits = "ttv"};
    dip_archive *archive = support_archive("statistics", &plan);
    double mean, stddev, first = 0;
    for (unsigned threads = 1; threads <= 2; threads++) {
        dip_threads_set(threads);
        dip_dataset *d = open_set(archive, NULL);
        assert_int_equal(dip_dataset_check_statistics(d), DIP_EINVAL);
        assert_int_equal(dip_dataset_measure(d, NULL), DIP_OK);
        assert_int_equal(dip_dataset_check_statistics(d), DIP_OK);
        plain_statistics(archive, d, &mean, &stddev);
        assert_true(fabs(d->modality[0].bands[0].mean - mean) < 1e-6);
        assert_true(fabs(d->modality[0].bands[0].stddev - stddev) < 1e-5);
        if (threads == 2) assert_true(d->modality[1].bands[1].mean == first);
        first = d->modality[1].bands[1].mean;
        dip_dataset_close(d);
    }
    dip_threads_set(0);
    dip_archive_close(archive);
}

static void a_nan_is_refused_by_name(void **state)
{
    (void)state;
    const support_plan plan = {.places = 12, .splits = "t", .nan_place = 8};
    dip_archive *archive = support_archive("nan", &plan);
    dip_dataset *d = open_set(archive, NULL);
    assert_int_equal(dip_dataset_measure(d, NULL), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "tile-7-0"));
    assert_non_null(strstr(dip_last_error(), "'V'"));
    dip_dataset_close(d);
    dip_archive_close(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_obeyed),
        cmocka_unit_test(without_splits_a_tenth_of_the_scenes_is_held_out),
        cmocka_unit_test(without_scenes_places_are_held_out),
        cmocka_unit_test(three_modalities_make_three_combinations),
        cmocka_unit_test(wrong_wishes_are_named),
        cmocka_unit_test(fingerprint_tells_data_apart),
        cmocka_unit_test(a_share_of_the_places_is_taken),
        cmocka_unit_test(too_small_a_share_is_refused),
        cmocka_unit_test(statistics_are_those_of_the_training_tiles),
        cmocka_unit_test(a_nan_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
