/* What a run tells of itself: its history, and the examples of held-out pairs, held against the archive. */
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "train/held.h"
#include "train/trainer.h"

#include <math.h>

enum { HELD = 30, MOST = 40 };

static const support_plan plan = {.places = 60, .splits = "ttvv", .labels = true};

/* ---- a run, once ---- */

typedef struct counter {
    int shown;
    bool complete; /* at the last showing */
} counter;

static void evaluated(void *payload, const char *folder, bool complete)
{
    counter *c = payload;
    char *path = dip_path_join(folder, "finished.ini");
    c->shown++;
    c->complete = complete;
    assert_int_equal(dip_file_exists(path), complete);
    dip_free(path);
}

static dip_archive *archive;
static counter shown;
static dip_train_result result;

static int train_once(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    const dip_train_listener listener = {.evaluated = evaluated, .payload = &shown};
    archive = support_archive("held", &plan);
    return dip_train(archive, &options, &listener, &result);
}

static int clean(void **state)
{
    dip_archive_close(archive);
    return support_cleanup(state);
}

/* ---- history ---- */

typedef struct seen {
    int data, bands, starts, epochs, evaluations, results, labels;
    double recall;
} seen;

static dip_status take(void *payload, const dip_history_line *line)
{
    seen *s = payload;
    s->data += !strcmp(line->kind, "data");
    if (!strcmp(line->kind, "labels")) {
        double precision = dip_history_value(line, "precision");
        bool same = !strcmp(dip_history_text(line, "from"), dip_history_text(line, "to"));
        s->labels++;
        assert_true(precision > 0 && precision <= 1);
        assert_true(dip_history_value(line, "precision_any") == precision);
        assert_true(dip_history_value(line, "queries") == HELD);
        assert_true(fabs(dip_history_value(line, "chance") - (same ? 9.0 / 29 : 1.0 / 3)) < 1e-6);
    }
    s->starts += !strcmp(line->kind, "start");
    if (!strcmp(line->kind, "band")) {
        s->bands++;
        assert_true(dip_history_value(line, "deviation") > 0);
        assert_true(*dip_history_text(line, "modality") && *dip_history_text(line, "band"));
    }
    if (!strcmp(line->kind, "epoch")) {
        double waiting = dip_history_value(line, "waiting");
        s->epochs++;
        assert_true(waiting >= 0 && waiting <= 1);
        assert_true(dip_history_value(line, "pairs_per_second") > 0);
    }
    if (!strcmp(line->kind, "evaluation") || !strcmp(line->kind, "result")) {
        double one = dip_history_value(line, "recall_forward_1");
        double five = dip_history_value(line, "recall_forward_5");
        s->recall = dip_history_value(line, "recall_forward");
        assert_true(one >= 0 && one <= five && five <= s->recall && s->recall <= 1);
        assert_true(dip_history_value(line, "pairs") == HELD);
        *(*line->kind == 'e' ? &s->evaluations : &s->results) += 1;
    }
    return DIP_OK;
}

static void history_tells_the_run(void **state)
{
    (void)state;
    seen s = {.data = 0};
    assert_int_equal(dip_history_read(support_path("held/runs/m/metrics.jsonl"), take, &s), DIP_OK);
    assert_true(s.data == 1 && s.starts == 1 && s.bands == 3);
    assert_int_equal(s.labels, 4);
    assert_true(s.epochs == 3 && s.evaluations == 3 && s.results == 1);
    assert_true(fabs(s.recall - result.recall[0]) < 1e-6);
    assert_int_equal(shown.shown, s.evaluations + s.results);
    assert_true(shown.complete);
}

/* ---- examples ---- */

typedef struct examples {
    size_t n;
    size_t rank[MOST];
    bool best[MOST];
    char from[MOST][8];
} examples;

static uint64_t place_of(double tile, const char *modality)
{
    dip_meta *meta;
    assert_int_equal(dip_archive_meta(archive, (uint64_t)tile, &meta), DIP_OK);
    assert_string_equal(meta->split, "val");
    assert_string_equal(dip_archive_modality(archive, meta->modality)->name, modality);
    uint64_t place = meta->place;
    dip_meta_free(meta);
    return place;
}

