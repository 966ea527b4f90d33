/*
 * Measures of retrieval: by hand, against data/metrics_reference.txt (written by metrics_reference.py from the
 * definitions), and properties of the bootstrap.
 */
#include "train/metrics.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void test_sets_ignore_order_and_repetition(void **state)
{
    dip_label_sets *sets;
    uint32_t ab, ba, a, none, bars;
    (void)state;
    assert_int_equal(dip_label_sets_create(&sets), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "a|b", &ab), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "b|a|a", &ba), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "a", &a), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "", &none), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "||", &bars), DIP_OK);
    assert_int_equal(ab, ba);
    assert_int_not_equal(ab, a);
    assert_int_equal(none, DIP_NO_SET);
    assert_int_equal(bars, DIP_NO_SET);
    assert_int_equal(dip_label_sets_count(sets), 2);
    assert_int_equal(dip_label_sets_size(sets, ab), 2);
    assert_int_equal(dip_label_sets_shared(sets, ab, a), 1);
    dip_label_sets_destroy(sets);
}

static void test_words_that_begin_alike_differ(void **state)
{
    dip_label_sets *sets;
    uint32_t wood, woodland;
    (void)state;
    assert_int_equal(dip_label_sets_create(&sets), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "woodland", &woodland), DIP_OK);
    assert_int_equal(dip_label_sets_add(sets, "wood", &wood), DIP_OK);
    assert_int_equal(dip_label_sets_shared(sets, wood, woodland), 0);
    dip_label_sets_destroy(sets);
}

static void test_many_sets_keep_their_numbers(void **state)
{
    enum { N = 500 };
    dip_label_sets *sets;
    uint32_t first[N], again;
    char text[32];
    (void)state;
    assert_int_equal(dip_label_sets_create(&sets), DIP_OK);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "l%d|l%d", i, i / 7);
        assert_int_equal(dip_label_sets_add(sets, text, &first[i]), DIP_OK);
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "l%d|l%d", i / 7, i);
        assert_int_equal(dip_label_sets_add(sets, text, &again), DIP_OK);
        assert_int_equal(again, first[i]);
    }
    dip_label_sets_destroy(sets);
}

static void test_average_precision_by_hand(void **state)
{
    (void)state;
    const bool row[4] = {true, false, true, false};
    NEAR(dip_average_precision(row, 4, 2), (1.0 + 2.0 / 3) / 2);
    NEAR(dip_average_precision(row, 4, 9), (1.0 + 2.0 / 3) / 4);
    NEAR(dip_average_precision(row, 2, 9), 0.5);
    NEAR(dip_average_precision(row, 4, 0), 0);
    const bool perfect[3] = {true, true, true};
    NEAR(dip_average_precision(perfect, 3, 50), 1);
    /* One relevant of two: it comes first (AP 1) or second (AP 1/2). */
    NEAR(dip_average_precision_chance(2, 1, 2), 0.75);
    NEAR(dip_average_precision_chance(1, 5, 5), 1);
    NEAR(dip_f1(0.5, 1), 2.0 / 3);
    NEAR(dip_f1(0, 0), 0);
}

/* Two queries, gallery of three: everything can be counted on the fingers. */
static void test_pair_recall_by_hand(void **state)
{
    (void)state;
    const dip_eval_item queries[3] = {{.place = 10}, {.place = 11}, {.place = 99}};
    const dip_eval_item gallery[3] = {{.place = 11}, {.place = 12}, {.place = 10}};
    const uint32_t hits[6] = {2, 0, 1, 0, 1, 2};
    dip_ranking r = {3, 3, 2, queries, gallery, hits, false};
    dip_metric m;
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 1, NULL, &m), DIP_OK);
    NEAR(m.value, 0.5); /* the third query has no twin and does not count */
    assert_int_equal(m.queries, 2);
    NEAR(m.chance, 1.0 / 3);
    assert_true(isnan(m.low) && isnan(m.high));
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 2, NULL, &m), DIP_OK);
    NEAR(m.value, 1);
}

