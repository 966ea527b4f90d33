/* What a query asks beyond the nearest: expressions over an archive, least scores, distances, examples. */
#include "support.h"

#include "core/mem.h"
#include "core/parallel.h"

enum { PLACES = 120, MANY = 360 };

static dip_probe tile_probe(uint64_t id) { return (dip_probe){.kind = DIP_PROBE_TILE, .id = id}; }

static size_t place_of(const dip_hit *hit) { return strtoul(hit->meta->name + 1, NULL, 10); }

/* ---- filters on what an archive holds ---- */

static bool is_clear(size_t i) { return i % 100 < 10; }
static bool is_clear_wood(size_t i) { return i % 100 < 50 && support_has_label(i, "wood"); }
static bool is_tagged(size_t i) { return i % 4 == 2; }
static bool is_odd(size_t i) { return i % 2 == 1; }
static bool is_nothing(size_t i) { return i > 100000; }
static bool in_triangle(size_t i) { return i % 20 >= 2 && i % 20 <= 6 && i / 20 == 1; }
static bool is_late(size_t i) { return i >= 31; }

static void test_expressions_over_an_archive(void **state)
{
    static const struct {
        const char *filter;
        bool (*keep)(size_t place);
    } cases[] = {
        {"eo:cloud_cover < 10", is_clear},
        {"eo:cloud_cover < 50 AND A_CONTAINS(labels, ('water', 'wood'))", is_clear_wood},
        {"A_CONTAINS(tags, ('t2', 'all'))", is_tagged},
        {"scene = 'odd'", is_odd},
        {"orbit IS NOT NULL", is_nothing}, /* of s1 alone */
        {"orbit IS NULL AND datetime >= DATE('2020-02-01')", is_late},
        {"S_INTERSECTS(geometry, POLYGON((-7.7 41.1, -3.9 41.1, -3.9 41.3, -7.7 41.1)))",
         in_triangle},
        {"{\"op\":\"<\",\"args\":[{\"property\":\"eo:cloud_cover\"},10]}", is_clear},
    };
    fixture f;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (size_t c = 0; c < 2 * (sizeof cases / sizeof *cases); c++) {
        uint64_t expected[PLACES];
        dip_probe probe = tile_probe(f.id[S1][4]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        query.filter = cases[c / 2].filter;
        query.exact = c % 2;
        query.k = 8;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        size_t all =
            support_expect(&f, S2, f.vectors[S1] + 4 * DIM, cases[c / 2].keep, PLACES, expected);
        if (r.matching != all) fail_msg("%s: %zu", query.filter, (size_t)r.matching);
        assert_int_equal(r.count, all < 8 ? all : 8);
        for (size_t i = 0; i < r.count; i++) assert_int_equal(r.hits[i].id, expected[i]);
        dip_result_fini(&r);
    }
    support_done(&f, search);
}

static void test_unknown_properties_are_named(void **state)
{
    fixture f;
    dip_query query = DIP_QUERY_INIT;
    dip_result r;
    (void)state;
    dip_search *search = support_ready(&f, 10);
    dip_probe probe = tile_probe(f.id[S1][4]);
    query.filter = "cloud < 10 AND orbit = 'ascending'";
    assert_fails(
        DIP_EINVAL,
        "no tile has a property 'cloud'; there are datetime, geometry, labels, modality, split, "
        "scene, eo:cloud_cover, tags, orbit",
        dip_search_run(search, &probe, &query, &r));
    query.filter = "nested = 1";
    assert_fails(DIP_EINVAL, "no tile has a property 'nested'",
                 dip_search_run(search, &probe, &query, &r));
    query.filter = "eo:cloud_cover < 3";
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.matching, 3);
    dip_result_fini(&r);
    support_done(&f, search);
}

/* The approximate engines too give k hits of those that pass, and the plan tells what they did. */
static void check_selectivities(dip_engine engine)
{
    static const int clouds[] = {1, 3, 30, 90, 100};
    fixture f;
    support_open(&f, MANY);
    support_index(&f, engine, false, NULL);
    dip_search *search = support_search(&f);
    for (size_t c = 0; c < sizeof clouds / sizeof *clouds; c++) {
        char filter[60];
        dip_probe probe = tile_probe(f.id[S1][7]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        size_t matching = 0, limit = (size_t)clouds[c];
        snprintf(filter, sizeof filter, "eo:cloud_cover < %d", clouds[c]);
        query.filter = filter;
        for (size_t i = 0; i < MANY; i++) matching += i % 100 < limit;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.matching, matching);
        assert_int_equal(r.count, matching < 10 ? matching : 10);
        for (size_t i = 0; i < r.count; i++) assert_true(place_of(&r.hits[i]) % 100 < limit);
        assert_non_null(strstr(r.plan, r.searched_exactly ? "s2: compared with all"
                                                          : "with the filter inside its scan"));
        dip_result_fini(&r);
    }
    support_done(&f, search);
}

