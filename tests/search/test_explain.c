/* Why two tiles score what they score: parts, the map of what matches, records, and what cannot be explained. */
#include "support.h"

#include "core/mem.h"
#include "core/parallel.h"

enum { PLACES = 60, GRID = DIP_EXPLAIN_GRID, CELLS = GRID * GRID };

typedef struct world {
    fixture f;
    dip_search *search;
} world;

static void open_world(world *w)
{
    support_open(&w->f, PLACES);
    support_encode(&w->f);
    support_index(&w->f, DIP_ENGINE_AUTO, false, NULL);
    w->search = support_search(&w->f);
}

static void close_world(world *w)
{
    dip_search_close(w->search);
    support_close(&w->f);
}

static dip_probe tile_probe(uint64_t id) { return (dip_probe){.kind = DIP_PROBE_TILE, .id = id}; }

static dip_explanation explain(world *w, uint64_t a, uint64_t b)
{
    dip_probe probe[2] = {tile_probe(a), tile_probe(b)};
    dip_explanation e;
    assert_ok(dip_explain(w->search, &probe[0], &probe[1], &e));
    return e;
}

static void test_a_tile_matches_itself_everywhere(void **state)
{
    world w;
    (void)state;
    open_world(&w);
    dip_explanation e = explain(&w, w.f.id[S1][3], w.f.id[S1][3]);
    assert_float_equal(e.score, 1, 1e-3);
    assert_true(e.has_heat);
    for (int i = 0; i < CELLS; i++) assert_float_equal(e.heat[i / GRID][i % GRID], 1, 1e-4);
    assert_float_equal(e.best.score, 1, 1e-4);
    assert_float_equal(e.distance_km, 0, 1e-9);
    assert_float_equal(e.days_apart, 0, 1e-9);
    assert_string_equal(e.labels_both, "water");
    dip_explanation_fini(&e);
    close_world(&w);
}

static void test_the_score_is_that_of_the_search(void **state)
{
    world w;
    (void)state;
    open_world(&w);
    dip_probe probe = tile_probe(w.f.id[S1][7]);
    dip_query query = DIP_QUERY_INIT;
    dip_result r;
    query.exact = true;
    assert_ok(dip_search_run(w.search, &probe, &query, &r));
    for (size_t i = 0; i < r.count; i++) {
        dip_explanation e = explain(&w, w.f.id[S1][7], r.hits[i].id);
        double shares = 0;
        for (size_t p = 0; p < e.part_count; p++) shares += (double)e.part[p].share;
        assert_float_equal(e.score, r.hits[i].score, 1e-6);
        assert_float_equal(e.percentile, r.hits[i].percentile, 1e-3);
        assert_float_equal(shares, e.score, 1e-5);
        assert_true(e.p50 <= e.p95 && e.p95 <= e.p99);
        assert_true(e.best.score >= e.weakest.score);
        dip_explanation_fini(&e);
    }
    dip_result_fini(&r);
    close_world(&w);
}

/* Places 4 (water|wood) and 6 (water): two columns and days apart. */
static void test_what_records_say(void **state)
{
    world w;
    (void)state;
    open_world(&w);
    dip_explanation e = explain(&w, w.f.id[S1][4], w.f.id[S2][6]);
    assert_string_equal(e.side[0].modality, "s1");
    assert_string_equal(e.side[1].modality, "s2");
    assert_string_equal(e.labels_both, "water");
    assert_string_equal(e.labels_a, "wood");
    assert_string_equal(e.labels_b, "");
    assert_float_equal(e.days_apart, 2, 1e-9);
    assert_float_equal(e.distance_km, 2 * 111.19 * cos(40.25 * acos(-1) / 180), 0.5);
    dip_explanation_fini(&e);
    close_world(&w);
}

/* A copy of a tile's pixels, in which the cells of a quarter are another tile's. */
static void paste_quarter(const dip_tile *tile, const dip_tile *other, uint32_t top, uint32_t left,
                          dip_tile *out)
{
    *out = *tile;
    for (uint32_t b = 0; b < tile->plane_count; b++) {
        dip_plane *plane = &out->planes[b];
        const uint32_t n = plane->width;
        uint8_t *pixels = dip_alloc((size_t)n * n);
        memcpy(pixels, tile->planes[b].pixels, (size_t)n * n);
        for (uint32_t y = top; y < top + n / 2; y++)
            memcpy(pixels + y * n + left, (const uint8_t *)other->planes[b].pixels + y * n + left,
                   n / 2);
        plane->pixels = pixels;
    }
}

static double mean_of(const dip_explanation *e, bool inside, int top, int left)
{
    double sum = 0;
    int n = 0;
    for (int r = 0; r < GRID; r++) {
        for (int c = 0; c < GRID; c++) {
            bool in = r >= top && r < top + GRID / 2 && c >= left && c < left + GRID / 2;
            if (in != inside) continue;
            sum += (double)e->heat[r][c];
            n++;
        }
    }
    return sum / n;
}

