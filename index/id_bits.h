/**
 * Ascending ids that lie close together, as bits of the range from the first to the last: an eighth of a byte for each number
 * there, where an id by itself takes eight bytes. A row is the rank of an id; counts before each block of 512 bits lead from
 * one to the other.
 *
 * Bits and counts may be damaged: rows that come out are below `count` all the same, ids are any.
 */
#ifndef INDEX_ID_BITS_H
#define INDEX_ID_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIP_ID_BLOCK = 8 /* words */ };

typedef struct dip_id_bits {
    uint64_t first; /* id of the lowest bit */
    size_t count, words;
    const uint64_t *bits;   /* words, lowest bit first, zeros behind the last id */
    const uint32_t *counts; /* a block: ids before it */
} dip_id_bits;

/** Words for ids of this range, and 32-bit counts for so many words. */
size_t dip_id_bits_words(uint64_t first, uint64_t last);
size_t dip_id_bits_blocks(size_t words);

/** Fills in the counts of bits. */
void dip_id_bits_count(const uint64_t *bits, size_t words, uint32_t *counts);

/** The id of a row below `count`. */
uint64_t dip_id_bits_at(const dip_id_bits *b, size_t row);
/** The ids of `n` rows from `row` on, all below `count`. */
void dip_id_bits_copy(const dip_id_bits *b, size_t row, size_t n, uint64_t *out);
/** Asks the system for what dip_id_bits_at() will read. */
void dip_id_bits_expect(const dip_id_bits *b, size_t row);

/** Looks for ids in ascending order; begin with zeros. */
typedef struct dip_id_cursor {
    size_t word, rank; /* rank: of its first bit */
} dip_id_cursor;

/** Is the id there? Then *row is its row. No id may be below the one before. */
bool dip_id_bits_find(const dip_id_bits *b, dip_id_cursor *cursor, uint64_t id, size_t *row);

/** Sets a bit for the row of each of `wanted` (n, ascending) that is there; returns how many are. */
size_t dip_id_bits_mark(const dip_id_bits *b, const uint64_t *wanted, size_t n, uint64_t *rows);

/** Do the counts fit the bits, and these the number of ids, the first and the last? */
bool dip_id_bits_fit(const dip_id_bits *b, uint64_t last);

#endif
