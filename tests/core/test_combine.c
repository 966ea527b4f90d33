/* Concurrent calls made one: who waits goes together, what does not fit goes beside, a failure stays with its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/combine.h"

#include <sched.h>
#include <string.h>

enum { CALLERS = 8, ROUNDS = 2000 };

typedef struct job {
    int kind, value; /* value -1: it fails */
    int *square;
} job;

static atomic_bool hold;
static atomic_size_t runs, largest, at_work;

static bool same_kind(const void *a, const void *b)
{
    return ((const job *)a)->kind == ((const job *)b)->kind;
}

static dip_status squares(const void *const *jobs, size_t n)
{
    atomic_fetch_add(&runs, 1);
    atomic_fetch_add(&at_work, 1);
    if (n > atomic_load(&largest)) atomic_store(&largest, n);
    while (atomic_load(&hold) && ((const job *)jobs[0])->kind == 0) sched_yield();
    dip_status status = DIP_OK;
    for (size_t i = 0; i < n; i++)
        if (((const job *)jobs[i])->value < 0) status = dip_fail(DIP_EINVAL, "value below 0");
    for (size_t i = 0; i < n && !status; i++) {
        const job *j = jobs[i];
        *j->square = j->value * j->value;
    }
    atomic_fetch_sub(&at_work, 1);
    return status;
}

static const dip_combine_how how = {same_kind, squares};

typedef struct caller {
    pthread_t thread;
    dip_combiner *combiner;
    int kind, value, square;
    dip_status status;
    char line[100];
} caller;

static void *call(void *argument)
{
    caller *c = argument;
    const job j = {c->kind, c->value, &c->square};
    dip_error_clear();
    c->status = dip_combine(c->combiner, &how, &j);
    strncpy(c->line, dip_last_error(), sizeof c->line - 1);
    return NULL;
}

static void reset(dip_combiner *combiner)
{
    dip_combiner_init(combiner);
    atomic_store(&runs, 0);
    atomic_store(&largest, 0);
    atomic_store(&at_work, 0);
}

static void test_what_waits_goes_together(void **state)
{
    dip_combiner combiner;
    caller callers[CALLERS] = {0};
    (void)state;
    reset(&combiner);
    atomic_store(&hold, true);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.combiner = &combiner, .value = i == 5 ? -1 : i};
        pthread_create(&callers[i].thread, NULL, call, &callers[i]);
        while (i ? dip_combiner_waiting(&combiner) != (size_t)i : !atomic_load(&at_work))
            sched_yield();
    }
    caller beside = {.combiner = &combiner, .kind = 1, .value = 9};
    call(&beside); /* returns while the others wait */
    assert_int_equal(beside.square, 81);
    atomic_store(&hold, false);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].status, i == 5 ? DIP_EINVAL : DIP_OK);
        assert_string_equal(callers[i].line, i == 5 ? "value below 0" : "");
        if (i != 5) assert_int_equal(callers[i].square, i * i);
    }
    assert_int_equal(atomic_load(&largest), CALLERS - 1);
    assert_int_equal(dip_combiner_waiting(&combiner), 0);
    dip_combiner_fini(&combiner);
}

static void *call_often(void *argument)
{
    caller *c = argument;
    for (int i = 0; i < ROUNDS; i++) {
        c->value = i % 50 == 49 ? -1 : i;
        c->kind = i % 3 == 2;
        call(c);
        if ((c->value < 0) != (c->status != DIP_OK)) return c;
        if (!c->status && c->square != i * i) return c;
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    dip_combiner combiner;
    caller callers[CALLERS] = {0};
    (void)state;
    reset(&combiner);
    atomic_store(&hold, false);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].combiner = &combiner;
        pthread_create(&callers[i].thread, NULL, call_often, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        void *wrong;
        pthread_join(callers[i].thread, &wrong);
        assert_null(wrong);
    }
    dip_combiner_fini(&combiner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_goes_together),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
