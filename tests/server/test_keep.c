/* Things kept for a while: names, holding, dropping, room and time. */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/mem.h"
#include "server/keep.h"

#include <stdatomic.h>
#include <time.h>

static atomic_int freed;

static void free_thing(void *thing)
{
    dip_free(thing);
    atomic_fetch_add(&freed, 1);
}

static dip_keep *create(size_t most, size_t most_bytes, double seconds)
{
    dip_keep *keep;
    dip_keep_options options = {.prefix = "x-",
                                .most = most,
                                .most_bytes = most_bytes,
                                .seconds = seconds,
                                .free_thing = free_thing};
    atomic_store(&freed, 0);
    assert_ok(dip_keep_create(&keep, &options));
    return keep;
}

static void add(dip_keep *keep, const char *text, char id[DIP_KEEP_ID])
{
    assert_ok(dip_keep_add(keep, dip_strdup(text), 10, id));
}

static bool there(dip_keep *keep, const char *id)
{
    char *thing = dip_keep_hold(keep, id);
    dip_keep_release(keep, thing);
    return thing != NULL;
}

static void test_held_things_outlive_their_drop(void **state)
{
    char id[DIP_KEEP_ID], other[DIP_KEEP_ID];
    dip_keep *keep = create(10, 1000, 100);
    (void)state;
    add(keep, "one", id);
    add(keep, "two", other);
    assert_string_not_equal(id, other);
    assert_int_equal(strlen(id), 2 + 32);
    char *held = dip_keep_hold(keep, id);
    assert_string_equal(held, "one");
    assert_true(dip_keep_drop(keep, id));
    assert_false(dip_keep_drop(keep, id));
    assert_false(there(keep, id));
    assert_string_equal(held, "one");
    assert_int_equal(atomic_load(&freed), 0);
    dip_keep_release(keep, held);
    assert_int_equal(atomic_load(&freed), 1);
    assert_true(there(keep, other));
    dip_keep_destroy(keep);
    assert_int_equal(atomic_load(&freed), 2);
}

static void test_to_look_is_not_to_ask(void **state)
{
    char id[3][DIP_KEEP_ID];
    dip_keep *keep = create(2, 1000, 100);
    (void)state;
    for (int i = 0; i < 2; i++) add(keep, "thing", id[i]);
    char *seen = dip_keep_look(keep, id[0]);
    assert_string_equal(seen, "thing");
    dip_keep_release(keep, seen);
    add(keep, "thing", id[2]);
    assert_true(!there(keep, id[0]) && there(keep, id[1]));
    assert_null(dip_keep_look(keep, id[0]));
    dip_keep_destroy(keep);
}

static void test_what_was_asked_for_longest_ago_makes_room(void **state)
{
    char id[4][DIP_KEEP_ID];
    dip_keep *keep = create(3, 1000, 100);
    (void)state;
    for (int i = 0; i < 3; i++) add(keep, "thing", id[i]);
    assert_true(there(keep, id[0]));
    add(keep, "thing", id[3]);
    assert_true(there(keep, id[0]) && !there(keep, id[1]) && there(keep, id[2]));
    dip_keep_destroy(keep);
    keep = create(100, 35, 100);
    for (int i = 0; i < 4; i++) add(keep, "thing", id[i]);
    assert_true(!there(keep, id[0]) && there(keep, id[1]) && there(keep, id[3]));
    char big[DIP_KEEP_ID];
    assert_fails(DIP_ENOSPC, "36 bytes", dip_keep_add(keep, dip_strdup("big"), 36, big));
    dip_keep_destroy(keep);
    assert_int_equal(atomic_load(&freed), 5);
}

static void test_time_ends(void **state)
{
    char id[DIP_KEEP_ID];
    char(*ids)[DIP_KEEP_ID];
    size_t count;
    dip_keep *keep = create(3, 1000, 0.02);
    (void)state;
    add(keep, "thing", id);
    while (atomic_load(&freed) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        assert_ok(dip_keep_list(keep, &ids, &count));
        dip_free(ids);
    }
    assert_int_equal(count, 0);
    assert_false(there(keep, id));
    dip_keep_destroy(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_things_outlive_their_drop),
        cmocka_unit_test(test_to_look_is_not_to_ask),
        cmocka_unit_test(test_what_was_asked_for_longest_ago_makes_room),
        cmocka_unit_test(test_time_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
