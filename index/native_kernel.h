/**
 * The loops of the native engine, one body an instruction set. All bodies agree on the integer sums; float sums
 * differ in the order of summation and nothing else.
 */
#ifndef INDEX_NATIVE_KERNEL_H
#define INDEX_NATIVE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
    DIP_NATIVE_ROWS = 16,    /* centroids of a coarse block */
    DIP_NATIVE_BLOCK = 32,   /* vectors of a code block */
    DIP_NATIVE_GROUP = 4,    /* codes that share a pair of table registers */
    DIP_NATIVE_TABLE = 128,  /* bytes of the tables of a group */
    DIP_NATIVE_LEVELS = 255, /* greatest entry of a table; sums of 256 codes fit 16 bits */
};

/**
 * Blocks of 16 centroids as bytes: a centroid's component j is scale * (byte - 128). `bytes`: (blocks, steps, 16, 4),
 * four components of each of 16 centroids a step, padded with 128.
 */
typedef struct dip_native_coarse {
    const uint8_t *bytes;
    const float *scales, *biases; /* a value a centroid */
    size_t steps;
} dip_native_coarse;

/** A query as bytes: component j is scale * value[j]; `base` is 128 times the sum of the values. */
typedef struct dip_native_query {
    const int8_t *values; /* 4 * steps */
    float scale;
    int32_t base;
} dip_native_query;

typedef struct dip_native_candidate {
    float score;
    uint32_t slot;  /* where the vector stands: block * 32 + position */
    uint32_t probe; /* which of the probed lists it is of */
} dip_native_candidate;

/**
 * A run of code blocks. A block: for each two codes 32 bytes, one a vector, the even code in the low half. Codes are
 * padded to a multiple of 4 with zeros. The tables: for each group of 4 codes (a, b, c, d) 128 bytes: a a c c b b d d, 16
 * entries each. A vector's score is `base` + (sum of its entries) * unit - term.
 */
typedef struct dip_native_run {
    const uint8_t *codes;  /* of slot 0 */
    const uint16_t *terms; /* float16, of slot 0; infinity where there is no vector */
    const uint8_t *tables;
    size_t groups;
    size_t block, blocks; /* the run */
    size_t ahead;         /* block from which on as many are prefetched: the next run */
    float unit, base;
    uint32_t probe;
} dip_native_run;

/** How a query's tables became bytes: an entry is `low` of its code + byte * unit; `base` is the sum of the lows. */
typedef struct dip_native_levels {
    float unit, base;
} dip_native_levels;

typedef struct dip_native_kernel {
    const char *name;
    /**
     * Tables of a query (codes * sub) for a codebook (codes, sub, 16): products with all entries, as bytes of 0 to
     * DIP_NATIVE_LEVELS. `entries`: (codes, 16), scratch.
     */
    dip_native_levels (*tables)(const float *query, const float *codebook, size_t codes, size_t sub,
                                float *entries, uint8_t *tables);
    /** The nearest entry of each code of a residual (codes * sub), two codes a byte, the even one low. */
    void (*encode)(const float *residual, const float *codebook, size_t codes, size_t sub,
                   uint8_t *out);
    /** scores[i] of the centroids of blocks `first`..`first + blocks - 1`: scale * product + bias. */
    void (*coarse)(const dip_native_coarse *coarse, const dip_native_query *query, size_t first,
                   size_t blocks, float *scores);
    /** Appends (score, first + i) of the scores above the threshold; returns their number. */
    size_t (*pick)(const float *scores, size_t n, float threshold, uint32_t first,
                   dip_native_candidate *out);
    /** Appends the vectors of a run whose score is above the threshold; returns their number. */
    size_t (*scan)(const dip_native_run *run, float threshold, dip_native_candidate *out);
    float (*dot)(const float *a, const float *b, size_t n);
    /** Inner product of a query with signed bytes, and with float16. */
    float (*dot_int8)(const float *query, const int8_t *vector, size_t n);
    float (*dot_half)(const float *query, const uint16_t *vector, size_t n);
} dip_native_kernel;

/** The body for this processor. */
const dip_native_kernel *dip_native_kernel_get(void);

extern const dip_native_kernel dip_native_plain, dip_native_avx2, dip_native_avx512,
    dip_native_avx512vnni;

#endif