static dip_status take_example(void *payload, const dip_history_line *line)
{
    examples *e = payload;
    const char *from = dip_history_text(line, "from"), *to = dip_history_text(line, "to");
    double twin = dip_history_value(line, "twin"), score = dip_history_value(line, "score");
    size_t rank = (size_t)dip_history_value(line, "rank");
    char name[16];
    assert_true(e->n < MOST && rank >= 1 && rank <= HELD);
    assert_true(dip_history_value(line, "of") == HELD);
    assert_int_equal(place_of(dip_history_value(line, "probe"), from), place_of(twin, to));
    for (size_t i = 1; i <= DIP_HELD_HITS; i++) {
        snprintf(name, sizeof name, "hit%zu", i);
        assert_int_equal(dip_history_value(line, name) == twin, i == rank);
        snprintf(name, sizeof name, "score%zu", i);
        double other = dip_history_value(line, name);
        assert_true(i < rank ? other >= score : other <= score);
    }
    e->rank[e->n] = rank;
    e->best[e->n] = !strcmp(line->kind, "best");
    snprintf(e->from[e->n++], sizeof e->from[0], "%s", from);
    return DIP_OK;
}

static void examples_are_the_best_and_worst_of_both_directions(void **state)
{
    (void)state;
    examples e = {.n = 0};
    assert_int_equal(dip_history_read(support_path("held/runs/m/examples.jsonl"), take_example, &e),
                     DIP_OK);
    assert_int_equal(e.n, 16);
    for (size_t i = 0; i < e.n; i++) {
        assert_int_equal(e.best[i], i % 8 < 4);
        assert_string_equal(e.from[i], i < 8 ? "a" : "b");
        if (i % 8 && i % 8 < 4) assert_true(e.rank[i] >= e.rank[i - 1]);
        if (i % 8 > 4) assert_true(e.rank[i] <= e.rank[i - 1]);
    }
    assert_true(e.rank[3] <= e.rank[7] && e.rank[11] <= e.rank[15]);
}

/* ---- the line for people ---- */

typedef struct told {
    char line[400]; /* the last one of the labels */
    size_t lines;
} told;

static void hear(void *payload, const char *line)
{
    told *t = payload;
    if (!strstr(line, "of held-out tiles")) return;
    snprintf(t->line, sizeof t->line, "%s", line);
    t->lines++;
}

static dip_status take_last(void *payload, const dip_history_line *line)
{
    bool across =
        !strcmp(dip_history_text(line, "from"), "a") && !strcmp(dip_history_text(line, "to"), "b");
    if (!strcmp(line->kind, "labels") && across)
        *(double *)payload = dip_history_value(line, "precision");
    return DIP_OK;
}

/* Once, at the end, of the model that is there. */
static void labels_are_told_of_the_weights_that_are_kept(void **state)
{
    (void)state;
    dip_train_options options = support_options("best");
    dip_train_result unused;
    double precision = NAN;
    char want[40];
    for (int keep = DIP_KEEP_LAST; keep <= DIP_KEEP_BEST; keep++) {
        told t = {.lines = 0};
        const dip_train_listener listener = {.note = hear, .payload = &t};
        options.keep = keep;
        options.force = true;
        assert_int_equal(dip_train(archive, &options, &listener, &unused), DIP_OK);
        assert_int_equal(t.lines, 1);
        assert_int_equal(dip_history_read(support_path("held/runs/%s/metrics.jsonl", unused.model),
                                          take_last, &precision),
                         DIP_OK);
        snprintf(want, sizeof want, "p@10 of held-out tiles: a to b %.3f, ", precision);
        assert_non_null(strstr(t.line, want));
    }
}

/* One held-out place: inside a modality there is nothing to be found, and nothing is said of it. */
static void a_direction_without_labels_is_left_out(void **state)
{
    (void)state;
    const support_plan few = {.places = 13, .splits = "ttttttttttttv", .labels = true};
    dip_train_options options = support_options("m");
    dip_train_result unused;
    told t = {.lines = 0};
    const dip_train_listener listener = {.note = hear, .payload = &t};
    dip_archive *small = support_archive("few", &few);
    assert_int_equal(dip_train(small, &options, &listener, &unused), DIP_OK);
    assert_int_equal(t.lines, 1);
    assert_non_null(strstr(t.line, "a to b 1.000, b to a 1.000 (by chance"));
    assert_null(strstr(t.line, "a to a"));
    assert_null(strstr(t.line, "nan"));
    dip_archive_close(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_tells_the_run),
        cmocka_unit_test(examples_are_the_best_and_worst_of_both_directions),
        cmocka_unit_test(labels_are_told_of_the_weights_that_are_kept),
        cmocka_unit_test(a_direction_without_labels_is_left_out),
    };
    return cmocka_run_group_tests(tests, train_once, clean);
}
