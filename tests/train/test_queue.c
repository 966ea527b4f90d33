/* Rings of past outputs: the oldest goes, what is kept is what was pushed, nothing is seen before a ring is full. */
#include "train/queue.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAIRS = 4, H = 3, N = 3 };

static float h[2][N * H];

/* Pushes pairs first, first + 1, ...: on side s, the vector of pair p is (p + 1, 10 s, 0). */
static void push(dip_queue *queue, size_t ring, uint32_t first, size_t n)
{
    uint32_t pair[N];
    float *const x[2][2] = {{h[0], h[1]}, {NULL, NULL}};
    for (size_t i = 0; i < n; i++) {
        pair[i] = first + (uint32_t)i;
        for (size_t side = 0; side < 2; side++) {
            h[side][i * H] = (float)(pair[i] + 1);
            h[side][i * H + 1] = 10 * (float)side;
        }
    }
    dip_queue_push(queue, ring, n, pair, x);
}

static dip_queue *make(size_t rings)
{
    dip_queue *queue = NULL;
    assert_int_equal(dip_queue_create(&queue, PAIRS, rings, (size_t[]){H, 0}), DIP_OK);
    return queue;
}

/* Slot `slot` holds this pair, both sides. */
static void assert_holds(const dip_past *past, size_t slot, uint32_t pair)
{
    assert_true(past->mark[slot] == (float)pair);
    for (size_t side = 0; side < 2; side++) {
        const float *unit = past->unit + (side * PAIRS + slot) * H;
        float norm = past->norm[side * PAIRS + slot];
        assert_true(fabsf(norm - hypotf((float)pair + 1, 10 * (float)side)) < 1e-4f);
        assert_true(fabsf(unit[0] * norm - ((float)pair + 1)) < 1e-4f);
        assert_true(fabsf(unit[1] * norm - 10 * (float)side) < 1e-4f);
    }
}

static void the_oldest_goes(void **state)
{
    (void)state;
    dip_queue *queue = make(1);
    push(queue, 0, 0, 3);
    assert_null(dip_queue_past(queue, 0, 0));
    push(queue, 0, 3, 3); /* 4 and 5 take the places of 0 and 1 */
    const dip_past *past = dip_queue_past(queue, 0, 0);
    assert_non_null(past);
    assert_int_equal(past->count, PAIRS);
    static const uint32_t expected[PAIRS] = {4, 5, 2, 3};
    for (size_t slot = 0; slot < PAIRS; slot++) assert_holds(past, slot, expected[slot]);
    dip_queue_destroy(queue);
}

static void rings_do_not_mix(void **state)
{
    (void)state;
    dip_queue *queue = make(3);
    push(queue, 2, 0, 3);
    push(queue, 2, 3, 1);
    push(queue, 1, 100, 3);
    assert_null(dip_queue_past(queue, 0, 0));
    assert_null(dip_queue_past(queue, 1, 0));
    for (uint32_t slot = 0; slot < PAIRS; slot++)
        assert_holds(dip_queue_past(queue, 2, 0), slot, slot);
    dip_queue_destroy(queue);
}

static void the_state_is_all_there_is(void **state)
{
    (void)state;
    dip_queue *a = make(2), *b = make(2);
    size_t n, m;
    push(a, 0, 0, 3);
    push(a, 0, 3, 2);
    push(a, 1, 9, 2);
    const float *from = dip_queue_state(a, &n);
    float *to = dip_queue_state(b, &m);
    assert_true(n == m);
    memcpy(to, from, n * sizeof *to);
    push(a, 1, 20, 3);
    push(b, 1, 20, 3);
    assert_memory_equal(from, to, n * sizeof *to);
    assert_holds(dip_queue_past(b, 1, 0), 0, 22);
    dip_queue_destroy(a);
    dip_queue_destroy(b);
}

static void marks_are_exact_and_tell_pairs_apart(void **state)
{
    (void)state;
    for (uint32_t pair = (1u << 24) - 3; pair < (1u << 24) + 3; pair++) {
        assert_true(dip_loss_mark(pair) != dip_loss_mark(pair + 1));
        assert_true(dip_loss_mark(pair) == dip_loss_mark(pair + (1u << 24)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_goes),
        cmocka_unit_test(rings_do_not_mix),
        cmocka_unit_test(the_state_is_all_there_is),
        cmocka_unit_test(marks_are_exact_and_tell_pairs_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
