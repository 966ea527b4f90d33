/* The live view: readers at work while generations are built anew, tiles come and go, and an index breaks. */
#define _GNU_SOURCE
#include "tests/search/support.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "index/generation.h"
#include "search/engine.h"
#include "server/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 120, READERS = 3, ROUNDS = 5 };

static atomic_uint log_lines;

static void count_lines(void *payload, dip_log_level level, const char *module, const char *line)
{
    (void)payload;
    (void)module;
    (void)line;
    if (level <= DIP_LOG_WARN) atomic_fetch_add(&log_lines, 1);
}

static dip_service *open_service(const fixture *f)
{
    dip_service_options options = {.archive = f->folder, .watch_seconds = 0.005};
    dip_service *service;
    assert_ok(dip_service_open(&service, &options));
    return service;
}

static void pause_a_little(void) { nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); }

/* Until the view of a state is live; the test's own time limit ends it otherwise. */
static void wait_for(dip_service *service, const char *generation, size_t tiles)
{
    for (bool there = false; !there; pause_a_little()) {
        const dip_view *view = dip_service_view(service);
        there = !strcmp(view->generation, generation) && view->search->columns.count == tiles;
        dip_view_release(view);
    }
}

static void test_without_an_index(void **state)
{
    fixture f;
    dip_result r;
    (void)state;
    support_open(&f, PLACES);
    dip_service *service = open_service(&f);
    const dip_view *view = dip_service_view(service);
    dip_probe probe = {.kind = DIP_PROBE_TILE, .id = f.id[S1][0]};
    assert_string_equal(view->generation, "");
    assert_string_equal(view->model, "m");
    assert_int_equal(view->search->columns.count, 2 * PLACES);
    assert_fails(DIP_ENOENT, "run diptych index", dip_search_run(view->search, &probe, NULL, &r));
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    wait_for(service, "000001", 2 * PLACES);
    assert_string_equal(view->generation, ""); /* ours is as it was */
    dip_view_release(view);
    view = dip_service_view(service);
    assert_string_equal(view->model, "m");
    assert_int_equal(view->number, 2);
    assert_ok(dip_search_run(view->search, &probe, NULL, &r));
    dip_result_fini(&r);
    dip_view_release(view);
    assert_string_equal(dip_service_settings(service)->license, "other");
    dip_service_close(service);
    support_close(&f);
}

static void test_tiles_come_and_go(void **state)
{
    fixture f;
    (void)state;
    support_open(&f, PLACES);
    dip_service *service = open_service(&f);
    support_add(&f, PLACES, PLACES + 3, true);
    wait_for(service, "", 2 * (PLACES + 3));
    support_remove(&f, f.id[S1][2]);
    wait_for(service, "", 2 * (PLACES + 3) - 1);
    dip_service_close(service);
    support_close(&f);
}

typedef struct reader {
    pthread_t thread;
    dip_service *service;
    const fixture *fixture;
    atomic_bool *done;
    size_t number, searches;
    char fault[300];
} reader;

static void *read_on(void *argument)
{
    reader *r = argument;
    while (!atomic_load(r->done) && !*r->fault) {
        const dip_view *view = dip_service_view(r->service);
        dip_probe probe = {.kind = DIP_PROBE_TILE,
                           .id = r->fixture->id[S1][(r->searches + r->number) % PLACES]};
        dip_result result;
        if (dip_search_run(view->search, &probe, NULL, &result)) {
            snprintf(r->fault, sizeof r->fault, "%s", dip_last_error());
        } else {
            if (result.count != 10) snprintf(r->fault, sizeof r->fault, "%zu hits", result.count);
            dip_result_fini(&result);
        }
        dip_view_release(view);
        r->searches++;
    }
    return NULL;
}

static void test_readers_do_not_notice(void **state)
{
    fixture f;
    atomic_bool done = false;
    reader readers[READERS];
    dip_service_counts counts;
    (void)state;
    support_open(&f, PLACES);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    dip_service *service = open_service(&f);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (reader){.service = service, .fixture = &f, .done = &done, .number = i};
        pthread_create(&readers[i].thread, NULL, read_on, &readers[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        char name[16];
        support_index(&f, round % 2 ? DIP_ENGINE_NATIVE : DIP_ENGINE_EXACT, false, NULL);
        assert_ok(dip_generation_prune(f.folder, 0));
        snprintf(name, sizeof name, "%06d", round + 2);
        wait_for(service, name, 2 * PLACES);
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        if (*readers[i].fault) fail_msg("%s", readers[i].fault);
        assert_true(readers[i].searches > 0);
    }
    dip_service_count(service, &counts);
    assert_true(counts.views >= ROUNDS + 1);
    while (counts.retired) { /* the watcher closes them */
        pause_a_little();
        dip_service_count(service, &counts);
    }
    dip_service_close(service);
    support_close(&f);
}

static void test_a_broken_index_leaves_the_old_one(void **state)
{
    fixture f;
    dip_service_counts counts;
    (void)state;
    support_open(&f, PLACES);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    dip_log_set_sink(count_lines, NULL); /* before there are threads */
    dip_service *service = open_service(&f);
    char *current = dip_sprintf("%s/index/CURRENT", f.folder);
    atomic_store(&log_lines, 0);
    assert_ok(dip_file_write(current, "000077\n", 7));
    do {
        pause_a_little();
        dip_service_count(service, &counts);
    } while (counts.failures < 3);
    assert_int_equal(atomic_load(&log_lines), 1);
    const dip_view *view = dip_service_view(service);
    assert_string_equal(view->generation, "000001");
    dip_view_release(view);
    support_index(&f, DIP_ENGINE_AUTO, false, NULL);
    char *repaired;
    assert_ok(dip_generation_current(&repaired, f.folder));
    wait_for(service, repaired, 2 * PLACES);
    dip_free(repaired);
    dip_service_close(service);
    dip_log_set_sink(NULL, NULL);
    dip_free(current);
    support_close(&f);
}

static void *hold(void *argument)
{
    const dip_view *view = argument;
    for (int i = 0; i < 10; i++) pause_a_little();
    dip_view_release(view);
    return NULL;
}

static void test_closing_waits_for_users(void **state)
{
    fixture f;
    pthread_t holder;
    (void)state;
    support_open(&f, PLACES);
    dip_service *service = open_service(&f);
    pthread_create(&holder, NULL, hold, (void *)dip_service_view(service));
    dip_service_close(service); /* under sanitizers a view that is closed too early shows */
    pthread_join(holder, NULL);
    support_close(&f);
}

static void test_what_cannot_be_opened(void **state)
{
    dip_service *service;
    dip_service_options options = {.archive = "/nowhere/at/all"};
    (void)state;
    assert_fails(DIP_ENOENT, "/nowhere/at/all", dip_service_open(&service, &options));
    dip_service_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_index),
        cmocka_unit_test(test_tiles_come_and_go),
        cmocka_unit_test(test_readers_do_not_notice),
        cmocka_unit_test(test_a_broken_index_leaves_the_old_one),
        cmocka_unit_test(test_closing_waits_for_users),
        cmocka_unit_test(test_what_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
