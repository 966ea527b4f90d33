/* A search from end to end, against products computed one by one. */
#include "support.h"

#include "core/mem.h"
#include "core/parallel.h"

enum { PLACES = 120, MANY = 360, K = 10 };

static dip_probe tile_probe(uint64_t id) { return (dip_probe){.kind = DIP_PROBE_TILE, .id = id}; }

/* The same ids in the same order, scores of the stored vectors, falling. */
static void assert_hits(const fixture *f, const dip_result *r, int to, const float *vector,
                        const uint64_t *expected, size_t n)
{
    assert_int_equal(r->count, n);
    for (size_t i = 0; i < n; i++) {
        const dip_hit *hit = &r->hits[i];
        assert_int_equal(hit->id, expected[i]);
        assert_int_equal(hit->meta->id, hit->id);
        assert_int_equal(hit->meta->modality, to);
        size_t place = strtoul(hit->meta->name + 1, NULL, 10);
        float score = support_dot(vector, f->vectors[to] + place * DIM);
        assert_true(fabsf(hit->score - score) < 1e-5F);
        assert_true(!i || hit->score <= r->hits[i - 1].score);
        assert_true(hit->percentile >= 0 && hit->percentile <= 100);
    }
}

static void test_tile_to_the_other_modality(void **state)
{
    fixture f;
    support_open(&f, PLACES);
    (void)state;
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    dip_search *search = support_search(&f);
    for (int from = 0; from < 2; from++) {
        for (size_t i = 0; i < PLACES; i += 13) {
            uint64_t expected[K];
            const float *vector = f.vectors[from] + i * DIM;
            dip_probe probe = tile_probe(f.id[from][i]);
            dip_result r;
            assert_ok(dip_search_run(search, &probe, NULL, &r));
            size_t n = support_expect(&f, 1 - from, vector, NULL, K, expected);
            assert_hits(&f, &r, 1 - from, vector, expected, n);
            assert_int_equal(r.probe_id, f.id[from][i]);
            assert_int_equal(r.matching, PLACES);
            assert_true(r.searched_exactly);
            dip_result_fini(&r);
        }
    }
    support_done(&f, search);
}

static void test_own_tile_is_left_out_or_in(void **state)
{
    fixture f;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (int exact = 0; exact < 2; exact++) {
        dip_probe probe = tile_probe(f.id[S2][5]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        query.to = "s2";
        query.exact = exact;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.count, K);
        for (size_t i = 0; i < r.count; i++) assert_int_not_equal(r.hits[i].id, f.id[S2][5]);
        dip_result_fini(&r);
        query.include_self = true;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.hits[0].id, f.id[S2][5]);
        assert_true(fabsf(r.hits[0].score - 1) < 1e-3F);
        dip_result_fini(&r);
        query.include_self = false;
        query.k = 1000;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.count, PLACES - 1);
        dip_result_fini(&r);
    }
    support_done(&f, search);
}

static void test_all_modalities_merge_by_score(void **state)
{
    fixture f;
    dip_result r, one, two;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = tile_probe(f.id[S1][7]);
    query.k = 30;
    query.to = "all";
    assert_ok(dip_search_run(search, &probe, &query, &r));
    query.to = "s1";
    assert_ok(dip_search_run(search, &probe, &query, &one));
    query.to = "s2";
    assert_ok(dip_search_run(search, &probe, &query, &two));
    size_t a = 0, b = 0;
    for (size_t i = 0; i < 30; i++) {
        bool first = one.hits[a].score > two.hits[b].score;
        assert_int_equal(r.hits[i].id, first ? one.hits[a].id : two.hits[b].id);
        a += first;
        b += !first;
    }
    assert_true(a > 0 && b > 0);
    assert_int_equal(r.matching, 2 * PLACES);
    dip_result_fini(&r);
    dip_result_fini(&one);
    dip_result_fini(&two);
    support_done(&f, search);
}

/* ---- filters ---- */

