/* Quickselect and quicksort of candidates; see best.h. */
#include "index/best.h"

#include <stdbool.h>

enum { SHORT = 24 };

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

void dip_best_select(dip_native_candidate *c, size_t n, size_t k)
{
    while (n > SHORT && k && k < n) {
        size_t left = split(c, n);
        if (k < left) {
            n = left;
        } else {
            c += left;
            n -= left;
            k -= left;
        }
    }
    if (k && k < n) insertion(c, n);
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
