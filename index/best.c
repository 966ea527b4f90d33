/*
 * Selection and sorting of candidates; see best.h.
 *
 * Which of two scores is the greater cannot be foreseen, and a wrong guess of the processor costs more than some dozen
 * comparisons that nothing depends on. So the last step of a selection finds the k-th score by halving the range of scores, each
 * time counting all that are above, and then moves the best to the front; neither has a branch a candidate.
 */
#include "index/best.h"

#include <stdbool.h>
#include <string.h>

enum { SHORT = 24, COUNTED = 1024 };

static bool better(const dip_native_candidate *a, const dip_native_candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->slot < b->slot);
}

static void swap(dip_native_candidate *a, dip_native_candidate *b)
{
    dip_native_candidate t = *a;
    *a = *b;
    *b = t;
}

static void insertion(dip_native_candidate *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        dip_native_candidate one = c[i];
        size_t j = i;
        for (; j && better(&one, &c[j - 1]); j--) c[j] = c[j - 1];
        c[j] = one;
    }
}

/* Hoare's: afterwards none of [0, returned) is worse than any of the rest; neither part is empty. */
static size_t split(dip_native_candidate *c, size_t n)
{
    if (better(&c[n / 2], &c[0])) swap(&c[n / 2], &c[0]);
    if (better(&c[n - 1], &c[0])) swap(&c[n - 1], &c[0]);
    if (better(&c[n - 1], &c[n / 2])) swap(&c[n - 1], &c[n / 2]);
    dip_native_candidate pivot = c[n / 2];
    size_t i = 0, j = n - 1;
    for (;;) {
        while (better(&c[i], &pivot)) i++;
        while (better(&pivot, &c[j])) j--;
        if (i >= j) return j + 1;
        swap(&c[i++], &c[j--]);
    }
}

/* Scores as integers of the same order. */
static int32_t key_of(float score)
{
    int32_t bits;
    score += 0.0F; /* no zero below another */
    memcpy(&bits, &score, sizeof bits);
    return bits ^ (bits >> 31 & INT32_MAX);
}

static size_t count_from(const int32_t *keys, size_t n, int32_t least)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) count += keys[i] >= least;
    return count;
}

/* A key that k of n reach, or as few more as possible; *reached is their number. */
static int32_t find_level(const int32_t *keys, size_t n, size_t k, size_t *reached)
{
    int32_t low = INT32_MAX, most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        low = keys[i] < low ? keys[i] : low;
        most = keys[i] > most ? keys[i] : most;
    }
    int64_t high = (int64_t)most + 1;
    *reached = n;
    while (*reached > k && high - low > 1) {
        int32_t middle = (int32_t)(low + (high - low) / 2);
        size_t count = count_from(keys, n, middle);
        if (count < k) {
            high = middle;
        } else {
            low = middle;
            *reached = count;
        }
    }
    return low;
}

/* Those from `least` on to the front; returns their number. */
static size_t move_up(dip_native_candidate *c, size_t n, int32_t least)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        dip_native_candidate one = c[i];
        c[i] = c[kept];
        c[kept] = one;
        kept += key_of(one.score) >= least;
    }
    return kept;
}

static void select_counting(dip_native_candidate *c, size_t n, size_t k)
{
    int32_t keys[COUNTED];
    size_t reached;
    for (size_t i = 0; i < n; i++) keys[i] = key_of(c[i].score);
    int32_t level = find_level(keys, n, k, &reached);
    move_up(c, n, level);
    if (reached == k) return;
    size_t above =
        move_up(c, reached, level + 1); /* the k-th score is of several: the first slots */
    dip_best_sort(c + above, reached - above);
}

void dip_best_select(dip_native_candidate *c, size_t n, size_t k)
{
    while (n > COUNTED && k && k < n) {
        size_t left = split(c, n);
        if (k < left) {
            n = left;
        } else {
            c += left;
            n -= left;
            k -= left;
        }
    }
    if (k && k < n) select_counting(c, n, k);
}

void dip_best_sort(dip_native_candidate *c, size_t n)
{
    while (n > SHORT) {
        size_t left = split(c, n);
        if (left < n - left) {
            dip_best_sort(c, left);
            c += left;
            n -= left;
        } else {
            dip_best_sort(c + left, n - left);
            n = left;
        }
    }
    insertion(c, n);
}