static void test_short_rows_and_wrong_depth(void **state)
{
    (void)state;
    const dip_eval_item query = {.place = 1}, gallery[2] = {{.place = 5}, {.place = 1}};
    const uint32_t hits[3] = {0, 1, DIP_NO_HIT};
    dip_ranking r = {1, 2, 3, &query, gallery, hits, false};
    dip_metric m;
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 3, NULL, &m), DIP_OK);
    NEAR(m.value, 1);
    NEAR(m.chance, 1);
    r.depth = 1;
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 2, NULL, &m), DIP_EINVAL);
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 0, NULL, &m), DIP_EINVAL);
}

static void test_gallery_without_labels_is_refused(void **state)
{
    (void)state;
    dip_label_sets *sets;
    const dip_eval_item item = {.labels = DIP_NO_SET, .primary = DIP_NO_SET};
    const uint32_t hit = 0;
    dip_ranking r = {1, 1, 1, &item, &item, &hit, false};
    dip_metric m;
    assert_int_equal(dip_label_sets_create(&sets), DIP_OK);
    assert_int_equal(dip_metric_compute(sets, &r, DIP_METRIC_F1_ITEM, 1, NULL, &m), DIP_EINVAL);
    dip_label_sets_destroy(sets);
}

/* ---- against the reference file ---- */

enum { MOST_ITEMS = 16, MOST_DEPTH = 8 };

typedef struct reference {
    FILE *file;
    dip_label_sets *sets;
    dip_eval_item queries[MOST_ITEMS], gallery[MOST_ITEMS];
    uint32_t hits[MOST_ITEMS * MOST_DEPTH];
    dip_ranking ranking;
    size_t metrics; /* compared */
} reference;

static dip_eval_item read_item(reference *ref)
{
    dip_eval_item item = {0};
    unsigned place, scene;
    char tag[16], labels[128], primary[64];
    assert_int_equal(
        fscanf(ref->file, "%15s %u %u %127s %63s", tag, &place, &scene, labels, primary), 5);
    item.place = place;
    item.scene = scene;
    assert_int_equal(dip_label_sets_add(ref->sets, labels, &item.labels), DIP_OK);
    assert_int_equal(dip_label_sets_add(ref->sets, primary, &item.primary), DIP_OK);
    return item;
}

static void read_case(reference *ref)
{
    dip_ranking *r = &ref->ranking;
    int same;
    char name[16];
    assert_int_equal(fscanf(ref->file, "%15s %zu %zu %zu %d", name, &r->query_count,
                            &r->gallery_count, &r->depth, &same),
                     5);
    assert_true(r->query_count <= MOST_ITEMS && r->gallery_count <= MOST_ITEMS);
    assert_true(r->depth <= MOST_DEPTH);
    r->same_modality = same != 0;
    r->queries = ref->queries;
    r->gallery = ref->gallery;
    r->hits = ref->hits;
    for (size_t i = 0; i < r->query_count; i++) ref->queries[i] = read_item(ref);
    for (size_t i = 0; i < r->gallery_count; i++) ref->gallery[i] = read_item(ref);
    for (size_t i = 0; i < r->query_count; i++) {
        assert_int_equal(fscanf(ref->file, "%15s", name), 1);
        for (size_t j = 0; j < r->depth; j++)
            assert_int_equal(fscanf(ref->file, "%u", &ref->hits[i * r->depth + j]), 1);
    }
}

static dip_metric_kind kind_of(const char *name)
{
    for (int kind = 0; kind < DIP_METRIC_KIND_COUNT; kind++)
        if (!strcmp(dip_metric_name((dip_metric_kind)kind), name)) return (dip_metric_kind)kind;
    fail_msg("no measure is called %s", name);
    return DIP_METRIC_KIND_COUNT;
}

