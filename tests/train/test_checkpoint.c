/* Checkpoints: all comes back to the bit, two are kept, damaged and foreign ones are passed over. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "train/checkpoint.h"

#include <unistd.h>

typedef struct rig {
    dip_net *net;
    dip_optimiser *optimiser;
    dip_average *average;
    dip_queue *queue;
    dip_checkpoint checkpoint;
} rig;

static void silent(void *payload, dip_log_level level, const char *module, const char *line)
{
    (void)level, (void)module, (void)line;
    ++*(int *)payload;
}

static dip_net_spec small_spec(void)
{
    dip_train_options o = support_options("checkpoint");
    dip_net_spec spec = {.modality_count = 1};
    assert_int_equal(dip_train_network(&o, &spec), DIP_OK);
    strcpy(spec.modality[0].name, "a");
    spec.modality[0].band_count = 2;
    return spec;
}

/* Everything different for every seed. */
static rig make_rig(uint64_t seed)
{
    rig r;
    dip_rng rng;
    dip_net_spec spec = small_spec();
    const dip_adamw settings = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8};
    dip_rng_init(&rng, seed, 0);
    assert_int_equal(dip_net_create(&r.net, &spec, 4, DIP_NET_TRAIN), DIP_OK);
    dip_net_init(r.net, &rng, false);
    size_t n = dip_net_param_count(r.net);
    const dip_segment all = {0, n, true};
    assert_int_equal(dip_optimiser_create(&r.optimiser, &settings, &all, 1, n), DIP_OK);
    for (size_t i = 0; i < n; i++) {
        dip_optimiser_moment(r.optimiser, 0)[i] = (float)dip_rng_normal(&rng);
        dip_optimiser_moment(r.optimiser, 1)[i] = (float)dip_rng_uniform(&rng);
    }
    assert_int_equal(dip_average_create(&r.average, r.net), DIP_OK);
    dip_average_params(r.average)[0] = (float)dip_rng_normal(&rng);
    size_t running;
    dip_average_running(r.average, &running)[3] = (float)dip_rng_normal(&rng);
    assert_int_equal(dip_queue_create(&r.queue, 3, 2, (size_t[]){2, 1}), DIP_OK);
    float *state = dip_queue_state(r.queue, &running);
    for (size_t i = 0; i < running; i++) state[i] = (float)dip_rng_uniform(&rng);
    r.checkpoint = (dip_checkpoint){.net = r.net,
                                    .optimiser = r.optimiser,
                                    .average = r.average,
                                    .queue = r.queue,
                                    .identity = "identity"};
    return r;
}

static void free_rig(rig *r)
{
    dip_average_destroy(r->average);
    dip_queue_destroy(r->queue);
    dip_optimiser_destroy(r->optimiser);
    dip_net_destroy(r->net);
}

static void assert_same(rig *a, rig *b)
{
    size_t bytes = dip_net_param_count(a->net) * sizeof(float), running;
    assert_memory_equal(dip_net_params(a->net), dip_net_params(b->net), bytes);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(dip_optimiser_moment(a->optimiser, i),
                            dip_optimiser_moment(b->optimiser, i), bytes);
    assert_memory_equal(dip_average_params(a->average), dip_average_params(b->average), bytes);
    const float *x = dip_average_running(a->average, &running);
    assert_memory_equal(x, dip_average_running(b->average, &running), running * sizeof(float));
    x = dip_queue_state(a->queue, &running);
    assert_memory_equal(x, dip_queue_state(b->queue, &running), running * sizeof(float));
    assert_true(dip_optimiser_steps(a->optimiser) == dip_optimiser_steps(b->optimiser));
}

static const char *folder(const char *name)
{
    const char *path = support_path("%s", name);
    assert_int_equal(dip_folder_create(path), DIP_OK);
    return path;
}

static void everything_comes_back(void **state)
{
    (void)state;
    rig a = make_rig(1), b = make_rig(2);
    const dip_cursor cursor = {.epoch = 3,
                               .step = 2,
                               .total = 17,
                               .loss_sum = 1.0 / 3,
                               .best = {0.1, 0.7},
                               .best_epoch = 2,
                               .stale = 1};
    dip_cursor read;
    bool found = false;
    const char *path = folder("back");
    dip_optimiser_set_steps(a.optimiser, 17);
    assert_int_equal(dip_checkpoint_write(path, &a.checkpoint, &cursor), DIP_OK);
    assert_int_equal(dip_checkpoint_read(path, &b.checkpoint, &read, &found), DIP_OK);
    assert_true(found);
    assert_memory_equal(&read, &cursor, sizeof cursor);
    assert_same(&a, &b);
    free_rig(&a);
    free_rig(&b);
}

