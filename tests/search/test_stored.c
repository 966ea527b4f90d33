/* Stored embeddings in pieces: the same rows as all at once, what is removed meanwhile, and what the truth is told. */
#include "support.h"

#include "core/mem.h"
#include "search/stored.h"

enum { PLACES = 300, N = PLACES };

static void rows_are_those_of_the_whole(void **state)
{
    fixture f;
    dip_stored stored;
    (void)state;
    support_open(&f, PLACES);
    assert_ok(dip_stored_open(&stored, f.archive, "m", S2));
    assert_int_equal(stored.supply.n, N);
    assert_int_equal(stored.supply.dim, DIM);
    assert_memory_equal(stored.ids, f.id[S2], N * sizeof *stored.ids);
    static float room[N * DIM];
    static const size_t firsts[] = {0, 17, N - 1}, counts[] = {N, 130, 1};
    for (size_t i = 0; i < 3; i++) {
        const float *rows;
        assert_ok(dip_supply_read(&stored.supply, firsts[i], counts[i], room, &rows));
        assert_memory_equal(rows, f.vectors[S2] + firsts[i] * DIM, counts[i] * DIM * sizeof *rows);
    }
    static const size_t picked[] = {0, 3, 3, 124, 125, N - 1};
    assert_ok(dip_supply_pick(&stored.supply, picked, 6, room));
    for (size_t i = 0; i < 6; i++)
        assert_memory_equal(room + i * DIM, f.vectors[S2] + picked[i] * DIM, DIM * sizeof *room);
    dip_stored_close(&stored);
    assert_ok(dip_stored_open(&stored, f.archive, "nobody", S2));
    assert_int_equal(stored.supply.n, 0);
    dip_stored_close(&stored);
    support_close(&f);
}

static void a_tile_that_goes_meanwhile_stops_nothing(void **state)
{
    fixture f;
    dip_stored stored;
    const float *rows;
    static float room[N * DIM];
    (void)state;
    support_open(&f, PLACES);
    assert_ok(dip_stored_open(&stored, f.archive, "m", S1));
    support_remove(&f, f.id[S1][40]);
    assert_ok(dip_supply_read(&stored.supply, 0, N, room, &rows));
    for (size_t i = 0; i < N; i++) {
        if (i == 40)
            assert_true(rows[i * DIM] == 1 && rows[i * DIM + 1] == 0);
        else
            assert_memory_equal(rows + i * DIM, f.vectors[S1] + i * DIM, DIM * sizeof *rows);
    }
    dip_stored_close(&stored);
    support_close(&f);
}

/* Whatever order rows are read in, the truth sees each once and in order. */
static void the_truth_sees_every_row_once(void **state)
{
    fixture f;
    dip_stored stored;
    dip_truth all, told;
    static float room[N * DIM];
    const float *rows;
    (void)state;
    support_open(&f, PLACES);
    assert_ok(dip_truth_init(&all, f.vectors[S1], 20, DIM));
    assert_ok(dip_truth_add(&all, f.vectors[S2], f.id[S2], N));
    static const size_t reads[][2] = {{50, 10}, {0, 30}, {10, 15}, {20, 40}, {100, 5}, {60, 100}};
    for (size_t n = 0; n <= 6; n++) {
        assert_ok(dip_stored_open(&stored, f.archive, "m", S2));
        assert_ok(dip_truth_init(&told, f.vectors[S1], 20, DIM));
        stored.truth = &told;
        for (size_t i = 0; i < n; i++)
            assert_ok(dip_supply_read(&stored.supply, reads[i][0], reads[i][1], room, &rows));
        assert_ok(dip_stored_tell_all(&stored));
        assert_int_equal(told.n, N);
        assert_memory_equal(told.ids, all.ids, 20 * DIP_TRUTH_WIDTH * sizeof *all.ids);
        assert_memory_equal(told.scores, all.scores, 20 * DIP_TRUTH_WIDTH * sizeof *all.scores);
        dip_truth_fini(&told);
        dip_stored_close(&stored);
    }
    dip_truth_fini(&all);
    support_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_whole),
        cmocka_unit_test(a_tile_that_goes_meanwhile_stops_nothing),
        cmocka_unit_test(the_truth_sees_every_row_once),
    };
    return cmocka_run_group_tests_name("search/stored", tests, NULL, NULL);
}