static bool in_box(size_t i) { return i % 20 >= 3 && i % 20 <= 6 && i / 20 <= 2; }
static bool in_time(size_t i) { return i >= 10 && i <= 20; }
static bool is_wood(size_t i) { return support_has_label(i, "wood"); }
static bool is_test(size_t i) { return i % 5 == 0; }
static bool is_all_three(size_t i) { return in_box(i) && is_wood(i) && !is_test(i); }
static bool is_nothing(size_t i) { return i > 100000; }

static void test_filters_leave_the_right_tiles(void **state)
{
    static const double box[4] = {-6.9, 39, -3.2, 42.4};
    static const struct {
        const double *box;
        const char *datetime, *label, *split;
        bool (*keep)(size_t place);
    } cases[] = {
        {box, NULL, NULL, NULL, in_box},
        {NULL, "2020-01-11/2020-01-21", NULL, NULL, in_time},
        {NULL, NULL, "wood", NULL, is_wood},
        {NULL, NULL, NULL, "test", is_test},
        {box, NULL, "wood", "train", is_all_three},
        {NULL, NULL, "desert", NULL, is_nothing},
    };
    fixture f;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (size_t c = 0; c < 2 * (sizeof cases / sizeof *cases); c++) {
        uint64_t expected[PLACES];
        const float *vector = f.vectors[S1] + 4 * DIM;
        dip_probe probe = tile_probe(f.id[S1][4]);
        dip_query query = {.k = 8,
                           .min_score = -1,
                           .bbox = cases[c / 2].box,
                           .datetime = cases[c / 2].datetime,
                           .label = cases[c / 2].label,
                           .split = cases[c / 2].split,
                           .exact = c % 2};
        dip_result r;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        size_t all = support_expect(&f, S2, vector, cases[c / 2].keep, PLACES, expected);
        assert_int_equal(r.matching, all);
        assert_hits(&f, &r, S2, vector, expected, all < 8 ? all : 8);
        dip_result_fini(&r);
    }
    support_done(&f, search);
}

/* ---- the approximate engine ---- */

static void test_faiss_engine_finds_k_with_exact_scores(void **state)
{
    fixture f;
    size_t found = 0, wanted = 0;
    (void)state;
    support_open(&f, MANY);
    support_index(&f, DIP_ENGINE_FAISS, false, NULL);
    dip_search *search = support_search(&f);
    for (size_t i = 0; i < MANY; i += 20) {
        uint64_t expected[K];
        const float *vector = f.vectors[S1] + i * DIM;
        dip_probe probe = tile_probe(f.id[S1][i]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_false(r.searched_exactly);
        assert_int_equal(r.count, K);
        support_expect(&f, S2, vector, NULL, K, expected);
        for (size_t h = 0; h < K; h++) {
            size_t place = strtoul(r.hits[h].meta->name + 1, NULL, 10);
            float score = support_dot(vector, f.vectors[S2] + place * DIM);
            assert_true(fabsf(r.hits[h].score - score) < 1e-5F);
            for (size_t e = 0; e < K; e++) found += r.hits[h].id == expected[e];
        }
        wanted += K;
        dip_result_fini(&r);
        query.label = "wood";
        query.k = 500;
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.count, 120); /* all that there are */
        assert_int_equal(r.matching, 120);
        assert_true(r.searched_exactly); /* so few are compared one by one */
        dip_result_fini(&r);
    }
    if ((double)found < 0.95 * (double)wanted) fail_msg("%zu of %zu found", found, wanted);
    support_done(&f, search);
}

static void test_operating_points_reach_their_target(void **state)
{
    fixture f;
    dip_generation *g;
    (void)state;
    support_open(&f, MANY);
    support_index(&f, DIP_ENGINE_FAISS, false, NULL);
    assert_ok(dip_generation_open(&g, f.folder, NULL));
    const dip_manifest *m = dip_generation_read_manifest(g);
    assert_int_equal(m->calibration_count, 4);
    for (uint32_t i = 0; i < m->point_count; i++) {
        assert_true(fabs(m->points[i].target - 0.99) < 1e-9);
        assert_true(m->points[i].params.nprobe >= 1);
    }
    for (int i = 0; i < 4; i++) {
        const dip_operating_point *p =
            dip_manifest_point(m, i & 1 ? "s1" : "s2", i & 2 ? "s1" : "s2", &(dip_effort){0, 0});
        assert_true(p && p->recall >= 0.99 && p->recall <= 1);
    }
    dip_generation_close(g);
    support_close(&f);
}