static void test_any_selectivity_gives_k(void **state)
{
    (void)state;
    check_selectivities(DIP_ENGINE_FAISS);
    check_selectivities(DIP_ENGINE_NATIVE);
}

/* ---- score and distance ---- */

static void test_least_score_cuts(void **state)
{
    fixture f;
    dip_result all, some;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = tile_probe(f.id[S1][4]);
    query.k = 50;
    assert_ok(dip_search_run(search, &probe, &query, &all));
    query.min_score = (double)all.hits[20].score;
    assert_ok(dip_search_run(search, &probe, &query, &some));
    assert_int_equal(some.count, 21);
    for (size_t i = 0; i < some.count; i++) assert_int_equal(some.hits[i].id, all.hits[i].id);
    assert_int_equal(some.matching, PLACES);
    dip_result_fini(&some);
    query.k = 5;
    assert_ok(dip_search_run(search, &probe, &query, &some));
    assert_int_equal(some.count, 5);
    dip_result_fini(&some);
    query.min_score = 1;
    assert_ok(dip_search_run(search, &probe, &query, &some));
    assert_int_equal(some.count, 0);
    dip_result_fini(&some);
    dip_result_fini(&all);
    support_done(&f, search);
}

/* Hits are the greedy choice from all, best first: here k is far from what one fetch finds. */
static void check_one_per_place(dip_search *search, const dip_probe *probe, dip_query query)
{
    dip_result all, r;
    dip_query everything = query;
    everything.k = 4 * PLACES;
    everything.one_per_place = false;
    assert_ok(dip_search_run(search, probe, &everything, &all));
    assert_ok(dip_search_run(search, probe, &query, &r));
    size_t n = 0;
    for (size_t i = 0; i < all.count && n < query.k; i++) {
        bool fits = true;
        for (size_t j = 0; j < n; j++) fits &= all.hits[i].meta->place != r.hits[j].meta->place;
        if (!fits) continue;
        assert_true(n < r.count);
        assert_int_equal(r.hits[n++].id, all.hits[i].id);
    }
    assert_int_equal(r.count, n);
    assert_int_equal(r.matching, all.matching);
    dip_result_fini(&r);
    dip_result_fini(&all);
}

static void test_one_hit_a_place(void **state)
{
    fixture f;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (size_t k = 3; k <= 60; k += 19) {
        dip_probe probe = tile_probe(f.id[S1][k]);
        dip_query query = DIP_QUERY_INIT;
        query.k = k;
        query.to = "all";
        query.one_per_place = true;
        check_one_per_place(search, &probe, query);
        query.filter = "eo:cloud_cover > 20";
        check_one_per_place(search, &probe, query);
    }
    support_done(&f, search);
}

static void test_diversity_in_kilometres(void **state)
{
    fixture f;
    dip_result r;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = tile_probe(f.id[S1][4]);
    query.k = 40;
    query.diversify_km = 150;
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_true(r.count > 10 && r.count < 40);
    for (size_t i = 0; i < r.count; i++) {
        const dip_meta *a = r.hits[i].meta;
        for (size_t j = 0; j < i; j++) {
            const dip_meta *b = r.hits[j].meta;
            assert_false(a->south == b->south &&
                         fabs(a->west - b->west) < 1.5); /* 125 km at most */
        }
    }
    dip_result_fini(&r);
    query.diversify_km = 20000;
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.count, 1);
    dip_result_fini(&r);
    query.diversify_km = NAN;
    assert_fails(DIP_EINVAL, "diversify_km", dip_search_run(search, &probe, &query, &r));
    query.diversify_km = 0;
    query.min_score = NAN;
    assert_fails(DIP_EINVAL, "min_score", dip_search_run(search, &probe, &query, &r));
    support_done(&f, search);
}

/* ---- examples ---- */

static void expect_mixture(const fixture *f, float *out)
{
    const float *probe = f->vectors[S1] + 4 * DIM, *positive = f->vectors[S2] + 9 * DIM,
                *one = f->vectors[S1] + 20 * DIM, *other = f->vectors[S2] + 30 * DIM;
    double length = 0;
    for (int d = 0; d < DIM; d++) {
        out[d] = (probe[d] + positive[d]) / 2 - 0.5F * (one[d] + other[d]) / 2;
        length += (double)out[d] * (double)out[d];
    }
    for (int d = 0; d < DIM; d++) out[d] /= (float)sqrt(length);
}

