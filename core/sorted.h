/** Where an id is among sorted ones. */
#ifndef CORE_SORTED_H
#define CORE_SORTED_H

#include <stddef.h>
#include <stdint.h>

/** First position in `ids` (n, ascending) with a value not below `id`; n if there is none. */
static inline size_t dip_ids_lower_bound(const uint64_t *ids, size_t n, uint64_t id)
{
    size_t low = 0;
    while (n) {
        size_t half = n / 2;
        if (ids[low + half] < id) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

#endif
