/* The thread pool: every task once, failures, nesting, changes of size, fork. */
#define _GNU_SOURCE
#include "tests/core/support.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_TASKS = 5000 };

/* ThreadSanitizer takes the ids of threads that a child starts for those of its parent's threads and gives up. */
#ifdef __SANITIZE_THREAD__
enum { THREADS_AFTER_FORK = 0 };
#else
enum { THREADS_AFTER_FORK = 1 };
#endif
/* AddressSanitizer's own locks are not kept over a fork: a child of a busy parent may find one held for ever. */
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
enum { FORK_WHILE_BUSY = 0 };
#else
enum { FORK_WHILE_BUSY = 1 };
#endif

typedef struct tally {
    atomic_uint times[MOST_TASKS];
    atomic_uint busy[256]; /* calls inside now, by worker */
    atomic_bool shared_worker;
    unsigned threads;
    size_t fail_from; /* tasks fail from here on */
} tally;

static dip_status count_task(void *context, size_t task, unsigned worker)
{
    tally *t = context;
    if (worker >= t->threads || atomic_fetch_add(&t->busy[worker], 1) != 0)
        atomic_store(&t->shared_worker, true);
    atomic_fetch_add(&t->times[task], 1);
    for (volatile int spin = 0; spin < 200; spin++) continue;
    atomic_fetch_sub(&t->busy[worker], 1);
    if (task >= t->fail_from) return dip_fail(DIP_EIO, "task %zu failed", task);
    return DIP_OK;
}

static tally *new_tally(void)
{
    tally *t = dip_calloc(1, sizeof *t);
    assert_non_null(t);
    t->threads = dip_threads();
    t->fail_from = MOST_TASKS;
    return t;
}

static int default_threads(void **state)
{
    (void)state;
    unsetenv("DIP_THREADS");
    dip_threads_set(0);
    return 0;
}

typedef struct meeting {
    atomic_uint inside;
    unsigned wanted;
} meeting;

/* Comes back when all tasks are inside at the same time, which takes as many threads as tasks. */
static dip_status meet(void *context, size_t task, unsigned worker)
{
    meeting *m = context;
    (void)task, (void)worker;
    atomic_fetch_add(&m->inside, 1);
    for (int i = 0; i < 400000 && atomic_load(&m->inside) < m->wanted; i++) usleep(50);
    if (atomic_load(&m->inside) < m->wanted) return dip_fail(DIP_EBUSY, "alone");
    return DIP_OK;
}

static dip_status all_threads_meet(void)
{
    meeting m = {.wanted = dip_threads()};
    return dip_parallel_for(m.wanted, meet, &m);
}

/* Again after each kind of event in a pool's life. */
static void test_threads_work_at_the_same_time(void **state)
{
    (void)state;
    for (unsigned threads = 2; threads <= 9; threads += 7) {
        dip_threads_set(threads);
        for (int i = 0; i < 50; i++) assert_int_equal(all_threads_meet(), DIP_OK);
        tally *t = new_tally();
        t->fail_from = 5;
        assert_int_equal(dip_parallel_for(100, count_task, t), DIP_EIO);
        dip_free(t);
        assert_int_equal(all_threads_meet(), DIP_OK);
        assert_int_equal(dip_parallel_for(0, meet, NULL), DIP_OK);
        assert_int_equal(all_threads_meet(), DIP_OK);
    }
}

/* With fewer tasks than threads the others must not hinder the next call. */
static void test_calls_of_all_sizes_follow_each_other(void **state)
{
    (void)state;
    dip_threads_set(6);
    for (size_t i = 0; i < 2000; i++) {
        tally *t = i % 100 ? NULL : new_tally();
        meeting m = {.wanted = 2 + (unsigned)i % 5};
        assert_int_equal(dip_parallel_for(m.wanted, meet, &m), DIP_OK);
        if (t) assert_int_equal(dip_parallel_for(300, count_task, t), DIP_OK);
        dip_free(t);
    }
}

static void test_every_task_runs_once(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 8, 17};
    static const size_t numbers[] = {0, 1, 2, 7, 100, MOST_TASKS};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        dip_threads_set(sizes[s]);
        assert_int_equal(dip_threads(), sizes[s]);
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            tally *t = new_tally();
            assert_int_equal(dip_parallel_for(numbers[n], count_task, t), DIP_OK);
            for (size_t i = 0; i < MOST_TASKS; i++)
                assert_int_equal(t->times[i], i < numbers[n] ? 1 : 0);
            assert_false(t->shared_worker);
            dip_free(t);
        }
    }
}