static void test_examples_make_the_vector(void **state)
{
    fixture f;
    float vector[DIM];
    uint64_t expected[PLACES];
    dip_result r;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = tile_probe(f.id[S1][4]), positive = tile_probe(f.id[S2][9]),
              negative[2] = {tile_probe(f.id[S1][20]), tile_probe(f.id[S2][30])};
    query.positive = &positive;
    query.positive_count = 1;
    query.negative = negative;
    query.negative_count = 2;
    query.k = PLACES;
    expect_mixture(&f, vector);
    size_t n = support_expect(&f, S2, vector, NULL, PLACES, expected), left = 0;
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.count, PLACES - 2); /* without the two examples that are of s2 */
    for (size_t i = 0; i < n; i++) {
        if (expected[i] == f.id[S2][9] || expected[i] == f.id[S2][30]) continue;
        const dip_hit *hit = &r.hits[left++];
        assert_int_equal(hit->id, expected[i]);
        float score = support_dot(vector, f.vectors[S2] + place_of(hit) * DIM);
        assert_true(fabsf(hit->score - score) < 1e-5F);
        assert_true(isnan(hit->percentile));
    }
    dip_result_fini(&r);
    query.include_self = true;
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.count, PLACES);
    for (size_t i = 0; i < n; i++) assert_int_equal(r.hits[i].id, expected[i]);
    dip_result_fini(&r);
    support_done(&f, search);
}

static void test_examples_that_fail(void **state)
{
    fixture f;
    dip_result r;
    dip_query query = DIP_QUERY_INIT;
    float opposite[DIM];
    (void)state;
    dip_search *search = support_ready(&f, 10);
    dip_probe probe = tile_probe(f.id[S1][4]), none = tile_probe(99999),
              back = {.kind = DIP_PROBE_VECTOR, .vector = opposite};
    for (int d = 0; d < DIM; d++) opposite[d] = -f.vectors[S1][4 * DIM + d];
    query.negative = &none;
    query.negative_count = 1;
    assert_fails(DIP_ENOENT, "no tile #99999", dip_search_run(search, &probe, &query, &r));
    query.negative_count = 0;
    query.positive = &back;
    query.positive_count = 1;
    assert_fails(DIP_EINVAL, "cancel each other out", dip_search_run(search, &probe, &query, &r));
    support_done(&f, search);
}

/* ---- all at once ---- */

typedef struct asker {
    dip_search *search;
    const fixture *fixture;
    uint64_t matching;
} asker;

static void *ask_often(void *context)
{
    asker *a = context;
    for (size_t i = 0; i < 20; i++) {
        dip_probe probe = tile_probe(a->fixture->id[S1][i]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        query.filter =
            i % 2 ? "eo:cloud_cover < 30 AND A_CONTAINS(tags, ('all'))"
                  : "scene = 'odd' AND S_INTERSECTS(geometry, POLYGON((-9 39, 9 39, 0 60, -9 39)))";
        query.one_per_place = true;
        if (!dip_search_run(a->search, &probe, &query, &r)) a->matching += r.matching;
        dip_result_fini(&r);
    }
    return NULL;
}

static void test_many_threads_filter_at_once(void **state)
{
    enum { ASKERS = 4 };
    fixture f;
    asker askers[ASKERS];
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (int i = 0; i < ASKERS; i++) askers[i] = (asker){search, &f, 0};
    support_at_once(ask_often, askers, sizeof *askers, ASKERS);
    for (int i = 0; i < ASKERS; i++) {
        assert_true(askers[i].matching > 0);
        assert_int_equal(askers[i].matching, askers[0].matching);
    }
    support_done(&f, search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_over_an_archive),
        cmocka_unit_test(test_unknown_properties_are_named),
        cmocka_unit_test(test_any_selectivity_gives_k),
        cmocka_unit_test(test_least_score_cuts),
        cmocka_unit_test(test_one_hit_a_place),
        cmocka_unit_test(test_diversity_in_kilometres),
        cmocka_unit_test(test_examples_make_the_vector),
        cmocka_unit_test(test_examples_that_fail),
        cmocka_unit_test(test_many_threads_filter_at_once),
    };
    return cmocka_run_group_tests_name("search/answer", tests, NULL, NULL);
}