/* ---- other probes ---- */

static void test_location_finds_the_nearest_tile(void **state)
{
    fixture f;
    dip_result r;
    dip_query query = DIP_QUERY_INIT;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    /* Place 45 is centred at (-4.75, 42.25). */
    dip_probe probe = {.kind = DIP_PROBE_LONLAT, .lon = -4.8, .lat = 42.3};
    query.to = "s2";
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.probe_id, f.id[S1][45]); /* of both tiles there, the one that crosses */
    dip_result_fini(&r);
    query.to = "s1";
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.probe_id, f.id[S2][45]);
    dip_result_fini(&r);
    probe.modality = "s1";
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.probe_id, f.id[S1][45]);
    dip_result_fini(&r);
    probe.lon = -4.8 + 360;
    assert_ok(dip_search_run(search, &probe, &query, &r));
    assert_int_equal(r.probe_id, f.id[S1][45]);
    dip_result_fini(&r);
    probe.lat = 91;
    assert_fails(DIP_EINVAL, "no longitude and latitude",
                 dip_search_run(search, &probe, &query, &r));
    support_done(&f, search);
}

static void assert_same_hits(const dip_result *a, const dip_result *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->hits[i].id, b->hits[i].id);
        assert_true(a->hits[i].score == b->hits[i].score);
    }
}

/* Pixels, the vector that the model makes of them, and a stored tile without embedding: all the same. */
static void test_pixels_are_encoded(void **state)
{
    fixture f;
    dip_result of_pixels, of_vector, of_tile;
    dip_query query = DIP_QUERY_INIT;
    dip_tile *tile;
    float vector[DIM];
    (void)state;
    support_open(&f, 30);
    support_encode(&f);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    support_add(&f, 30, 31, false);
    dip_search *search = support_search(&f);
    query.to = "s1";
    assert_ok(dip_archive_tile(f.archive, f.id[S2][30], &tile));
    const dip_tile *list[1] = {tile};
    dip_model *model = dip_search_model(search);
    assert_non_null(model);
    assert_ok(dip_model_encode(model, 1, list, 1, vector));
    dip_probe probe = {.kind = DIP_PROBE_PIXELS, .tile = tile, .modality = "s2"};
    assert_ok(dip_search_run(search, &probe, &query, &of_pixels));
    probe = (dip_probe){.kind = DIP_PROBE_VECTOR, .vector = vector, .modality = "s2"};
    assert_ok(dip_search_run(search, &probe, &query, &of_vector));
    probe = tile_probe(f.id[S2][30]);
    assert_ok(dip_search_run(search, &probe, &query, &of_tile));
    assert_same_hits(&of_pixels, &of_vector);
    assert_same_hits(&of_pixels, &of_tile);
    assert_true(of_pixels.probe_id == DIP_NO_ID && of_tile.probe_id == f.id[S2][30]);
    dip_result_fini(&of_pixels);
    dip_result_fini(&of_vector);
    dip_result_fini(&of_tile);
    dip_tile_free(tile);
    support_done(&f, search);
}

static void test_pixels_need_the_model_of_the_embeddings(void **state)
{
    fixture f;
    dip_result r;
    dip_tile *tile;
    (void)state;
    dip_search *search = support_ready(&f, 30); /* vectors that no model made */
    assert_ok(dip_archive_tile(f.archive, f.id[S2][0], &tile));
    dip_probe probe = {.kind = DIP_PROBE_PIXELS, .tile = tile, .modality = "s2"};
    assert_fails(DIP_EMISMATCH,
                 "trained again since the tiles of s1 were encoded; run diptych encode",
                 dip_search_run(search, &probe, NULL, &r));
    assert_null(dip_search_model(search));
    dip_tile_free(tile);
    support_done(&f, search);
}