static void test_the_lowest_failure_wins(void **state)
{
    (void)state;
    for (size_t round = 0; round < 200; round++) {
        char line[64];
        size_t from = round * 7 % 500;
        dip_threads_set(1 + round % 8);
        tally *t = new_tally();
        t->fail_from = from;
        dip_error_clear();
        assert_int_equal(dip_parallel_for(1000, count_task, t), DIP_EIO);
        snprintf(line, sizeof line, "task %zu failed", from);
        assert_string_equal(dip_last_error(), line);
        for (size_t i = 0; i <= from; i++) assert_int_equal(t->times[i], 1);
        for (size_t i = from; i < 1000; i++) assert_true(t->times[i] <= 1);
        dip_free(t);
    }
}

static void test_tasks_after_a_failure_are_skipped(void **state)
{
    (void)state;
    dip_threads_set(4);
    tally *t = new_tally();
    t->fail_from = 3;
    assert_int_equal(dip_parallel_for(MOST_TASKS, count_task, t), DIP_EIO);
    size_t ran = 0;
    for (size_t i = 0; i < MOST_TASKS; i++) ran += t->times[i];
    assert_in_range(ran, 4, 3 + 4);
    dip_free(t);
}

static void test_success_leaves_the_line_alone(void **state)
{
    tally *t = new_tally();
    (void)state;
    dip_fail(DIP_EINVAL, "from before");
    assert_int_equal(dip_parallel_for(100, count_task, t), DIP_OK);
    assert_string_equal(dip_last_error(), "from before");
    dip_free(t);
}

typedef struct outer {
    tally *inner[8];
} outer;

static dip_status run_inner(void *context, size_t task, unsigned worker)
{
    outer *o = context;
    (void)worker;
    return dip_parallel_for(50, count_task, o->inner[task]);
}

static void test_nested_calls_run_on_their_own_thread(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        outer o;
        dip_threads_set(threads);
        for (size_t i = 0; i < 8; i++) {
            o.inner[i] = new_tally();
            o.inner[i]->threads = 1; /* inside they all are worker 0 */
        }
        o.inner[5]->fail_from = 20;
        o.inner[7]->fail_from = 10;
        assert_int_equal(dip_parallel_for(8, run_inner, &o), DIP_EIO);
        assert_string_equal(dip_last_error(), "task 20 failed");
        for (size_t i = 0; i < 5; i++)
            for (size_t j = 0; j < 50; j++) assert_int_equal(o.inner[i]->times[j], 1);
        for (size_t i = 0; i < 8; i++) {
            assert_false(o.inner[i]->shared_worker);
            dip_free(o.inner[i]);
        }
        assert_int_equal(all_threads_meet(), DIP_OK);
    }
}

static void *many_calls(void *failures)
{
    for (int i = 0; i < 200; i++) {
        tally *t = dip_calloc(1, sizeof *t);
        if (!t) continue;
        t->threads = dip_threads();
        t->fail_from = i % 3 ? MOST_TASKS : 30;
        dip_status status = dip_parallel_for(40, count_task, t);
        bool good = status == (i % 3 ? DIP_OK : DIP_EIO) && !t->shared_worker;
        for (size_t j = 0; j < (i % 3 ? 40 : 30); j++) good = good && t->times[j] == 1;
        if (!good) atomic_fetch_add((atomic_int *)failures, 1);
        dip_free(t);
    }
    return NULL;
}

static void test_many_threads_may_call(void **state)
{
    pthread_t threads[4];
    atomic_int failures = 0;
    (void)state;
    dip_threads_set(3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_calls, &failures), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
}

typedef struct partial_sums {
    double sums[64];
} partial_sums;

static dip_status sum_chunk(void *context, size_t task, unsigned worker)
{
    partial_sums *p = context;
    dip_rng rng;
    (void)worker;
    dip_rng_init(&rng, 1, task);
    for (int i = 0; i < 1000; i++) p->sums[task] += dip_rng_normal(&rng);
    return DIP_OK;
}

static void test_sums_do_not_depend_on_the_number_of_threads(void **state)
{
    double first = 0;
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads++) {
        partial_sums p = {{0}};
        double sum = 0;
        dip_threads_set(threads);
        assert_int_equal(dip_parallel_for(64, sum_chunk, &p), DIP_OK);
        for (int i = 0; i < 64; i++) sum += p.sums[i];
        if (threads == 1) first = sum;
        assert_true(sum == first);
    }
}

