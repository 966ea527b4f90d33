/* Threads at one source: who runs what, how many at a time, what is refused, how it ends. The source is an eventfd that counts jobs. */
#define _GNU_SOURCE
#include "server/crew.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { JOBS = 64 };

typedef struct task {
    dip_job job;
    pthread_t ran_by, done_by;
    bool posted, ran, dropped;
    atomic_bool over;
} task;

static task tasks[JOBS];
static dip_crew *crew;
static int source;
static atomic_bool gate;
static atomic_int running, most_running, turns;
static size_t posted; /* with the crew's lock */

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* An event is a job each. */
static bool turn(void *context)
{
    eventfd_t events = 0;
    (void)context;
    atomic_fetch_add(&turns, 1);
    if (eventfd_read(source, &events)) return false;
    for (; events; events--) {
        task *t = &tasks[posted++];
        t->posted = dip_crew_post(crew, &t->job);
        if (!t->posted) atomic_store(&t->over, true);
    }
    return false;
}

static void run(void *context, dip_job *job)
{
    task *t = (task *)job;
    (void)context;
    int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) continue;
    while (!atomic_load(&gate)) sleep_ms(1);
    t->ran = true;
    t->ran_by = pthread_self();
    atomic_fetch_sub(&running, 1);
}

static void done(void *context, dip_job *job, bool dropped)
{
    task *t = (task *)job;
    (void)context;
    t->dropped = dropped;
    t->done_by = pthread_self();
    atomic_store(&t->over, true);
}

static void start(unsigned workers, unsigned waiting, bool open)
{
    const dip_crew_work work = {.turn = turn, .run = run, .done = done};
    for (size_t i = 0; i < JOBS; i++) tasks[i] = (task){.posted = false};
    atomic_store(&gate, open);
    atomic_store(&running, 0);
    atomic_store(&most_running, 0);
    posted = 0;
    source = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(dip_crew_start(&crew, &work, source, workers, waiting), DIP_OK);
}

static void end(void)
{
    atomic_store(&gate, true);
    dip_crew_destroy(crew);
    close(source);
}

static void wait_for(atomic_int *count, int wanted)
{
    for (int i = 0; i < 10000 && atomic_load(count) != wanted; i++) sleep_ms(1);
    assert_int_equal(atomic_load(count), wanted);
}

static void wait_over(size_t n)
{
    for (size_t t = 0; t < n; t++) {
        for (int i = 0; i < 10000 && !atomic_load(&tasks[t].over); i++) sleep_ms(1);
        assert_true(atomic_load(&tasks[t].over));
    }
}

static void test_one_job_one_thread(void **state)
{
    (void)state;
    start(3, 10, true);
    for (size_t i = 0; i < 20; i++) {
        eventfd_write(source, 1);
        wait_over(i + 1);
        assert_true(tasks[i].ran && !tasks[i].dropped);
        assert_true(pthread_equal(tasks[i].ran_by, tasks[i].done_by));
    }
    end();
}

static void test_many_at_once_are_shared_out(void **state)
{
    (void)state;
    start(3, JOBS, false);
    eventfd_write(source, JOBS);
    wait_for(&running, 3);
    atomic_store(&gate, true);
    wait_over(JOBS);
    assert_int_equal(atomic_load(&most_running), 3);
    end();
}

/* All who may run are at work: the source has its turns all the same, and what is too much is refused. */
static void test_busy(void **state)
{
    (void)state;
    start(2, 3, false);
    eventfd_write(source, 2);
    wait_for(&running, 2);
    int before = atomic_load(&turns);
    eventfd_write(source, 5);
    for (int i = 0; i < 10000 && !atomic_load(&tasks[6].over); i++) sleep_ms(1);
    assert_true(atomic_load(&turns) > before);
    dip_crew_enter(crew);
    for (size_t i = 0; i < 7; i++) assert_int_equal(tasks[i].posted, i < 5);
    dip_crew_leave(crew);
    assert_int_equal(atomic_load(&running), 2);
    atomic_store(&gate, true);
    wait_over(7);
    end();
}

static void *open_gate(void *argument)
{
    (void)argument;
    while (!atomic_load(&tasks[1].over)) sleep_ms(1);
    sleep_ms(20);
    atomic_store(&gate, true);
    return NULL;
}

static void test_close_drops_what_waits(void **state)
{
    (void)state;
    pthread_t opener;
    start(1, 10, false);
    eventfd_write(source, 3);
    wait_for(&running, 1);
    pthread_create(&opener, NULL, open_gate, NULL);
    dip_crew_close(crew);
    pthread_join(opener, NULL);
    assert_true(tasks[0].ran && !tasks[0].dropped && atomic_load(&tasks[0].over));
    for (size_t i = 1; i < 3; i++) assert_true(!tasks[i].ran && tasks[i].dropped);
    eventfd_write(source, 1);
    wait_over(4);
    assert_false(tasks[3].posted);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_job_one_thread),
        cmocka_unit_test(test_many_at_once_are_shared_out),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_close_drops_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
