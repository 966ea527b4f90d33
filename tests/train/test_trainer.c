/*
 * The trainer as a whole, on tiny networks: the model's bytes depend on options and data alone, an interrupted run
 * ends as an undisturbed one, what is learned retrieves, and what goes wrong is named.
 */
#define _POSIX_C_SOURCE 200809L
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "encoder/model.h"
#include "storage/writer_lock.h"
#include "train/trainer.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const support_plan plain = {.places = 48, .splits = "ttttv"};

/* Stops after a number of ticks of the training. */
typedef struct stopper {
    int ticks, stop_at;
} stopper;

static int tick(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    stopper *s = payload;
    (void)done, (void)total;
    return !strcmp(phase, "training") && ++s->ticks == s->stop_at;
}

static dip_status train(const dip_archive *archive, const dip_train_options *options, int stop_at,
                        dip_train_result *result)
{
    stopper s = {0, stop_at};
    const dip_progress progress = {tick, &s};
    const dip_train_listener listener = {.progress = &progress};
    return dip_train(archive, options, &listener, result);
}

static char *model_bytes(const char *archive, const char *model, size_t *length)
{
    return support_read(support_path("%s/models/%s.safetensors", archive, model), length);
}

static void assert_same_model(const char *a, const char *b)
{
    size_t n, m;
    char *x = model_bytes(a, "m", &n), *y = model_bytes(b, "m", &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    dip_free(x);
    dip_free(y);
}

/* Trains "m" in a new archive. */
static void train_new(const char *name, dip_train_options options, unsigned threads)
{
    dip_train_result result;
    dip_archive *archive = support_archive(name, &plain);
    dip_threads_set(threads);
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_string_equal(result.model, "m");
    assert_int_equal(result.steps, 12);
    dip_threads_set(0);
    dip_archive_close(archive);
}

/* Options of a run in which all that a loss may draw or keep takes part. */
static dip_train_options all_losses(void)
{
    dip_train_options options = support_options("m");
    options.soft = options.mde = options.msp = 0.5;
    options.sigreg = 0.1;
    options.sigreg_directions = 16;
    options.soft_start = 0;
    options.queue = options.batch + 1;
    options.queue_negatives = true;
    return options;
}

static void threads_and_memory_do_not_change_the_model(void **state)
{
    (void)state;
    dip_train_options options = all_losses();
    options.average = 0.9;
    train_new("one", options, 1);
    train_new("two", options, 2);
    options.memory_mb = 0;
    train_new("starved", options, 3);
    assert_same_model("one", "two");
    assert_same_model("one", "starved");
}

static void another_seed_is_another_model(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    size_t n, m;
    options.seed = 2;
    train_new("seed-2", options, 1);
    options.seed = 3;
    train_new("seed-3", options, 1);
    char *x = model_bytes("seed-2", "m", &n), *y = model_bytes("seed-3", "m", &m);
    assert_true(n == m && memcmp(x, y, n) != 0);
    dip_free(x);
    dip_free(y);
}

/* Stopped four times, at and between checkpoints and epochs, and once killed: the last part of its work is lost. */
static void an_interrupted_run_ends_as_an_undisturbed_one(void **state)
{
    (void)state;
    static const int stops[] = {1, 3, 1, 4};
    dip_train_options options = all_losses();
    dip_train_result result;
    options.average = 0.9;
    options.keep = DIP_KEEP_BEST;
    train_new("undisturbed", options, 1);
    dip_archive *archive = support_archive("interrupted", &plain);
    for (int i = 0; i < 4; i++)
        assert_int_equal(train(archive, &options, stops[i], &result), DIP_ECANCEL);
    assert_int_equal(
        dip_file_remove(support_path("interrupted/runs/m/checkpoint-0000000009.safetensors")),
        DIP_OK);
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_int_equal(result.resumed_from, 8);
    assert_int_equal(result.steps, 12);
    dip_archive_close(archive);
    assert_same_model("undisturbed", "interrupted");
    assert_false(
        dip_file_exists(support_path("interrupted/runs/m/checkpoint-0000000008.safetensors")));
}

/* metrics.jsonl of the two runs above: the same lines, the time of the steps aside. */
static void history_has_no_gap_and_no_repetition(void **state)
{
    (void)state;
    size_t n, evaluations = 0, epochs = 0;
    char *text = support_read(support_path("interrupted/runs/m/metrics.jsonl"), &n);
    for (char *at = text; (at = strstr(at, "\"evaluation\"")); at++) evaluations++;
    for (char *at = text; (at = strstr(at, "\"kind\":\"epoch\"")); at++) epochs++;
    assert_int_equal(evaluations, 3);
    assert_int_equal(epochs, 3);
    dip_free(text);
}

static void a_finished_run_is_not_done_again(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("finished", &plain);
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_false(result.already);
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_true(result.already && result.steps == 0);
    options.force = true;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_true(!result.already && result.steps == 12);
    options.force = false;
    options.rate /= 2;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_string_equal(result.model, "m-2"); /* another configuration, another model */
    assert_true(dip_file_exists(support_path("finished/models/m.safetensors")));
    dip_archive_close(archive);
}

static void what_is_learned_retrieves(void **state)
{
    (void)state;
    const support_plan plan = {.places = 150, .splits = "ttv"};
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("learned", &plan);
    options.epochs = 12;
    options.eval_every = 6;
    options.batch = 20;
    options.flips = options.rotations = false;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_int_equal(result.held_pairs, 50);
    assert_true(result.recall[0] > 0.5 && result.recall[1] > 0.5); /* chance 0.2 */
    dip_archive_close(archive);
}

static void the_model_file_tells_how_it_was_made(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_model *model = NULL;
    dip_archive *archive = support_archive("described", &plain);
    options.encode_px = 24;
    options.embed_z = 0.5;
    options.embed_z_form = DIP_EMBED_CENTRED;
    options.embed_layout = 0.5;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_int_equal(dip_model_open(&model, support_path("described/models/m.safetensors")),
                     DIP_OK);
    assert_string_equal(dip_model_metadata(model, "epochs"), "3");
    assert_string_equal(dip_model_metadata(model, "seed"), "1");
    assert_non_null(strstr(dip_model_metadata(model, "training"), "input-px = 16\n"));
    assert_int_equal(dip_model_input_px(model), 24);
    assert_int_equal(dip_model_dim(model), 64 + 64 * 4); /* z, h and the layout's cells */
    assert_true(fabs(dip_model_modality(model, 0)->bands[0].mean + 12) < 1);
    assert_string_equal(dip_model_modality(model, 1)->bands[1].name, "N");
    dip_model_close(model);
    dip_archive_close(archive);
}

static void patience_stops_early_and_the_best_is_kept(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("patient", &plain);
    options.epochs = 50;
    options.rate = 0; /* the first evaluation stays the best */
    options.average = 0;
    options.momentum = 0.5;
    options.patience = 3;
    options.keep = DIP_KEEP_BEST;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_true(result.epochs < 50);
    assert_true(dip_file_exists(support_path("patient/runs/m/best.safetensors")));
    dip_archive_close(archive);
}

/* A child holds the run's folder until it is killed, as a process that trains does. */
static pid_t hold_run(const char *folder)
{
    int ends[2], lock;
    char byte;
    assert_int_equal(dip_folder_create(folder), DIP_OK);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        if (dip_writer_lock(&lock, folder) || write(ends[1], "", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void two_processes_do_not_train_one_run(void **state)
{
    (void)state;
    char words[64];
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("shared", &plain);
    pid_t other = hold_run(support_path("shared/runs/m"));
    snprintf(words, sizeof words, "is being written by process %ld", (long)other);
    assert_int_equal(train(archive, &options, 0, &result), DIP_EBUSY);
    assert_non_null(strstr(dip_last_error(), words));
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    options.force = true;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    assert_true(dip_file_exists(support_path("shared/runs/m/writer.lock")));
    dip_archive_close(archive);
}

static void options_that_would_do_nothing_are_refused(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    dip_train_result result;
    const support_plan three = {.places = 3, .splits = "t"};
    dip_archive *archive = support_archive("three", &three);
    assert_int_equal(train(archive, &options, 1, &result), DIP_ECANCEL);
    assert_int_equal(result.held_pairs, 0);
    options.keep = DIP_KEEP_BEST;
    assert_int_equal(train(archive, &options, 1, &result), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'keep'"));
    options.patience = 1;
    assert_int_equal(train(archive, &options, 1, &result), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'patience'"));
    dip_archive_close(archive);
    const support_plan optical = {.places = 24, .modalities = 3};
    archive = support_archive("optical", &optical);
    options = support_options("m");
    options.speckle = 0.3;
    options.modalities = "b,c";
    assert_int_equal(train(archive, &options, 1, &result), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "--units"));
    dip_archive_close(archive);
}

static void a_nan_in_a_tile_is_named(void **state)
{
    (void)state;
    const support_plan plan = {.places = 20, .splits = "t", .nan_place = 3};
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("nan", &plan);
    assert_int_equal(train(archive, &options, 0, &result), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "tile-2-0"));
    dip_archive_close(archive);
    /* a held-out one that is not kept in memory is seen first by an evaluation */
    const support_plan held = {.places = 20, .splits = "ttv", .nan_place = 3};
    options.memory_mb = 0;
    archive = support_archive("nan-held", &held);
    assert_int_equal(train(archive, &options, 0, &result), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "tile-2-0"));
    dip_archive_close(archive);
}

static void instability_names_the_likely_cause(void **state)
{
    (void)state;
    dip_train_options options = support_options("m");
    dip_train_result result;
    dip_archive *archive = support_archive("unstable", &plain);
    options.rate = 100;
    options.weight_decay = 100; /* each step multiplies the weights by about -10^4 */
    options.epochs = 20;
    options.warmup = 0;
    assert_int_equal(train(archive, &options, 0, &result), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "unstable"));
    assert_non_null(strstr(dip_last_error(), "--rate"));
    assert_false(dip_file_exists(support_path("unstable/models/m.safetensors")));
    dip_archive_close(archive);
}

static void every_loss_can_be_trained_with(void **state)
{
    (void)state;
    dip_train_options options = all_losses();
    dip_train_result result;
    const support_plan plan = {.places = 30, .splits = "t", .modalities = 3};
    dip_archive *archive = support_archive("losses", &plan);
    options.mde_form = DIP_DISCREPANCY_LOG;
    options.ramp = DIP_RAMP_GEOMETRIC;
    options.head = DIP_HEAD_MLP;
    options.head_hidden = 32;
    options.within = false;
    options.clip = 1;
    options.band_drop = options.cutout = 0.2;
    options.gain = options.offset = options.noise = options.speckle = 0.1;
    assert_int_equal(train(archive, &options, 0, &result), DIP_OK);
    dip_archive_close(archive);
}

/* Allocations of the set-up, of the data, of an evaluation, of a checkpoint: whichever fails, the run goes on later. */
static void an_allocation_may_fail_anywhere(void **state)
{
    (void)state;
    dip_train_options options = all_losses();
    dip_train_result result;
    dip_archive *archive = support_archive("allocation", &plain);
    options.epochs = 1;
    size_t n = 1;
    for (dip_status status = DIP_ENOMEM; status; n += 1 + n / 6) {
        dip_mem_fail_after(n);
        status = train(archive, &options, 0, &result);
        dip_mem_fail_after(0);
        if (status) assert_int_equal(status, DIP_ENOMEM);
        assert_true(n < 100000);
    }
    assert_true(n > 100);
    assert_true(dip_file_exists(support_path("allocation/models/m.safetensors")));
    dip_archive_close(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_memory_do_not_change_the_model),
        cmocka_unit_test(another_seed_is_another_model),
        cmocka_unit_test(an_interrupted_run_ends_as_an_undisturbed_one),
        cmocka_unit_test(history_has_no_gap_and_no_repetition),
        cmocka_unit_test(a_finished_run_is_not_done_again),
        cmocka_unit_test(what_is_learned_retrieves),
        cmocka_unit_test(the_model_file_tells_how_it_was_made),
        cmocka_unit_test(patience_stops_early_and_the_best_is_kept),
        cmocka_unit_test(two_processes_do_not_train_one_run),
        cmocka_unit_test(options_that_would_do_nothing_are_refused),
        cmocka_unit_test(a_nan_in_a_tile_is_named),
        cmocka_unit_test(instability_names_the_likely_cause),
        cmocka_unit_test(an_allocation_may_fail_anywhere),
        cmocka_unit_test(every_loss_can_be_trained_with),
    };
#ifdef __SANITIZE_THREAD__ /* a longer training, with the threads of the short ones */
    cmocka_set_skip_filter("what_is_learned_retrieves");
#endif
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