/* The tiles have 8 pixels a side, so a pixel is a cell. */
static void test_the_map_falls_where_something_else_was_put(void **state)
{
    static const struct {
        const char *weakest;
        uint32_t top, left;
    } cases[] = {{"NW", 0, 0}, {"NE", 0, 4}, {"SW", 4, 0}, {"SE", 4, 4}};
    world w;
    dip_tile *tile, *other;
    (void)state;
    open_world(&w);
    assert_ok(dip_archive_tile(w.f.archive, w.f.id[S2][2], &tile));
    assert_ok(dip_archive_tile(w.f.archive, w.f.id[S2][9], &other));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_tile pasted;
        dip_explanation e;
        paste_quarter(tile, other, cases[i].top, cases[i].left, &pasted);
        dip_probe probe[2] = {tile_probe(w.f.id[S2][2]),
                              {.kind = DIP_PROBE_PIXELS, .tile = &pasted, .modality = "s2"}};
        assert_ok(dip_explain(w.search, &probe[0], &probe[1], &e));
        int top = (int)cases[i].top, left = (int)cases[i].left;
        assert_true(mean_of(&e, true, top, left) < mean_of(&e, false, top, left));
        assert_string_equal(e.weakest.name, cases[i].weakest);
        assert_true(e.best.score > e.weakest.score);
        dip_explanation_fini(&e);
        for (uint32_t b = 0; b < pasted.plane_count; b++) dip_free(pasted.planes[b].pixels);
    }
    dip_tile_free(tile);
    dip_tile_free(other);
    close_world(&w);
}

static void test_threads_do_not_matter(void **state)
{
    world w;
    (void)state;
    open_world(&w);
    dip_threads_set(1);
    dip_explanation one = explain(&w, w.f.id[S1][1], w.f.id[S2][5]);
    dip_threads_set(2);
    dip_explanation two = explain(&w, w.f.id[S1][1], w.f.id[S2][5]);
    dip_threads_set(0);
    assert_memory_equal(one.heat, two.heat, sizeof one.heat);
    assert_memory_equal(&one.score, &two.score, sizeof one.score);
    dip_explanation_fini(&one);
    dip_explanation_fini(&two);
    close_world(&w);
}

static void test_a_vector_has_no_map(void **state)
{
    world w;
    dip_explanation e;
    (void)state;
    open_world(&w);
    dip_probe probe[2] = {
        tile_probe(w.f.id[S1][1]),
        {.kind = DIP_PROBE_VECTOR, .vector = w.f.vectors[S2] + 5 * DIM, .modality = "s2"}};
    assert_ok(dip_explain(w.search, &probe[0], &probe[1], &e));
    assert_false(e.has_heat);
    assert_non_null(strstr(e.no_heat, "the second of the two has no pixels"));
    assert_true(isnan(e.distance_km) && isnan(e.days_apart));
    assert_false(isnan(e.percentile));
    assert_string_equal(e.labels_a, "water|wood");
    dip_explanation_fini(&e);
    close_world(&w);
}

static void test_refusals(void **state)
{
    world w;
    dip_tile *tile;
    dip_explanation e;
    (void)state;
    open_world(&w);
    assert_ok(dip_archive_tile(w.f.archive, w.f.id[S1][1], &tile));
    dip_probe good = tile_probe(w.f.id[S1][1]), missing = tile_probe(99999);
    dip_probe strange = {.kind = DIP_PROBE_PIXELS, .tile = tile, .modality = "s9"};
    dip_probe wrong = {.kind = DIP_PROBE_PIXELS, .tile = tile, .modality = "s2"};
    assert_fails(DIP_ENOENT, "no tile #99999", dip_explain(w.search, &good, &missing, &e));
    assert_fails(DIP_ENOENT, "no tile #99999", dip_explain(w.search, &missing, &good, &e));
    assert_fails(DIP_EINVAL, "no encoder for modality 's9'",
                 dip_explain(w.search, &good, &strange, &e));
    assert_fails(DIP_EMISMATCH, "has 2 bands", dip_explain(w.search, &good, &wrong, &e));
    dip_tile_free(tile);
    close_world(&w);
}

static void test_short_memory(void **state)
{
    world w;
    dip_explanation e;
    dip_status status = DIP_ENOMEM;
    (void)state;
    open_world(&w);
    dip_probe probe[2] = {tile_probe(w.f.id[S1][1]), tile_probe(w.f.id[S2][5])};
    assert_non_null(dip_search_model(w.search));
    dip_threads_set(1);
    for (size_t n = 1; n < 400 && status; n += n < 40 ? 1 : 23) {
        dip_mem_fail_after(n);
        status = dip_explain(w.search, &probe[0], &probe[1], &e);
        dip_mem_fail_after(0);
        if (status) assert_int_equal(status, DIP_ENOMEM);
    }
    if (status) assert_ok(dip_explain(w.search, &probe[0], &probe[1], &e));
    dip_explanation_fini(&e);
    dip_threads_set(0);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tile_matches_itself_everywhere),
        cmocka_unit_test(test_the_score_is_that_of_the_search),
        cmocka_unit_test(test_what_records_say),
        cmocka_unit_test(test_the_map_falls_where_something_else_was_put),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_a_vector_has_no_map),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
