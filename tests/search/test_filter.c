/* Filters on hand-made columns. */
#include "support.h"

#include "core/words.h"
#include "search/filter.h"

/* One row with a footprint. */
static bool box_matches(const double box[4], double west, double south, double east, double north)
{
    uint64_t id = 1, place = 1;
    uint32_t zero = 0;
    int64_t time = DIP_NO_TIME;
    dip_columns c = {.count = 1,
                     .ids = &id,
                     .places = &place,
                     .modalities = &zero,
                     .times = &time,
                     .west = &west,
                     .south = &south,
                     .east = &east,
                     .north = &north,
                     .labels = &zero,
                     .splits = &zero};
    dip_query query = DIP_QUERY_INIT;
    dip_filter *filter;
    query.bbox = box;
    assert_ok(dip_filter_create(&filter, &c, &query));
    bool matches = dip_filter_matches(filter, &c, 0);
    dip_filter_destroy(filter);
    return matches;
}

static void test_boxes(void **state)
{
    static const struct {
        double box[4], tile[4];
        bool matches;
    } cases[] = {
        {{0, 0, 10, 10}, {2, 2, 3, 3}, true},
        {{0, 0, 10, 10}, {9, 9, 11, 11}, true},   /* overlaps a corner */
        {{0, 0, 10, 10}, {10, 5, 11, 6}, true},   /* touches */
        {{0, 0, 10, 10}, {11, 5, 12, 6}, false},  /* east of it */
        {{0, 0, 10, 10}, {5, 11, 6, 12}, false},  /* north of it */
        {{0, 0, 10, 10}, {-5, -5, 50, 50}, true}, /* around it */
        {{170, -20, -170, 20}, {175, 0, 176, 1}, true},
        {{170, -20, -170, 20}, {-176, 0, -175, 1}, true},
        {{170, -20, -170, 20}, {0, 0, 1, 1}, false},
        {{170, -20, -170, 20}, {179, 0, -179, 1}, true}, /* both cross the antimeridian */
        {{178, -20, 179, 20}, {177, 0, -179, 1}, true},  /* the tile does */
        {{-179.5, -20, -170, 20}, {177, 0, -179, 1}, true},
        {{-170, -20, 170, 20}, {177, 0, -179, 1}, false},
        {{-180, -90, 180, 90}, {177, 0, -179, 1}, true},
        {{0, 0, 10, 10}, {NAN, NAN, NAN, NAN}, false},
        {{-180, -90, 180, 90}, {NAN, NAN, NAN, NAN}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double *t = cases[i].tile;
        if (box_matches(cases[i].box, t[0], t[1], t[2], t[3]) != cases[i].matches)
            fail_msg("case %zu", i);
    }
}

static void test_wrong_boxes_and_times_are_refused(void **state)
{
    static const struct {
        double box[4];
        const char *words;
    } cases[] = {
        {{0, 5, 10, 1}, "south 5 is north of north 1"},
        {{0, 0, 190, 1}, "-180..180"},
        {{0, -95, 10, 1}, "-90..90"},
        {{0, 0, NAN, 1}, "not a number"},
    };
    dip_columns c = {0};
    dip_filter *filter = NULL;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        query.bbox = cases[i].box;
        assert_fails(DIP_EINVAL, cases[i].words, dip_filter_create(&filter, &c, &query));
        assert_null(filter);
    }
    query = (dip_query)DIP_QUERY_INIT;
    query.time_from = 10;
    query.time_to = 9;
    assert_fails(DIP_EINVAL, "ends before it begins", dip_filter_create(&filter, &c, &query));
}

static void test_no_filter_is_null(void **state)
{
    dip_columns c = {0};
    dip_query query = DIP_QUERY_INIT;
    dip_filter *filter;
    (void)state;
    assert_ok(dip_filter_create(&filter, &c, &query));
    assert_null(filter);
}

/* Rows of labels, splits and times; the words as an archive interns them. */
static bool word_matches(const char *labels, const char *split, int64_t time,
                         const dip_query *query)
{
    uint64_t id = 1;
    uint32_t zero = 0, label, part;
    double nowhere = NAN;
    dip_columns c = {.count = 1,
                     .ids = &id,
                     .modalities = &zero,
                     .times = &time,
                     .west = &nowhere,
                     .south = &nowhere,
                     .east = &nowhere,
                     .north = &nowhere,
                     .labels = &label,
                     .splits = &part};
    dip_filter *filter;
    assert_ok(dip_words_add(&c.texts, labels, strlen(labels), &label));
    assert_ok(dip_words_add(&c.texts, split, strlen(split), &part));
    assert_ok(dip_filter_create(&filter, &c, query));
    bool matches = dip_filter_matches(filter, &c, 0);
    dip_filter_destroy(filter);
    dip_words_fini(&c.texts);
    return matches;
}

static void test_labels_are_whole_words(void **state)
{
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    query.label = "wood";
    assert_true(word_matches("water|wood", "", 0, &query));
    assert_true(word_matches("wood", "", 0, &query));
    assert_false(word_matches("woodland", "", 0, &query));
    assert_false(word_matches("", "", 0, &query));
    query.label = "town|wood";
    assert_true(word_matches("town", "", 0, &query));
    assert_true(word_matches("a|wood|b", "", 0, &query));
    assert_false(word_matches("a|b", "", 0, &query));
    query.label = "|";
    assert_false(word_matches("a|b", "", 0, &query));
}

static void test_splits_and_times(void **state)
{
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    query.split = "test";
    assert_true(word_matches("", "test", 0, &query));
    assert_false(word_matches("test", "train", 0, &query));
    query = (dip_query)DIP_QUERY_INIT;
    query.time_from = 100;
    assert_true(word_matches("", "", 100, &query));
    assert_false(word_matches("", "", 99, &query));
    assert_false(word_matches("", "", DIP_NO_TIME, &query));
    query.time_to = 200;
    assert_true(word_matches("", "", 200, &query));
    assert_false(word_matches("", "", 201, &query));
    query.time_from = DIP_NO_TIME;
    assert_true(word_matches("", "", -5, &query));
    assert_false(word_matches("", "", DIP_NO_TIME, &query));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_wrong_boxes_and_times_are_refused),
        cmocka_unit_test(test_no_filter_is_null),
        cmocka_unit_test(test_labels_are_whole_words),
        cmocka_unit_test(test_splits_and_times),
    };
    return cmocka_run_group_tests_name("search/filter", tests, NULL, NULL);
}