static void test_vectors_of_unknown_modality_have_no_percentile(void **state)
{
    fixture f;
    dip_result r;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = {.kind = DIP_PROBE_VECTOR, .vector = f.vectors[S1]};
    assert_ok(dip_search_run(search, &probe, NULL, &r));
    assert_int_equal(r.count, K);
    for (size_t i = 0; i < r.count; i++) assert_true(isnan(r.hits[i].percentile));
    dip_result_fini(&r);
    support_done(&f, search);
}

/* ---- mistakes ---- */

static void test_mistakes_are_named(void **state)
{
    fixture f;
    dip_search *search;
    dip_result r;
    dip_query query = DIP_QUERY_INIT;
    float long_vector[DIM] = {2};
    (void)state;
    support_open(&f, PLACES);
    assert_fails(DIP_ENOENT, "run diptych index", dip_search_open(&search, f.archive, NULL));
    dip_search_options browse = {.browse = true};
    assert_ok(dip_search_open(&search, f.archive, &browse));
    dip_probe nowhere = tile_probe(f.id[S1][0]);
    assert_fails(DIP_ENOENT, "run diptych index", dip_search_run(search, &nowhere, NULL, &r));
    assert_null(dip_search_model(search));
    dip_search_close(search);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    dip_search_options wrong = {.model = "other"};
    assert_fails(DIP_EMISMATCH, "run diptych index --model other",
                 dip_search_open(&search, f.archive, &wrong));
    search = support_search(&f);
    dip_probe probe = tile_probe(f.id[S1][0]);
    query.to = "s3";
    assert_fails(DIP_EINVAL, "'s3'; the archive has s1, s2",
                 dip_search_run(search, &probe, &query, &r));
    probe = tile_probe(999999);
    query.to = NULL;
    assert_fails(DIP_ENOENT, "no tile #999999", dip_search_run(search, &probe, &query, &r));
    probe = (dip_probe){.kind = DIP_PROBE_VECTOR, .vector = long_vector, .modality = "s1"};
    assert_fails(DIP_EINVAL, "has length 2, not 1", dip_search_run(search, &probe, &query, &r));
    probe = (dip_probe){.kind = DIP_PROBE_LONLAT, .modality = "s9"};
    assert_fails(DIP_EINVAL, "'s9'", dip_search_run(search, &probe, &query, &r));
    support_done(&f, search);
}

static void test_index_without_embeddings_is_refused(void **state)
{
    fixture f;
    dip_indexing_report report;
    dip_indexing_options options = {0};
    (void)state;
    support_open(&f, 0);
    assert_fails(DIP_ENOENT, "run diptych encode", dip_index_archive(f.archive, &options, &report));
    options.model = "none";
    assert_fails(DIP_ENOENT, "no model 'none'; it has m",
                 dip_index_archive(f.archive, &options, &report));
    support_close(&f);
}

/* ---- change ---- */

static void test_removed_tiles_never_come_back(void **state)
{
    (void)state;
    for (int engine = DIP_ENGINE_EXACT; engine <= DIP_ENGINE_FAISS; engine++) {
        fixture f;
        dip_result r;
        dip_query query = DIP_QUERY_INIT;
        support_open(&f, MANY);
        support_index(&f, (dip_engine)engine, false, NULL);
        dip_probe probe = tile_probe(f.id[S1][3]);
        for (int round = 0; round < 3; round++) {
            dip_search *search = support_search(&f);
            assert_ok(dip_search_run(search, &probe, &query, &r));
            assert_int_equal(r.count, K);
            assert_int_equal(r.matching, MANY - round);
            uint64_t best = r.hits[0].id;
            dip_result_fini(&r);
            support_remove(&f, best);
            dip_search_close(search);
            search = support_search(&f);
            assert_ok(dip_search_run(search, &probe, &query, &r));
            for (size_t i = 0; i < r.count; i++) assert_int_not_equal(r.hits[i].id, best);
            dip_result_fini(&r);
            dip_search_close(search);
        }
        support_close(&f);
    }
}

