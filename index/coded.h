/**
 * Vectors as an IVF-PQ index sees them: a list each, and 4-bit codes of what the list's centroid leaves.
 */
#ifndef INDEX_CODED_H
#define INDEX_CODED_H

#include "index/lists.h"
#include "index/supply.h"

enum { DIP_MOST_CODES = 256 }; /* of a vector: their sums fit 16 bits */

typedef struct dip_coded {
    size_t code_count, code_bytes; /* code_bytes: of a vector, two codes a byte, the even one low */
    dip_lists lists;
    float *codebook; /* (code_count, dim / code_count, 16) */
    size_t n;
    uint32_t *list; /* n: of each vector */
    uint8_t *codes; /* (n, code_bytes) */
} dip_coded;

/** Frees all arrays. */
void dip_coded_fini(dip_coded *coded);

struct dip_shelves;

/**
 * Finds lists and codes of the vectors of a supply, reading it once; lists and codebook are there, the rest is made. What
 * refines them goes to the shelves (may be NULL). On all threads; the bits do not depend on their number. Expected
 * failures: DIP_EINVAL (no unit vector), DIP_ECANCEL.
 */
dip_status dip_coded_add(dip_coded *coded, const dip_supply *supply, struct dip_shelves *shelves,
                         const dip_progress *progress, const char *name);

static inline unsigned dip_coded_code(const dip_coded *c, size_t i, size_t m)
{
    return c->codes[i * c->code_bytes + m / 2] >> (m % 2 * 4) & 15;
}

/** Component j of what vector i's list and codes stand for. */
static inline float dip_coded_value(const dip_coded *c, size_t i, size_t j)
{
    size_t sub = c->lists.dim / c->code_count, m = j / sub;
    return c->lists.centroids[c->list[i] * c->lists.dim + j] +
           c->codebook[j * 16 + dip_coded_code(c, i, m)];
}

#endif