static void compare_metric(reference *ref)
{
    char name[32];
    size_t k, n;
    double value, chance;
    dip_metric m;
    assert_int_equal(fscanf(ref->file, "%31s %zu %zu %lf %lf", name, &k, &n, &value, &chance), 5);
    assert_int_equal(dip_metric_compute(ref->sets, &ref->ranking, kind_of(name), k, NULL, &m),
                     DIP_OK);
    if (fabs(m.value - value) > 1e-9 || fabs(m.chance - chance) > 1e-9 || m.queries != n)
        fail_msg("%s@%zu: %.12f of %zu (chance %.12f), the reference says %.12f of %zu (%.12f)",
                 name, k, m.value, m.queries, m.chance, value, n, chance);
    ref->metrics++;
}

static void test_every_measure_against_the_reference(void **state)
{
    reference ref = {.file = fopen(DIP_SOURCE_DIR "/tests/train/data/metrics_reference.txt", "r")};
    char tag[16];
    (void)state;
    assert_non_null(ref.file);
    assert_int_equal(dip_label_sets_create(&ref.sets), DIP_OK);
    while (fscanf(ref.file, "%15s", tag) == 1) {
        if (!strcmp(tag, "case"))
            read_case(&ref);
        else
            compare_metric(&ref);
    }
    assert_int_equal(ref.metrics, 21 + 18);
    dip_label_sets_destroy(ref.sets);
    fclose(ref.file);
}

/* ---- bootstrap ---- */

enum { QUERIES = 400, SCENES = 20 };

/* Query i finds its twin with probability 0.3; if `clustered`, all queries of a scene do or none does. */
static void make_pairs(bool clustered, dip_eval_item *items, uint32_t *hits)
{
    dip_rng rng;
    dip_rng_init(&rng, 5, 0);
    bool found = false;
    for (uint32_t i = 0; i < QUERIES; i++) {
        items[i] = (dip_eval_item){.place = i, .scene = i / (QUERIES / SCENES)};
        if (!clustered || i % (QUERIES / SCENES) == 0) found = dip_rng_uniform(&rng) < 0.3;
        hits[i] = found ? i : (i + 1) % QUERIES;
    }
}

static dip_metric bootstrap_of(bool clustered, bool by_scene)
{
    static dip_eval_item items[QUERIES];
    static uint32_t hits[QUERIES];
    dip_bootstrap bootstrap = DIP_BOOTSTRAP_INIT;
    dip_metric m;
    make_pairs(clustered, items, hits);
    dip_ranking r = {QUERIES, QUERIES, 1, items, items, hits, false};
    bootstrap.by_scene = by_scene;
    assert_int_equal(dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 1, &bootstrap, &m),
                     DIP_OK);
    return m;
}

static void test_interval_of_a_share_is_the_binomial_one(void **state)
{
    (void)state;
    dip_metric m = bootstrap_of(false, false);
    double half = 1.96 * sqrt(m.value * (1 - m.value) / QUERIES);
    assert_true(fabs(m.value - m.low - half) < 0.15 * half);
    assert_true(fabs(m.high - m.value - half) < 0.15 * half);
}

static void test_interval_by_scene_is_wider_when_scenes_differ(void **state)
{
    (void)state;
    dip_metric by_query = bootstrap_of(true, false), by_scene = bootstrap_of(true, true);
    double half = 1.96 * sqrt(by_scene.value * (1 - by_scene.value) / SCENES);
    NEAR(by_query.value, by_scene.value);
    assert_true(by_scene.high - by_scene.low > 3 * (by_query.high - by_query.low));
    assert_true(fabs((by_scene.high - by_scene.low) / 2 - half) < 0.25 * half);
}

static void test_interval_does_not_depend_on_threads(void **state)
{
    (void)state;
    dip_threads_set(1);
    dip_metric one = bootstrap_of(false, false);
    dip_threads_set(3);
    dip_metric three = bootstrap_of(false, false);
    dip_threads_set(0);
    assert_true(one.low == three.low && one.high == three.high);
}

/* ---- pair recall of embeddings ---- */