static void test_a_tile_removed_under_an_open_search_is_skipped(void **state)
{
    fixture f;
    dip_result r;
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    dip_probe probe = tile_probe(f.id[S1][3]);
    assert_ok(dip_search_run(search, &probe, NULL, &r));
    uint64_t best = r.hits[0].id;
    dip_result_fini(&r);
    support_remove(&f, best);
    assert_ok(dip_search_run(search, &probe, NULL, &r));
    for (size_t i = 0; i < r.count; i++) assert_int_not_equal(r.hits[i].id, best);
    dip_result_fini(&r);
    support_done(&f, search);
}

static void test_update_adds_and_removes(void **state)
{
    (void)state;
    for (int engine = DIP_ENGINE_EXACT; engine <= DIP_ENGINE_FAISS; engine++) {
        fixture f;
        dip_indexing_report report;
        dip_result r;
        support_open(&f, MANY);
        support_index(&f, (dip_engine)engine, true, &report); /* the first: builds */
        assert_true(report.modality[0].trained);
        support_index(&f, (dip_engine)engine, true, &report);
        assert_true(report.unchanged);
        support_add(&f, MANY, MANY + 20, true);
        support_remove(&f, f.id[S2][17]);
        support_index(&f, (dip_engine)engine, true, &report);
        assert_false(report.unchanged);
        assert_string_equal(report.modality[S2].name, "s2");
        assert_int_equal(report.modality[S2].added, 20);
        assert_int_equal(report.modality[S2].removed, 1);
        assert_int_equal(report.modality[S2].count, MANY + 19);
        assert_false(report.modality[S2].trained);
        dip_search *search = support_search(&f);
        dip_probe probe = {
            .kind = DIP_PROBE_VECTOR, .vector = f.vectors[S2] + (MANY + 5) * DIM, .modality = "s2"};
        dip_query query = DIP_QUERY_INIT;
        query.to = "s2";
        assert_ok(dip_search_run(search, &probe, &query, &r));
        assert_int_equal(r.hits[0].id, f.id[S2][MANY + 5]);
        dip_result_fini(&r);
        dip_search_close(search);
        support_close(&f);
    }
}

static void test_a_model_that_encoded_again_needs_a_new_index(void **state)
{
    fixture f;
    dip_search *search;
    dip_indexing_report report;
    (void)state;
    support_open(&f, PLACES);
    support_index(&f, DIP_ENGINE_FAISS, false, NULL);
    support_encode_again(&f);
    assert_fails(DIP_EMISMATCH, "encoded the tiles again since generation 000001",
                 dip_search_open(&search, f.archive, NULL));
    support_index(&f, DIP_ENGINE_EXACT, true, &report);
    assert_false(report.unchanged);
    assert_false(report.modality[S1].trained);
    assert_true(report.modality[S2].trained);
    search = support_search(&f);
    support_done(&f, search);
}

static void test_tiles_without_embedding_are_counted(void **state)
{
    fixture f;
    dip_indexing_report report;
    (void)state;
    support_open(&f, PLACES);
    support_add(&f, PLACES, PLACES + 4, false);
    support_index(&f, DIP_ENGINE_AUTO, false, &report);
    assert_int_equal(report.modality_count, 2);
    for (int m = 0; m < 2; m++) {
        assert_int_equal(report.modality[m].count, PLACES);
        assert_int_equal(report.modality[m].without, 4);
        assert_true(report.modality[m].bytes > PLACES * DIM * sizeof(float));
    }
    support_close(&f);
}

static int stop(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    int *left = payload;
    (void)phase, (void)done, (void)total;
    return (*left)-- <= 0;
}

static void test_a_stopped_build_changes_nothing(void **state)
{
    fixture f;
    dip_indexing_report report;
    (void)state;
    support_open(&f, PLACES);
    support_index(&f, DIP_ENGINE_AUTO, false, &report);
    assert_string_equal(report.generation, "000001");
    for (int ticks = 0; ticks < 8; ticks++) {
        int left = ticks;
        dip_progress progress = {stop, &left};
        dip_indexing_options options = {.progress = &progress};
        assert_int_equal(dip_index_archive(f.archive, &options, &report), DIP_ECANCEL);
        dip_search *search = support_search(&f);
        dip_search_close(search);
    }
    dip_generation *g;
    assert_ok(dip_generation_open(&g, f.folder, NULL));
    assert_string_equal(dip_generation_read_manifest(g)->generation, "000001");
    dip_generation_close(g);
    support_close(&f);
}