static void test_number_of_threads(void **state)
{
    cpu_set_t allowed;
    (void)state;
    unsigned processors = dip_threads();
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    assert_int_equal(processors, CPU_COUNT(&allowed) < 256 ? CPU_COUNT(&allowed) : 256);
    dip_threads_set(5);
    assert_int_equal(dip_threads(), 5);
    dip_threads_set(100000);
    assert_int_equal(dip_threads(), 256);
    setenv("DIP_THREADS", "7", 1);
    dip_threads_set(0);
    assert_int_equal(dip_threads(), 7);
    for (size_t i = 0; i < 3; i++) {
        setenv("DIP_THREADS", (const char *[]){"", "many", "-3"}[i], 1);
        dip_threads_set(0);
        assert_int_equal(dip_threads(), processors);
    }
}

static int work_in_child(void)
{
    tally *t = dip_calloc(1, sizeof *t);
    if (!t) return 1;
    t->threads = dip_threads();
    t->fail_from = MOST_TASKS;
    if (dip_parallel_for(500, count_task, t) || t->shared_worker) return 2;
    for (size_t i = 0; i < 500; i++)
        if (t->times[i] != 1) return 3;
    dip_free(t);
    return all_threads_meet() ? 4 : 0;
}

/* A child has none of its parent's threads, but a pool of its own as soon as it wants one. */
static void test_a_child_gets_its_own_pool(void **state)
{
    (void)state;
    if (!THREADS_AFTER_FORK) skip();
    dip_threads_set(4);
    for (int i = 0; i < 5; i++) {
        int how;
        tally *t = new_tally();
        assert_int_equal(dip_parallel_for(100, count_task, t), DIP_OK);
        dip_free(t);
        pid_t child = fork();
        if (child == 0) exit(work_in_child()); /* exit: the pool's farewell must not hang either */
        alarm(60);
        assert_int_equal(waitpid(child, &how, 0), child);
        alarm(0);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
    }
}

static atomic_bool stop_forking;

static void *keep_pool_busy(void *unused)
{
    atomic_int failures = 0;
    (void)unused;
    while (!atomic_load(&stop_forking)) many_calls(&failures);
    return NULL;
}

/* Fork while another thread holds the pool: the child must not wait for a lock that nobody will release. */
static void test_fork_while_the_pool_works(void **state)
{
    pthread_t busy;
    (void)state;
    if (!FORK_WHILE_BUSY) skip();
    dip_threads_set(3);
    atomic_store(&stop_forking, false);
    assert_int_equal(pthread_create(&busy, NULL, keep_pool_busy, NULL), 0);
    for (int i = 0; i < 20; i++) {
        int how;
        pid_t child = fork();
        if (child == 0) _exit(work_in_child());
        alarm(60);
        assert_int_equal(waitpid(child, &how, 0), child);
        alarm(0);
        assert_int_equal(how, 0);
    }
    atomic_store(&stop_forking, true);
    pthread_join(busy, NULL);
}

static dip_status exit_in_task(void *context, size_t task, unsigned worker)
{
    (void)context, (void)worker;
    if (task == 7) exit(0);
    return DIP_OK;
}

/* Ending the process from inside a task, or while another thread works, must not hang. */
static void test_exit_does_not_wait_for_itself(void **state)
{
    (void)state;
    if (!THREADS_AFTER_FORK) skip();
    dip_threads_set(3);
    for (int i = 0; i < 10; i++) {
        int how;
        pid_t child = fork();
        if (child == 0) {
            dip_parallel_for(100, exit_in_task, NULL);
            _exit(1);
        }
        alarm(60);
        assert_int_equal(waitpid(child, &how, 0), child);
        alarm(0);
        assert_int_equal(how, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_threads_work_at_the_same_time, default_threads),
        cmocka_unit_test_teardown(test_calls_of_all_sizes_follow_each_other, default_threads),
        cmocka_unit_test_teardown(test_every_task_runs_once, default_threads),
        cmocka_unit_test_teardown(test_the_lowest_failure_wins, default_threads),
        cmocka_unit_test_teardown(test_tasks_after_a_failure_are_skipped, default_threads),
        cmocka_unit_test(test_success_leaves_the_line_alone),
        cmocka_unit_test_teardown(test_nested_calls_run_on_their_own_thread, default_threads),
        cmocka_unit_test_teardown(test_many_threads_may_call, default_threads),
        cmocka_unit_test_teardown(test_sums_do_not_depend_on_the_number_of_threads,
                                  default_threads),
        cmocka_unit_test_teardown(test_number_of_threads, default_threads),
        cmocka_unit_test_teardown(test_a_child_gets_its_own_pool, default_threads),
        cmocka_unit_test_teardown(test_exit_does_not_wait_for_itself, default_threads),
        cmocka_unit_test_teardown(test_fork_while_the_pool_works, default_threads),
    };
    return cmocka_run_group_tests(tests, default_threads, NULL);
}