static void test_pair_recall_of_vectors_by_hand(void **state)
{
    /* Scores of query 0: 1, 0, 0.6 -> rank 1; of query 1: 0.8, 0.6, 1 -> rank 3; of query 2: 0, 1, 0.8 -> rank 2 */
    const float queries[6] = {1, 0, 0.8f, 0.6f, 0, 1}, gallery[6] = {1, 0, 0, 1, 0.6f, 0.8f};
    size_t rank[3];
    (void)state;
    assert_int_equal(dip_pair_ranks(queries, gallery, 3, 2, rank), DIP_OK);
    assert_true(rank[0] == 0 && rank[1] == 2 && rank[2] == 1);
    NEAR(dip_share_found(rank, 3, 1), 1.0 / 3);
    NEAR(dip_share_found(rank, 3, 2), 2.0 / 3);
    NEAR(dip_share_found(rank, 3, 3), 1);
    NEAR(dip_share_found(rank, 0, 3), 0);
}

static void test_collapsed_and_broken_encoders_find_nothing(void **state)
{
    enum { N = 50, DIM = 24 };
    float same[N * DIM], broken[N * DIM];
    size_t rank[N];
    (void)state;
    for (size_t i = 0; i < N * DIM; i++) {
        same[i] = 0.25f;
        broken[i] = NAN;
    }
    assert_int_equal(dip_pair_ranks(same, same, N, DIM, rank), DIP_OK);
    NEAR(dip_share_found(rank, N, 1), 1.0 / N);
    NEAR(dip_share_found(rank, N, 10), 10.0 / N);
    assert_int_equal(dip_pair_ranks(broken, broken, N, DIM, rank), DIP_OK);
    NEAR(dip_share_found(rank, N, 10), 0);
}

static void test_memory_failures_are_reported(void **state)
{
    static dip_eval_item items[QUERIES];
    static uint32_t hits[QUERIES];
    dip_bootstrap bootstrap = DIP_BOOTSTRAP_INIT;
    dip_metric m;
    size_t failures = 0;
    (void)state;
    make_pairs(false, items, hits);
    dip_ranking r = {QUERIES, QUERIES, 1, items, items, hits, false};
    for (size_t n = 1;; n++, failures++) {
        dip_mem_fail_after(n);
        dip_status status = dip_metric_compute(NULL, &r, DIP_METRIC_PAIR_RECALL, 1, &bootstrap, &m);
        dip_mem_fail_after(0);
        if (!status) break;
        assert_int_equal(status, DIP_ENOMEM);
    }
    assert_int_equal(failures, 4);
}

static void largest_are_in_order(void **state)
{
    static const float scores[] = {1, 3, 2, 3, -1, 0};
    uint32_t out[6];
    (void)state;
    assert_int_equal(dip_largest(scores, 6, SIZE_MAX, 3, out), 3);
    assert_true(out[0] == 1 && out[1] == 3 && out[2] == 2);
    assert_int_equal(dip_largest(scores, 6, 1, 2, out), 2);
    assert_true(out[0] == 3 && out[1] == 2);
    assert_int_equal(dip_largest(scores, 2, 0, 6, out), 1);
    assert_true(out[0] == 1);
    assert_int_equal(dip_largest(scores, 0, 0, 6, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_ignore_order_and_repetition),
        cmocka_unit_test(test_words_that_begin_alike_differ),
        cmocka_unit_test(test_many_sets_keep_their_numbers),
        cmocka_unit_test(test_average_precision_by_hand),
        cmocka_unit_test(test_pair_recall_by_hand),
        cmocka_unit_test(test_short_rows_and_wrong_depth),
        cmocka_unit_test(test_gallery_without_labels_is_refused),
        cmocka_unit_test(test_every_measure_against_the_reference),
        cmocka_unit_test(test_interval_of_a_share_is_the_binomial_one),
        cmocka_unit_test(test_interval_by_scene_is_wider_when_scenes_differ),
        cmocka_unit_test(test_interval_does_not_depend_on_threads),
        cmocka_unit_test(test_pair_recall_of_vectors_by_hand),
        cmocka_unit_test(test_collapsed_and_broken_encoders_find_nothing),
        cmocka_unit_test(test_memory_failures_are_reported),
        cmocka_unit_test(largest_are_in_order),
    };
    return cmocka_run_group_tests_name("train/metrics", tests, NULL, NULL);
}