/* ---- threads and memory ---- */

typedef struct asker {
    dip_search *search;
    const fixture *f;
    size_t first;
    size_t wrong;
} asker;

static void *ask_many(void *payload)
{
    asker *a = payload;
    for (size_t i = a->first; i < PLACES; i += 4) {
        uint64_t expected[K];
        dip_probe probe = tile_probe(a->f->id[S1][i]);
        dip_query query = DIP_QUERY_INIT;
        dip_result r;
        query.exact = i % 3 == 0;
        size_t n = support_expect(a->f, S2, a->f->vectors[S1] + i * DIM, NULL, K, expected);
        if (dip_search_run(a->search, &probe, &query, &r)) {
            a->wrong++;
            continue;
        }
        a->wrong += r.count != n;
        for (size_t h = 0; h < n && h < r.count; h++) a->wrong += r.hits[h].id != expected[h];
        dip_result_fini(&r);
    }
    return NULL;
}

static void test_many_threads_ask_at_once(void **state)
{
    enum { THREADS = 4 };
    fixture f;
    asker askers[THREADS];
    (void)state;
    dip_search *search = support_ready(&f, PLACES);
    for (size_t t = 0; t < THREADS; t++) askers[t] = (asker){search, &f, t, 0};
    support_at_once(ask_many, askers, sizeof *askers, THREADS);
    for (size_t t = 0; t < THREADS; t++) assert_int_equal(askers[t].wrong, 0);
    support_done(&f, search);
}

static void test_short_memory_fails_cleanly(void **state)
{
    fixture f;
    size_t failures = 0;
    (void)state;
    support_open(&f, PLACES);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    for (size_t n = 1;; n++, failures++) {
        dip_search *search = NULL;
        dip_result r = {0};
        dip_query query = DIP_QUERY_INIT;
        dip_probe probe = tile_probe(f.id[S1][1]);
        query.label = "wood";
        query.k = 3;
        dip_mem_fail_after(n);
        dip_status status = dip_search_open(&search, f.archive, NULL);
        if (!status) status = dip_search_run(search, &probe, &query, &r);
        dip_mem_fail_after(0);
        dip_search_close(search);
        if (!status) {
            assert_int_equal(r.count, 3);
            dip_result_fini(&r);
            break;
        }
        assert_int_equal(status, DIP_ENOMEM);
    }
    assert_true(failures > 20);
    support_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_to_the_other_modality),
        cmocka_unit_test(test_own_tile_is_left_out_or_in),
        cmocka_unit_test(test_all_modalities_merge_by_score),
        cmocka_unit_test(test_filters_leave_the_right_tiles),
        cmocka_unit_test(test_faiss_engine_finds_k_with_exact_scores),
        cmocka_unit_test(test_operating_points_reach_their_target),
        cmocka_unit_test(test_location_finds_the_nearest_tile),
        cmocka_unit_test(test_pixels_are_encoded),
        cmocka_unit_test(test_pixels_need_the_model_of_the_embeddings),
        cmocka_unit_test(test_vectors_of_unknown_modality_have_no_percentile),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_index_without_embeddings_is_refused),
        cmocka_unit_test(test_removed_tiles_never_come_back),
        cmocka_unit_test(test_a_tile_removed_under_an_open_search_is_skipped),
        cmocka_unit_test(test_update_adds_and_removes),
        cmocka_unit_test(test_a_model_that_encoded_again_needs_a_new_index),
        cmocka_unit_test(test_tiles_without_embedding_are_counted),
        cmocka_unit_test(test_a_stopped_build_changes_nothing),
        cmocka_unit_test(test_many_threads_ask_at_once),
        cmocka_unit_test(test_short_memory_fails_cleanly),
    };
    return cmocka_run_group_tests_name("search/engine", tests, NULL, NULL);
}
