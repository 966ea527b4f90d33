/* Counts against what a search lists, and periods that suit the span of time. */
#include "support.h"

#include "core/mem.h"
#include "search/aggregate.h"

enum { PLACES = 120 };

static uint64_t listed(dip_search *search, const dip_query *filters, uint32_t modalities)
{
    dip_listing listing;
    const dip_browse_options options = {
        .filters = filters, .modalities = modalities, .after = DIP_NO_ID, .limit = 1};
    assert_ok(dip_browse(search, &options, &listing));
    const uint64_t matched = listing.matched;
    dip_listing_fini(&listing);
    return matched;
}

static void assert_counts(dip_search *search, const dip_query *filters, uint32_t modalities)
{
    dip_aggregate a;
    const dip_browse_options options = {.filters = filters, .modalities = modalities};
    assert_ok(dip_aggregate_tiles(search, &options, &a));
    assert_int_equal(a.tiles, listed(search, filters, modalities));
    uint64_t of = 0, periods = a.undated;
    for (uint32_t m = 0; m < 2; m++) {
        assert_int_equal(a.of[m], listed(search, filters, modalities & 1u << m));
        of += a.of[m];
    }
    assert_int_equal(of, a.tiles);
    for (size_t i = 0; i < a.period_count; i++) {
        periods += a.periods[i].count;
        assert_true(a.periods[i].count > 0);
        assert_true(i == 0 || a.periods[i].begin > a.periods[i - 1].begin);
    }
    assert_int_equal(periods, a.tiles);
    for (size_t i = 0; i < a.label_count; i++) {
        dip_query with = *filters;
        char filter[200];
        snprintf(filter, sizeof filter, "A_CONTAINS(labels, ('%s'))", a.labels[i].name);
        assert_null(with.filter);
        with.filter = filter;
        assert_int_equal(a.labels[i].count, listed(search, &with, modalities));
    }
    dip_aggregate_fini(&a);
}

static void counts_are_those_of_a_search(void **state)
{
    fixture f;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    const double box[4] = {-8, 40, 0, 43};
    dip_query all = DIP_QUERY_INIT, some = DIP_QUERY_INIT, none = DIP_QUERY_INIT;
    some.bbox = box;
    some.datetime = "2020-01-20/2020-03-10";
    none.datetime = "1999";
    for (uint32_t modalities = 0; modalities < 4; modalities++) {
        assert_counts(search, &all, modalities);
        assert_counts(search, &some, modalities);
        assert_counts(search, &none, modalities);
    }
    support_done(&f, search);
}

static void add_tile(fixture *f, const char *name, int64_t time)
{
    dip_tile tile = {.plane_count = 2};
    uint8_t pixels[16] = {1, 2, 3};
    for (int b = 0; b < 2; b++) tile.planes[b] = (dip_plane){DIP_DTYPE_U8, 4, 4, pixels};
    tile.meta = (dip_meta){.modality = S1,
                           .name = name,
                           .time = time,
                           .west = NAN,
                           .south = NAN,
                           .east = NAN,
                           .north = NAN};
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, f->archive));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_commit(batch));
}

static void periods_suit_the_span(void **state)
{
    static const struct {
        const char *name;
        int64_t time;
        dip_interval interval;
        size_t periods;
        int64_t first; /* the period that it begins */
    } cases[] = {
        {"none", DIP_NO_TIME, DIP_BY_DAY, 40, FIRST_DAY},
        {"later", FIRST_DAY + (int64_t)DAY * 200, DIP_BY_MONTH, 3, FIRST_DAY},
        {"earlier", -(int64_t)DAY * 365 * 20 + 5000, DIP_BY_YEAR, 2, -631152000 /* 1950 */},
    };
    fixture f;
    (void)state;
    support_open(&f, 40);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_aggregate a;
        const dip_browse_options options = {.modalities = 3};
        add_tile(&f, cases[i].name, cases[i].time);
        dip_search *search = support_search(&f);
        assert_ok(dip_aggregate_tiles(search, &options, &a));
        assert_int_equal(a.tiles, 80 + i + 1);
        assert_int_equal(a.undated, 1);
        assert_true(a.unlabelled >= i + 1);
        assert_int_equal(a.interval, cases[i].interval);
        assert_int_equal(a.period_count, cases[i].periods);
        assert_int_equal(a.periods[0].begin, cases[i].first);
        dip_aggregate_fini(&a);
        dip_search_close(search);
    }
    support_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_a_search),
        cmocka_unit_test(periods_suit_the_span),
    };
    return cmocka_run_group_tests_name("search/aggregate", tests, NULL, NULL);
}