static size_t count_files(const char *path)
{
    char **names;
    size_t count;
    assert_int_equal(dip_folder_list(&names, &count, path), DIP_OK);
    dip_names_free(names, count);
    return count;
}

static void two_are_kept_and_the_newest_is_read(void **state)
{
    (void)state;
    rig a = make_rig(1);
    const char *path = folder("two");
    dip_cursor read;
    bool found;
    for (uint64_t total = 8; total < 12; total++) {
        const dip_cursor cursor = {.total = total};
        assert_int_equal(dip_checkpoint_write(path, &a.checkpoint, &cursor), DIP_OK);
    }
    assert_int_equal(count_files(path), 2);
    assert_int_equal(dip_checkpoint_read(path, &a.checkpoint, &read, &found), DIP_OK);
    assert_true(found && read.total == 11);
    assert_int_equal(dip_checkpoint_clear(path), DIP_OK);
    assert_int_equal(count_files(path), 0);
    assert_int_equal(dip_checkpoint_read(path, &a.checkpoint, &read, &found), DIP_OK);
    assert_false(found);
    free_rig(&a);
}

static void a_damaged_one_is_passed_over(void **state)
{
    (void)state;
    rig a = make_rig(1);
    const char *path = folder("damaged");
    const dip_cursor first = {.total = 5}, second = {.total = 6};
    dip_cursor read;
    bool found;
    int lines = 0;
    assert_int_equal(dip_checkpoint_write(path, &a.checkpoint, &first), DIP_OK);
    assert_int_equal(dip_checkpoint_write(path, &a.checkpoint, &second), DIP_OK);
    assert_int_equal(truncate(support_path("damaged/checkpoint-0000000006.safetensors"), 5000), 0);
    dip_log_set_sink(silent, &lines);
    assert_int_equal(dip_checkpoint_read(path, &a.checkpoint, &read, &found), DIP_OK);
    dip_log_set_sink(NULL, NULL);
    assert_true(found && read.total == 5);
    assert_int_equal(lines, 1);
    free_rig(&a);
}

static void another_identity_is_not_read(void **state)
{
    (void)state;
    rig a = make_rig(1);
    const char *path = folder("foreign");
    const dip_cursor cursor = {.total = 5};
    dip_cursor read = {.total = 99};
    bool found;
    int lines = 0;
    assert_int_equal(dip_checkpoint_write(path, &a.checkpoint, &cursor), DIP_OK);
    a.checkpoint.identity = "other";
    dip_log_set_sink(silent, &lines);
    assert_int_equal(dip_checkpoint_read(path, &a.checkpoint, &read, &found), DIP_OK);
    dip_log_set_sink(NULL, NULL);
    assert_false(found);
    assert_true(read.total == 99);
    free_rig(&a);
}

/* The average follows the net, and swapping twice changes nothing. */
static void average_swaps_and_comes_back(void **state)
{
    (void)state;
    rig a = make_rig(1), b = make_rig(1);
    size_t running;
    dip_average_swap(a.average);
    assert_memory_equal(dip_average_params(a.average), dip_net_params(b.net),
                        dip_net_param_count(b.net) * sizeof(float));
    assert_memory_equal(dip_net_params(a.net), dip_average_params(b.average),
                        dip_net_param_count(b.net) * sizeof(float));
    dip_average_swap(a.average);
    assert_same(&a, &b);
    float before = dip_average_running(b.average, &running)[3];
    dip_average_step(a.average, 0.75);
    float now = dip_average_running(a.average, &running)[3];
    dip_average_reset(b.average); /* the net's own statistic */
    float own = dip_average_running(b.average, &running)[3];
    assert_true(now == 0.75f * before + 0.25f * own);
    free_rig(&a);
    free_rig(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(two_are_kept_and_the_newest_is_read),
        cmocka_unit_test(a_damaged_one_is_passed_over),
        cmocka_unit_test(another_identity_is_not_read),
        cmocka_unit_test(average_swaps_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
