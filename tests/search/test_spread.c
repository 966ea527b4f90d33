/* Rows that keep their distance, against comparing each with each. */
#include "support.h"

#include "support_rows.h"

#include "core/mem.h"
#include "search/spread.h"

/* By the book: the rows taken in order, each compared with all before. */
static bool stands(const plain_table *t, const size_t *taken, size_t n, size_t row, double km,
                   bool per_place)
{
    double lon, lat, x, y;
    bool placed = dip_columns_centre(&t->columns, row, &lon, &lat);
    for (size_t i = 0; i < n; i++) {
        if (per_place && t->columns.places[taken[i]] == t->columns.places[row]) return false;
        if (km > 0 && placed && dip_columns_centre(&t->columns, taken[i], &x, &y) &&
            dip_distance_km(lon, lat, x, y) < km)
            return false;
    }
    return true;
}

static void check(const plain_table *t, double km, bool per_place)
{
    dip_spread *spread;
    size_t n = 0, *rows = calloc(t->count, sizeof *rows);
    assert_ok(dip_spread_create(&spread, &t->columns, km, per_place));
    for (size_t i = 0; i < t->count; i++) {
        size_t row = i * 7 % t->count;
        bool taken, expected = stands(t, rows, n, row, km, per_place);
        assert_ok(dip_spread_take(spread, row, &taken));
        if (taken != expected) fail_msg("%g km: row %zu %s", km, row, taken ? "taken" : "left");
        if (taken) rows[n++] = row;
    }
    assert_true(n > 0 && (n < t->count || (km == 0 && !per_place)));
    dip_spread_destroy(spread);
    free(rows);
}

static void test_against_each_with_each(void **state)
{
    static const double distances[] = {0, 0.001, 30, 400, 3000, 15000, 19100, 20000, 30000};
    plain_table t;
    (void)state;
    support_rows_make(&t, 2003, 1);
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        for (int per_place = 0; per_place < 2; per_place++)
            if (distances[i] != 0.001 || per_place) check(&t, distances[i], per_place);
    support_rows_free(&t);
}

static void test_unknown_rows_stand(void **state)
{
    plain_table t;
    dip_spread *spread;
    bool taken;
    (void)state;
    support_rows_make(&t, 10, 2);
    assert_ok(dip_spread_create(&spread, &t.columns, 100, true));
    for (int i = 0; i < 3; i++) {
        assert_ok(dip_spread_take(spread, SIZE_MAX, &taken));
        assert_true(taken);
    }
    dip_spread_destroy(spread);
    support_rows_free(&t);
}

static void test_short_memory_fails_cleanly(void **state)
{
    plain_table t;
    dip_status status = DIP_ENOMEM;
    (void)state;
    support_rows_make(&t, 300, 3);
    for (size_t n = 1; status; n++) {
        dip_spread *spread = NULL;
        bool taken;
        dip_mem_fail_after(n);
        status = dip_spread_create(&spread, &t.columns, 10, true);
        for (size_t row = 0; row < t.count && !status; row++)
            status = dip_spread_take(spread, row, &taken);
        dip_mem_fail_after(0);
        assert_true(status == DIP_OK || status == DIP_ENOMEM);
        dip_spread_destroy(spread);
    }
    support_rows_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_each_with_each),
        cmocka_unit_test(test_unknown_rows_stand),
        cmocka_unit_test(test_short_memory_fails_cleanly),
    };
    return cmocka_run_group_tests_name("search/spread", tests, NULL, NULL);
}
